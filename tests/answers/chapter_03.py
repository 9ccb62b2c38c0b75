"""Answers to the exercises of chapter 03: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib.checks import average_best as best
from byzlib.checks import scores


def near(updates, k, power=2, skip=1):
    apart = np.linalg.norm(updates[:, None] - updates[None, :], axis=-1)
    return (np.sort(apart, axis=1)[:, skip : k + skip] ** power).sum(axis=1)


def guarded(rule):
    def answer(updates, f):
        if len(updates) < 2 * f + 3:
            raise ValueError("n >= 2f + 3")
        return rule(np.array(updates), len(updates) - f - 2)

    return answer


def scores_by_loop(updates, f):
    n, total = len(updates), []
    if n < 2 * f + 3:
        raise ValueError("n >= 2f + 3")
    for i in range(n):
        others = [sum((updates[i] - updates[j]) ** 2) for j in range(n) if j != i]
        total.append(sum(sorted(others)[: n - f - 2]))
    return total


def centring(updates, f):
    updates -= updates.mean(axis=0)
    return guarded(near)(updates, f)


def best_by_partition(updates, scores, m):
    return updates[np.argpartition(scores, m - 1)[:m]].sum(axis=0) / m


def best_by_loop(updates, scores, m):
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    return [sum(updates[i][j] for i in order[:m]) / m for j in range(updates.shape[1])]


def in_place(updates, scores, m):
    value = best_by_partition(updates, scores, m)
    scores.sort()
    return value


def without_zeros(updates, k):
    """Everybody at distance 0 is taken for the client itself."""
    apart = np.linalg.norm(updates[:, None] - updates[None, :], axis=-1)
    return np.array([(np.sort(row[row > 0])[:k] ** 2).sum() for row in apart])


def by_products(updates, k):
    gram = updates @ updates.T
    squares = np.diagonal(gram)[:, None] + np.diagonal(gram) - 2 * gram
    return np.sort(squares, axis=1)[:, 1 : k + 1].sum(axis=1)


def best_by_weights(updates, scores, m):
    chosen = np.argsort(np.argsort(scores)) < m
    return chosen @ updates / m


RIGHT = [
    (best, best_by_weights),
    (scores, guarded(near)),
    (scores, scores_by_loop),
    (best, best_by_partition),
    (best, best_by_loop),
]

WRONG = [
    (scores, guarded(without_zeros), "the client itself, not each at distance 0"),
    (scores, guarded(by_products), "far from zero a difference of products"),
    (scores, lambda x, f: None, "returns None"),
    (scores, lambda x, f: x, r"One score for each client.*shape \(7, 1\)"),
    (scores, lambda x, f: 33.0, r"shape \(\), not \(7,\)"),
    (scores, lambda x, f: np.full(len(x), np.nan), "finite number is wanted; yours holds nan"),
    (scores, guarded(lambda x, k: near(x, k, skip=0)), "no neighbor of its own"),
    (scores, guarded(lambda x, k: near(x, k + 1)), "one neighbor too many"),
    (scores, guarded(lambda x, k: near(x, len(x))), "sum over all others"),
    (scores, guarded(lambda x, k: near(x, k, power=1)), "to be squared"),
    (scores, guarded(lambda x, k: near(x, k, power=4)), "squared twice"),
    (scores, guarded(lambda x, k: np.sqrt(near(x, k))), "no root"),
    (scores, guarded(lambda x, k: near(x, k) / k), "not the mean"),
    (scores, guarded(lambda x, k: near(x, len(x) - 1) - near(x, len(x) - 1 - k)), "farthest"),
    (scores, lambda x, f: near(x, len(x) - f - 2), "raise a ValueError"),
    (scores, centring, "changed what it was given"),
    (best, lambda x, s, m: 1.0, "One row of 3 numbers"),
    (best, lambda x, s, m: x[np.argsort(s)[:m]], r"shape \(3, 3\)"),
    (best, lambda x, s, m: np.full(x.shape[1], np.nan), r"holds nan.\n.*m = 3"),
    (best, lambda x, s, m: x[np.argsort(s)[:m]].sum(axis=0), "divide by m"),
    (best, lambda x, s, m: x[np.argsort(-s)[:m]].mean(axis=0), "largest scores"),
    (best, lambda x, s, m: x[s.argmin()], "best row alone"),
    (best, lambda x, s, m: x[:m].mean(axis=0), "as they came"),
    (best, lambda x, s, m: x.mean(axis=0), "mean of all rows"),
    (best, lambda x, s, m: x[np.argsort(s)[: m + 1]].mean(axis=0), "one row too many"),
    (best, in_place, "changed what it was given"),
]
