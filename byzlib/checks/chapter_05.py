"""Checkers of chapter 05: the test of a geometric median, group means, groups against firms."""

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, require

FOUR = [[0, 0], [9, 3], [2, 4], [5, -5]]
CROSS = [[3, 0], [-3, 0], [0, 3], [0, -3], [0, 0]]
OFF = [[1, 0], [2, 1], [1, 2], [0, 0]]  # pull on the last: 2.7
PAIR = [[0, 0], [0, 0], [1, 0], [1, 0.1], [1, -0.1]]  # pull 2.99 on two
FIRM = [[0, 0], [0, 0], [0, 0], [9, 0], [9, 1]]
LINE = [[0, 0], [1, 1], [3, 3], [7, 7]]
SPACE = [[2, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 5], [0, 0, -5]]
PLACES = [
    (FOUR, (3, 1), True, "at (3, 1) the four strings cancel: it is one."),
    (FOUR, (3.5, 1.5), False, "at the median of the columns the strings do not cancel: away from "
     "the reports the pulls must add up to zero, not just to less than one."),
    (FOUR, (4, 0.5), False, "that is the mean: the strings do not cancel there."),
    (FOUR, (3.1, 1.05), False, "near the middle the pulls are small but not zero: allow for "
     "rounding only, 1e-6."),
    (FOUR, (3.0001, 1), False, "near the middle the pulls are small but not zero, 3e-5: allow for "
     "rounding only, 1e-6, and look at the pulls, not at how near a computed median is."),
    (CROSS, (0.1, 0), False, "beside the middle report the pulls do not cancel."),
    (CROSS, (0, 0), True, "the report in the middle of the cross is the geometric median: its own "
     "string has length zero, leave it out of the pulls."),
    (OFF, (0, 0), False, "not every report is a middle: the others must pull with at most 1 "
     "together."),
    (FIRM, (0, 0), True, "three firms at one point hold against a pull of 3: compare with how many "
     "stand there."),
    (PAIR, (0, 0), False, "two firms at one point hold against a pull of at most 2, and here three "
     "pull with 2.99."),
    *((LINE, (x, x), True, "four reports on a line have many middles, all between the second and "
       "the third: two pull each way. One computed median is not all of them.")
      for x in (1, 1.25, 2.5, 3)),
    (LINE, (0.5, 0.5), False, "three of the four reports pull one way."),
    (SPACE, (0, 0, 0), True, "six strings in space cancel in pairs."),
    (SPACE, (0, 0, 1), False, "six strings in space cancel in their middle, and not above it."),
    ([[1], [2], [9]], (2,), True, "of three numbers the middle one is the geometric median."),
    ([[1], [2], [9]], (1.5,), False, "of three numbers two pull upward here."),
]  # fmt: skip


@exercise("Exercise 5.3 a", "equation (5.2) and what the cross of five firms says about reports.")
def is_geometric_median(answer):
    """`answer(rows, z)` tells whether z is a geometric median of rows, up to 1e-6."""
    for rows, z, right, hint in PLACES:
        told = ask(answer, np.array(rows, float), np.array(z, float), shape=None)
        truth = isinstance(told, bool | np.bool_)
        require(truth, f"a yes or no is wanted, True or False; got {told!r}.")
        require(told == right, hint)


@exercise("Exercise 5.3 b", "the section Average first, then the middle.")
def median_of_means(answer):
    """`answer(reports, k)` is the median of the means of k consecutive groups of equal size."""
    rng = np.random.default_rng(7)
    for n, k in [(15, 3), (12, 4), (30, 10), (30, 5), (8, 8), (8, 1)]:
        reports = rng.exponential(1, n).round(3)
        groups, swapped = reports.reshape(k, -1), reports.reshape(-1, k)
        mistakes = {
            "that is the mean of all: take the median of the group means.": reports.mean(),
            "that is the median of all: average inside the groups first.": np.median(reports),
            "you sorted first, and so put the liars together with the honest extremes of their "
            "side: leave the reports in their order.":
                np.median(np.sort(reports).reshape(k, -1).mean(axis=1)),
            "you took medians inside the groups and their mean: it is the other way round.":
                np.median(groups, axis=1).mean(),
            "you made groups of k, not k groups.": np.median(swapped.mean(axis=1)),
            "you dealt the reports round: here a group is made of neighbours.":
                np.median(swapped.mean(axis=0)),
        }  # fmt: skip
        judge(ask(answer, reports, k), np.median(groups.mean(axis=1)), mistakes)


@exercise("Exercise 5.3 c", "the section Average first, then the middle, and its table.")
def groups_or_firms(answer):
    """`answer(draw, seeds)` is (low, high, word): the firms' error minus that of ten groups."""

    def skewed(seed, liars=0):
        rng = np.random.default_rng(seed)
        reports = rng.exponential(rng.uniform(0.5, 2), (80, 30))
        reports -= reports.mean()
        reports[:, :liars] = -50
        return rng.permuted(reports, axis=1)

    def lying(seed):
        return skewed(seed, liars=4)

    def now_and_then(seed):
        return (lying if seed % 2 else skewed)(seed)

    for draw, seeds in [(skewed, [*range(10)]), (lying, [*range(8)]), (now_and_then, [2, 3, 4])]:
        errors = []
        for seed in seeds:
            firms = draw(seed)
            groups = firms.reshape(len(firms), 10, 3).mean(axis=2)
            errors.append([(np.median(x, axis=1) ** 2).mean() ** 0.5 for x in (firms, groups)])
        found = ask(answer, draw, seeds, shape=None)
        judge_experiment(found, *np.transpose(errors), ("groups", "firms"), f"with {draw.__name__}")
