"""Checkers of chapter 12: what a trimmed mean keeps of a minority, the fall of an account."""

import numpy as np

from byzlib.checks._form import ask, exercise, judge, require
from byzlib.metrics import max_drawdown


@exercise("Exercise 12.3 a", "the section What one desk alone knows, equation (12.1).")
def kept_share(answer):
    """`answer(n, f, k)` is the trimmed mean of k ones and n - k zeros."""
    for n, f in [(10, 3), (12, 2), (9, 4), (7, 0)]:
        for k in [*range(f + 1, n - f), *range(f + 1), *range(n - f, n + 1)]:
            found, where = ask(answer, n, f, k), f"with n = {n}, f = {f}, k = {k}"
            require(
                not (k < f and found < 0),
                f"{where} you answered {found:.4g}: all k ones are cut off, and 0 is left.",
            )
            require(
                not (n - f < k < n and found > 1),
                f"{where} you answered {found:.4g}: only ones are left, and their mean is 1.",
            )
            mistakes = {
                "that is the mean: the trimmed mean first cuts f at each end.": k / n,
                "you divided by n: only n - 2f values are left.": (k - f) / n,
                "you divided by n - f: f values go at each end, so n - 2f are left.":
                    (k - f) / (n - f),
                "you cut f ones off at both ends: below stand zeros.": (k - 2 * f) / (n - 2 * f),
                "you kept all k ones: f of them are cut off.": k / (n - 2 * f),
            }  # fmt: skip
            right = np.clip((k - f) / (n - 2 * f), 0, 1)
            off = f"it keeps {right:.4g}, not {found:.4g}. Sort and cut by hand."
            judge(found, right, mistakes, off, where)


@exercise("Exercise 12.3 b", "max_drawdown in the section What a lie costs in money.")
def largest_fall(answer):
    """`answer(profit)` is the deepest fall of the summed profits below an earlier high."""
    rng = np.random.default_rng(12)
    walks = [rng.normal(0, 0.01, size) for size in (20, 500)]
    for case in [[2, -1, -3, 1, -1, 6, -1], [-1, 3, 1], [1, 2, 1], [-1, -1, -1], *walks]:
        profit = np.array(case, dtype=float)
        account, right = np.cumsum(profit), max_drawdown(profit)
        highs = np.maximum.accumulate(account)
        mistakes = {
            "a fall is counted as a positive number.": -right,
            "you left out the start at 0, which counts as a high.": (highs - account).max(),
            "that is the worst single bar: falls add up over bars.": max(0, -profit.min()),
            "you looked at profits; add them up first.":
                (np.maximum.accumulate(profit) - profit).max(),
            "that is from the highest point to the lowest, in any order: the high comes first.":
                max(account.max(), 0) - min(account.min(), 0),
            "that is how far it stands below its high at the end: look at all bars.":
                max(highs[-1], 0) - account[-1],
            "that is how far it went below its start: measure from the last high.":
                max(0, -account.min()),
        }  # fmt: skip
        where = f"for profits {case}" if len(case) < 10 else f"for {len(case)} random profits"
        judge(ask(answer, profit), right, mistakes, where=where)
