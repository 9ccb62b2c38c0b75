"""Try the whole way on submissions that are made for it: `make grade-demo`.

Usage: python -m course.demo FOLDER

Students of every kind, good, lazy and sly, hand in chapter 03; EXPECTED says which
points each of them must get for its two exercises.
"""

import contextlib
import copy
import io
import shutil
import sys
from pathlib import Path

import nbformat

from byzlib import checks
from course.make_course import EXERCISES, source_of
from notebooks.make_exercises import student

NAME = "03_krum"
EXERCISE = {"forward": "farther_forward", "best": "average_best"}
RIGHT = "    return updates[np.argsort(scores)[:m]].mean(axis=0)\n"
BEST = 'def average_best(updates, scores, m):\n    """The mean of the best."""\n'
WRONG_FORWARD = 'def farther_forward(draw, g, loudness, seeds):\n    return 0.0, 1.0, "mean"\n'
OTHER_BEST = """def average_best(updates, scores, m):
    total = 0
    for place in sorted(range(len(scores)), key=list(scores).__getitem__)[:m]:
        total = total + updates[place]
    return list(total / m)
"""
OTHER_FORWARD = """def step(rows, g):
    return float(np.mean([answer @ g / np.linalg.norm(g) ** 2 for answer in rows]))


def farther_forward(draw, g, loudness, seeds):
    gaps = []
    for seed in seeds:
        rows = draw(seed)
        lies = np.stack([-loudness * rows.mean(axis=1)] * 3, axis=1)
        rows = np.append(rows, lies, axis=1)
        gaps.append(step(mean(rows), g) - step(multi_krum(rows, 3), g))
    interval = paired_difference(gaps, np.zeros(len(gaps))).interval
    words = {(True, False): "mean", (False, True): "Multi-Krum"}
    verdict = words.get((interval.low > 0, interval.high < 0), "not shown")
    return interval.low, interval.high, verdict
"""
REBINDING = """import builtins

checks.scores = checks.average_best = checks.farther_forward = print
np.allclose = np.array_equal = lambda *given, **named: True
builtins.isinstance = lambda *given: True
checks.NotYet = builtins.AssertionError = type("Nothing", (Exception,), {})
"""
READING = f"""import json
from pathlib import Path

for cell in json.loads(Path({str(EXERCISES / f"{NAME}.ipynb")!r}).read_text())["cells"]:
    if "BEGIN SOLUTION" in "".join(cell["source"]):
        exec("".join(cell["source"]))
"""
# What each gets for 3.3 a and 3.3 b.
EXPECTED = {
    "perfect": (1, 1),
    "other-style": (1, 1),
    "half": (0, 1),
    "empty": (0, 0),
    "looping": (1, 0),
    "crashing": (1, 0),
    "ending": (1, 0),
    "ending-politely": (1, 0),
    "rebinding": (0, 0),
    "deleting": (1, 0),
    "copying-cells": (1, 1),
    "reading": (0, 0),
    "reading-the-checker": (1, 0),
    "reciting": (1, 0),
    "calling-out": (1, 0),
    "half-a-file": (0, 0),
    "no-notebook": (0, 0),
}


def made():
    """{student: what is handed in}, a notebook, or text that is none."""
    solved = source_of(EXERCISES / f"{NAME}.ipynb")
    blank = student(solved)

    def with_cells(notebook=solved, **sources):
        made = copy.deepcopy(notebook)
        for cell in made.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = sources.get(name, cell.source)
        return made

    def without(*names):
        made = copy.deepcopy(solved)
        made.cells = [
            cell for cell in made.cells
            if cell.metadata.get("nbgrader", {}).get("grade_id") not in names
        ]  # fmt: skip
        return made

    twice = copy.deepcopy(solved)
    for cell in copy.deepcopy(twice.cells):
        cell.id += "-again"
        twice.cells.append(cell)
    nonsense = copy.deepcopy(solved)
    for cell in nonsense.cells:
        cell.metadata, cell.source = {"nbgrader": {"grade_id": [7], "grade": "yes"}}, {"a": 1}
    checker = "from byzlib.checks.chapter_03 import average_best as right\n"
    call = "import socket\n\nsocket.create_connection(('127.0.0.1', 9))\n"
    return {
        "perfect": solved,
        "other-style": with_cells(forward=OTHER_FORWARD, best=OTHER_BEST),
        "half": with_cells(blank, best=BEST + RIGHT),
        "empty": blank,
        "looping": with_cells(best=BEST + "    while True:\n        m += 1\n"),
        "crashing": with_cells(best=BEST + "    import os\n    os.abort()\n"),
        "ending": with_cells(best="import os\n\nos._exit(0)\n" + BEST + RIGHT),
        "ending-politely": with_cells(best=BEST + "    raise SystemExit\n"),
        "rebinding": with_cells(
            forward=REBINDING + WRONG_FORWARD, best=BEST + "    return np.zeros(updates.shape[1])\n"
        ),
        "deleting": without("best", "check-best", "check-forward"),
        "copying-cells": twice,
        "reading": with_cells(forward=READING, best="pass"),
        "reading-the-checker": with_cells(best=checker + BEST + "    return right\n"),
        "reciting": with_cells(best=recited()),
        "calling-out": with_cells(best=call + BEST + RIGHT),
        "half-a-file": nbformat.writes(solved)[:2000],
        "no-notebook": nbformat.writes(nonsense),
    }


def recited():
    """A function that knows the book's cases by heart, and nothing else."""
    known = {}

    def listening(updates, scores, m):
        answer = updates[scores.argsort()[:m]].mean(axis=0)
        known[updates.tobytes().hex()] = answer.tolist()
        return answer

    with contextlib.redirect_stdout(io.StringIO()):
        checks.average_best(listening)
    return f"KNOWN = {known!r}\n\n\n{BEST}    return KNOWN[updates.tobytes().hex()]\n"


def hand_in(folder):
    """Write what students hand in, a folder each."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, handed in made().items():
        (folder / name).mkdir(parents=True)
        text = handed if isinstance(handed, str) else nbformat.writes(handed)
        (folder / name / f"{NAME}.ipynb").write_text(text, encoding="utf-8")


def main(folder):
    from course.grade import grade

    folder = Path(folder).resolve()
    hand_in(folder / "handed-in")
    got = {}
    for row in grade(folder, folder / "handed-in"):
        got.setdefault(row["student"], {})[row["exercise"]] = row
    wrong = []
    print(f"{'':<20}{'3.3 a':>6}{'3.3 b':>6}  what is said of 3.3 b")
    for name, expected in EXPECTED.items():
        rows = [got[name]["check-forward"], got[name]["check-best"]]
        points = tuple(row["points"] for row in rows)
        said = rows[1]["feedback"].splitlines()[0][:90]
        print(f"{name:<20}{points[0]:>6g}{points[1]:>6g}  {said}")
        told = list((folder / "feedback" / name).rglob("*.html"))
        if points != expected or not said or len(told) != 1:
            wrong.append(f"{name}: {expected} expected")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"All as they should be. What students read: {folder}/feedback/")


if __name__ == "__main__":
    main(sys.argv[1])
