"""What the site adds to the chapters; a Sphinx extension that conf.py names.

Words explained, citations whole, pages of the library, ways to run and edit.
"""

import importlib
import inspect
import json
import os
import re
import sys
import tempfile
import textwrap
import zlib
from pathlib import Path

import nbformat
from docutils import nodes
from pybtex.backends.plaintext import Backend
from pybtex.database import parse_file
from pybtex.richtext import Text
from sphinx import addnodes

import byzlib

# --- words and citations -----------------------------------------------------


def glossary(folder):
    """{word: meaning} of the table "Words" in appendix A."""
    page = json.loads(
        (folder / "A_notation.ipynb").read_text(encoding="utf-8")
    )
    texts = ["".join(cell["source"]) for cell in page["cells"]]
    (table,) = [text for text in texts if text.startswith("## Words")]
    rows = re.findall(r"^\| ([^|]+) \| (.+) \|$", table, re.MULTILINE)
    return {
        word: re.sub(r"[$`]|\\[a-z]+(?= )", "", meaning)
        for words, meaning in rows
        if "---" not in words and words != "word"
        for word in words.split(", ")
    }


def citations(folder):
    """{address: the whole reference} of references.bib."""
    known, plain = {}, Backend()
    for entry in parse_file(str(folder / "references.bib")).entries.values():
        fields, authors = entry.fields, entry.persons["author"]
        names = [
            " ".join([*p.bibtex_first_names, *p.prelast_names, *p.last_names])
            for p in authors
        ]
        places = ("journal", "booktitle", "publisher")
        where = next((fields[name] for name in places if name in fields), "")
        title = f"{', '.join(names)}: {fields['title']}. {where}"
        address = fields.get("url", "")
        if "doi" in fields:
            address = f"https://doi.org/{fields['doi']}"
        title = Text.from_latex(f"{title} {fields['year']}")
        known[address.lower()] = title.render(plain)
    return known


def name_papers(app, document):
    """A link to a paper says on hovering which paper that is."""
    for link in document.findall(nodes.reference):
        title = app.env.book_citations.get(link.get("refuri", "").lower())
        if title:
            link["reftitle"] = title


def explain_words(app, document):
    """A word of the glossary is explained on hovering, the first time."""
    page = app.env.docname
    left = {} if page.startswith(("A_", "api")) else dict(app.env.book_words)
    for paragraph in list(document.findall(nodes.paragraph)):
        if isinstance(paragraph.parent, nodes.entry):
            continue  # a cell of a table
        for text in list(paragraph.children):
            if isinstance(text, nodes.Text):
                paragraph.replace(text, explained(str(text), left))


def explained(text, left):
    """The text in pieces: words of `left`, which are taken, have a meaning."""
    pieces, at = [], 0
    words = sorted(left, key=len, reverse=True)
    anyone = "|".join(map(re.escape, words)) or "(?!)"
    for found in re.finditer(rf"(?<![\w-])({anyone})(?![\w-])", text):
        if meaning := left.pop(found[1], None):
            word = nodes.abbreviation(found[1], found[1], explanation=meaning)
            pieces += [nodes.Text(text[at : found.start()]), word]
            at = found.end()
    return [*pieces, nodes.Text(text[at:])]


# What a reader looks for, and the chapter that the search shall list first.
SUBJECTS = {
    "00": "mean, FedAvg",
    "01": "threat model, sign flip, Byzantine client",
    "02": "breakdown point, influence function, median",
    "03": "Krum, Multi-Krum",
    "04": "trimmed mean, kappa, rates",
    "05": "geometric median, coordinate-wise median, median of means",
    "06": "Bulyan, mean around median, minimum diameter average",
    "07": "nearest neighbor mixing, mixing, bucketing, centered clipping",
    "08": "a little is enough, min-max, inner product manipulation, mimic",
    "09": "label flip, back door, data poisoning, who breaks whom",
    "10": "convergence, momentum, gradient floor",
    "11": "accuracy, majority class, baseline",
    "12": "features, labels, walk-forward split, purge, embargo",
    "13": "heterogeneity, wash trading, gradient leakage",
    "14": "strategies, regime change, drawdown",
    "15": "value at risk, expected shortfall, back-test, traffic light",
    "16": "scenarios, stress test, alarm, CUSUM, ROC",
    "17": "cost, sorting network, Gram matrix, memory, GPU",
    "18": "Flower, deployment, TLS, stragglers, client sampling",
    "19": "regret, impossibility, secure aggregation, privacy, Sybil",
}


def index_subjects(app, document):
    """Entries of the index; the search ranks them above words of the text."""
    subjects = SUBJECTS.get(app.env.docname[:2], "")
    if "/" in app.env.docname or not subjects:
        return
    place = document.next_node(nodes.section)["ids"][0]
    words = subjects.split(", ")
    entries = [("single", word, place, "main", None) for word in words]
    document.insert(0, addnodes.index(entries=entries))


def keep_formulas_whole(app, document):
    """Give MathJax each formula as it is written.

    Otherwise one with a line break is wrapped in an environment in which
    \\tag is not allowed.
    """
    for formula in document.findall(nodes.math_block):
        if not formula.get("number"):
            formula[:] = [nodes.Text(rf"\[{formula.astext()}\]")]
            formula["no-wrap"] = True


# --- the library's pages -----------------------------------------------------

# Types that docstrings name, and where other projects describe them.
ELSEWHERE = {
    "numpy": ("https://numpy.org/doc/stable/", {
        "ndarray": "reference/generated/numpy.ndarray.html",
        "random.Generator": "reference/random/generator.html",
    }),
    "pandas": ("https://pandas.pydata.org/docs/", {
        name: f"reference/api/pandas.{name}.html"
        for name in ["DataFrame", "Series", "DatetimeIndex", "Timestamp"]
    }),
}  # fmt: skip


HEAD = """\
# Sphinx inventory version 2
# Project: {}
# Version:
# The remainder of this file is compressed using zlib.
"""


def elsewhere():
    """intersphinx_mapping, with lists of names written here: no network."""
    mapping, folder = {}, Path(tempfile.mkdtemp())
    for project, (site, names) in ELSEWHERE.items():
        lines = "".join(
            f"{project}.{name} py:class 1 {page} -\n"
            for name, page in names.items()
        )
        file = folder / f"{project}.inv"
        head = HEAD.format(project).encode()
        file.write_bytes(head + zlib.compress(lines.encode()))
        mapping[project] = site, str(file)
    return mapping


LIBRARY = """---
orphan: true
---

# The library, name by name

Every public name of `byzlib`, with its shapes, its errors and its source, as
`help` shows it.

```{toctree}
:maxdepth: 1

"""


def library_pages():
    """{name of a page: its text}, a page for each room of byzlib."""
    pages = {"index.md": LIBRARY + "\n".join([*byzlib.ROOMS, "```", ""])}
    for room in byzlib.ROOMS:
        module = importlib.import_module(f"byzlib.{room}")
        lines = [f".. automodule:: {module.__name__}", ""]
        for name in public(module):
            if inspect.isclass(getattr(module, name)):
                lines += [f".. autoclass:: {name}", "   :members:", ""]
            else:
                lines += [f".. autofunction:: {name}", ""]
        body = "\n".join(["```{eval-rst}", *lines, "```", ""])
        pages[f"{room}.md"] = f"# byzlib.{room}\n\n{body}"
    return pages


def public(module):
    """Names of the functions and classes that a room shows to the world."""
    listed = getattr(module, "__all__", None)
    for name in listed or sorted(vars(module)):
        thing = getattr(module, name)
        own = getattr(thing, "__module__", "") == module.__name__
        if callable(thing) and (listed or own and not name.startswith("_")):
            yield name


def literally(app, what, name, thing, options, lines):
    """In a docstring |x| is a norm, not a substitution, and * is a product.

    A source is a section of its own, and the list of a room stays a list.
    """
    text = "\n".join(lines)
    if what == "module":
        text = re.sub(r"\n\n((?: *[\w, ]+?  +\S.*\n)+)", set_apart, text)
    text = re.sub(r"(?m)^(Source|Example)s?: ", r"\1\n------\n", text)
    parts = re.split(r"(::\n\n(?:    .*\n?|\n)+|`+[^`]+`+)", text)
    parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def set_apart(listing):
    indented = textwrap.indent(textwrap.dedent(listing[1]), "    ")
    return f"\n\n::\n\n{indented}\n"


def linked(app, what, name, thing, options, lines):
    """After the sections are laid out: types upright, and links."""
    known = {}
    for project, (_, names) in ELSEWHERE.items():
        known |= {key.split(".")[-1]: f"{project}.{key}" for key in names}
    words = re.compile(rf"(?<![\w.`])(?:\w+\.)*({'|'.join(known)})\b(?!`)")

    def link(match):
        return f":class:`{match[1]} <{known[match[1]]}>`"

    for i, line in enumerate(lines):
        if typed := re.match(r"(.*?\*\*.*?\*\* \()\*(.*)\*(\).*)", line):
            before, kind, after = typed.groups()
            lines[i] = before + words.sub(link, kind) + after


# --- away from the book's folder ---------------------------------------------


def repository():
    """The address of the book's source, https://github.com/..., or nothing."""
    return os.environ.get("BYZLIB_REPOSITORY", "").rstrip("/")


def alone(page):
    """A chapter's text with a first cell that fetches what it needs."""
    notebook = nbformat.read(page, as_version=4)
    cell = nbformat.v4.new_code_cell(FIRST_CELL.format(get=how()), id="alone")
    notebook.cells.insert(0, cell)
    return nbformat.writes(notebook) + "\n"


def how():
    """The line that gets byzlib, or that asks for it."""
    if repository():
        return f'%pip install --quiet "byzlib @ git+{repository()}"'
    return 'sys.exit("First: pip install FOLDER, the folder of the book.")'


FIRST_CELL = """\
# Away from the book's folder: get byzlib, and copy the book with its data.
import importlib.util, os, sys

if importlib.util.find_spec("byzlib") is None:
    {get}
if not os.path.exists("results"):
    if not os.path.exists("byzlib-book"):
        !{{sys.executable}} -m byzlib copy byzlib-book
    os.chdir("byzlib-book/notebooks")
"""


def open_in_colab(app, page, template, context, document):
    """Colab opens the chapters that have that cell, in their own branch."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "colab" in button.get("url", ""):
                of_chapters = r"/blob/[^/]+/notebooks/"
                button["url"] = re.sub(
                    of_chapters, "/blob/launch/", button["url"]
                )


def read_book(app):
    folder = Path(app.srcdir)
    app.env.book_words = (
        glossary(folder) if (folder / "A_notation.ipynb").exists() else {}
    )
    app.env.book_citations = citations(folder)


def setup(app):
    app.connect("builder-inited", read_book)
    app.connect("doctree-read", name_papers)
    app.connect("doctree-read", explain_words)
    app.connect("doctree-read", index_subjects, priority=100)
    app.connect("doctree-read", keep_formulas_whole)
    app.connect("autodoc-process-docstring", literally, priority=400)
    app.connect("autodoc-process-docstring", linked, priority=600)
    app.connect("html-page-context", open_in_colab, priority=900)
    return {"parallel_read_safe": True}


def launch(folder):
    """Write the chapters to open alone into a folder."""
    from notebooks import execute

    for path in execute.chapters():
        execute.write(Path(folder) / path.name, alone(path))


if __name__ == "__main__":
    launch(*sys.argv[1:])
