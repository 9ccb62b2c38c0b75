"""The claims of the book can fail: errors planted in the library turn chapters and tests red.

`python -m tests.planted_errors`, the last part of `make test-all`, plants them all.
"""

import re

import pytest

from tests import planted_errors as machine
from tests.planted_list import ERRORS, wronged


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return machine.copy(tmp_path_factory.mktemp("planted") / "tree")


def test_there_are_enough_errors_of_many_kinds():
    assert len({error.what for error in ERRORS}) == len(ERRORS) >= 60
    assert len({error.name for error in ERRORS}) >= 35


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.what)
def test_what_an_error_names_exists(error):
    file, name = machine.home(error.name)
    text = machine.planted_text(error.what, name, (machine.ROOT / file).read_text("utf-8"))
    compile(text, file, "exec")
    assert text.count("wronged(") == 1
    for test in error.tests.split():
        file, _, function = test.partition("::")
        text = (machine.ROOT / "tests" / file).read_text(encoding="utf-8")
        defined = f"^def {function}[(]" if function else "^def test_"
        assert re.search(defined, text, re.MULTILINE), test
    for number in error.chapters.split():
        assert len(list(machine.chapter(machine.ROOT, number))) == 1, number
    assert error.tests


def test_the_copy_is_whole_again_after_an_error(tree):
    plant = machine.Plant(ERRORS[0], tree)
    with pytest.raises(KeyError), plant:
        assert plant.path.read_text("utf-8") != plant.sound
        raise KeyError
    assert plant.path.read_text("utf-8") == plant.sound


def test_a_wrong_version_looks_like_the_right_one():
    def krum(updates, f, *, return_weights=False):
        """Right."""
        return (updates[f], [1]) if return_weights else updates[f]

    lying = wronged("Krum counts a neighbour too many", krum)
    assert lying.__doc__ == "Right." and lying.__wrapped__ is krum
    assert lying("abc", 2) == "b" and lying("abc", f=2, return_weights=True) == ("b", [1])


def test_another_byzlib_is_no_answer(tmp_path):
    with pytest.raises(RuntimeError, match="00 could not be asked"):
        machine.fails(tmp_path, "00")
