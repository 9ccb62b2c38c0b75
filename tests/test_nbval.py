"""The comparison of stored and new outputs lets noise pass and nothing else."""

import base64
import functools
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import conftest
from byzlib import plotting
from notebooks.execute import run, text_of

ROOT = Path(__file__).parent.parent
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
        fig, ax = plt.subplots()
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
    "unchanged text": (text("rate 0.7346"), text("rate 0.7346"), True),
    "last digit": (text("rate 0.7346"), text("rate 0.7347"), True),
    "blanks": (text("a   0.5\nb"), text("a 0.5 b"), True),
    "one digit": (text("rate 0.7346"), text("rate 0.7446"), False),
    "whole number": (text("5 of 10"), text("4 of 10"), False),
    "one word": (text("Krum holds"), text("Krum fails"), False),
    "sign": (text("-0.50"), text("0.50"), False),
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


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """Run nbval once, as `make test` does, over a notebook with true and false outputs."""
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
    dropped.execution_count = 1
    book = new_notebook(cells=[start, *pairs[1::2], dropped, stripped])
    path.write_text(text_of(book), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-rA", "--color=no", "-p", "no:xdist", path]
    clean = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    found = re.findall(r"^(PASSED|FAILED) .*::Cell (\d+)", done.stdout, re.MULTILINE)
    return {int(cell): verdict == "PASSED" for verdict, cell in found}


def test_every_cell_was_compared(verdicts):
    assert verdicts[0] and set(verdicts) == set(range(len(CELLS) + 3))


@pytest.mark.parametrize("name", CELLS)
def test_output(name, verdicts):
    assert verdicts[1 + list(CELLS).index(name)] == CELLS[name][2]


def test_dropped_figure_fails(verdicts):
    assert not verdicts[1 + len(CELLS)]


def test_stripped_notebook_fails(verdicts):
    assert not verdicts[2 + len(CELLS)]


@pytest.mark.parametrize(
    "stored, new, verdict",
    [
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
            fig, ax = plt.subplots(figsize=(5, 2.6))
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
