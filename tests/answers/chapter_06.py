"""Answers to the exercises of chapter 06: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib import checks


def gaps(x):
    return np.linalg.norm(x[:, None] - x, axis=-1)


def mix_by_sorting(x, f):
    return x[np.argsort(gaps(x), axis=1)[:, : len(x) - f]].mean(axis=1)


def mix_by_loop(x, f):
    rows = []
    for row in x:
        near = sorted(x.tolist(), key=lambda other: sum((row - np.array(other)) ** 2))
        rows.append(
            [sum(column) / (len(x) - f) for column in zip(*near[: len(x) - f], strict=True)]
        )
    return rows


def mix_by_matrix(x, f):
    kept = gaps(x) <= np.sort(gaps(x), axis=1)[:, [len(x) - f - 1]]
    return kept @ x / (len(x) - f)


def clip_by_maximum(x, center, radius):
    pull = x - center
    length = np.linalg.norm(pull, axis=1, keepdims=True)
    return center + (pull * radius / np.maximum(length, radius)).mean(axis=0)


def clip_by_loop(x, center, radius):
    total = [0.0] * len(center)
    for row in x:
        pull = [a - b for a, b in zip(row, center, strict=True)]
        length = sum(p * p for p in pull) ** 0.5
        factor = radius / length if length > radius else 1.0
        total = [t + factor * p for t, p in zip(total, pull, strict=True)]
    return [c + t / len(x) for c, t in zip(center, total, strict=True)]


RIGHT = [
    (checks.mix, mix_by_sorting),
    (checks.mix, mix_by_loop),
    (checks.mix, mix_by_matrix),
    (checks.clip_around, clip_by_maximum),
    (checks.clip_around, clip_by_loop),
]


def nearest(x, start, stop):
    return x[np.argsort(gaps(x), axis=1)[:, start:stop]].mean(axis=1)


def spoiled(x, f):
    value = mix_by_sorting(x, f)
    x += 1
    return value


def wrong_at_the_end(x, f):
    value = mix_by_sorting(x, f)
    value[0] += 1e-12
    value[-1] += 1
    return value


def mix_by_products(x, f):
    gram = x @ x.T
    apart = np.diagonal(gram)[:, None] + np.diagonal(gram) - 2 * gram
    return x[np.argsort(apart, axis=1)[:, : len(x) - f]].mean(axis=1)


def without_the_center(x, center, radius):
    pull, length = pulled(x, center, radius)
    apart = length[:, 0] > 0
    if not apart.any():
        return center
    pull, length = pull[apart], length[apart]
    return center + (pull * np.minimum(1, radius / length)).mean(axis=0)


def pulled(x, center, radius):
    pull = x - center
    return pull, np.linalg.norm(pull, axis=1, keepdims=True)


def stretched(x, center, radius):
    pull, length = pulled(x, center, radius)
    return center + (pull * radius / length).mean(axis=0)


def careless_on_the_center(x, center, radius):
    pull, length = pulled(x, center, radius)
    return center + (pull * np.where(length > 0, np.minimum(1, radius / length), np.nan)).mean(0)


def squared(x, center, radius):
    pull, length = pulled(x, center, radius)
    return center + (pull * np.minimum(1, radius / length**2)).mean(axis=0)


def dropped(x, center, radius):
    pull, length = pulled(x, center, radius)
    return center + (pull * (length <= radius)).mean(axis=0)


def moved_center(x, center, radius):
    value = clip_by_maximum(x, center, radius)
    center += value
    return value


def from_zero(x, center, radius):
    return clip_by_maximum(x, 0 * center, radius)


WRONG = [
    (checks.mix, lambda x, f: "rows", "6 rows of 3 numbers are wanted"),
    (checks.mix, lambda x, f: x[: len(x) - f], r"shape \(4, 3\), not \(6, 3\)"),
    (checks.mix, lambda x, f: np.full(x.shape, np.nan), "finite number is wanted"),
    (checks.mix, lambda x, f: x.mean(axis=0), "a new row for each client"),
    (checks.mix, lambda x, f: mix_by_sorting(x, f) * (len(x) - f), "sums; divide by n - f"),
    (checks.mix, lambda x, f: mix_by_sorting(x, f) * (len(x) - f) / len(x), "you divide by n;"),
    (checks.mix, lambda x, f: nearest(x, 1, len(x) - f + 1), "its own neighbour"),
    (checks.mix, lambda x, f: nearest(x, 1, len(x) - f), "the row among them"),
    (checks.mix, lambda x, f: nearest(x, 0, len(x) - f + 1), "a neighbour too many"),
    (checks.mix, lambda x, f: nearest(x, 0, max(f, 1)), "the f nearest"),
    (checks.mix, lambda x, f: nearest(x, f, len(x)), "the farthest rows"),
    (checks.mix, lambda x, f: x.copy(), "as they were"),
    (
        checks.mix,
        lambda x, f: mix_by_sorting(x, f) + 0.1,
        r"row 0 is the mean of rows \[0, 2, 3, 4\], \[1.7.*; yours \[1.8",
    ),
    (checks.mix, wrong_at_the_end, r"row 5 is the mean of rows"),
    (checks.mix, mix_by_products, r"row . is the mean of rows .*10000000"),
    (checks.mix, spoiled, "changed what it was given"),
    (checks.clip_around, lambda x, v, r: [][0], "stopped with IndexError"),
    (checks.clip_around, lambda x, v, r: x, r"a center has 3 numbers"),
    (checks.clip_around, lambda x, v, r: clip_by_maximum(x, v, r) - v, "add the center"),
    (
        checks.clip_around,
        lambda x, v, r: v + len(x) * (clip_by_maximum(x, v, r) - v),
        "their average is wanted",
    ),
    (checks.clip_around, stretched, "stretch short pulls"),
    (checks.clip_around, from_zero, "clip around zero"),
    (checks.clip_around, lambda x, v, r: v + from_zero(x, v, r), "subtract the center first"),
    (
        checks.clip_around,
        lambda x, v, r: v + np.clip(x - v, -r, r).mean(axis=0),
        "each number by itself",
    ),
    (checks.clip_around, squared, "squared length"),
    (checks.clip_around, dropped, "shortened, not dropped"),
    (checks.clip_around, lambda x, v, r: x.mean(axis=0), "nothing was clipped"),
    (checks.clip_around, careless_on_the_center, "has length 0"),
    (checks.clip_around, without_the_center, "left out the rows on the center"),
    (checks.clip_around, moved_center, "changed what it was given"),
    (checks.clip_around, lambda x, v, r: clip_by_maximum(x, v, r) + 1, "is wanted at place 0"),
    (
        checks.clip_around,
        lambda x, v, r: clip_by_maximum(x, v, r) if (x != v).any() else v * 0,
        "it stays where it is",
    ),
]
