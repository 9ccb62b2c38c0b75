"""Answers to the exercises of chapter 00: right ones, and wrong ones with their hint."""

import statistics

import numpy as np

from byzlib import checks
from tests.answers.experiment import answers


def middle_by_sorting(reports):
    ordered = sorted(reports)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def middle_by_crossing_out(reports):
    left = list(reports)
    while len(left) > 2:
        left.remove(min(left))
        left.remove(max(left))
    return sum(left) / len(left)


def middle_by_counting(reports):
    low = min(x for x in reports if 2 * sum(y <= x for y in reports) >= len(reports))
    high = max(x for x in reports if 2 * sum(y >= x for y in reports) >= len(reports))
    return (low + high) / 2


def median(reports):  # a name, not a library's
    return middle_by_sorting(reports)


def errors(draw, seeds):
    """Of the median and of the mean, seed by seed."""
    days = np.array([draw(seed) for seed in seeds])
    return abs(np.median(days, axis=2)).mean(axis=1), abs(days.mean(axis=2)).mean(axis=1)


def squared_errors(draw, seeds):
    days = np.array([draw(seed) for seed in seeds])
    return np.median(days, axis=2).var(axis=1), days.mean(axis=2).var(axis=1)


NEARER = answers(errors, ("mean", "median"), often=12)


RIGHT = [
    *[(checks.nearer, answer) for answer in NEARER[0]],
    (checks.middle, middle_by_sorting),
    (checks.middle, middle_by_crossing_out),
    (checks.middle, middle_by_counting),
    (checks.middle, lambda x: median(x)),
    (checks.middle, lambda x: np.sort(x)[[(len(x) - 1) // 2, len(x) // 2]].mean()),
]


def steal_last(reports):
    reports.pop()
    return 2.5


WRONG = [
    *[(checks.nearer, answer, hint) for answer, hint in NEARER[1]],
    (checks.middle, np.median, "median is ready-made"),
    (checks.middle, lambda x: np.median(x), "median is ready-made"),
    (checks.middle, statistics.median, "median is ready-made"),
    (checks.middle, lambda x: np.quantile(x, 0.5), "quantile is ready-made"),
    (checks.middle, lambda x: None, "returns None: it must end with `return`"),
    (checks.middle, lambda x: sorted(x)[len(x) // 2 - 1 + len(x) % 2], "two reports stand"),
    (
        checks.middle,
        lambda x: (sorted(x) * 2)[len(x) // 2 + 1],
        r"wanted; yours is .*\n.*reports = ",
    ),
    (
        checks.middle,
        lambda x: middle_by_sorting(x) if len(x) % 2 == 0 else sorted(x)[len(x) // 2 - 1],
        "places count from 0",
    ),
    (checks.middle, np.mean, "that is the mean"),
    (checks.middle, lambda x: sorted(x)[len(x) // 2], "two reports stand in the middle"),
    (checks.middle, lambda x: sorted(x)[(len(x) - 1) // 2], "two reports stand in the middle"),
    (checks.middle, lambda x: 2.5, "one report is its own middle"),
    (checks.middle, lambda x: (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2, "sort"),
    (checks.middle, lambda x: "2.5 or so", "One number, please"),
    (checks.middle, steal_last, "changed what it was given"),
    (checks.nearer, answers(errors, ("median", "mean"))[0][0], "so the verdict is"),
    (checks.nearer, answers(squared_errors, ("mean", "median"))[0][0], "is wanted at place"),
]
