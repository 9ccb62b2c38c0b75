"""Derive the students' exercises from the solved ones: `make exercises`.

exercises/NN_name.ipynb is the source; its solutions stand between nbgrader's
markers. The student's version, in exercises/student/, has a line to replace.
"""

import copy
import hashlib
import json
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
    """The notebook without its solutions and outputs."""
    blank = copy.deepcopy(notebook)
    for cell in blank.cells:
        if cell.cell_type == "code":
            cell.source = SOLUTION.sub(TASK, cell.source)
            cell.outputs, cell.execution_count = [], None
            if re.search("### (BEGIN|END) SOLUTION", cell.source):
                raise ValueError(f"half a solution:\n{cell.source}")
    return blank


def derive(folder=EXERCISES):
    """Write the students' versions, but leave alone what a student changed.

    Returns
    -------
    list of str
        One sentence for each file that was left alone.
    """
    record = folder / "student/.derived.json"
    derived = json.loads(record.read_text()) if record.exists() else {}
    left = []
    for path in sorted(folder.glob("*.ipynb")):
        page = student(nbformat.read(path, as_version=4))
        fresh = (nbformat.writes(page) + "\n").encode()
        target = folder / "student" / path.name
        if target.exists():
            changed = digest(target.read_bytes()) != derived.get(path.name)
            if changed and target.read_bytes() != fresh:
                left.append(
                    f"student/{path.name} holds your work and stays as it is; "
                    "move it away to get a fresh one."
                )
                continue
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(fresh)
        derived[path.name] = digest(fresh)
        record.write_text(json.dumps(derived, indent=1))
    return left


def digest(content):
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    for sentence in derive():
        print(sentence, file=sys.stderr)
    print("The exercises stand in notebooks/exercises/student/")
