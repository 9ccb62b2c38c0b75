"""Checkers of chapter 03: Krum's scores, and the mean of the best rows."""

import numpy as np

from byzlib.checks._form import NotYet, ask, exercise, judge


def _sums(updates, k, power=2):
    """Sum over the k nearest others of the distance to a power: (n, d) -> (n,)."""
    apart = np.sqrt(((updates[:, None] - updates[None, :]) ** 2).sum(axis=-1))
    return np.sort(apart**power, axis=1)[:, 1 : k + 1].sum(axis=1)


@exercise("Exercise 3.3 a", "equation (3.1), and the seven numbers computed by hand.")
def scores(answer):
    """`answer(updates, f)` is the sum of squared distances to the n - f - 2 nearest others."""
    seven = np.array([[0.0], [1], [4], [7], [8], [12], [14]])
    rng = np.random.default_rng(7)
    for x, f in [(seven, 2), (rng.normal(size=(10, 4)), 3), (rng.normal(size=(6, 2)), 0)]:
        n = len(x)
        k = n - f - 2
        right = _sums(x, k)
        mistakes = {
            "a client is no neighbor of its own: its 0 took a place.": _sums(x, k - 1),
            "that is one neighbor too many: take n - f - 2 others.": _sums(x, k + 1),
            "that is the sum over all others; only the nearest count.": _sums(x, n - 1),
            "the distances are to be squared.": _sums(x, k, 1),
            "the distances are squared twice.": _sums(x, k, 4),
            "no root at the end: the sum itself is the score.": np.sqrt(right),
            "the sum is wanted, not the mean; here it is divided by k.": right / k,
            "those are the farthest others; sort from the nearest.":
                _sums(x, n - 1) - _sums(x, n - 1 - k),
        }  # fmt: skip
        got = ask(answer, x, f, shape=(n,), wanted="One score for each client, please.")
        off = f"the scores are {right.round(2).tolist()}; yours {got.round(2).tolist()}."
        judge(got, right, mistakes, off, where=f"for n = {n}, f = {f}")
    try:
        got = answer(seven[:6], 2)
    except ValueError:
        return
    raise NotYet(f"n = 6 and f = 2 break n >= 2f + 3: raise a ValueError; yours gave {got}.")


@exercise("Exercise 3.3 b", "equation (3.7): which rows, and what is done with them.")
def average_best(answer):
    """`answer(updates, scores, m)` is the mean of the m rows with the smallest scores."""
    rng = np.random.default_rng(8)
    for n, d, m in [(7, 3, 3), (10, 2, 7), (5, 4, 1)]:
        updates, score = rng.normal(size=(n, d)), rng.permutation(n) + 1.0
        ordered = updates[np.argsort(score)]
        mistakes = {
            "that is the sum of the best rows: divide by m.": ordered[:m].sum(axis=0),
            "those are the rows with the largest scores.": ordered[-m:].mean(axis=0),
            "that is the best row alone, Krum; m of them are averaged.": ordered[0],
            "those are the first m rows as they came, not the best.": updates[:m].mean(axis=0),
            "that is the mean of all rows.": updates.mean(axis=0),
        }
        got = ask(answer, updates, score, m, shape=(d,), wanted=f"One row of {d} numbers, please.")
        judge(got, ordered[:m].mean(axis=0), mistakes, where=f"with m = {m} of {n} rows")
