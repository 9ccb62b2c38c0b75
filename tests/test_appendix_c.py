"""Appendix C: every claim once, its table made from the file, each link to a cell that asserts."""

import ast
import copy
import re

import nbformat
import pytest

from notebooks.make_claims import HERE, PAGE, read, table, with_tables
from tests.book_checks import FENCE

VERDICTS = {"right", "imprecise", "wrong", "undefined", "bug"}
CLAIMS = read()


def test_every_claim_has_its_number_once():
    assert sorted(claim["number"] for claim in CLAIMS) == list(range(1, 49))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim["number"]))
def test_a_claim_is_whole(claim):
    fields = {"number", "part", "quote", "verdict", "holds", "source", "shown"}
    assert set(claim) == fields
    assert claim["verdict"] in VERDICTS
    assert 1 <= len(claim["quote"].split()) <= 15
    assert claim["holds"].endswith(".") and claim["source"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: str(claim["number"]))
def test_a_claim_leads_to_a_cell_that_asserts(claim):
    assert faults(claim["shown"]) is None


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
    assert fault in faults(shown)


def faults(shown):
    """What is wrong with chapter#heading, or None."""
    name, _, anchor = shown.partition("#")
    path = HERE / f"{name}.ipynb"
    if not path.exists():
        return f"no chapter {name}"
    sections = assertions(nbformat.read(path, as_version=4))
    if anchor not in sections:
        return f"{name} has no heading {anchor}"
    if not sections[anchor]:
        return f"{name}#{anchor} asserts nothing"
    return None


def assertions(notebook):
    """Anchor of each heading -> how many asserts stand under it, up to the next of its level."""
    counts, open_headings = {}, []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = FENCE.sub("", cell.source)
            for marks, heading in re.findall(r"^(#+) +(.*?) *$", text, re.MULTILINE):
                open_headings = [h for h in open_headings if h[0] < len(marks)]
                open_headings.append((len(marks), anchor_of(heading)))
                counts.setdefault(open_headings[-1][1], 0)
        elif cell.cell_type == "code":
            found = sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
            for _, heading in open_headings:
                counts[heading] += found
    return counts


def anchor_of(heading):
    plain = re.sub(r"[`*$]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
