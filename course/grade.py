"""Mark a folder of submissions: `make grade SUBMISSIONS=folder`.

Usage: python -m course.grade FOLDER SUBMISSIONS

SUBMISSIONS holds a folder for each student, with notebooks named as they were handed
out, at any depth. FOLDER is the course of `make course`; grades.csv and feedback/ appear
there. nbgrader keeps the books, course/judge.py gives the marks.
"""

import copy
import csv
import shutil
import sys
import warnings
from pathlib import Path

import nbformat
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from course import judge
from course.make_course import EXERCISES, make, secret_of, succeed

COLUMNS = ("student", "notebook", "exercise", "points", "of", "feedback")


class Judge(NbGraderPreprocessor):
    """In the place of nbgrader's execution: what the judge says becomes a graded cell's output."""

    folder = Unicode(help="The folder of the course").tag(config=True)

    def preprocess(self, notebook, resources):
        folder = Path(self.folder)
        name = resources["nbgrader"]["notebook"]
        source = nbformat.read(folder / "source" / name / f"{name}.ipynb", as_version=4)
        marks = judge.mark(source, notebook, secret_of(folder))
        for cell in notebook.cells:
            for mark in marks:
                if cell.metadata.get("nbgrader", {}).get("grade_id") == mark.exercise.id:
                    cell.outputs = [output_of(mark)]
        return notebook, resources


def output_of(mark):
    """nbgrader reads points off outputs: an error gives none."""
    if mark.points:
        return new_output("stream", name="stdout", text=mark.feedback + "\n")
    lines = mark.feedback.splitlines()
    return new_output("error", ename="NotYet", evalue=mark.feedback, traceback=lines)


def whole(release, submission):
    """The submission with every graded cell of the release, each behind its task, and no other.

    Students delete cells, and copy them; nbgrader wants each of its own exactly once.
    """
    ours = {id_of(cell): cell for cell in release.cells if id_of(cell)}
    cells, left = [], dict(ours)

    def add(cell):
        """A task, and the release's graded cells that follow it."""
        cells.append(cell)
        del left[id_of(cell)]
        names = list(ours)
        for name in names[names.index(id_of(cell)) + 1 :]:
            if not ours[name].metadata.nbgrader.grade:
                break
            cells.append(copy.deepcopy(left.pop(name)))

    for cell in map(copy.deepcopy, submission.cells):
        name = id_of(cell)
        if name in ours and ours[name].metadata.nbgrader.grade:
            continue  # the release's own comes behind its task
        if name not in left:
            cell.metadata.pop("nbgrader", None)
            cells.append(cell)
        else:
            cell.metadata.nbgrader = ours[name].metadata.nbgrader
            cell.cell_type = "code"
            add(nbformat.from_dict({"outputs": [], "execution_count": None} | cell))
    for name in [name for name in left if not ours[name].metadata.nbgrader.grade]:
        add(copy.deepcopy(ours[name]))
    fresh = copy.deepcopy(release)
    fresh.cells = cells
    for place, cell in enumerate(fresh.cells):
        cell.id = f"cell-{place}"
        cell.pop("attachments", None)
    return fresh


def id_of(cell):
    """What nbgrader calls the cell, or None; a submission may have anything there."""
    about = cell.metadata.get("nbgrader")
    name = about.get("grade_id") if isinstance(about, dict) else None
    return name if isinstance(name, str) else None


def handed_in(submissions):
    """{student: {notebook: path}}, and a sentence on stderr for each file of another name."""
    names, found = {path.stem for path in EXERCISES.glob("*.ipynb")}, {}
    for student in sorted(path for path in submissions.iterdir() if path.is_dir()):
        found[student.name] = {}
        for path in sorted(student.rglob("*.ipynb")):
            if ".ipynb_checkpoints" in path.parts:
                continue
            if path.stem in names:
                found[student.name][path.stem] = path
            else:
                print(f"{path} is called like no exercise, and is left out", file=sys.stderr)
    if not any(found.values()):
        sys.exit(f"{submissions} holds no student's folder with a notebook of the course")
    return found


def collect(folder, found, name):
    """Copy what was handed in for one notebook to where nbgrader looks; nothing is a blank one."""
    release = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
    for student, paths in found.items():
        target = folder / "submitted" / student / name / f"{name}.ipynb"
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir(parents=True)
        made = whole(release, release)
        if name in paths:
            try:
                made = whole(release, nbformat.read(paths[name], as_version=4))
                nbformat.validate(made)
            except Exception as error:  # half a file is an empty one
                made = whole(release, release)
                print(f"{paths[name]} is no notebook: {str(error)[:200]}", file=sys.stderr)
        nbformat.write(made, target)


def grade(folder, submissions):
    """Mark everybody; rows of grades.csv, a dict each."""
    folder = Path(folder).resolve()
    if not submissions or not Path(submissions).is_dir():
        sys.exit(f"SUBMISSIONS names a folder with one folder a student; got {submissions!r}")
    warnings.simplefilter("ignore")  # of nbgrader's data base, at every student
    found = handed_in(Path(submissions))
    marked = sorted(set().union(*found.values()))
    course = make(folder, [EXERCISES / f"{name}.ipynb" for name in marked])
    for name in marked:
        collect(folder, found, name)
        for student in found:
            print(f"marking {name} of {student}", file=sys.stderr)
            succeed(course.autograde(name, student), f"mark {name} of {student}")
            succeed(course.generate_feedback(name, student), f"tell {student} of {name}")
    rows = list(rows_of(folder, marked))
    with open(folder / "grades.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def rows_of(folder, names):
    """One row for each exercise of each student, with what a teacher changed in the gradebook."""
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as book:
        for name in names:
            for submission in sorted(book.assignment_submissions(name), key=lambda s: s.student.id):
                student = submission.student.id
                path = folder / "autograded" / student / name / f"{name}.ipynb"
                said = feedback_in(nbformat.read(path, as_version=4))
                for own in submission.notebooks:
                    for one in sorted(own.grades, key=lambda grade: grade.name):
                        text = said.get(one.name, "")
                        yield dict(
                            zip(COLUMNS, [student, name, one.name, one.score, one.max_score, text])
                        )


def feedback_in(notebook):
    """{exercise: what the judge said}."""
    return {
        id_of(cell): output.get("text", output.get("evalue", "")).strip()
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    }


def totals(rows):
    """A table of points, a line a student."""
    names = sorted({row["notebook"] for row in rows})
    width = max(len(row["student"]) for row in rows)
    lines = [" " * width + "".join(f"{name[:2]:>8}" for name in names) + "   total"]
    for student in sorted({row["student"] for row in rows}):
        own = [row for row in rows if row["student"] == student]
        points = [sum(row["points"] for row in own if row["notebook"] == name) for name in names]
        of = [sum(row["of"] for row in own if row["notebook"] == name) for name in names]
        pairs = [f"{got:g}/{most:g}" for got, most in zip(points, of)]
        total = f"{sum(points):g}/{sum(of):g}"
        lines.append(f"{student:<{width}}" + "".join(f"{p:>8}" for p in [*pairs, total]))
    return "\n".join(lines)


if __name__ == "__main__":
    print(totals(grade(*sys.argv[1:])))
    print(f"One row an exercise in {sys.argv[1]}/grades.csv, for students {sys.argv[1]}/feedback/")
