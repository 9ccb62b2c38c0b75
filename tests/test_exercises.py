"""The students' exercises: derived, failing exactly where they should, never written over."""

import copy
import re
from pathlib import Path

import nbformat
import pytest

from notebooks.execute import exercises
from notebooks.make_exercises import derive, student
from tests.player import play

ROOT = Path(__file__).parent.parent
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
