"""Checkers of chapter 00: a middle of reports, and which of two is nearer to the truth."""

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, calls_of, exercise, judge, require

READY_MADE = {"median", "nanmedian", "quantile", "nanquantile", "percentile", "nanpercentile"}


@exercise("Exercise 0.2", "write the reports in order first; for even n two stand in the middle.")
def middle(answer):
    """`answer(reports)` is the median of a list of numbers."""
    rng = np.random.default_rng(1)
    drawn = [rng.permutation(np.arange(-9, 10))[:n].tolist() for n in range(2, 12)]
    for x in [[2, 3, 1, 4, 2, 3, 2, 1, 3, 900], [7], [5, -1, 3], *drawn]:
        ordered, half, even = sorted(x), len(x) // 2, len(x) % 2 == 0
        near = [ordered[max(i, 0)] for i in (half, half - 1)] if even else [np.median(x)]
        mistakes = {
            "two reports stand in the middle of an even number: average them.": tuple(near),
            "that is the middle of the reports as they came: did you sort?":
                (x[half], (x[half] + x[half - 1]) / 2 if even else x[half]),
            "places count from 0: the middle of an odd number n is at place n // 2.":
                np.median(x) if even or len(x) == 1 else (ordered[half - 1], ordered[half + 1]),
            "that is the mean, which one loud report can move.": np.mean(x),
        }  # fmt: skip
        alone = "one report is its own middle." if len(x) == 1 else ""
        judge(ask(answer, x), np.median(x), mistakes, alone)
    called = {name for package, name in calls_of(answer, [3, 1, 2]) if package in MAKERS}
    ready = sorted(called & READY_MADE)
    require(not ready, f"{''.join(ready[:1])} is ready-made: write the order and the middle.")


MAKERS = {"numpy", "scipy", "pandas", "statistics", "byzlib"}


@exercise("Exercise 0.4", "the section What it costs: one number a seed, then paired_difference.")
def nearer(answer):
    """`answer(draw, seeds)` is (low, high, rule): the median's error minus the mean's."""

    def normal(seed):
        rng = np.random.default_rng(seed)
        return rng.uniform(0.2, 2) * rng.normal(size=(400, 10))

    def laplace(seed):
        rng = np.random.default_rng(seed)
        return rng.uniform(0.2, 2) * rng.laplace(size=(400, 10))

    def now_and_then(seed):
        return (normal if seed % 2 else laplace)(seed)

    for draw, seeds in [(normal, [*range(12)]), (laplace, [*range(9)]), (now_and_then, [2, 3, 4])]:
        days = [draw(seed) for seed in seeds]
        of_median = [abs(np.median(day, axis=1)).mean() for day in days]
        of_mean = [abs(day.mean(axis=1)).mean() for day in days]
        found = ask(answer, draw, seeds, shape=None)
        judge_experiment(
            found, of_median, of_mean, ("mean", "median"), f"with {draw.__name__} noise"
        )
