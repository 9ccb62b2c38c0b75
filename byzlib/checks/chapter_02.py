"""Checkers of chapter 02: influence curves, and a trimmed mean that no NaN can push."""

import numpy as np

from byzlib.checks._form import NotYet, ask, exercise, judge, require


@exercise("Exercise 2.3 a", "equation (2.2): the answer with the new desk less the answer without.")
def influence(answer):
    """`answer(rule, honest, y)` is how far each y, sent by one desk more, moves the rule."""
    honest, y = [3.0, -4.0, 1.0, 9.0], [-20.0, 2.0, 11.0]
    for name, row_rule in [("mean", np.mean), ("median", np.median), ("largest report", np.max)]:

        def rule(updates, row_rule=row_rule):
            return row_rule(np.asarray(updates, dtype=float), axis=0)

        def after(desks, rule=rule):
            return np.array([rule([[report] for report in [*desks, v]]).item() for v in y])

        alone = rule([[report] for report in honest]).item()
        right = after(honest) - alone
        factor = "times the move, as textbooks draw it; (2.2) has no such factor."
        mistakes = {
            "that is the answer with the new desk; the move is what is left without the old one.":
                after(honest),
            f"that is 4 {factor}": 4 * right,
            f"that is 5 {factor}": 5 * right,
            "your move points the other way.": -right,
            "your desk took the place of an honest one; it should join them, n - 1 and one.":
                after(honest[:-1]) - alone,
        }  # fmt: skip
        wanted = f"One number for each of the {len(y)} values of y, please."
        moved = ask(answer, rule, honest, y, shape=(len(y),), wanted=wanted)
        off = f"the {name} of {honest} with y = {y} moves by {right}; yours {moved}."
        judge(moved, right, mistakes, off)


@exercise("Exercise 2.3 b", "the section on NaN: k reports go, and f goes down by k.")
def careful_trimmed_mean(answer):
    """`answer(reports, f)` is the trimmed mean of the finite reports, told f - k."""
    clean = [3.0, -4.0, 1.0, 9.0, 2.0, -6.0, 8.0, -1.0, 6.0]
    ordered = sorted(clean)
    mistakes = {
        "sort the reports before you trim.": np.mean(clean[2:-2]),
        "trim both ends, not only the top.": np.mean(ordered[:-2]),
        "trim both ends, not only the bottom.": np.mean(ordered[2:]),
        "f = 2 reports go at each end, four in all; yours took one at each end.":
            np.mean(ordered[1:-1]),
    }  # fmt: skip
    judge(ask(answer, clean, 2), np.mean(ordered[2:-2]), mistakes, where=f"for {clean} and f = 2")
    judge(ask(answer, clean, 0), np.mean(clean), {}, "f = 0 is the mean.")
    for bad in [[np.nan], [np.inf], [-np.inf], [np.nan, np.inf]]:
        value = ask(answer, [*bad, *clean], 3)
        require(np.isfinite(value), f"a report of {bad[0]} came through to the answer.")
        trim = 3 - len(bad)
        mistakes = {
            "the reports that were taken out are found liars: lower f by as many.":
                np.mean(ordered[3:-3]),
            f"your function sorts {bad[0]} to an end, where it pushes the answer: take it out.":
                np.sort([*bad, *clean])[3:-3].mean(),
        }  # fmt: skip
        right = np.mean(ordered[trim : len(clean) - trim])
        judge(value, right, mistakes, where=f"with {bad} and f = 3")
    try:
        value = ask(answer, [np.nan, np.inf, *clean], 1, shape=None)
    except ValueError:
        return
    raise NotYet(f"two broken reports are more than f = 1: raise a ValueError; yours gave {value}.")
