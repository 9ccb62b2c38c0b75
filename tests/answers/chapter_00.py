"""Answers to the exercises of chapter 00: right ones, and wrong ones with their hint."""

import statistics

import numpy as np

from byzlib import checks


def middle_by_sorting(reports):
    ordered = sorted(reports)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


RIGHT = [
    (checks.middle, middle_by_sorting),
    (checks.middle, statistics.median),
    (checks.middle, np.median),
]


def steal_last(reports):
    reports.pop()
    return 2.5


WRONG = [
    (checks.middle, np.mean, "that is the mean"),
    (checks.middle, lambda x: sorted(x)[len(x) // 2], "two reports stand in the middle"),
    (checks.middle, lambda x: sorted(x)[(len(x) - 1) // 2], "two reports stand in the middle"),
    (checks.middle, lambda x: 2.5, "one report is its own middle"),
    (checks.middle, lambda x: (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2, "sort"),
    (checks.middle, lambda x: "2.5 or so", "One number, please"),
    (checks.middle, steal_last, "changed what it was given"),
]
