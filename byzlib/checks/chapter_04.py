"""Checkers of chapter 04: the trimmed mean, a count from a share, the worst table."""

import math

import numpy as np

from byzlib.checks._form import array, ask, exercise, judge, require, whole


@exercise("Exercise 4.3 a", "equation (4.1), column by column, and the section on slices.")
def trim(answer):
    """`answer(rows, f)` is the trimmed mean of rows (n, d)."""
    rng = np.random.default_rng(4)
    for n, f, d in [(7, 2, 3), (5, 1, 2), (10, 3, 4), (6, 0, 2), (9, 4, 1), (44, 15, 1)]:
        rows = rng.integers(-9, 10, (n, d)).astype(float)
        wanted = f"One number for each of the {d} columns, please."
        found = ask(answer, rows, f, shape=(d,), wanted=wanted)
        ordered, lost = np.sort(rows, axis=0), int(f / n * n)
        near = rows[np.argsort(np.linalg.norm(rows - rows.mean(axis=0), axis=1))]
        right = ordered[f : n - f].mean(axis=0)
        mistakes = {
            "for f = 0 something is not a number: does [-0:] occur? It is [0:].":
                np.full(d, np.nan) if f == 0 else right,
            "you trimmed the rows in the order they came: sort each column first.":
                rows[f : n - f].mean(axis=0),
            "you trimmed one end only: f at each end.": ordered[: n - f].mean(axis=0),
            "you trimmed the low end only: f at each end.": ordered[f:].mean(axis=0),
            "one value too many was kept at the top.": ordered[f : n - f + 1].mean(axis=0),
            "one value too few was kept at the top.":
                ordered[f : n - f - 1].mean(axis=0) if n > 2 * f + 1 else np.full(d, np.nan),
            "you dropped whole firms: a column is trimmed by itself.":
                near[: n - 2 * f].mean(axis=0),
            "you divided by n: only n - 2f values are left.": right * (n - 2 * f) / n,
            f"a share of f / n is no count: {f} / {n} * {n} is {f / n * n!r}, and rounding that "
            "down trims one firm less. Cut with whole numbers.":
                ordered[lost : n - lost].mean(axis=0),
        }  # fmt: skip
        off = f"the columns should give {right.tolist()}; you found {found.tolist()}."
        judge(found, right, mistakes, off)
    for lie in (1e20, -1e20, 1e300):
        rows = np.array([[1.0]] * 9 + [[lie]])
        require(
            ask(answer, rows, 1, shape=(1,)) == 1,
            f"nine ones and a lie of {lie:.0e} should give 1: slice the ends off, never add them.",
        )


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
            if count == math.ceil(f / n * n) != f:
                require(False, f"{f} of {n} firms became {count}: {product} up adds one. {compare}")
            if count == math.floor(f / n * n) != f:
                require(
                    False, f"{f} of {n} firms became {count}: {product} down loses one. {compare}"
                )
            require(count == f, f"{f} of {n} firms became {count}. {compare}")


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
