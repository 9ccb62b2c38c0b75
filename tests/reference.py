"""The rules once more, slowly: loops that say what the paper says, one number at a time.

Wherever a definition asks which is smaller, whole fractions decide: no rounding, no overflow.
"""

import itertools
from fractions import Fraction

import numpy as np


def squared_distance(a, b):
    return sum(((Fraction(p) - Fraction(q)) ** 2 for p, q in zip(a, b, strict=True)), Fraction())


def mean(rows):
    return [
        float(sum(map(Fraction, column), Fraction()) / len(rows))
        for column in zip(*rows, strict=True)
    ]


def krum_scores(rows, f, neighbours=None, power=1):
    """Exact scores; `neighbours` and `power` give the other definitions that go by this name."""
    n = len(rows)
    scores = []
    for i in range(n):
        others = sorted(squared_distance(rows[i], rows[j]) for j in range(n) if j != i)
        scores.append(sum(distance**power for distance in others[: neighbours or n - f - 2]))
    return scores


def krum(rows, f, **definition):
    scores = krum_scores(rows, f, **definition)
    best = min(range(len(rows)), key=lambda i: (scores[i], tuple(rows[i])))
    return list(rows[best])


def multi_krum(rows, f, m):
    scores = krum_scores(rows, f)
    ranked = sorted(range(len(rows)), key=lambda i: (scores[i], tuple(rows[i])))
    return mean([rows[i] for i in ranked[:m]])


def trimmed_mean(rows, f):
    n = len(rows)
    return [mean([[v] for v in sorted(c)[f : n - f]])[0] for c in zip(*rows, strict=True)]


def median(rows):
    n = len(rows)
    return [
        mean([[ordered[(n - 1) // 2]], [ordered[n // 2]]])[0]
        for ordered in map(sorted, zip(*rows, strict=True))
    ]


def mean_near_median(rows, count):
    """Mean of the `count` values nearest the median, the smaller first of equally near ones."""
    result, n = [], len(rows)
    for column in zip(*rows, strict=True):
        ordered = sorted(map(Fraction, column))
        middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
        near = sorted(ordered, key=lambda v: (abs(v - middle), v))[:count]
        result.append(float(sum(near) / count))
    return result


def mean_around_median(rows, f):
    return mean_near_median(rows, len(rows) - f)


def bulyan(rows, f, by_value=True):
    """n - 2f rounds of Krum on what is left, then the n - 4f values nearest the median.

    The closest pair of the last rounds has equal scores: its first in the dictionary, or in the
    list where `by_value` is False.
    """
    n, left, chosen = len(rows), list(rows), []
    while len(chosen) < n - 2 * f:
        scores = krum_scores(left, f, neighbours=max(1, len(left) - f - 2))
        best = min(range(len(left)), key=lambda i: (scores[i], tuple(left[i]) * by_value))
        chosen.append(left.pop(best))
    return mean_near_median(chosen, n - 4 * f)


def minimum_diameter_average(rows, f):
    """Every subset of n - f; ties by the sum of squared distances, then by the dictionary."""

    def size(subset):
        pairs = [squared_distance(a, b) for a, b in itertools.combinations(subset, 2)]
        return max(pairs, default=0), sum(pairs)

    ordered = sorted(map(tuple, rows))
    subsets = itertools.combinations(ordered, len(rows) - f)
    return mean(min(subsets, key=lambda subset: (*size(subset), subset)))


def nearest_neighbor_mixing(rows, f):
    """The n - f nearest of each row: itself, then by distance, then by the dictionary."""
    mixed = []
    for i, row in enumerate(rows):
        others = [other for j, other in enumerate(rows) if j != i]
        others.sort(key=lambda other: (squared_distance(row, other), tuple(other)))
        mixed.append(mean([row, *others[: len(rows) - f - 1]]))
    return mixed


def length(row):
    """Square root of the exact sum of squares, to the last digits of extended precision."""
    size = max(abs(Fraction(v)) for v in row)
    if size == 0:
        return np.longdouble(0)
    parts = [np.longdouble(float(Fraction(v) / size)) for v in row]
    return np.longdouble(float(size)) * np.sqrt(sum(part**2 for part in parts))


def clip_norms(rows, radius):
    factors = [float(min(1, radius / length(row))) if any(row) else 1.0 for row in rows]
    return [[factor * v for v in row] for factor, row in zip(factors, rows, strict=True)]


def adaptive_clipping(rows, f):
    n = len(rows)
    k = 2 * f * (n - f) // n
    norms = sorted(map(length, rows), reverse=True)
    return clip_norms(rows, norms[k])


def centered_clipping(rows, radius, center, n_iter):
    v = list(center)
    for _ in range(n_iter):
        pulls = clip_norms([[a - b for a, b in zip(row, v, strict=True)] for row in rows], radius)
        v = [b + step for b, step in zip(v, mean(pulls), strict=True)]
    return v


def geometric_median(rows, steps=400):
    """In extended precision: a row that passes Vardi and Zhang's test, else Weiszfeld and Newton.

    Rows on one line, an even number of them, have no unique median and no business here.
    """
    x = np.array(rows, dtype=np.longdouble)
    for row in x:
        away = x[(x != row).any(axis=1)] - row
        pull = (away / _norms(away)[:, None]).sum(axis=0)
        if _norms(pull[None])[0] <= len(x) - len(away):
            return row.astype(float)
    z = np.median(x, axis=0) + np.median(_norms(x - np.median(x, axis=0))) / 1000
    for _ in range(steps):
        weight = 1 / _norms(x - z)
        z = (weight[:, None] * x).sum(axis=0) / weight.sum()
    for _ in range(30):
        gradient, step = _newton(x, z)
        # Halved until the gradient shrinks; at the end none does.
        tries = [z - step / 2**k for k in range(20)]
        z = next((y for y in tries if _newton(x, y)[0] < gradient), z)
    return z.astype(float)


def _newton(x, z):
    """Length of the gradient in extended precision, and a step whose Hessian is in ordinary one."""
    distance = _norms(z - x)
    unit = (z - x) / distance[:, None]
    outer = np.einsum("ij,ik->ijk", unit, unit)
    inverse = distance.min() / distance
    hessian = ((np.eye(x.shape[1]) - outer) * inverse[:, None, None]).sum(axis=0)
    pull = unit.sum(axis=0)
    step = np.linalg.lstsq(hessian.astype(float), pull.astype(float), rcond=None)[0]
    return _norms(pull[None])[0], distance.min() * step


def _norms(rows):
    return np.sqrt((rows**2).sum(axis=-1))


def gradient_of_distances(rows, z):
    """|sum over rows away from z of unit vectors|, less the number of rows at z: <= 0 at a median.

    Vardi and Zhang, PNAS 2000; in extended precision.
    """
    away = np.array(rows, dtype=np.longdouble) - np.asarray(z, dtype=np.longdouble)
    distance = _norms(away)
    unit = away[distance > 0] / distance[distance > 0, None]
    return float(_norms(unit.sum(axis=0)[None])[0]) - int((distance == 0).sum())


def kept_share(rows, low, high):
    """Expected share of the kept places when equal values are ordered by a fair coin."""
    n, d = len(rows), len(rows[0])
    share = [0.0] * n
    for j in range(d):
        column = [row[j] for row in rows]
        orders = [
            p
            for p in itertools.permutations(range(n))
            if all(column[p[k]] <= column[p[k + 1]] for k in range(n - 1))
        ]
        for order in orders:
            for i in order[low:high]:
                share[i] += 1 / len(orders) / (high - low) / d
    return share
