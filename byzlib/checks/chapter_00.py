"""Checkers of chapter 00: a middle of reports."""

import numpy as np

from byzlib.checks._form import ask, exercise, judge


@exercise("Exercise 0.2", "write the reports in order first; for even n two stand in the middle.")
def middle(answer):
    """`answer(reports)` is the median of a list of numbers."""
    rng = np.random.default_rng(1)
    drawn = [rng.integers(-9, 9, n).tolist() for n in range(1, 12)]
    for x in [[2, 3, 1, 4, 2, 3, 2, 1, 3, 900], [7], [5, -1, 3], *drawn]:
        ordered, half = sorted(x), len(x) // 2
        mistakes = {
            "did you sort?": (x[half], (x[half] + x[half - 1]) / 2),
            "that is the mean, which one loud report can move.": np.mean(x),
        }
        if len(x) % 2 == 0:
            two = "two reports stand in the middle: average them."
            mistakes = {two: (ordered[half], ordered[half - 1])} | mistakes
        alone = "one report is its own middle." if len(x) == 1 else ""
        judge(ask(answer, x), np.median(x), mistakes, alone, where=f"for {x}")
