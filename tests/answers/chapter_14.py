"""Answers to the exercises of chapter 14: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib import checks
from byzlib.aggregators import trimmed_mean
from byzlib.metrics import positions, profit_and_loss
from tests.answers.experiment import answers


def kept_by_rule(n, f, k):
    return trimmed_mean(np.array([1.0] * k + [0.0] * (n - k))[:, None], f).item()


def kept_by_slice(n, f, k):
    return np.mean(([0] * (n - k) + [1] * k)[f : n - f])


def kept(over=lambda n, f: n - 2 * f, cut=1, least=0, most=1):
    """Shares that are nearly right."""

    def share(n, f, k):
        return min(most, max(least, (k - cut * f) / over(n, f)))

    return share


def fall_by_loop(profit):
    account = high = fall = 0.0
    for gain in profit.tolist():
        account += gain
        high = max(high, account)
        fall = max(fall, high - account)
    return fall


def account(profit):
    return np.concatenate([[0.0], np.cumsum(profit)])


def fall_by_pairs(profit):
    total = account(profit)
    return max(a - total[i:].min() for i, a in enumerate(total))


def fall_below(highs, total):
    return (highs - total).max()


def fall_without_start(profit):
    total = np.cumsum(profit)
    return fall_below(np.maximum.accumulate(total), total)


def fall_in_place(profit):
    np.cumsum(profit, out=profit)
    return fall_below(np.maximum(np.maximum.accumulate(profit), 0), profit)


def fall_by_share(profit):
    total = account(profit)
    high = np.maximum.accumulate(total)
    return max((h - a) / h for h, a in zip(high, total, strict=True) if h > 0) if any(high) else 0


RIGHT = [
    (checks.kept_share, kept()),
    (checks.kept_share, kept_by_rule),
    (checks.kept_share, kept_by_slice),
    (checks.largest_fall, fall_by_loop),
    (checks.largest_fall, fall_by_pairs),
]

WRONG = [
    (checks.kept_share, lambda n, f, k: k / n, "that is the mean"),
    (checks.kept_share, kept(least=-9), "0 is left, not less"),
    (checks.kept_share, kept(most=9), "their mean is 1"),
    (checks.kept_share, kept(over=lambda n, f: n), "divided by n: only"),
    (checks.kept_share, kept(over=lambda n, f: n - f), "divided by n - f"),
    (checks.kept_share, kept(cut=2, least=-9, most=9), "at both ends"),
    (checks.kept_share, kept(cut=0), "kept all k ones"),
    (checks.kept_share, lambda n, f, k: np.nan, "finite number is wanted; yours holds nan"),
    (checks.kept_share, lambda n, f, k: [k, n], "One number"),
    (checks.largest_fall, fall_without_start, "the start at 0"),
    (checks.largest_fall, lambda p: -fall_by_loop(p), "as a positive number"),
    (checks.largest_fall, lambda p: -min(p.min(), 0), "worst single bar"),
    (
        checks.largest_fall,
        lambda p: fall_below(np.maximum.accumulate(p), p),
        "add them up first",
    ),
    (checks.largest_fall, lambda p: np.ptp(account(p)), "the high comes first"),
    (
        checks.largest_fall,
        lambda p: account(p).max() - account(p)[-1],
        "look at all bars",
    ),
    (checks.largest_fall, lambda p: -account(p).min(), "from the last high"),
    (checks.largest_fall, lambda p: fall_by_loop(-p), "the largest rise"),
    (checks.largest_fall, fall_by_share, "not as a share of the high"),
    (
        checks.largest_fall,
        lambda p: fall_by_loop(p) + 1,
        r"falls from 2 to -2, by 4; yours 5.\n.*profit = \[2.0, -1.0",
    ),
    (checks.largest_fall, fall_in_place, "changed what it was given"),
    (checks.largest_fall, lambda p: np.nan, "finite number is wanted; yours holds nan"),
    (checks.largest_fall, lambda p: p, "One number"),
    (checks.largest_fall, lambda p: p[10**6], "stopped with IndexError"),
]


def profits(returns, calls, fee, until=1):
    """What the lazy and the busy desk earn, by market."""
    lazy = np.zeros_like(returns)
    for stand, row in zip(lazy, calls, strict=True):
        side = 0
        for t, call in enumerate(row):
            side = side if call == until else call - 1
            stand[t] = side
    return [profit_and_loss(returns, p, fee).sum(axis=1) for p in (lazy, positions(calls))]


def without_fees(returns, calls, fee):
    return profits(returns, calls, 0.0)


FEE = answers(profits, ("lazy", "busy"))
RIGHT += [(checks.fee_trial, answer) for answer in FEE[0]]
WRONG += [(checks.fee_trial, answer, hint) for answer, hint in FEE[1]]
WRONG += [(checks.fee_trial, answers(without_fees, ("lazy", "busy"))[0][0], "is wanted at")]
