"""What a notebook of the book must be: each check returns one sentence per fault, or nothing.

A check takes the path of a notebook and what nbformat read there.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path
from urllib.parse import unquote

import byzlib
from notebooks import execute
from notebooks.execute import canonical, number, text_of


def modules_of(package):
    return {module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))}


MODULES = modules_of(byzlib)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
MACHINE = re.compile(
    r"(?<![\w.~/])/(?:home|root|tmp|work|Users|private|opt|mnt|srv|var)/\w+"
    r"|\b[A-Z]:\\\w+|site-packages|ipykernel_\d+|\bhost(?:name)?=\w+"
)
PARTS = {
    "a title '# N · Verb ...'": r"\A# (\d+|[A-Z]) · \w",
    "**You will**": r"^\*\*You will\*\*",
    "**You need**": r"\*\*You need\*\*",
    "**Time**": r"\*\*Time\*\*",
    "## Exercises": r"^## Exercises$",
    "## You have": r"^## You have$",
    "## References": r"^## References$",
    "**Next:**": r"^\*\*Next:\*\*",
}


def is_exercise(path):
    return path.parent.name == "exercises"


def is_appendix(path):
    return not number(path).isdigit()


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def code(notebook):
    return "\n\n".join(cell.source for cell in code_cells(notebook))


def said(output):
    """The words of an output, without its pictures."""
    data = output.get("data", {})
    words = [data.get(kind, "") for kind in ("text/plain", "text/html", "text/latex")]
    words += [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    return re.sub(r"data:image/png;base64,[\w+/=]+", "", "\n".join(words))


def size(path, notebook):
    if path.stat().st_size >= 400_000:
        yield f"is {path.stat().st_size // 1000} KB; 400 is the limit"


def executed_in_order(path, notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"is not executed from the first cell to the last: {counts}"
    for i, cell in enumerate(notebook.cells):
        if not cell.source.strip():
            yield f"holds an empty cell, {i}"


def canonical_form(path, notebook):
    if text_of(canonical(notebook, number(path))) != path.read_text(encoding="utf-8"):
        yield "is not saved in the canonical form; `make notebooks` does that"


def quiet(path, notebook):
    for output in outputs(notebook):
        if output.output_type == "error":
            yield f"holds an error: {output.ename}: {output.evalue}"
        if output.get("name") == "stderr":
            yield f"writes on stderr: {output.text.strip()[:80]}"


def strictly_compared(path, notebook):
    for cell in code_cells(notebook):
        marks = {*cell.metadata.get("tags", []), *re.findall(r"NBVAL_\w+", cell.source)}
        for mark in sorted(marks):
            if re.match("nbval-(skip|ignore)|NBVAL_|raises-exception", mark):
                yield f"takes a cell out of the comparison with {mark}"


def no_machine(path, notebook):
    for text in [cell.source for cell in notebook.cells] + list(map(said, outputs(notebook))):
        for place in MACHINE.findall(text):
            yield f"names a place of one machine: {place}"


def pictures(path, notebook):
    for cell in code_cells(notebook):
        shown = [output for output in cell.outputs if "data" in output]
        kinds = [kind for output in shown for kind in output.data if kind.startswith("image/")]
        if kinds not in ([], ["image/png"]):
            yield f"shows {', '.join(kinds)} from one cell; one PNG a cell is the rule"
        for output in shown:
            for image in re.findall(r"<img\b[^>]*>", output.data.get("text/html", "")):
                if len((re.search(r'alt="([^"]*)"', image) or "  ")[1]) < 20:
                    yield "shows a picture of a slider without a description"
            if "image/png" not in output.data:
                continue
            marks = output.metadata.get("image/png", {})
            name, alt = marks.get("name", ""), marks.get("alt", "")
            if not re.fullmatch(rf"{number(path)}_\w+", name):
                yield f"shows a picture called {name!r}; a name begins with {number(path)}_"
            if len(alt) < 40 or output.data.get("text/plain") != alt:
                yield f"describes the picture {name} too shortly: {alt!r}"


def narrow(path, notebook):
    for line in code(notebook).splitlines():
        if len(line) > 79:
            yield f"has a line of {len(line)} characters: {line.strip()[:50]} ..."


def parts(path, notebook):
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    spared = is_exercise(path) or is_appendix(path)
    for name, pattern in PARTS.items():
        if is_exercise(path) and not pattern.startswith(r"\A"):
            continue
        if not re.search(pattern, text, re.MULTILINE) and not (spared and "Exercises" in name):
            yield f"lacks {name}"
    title = re.match(r"# (\w+) ·", text)
    if title and title[1] not in (number(path), number(path).lstrip("0") or "0"):
        yield f"calls itself {title[1]}"
    if len(re.findall(r"^# ", FENCE.sub("", text), re.MULTILINE)) > 1:
        yield "has two titles"


def asserts(path, notebook):
    lines = ast.walk(ast.parse(code(notebook)))
    if not is_exercise(path) and not any(isinstance(line, ast.Assert) for line in lines):
        yield "claims much and asserts nothing"


def plain_markdown(path, notebook):
    """JupyterLab and GitHub show what only the site understands as it is typed."""
    text = FENCE.sub("", prose(notebook))
    directives = re.findall(r"^(?::::+|```)\{\w+\}|^%+ ", prose(notebook), re.MULTILINE)
    roles = re.findall(r"\{(?:numref|ref|eq|cite|doc|term)[\w:]*\}`", text)
    for raw in directives + roles:
        yield f"uses {raw}, which only the site understands"
    opened, closed = text.count("<details>"), text.count("</details>")
    if not opened == closed == text.count("<summary>") == text.count("</summary>"):
        yield "folds an answer without <summary>, or leaves it open"
    for cell in notebook.cells:
        if cell.get("attachments"):
            yield "holds an attachment"
    for output in outputs(notebook):
        for address in re.findall(r"(?:src|href)=\"(https?:[^\"]+)", said(output)):
            yield f"fetches {address}"


# --- links ----------------------------------------------------------------------------------


def anchors(path):
    """The anchors that the headings of a page give, as GitHub and the site make them."""
    import nbformat

    notebook = path.suffix == ".ipynb"
    text = prose(nbformat.read(path, as_version=4)) if notebook else path.read_text("utf-8")
    headings = re.findall(r"^#+ +(.*?) *$", FENCE.sub("", text), re.MULTILINE)
    return set(map(anchor_of, headings))


def anchor_of(heading):
    plain = re.sub(r"[`*$]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def dead_links(path, text):
    """Relative links of a page whose file or heading is not there."""
    for pair in LINK.findall(FENCE.sub("", text)):
        link = pair[0] or pair[1]
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file) if file else path
        if not target.exists():
            yield f"links to {link}, which is not there"
        elif anchor and anchor not in anchors(target):
            yield f"links to {link}: no such heading"


def links(path, notebook):
    yield from dead_links(path, prose(notebook))
    for solved in re.findall(r"\]\((exercises/[^/)]+\.ipynb)", prose(notebook)):
        yield f"links to {solved}, which holds the solutions; link to exercises/student/"


BIBLIOGRAPHY = Path(execute.__file__).parent / "references.bib"


def plain(title):
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"[{}\\'\"]", "", title.lower())).strip()


@functools.cache
def linked_titles():
    """Titles of the bibliography that have an address there."""
    entries = BIBLIOGRAPHY.read_text(encoding="utf-8").split("\n@")
    titles = [re.search(r"title = \{(.*)\}", e)[1] for e in entries if re.search("doi|url", e)]
    return [plain(title) for title in titles]


def references(path, notebook):
    """Works of the bibliography that are described without a link to them."""
    described = prose(notebook).partition("## References\n")[2]
    for title in re.findall(r"(?<![\[*])\*([^*\n]+)\*(?![\]*])", described):
        if any(f"{known} ".startswith(f"{plain(title)} ") for known in linked_titles()):
            yield f"describes {title} without a link to it"


# --- names of the library -------------------------------------------------------------------


def names(path, notebook):
    yield from dead_names(prose(notebook), code(notebook))


def dead_names(text, code=""):
    """`byzlib` names in text or code that do not exist."""
    used = set(re.findall(r"\bbyzlib((?:\.\w+)+)", text + "\n" + code))
    for span in re.findall(r"`([^`\n]+)`", text):
        used |= {"." + name for name in re.findall(r"(?<![\w.])(\w+\.\w+)", span)}
    used |= {
        f".{node.module.removeprefix('byzlib').strip('.')}.{alias.name}".replace("..", ".")
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("byzlib")
        for alias in node.names
    }
    for name in sorted(used):
        whole = name.strip(".").split(".")
        known = whole[0] in MODULES or f"byzlib{name}" in text + code
        if known and not exists(whole):
            yield f"speaks of byzlib{name}, which does not exist"


def exists(parts):
    """Is there such a module, a name in it, or an attribute of a class in it?"""
    if parts[0] not in MODULES:
        return hasattr(byzlib, parts[0])
    if parts[-1] in ("py", "gz", "csv"):
        return True
    things = [importlib.import_module(f"byzlib.{parts[0]}")]
    for part in parts[1:]:
        if part in modules_of(things[0]):
            name = f"{things[0].__name__}.{part}"
            try:
                importlib.import_module(name)
            except ImportError:  # of a library that is not here: what it defines stands in its text
                text = Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")
                return all(re.search(rf"^(?:class|def) {p}\b", text, re.M) for p in parts[2:3])
        inner = [x for thing in things for x in vars(thing).values() if isinstance(x, type)]
        modules = {x.__module__ for x in inner if x.__module__.startswith("byzlib")}
        sources = map(inspect.getsource, map(importlib.import_module, modules))
        if any(re.search(rf"\bself\.{part}\b", source) for source in sources):
            return True
        things = [getattr(x, part) for x in (*things, *inner) if hasattr(x, part)]
        if not things:
            return False
    return True


# --- exercises ------------------------------------------------------------------------------


def marked_solutions(path, notebook):
    """nbgrader's metadata and markers agree; the cell after a solution checks it."""
    cells, ids = code_cells(notebook), []
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        marks = cell.metadata.get("nbgrader", {})
        ids += [marks["grade_id"]] if "grade_id" in marks else []
        solution = "### BEGIN SOLUTION" in cell.source
        if solution != bool(marks.get("solution")):
            yield f"marks a solution in only one of two ways: {marks.get('grade_id')}"
        if marks and not {"grade", "locked", "schema_version", "task"} <= set(marks):
            yield f"lacks nbgrader's metadata in {marks.get('grade_id')}"
        if solution and not (after and re.search(r"\bchecks\.\w+\(", after.source)):
            yield f"does not check {marks.get('grade_id')} in the next cell"
    if len(set(ids)) < len(ids):
        yield "uses a grade_id twice"
    if not is_exercise(path) and "### BEGIN SOLUTION" in code(notebook):
        yield "holds a solution, which belongs in exercises/"


CHECKS = [
    size,
    executed_in_order,
    canonical_form,
    quiet,
    strictly_compared,
    no_machine,
    pictures,
    narrow,
    parts,
    asserts,
    plain_markdown,
    links,
    references,
    names,
    marked_solutions,
]


# --- the whole ------------------------------------------------------------------------------


def contents(root):
    """Chapters on disk that index.md or README.md do not name, and names without a chapter."""
    disk = {path.stem for path in (root / "notebooks").glob("*.ipynb")}
    index = (root / "notebooks/index.md").read_text(encoding="utf-8")
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", index, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"^(?!:)\S+$", "\n".join(trees), re.MULTILINE)
    pages = [name for name in listed if re.match(r"(\d\d|[A-Z])_", name)]
    table = re.findall(
        r"^\|.*?\]\(notebooks/([^/)]+)\.ipynb\)", (root / "README.md").read_text("utf-8"), re.M
    )
    for place, chapters in [("index.md", pages), ("README.md", table)]:
        for name in sorted(disk - set(chapters)):
            yield f"{place} does not list {name}"
        for name in sorted(set(chapters) - disk):
            yield f"{place} lists {name}, which is not there"
        if chapters != sorted(chapters) or len(set(chapters)) < len(chapters):
            yield f"{place} lists the chapters out of order"


def figures_agree(root, files):
    """What figures/ holds, against what the notebooks draw."""
    folder = root / "figures"
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    yield from (f"figures/{name} is drawn by no notebook" for name in sorted(found - set(files)))
    for name in sorted(files):
        path: Path = folder / name
        if not path.exists() or path.read_bytes() != files[name]:
            yield f"figures/{name} is not what the notebooks draw; `make notebooks` writes it"
