"""The reading site: strict, offline, with every picture described and every link alive."""

import html
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from notebooks import execute
from notebooks.build_site import build_pages
from notebooks.execute import chapters, exercises

ROOT = Path(__file__).parent.parent
TAG = re.compile(r"<(img|script|link|iframe|source|a)\b([^>]*)>")


def attributes(text):
    return dict(re.findall(r'([\w-]+)="([^"]*)"', text))


def fetched(page):
    """Addresses from which a browser would fetch something when it opens the page."""
    for tag, rest in TAG.findall(page):
        address = attributes(rest).get("src" if tag not in ("link", "a") else "href", "")
        if tag != "a" and re.match(r"(https?:)?//", address):
            yield address


def undescribed(page):
    return [rest for tag, rest in TAG.findall(page) if tag == "img" and "alt" not in rest]


def broken(path, page):
    """Local addresses of a page that lead nowhere."""
    for _, rest in TAG.findall(page):
        at = attributes(rest)
        address = html.unescape(at.get("src", at.get("href", "")))
        if not address or re.match(r"[a-z]+:|//|#$", address):
            continue
        file, _, anchor = unquote(address).partition("#")
        target = path.parent / file.split("?")[0] if file else path
        if not target.exists():
            yield address
        elif anchor and target.suffix == ".html":
            if f'id="{anchor}"' not in target.read_text(encoding="utf-8"):
                yield address


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    build = tmp_path_factory.mktemp("a build")
    build_pages(chapters(ROOT), build, ROOT)
    found = (build / "html").rglob("*.html")
    return {path: path.read_text(encoding="utf-8") for path in found if "_static" not in path.parts}


def test_every_chapter_has_a_page(pages):
    names = {path.stem for path in pages}
    assert {path.stem for path in chapters(ROOT)} | {"index", "references"} <= names
    folders = {path.stem for path in pages if path.parent.name == "student"}
    assert {path.stem for path in exercises(ROOT)} <= folders


def test_nothing_comes_from_elsewhere(pages):
    for path, page in pages.items():
        assert list(fetched(page)) == [], path.name
    styles = {file for path in pages for file in path.parent.rglob("*.css")}
    for style in styles:
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text("utf-8"))
    assert styles and list(fetched('<script src="https://x.org/y.js">')) == ["https://x.org/y.js"]
    assert list(fetched('<link href="//x.org/y.css" /><a href="https://x.org">')) == [
        "//x.org/y.css"
    ]


def test_formulas_are_drawn_by_the_site(pages):
    with_formulas = [(path, page) for path, page in pages.items() if 'class="math' in page]
    assert with_formulas
    for path, page in with_formulas:
        script = next(
            address for address in re.findall(r'src="([^"]+)"', page) if "tex-svg" in address
        )
        assert (path.parent / script.split("?")[0]).stat().st_size > 1e6
    assert any(r"\tag{1.1}" in page for _, page in with_formulas)
    for _, page in with_formulas:
        assert not re.search(r"begin\{split\}[^<]*\\tag|\$\$", page)


def test_every_picture_is_described(pages):
    for path, page in pages.items():
        assert undescribed(page) == [], path.name
    assert undescribed('<img src="a.png">')
    assert sum(page.count("<img") for page in pages.values()) > 3


def test_every_link_leads_somewhere(pages):
    for path, page in pages.items():
        assert list(broken(path, page)) == [], path.name
    index = next(path for path in pages if path.name == "index.html")
    assert list(broken(index, '<a href="no.html"><a href="index.html#nowhere">')) == [
        "no.html",
        "index.html#nowhere",
    ]


def test_students_pages_hold_no_solution(pages):
    root = next(path.parent for path in pages if path.name == "index.html")
    files = [file for file in root.rglob("*") if file.suffix in (".html", ".ipynb", ".js")]
    assert len(files) > len(pages)
    for file in files:
        assert "BEGIN SOLUTION" not in file.read_text("utf-8") or file.stem == "README", file.name


INDEX = "# A book\n\n```{toctree}\n01_one\n```\n"


def test_a_fault_stops_the_build(tmp_path, capfd):
    """A dead link in a chapter is an error, not a warning that scrolls by."""
    notebooks, chapter = tmp_path / "notebooks", tmp_path / "executed/01_one.ipynb"
    shutil.copytree(ROOT / "notebooks/_static", notebooks / "_static")
    for name in ("conf.py", "references.bib"):
        shutil.copy(ROOT / "notebooks" / name, notebooks)
    execute.write(notebooks / "index.md", INDEX)
    page = new_notebook(cells=[new_markdown_cell("# One\n\nSee [nothing](99_nothing.ipynb).")])
    execute.write(chapter, execute.text_of(execute.canonical(page, "01")))
    with pytest.raises(SystemExit, match="faults"):
        build_pages([chapter], tmp_path / "build", tmp_path)
    (fault,) = [line for line in capfd.readouterr().err.splitlines() if "WARNING" in line]
    assert "99_nothing" in fault
