"""Answers to the exercises of chapter 07: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib import checks
from byzlib.aggregators import bucketing, median
from tests.answers.experiment import answers


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


def clip_by_maximum(x, center):
    pull = x - center
    length = np.linalg.norm(pull, axis=1, keepdims=True)
    radius = np.median(length)
    if radius == 0:
        factor = np.where(length > 0, 0.0, 1.0)
    else:
        factor = radius / np.maximum(length, radius)
    return center + (pull * factor).mean(axis=0)


def clip_by_loop(x, center):
    pulls = [[a - b for a, b in zip(row, center, strict=True)] for row in x]
    lengths = [sum(p * p for p in pull) ** 0.5 for pull in pulls]
    low, high = sorted(lengths)[(len(x) - 1) // 2], sorted(lengths)[len(x) // 2]
    radius, total = (low + high) / 2, [0.0] * len(center)
    for pull, length in zip(pulls, lengths, strict=True):
        factor = radius / length if length > radius else 1.0
        total = [t + factor * p for t, p in zip(total, pull, strict=True)]
    return [c + t / len(x) for c, t in zip(center, total, strict=True)]


def crowd_of(honest, liars, scale=-10.0):
    middle = honest.mean(axis=1)
    lies = np.repeat(scale * middle[:, None], liars, axis=1)
    return np.concatenate([honest, lies], axis=1), middle


def bucketed(honest, liars, s):
    rows, middle = crowd_of(honest, liars)
    both = median(bucketing(rows, s, rng=0)), median(rows)
    return [np.linalg.norm(answer - middle, axis=1) for answer in both]


def bucketed_with_numpy(honest, liars, s):
    middle = np.mean(honest, axis=1)
    lie = -10 * middle
    rows = np.stack([np.vstack([x, *[y] * liars]) for x, y in zip(honest, lie, strict=True)])
    both = np.median(bucketing(rows, s, rng=0), axis=1), np.median(rows, axis=1)
    return [((answer - middle) ** 2).sum(axis=1) ** 0.5 for answer in both]


def bucketed_round_by_round(honest, liars, s):
    rows, middle = crowd_of(honest, liars)
    in_buckets = np.array([median(bucketing(row, s, rng=0)) for row in rows])
    return [np.linalg.norm(answer - middle, axis=1) for answer in (in_buckets, median(rows))]


def bucketed_from_zero(honest, liars, s):
    rows, _ = crowd_of(honest, liars)
    both = median(bucketing(rows, s, rng=0)), median(rows)
    return [np.linalg.norm(answer, axis=1) for answer in both]


def bucketed_quietly(honest, liars, s):
    rows, middle = crowd_of(honest, liars, -1.0)
    both = median(bucketing(rows, s, rng=0)), median(rows)
    return [np.linalg.norm(answer - middle, axis=1) for answer in both]


def bucketed_in_pairs(honest, liars, s):
    return bucketed(honest, liars, 2)


WORDS = ("buckets", "plain")
BUCKETS = answers(bucketed, WORDS)


RIGHT = [
    (checks.mix, mix_by_sorting),
    (checks.mix, mix_by_loop),
    (checks.mix, mix_by_matrix),
    (checks.clip_by_median, clip_by_maximum),
    (checks.clip_by_median, clip_by_loop),
    *[(checks.bucket_trial, answer) for answer in BUCKETS[0]],
    (checks.bucket_trial, answers(bucketed_with_numpy, WORDS)[0][0]),
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


def pulled(x, center):
    pull = x - center
    length = np.linalg.norm(pull, axis=1, keepdims=True)
    return pull, length, np.median(length)


def short_pulls_whole(x, center):
    pull, length, radius = pulled(x, center)
    return center + (pull * np.where(length > 1, radius / np.maximum(length, radius), 1)).mean(0)


def stretched(x, center):
    pull, length, radius = pulled(x, center)
    return center + (pull * radius / np.maximum(length, 1e-300)).mean(axis=0)


def careless_on_the_center(x, center):
    pull, length, radius = pulled(x, center)
    return center + (pull * radius / np.maximum(length, radius)).mean(axis=0)


def dropped(x, center):
    pull, length, radius = pulled(x, center)
    return center + (pull * (length <= radius)).mean(axis=0)


def without_the_still(x, center):
    return clip_by_maximum(x[(x != center).any(axis=1)], center)


def careless_average(x, center):
    away = max((x != center).any(axis=1).sum(), 1)
    return center + (clip_by_maximum(x, center) - center) * len(x) / away


def radius_of_the_moving(x, center):
    pull, length, _ = pulled(x, center)
    radius = np.median(length[length > 0])
    return center + (pull * radius / np.maximum(length, radius)).mean(axis=0)


def own_radius(find):
    def wrong(x, center):
        pull, length, _ = pulled(x, center)
        return center + (pull * find(x) / np.maximum(length, find(x))).mean(axis=0)

    return wrong


def by_number(x, center):
    pull, _, radius = pulled(x, center)
    return center + np.clip(pull, -radius, radius).mean(axis=0)


def moved_center(x, center):
    value = clip_by_maximum(x, center)
    center += value
    return value


WRONG = [
    (checks.clip_by_median, short_pulls_whole, "is wanted at place"),
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
    (checks.clip_by_median, lambda x, v: [][0], "stopped with IndexError"),
    (checks.clip_by_median, lambda x, v: x, r"a center has 3 numbers"),
    (checks.clip_by_median, lambda x, v: clip_by_maximum(x, v) - v, "add the center"),
    (
        checks.clip_by_median,
        lambda x, v: v + len(x) * (clip_by_maximum(x, v) - v),
        "their average is wanted",
    ),
    (checks.clip_by_median, stretched, "stretch short pulls"),
    (checks.clip_by_median, lambda x, v: clip_by_maximum(x - v, 0 * v), "add the center"),
    (checks.clip_by_median, careless_average, "belongs to the average"),
    (checks.clip_by_median, by_number, "each number by itself"),
    (checks.clip_by_median, dropped, "shortened, not dropped"),
    (checks.clip_by_median, radius_of_the_moving, "their distance, 0, belongs"),
    (checks.clip_by_median, without_the_still, "you left out the rows on the center"),
    (checks.clip_by_median, lambda x, v: x.mean(axis=0), "nothing was clipped"),
    (
        checks.clip_by_median,
        own_radius(lambda x: np.median(np.linalg.norm(x, axis=1))),
        "not of the rows",
    ),
    (
        checks.clip_by_median,
        own_radius(lambda x: np.median(np.linalg.norm(x - x.mean(axis=0), axis=1))),
        "not to the average",
    ),
    (checks.clip_by_median, careless_on_the_center, "you divided by it"),
    (checks.clip_by_median, moved_center, "changed what it was given"),
    (checks.clip_by_median, lambda x, v: clip_by_maximum(x, v) + 1, "is wanted at place 0"),
    (
        checks.clip_by_median,
        lambda x, v: clip_by_maximum(x, v) if (x != v).any() else v * 0,
        "it stays where it is",
    ),
    *[(checks.bucket_trial, answer, hint) for answer, hint in BUCKETS[1]],
    (checks.bucket_trial, answers(bucketed_round_by_round, WORDS)[0][0], "in one call"),
    (checks.bucket_trial, answers(bucketed_from_zero, WORDS)[0][0], "not to zero"),
    (checks.bucket_trial, answers(bucketed_quietly, WORDS)[0][0], "ten times the average"),
    (checks.bucket_trial, answers(bucketed_in_pairs, WORDS)[0][0], "s = 3: .*is wanted at"),
]
