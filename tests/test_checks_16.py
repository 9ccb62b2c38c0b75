"""The tables of exercise 16.3 b tell each likely mistake from every other."""

import numpy as np
import pytest

from byzlib.checks import chapter_16


@pytest.mark.parametrize("table", chapter_16.TELLING)
def test_each_mistake_takes_another_row(table):
    right, others = chapter_16._choices(np.array(table, float).T)
    assert len({right, *(row for row, _ in others)}) == 7
