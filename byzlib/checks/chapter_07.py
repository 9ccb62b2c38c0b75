"""Checkers of chapter 07: the votes behind a little is enough, the reach of Min-Sum."""

import numpy as np
from scipy.special import ndtr, ndtri

from byzlib.attacks import min_max, min_sum
from byzlib.checks._form import array, exercise, require
from byzlib.theory import alie_z_max


@exercise("Exercise 7.3 a", "equation (7.5), and the example with 17 firms and 3 liars below it.")
def unseen_shift(answer):
    """`answer(n, f)` is how many standard deviations f liars among n may shift."""
    for n, f in [(17, 3), (50, 24), (25, 5), (10, 1), (10, 2), (11, 4)]:
        value = float(array(answer(n, f), (), "one number is wanted, the shift."))
        right = alie_z_max(n, f)
        if np.isclose(value, right):
            continue
        for wrong, hint in _vote_mistakes(n, f, right):
            require(not np.isclose(value, wrong), hint)
        require(np.isfinite(value), f"with n = {n}, f = {f} the shift is finite; yours is {value}.")
        require(False, f"with n = {n}, f = {f} the shift came to {value:.4f}, not to {right:.4f}.")


def _vote_mistakes(n, f, right):
    h, s = n - f, n // 2 + 1 - f
    if right < 0:
        yield 0.0, "you cut the shift off at zero; in small crowds it is negative, return that."
    yield ndtr((h - s) / h), "that is the distribution, not its inverse; ndtri is the quantile."
    yield (h - s) / h, "that is the share of honest firms; the quantile of it is wanted."
    if right != 0:
        yield -right, "the sign is turned round: take the share that is left, (h - s) / h."
    yield (
        ndtri((n - s) / n),
        "you divide by n; the liars need no luck, so count among the honest firms alone.",
    )
    yield (
        ndtri((h - s - f) / h if h - s - f > 0 else 0.0),
        "you ask for a whole majority of honest supporters; the liars themselves are f of it.",
    )
    yield (
        ndtri((h - s + 1) / h),
        "one supporter too few: a majority is more than half, n // 2 + 1.",
    )


@exercise("Exercise 7.3 b", "the two sides of the condition: what they share cancels.")
def min_sum_row(answer):
    """`answer(honest)` is the row of Min-Sum along minus the standard deviation."""
    rng = np.random.default_rng(7)
    for h, d in [(6, 4), (9, 1), (5, 30), (3, 2)]:
        honest = rng.exponential(size=(h, d)) * rng.uniform(0.5, 3, d) + 5
        given = honest.copy()
        value = answer(honest)
        require(np.array_equal(given, honest), "your function changed the honest rows.")
        value = array(value, (d,), f"one row of {d} numbers is wanted.")
        require(np.isfinite(value).all(), "the row holds NaN or infinity.")
        right = min_sum(given, 1)[0]
        if np.allclose(value, right):
            continue
        for wrong, hint in _sum_mistakes(given, right):
            require(not np.allclose(value, wrong), hint)
        _along(value, given, right)
        lonely = ((value - given) ** 2).sum()
        bound = ((given[:, None] - given) ** 2).sum(axis=(1, 2)).max()
        what = "goes too far" if lonely > bound else "could go farther"
        require(
            False, f"your row {what}: its sum of squares is {lonely:.3g}, the bound is {bound:.3g}."
        )


def _sum_mistakes(honest, right):
    mean, p = honest.mean(axis=0), -honest.std(axis=0)
    away, size = np.linalg.norm(honest - mean, axis=1), np.linalg.norm(p)
    yield right - mean, "that is the step alone; add the average to it."
    yield 2 * mean - right, "you go up; p is minus the standard deviation."
    yield (
        mean + away.min() * p / size,
        "you stop at the nearest firm; the bound is the largest of the sums, the loneliest firm.",
    )
    yield mean + away.mean() * p / size, "you take the average distance; the largest is wanted."
    yield (
        mean + away.max() * p,
        "the length of p is missing: gamma is the distance divided by it.",
    )
    yield (
        mean + away.max() ** 2 * p / size**2,
        "gamma is a distance divided by a length; you divided their squares.",
    )
    yield min_max(honest, 1)[0], "that is Min-Max; Min-Sum bounds the sum, not the largest."
    yield mean + p, "that is a little is enough with z = 1; gamma is still to find."
    p = -honest.std(axis=0, ddof=1)
    yield mean + p, "that is a little is enough with z = 1; gamma is still to find."
    yield mean, "that is the average itself; go as far along p as you may."


def _along(value, honest, right):
    mean = honest.mean(axis=0)
    step, p = value - mean, right - mean
    cosine = step @ p / max(np.linalg.norm(step) * np.linalg.norm(p), 1e-300)
    require(
        cosine > 1 - 1e-6,
        "your row is not on the line mean + gamma p with p minus the standard deviation.",
    )
