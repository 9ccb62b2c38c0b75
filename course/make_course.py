"""Make what a class is given: `make course`.

Usage: python -m course.make_course FOLDER

FOLDER becomes a course of nbgrader: `source` with the solved notebooks, `release` with
the blank ones, a gradebook, and a configuration in which course/judge.py gives the marks.
"""

import copy
import os
import re
import secrets
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
EXERCISES = ROOT / "notebooks/exercises"
CONFIG = """# Written by `make course`; `nbgrader` in this folder obeys it.
import sys

sys.path.insert(0, {root!r})
c = get_config()
c.CourseDirectory.root = {folder!r}
c.Judge.folder = {folder!r}
c.CourseDirectory.course_id = "byzlib"
c.ClearSolutions.code_stub = {{"python": {stub!r}}}
c.Autograde.autograde_preprocessors = [
    "course.grade.Judge",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.CheckCellMetadata",
]
"""
STUB = '# YOUR CODE HERE\nraise NotImplementedError("Replace this line with your answer.")'


def source_of(path):
    """A solved notebook as nbgrader wants it: alone, so without links to its neighbours."""
    notebook = copy.deepcopy(nbformat.read(path, as_version=4))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", cell.source)
    return notebook


def write_sources(folder, paths):
    """Write source/NAME/NAME.ipynb for each notebook, the configuration, and the secret."""
    for path in paths:
        target = folder / "source" / path.stem / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(source_of(path), target)
    config = CONFIG.format(root=str(ROOT), folder=str(folder), stub=STUB)
    (folder / "nbgrader_config.py").write_text(config, encoding="utf-8")
    secret_of(folder)


def secret_of(folder):
    """The number that decides what submissions are tried on: drawn once for a course, and kept."""
    file = folder / "secret"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
            kept.write(str(secrets.randbits(64)))
    return int(file.read_text())


def open_course(folder):
    """nbgrader's interface to the course in a folder."""
    from nbgrader.apps import NbGraderAPI
    from traitlets.config.loader import PyFileConfigLoader

    # nbgrader calls a program of its environment by its bare name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return NbGraderAPI(config=PyFileConfigLoader("nbgrader_config.py", str(folder)).load_config())


def succeed(done, what):
    """Exit with nbgrader's own words unless it managed."""
    if not done["success"]:
        sys.exit(f"nbgrader could not {what}:\n{done.get('log', '')}{done.get('error', '')}")


def make(folder, paths=None):
    """Make the course; the chapters that it has are renewed, marks are kept."""
    paths = paths or sorted(EXERCISES.glob("*.ipynb"))
    folder = Path(folder).resolve()
    write_sources(folder, paths)
    course = open_course(folder)
    for path in paths:
        succeed(course.generate_assignment(path.stem), f"release {path.stem}")
    return course


if __name__ == "__main__":
    make(sys.argv[1])
    print(f"What students get stands in {Path(sys.argv[1]) / 'release'}")
