"""The book as it is stored: every notebook in order, in form, described, linked and listed."""

import ast
import copy
import functools
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from notebooks.execute import canonical, chapters, exercises, figures_folder, number, text_of
from notebooks.make_claims import PAGE, read, table, with_tables
from tests import book_checks

ROOT = Path(__file__).parent.parent
BOOK = chapters(ROOT) + exercises(ROOT)


@pytest.mark.parametrize("path", BOOK, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_notebook(path):
    notebook = nbformat.read(path, as_version=4)
    faults = [
        f"{path.stem} {fault}" for check in book_checks.CHECKS for fault in check(path, notebook)
    ]
    assert not faults, "\n".join(faults)


def test_there_is_a_book():
    assert {"00", "01", "10", "A"} <= set(map(number, chapters(ROOT)))
    assert {path.stem for path in exercises(ROOT)} <= {path.stem for path in chapters(ROOT)}


def test_contents_are_complete():
    assert list(book_checks.contents(ROOT)) == []


def test_figures_are_those_of_the_notebooks():
    assert list(book_checks.figures_agree(ROOT, figures_folder(BOOK))) == []


@pytest.mark.parametrize(
    "name", ["README.md", "figures/README.md", "notebooks/exercises/README.md"]
)
def test_pages_link_to_what_is_there(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert list(book_checks.dead_links(ROOT / name, text)) == []
    assert list(book_checks.dead_names(text)) == []


# --- each check can fail --------------------------------------------------------------------

ALT = "A line that falls from the upper left corner to the lower right."
PNG = "iVBORw0KGgo="
TEXT = """# 3 · Pick one

**You will** pick. **You need** nothing. **Time** 5 minutes.
See [the first part](#pick-it), `byzlib.aggregators.krum`, `aggregators.median`,
`theory.breakdown` and [the other](04_other.ipynb#a-heading).

## Pick it

## Exercises

<details><summary>Answer</summary>

None.

</details>

## You have

picked.

## References

None.

**Next:** nothing.
"""


def picture(data=None, marks=None):
    data = data or {"image/png": PNG, "text/plain": ALT}
    marks = marks or {"image/png": {"alt": ALT, "name": "03_line"}}
    return new_output("display_data", data, metadata=marks)


def miniature():
    """A chapter in which there is nothing to complain of."""
    cells = [
        new_markdown_cell(TEXT),
        new_code_cell("from byzlib.aggregators import krum\n\nassert 1 == 1"),
        new_code_cell("print(2)", outputs=[new_output("stream", name="stdout", text="2\n")]),
        new_code_cell("show()", outputs=[picture()]),
    ]
    for i, cell in enumerate(cells[1:]):
        cell.execution_count = i + 1
    return canonical(new_notebook(cells=cells), "03")


def complaints(folder, notebook, check, name="03_pick.ipynb"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text_of(notebook), encoding="utf-8")
    other = canonical(new_notebook(cells=[new_markdown_cell("# 4 · Other\n\n## A heading")]), "04")
    (folder / "04_other.ipynb").write_text(text_of(other), encoding="utf-8")
    return " / ".join(check(path, nbformat.read(path, as_version=4)))


def replaced(old, new):
    def spoil(notebook):
        assert old in notebook.cells[0].source
        notebook.cells[0].source = notebook.cells[0].source.replace(old, new)

    return spoil


def coded(source):
    return lambda notebook: notebook.cells[1].update(source=source)


def output(*outputs):
    return lambda notebook: notebook.cells[2].update(outputs=list(outputs))


def shown(data=None, marks=None):
    return lambda notebook: notebook.cells[3].update(outputs=[picture(data, marks)])


SPOILED = {
    "size": (coded("x = '" + "a" * 400_000 + "'"), "400 is the limit"),
    "executed_in_order": (lambda nb: nb.cells[1].update(execution_count=None), "not executed"),
    "executed_in_order  ": (coded(" "), "empty cell"),
    "canonical_form": (lambda nb: nb.cells[2].metadata.update(execution={"x": "1"}), "canonical"),
    "quiet": (output(new_output("error", ename="KeyError", evalue="'x'")), "KeyError"),
    "quiet ": (output(new_output("stream", name="stderr", text="Warning!")), "stderr: Warning!"),
    "strictly_compared": (coded("# NBVAL_IGNORE_OUTPUT\nx"), "NBVAL_IGNORE_OUTPUT"),
    "strictly_compared ": (
        lambda nb: nb.cells[1].metadata.update(tags=["nbval-skip"]),
        "nbval-skip",
    ),
    "no_machine": (coded("open('/home/me/x.csv')"), "/home/me"),
    "no_machine ": (output(new_output("stream", text="in /var/x1/a.py")), "/var/x1"),
    "pictures": (shown(marks={"image/png": {"name": "03_line"}}), "too shortly"),
    "pictures  ": (shown(marks={"image/png": {"alt": ALT, "name": "02_line"}}), "begins with 03_"),
    "pictures   ": (shown({"image/svg+xml": "<svg/>", "text/plain": ALT}), "image/svg+xml"),
    "pictures    ": (output(picture(), picture()), "one PNG a cell"),
    "pictures     ": (output(picture({"text/html": '<img src="data:x">'})), "slider"),
    "narrow": (coded("x = " + "1 + " * 20 + "1"), "line of 85"),
    "parts": (replaced("# 3 · Pick one", "# 4 · Pick one"), "calls itself 4"),
    "parts ": (replaced("# 3 · Pick one", "# Pick one"), "lacks a title"),
    "parts   ": (replaced("## Exercises", "## Tasks"), "lacks ## Exercises"),
    "parts      ": (replaced("## Pick it", "# Pick it"), "two titles"),
    "asserts": (coded("x = 'assert'"), "asserts nothing"),
    "plain_markdown": (replaced("None.", "{cite}`krum`"), "{cite}"),
    "plain_markdown ": (replaced("None.", "```{note}\nx\n```"), "```{note}"),
    "plain_markdown  ": (replaced("</details>", ""), "leaves it open"),
    "plain_markdown   ": (
        output(new_output("display_data", {"text/html": '<img src="https://x.org/a.png">'})),
        "fetches https://x.org",
    ),
    "links": (replaced("#pick-it", "#pick-them"), "no such heading"),
    "links ": (replaced("04_other", "05_other"), "not there"),
    "links  ": (replaced("#a-heading", "#another"), "no such heading"),
    "links   ": (replaced("04_other.ipynb#a-heading", "exercises/03_pick.ipynb"), "holds the sol"),
    "references": (
        replaced("None.\n\n**Next", "*Machine Learning with Adversaries*, 2017.\n\n**Next"),
        "describes Machine Learning with Adversaries without a link",
    ),
    "names": (replaced("aggregators.krum", "aggregators.kram"), "byzlib.aggregators.kram"),
    "names ": (replaced("`aggregators.median`", "`aggregators.medium`"), "aggregators.medium"),
    "names  ": (coded("from byzlib.attacks import kick"), "byzlib.attacks.kick"),
    "marked_solutions": (coded("### BEGIN SOLUTION\nx = 1\n### END SOLUTION"), "belongs in"),
}


def test_nothing_is_wrong_with_the_miniature(tmp_path):
    for check in book_checks.CHECKS:
        assert complaints(tmp_path, miniature(), check) == "", check.__name__


@pytest.mark.parametrize("name", SPOILED)
def test_check_can_fail(name, tmp_path):
    spoil, complaint = SPOILED[name]
    notebook = miniature()
    spoil(notebook)
    assert complaint in complaints(tmp_path, notebook, getattr(book_checks, name.strip()))


def test_every_check_is_shown_to_fail():
    assert {name.strip() for name in SPOILED} == {check.__name__ for check in book_checks.CHECKS}


def test_exercise_needs_both_marks_and_a_checker(tmp_path):
    marks = {"grade": False, "grade_id": "a", "locked": False, "schema_version": 3, "task": False}
    good = miniature()
    good.cells[1].source = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"
    good.cells[1].metadata.nbgrader = nbformat.from_dict({**marks, "solution": True})
    good.cells[2].source = "checks.x(x)"
    unmarked, unchecked, unsolved, twice = (copy.deepcopy(good) for _ in range(4))
    del unmarked.cells[1].metadata["nbgrader"]
    unchecked.cells[2].source = "print(x)"
    unsolved.cells[1].source = "x = 1"
    twice.cells[3].metadata.nbgrader = nbformat.from_dict({**marks, "solution": False})

    def said(notebook):
        check = book_checks.marked_solutions
        return complaints(tmp_path, notebook, check, "exercises/03_pick.ipynb")

    assert said(good) == ""
    assert "only one of two ways" in said(unmarked)
    assert "does not check a" in said(unchecked)
    assert "only one of two ways" in said(unsolved)
    assert "twice" in said(twice)


def test_contents_and_figures_can_disagree(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "figures").mkdir()
    (folder / "03_pick.ipynb").write_text(text_of(miniature()), encoding="utf-8")
    tree = "```{{toctree}}\n:caption: All\n\n{}\n```\n"
    row = "| [Pick](notebooks/{}.ipynb) | 5 min |\n"

    def faults(listed, named):
        (folder / "index.md").write_text(tree.format(listed), encoding="utf-8")
        (tmp_path / "README.md").write_text(row.format(named), encoding="utf-8")
        return " / ".join(book_checks.contents(tmp_path))

    assert faults("03_pick", "03_pick") == ""
    assert "index.md lists 04_new, which is not there" in faults("03_pick\n04_new", "03_pick")
    assert "index.md does not list 03_pick" in faults("", "03_pick")
    assert "README.md does not list 03_pick" in faults("03_pick", "02_old")
    assert "out of order" in faults("03_pick\n03_pick", "03_pick")

    files = figures_folder(chapters(tmp_path))
    assert set(files) == {"03_line.png", "README.md"}
    for name, content in files.items():
        (tmp_path / "figures" / name).write_bytes(content)
    assert list(book_checks.figures_agree(tmp_path, files)) == []
    shutil.copy(tmp_path / "figures/03_line.png", tmp_path / "figures/02_old.png")
    (tmp_path / "figures/README.md").write_text("", encoding="utf-8")
    stale, changed = book_checks.figures_agree(tmp_path, files)
    assert "02_old.png is drawn by no notebook" in stale and "README.md is not what" in changed


# --- appendix C: every claim once, in the table, with a link to a cell that asserts ----------

VERDICTS = {"right", "imprecise", "wrong", "undefined", "bug"}
CLAIMS = read()


def test_every_claim_has_its_number_once():
    assert sorted(claim["number"] for claim in CLAIMS) == list(range(1, 51))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim["number"]))
def test_a_claim_is_whole(claim):
    assert claim.keys() == {"number", "part", "quote", "verdict", "holds", "source", "shown"}
    assert claim["verdict"] in VERDICTS
    assert 1 <= len(claim["quote"].split()) <= 15
    assert claim["holds"].endswith(".") and claim["source"]
    assert fault_of(claim["shown"]) is None  # it leads to a cell that asserts


def test_the_page_holds_the_tables_of_the_file():
    page = nbformat.read(PAGE, as_version=4)
    assert with_tables(copy.deepcopy(page), CLAIMS) == page


def test_tables_keep_words_and_formulas():
    claim = CLAIMS[0] | {"quote": "$|a|$ and `|b|`", "shown": "03_krum#the-rule"}
    line = table([claim]).splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", line)) == 6
    assert r"$\vert a\vert $ and `\|b\|`" in line
    assert "[03](03_krum.ipynb#the-rule)" in line
    with pytest.raises(ValueError, match="needs one cell headed '## Nowhere'"):
        with_tables(nbformat.read(PAGE, as_version=4), [claim | {"part": "Nowhere"}])


@pytest.mark.parametrize(
    "shown, fault",
    [
        ("99_nowhere#the-rule", "no chapter"),
        ("03_krum#no-such-heading", "no heading"),
        ("03_krum#references", "asserts nothing"),
        ("03_krum#you-have", "asserts nothing"),
    ],
)
def test_a_link_that_shows_nothing_is_found(shown, fault):
    assert fault in fault_of(shown)


def fault_of(shown):
    """What is wrong with chapter#heading, or None."""
    name, _, anchor = shown.partition("#")
    path = ROOT / "notebooks" / f"{name}.ipynb"
    if not path.exists():
        return f"no chapter {name}"
    sections = assertions(path)
    if anchor not in sections:
        return f"{name} has no heading {anchor}"
    return None if sections[anchor] else f"{name}#{anchor} asserts nothing"


@functools.cache
def assertions(path):
    """Anchor of each heading -> how many asserts stand under it, up to the next of its level."""
    counts, open_headings = {}, []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            text = book_checks.FENCE.sub("", cell.source)
            for marks, heading in re.findall(r"^(#+) +(.*?) *$", text, re.MULTILINE):
                open_headings = [h for h in open_headings if h[0] < len(marks)]
                open_headings.append((len(marks), book_checks.anchor_of(heading)))
                counts.setdefault(open_headings[-1][1], 0)
        elif cell.cell_type == "code":
            found = sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
            for _, heading in open_headings:
                counts[heading] += found
    return counts
