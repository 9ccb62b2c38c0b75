"""Checkers of chapter 00: a middle of reports."""

import numpy as np

from byzlib.checks._form import array, exercise, require


@exercise("Exercise 0.2", "write the reports in order first; for even n two stand in the middle.")
def middle(answer):
    """`answer(reports)` is the median of a list of numbers."""
    reports = [2, 3, 1, 4, 2, 3, 2, 1, 3, 900]
    given = list(reports)
    value = array(answer(given), (), "One number is wanted.")
    require(given == reports, "your function changed the list that it was given.")
    require(value != np.mean(reports), "that is the mean, which the 900 has moved.")
    require(value not in (2, 3), "ten reports have two in the middle, 2 and 3: average them.")
    require(value == 2.5, f"for {reports} the middle is 2.5; yours is {value:g}.")
    require(answer([7]) == 7, "one report is its own middle.")
    require(answer([5, -1, 3]) == 3, "for 5, -1, 3 the middle is 3: did you sort?")
    rng = np.random.default_rng(1)
    for n in range(1, 12):
        x = rng.integers(-9, 9, n).tolist()
        require(answer(x) == np.median(x), f"for {x} the middle is {np.median(x):g}.")
