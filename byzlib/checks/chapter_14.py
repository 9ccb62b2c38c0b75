"""Checkers of chapter 14: what trimming keeps of a minority, the fall of an account, a fee."""

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge
from byzlib.metrics import max_drawdown, profit_and_loss


@exercise("Exercise 14.3 a", "the section What one desk alone knows, equation (14.1).")
def kept_share(answer):
    """`answer(n, f, k)` is the trimmed mean of k ones and n - k zeros."""
    for n, f in [(10, 3), (12, 2), (9, 4), (7, 0)]:
        for k in [*range(f + 1, n - f), *range(f + 1), *range(n - f, n + 1)]:
            found, plain = ask(answer, n, f, k), (k - f) / (n - 2 * f)
            mistakes = {
                "where all k ones are cut off 0 is left, not less.": min(plain, 1),
                "where only ones are left their mean is 1, not more.": max(plain, 0),
                "the answer lies between 0 and 1: all ones may be cut off, or only ones left.":
                    plain,
                "that is the mean: the trimmed mean first cuts f at each end.": k / n,
                "you divided by n: only n - 2f values are left.": _both((k - f) / n),
                "you divided by n - f: f values go at each end, so n - 2f are left.":
                    _both((k - f) / (n - f)),
                "you cut f ones off at both ends: below stand zeros.":
                    _both((k - 2 * f) / (n - 2 * f)),
                "you kept all k ones: f of them are cut off.": _both(k / (n - 2 * f)),
            }  # fmt: skip
            right = np.clip(plain, 0, 1)
            off = f"it keeps {right:.4g}, not {found:.4g}. Sort and cut by hand."
            judge(found, right, mistakes, off)


def _both(share):
    """As it is, and brought between 0 and 1."""
    return share, np.clip(share, 0, 1)


@exercise("Exercise 14.3 b", "max_drawdown in the section What a lie costs in money.")
def largest_fall(answer):
    """`answer(profit)` is the deepest fall of the summed profits below an earlier high."""
    rng = np.random.default_rng(12)
    walks = [rng.integers(-9, 10, size) / 100 for size in (20, 20, 500)]
    steps = [[2, -1, -3, 1, -1, 6, -1], [-1, 3, 1], [1, 2, 1], [-1, -1, -1], [-2, 5, -1, -2, 4]]
    for case in [*steps, *walks]:
        profit = np.array(case, dtype=float)
        account, right = np.cumsum(profit), max_drawdown(profit)
        highs = np.maximum.accumulate(account)
        high = np.maximum(highs, 0)
        mistakes = {
            "a fall is counted as a positive number.": -right,
            "you left out the start at 0, which counts as a high.": (highs - account).max(),
            "that is the worst single bar: falls add up over bars.": max(0, -profit.min()),
            "you looked at profits; add them up first.":
                (np.maximum.accumulate(profit) - profit).max(),
            "that is from the highest point to the lowest, in any order: the high comes first.":
                max(account.max(), 0) - min(account.min(), 0),
            "that is how far it stands below its high at the end: look at all bars.":
                high[-1] - account[-1],
            "that is how far it went below its start: measure from the last high.":
                max(0, -account.min()),
            "a fall is counted in units of capital, not as a share of the high.":
                ((high - account) / np.where(high > 0, high, np.inf)).max(),
            "that is the largest rise: a high comes first, then a low.":
                (account - np.minimum(np.minimum.accumulate(account), 0)).max(),
        }  # fmt: skip
        found, low = ask(answer, profit), (high - account).argmax()
        off = (
            f"the account falls from {high[low]:.4g} to {account[low]:.4g}, by {right:.4g}; yours "
        )
        judge(found, right, mistakes, f"{off}{found:.4g}.")


@exercise("Exercise 14.3 c", "the section What a lie costs in money, and profit_and_loss.")
def fee_trial(answer):
    """`answer(returns, calls, fee)` is (low, high, who): profit of the lazy desk minus the busy."""
    rng = np.random.default_rng(123)
    for markets, fee, turn in [(20, 0.0005, 0.0), (20, 0.0, -0.5), (5, 0.0001, 0.0)]:
        calls = rng.choice(3, (markets, 100), p=[0.3, 0.4, 0.3])
        calls[0, :3] = 1  # nobody has a side yet
        busy = calls - 1.0
        lazy = busy.copy()
        for t in range(1, 100):
            lazy[:, t] = np.where(busy[:, t] == 0, lazy[:, t - 1], busy[:, t])
        idle = lazy * (busy == 0)
        returns = 0.001 * (rng.standard_normal((markets, 100)) + turn * idle)
        found = ask(answer, returns, calls, fee, shape=None)
        one, other = (profit_and_loss(returns, stand, fee).sum(axis=1) for stand in (lazy, busy))
        where = f"for {markets} markets with a fee of {fee}"
        judge_experiment(found, one, other, ("lazy", "busy"), where)
