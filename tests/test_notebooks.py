"""Executing, saving, comparing; the reading site; the exercises.

One form, the same bytes twice; noise passes and nothing else.
"""

import base64
import copy
import functools
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import conftest
from byzlib import plotting
from notebooks import build_site, execute
from notebooks.build_site import build_pages
from notebooks.execute import canonical, chapters, exercises, run, save, text_of
from notebooks.make_exercises import derive, student
from tests.player import play

ROOT = Path(__file__).parent.parent
DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M/wHwAEBgIApD5fRAAAAABJRU5ErkJggg=="
)
DRAW = f"""\
marks = {{{{"alt": "One axis without anything in it, and it is small.", "name": "{{}}"}}}}
display({{{{"image/png": "{DOT}"}}}}, raw=True, metadata={{{{"image/png": marks}}}})
"""


def small_book(root, **sources):
    """A book of chapters with one code cell each."""
    (root / "notebooks/exercises").mkdir(parents=True)
    (root / "figures").mkdir()
    (root / "byzlib").mkdir()
    (root / "constraints.txt").write_text("", encoding="utf-8")
    for name, source in sources.items():
        cells = [new_markdown_cell("# A title"), new_code_cell(source)]
        path = root / f"notebooks/{name.removeprefix('c')}.ipynb"
        nbformat.write(new_notebook(cells=cells), path)
    return root


def files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_canonical_form_forgets_clock_machine_and_chance():
    cell = new_code_cell("print(1)", execution_count=1)
    cell.metadata = {"execution": {"iopub": "now"}, "tags": ["hide-input"], "collapsed": True}
    streams = [("stdout", "a\n"), ("stdout", "b\n"), ("stderr", "c\n"), ("stdout", "d\n")]
    cell.outputs = [new_output("stream", name=name, text=text) for name, text in streams]
    metadata = {
        "language_info": {"name": "python", "version": "3.11.7"},
        "kernelspec": {"name": "conda", "display_name": "my own"},
    }
    kept = canonical(new_notebook(cells=[cell], metadata=metadata), "03")
    assert kept.cells[0].id == "03-00" and kept.cells[0].metadata == {
        "tags": ["hide-input"],
        "jupyter": {"source_hidden": True},
    }
    assert kept.metadata.language_info == {"name": "python"}
    assert kept.metadata.kernelspec.name == "python3"
    assert [o.text for o in kept.cells[0].outputs] == ["a\nb\n", "c\n", "d\n"]
    assert text_of(canonical(kept, "03")) == text_of(kept) and text_of(kept).endswith("}\n")
    assert len(cell.outputs) == 4  # what was given is not changed


def test_saving_twice_leaves_the_same_bytes_and_the_figures(tmp_path):
    root = small_book(tmp_path, c03_draw=DRAW.format("03_axis"))
    (root / "figures/02_old.png").write_bytes(b"stale")
    save(root=root)
    first = files(root)
    assert {path.name for path in first if path.parent.name == "figures"} == {
        "03_axis.png",
        "README.md",
    }
    readme = (root / "figures/README.md").read_text(encoding="utf-8")
    assert "[03_draw](../notebooks/03_draw.ipynb) | One axis without" in readme
    save(["03"], root=root)
    assert files(root) == first
    with pytest.raises(SystemExit, match="no chapter 05"):
        save(["05"], root=root)


def test_a_failing_chapter_is_named_with_cell_and_error_and_nothing_is_saved(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")  # a kernel checks assertions all the same
    root = small_book(tmp_path, c04_bad="x = 1\nassert x == 2, x  # oh\n")
    before = files(root)
    with pytest.raises(SystemExit) as stop:
        save(root=root)
    message = str(stop.value.code)
    assert "04_bad, cell [1]: AssertionError: 1\n    assert x == 2, x  # oh" in message
    assert files(root) == before


@pytest.fixture
def kernelless(monkeypatch):
    """Chapters are run without a kernel: they print what is in the brackets, or fail."""

    def run(path):
        notebook = nbformat.read(path, as_version=4)
        cell = notebook.cells[1]
        (printed,) = re.findall(r"^print\((.*)\)$", cell.source)
        cell.outputs = [new_output("stream", text=f"{printed}\n")]
        return notebook

    monkeypatch.setattr(execute, "run", run)


def test_book_executes_only_what_changed(tmp_path, monkeypatch, capsys, kernelless):
    root = small_book(tmp_path, c03_one="print(1)", c04_two="print(2)")
    (root / "notebooks/conf.py").write_text("", encoding="utf-8")
    built = []

    def build_pages(executed, build):
        built.append([nbformat.read(path, 4).cells[1].outputs[0].text for path in executed])
        (build / "html").mkdir(exist_ok=True)
        (build / "html/index.html").write_text("", encoding="utf-8")

    monkeypatch.setattr(build_site, "build_pages", build_pages)
    build_site.book(root)
    assert built == [["1\n", "2\n"]]
    assert capsys.readouterr().out == f"{root / '_build/html/index.html'}\n"

    stored = (root / "_build/executed/03_one.ipynb").stat()
    build_site.book(root)
    assert len(built) == 1 and "executing" not in capsys.readouterr().err

    path = root / "notebooks/04_two.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("print(2)", "print(3)"), "utf-8")
    build_site.book(root)
    assert built[-1] == ["1\n", "3\n"]
    assert (root / "_build/executed/03_one.ipynb").stat() == stored
    assert "03_one" not in capsys.readouterr().err

    # A new picture or output in the stored chapter changes nothing; the library does.
    known = build_site.changing(root)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][1]["execution_count"] = 7
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert build_site.changing(root) == known
    (root / "byzlib/krum.py").write_text("", encoding="utf-8")
    assert not set(known.items()) & set(build_site.changing(root).items())


def test_a_failing_chapter_keeps_the_others_of_the_run(tmp_path, kernelless):
    root = small_book(tmp_path, c03_good="print(1)", c04_bad="1 / 0")
    with pytest.raises(SystemExit, match="04_bad"):
        build_site.book(root)
    record = json.loads((root / "_build/record.json").read_text(encoding="utf-8"))
    assert set(record) == {"03_good.ipynb"} and len(chapters(root)) == 2


# --- the comparison of stored and new outputs -----------------------------------------------------

SHOW = """\
from IPython.display import HTML, display

FRAMES = {pictures!r}


def show(picture, name="03_line"):
    marks = {{"alt": "A line that rises from one to three.", "name": name}}
    display({{"image/png": FRAMES[picture]}}, raw=True, metadata={{"image/png": marks}})


def slide(*pictures):
    frames = (f'<img src="data:image/png;base64,{{FRAMES[p]}}">' for p in pictures)
    display(HTML("<div>" + "".join(frames) + "</div>"))
"""


@functools.cache
def pictures():
    """PNGs, in base64, that differ in one thing each."""
    line = {"end": 3, "colour": "#0072B2", "title": "One line"}
    changes = {
        "line": {},
        "another point": {"end": 4},
        "another colour": {"colour": "#56B4E9"},
        "another letter": {"title": "One lime"},
    }
    return {name: drawn(**line | change) for name, change in changes.items()}


def drawn(end, colour, title):
    with plt.rc_context(plotting.STYLE):
        fig, ax = plt.subplots(figsize=(3, 2))
        ax.plot([0, end], [1, 3], color=colour)
        ax.set_title(title)
        file = io.BytesIO()
        fig.savefig(file, bbox_inches="tight")
        plt.close(fig)
    return base64.b64encode(file.getvalue()).decode()


def text(words):
    return f"print({words!r})"


# What a cell prints now, what it printed when it was stored, and whether that passes.
CELLS = {
    "last digit": (text("rate 0.7346"), text("rate 0.7347"), True),
    "lost line": (text("a\nb"), text("a"), False),
    "value": ("1 + 1", "1 + 2", False),
    "unchanged figure": ("show('line')", "show('line')", True),
    "another point": ("show('line')", "show('another point')", False),
    "another colour": ("show('line')", "show('another colour')", False),
    "another letter": ("show('line')", "show('another letter')", False),
    "another name": ("show('line')", "show('line', '03_lines')", False),
    "unchanged slider": ("slide('line', 'line')", "slide('line', 'line')", True),
    "another frame": ("slide('line', 'line')", "slide('line', 'another point')", False),
}


# A reader's shell: nobody's, deaf to Ctrl-C, full of variables, where nothing can be written.
NO_ENTRY = "import pwd\n\npwd.getpwuid = {}.__getitem__\n"
TOLD = ["PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONHASHSEED", "MPLBACKEND"]
SEEN = f"""\
import os
from pathlib import Path

print("told" in map(os.environ.get, {TOLD}), os.access(Path.home(), os.W_OK))
"""
HEARS = """\
import signal, subprocess, sys

def test_this_process_is_as_deaf_as_it_was_told_to_be():
    signal.raise_signal(signal.SIGINT)

def test_a_child_hears_ctrl_c():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        child.send_signal(signal.SIGINT)
        assert child.wait(20)
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What nbval says, as `make test` asks it, of true and false outputs in a strange place."""
    folder = tmp_path_factory.mktemp("a book")
    for name in ("pyproject.toml", "conftest.py", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    start = SHOW.format(pictures=pictures())
    cells = [start, *(source for now, stored, _ in CELLS.values() for source in (stored, now))]
    path = folder / "whole.ipynb"
    path.write_text(text_of(new_notebook(cells=list(map(new_code_cell, cells)))), encoding="utf-8")
    start, *pairs = run(path).cells
    for stored, now in zip(pairs[::2], pairs[1::2], strict=True):
        now.outputs = stored.outputs
    dropped, stripped = new_code_cell("show('line')"), new_code_cell(text("x"))
    seen = new_code_cell(SEEN, outputs=[new_output("stream", text="False True\n")])
    dropped.execution_count = seen.execution_count = 1
    book = new_notebook(cells=[start, *pairs[1::2], dropped, stripped, seen])
    path.write_text(text_of(book), encoding="utf-8")
    command = [sys.executable, *"-m pytest -rA --color=no -p no:xdist .".split()]
    shell = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    if os.name == "posix":
        (folder / "sitecustomize.py").write_text(NO_ENTRY)
        (folder / ".pytest_cache").write_text("no folder can be made here")
        (folder / "test_hears.py").write_text(HEARS)
        shell |= dict.fromkeys(TOLD, "told") | {"PYTHONOPTIMIZE": "", "PYTHONHASHSEED": "7"}
        for name in ("HOME", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "PYTHONINSPECT"):
            shell.pop(name, None)
        shell["PYTHONPATH"] = str(folder)
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    done = subprocess.run(command, cwd=folder, env=shell, capture_output=True, text=True)
    found = re.findall(r"^(PASSED|FAILED|ERROR) .*::(?:Cell )?(\w+)", done.stdout, re.MULTILINE)
    assert len(found) == len(CELLS) + 4 + 2 * (os.name == "posix"), done.stdout + done.stderr
    return {cell: verdict == "PASSED" for verdict, cell in found}


@pytest.mark.parametrize("name", CELLS)
def test_output(name, verdicts):
    assert verdicts["0"] and verdicts[str(1 + list(CELLS).index(name))] == CELLS[name][2]


def test_dropped_figures_and_stripped_notebooks_fail(verdicts):
    assert not verdicts[str(1 + len(CELLS))] and not verdicts[str(2 + len(CELLS))]


def test_a_strange_place_is_no_hindrance(verdicts):
    assert verdicts[str(3 + len(CELLS))]
    if os.name == "posix":
        assert verdicts["test_this_process_is_as_deaf_as_it_was_told_to_be"]
        assert verdicts["test_a_child_hears_ctrl_c"]


@pytest.mark.parametrize(
    "stored, new, verdict",
    [
        ("a   0.5\nb", "a 0.5 b", True),
        ("5 of 10", "4 of 10", False),
        ("Krum holds", "Krum fails", False),
        ("-0.50", "0.50", False),
        ("1.0e-05", "9.9e-06", True),
        ("1,999.99", "2,000.00", True),
        ("0.7-0.8", "0.7-0.9", True),
        ("-0.00", "0.00", True),
        ("0.30000000000000004", "0.3", True),
        ("0.30000000000000004", "0.3001", False),
        ("60000.01", "60000.03", False),
        ("0.1", "0.06", False),
        ("3.14", "3.1", False),
        ("nan 1.0", "1.0 nan", False),
        ("1. 2.", "1. 3.", False),
        ("2024-01-05", "2024-01-06", False),
    ],
)
def test_numbers(stored, new, verdict):
    assert conftest.same(stored, new) == conftest.same(new, stored) == verdict


def test_another_matplotlib_may_set_letters_elsewhere(monkeypatch):
    """A release that draws the same lines and other letters passes; other lines do not."""

    def drawn(hinting="force_autohint", end=3, colour="#0072B2", pad=0.1):
        with plt.rc_context({**plotting.STYLE, "text.hinting": hinting, "savefig.dpi": 100}):
            fig, ax = plt.subplots(figsize=(4, 2))
            ax.plot([0, 1, 2, 3], [1, 2, 2.5, end], color=colour)
            ax.set(title="A title that is rather long", xlabel="loudness", ylabel="accuracy in %")
            file = io.BytesIO()
            fig.savefig(file, bbox_inches="tight", pad_inches=pad)
            plt.close(fig)
        return base64.b64encode(file.getvalue()).decode()

    other_release = drawn("none", pad=0.11)
    assert not conftest.same_picture(drawn(), other_release)
    monkeypatch.setattr(conftest, "pinned_matplotlib", lambda: "0")
    assert conftest.same_picture(drawn(), other_release)
    assert not conftest.same_picture(drawn(), drawn("none", end=4))
    assert not conftest.same_picture(drawn(), drawn("none", colour="#E69F00"))
    assert not conftest.same_picture(drawn(), drawn("none", pad=0.5))


# --- the reading site: strict, offline, every picture described, every link alive -------------

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


# --- the students' exercises: derived, failing exactly where they should, never written over --

SOURCES = exercises(ROOT)
BLANK = re.compile(r"^([ \t]*)# YOUR CODE HERE\n[ \t]*raise NotImplementedError\(.*\)$", re.M)
SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION.*?### END SOLUTION", re.M | re.DOTALL)


def is_exercise(cell):
    return cell.cell_type == "code" and "# YOUR CODE HERE" in cell.source


def put_back(blank, solved):
    """The student's notebook as the source: in its place, with the solutions where they belong."""
    done = copy.deepcopy(blank)
    for cell, source in zip(done.cells, solved.cells, strict=True):
        cell.source = cell.source.replace("](../../", "](../")
        for solution in SOLUTION.findall(source.source):
            cell.source = BLANK.sub(lambda _, text=solution: text, cell.source, count=1)
    return done


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_student_fails_exactly_at_the_exercises(path, tmp_path):
    solved = nbformat.read(path, as_version=4)
    blank = student(solved)
    assert any(map(is_exercise, blank.cells))
    assert all(not cell.get("outputs") for cell in blank.cells)
    assert "SOLUTION" not in "".join(cell.source for cell in blank.cells)

    # With the solutions back in place it is the source, which nbval runs like any chapter.
    assert [c.source for c in put_back(blank, solved).cells] == [c.source for c in solved.cells]

    code = [cell for cell in blank.cells if cell.cell_type == "code"]
    errors = [[cell.error.split(":")[0]] if cell.error else [] for cell in play(blank, tmp_path)]
    for i, cell in enumerate(code):
        if is_exercise(cell):  # it, or the checker in the next cell, says what is missing
            first = next((names for names in errors[i : i + 2] if names), None)
            assert first, f"{path.stem}: an empty answer passes:\n{cell.source}"
            assert first != ["NameError"], f"{path.stem} fails by accident:\n{cell.source}"
            errors[i : i + 2] = [[], []]
    assert not any(errors), f"{path.stem} fails outside its exercises: {errors}"


def notebook(source):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


def test_solution_is_cut_at_its_depth():
    answer = "    ### BEGIN SOLUTION\n    y = x\n\n    return y\n    ### END SOLUTION"
    source = f"def f(x):\n{answer}\n\n\nf(1)"
    blank = student(notebook(source)).cells[0].source
    task = (
        '    # YOUR CODE HERE\n    raise NotImplementedError("Replace this line with your answer.")'
    )
    assert blank == f"def f(x):\n{task}\n\n\nf(1)"
    assert put_back(student(notebook(source)), notebook(source)).cells[0].source == source
    for half in ("### BEGIN SOLUTION\nx", "x\n### END SOLUTION"):
        with pytest.raises(ValueError, match="half a solution"):
            student(notebook(half))


def test_work_of_a_student_is_kept(tmp_path):
    source, target = tmp_path / "03_pick.ipynb", tmp_path / "student/03_pick.ipynb"
    nbformat.write(notebook("### BEGIN SOLUTION\n1\n### END SOLUTION"), source)
    assert derive(tmp_path) == [] == derive(tmp_path)
    fresh = target.read_bytes()

    nbformat.write(notebook("# harder\n### BEGIN SOLUTION\n2\n### END SOLUTION"), source)
    assert derive(tmp_path) == []
    harder = target.read_bytes()
    assert harder != fresh and b"harder" in harder

    target.write_bytes(harder.replace(b"YOUR CODE HERE", b"my answer"))
    nbformat.write(notebook("# easier\n### BEGIN SOLUTION\n3\n### END SOLUTION"), source)
    (sentence,) = derive(tmp_path)
    assert "03_pick.ipynb holds your work" in sentence and b"my answer" in target.read_bytes()

    target.unlink()
    assert derive(tmp_path) == [] and b"easier" in target.read_bytes()
    target.write_bytes(b"mine")
    assert len(derive(tmp_path)) == 1 and target.read_bytes() == b"mine"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_stored_blank_is_derived(path):
    """Chapters link to it; `make exercises` writes it."""
    stored = nbformat.read(path.parent / "student" / path.name, as_version=4)
    assert stored == student(nbformat.read(path, as_version=4))
    for link in re.findall(r"\]\(([^):]+)\)", "".join(cell.source for cell in stored.cells)):
        assert (path.parent / "student" / link).exists(), link
