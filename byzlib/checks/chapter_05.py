"""Checkers of chapter 05: Weiszfeld's step, the test of a geometric median, group means."""

import numpy as np

from byzlib.checks._form import array, exercise, require


@exercise("Exercise 5.3 a", "the section From strings to code: weights 1 / distance.")
def weiszfeld_step(answer):
    """`answer(rows, z)` is the mean of rows (n, d) with weights 1 / |row - z|."""
    rng = np.random.default_rng(5)
    for n, d in [(4, 2), (7, 3), (5, 1), (30, 10)]:
        rows, z = rng.standard_normal((n, d)), rng.standard_normal(d)
        given, start = rows.copy(), z.copy()
        found = array(answer(given, start), (d,), f"The next point, {d} numbers, please.")
        untouched = np.array_equal(given, rows) and np.array_equal(start, z)
        require(untouched, "your function changed what it was given: rows and z must stay.")
        distance = np.linalg.norm(rows - z, axis=1)
        weights = 1 / distance
        if np.allclose(found, weights @ rows / weights.sum()):
            continue
        hints = {
            "you did not divide by the sum of the weights.": weights @ rows,
            "you divided by n: divide by the sum of the weights.": weights @ rows / n,
            "your weights are the distances: far rows should count less.": (
                distance @ rows / distance.sum()
            ),
            "your weights are 1 / squared distance: take the root.": (
                weights**2 @ rows / (weights**2).sum()
            ),
            "that is the sum of the pulls; one step goes to a weighted mean.": (
                weights @ (rows - z)
            ),
            "you found how far to step, not where it leads: add z.": (
                weights @ (rows - z) / weights.sum()
            ),
            "that is the plain mean: the weights are missing.": rows.mean(axis=0),
        }
        for hint, wrong in hints.items():
            require(not np.allclose(found, wrong), hint)
        require(False, f"from z = {z} the step should lead elsewhere than to {found}.")


@exercise("Exercise 5.3 b", "equation (5.2) and what the cross of five firms says about reports.")
def is_geometric_median(answer):
    """`answer(rows, z)` tells whether z is a geometric median of rows, up to 1e-6."""

    def told(rows, z):
        with np.errstate(all="ignore"):
            given = rows.copy(), z.copy()
            verdict = answer(*given)
        require(
            isinstance(verdict, bool | np.bool_),
            f"a yes or no is wanted, True or False; got {verdict!r}.",
        )
        same = np.array_equal(given[0], rows) and np.array_equal(given[1], z)
        require(same, "your function changed the reports, or the place, that it was given.")
        return bool(verdict)

    four = np.array([[0.0, 0], [9, 3], [2, 4], [5, -5]])
    cross = np.array([[3.0, 0], [-3, 0], [0, 3], [0, -3], [0, 0]])
    off = np.array([[1.0, 0], [2, 1], [1, 2], [0, 0]])  # pull on the last: 2.7
    pair = np.array([[0.0, 0], [0, 0], [1, 0], [1, 0.1], [1, -0.1]])  # pull 2.99 on two
    firm = np.array([[0.0, 0], [0, 0], [0, 0], [9, 0], [9, 1]])
    require(told(four, np.array([3.0, 1.0])), "at (3, 1) the four strings cancel: it is one.")
    require(
        not told(four, np.array([3.5, 1.5])),
        "at the median of the columns the strings do not cancel: away from the reports the pulls "
        "must add up to zero, not just to less than one.",
    )
    require(not told(four, four.mean(axis=0)), "that is the mean: the strings do not cancel there.")
    require(
        not told(four, np.array([3.1, 1.05])),
        "near the middle the pulls are small but not zero: allow for rounding only, 1e-6.",
    )
    require(
        not told(cross, np.array([0.1, 0.0])),
        "beside the middle report the pulls do not cancel.",
    )
    require(
        told(cross, np.zeros(2)),
        "the report in the middle of the cross is the geometric median: its own string has length "
        "zero, leave it out of the pulls.",
    )
    require(
        not told(off, np.zeros(2)),
        "not every report is a middle: the others must pull with at most 1 together.",
    )
    require(
        told(firm, np.zeros(2)),
        "three firms at one point hold against a pull of 3: compare with how many stand there.",
    )
    require(
        not told(pair, np.zeros(2)),
        "two firms at one point hold against a pull of at most 2, and here three pull with 2.99.",
    )


@exercise("Exercise 5.3 c", "the section Average first, then the middle.")
def median_of_means(answer):
    """`answer(reports, k)` is the median of the means of k consecutive groups of equal size."""
    rng = np.random.default_rng(7)
    for n, k in [(15, 3), (12, 4), (30, 10), (30, 5), (8, 8), (8, 1)]:
        reports = rng.exponential(1, n).round(3)
        given = reports.copy()
        found = array(answer(given, k), (), "One number, please.")
        require(np.array_equal(given, reports), "your function changed the reports.")
        if np.isclose(found, np.median(reports.reshape(k, n // k).mean(axis=1))):
            continue
        where = f"with {n} reports in {k} groups"
        ordered = np.sort(reports).reshape(k, n // k).mean(axis=1)
        hints = {
            "that is the mean of all: take the median of the group means.": reports.mean(),
            "that is the median of all: average inside the groups first.": np.median(reports),
            "you sorted first, and so put the liars together with the honest extremes of their "
            "side: leave the reports in their order.": np.median(ordered),
            "you took medians inside the groups and their mean: it is the other way round.": (
                np.median(reports.reshape(k, n // k), axis=1).mean()
            ),
        }
        for hint, wrong in hints.items():
            require(not np.isclose(found, wrong), f"{where} {hint}")
        if n % k == 0 and k > 1 and n // k != k:
            swapped = np.median(reports.reshape(n // k, k).mean(axis=1))
            require(
                not np.isclose(found, swapped),
                f"{where} you made groups of {k}, not {k} groups.",
            )
            strided = np.median(reports.reshape(n // k, k).mean(axis=0))
            require(
                not np.isclose(found, strided),
                f"{where} you dealt the reports round: here a group is made of neighbours.",
            )
        require(False, f"{where} the middle of the group means is not {found}.")
