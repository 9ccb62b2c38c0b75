"""Checkers of chapter 02: influence curves, and a trimmed mean that no NaN can push."""

import numpy as np

from byzlib.checks._form import array, ask, exercise, judge, refusal, require


@exercise("Exercise 2.3 a", "equation (2.2): the answer with the new desk less the answer without.")
def influence(answer):
    """`answer(rule, honest, y)` is how far each y, sent by one desk more, moves the rule."""
    for honest, y in [([3.0, -4, 1, 9], [-20.0, 2, 11]), ([8.0, 2, -3, 5, 2, 0, -7], [4.0, -9])]:
        for row_rule in (np.mean, np.median, np.max):

            def rule(updates, row_rule=row_rule):
                return row_rule(np.asarray(updates, dtype=float), axis=0)

            def after(desks, rule=rule, y=y):
                return np.array([rule([[report] for report in [*desks, v]]).item() for v in y])

            rule.__name__, n = row_rule.__name__, len(honest)
            alone = rule([[report] for report in honest]).item()
            right = after(honest) - alone
            factor = "the move, as textbooks draw it; (2.2) has no such factor."
            mistakes = {
                "that is the answer with the new desk; the move is what is left without the old.":
                    after(honest),
                f"that is n - 1 times {factor}": n * right,
                f"that is n times {factor}": (n + 1) * right,
                "your move points the other way.": -right,
                "your desk took the place of an honest one; it should join them, n - 1 and one.":
                    after(honest[:-1]) - alone,
            }  # fmt: skip
            wanted = f"One number for each of the {len(y)} values of y, please."
            moved = ask(answer, rule, honest, y, shape=(len(y),), wanted=wanted)
            off = f"the {rule.__name__} moves by {right.tolist()}; yours {moved.tolist()}."
            judge(moved, right, mistakes, off)


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
