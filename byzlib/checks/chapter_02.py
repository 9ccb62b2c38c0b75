"""Checkers of chapter 02: which rule liars push farther; a trimmed mean that no NaN can push."""

import numpy as np

from byzlib.aggregators import median, trimmed_mean
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import array, ask, exercise, judge, refusal, require


@exercise("Exercise 2.3 a", "equation (2.5), and the section on what protection costs for pairs.")
def pushed_farther(answer):
    """`answer(draw, liars, seeds)` is (low, high, rule): pushes, trimmed mean - median."""

    def bell(seed):
        rng = np.random.default_rng(seed)
        return rng.normal(rng.normal(), 1, (300, 10))

    def camps(seed):
        rng = np.random.default_rng(seed)
        return rng.choice([-1.0, 1.0], (300, 10)) + rng.normal(rng.normal(), 0.1, (300, 10))

    for draw, liars, seeds in [
        (bell, 2, [*range(10)]), (camps, 2, [*range(8)]), (bell, 0, [*range(5)]),
    ]:  # fmt: skip
        pushes = []
        for seed in seeds:
            rows = draw(seed)[..., None]
            rows[:, 10 - liars :] = 1e6
            pushes.append([trimmed_mean(rows, 3).mean(), median(rows).mean()])
        found = ask(answer, draw, liars, seeds, shape=None)
        words = ("trimmed mean", "median")
        judge_experiment(found, *np.transpose(pushes), words, f"with {draw.__name__}")


@exercise("Exercise 2.3 b", "the section on NaN: k reports go, and f goes down by k.")
def careful_trimmed_mean(answer):
    """`answer(reports, f)` is the trimmed mean of the finite reports, told f - k."""
    clean = [3.0, -4.0, 1.0, 9.0, 2.0, -6.0, 8.0, -1.0, 6.0]
    for reports, f in [(clean, 2), (clean[:6], 2), (clean, 0), (clean, 4)]:
        ordered, n = sorted(reports), len(reports)
        mistakes = {
            "f = 0 is the mean.": np.mean(ordered[max(f, 1) : n - max(f, 1)]),
            "sort the reports before you trim.": np.mean(reports[f : n - f]),
            "trim both ends, not only the top.": np.mean(ordered[: n - f]),
            "trim both ends, not only the bottom.": np.mean(ordered[f:]),
            "f reports go at each end, 2f in all; yours took half of them.":
                np.mean(ordered[f // 2 : n - f // 2]),
        }  # fmt: skip
        judge(ask(answer, reports, f), np.mean(ordered[f : n - f]), mistakes)
    ordered = sorted(clean)
    for bad, f in [
        ([np.nan], 3), ([np.inf], 3), ([-np.inf], 3), ([np.nan, np.inf], 3), ([np.nan, np.inf], 2),
        ([-np.inf], 1),
    ]:  # fmt: skip
        reports, left = [*bad, *clean], f - len(bad)
        value = refusal(answer, reports, f)
        few = f"k = {len(bad)} broken reports are not more than f = {f}: go on with the others."
        require(value is not None, few)
        value = array(value, (), "One number, please.")
        require(np.isfinite(value), f"a report of {bad[0]} came through to the answer.")
        mistakes = {
            "the reports that were taken out are found liars: lower f by as many.":
                np.mean(ordered[f : 9 - f]),
            f"your function sorts {bad[0]} to an end, where it pushes the answer: take it out.":
                np.mean(np.sort(reports)[f : len(reports) - f]),
        }  # fmt: skip
        judge(value, np.mean(ordered[left : 9 - left]), mistakes)
    for reports, f in [([np.nan, np.inf, *clean], 1), ([np.nan, *clean], 0)]:
        value = refusal(answer, reports, f)
        more = f"k = {len(reports) - 9} broken reports are more than f = {f}: raise a ValueError"
        require(value is None, f"{more}; yours gave {value}.")
