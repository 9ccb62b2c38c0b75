"""Mark a submission: its code runs in a process of its own, the checkers in this one.

A checker of `byzlib.checks` gets a stand-in for the student's function, which asks the
other process over a pipe. So nothing that a submission binds or ends is near the
checker, and the random cases that a checker draws are not those of the book.
"""

import contextlib
import copy
import inspect
import io
import re
import sys
from typing import NamedTuple

import numpy as np

from byzlib import checks
from course.process import Lost, Process

CALL = re.compile(r"^checks\.(\w+)\((\w+)\)$", re.MULTILINE)


class Exercise(NamedTuple):
    """A graded cell: its id, the checker's name, the function it asks for, its points."""

    id: str
    checker: str
    function: str
    points: float


class Mark(NamedTuple):
    """What an exercise got: points, of how many, and what is said to the student."""

    exercise: Exercise
    points: float
    feedback: str


def exercises(source):
    """The graded cells of a solved notebook."""
    found = []
    for cell in source.cells:
        about = cell.metadata.get("nbgrader", {})
        if about.get("grade"):
            checker, function = CALL.search(cell.source).groups()
            found.append(Exercise(about["grade_id"], checker, function, about["points"]))
    return found


def mark(source, submission, secret, seconds=10.0):
    """Marks of a submitted notebook, one for each exercise of the solved one.

    Parameters
    ----------
    source, submission : notebooks, as nbformat reads them
    secret : int
        Decides the cases that checkers draw; students do not know it.
    seconds : float
        How long a cell, and a function in one call, may compute.

    A cell that ends its process, or tries what it may not, is left out, and the others are
    judged without it.
    """
    cells = {
        place: cell.source
        for place, cell in enumerate(submission.cells, 1)
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("grade")
    }
    said, marks, process = {}, [], None
    with contextlib.ExitStack() as stack:
        for exercise in exercises(source):
            if process is None or process.lost:
                process = _started(cells, said, seconds, stack)
            marks.append(Mark(exercise, *_judged(exercise, process, secret, said)))
    return marks


def _started(cells, said, seconds, stack):
    """A process that holds what the cells define; fatal cells are taken out of `cells`."""
    while True:
        process = stack.enter_context(Process(seconds))
        for place, source in list(cells.items()):
            try:
                process.run(place, source)
            except Lost as lost:
                said[place] = f"The cell {_named(source)} was left out: {lost}."
                del cells[place]
                break
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                said[place] = f"The cell {_named(source)} stopped with {what}."
        else:
            return process
        process.__exit__()


def _named(source):
    """A cell by its first line."""
    line = next((line for line in source.splitlines() if line.strip()), "without text")
    return f'"{line.strip()[:60]}"'


def _judged(exercise, process, secret, said):
    """(points, feedback) of one exercise."""
    check, printed = getattr(checks, exercise.checker), io.StringIO()
    function = StandIn(process, exercise.function)
    try:
        # The book's cases too, for a wrong answer may pass new ones; and once where all are fixed.
        for numbers in (None, secret):
            with _drawn_anew(numbers) as drawn, contextlib.redirect_stdout(printed):
                check(function)
            if not drawn:
                break
        if not process.lost:
            return exercise.points, printed.getvalue().splitlines()[0]
        hint = ""
    except checks.NotYet as error:
        hint = str(error)
    except Exception as error:  # what came back was nothing that the checker could read
        hint = f"{check.number}: your answer could not be read ({type(error).__name__}: {error})."
    if process.lost:
        hint = f"{check.number}: your function was stopped: {process.lost}."
    if function.missing:
        hint = f"{check.number}: the notebook defines no function {exercise.function}."
    return 0.0, "\n".join([hint, *said.values()])


class StandIn:
    """What a checker calls in the place of the student's function."""

    def __init__(self, process, name):
        self.process, self.__name__, self.missing = process, name, False

    def __call__(self, *given):
        return self.ask("call", given)

    def ask(self, task, given):
        try:
            return self.process.call(self.__name__, [given], task)[0]
        except KeyError as error:
            self.missing = str(error) == repr(self.__name__)
            raise


@contextlib.contextmanager
def _drawn_anew(secret):
    """Checkers draw other cases than the book's, and count steps in the other process.

    `secret` decides which; None stands for the book's. The list that it yields holds the seeds
    that were asked for.
    """
    usual, changed, drawn = np.random.default_rng, [], []

    def seeded(seed=None):
        mine = sys._getframe(1).f_globals["__name__"].startswith("byzlib.checks.")
        drawn.extend([seed] * mine)
        return usual([secret, *np.atleast_1d(seed)] if mine and secret is not None else seed)

    def counting(task):
        def count(answer, *given):
            answer.given = given
            return answer.function.ask(task, given if task == "memory" else copy.deepcopy(given))

        return count

    modules = [m for n, m in inspect.getmembers(checks, inspect.ismodule) if n[:7] == "chapter"]
    np.random.default_rng = seeded
    try:
        for module in modules:
            for task in ("calls", "steps", "memory"):
                name = f"{task}_of"
                if hasattr(module, name):
                    changed.append((module, name, getattr(module, name)))
                    setattr(module, name, counting(task))
        yield drawn
    finally:
        np.random.default_rng = usual
        for module, name, before in changed:
            setattr(module, name, before)
