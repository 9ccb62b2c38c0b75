"""The reading site; `make book` executes the chapters and builds it."""

import importlib.util
from pathlib import Path

from notebooks.site_parts import elsewhere, repository

REPOSITORY = repository()  # BYZLIB_REPOSITORY; without it there are no buttons

project = "Byzantine-Robust Federated Learning for Trading"
author = "the authors of byzlib"
copyright = "2026, the authors of byzlib; text CC BY 4.0, code MIT"
language = "en"
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",  # `name` in a docstring leads to it
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "notebooks.site_parts",
]
exclude_patterns = ["**.ipynb_checkpoints"]

# The chapters have just been executed; here they only become pages.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

# The library's pages: types are words, and some of them links elsewhere.
default_role = "autolink"
autodoc_typehints = "none"
napoleon_use_param = napoleon_use_rtype = False
napoleon_use_ivar = True
highlight_language = "none"
napoleon_custom_sections = ["Source"]
nitpick_ignore_regex = [("py:(class|exc|obj)", ".*")]  # of docstrings only
intersphinx_mapping = elsewhere()

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"

html_theme = "sphinx_book_theme"
html_title = "Robust Federated Learning for Trading"
html_theme_options = {
    "navbar_persistent": [],  # one search button is enough
    "show_toc_level": 2,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
if REPOSITORY:
    html_theme_options |= {
        "repository_url": REPOSITORY,
        "repository_branch": "main",
        "path_to_docs": "notebooks",
        "use_repository_button": True,
        "use_issues_button": True,
        "use_edit_page_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }
html_show_search_summary = False  # a page opened from a disk cannot fetch
html_copy_source = True  # a reader may take a chapter away
html_show_sphinx = False
html_last_updated_fmt = None
copybutton_selector = "div.highlight-ipython3 pre, div.highlight-bash pre"

# Formulas are drawn by a file of the site, so that pages work offline.
mathjax = importlib.util.find_spec("sphinx-mathjax-offline").origin
mathjax = Path(mathjax).parent / "static/mathjax/tex-svg-full.js"
html_static_path = ["_static", str(mathjax)]
mathjax_path = "tex-svg-full.js"
html_css_files = ["book.css"]
html_js_files = [("book.js", {"priority": 100})]  # before the theme's
html_context = {"default_mode": "auto"}
