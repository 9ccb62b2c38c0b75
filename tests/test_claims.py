"""The claims of the book can fail: errors planted in the library turn chapters and tests red.

A sample; `python -m tests.planted_errors` plants them all.
"""

import re
from pathlib import Path

import pytest

from tests import planted_errors as machine
from tests.planted_list import ERRORS, Planted

ROOT = Path(__file__).parent.parent
SAMPLE = {
    "Krum counts a neighbour too many": "test_aggregators.py::test_krum_by_hand",
    "mixing leaves the row itself out": "test_definitions.py::test_nearest_neighbor_mixing",
    "the median of an even crowd is the lower of two": "00",
    "the mean turns at n / f": "test_theory.py::test_the_mean_turns_at_the_border",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return machine.copy(tmp_path_factory.mktemp("planted") / "tree")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.what)
def test_each_error_fits_once(error):
    text = (ROOT / "byzlib" / error.file).read_text(encoding="utf-8")
    compile(machine.planted_text(error, text), error.file, "exec")


def test_there_are_enough_errors_of_many_kinds():
    assert len({error.what for error in ERRORS}) == len(ERRORS) >= 40
    assert len({error.file for error in ERRORS}) >= 12


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.what)
def test_those_who_should_notice_exist(error):
    for test in error.tests.split():
        file, _, function = test.partition("::")
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {function or 'test_'}", text, re.MULTILINE), test
    for number in error.chapters.split():
        assert len(list((ROOT / "notebooks").glob(f"{number}_*.ipynb"))) == 1, number
    assert error.tests


@pytest.mark.slow
@pytest.mark.parametrize("what", SAMPLE)
def test_a_planted_error_is_noticed(what, tree):
    (error,) = [error for error in ERRORS if error.what == what]
    with machine.Plant(error, tree):
        assert machine.fails(tree, SAMPLE[what])


@pytest.mark.slow
def test_without_an_error_nobody_complains(tree):
    assert not machine.fails(tree, *SAMPLE.values())


def test_the_copy_is_whole_again_after_an_error(tree):
    path = tree / "byzlib" / ERRORS[0].file
    sound = path.read_bytes()
    with pytest.raises(KeyError), machine.Plant(ERRORS[0], tree):
        assert path.read_bytes() != sound
        raise KeyError
    assert path.read_bytes() == sound


def test_an_error_that_does_not_fit_is_named():
    stranger = Planted("nothing of the kind", "theory.py", "no such text", "", "", "test_x.py")
    with pytest.raises(ValueError, match="nothing of the kind.*occurs 0 times in theory.py"):
        machine.planted_text(stranger, "something else")
    with pytest.raises(ValueError, match="occurs 2 times"):
        machine.planted_text(stranger, "no such text, no such text")
    with pytest.raises(ValueError, match="nothing is changed"):
        machine.planted_text(stranger._replace(new="no such text"), "no such text")


def test_another_byzlib_is_no_answer(tmp_path):
    with pytest.raises(RuntimeError, match="00 could not be asked"):
        machine.fails(tmp_path, "00")
