"""The checkers: right answers in several dresses pass, each likely wrong one gets its own hint.

The answers stand in answers/, a module for each chapter; here stands what must hold of them all.
"""

import importlib
import pkgutil
import re
from collections import Counter

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from byzlib import checks
from tests import answers
from tests.player import shell


def modules(package):
    """The modules of chapters in a package, by their number."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    numbers = [name.removeprefix("chapter_") for name in names if name.startswith("chapter_")]
    return {n: importlib.import_module(f"{package.__name__}.chapter_{n}") for n in numbers}


ANSWERS = modules(answers)
CHECKERS = {
    number: [
        f
        for f in vars(module).values()
        if hasattr(f, "__wrapped__") and f.__module__ == module.__name__
    ]
    for number, module in modules(checks).items()
}
EVERY_CHECKER = [
    pytest.param(check, id=f"{number}-{check.__name__}")
    for number, found in CHECKERS.items()
    for check in found
]


def cases(kind):
    """The lists `kind` of all chapters in one; a case is called chapter-checker-n."""
    seen = Counter()
    for number, module in ANSWERS.items():
        for check, *case in getattr(module, kind):
            name = f"{number}-{check.__name__}"
            seen[name] += 1
            marks = [pytest.mark.slow] * getattr(case[0], "seldom", False)
            yield pytest.param(check, *case, id=f"{name}-{seen[name]}", marks=marks)


def refused(check, answer, capsys):
    """What the checker says to an answer that is not right."""
    with pytest.raises(checks.NotYet) as hint:
        check(answer)
    assert not capsys.readouterr().out
    return str(hint.value)


@pytest.mark.parametrize(("check", "answer"), list(cases("RIGHT")))
def test_right_answers_pass(check, answer, capsys):
    check(answer)
    assert re.fullmatch(r"Exercise \w+\.\d+( [a-z])?: right\.\n", capsys.readouterr().out)


@pytest.mark.parametrize(("check", "answer", "hint"), list(cases("WRONG")))
def test_wrong_answers_get_their_hint(check, answer, hint, capsys):
    assert re.search(hint, refused(check, answer, capsys))


# --- answers that no checker can take --------------------------------------------------------


def todo(*args):
    raise NotImplementedError


def stopping(*args):
    raise IndexError("nobody there")


@pytest.mark.parametrize("check", EVERY_CHECKER)
def test_an_answer_not_yet_written_is_sent_to_the_text(check, capsys):
    assert " is still to do.\nWhere to look: " in refused(check, todo, capsys)


@pytest.mark.parametrize("check", EVERY_CHECKER)
def test_an_answer_that_stops_is_told_why(check, capsys):
    assert "stopped with IndexError: nobody there" in refused(check, stopping, capsys)


@pytest.mark.parametrize("answer", [None, 4, 0.18, "median", []], ids=repr)
def test_what_is_no_function_is_named(answer, capsys):
    check = checks.middle
    told = refused(check, answer, capsys)
    assert told.endswith(f": hand over the function itself; got {answer!r}")


@pytest.mark.parametrize("value", [None, np.nan, "a row", [], [[1], [1, 2]], {}], ids=repr)
@pytest.mark.parametrize("check", EVERY_CHECKER)
def test_what_is_no_answer_gets_a_hint(check, value, capsys):
    """And is not taken for an error of a function that did not stop."""
    told = refused(check, lambda *args: value, capsys)
    assert "stopped with" not in told and "\nWhere to look: " in told


# --- what a notebook shows -------------------------------------------------------------------


def shown(source, capsys):
    """What a notebook shows of a cell that fails."""
    with shell() as ipython:
        error = ipython.run_cell(f"from byzlib import checks\n{source}").error_in_exec
        InteractiveShell.showtraceback(ipython, (type(error), error, error.__traceback__))
    return capsys.readouterr().out


def test_a_hint_stands_alone(capsys):
    told = shown("checks.middle(lambda x: 2 * x[0])", capsys).splitlines()
    assert told[0].startswith("NotYet: Exercise 0.2: ")
    assert told[1].startswith("The input was reports = [")
    assert told[2].startswith("Where to look: ") and len(told) == 3


def test_a_hint_stands_above_the_traceback_of_an_answer_that_stopped(capsys):
    told = shown("def mine(reports):\n    return reports[99]\nchecks.middle(mine)", capsys)
    hint, trace = told.split("Traceback (most recent call last):")
    assert "your function stopped with IndexError" in hint and "reports = [2, 3, 1" in hint
    assert "in mine" in trace and "return reports[99]" in trace and "_form.py" not in trace
    assert "IndexError" in trace.splitlines()[-1]


@pytest.mark.parametrize("table", checks.chapter_19.TELLING)
def test_each_mistake_of_regret_takes_another_row(table):
    right, mistakes = checks.chapter_19.choices(np.array(table, float).T)
    assert len({right, *mistakes.values()}) == 1 + len(mistakes) == 7


# --- nothing is left out ---------------------------------------------------------------------


def test_every_chapter_with_checkers_has_its_answers():
    assert ANSWERS.keys() == CHECKERS.keys() and len(CHECKERS) > 10


@pytest.mark.parametrize("number", CHECKERS)
def test_every_checker_is_tested_both_ways(number):
    right, wrong = ANSWERS[number].RIGHT, ANSWERS[number].WRONG
    assert set(CHECKERS[number]) == {check for check, _ in right} == {check for check, *_ in wrong}


def test_the_reader_finds_every_checker():
    found = {check.__name__: check for checkers in CHECKERS.values() for check in checkers}
    assert found == {
        name: getattr(checks, name)
        for name in checks.__all__
        if name not in ("NotYet", "exercise", "require")
    }
