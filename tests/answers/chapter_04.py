"""Answers to the exercises of chapter 04: right ones, and wrong ones with their hint."""

import math
from fractions import Fraction

import numpy as np

from byzlib import checks
from byzlib.theory import worst_case_instance
from tests.answers.experiment import answers


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


def per_liar(error, low, high, seeds):
    """Log of the error per liar at the higher and at the lower share, seed by seed."""
    return [[math.log(error(a, seed) / a) for seed in seeds] for a in (high, low)]


def errors(error, low, high, seeds):
    return [[math.log(error(a, seed)) for seed in seeds] for a in (high, low)]


BEND = answers(per_liar, ("faster", "slower"))


RIGHT = [
    *[(checks.bend, answer) for answer in BEND[0]],
    (checks.count_from_share, count_by_search),
    (checks.count_from_share, count_by_fraction),
    (checks.count_from_share, lambda share, n: np.int64(math.ceil(round(share * n, 9)))),
    (checks.worst_table, worst_by_library),
    (checks.worst_table, worst_upside_down),
    (checks.worst_table, table(lambda n, f, b: blocks(n, f, b).tolist(), flat)),
]

WRONG = [
    *[(checks.bend, answer, hint) for answer, hint in BEND[1]],
    (checks.count_from_share, lambda share, n: min(n // 2, count_by_search(share, n)), "round up"),
    (
        checks.count_from_share,
        lambda share, n: count_by_search(share, n) + 5 * (n == 77),
        r"0 of 77 firms became 5. Compare.*\n.*share = 0.0, n = 77",
    ),
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
    (checks.bend, answers(errors, ("faster", "slower"))[0][0], "is wanted at place"),
]
