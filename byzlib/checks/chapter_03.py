"""Checkers of chapter 03: Krum's scores, and the mean of the best rows."""

import numpy as np

from byzlib.checks._form import ask, exercise, judge, refusal, require


def _distances(updates):
    return np.linalg.norm(updates[:, None] - updates, axis=-1)


def _sums(apart, k, power=2, skip=1):
    """Sum over the k nearest, but for the first, of the distance to a power: (n, n) -> (n,)."""
    return (np.sort(apart, axis=1)[:, skip : skip + k] ** power).sum(axis=1)


def _sums_without_twins(apart, k):
    """Scores of somebody who takes every row at distance 0 for the client itself."""
    return _sums(np.where(apart > 0, apart, np.inf), k, skip=0)


def _sums_by_products(x, k):
    """Scores of somebody who multiplies out, (3.9)."""
    gram = x @ x.T
    norms = np.diagonal(gram)
    squares = np.sort(norms[:, None] + norms - 2 * gram, axis=1)
    return squares[:, 1 : k + 1].sum(axis=1)


@exercise("Exercise 3.3 a", "equation (3.1), and the seven numbers computed by hand.")
def scores(answer):
    """`answer(updates, f)` is the sum of squared distances to the n - f - 2 nearest others."""
    seven = np.array([[0.0], [1], [4], [7], [8], [12], [14]])
    rng = np.random.default_rng(7)
    many, few = (rng.integers(-9, 10, shape).astype(float) for shape in [(10, 4), (6, 2)])
    twins = np.array([[0.0, 3], [0, 3], [5, 1], [0, 3], [2, 2], [5, 1], [7, 0]])
    for x, f in [(seven, 2), (many, 3), (few, 0), (twins, 2), (seven + 1e8, 1), (few + 1e9, 1)]:
        n, apart = len(x), _distances(x)
        k = n - f - 2
        right = _sums(apart, k)
        off = f"the scores are {right.tolist()}; yours {{}}."
        if np.array_equal(x, twins):
            off = "two clients that say the same are two: leave out the client itself, not each at "
            off += f"distance 0. The scores are {right.tolist()}; yours {{}}."
        elif x.min() > 1e7:
            off = "far from zero a difference of products, (3.9), has no digits left: subtract "
            off += f"the rows first. The scores are {right.tolist()}; yours {{}}."
        mistakes = {
            "a client is no neighbor of its own: its 0 took a place.": _sums(apart, k - 1),
            "that is one neighbor too many: take n - f - 2 others.": _sums(apart, k + 1),
            "that is the sum over all others; only the nearest count.": _sums(apart, n - 1),
            "the distances are to be squared.": _sums(apart, k, 1),
            "the distances are squared twice.": _sums(apart, k, 4),
            "no root at the end: the sum itself is the score.": np.sqrt(right),
            "the sum is wanted, not the mean; here it is divided by k.": right / k,
            "those are the farthest others; sort from the nearest.":
                _sums(apart, n - 1) - _sums(apart, n - 1 - k),
        }  # fmt: skip
        got = ask(answer, x, f, shape=(n,), wanted="One score for each client, please.")
        judge(got, right, mistakes, off.format(got.tolist()))
    got = refusal(answer, seven[:6], 2)
    require(
        got is None, f"n = 6 and f = 2 break n >= 2f + 3: raise a ValueError; yours gave {got}."
    )


@exercise("Exercise 3.3 b", "equation (3.7): which rows, and what is done with them.")
def average_best(answer):
    """`answer(updates, scores, m)` is the mean of the m rows with the smallest scores."""
    rng = np.random.default_rng(8)
    for n, d, m in [(7, 3, 3), (10, 2, 7), (5, 4, 1), (6, 2, 6)]:
        updates = rng.integers(-9, 10, (n, d)).astype(float)
        score = rng.permutation(n) * 7.0 - 3
        ordered = updates[np.argsort(score)]
        mistakes = {
            "that is the sum of the best rows: divide by m.": ordered[:m].sum(axis=0),
            "those are the rows with the largest scores.": ordered[-m:].mean(axis=0),
            "that is the best row alone, Krum; m of them are averaged.": ordered[0],
            "those are the first m rows as they came, not the best.": updates[:m].mean(axis=0),
            "that is the mean of all rows.": updates.mean(axis=0),
            "that is one row too many.": ordered[: m + 1].mean(axis=0),
        }
        got = ask(answer, updates, score, m, shape=(d,), wanted=f"One row of {d} numbers, please.")
        judge(got, ordered[:m].mean(axis=0), mistakes)
