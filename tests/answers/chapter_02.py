"""Answers to the exercises of chapter 02: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib.aggregators import median, trimmed_mean
from byzlib.checks import careful_trimmed_mean as careful
from byzlib.checks import pushed_farther
from tests.answers.experiment import answers


def trimmed(reports, f, bad=np.isfinite, lower=1, refuse=True):
    x = np.array(reports, dtype=float)
    left = np.sort(x[bad(x)])
    f = f - lower * (len(x) - len(left))
    if f < 0:
        if refuse:
            raise ValueError("too many")
        f = 0
    return left[f : len(left) - f].mean()


def trimmed_by_crossing_out(reports, f):
    left = [r for r in reports if np.isfinite(r)]
    if len(reports) - len(left) > f:
        raise ValueError("too many")
    for _ in range(f - len(reports) + len(left)):
        left.remove(min(left))
        left.remove(max(left))
    return sum(left) / len(left)


def refusing_too_much(reports, f):
    if f and len(reports) - np.isfinite(reports).sum() >= f:
        raise ValueError("too many")
    return trimmed(reports, f)


def spoiling(reports, f):
    value = trimmed(reports, f)
    if not np.isfinite(reports[0]):
        del reports[0]
    return value


def pushes(draw, liars, seeds, first=False):
    """Of the trimmed mean and of the median, seed by seed."""
    rows = np.array([draw(seed) for seed in seeds])[..., None]
    rows[:, :, 10 - liars :] = 1e6
    if first:
        rows[:, :, 10 - liars :] = -1e6
    return trimmed_mean(rows, 3).mean(axis=(1, 2)), median(rows).mean(axis=(1, 2))


def downward(draw, liars, seeds):
    return pushes(draw, liars, seeds, first=True)


WORDS = ("trimmed mean", "median")
PUSHED = answers(pushes, WORDS)


RIGHT = [
    *[(pushed_farther, answer) for answer in PUSHED[0]],
    (careful, trimmed),
    (careful, trimmed_by_crossing_out),
]

WRONG = [
    *[(pushed_farther, answer, hint) for answer, hint in PUSHED[1]],
    (careful, lambda r, f: None, "returns None"),
    (careful, lambda r, f: "2", r"2.2 is wanted; yours is 2.\n.*f = 2"),
    (careful, lambda r, f: np.mean(r[f : len(r) - f]), "sort the reports"),
    (careful, lambda r, f: np.mean(sorted(r)[: len(r) - f]), "not only the top"),
    (careful, lambda r, f: np.mean(sorted(r)[f:]), "not only the bottom"),
    (careful, lambda r, f: trimmed(r, f // 2), "took half of them"),
    (careful, lambda r, f: trimmed(r, max(f, 1)), "f = 0 is the mean"),
    (careful, lambda r, f: np.nan if np.isnan(r).any() else trimmed(r, f), "came through"),
    (careful, lambda r, f: trimmed(r, f, bad=lambda x: x == x), "sorts inf to an end"),
    (careful, lambda r, f: np.mean(np.sort(r)[f : len(r) - f]), "sorts nan to an end"),
    (careful, lambda r, f: trimmed(r, f, lower=0), "lower f by as many"),
    (careful, lambda r, f: trimmed(r, f, refuse=False), "raise a ValueError"),
    (
        careful,
        lambda r, f: trimmed(r, f) + (not np.isfinite(r[0])),
        r"2.2 is wanted; yours is 3.2.\n.*reports = \[nan.*f = 3",
    ),
    (
        careful,
        lambda r, f: trimmed(r, f) if np.isfinite(r).sum() + f > len(r) else [][0],
        "IndexError",
    ),
    (careful, refusing_too_much, r"k = 2 broken reports are not more than f = 2"),
    (careful, lambda r, f: trimmed(r, f) if f else np.nanmean(r), "k = 1 .* more than f = 0"),
    (careful, spoiling, "changed what it was given"),
    (pushed_farther, answers(downward, WORDS)[0][0], "is wanted at place"),
    (pushed_farther, answers(lambda d, n, s: pushes(d, 0, s), WORDS)[0][0], "is wanted at place"),
]
