"""Derive the students' exercises from the solved ones: `make exercises`.

exercises/NN_name.ipynb is the source; its solutions stand between nbgrader's
markers. The student's version, in exercises/student/, has a line to replace,
and is what chapters link to. It carries a digest of its text, by which it
knows whether anybody has worked in it.
"""

import copy
import hashlib
import re
import sys
from pathlib import Path

import nbformat

EXERCISES = Path(__file__).resolve().parent / "exercises"
SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION[ \t]*\n.*?^[ \t]*### END SOLUTION[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
TASK = (
    r"\1# YOUR CODE HERE\n"
    r'\1raise NotImplementedError("Replace this line with your answer.")'
)


def student(notebook):
    """The notebook without its solutions and outputs, one folder below."""
    blank = copy.deepcopy(notebook)
    for cell in blank.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../", "](../../")
        if cell.cell_type == "code":
            cell.source = SOLUTION.sub(TASK, cell.source)
            cell.outputs, cell.execution_count = [], None
            if re.search("### (BEGIN|END) SOLUTION", cell.source):
                raise ValueError(f"half a solution:\n{cell.source}")
    blank.metadata["blank"] = digest(blank)
    return blank


def digest(notebook):
    """Of what stands in the cells, without what came out."""
    text = "\0".join(cell.source for cell in notebook.cells)
    return hashlib.sha256(text.encode()).hexdigest()


def untouched(path):
    """Is it a student's version in which nobody has changed a cell?"""
    try:
        notebook = nbformat.read(path, as_version=4)
    except nbformat.reader.NotJSONError:
        return False
    return notebook.metadata.get("blank") == digest(notebook)


def derive(folder=EXERCISES):
    """Write the students' versions, but leave alone what a student changed.

    Returns
    -------
    list of str
        One sentence for each file that was left alone.
    """
    left = []
    for path in sorted(folder.glob("*.ipynb")):
        target = folder / "student" / path.name
        fresh = nbformat.writes(student(nbformat.read(path, as_version=4)))
        if not target.exists() or untouched(target):
            target.parent.mkdir(exist_ok=True)
            target.write_text(fresh + "\n", encoding="utf-8")
        else:
            left.append(
                f"student/{path.name} holds your work and stays as it is; "
                "move it away to get a fresh one."
            )
    return left


if __name__ == "__main__":
    for sentence in derive():
        print(sentence, file=sys.stderr)
    print("The exercises stand in notebooks/exercises/student/")
