"""The reading site; `make book` executes the chapters and builds it."""

import importlib.util
from pathlib import Path

from docutils import nodes

project = "Byzantine-Robust Federated Learning for Trading"
author = "the authors of byzlib"
copyright = "2026, the authors of byzlib; text CC BY 4.0, code MIT"
language = "en"
extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["**.ipynb_checkpoints"]

# The chapters have just been executed; here they only become pages.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
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


def keep_formulas_whole(app, document):
    """Give MathJax each formula as it is written.

    Otherwise one with a line break is wrapped in an environment in which
    \\tag is not allowed.
    """
    for formula in document.findall(nodes.math_block):
        if not formula.get("number"):
            formula[:] = [nodes.Text(rf"\[{formula.astext()}\]")]
            formula["no-wrap"] = True


def setup(app):
    app.connect("doctree-read", keep_formulas_whole)
