"""Checkers of chapter 13: Kupiec's ratio, where lies bring the mean to rest, the area of a ROC."""

import numpy as np

from byzlib.checks._form import array, exercise, require


def _ratio(x, T, p):
    seen = [(x, x / T, p), (T - x, 1 - x / T, 1 - p)]
    return 2 * sum(k * np.log(share / promised) for k, share, promised in seen if k)


@exercise("Exercise 13.3 a", "equation (13.2) and the cell below it.")
def coverage_ratio(answer):
    """`answer(x, T, p)` is Kupiec's ratio; 0 ln 0 counts as 0."""
    cases = [(2, 250, 0.01), (7, 250, 0.01), (40, 1000, 0.05), (5, 100, 0.05)]
    for x, T, p in [*cases, (0, 250, 0.01), (20, 20, 0.3), (900, 1000, 0.05)]:
        try:
            with np.errstate(all="ignore"):
                found = array(answer(x, T, p), (), "One number, please.")
        except (ValueError, ZeroDivisionError):
            found = np.nan
        where = f"for x = {x} of T = {T} and p = {p}"
        edge = "" if 0 < x < T else " Where x is 0 or T, leave the term with 0 ln 0 out."
        require(np.isfinite(found), f"{where} no finite number came.{edge}")
        right = _ratio(x, T, p)
        if np.isclose(found, right, rtol=1e-7, atol=1e-9):
            continue
        share = min(max(x / T, 1e-300), 1 - 1e-16)
        hints = {
            "the 2 in front is missing.": right / 2,
            "the sign is turned: the ratio is never negative.": -right,
            "the sign is turned and the 2 is missing.": -right / 2,
            "take the natural logarithm, not that to base 10.": right / np.log(10),
            "you compare with the promise only: the share x / T that was seen belongs below.": (
                -2 * (x * np.log(p) + (T - x) * np.log(1 - p))
            ),
            "the days without an exceedance, T - x of them, are missing.": (
                2 * x * np.log(share / p)
            ),
            "that is the p-value's way of counting, z squared; the ratio has logarithms.": (
                (x - T * p) ** 2 / (T * p * (1 - p))
            ),
        }
        for hint, wrong in hints.items():
            require(not np.isclose(found, wrong, rtol=1e-7), f"{where} {hint}")
        require(False, f"{where} the ratio is not {found}.{edge}")


@exercise("Exercise 13.3 b", "equation (13.5) and the two liars around it.")
def resting_share(answer):
    """`answer(q, n, f, b)` is the share of exceedances at which the mean rests, at least 0."""
    for q, n, f, b in [
        (0.01, 10, 1, -0.01),
        (0.01, 10, 3, 0.01),
        (0.05, 20, 2, 0.2),
        (0.05, 20, 0, 0.5),
        (0.01, 10, 3, 0.5),
        (0.01, 10, 1, -5.0),
        (0.5, 12, 4, 40.0),
    ]:
        found = array(answer(q, n, f, b), (), "One number, please.")
        where = f"for q = {q}, n = {n}, f = {f}, b = {b}"
        checked = min(max(b, -q), 1 - q)
        right = max(q - f / (n - f) * checked, 0.0)
        if np.isclose(found, right, rtol=1e-9, atol=1e-12):
            continue
        hints = {
            "f / n is not the weight: the liars pull against the h = n - f honest desks.": (
                max(q - f / n * checked, 0.0)
            ),
            "the sign of b is turned: a liar that sends a negative b wants less margin, and gets "
            "more exceedances.": max(q + f / (n - f) * checked, 0.0),
            "a share is never negative: with no point of rest it is 0.": (
                q - f / (n - f) * checked
            ),
            "bring b into [-q, 1 - q] first, as the house does.": max(q - f / (n - f) * b, 0.0),
            "bring b into [-q, 1 - q] first, and a share is never negative.": (q - f / (n - f) * b),
            "that is the honest share: the lies are missing.": q,
        }
        for hint, wrong in hints.items():
            require(not np.isclose(found, wrong, rtol=1e-9, atol=1e-12), f"{where} {hint}")
        require(False, f"{where} the mean does not rest at {found}.")


@exercise("Exercise 13.3 c", "the section An alarm that goes the wrong way.")
def area(answer):
    """`answer(attacked, clean)` is the chance that attacked scores higher, ties one half."""
    rng = np.random.default_rng(13)
    cases = [
        (rng.normal(-1, 1, 15), rng.normal(0, 1, 15)),
        (np.array([3.0, 4.0]), np.array([1.0, 2.0, 2.5])),
        (rng.normal(1, 1, 40), rng.normal(0, 1, 30)),
        (rng.integers(0, 4, 30).astype(float), rng.integers(0, 3, 20).astype(float)),
        (np.ones(5), np.ones(4)),
    ]
    for attacked, clean in cases:
        given = attacked.copy(), clean.copy()
        found = array(answer(*given), (), "One number, please.")
        untouched = np.array_equal(given[0], attacked) and np.array_equal(given[1], clean)
        require(untouched, "your function changed the scores it was given.")
        larger = np.mean(attacked[:, None] > clean)
        equal = np.mean(attacked[:, None] == clean)
        right = larger + equal / 2
        if np.isclose(found, right):
            continue
        hints = {
            "the two are exchanged: attacked rounds should score above clean ones.": 1 - right,
            "ties are missing: an equal pair counts one half.": larger,
            "ties count one half, not one.": larger + equal,
            "a chance is wanted: divide by the number of pairs.": right
            * attacked.size
            * clean.size,
        }
        for hint, wrong in hints.items():
            require(not np.isclose(found, wrong), hint)
        if attacked.size == clean.size:
            paired = np.mean(attacked > clean)
            require(
                not np.isclose(found, paired),
                "you compared round with round: every attacked round meets every clean one.",
            )
        require(False, f"with {attacked.size} and {clean.size} scores the area is not {found:.4g}.")
