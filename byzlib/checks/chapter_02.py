"""Checkers of chapter 02: influence curves, and a trimmed mean that no NaN can push."""

import numpy as np

from byzlib.checks._form import NotYet, array, exercise, require


@exercise("Exercise 2.3 a", "equation (2.2): the answer with the new desk less the answer without.")
def influence(answer):
    """`answer(rule, honest, y)` is how far each y, sent by one desk more, moves the rule."""

    def mean(updates):
        return np.asarray(updates, dtype=float).mean(axis=0)

    def median(updates):
        return np.median(np.asarray(updates, dtype=float), axis=0)

    def largest(updates):
        return np.asarray(updates, dtype=float).max(axis=0)

    for name, rule in [("mean", mean), ("median", median), ("largest report", largest)]:
        honest, y = [3.0, -4.0, 1.0, 9.0], [-20.0, 2.0, 11.0]
        given = list(honest)
        hint = f"One number for each of the {len(y)} values of y, please."
        moved = array(answer(rule, given, list(y)), (len(y),), hint)
        require(given == honest, "your function changed the honest reports.")
        rows = [np.array([[*honest, v]]).T for v in y]
        with_y = np.array([rule(r).item() for r in rows])
        alone = rule(np.array([honest]).T).item()
        right = with_y - alone
        replaced = np.array([rule(np.array([[*honest[:-1], v]]).T).item() for v in y]) - alone
        require(
            np.allclose(moved, right) or not np.allclose(moved, with_y),
            "that is the answer with the new desk; the move is what is left without the old one.",
        )
        for factor in (len(honest), len(honest) + 1):
            require(
                not np.allclose(moved, factor * right),
                f"that is {factor} times the move, as textbooks draw it; (2.2) has no such factor.",
            )
        require(not np.allclose(moved, -right), "your move points the other way.")
        require(
            np.allclose(moved, right) or not np.allclose(moved, replaced),
            "your desk took the place of an honest one; it should join them, n - 1 and one.",
        )
        require(
            np.allclose(moved, right),
            f"the {name} of {honest} with y = {y} moves by {right}; yours {moved}.",
        )


@exercise("Exercise 2.3 b", "the section on NaN: k reports go, and f goes down by k.")
def careful_trimmed_mean(answer):
    """`answer(reports, f)` is the trimmed mean of the finite reports, told f - k."""
    clean = [3.0, -4.0, 1.0, 9.0, 2.0, -6.0, 8.0, -1.0, 6.0]
    plain = array(answer(list(clean), 2), (), "One number is wanted.")
    require(plain != np.mean(clean[2:-2]), "sort the reports before you trim.")
    require(plain != np.mean(sorted(clean)[:-2]), "trim both ends, not only the top.")
    require(plain != np.mean(sorted(clean)[2:]), "trim both ends, not only the bottom.")
    require(
        plain != np.mean(sorted(clean)[1:-1]),
        "f = 2 reports go at each end, four in all; yours took one at each end.",
    )
    right = np.mean(sorted(clean)[2:-2])
    require(np.isclose(plain, right), f"for {clean} and f = 2: {right:g}; yours {plain:g}.")
    require(np.isclose(answer(list(clean), 0), np.mean(clean)), "f = 0 is the mean.")
    for bad, k in [([np.nan], 1), ([np.inf], 1), ([-np.inf], 1), ([np.nan, np.inf], 2)]:
        reports = [*bad, *clean]
        given = list(reports)
        with np.errstate(all="ignore"):
            value = array(answer(given, 3), (), "One number is wanted.")
        require(
            np.array_equal(given, reports, equal_nan=True), "your function changed the reports."
        )
        require(np.isfinite(value), f"a report of {bad[0]} came through to the answer.")
        ordered, trim = sorted(clean), 3 - k
        right = np.mean(ordered[trim : len(clean) - trim])
        require(
            not np.isclose(value, np.mean(ordered[3:-3])),
            "the reports that were taken out are found liars: lower f by as many.",
        )
        kept = np.sort(reports)[3:-3]
        require(
            np.isclose(value, right) or not np.isclose(value, kept.mean()),
            f"your function sorts {bad[0]} to an end, where it pushes the answer: take it out.",
        )
        require(np.isclose(value, right), f"with {bad} and f = 3: {right:g}; yours {value:g}.")
    try:
        with np.errstate(all="ignore"):
            value = answer([np.nan, np.inf, *clean], 1)
    except ValueError:
        return
    raise NotYet(f"two broken reports are more than f = 1: raise a ValueError; yours gave {value}.")
