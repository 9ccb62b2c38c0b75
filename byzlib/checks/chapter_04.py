"""Checkers of chapter 04: the bend of a line, a count from a share, the worst table."""

import math

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import array, ask, exercise, judge, require, whole


@exercise("Exercise 4.3 a", "the slopes from each share to the next; one number a seed.")
def bend(answer):
    """`answer(error, low, high, seeds)` is (low end, high end, word): log error per liar."""

    def curve(power):
        def error(share, seed):
            luck = np.random.default_rng(seed).normal(0, 0.2)
            own = np.random.default_rng([seed, int(1000 * share)]).normal(0, 0.02)
            return 2 * share**power * np.exp(luck + own)

        return error

    for power, low, high, seeds in [
        (1.4, 0.1, 0.3, [*range(10)]), (0.5, 0.02, 0.2, [*range(8)]), (1, 0.05, 0.1, [*range(6)]),
    ]:  # fmt: skip
        error = curve(power)
        many, few = (np.log([error(a, seed) / a for seed in seeds]) for a in (high, low))
        found = ask(answer, error, low, high, seeds, shape=None)
        where = f"from a share of {low} to {high}"
        judge_experiment(found, many, few, ("faster", "slower"), where)


@exercise("Exercise 4.3 b", "the section on counts: 15/44 * 44 is not 15 in a computer.")
def count_from_share(answer):
    """`answer(share, n)` is the smallest count f with f / n >= share."""
    for share, n, right in [
        (0.25, 10, 3), (0.21, 10, 3), (0.0, 8, 0), (0.5, 9, 5), (0.01, 50, 1), (0.61, 10, 7),
        (1.0, 7, 7),
    ]:  # fmt: skip
        count = whole(ask(answer, share, n, shape=None))
        low = f"{count} of {n} firms are less than {share}: round up, not down or to the nearest."
        require(count >= right, low)
        off = f"you found {count}, and {right} firms of {n} are enough: {right / n} >= {share}."
        require(count == right, off)
    for n in range(1, 201):
        for f in range((n + 1) // 2):
            count = whole(ask(answer, f / n, n, shape=None))
            product = f"{f} / {n} * {n} is {f / n * n!r} here, and rounding that"
            compare = "Compare f / n with the share instead."
            became = f"{f} of {n} firms became {count}"
            rounded = count == math.ceil(f / n * n) != f
            require(not rounded, f"{became}: {product} up adds one. {compare}")
            require(count == f, f"{became}. {compare}")


@exercise("Exercise 4.3 c", "the table of zeros and ones, and the four steps of the proof.")
def worst_table(answer):
    """`answer(n, f, b)` is (honest, liars) on which trimming b reaches kappa."""
    for n, f, b in [(5, 1, 1), (7, 2, 2), (10, 3, 3), (10, 1, 4), (20, 4, 6), (11, 0, 2)]:
        pair = ask(answer, n, f, b, shape=None)
        two = isinstance(pair, tuple | list) and len(pair) == 2
        require(two, "two lists of numbers are wanted: return honest, liars.")
        honest = array(pair[0], (n - f,), f"{n - f} honest numbers, please.")
        liars = array(pair[1], (f,), f"{f} lies, please.")
        rows = np.sort(np.concatenate([honest, liars]))
        require(np.isfinite(rows).all(), "all numbers must be finite: infinity is found out.")
        variance = honest.var()
        require(variance > 0, "your honest firms agree, and then there is nothing to divide by.")
        ratio = (rows[b : n - b].mean() - honest.mean()) ** 2 / variance
        kappa = b / (n - f - b)
        low, high = (honest == honest.min()).sum(), (honest == honest.max()).sum()
        where = f"your ratio is {ratio:.3f}, kappa is {kappa:.3f}"
        off = "the liars must stand with the large block, or beyond it."
        if low + high < n - f:
            off = "the honest firms must stand in two blocks, or their variance is too large."
        elif b not in (low, high):
            off = f"the small block must have b = {b} firms, all of which are trimmed."
        judge(ratio, kappa, {}, off, where)
