"""The rules once more, slowly: loops that say what the paper says, one number at a time."""

import itertools


def squared_distance(a, b):
    return sum((float(p) - float(q)) ** 2 for p, q in zip(a, b, strict=True))


def krum_scores(rows, f):
    n = len(rows)
    scores = []
    for i in range(n):
        others = sorted(squared_distance(rows[i], rows[j]) for j in range(n) if j != i)
        scores.append(sum(others[: n - f - 2]))
    return scores


def krum(rows, f):
    scores = krum_scores(rows, f)
    best = min(range(len(rows)), key=lambda i: (scores[i], tuple(rows[i])))
    return list(rows[best])


def multi_krum(rows, f, m):
    scores = krum_scores(rows, f)
    ranked = sorted(range(len(rows)), key=lambda i: (scores[i], tuple(rows[i])))
    return [sum(column) / m for column in zip(*(rows[i] for i in ranked[:m]), strict=True)]


def trimmed_mean(rows, f):
    n = len(rows)
    columns = [sorted(column)[f : n - f] for column in zip(*rows, strict=True)]
    return [sum(kept) / len(kept) for kept in columns]


def median(rows):
    middle = []
    for column in zip(*rows, strict=True):
        ordered = sorted(column)
        n = len(ordered)
        middle.append((ordered[(n - 1) // 2] + ordered[n // 2]) / 2)
    return middle


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
