"""Answers to the exercises of chapter 04: right ones, and wrong ones with their hint."""

import math
from fractions import Fraction

import numpy as np
from scipy.stats import trim_mean

from byzlib import checks
from byzlib.aggregators import trimmed_mean
from byzlib.theory import worst_case_instance


def trim_by_loop(rows, f):
    answer = []
    for column in zip(*rows.tolist(), strict=True):
        kept = sorted(column)[f : len(column) - f]
        answer.append(sum(kept) / len(kept))
    return answer


def trim_by_sum(rows, f):
    ordered = np.sort(rows, axis=0)
    ends = ordered[:f].sum(axis=0) + ordered[len(rows) - f :].sum(axis=0)
    return (rows.sum(axis=0) - ends) / (len(rows) - 2 * f)


def trim_in_place(rows, f):
    rows.sort(axis=0)
    return rows[f : len(rows) - f].mean(axis=0)


def trim_firms(rows, f):
    order = np.argsort(np.linalg.norm(rows - rows.mean(axis=0), axis=1))
    return rows[order[: len(rows) - 2 * f]].mean(axis=0)


def trim_zeroed(rows, f):
    return np.sort(rows, axis=0)[f : len(rows) - f].sum(axis=0) / len(rows)


def trim_negative(rows, f):
    return np.sort(rows, axis=0)[f:-f].mean(axis=0)


def sliced(start, stop):
    return lambda x, f: np.sort(x, axis=0)[start(f) : stop(f, len(x))].mean(axis=0)


def count_by_search(share, n):
    return next(f for f in range(n + 1) if f / n >= share)


def count_by_fraction(share, n):
    return math.ceil(Fraction(share).limit_denominator(10_000) * n)


def worst_by_library(n, f, b):
    rows, honest = worst_case_instance("trimmed mean", n, f, b)
    return rows[honest, 0], rows[~honest, 0]


def worst_upside_down(n, f, b):
    """Liars far below, in another unit, in any order."""
    honest = [7.0] * b + [-3.0] * (n - f - b)
    return honest[::-1], [-1e6] * f


def table(honest, lies):
    return lambda n, f, b: (honest(n, f, b), lies(n, f, b))


def blocks(n, f, b):
    return np.repeat([0.0, 1.0], [b, n - f - b])


def flat(n, f, b):
    return np.ones(f)


RIGHT = [
    (checks.trim, trimmed_mean),
    (checks.trim, trim_by_loop),
    (checks.trim, lambda rows, f: trim_mean(rows, (f + 0.25) / len(rows))),
    (checks.count_from_share, count_by_search),
    (checks.count_from_share, count_by_fraction),
    (checks.count_from_share, lambda share, n: np.int64(math.ceil(round(share * n, 9)))),
    (checks.worst_table, worst_by_library),
    (checks.worst_table, worst_upside_down),
    (checks.worst_table, table(lambda n, f, b: blocks(n, f, b).tolist(), flat)),
]

WRONG = [
    (checks.trim, lambda x, f: trim_mean(x, f / len(x)), r"15 / 44 \* 44 is 14.99"),
    (checks.count_from_share, lambda share, n: min(n // 2, count_by_search(share, n)), "round up"),
    (
        checks.count_from_share,
        lambda share, n: count_by_search(share, n) + 5 * (n == 77),
        r"0 of 77 firms became 5. Compare.*\n.*share = 0.0, n = 77",
    ),
    (checks.trim, trim_by_sum, r"lie of 1e\+20 should give 1: slice"),
    (checks.trim, trim_in_place, "changed what it was given"),
    (checks.trim, trim_firms, "dropped whole firms"),
    (checks.trim, trim_zeroed, "divided by n"),
    (checks.trim, trim_negative, r"does \[-0:\] occur"),
    (checks.trim, lambda x, f: x[f : len(x) - f].mean(axis=0), "sort each column"),
    (checks.trim, sliced(lambda f: 0, lambda f, n: n - f), "one end only"),
    (checks.trim, sliced(lambda f: f, lambda f, n: n), "low end only"),
    (checks.trim, sliced(lambda f: f, lambda f, n: n - f + 1), "too many was kept"),
    (checks.trim, sliced(lambda f: f, lambda f, n: n - f - 1), "too few was kept"),
    (checks.trim, lambda x, f: np.median(x, axis=0), "the columns should give"),
    (checks.trim, lambda x, f: x.mean(), "One number for each"),
    (checks.trim, lambda x, f: x.mean(axis=1), r"shape \(7,\), not \(3,\)"),
    (checks.trim, lambda x, f: np.full(x.shape[1], np.nan), "holds nan"),
    (checks.count_from_share, lambda share, n: int(share * n), "round up, not down"),
    (checks.count_from_share, lambda share, n: round(share * n), "round up, not down"),
    (
        checks.count_from_share,
        lambda share, n: math.ceil(share * n),
        r"7 / 25 \* 25 is 7.0+1 here, and rounding that up adds one",
    ),
    (checks.count_from_share, lambda share, n: np.ceil(share * n), "whole number is wanted; got"),
    (
        checks.count_from_share,
        lambda share, n: int(share * n) + 1,
        "you found 1, and 0 firms of 8 are enough",
    ),
    (
        checks.count_from_share,
        lambda share, n: math.ceil(share * n - 0.01) - (n == 200 and share == 0.3),
        "60 of 200 firms became 59. Compare",
    ),
    (checks.count_from_share, lambda share, n: True, "whole number is wanted; got True"),
    (checks.worst_table, lambda n, f, b: blocks(n, f, b), "two lists"),
    (checks.worst_table, table(flat, blocks), "4 honest numbers"),
    (checks.worst_table, table(lambda n, f, b: np.ones(n - f), flat), "firms agree"),
    (checks.worst_table, table(blocks, lambda n, f, b: np.full(f, np.inf)), "must be finite"),
    (checks.worst_table, table(blocks, lambda n, f, b: np.zeros(f)), "with the large block"),
    (
        checks.worst_table,
        table(lambda n, f, b: np.linspace(0, 1, n - f), lambda n, f, b: np.full(f, 9.0)),
        "in two blocks",
    ),
    (
        checks.worst_table,
        table(lambda n, f, b: blocks(n, f, b - 1) if b > 1 else blocks(n, f, 2), flat),
        "the small block must have",
    ),
]
