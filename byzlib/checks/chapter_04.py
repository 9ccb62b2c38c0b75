"""Checkers of chapter 04: the trimmed mean, a count from a share, the worst table."""

import math

import numpy as np

from byzlib.checks._form import array, ask, exercise, judge, require, whole


@exercise("Exercise 4.3 a", "equation (4.1), column by column, and the section on slices.")
def trim(answer):
    """`answer(rows, f)` is the trimmed mean of rows (n, d)."""
    rng = np.random.default_rng(4)
    for n, f, d in [(7, 2, 3), (5, 1, 2), (10, 3, 4), (6, 0, 2), (9, 4, 1)]:
        rows = rng.integers(-9, 10, (n, d)).astype(float)
        wanted = f"One number for each of the {d} columns, please."
        found = ask(answer, rows, f, shape=(d,), wanted=wanted)
        where = f"for {n} rows and f = {f}"
        require(np.isfinite(found).all(), f"{where} something is not a number: does [-0:] occur?")
        ordered = np.sort(rows, axis=0)
        near = rows[np.argsort(np.linalg.norm(rows - rows.mean(axis=0), axis=1))]
        right = ordered[f : n - f].mean(axis=0)
        mistakes = {
            "you trimmed the rows in the order they came: sort each column first.":
                rows[f : n - f].mean(axis=0),
            "you trimmed one end only: f at each end.": ordered[: n - f].mean(axis=0),
            "you trimmed the low end only: f at each end.": ordered[f:].mean(axis=0),
            "one value too many was kept at the top.": ordered[f : n - f + 1].mean(axis=0),
            "one value too few was kept at the top.":
                ordered[f : max(n - f - 1, f + 1)].mean(axis=0),
            "you dropped whole firms: a column is trimmed by itself.": near[: n - 2 * f].mean(
                axis=0
            ),
            "you divided by n: only n - 2f values are left.": right * (n - 2 * f) / n,
        }  # fmt: skip
        judge(found, right, mistakes, f"the columns should give {right}; you found {found}.", where)
    for lie in (1e20, -1e20, 1e300):
        rows = np.array([[1.0]] * 9 + [[lie]])
        require(
            ask(answer, rows, 1, shape=(1,)) == 1,
            f"nine ones and a lie of {lie:.0e} should give 1: slice the ends off, never add them.",
        )


@exercise("Exercise 4.3 b", "the section on counts: 15/44 * 44 is not 15 in a computer.")
def count_from_share(answer):
    """`answer(share, n)` is the smallest count f with f / n >= share."""
    for share, n, right in [(0.25, 10, 3), (0.21, 10, 3), (0.0, 8, 0), (0.5, 9, 5), (0.01, 50, 1)]:
        count = whole(answer(share, n))
        require(
            count != right - 1,
            f"{share} of {n} firms is more than {right - 1}: round up, not down or to the nearest.",
        )
        require(count == right, f"{share} of {n} firms needs {right}; you found {count}.")
    for n in range(1, 201):
        for f in range((n + 1) // 2):
            count = whole(answer(f / n, n))
            require(
                count != math.ceil(f / n * n) or count == f,
                f"{f} of {n} firms became {count}: {f}/{n} * {n} is {f / n * n!r} here, and "
                "rounding that up adds a firm. Compare f / n with the share instead.",
            )
            require(count == f, f"{f} of {n} firms became {count}: a firm got lost in rounding.")


@exercise("Exercise 4.3 c", "the table of zeros and ones, and the four steps of the proof.")
def worst_table(answer):
    """`answer(n, f, b)` is (honest, liars) on which trimming b reaches kappa."""
    for n, f, b in [(5, 1, 1), (7, 2, 2), (10, 3, 3), (10, 1, 4), (20, 4, 6), (11, 0, 2)]:
        pair = answer(n, f, b)
        two = isinstance(pair, tuple | list) and len(pair) == 2
        require(two, "two lists of numbers are wanted: return honest, liars.")
        honest = array(pair[0], (n - f,), f"{n - f} honest numbers, please.")
        liars = array(pair[1], (f,), f"{f} lies, please.")
        all_rows = np.sort(np.concatenate([honest, liars]))
        require(np.isfinite(all_rows).all(), "all numbers must be finite: infinity is found out.")
        variance = honest.var()
        require(variance > 0, "your honest firms agree, and then there is nothing to divide by.")
        ratio = (all_rows[b : n - b].mean() - honest.mean()) ** 2 / variance
        kappa = b / (n - f - b)
        if np.isclose(ratio, kappa):
            continue
        where = f"for n = {n}, f = {f}, b = {b} your ratio is {ratio:.3f}, kappa is {kappa:.3f}:"
        low, high = (honest == honest.min()).sum(), (honest == honest.max()).sum()
        require(
            low + high == n - f,
            f"{where} the honest firms must stand in two blocks, or their variance is too large.",
        )
        require(
            b in (low, high),
            f"{where} the small block must have b = {b} firms, all of which are trimmed.",
        )
        require(False, f"{where} the liars must stand with the large block, or beyond it.")
