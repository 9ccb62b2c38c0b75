"""Answers to the exercises of chapter 01: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib import checks
from tests.answers.experiment import answers


def steer_equal(honest, target, f):
    lie = ((len(honest) + f) * target - honest.sum(axis=0)) / f
    return np.tile(lie, (f, 1))


def steer_with_decoys(honest, target, f):
    rows = np.zeros((f, honest.shape[1]))
    rows[0] = (len(honest) + f) * target - honest.sum(axis=0)
    return rows


def survived(rule, n):
    honest = np.linspace(0, 1, n)[:, None]
    for k in range(1, n + 1):
        for sign in (1, -1):
            rows = honest.copy()
            rows[:k] = sign * 1e9
            if not -10 < rule(rows).item() < 10:
                return k - 1
    return n


def points(train, loudness, seeds):
    """Of the median and of the mean, seed by seed."""
    return [[100 * train(rule, loudness, seed) for seed in seeds] for rule in ("median", "mean")]


def shares(train, loudness, seeds):
    return np.divide(points(train, loudness, seeds), 100)


GAIN = answers(points, ("median", "mean"))


RIGHT = [
    *[(checks.gain, answer) for answer in GAIN[0]],
    (checks.steer_together, steer_equal),
    (checks.steer_together, steer_with_decoys),
    (checks.steer_together, lambda h, t, f: steer_equal(h, t, f).tolist()),
    (checks.liars_survived, survived),
    (checks.liars_survived, lambda rule, n: np.int64(survived(rule, n))),
]


def spoil(honest, target, f):
    lies = steer_equal(honest, target, f)
    honest += 1
    return lies


def survived_upward(rule, n):
    rows = np.linspace(0, 1, n)[:, None]
    for k in range(n):
        rows[k] = 1e9
        if not -10 < rule(rows).item() < 10:
            return k
    return n


def survived_downward(rule, n):
    return survived_upward(lambda rows: -rule(-rows), n)


WRONG = [
    (checks.liars_survived, lambda rule, n: min(survived(rule, n), n - 2), "go on up to n"),
    *[(checks.gain, answer, hint) for answer, hint in GAIN[1]],
    (checks.steer_together, lambda h, t, f: steer_equal(h, t, f)[0], r"f?.*shape \(3,\)"),
    (
        checks.steer_together,
        lambda h, t, f: np.tile((len(h) + 1) * t - h.sum(0), (f, 1)),
        "together they overshoot",
    ),
    (
        checks.steer_together,
        lambda h, t, f: np.tile((len(h) * t - h.sum(0)) / f, (f, 1)),
        "the mean came to",
    ),
    (checks.steer_together, lambda h, t, f: np.tile(t, (f, 1)), "the mean came to"),
    (checks.steer_together, spoil, "changed what it was given"),
    (checks.liars_survived, lambda rule, n: survived(rule, n) + 1, "the last it survives"),
    (checks.liars_survived, lambda rule, n: n // 2, "you found 5"),
    (checks.liars_survived, lambda rule, n: 0, "survives 4; you found 0"),
    (checks.liars_survived, survived_upward, "down as well as up"),
    (checks.liars_survived, survived_downward, "down as well as up"),
    (
        checks.liars_survived,
        lambda rule, n: float(survived(rule, n)),
        "whole number is wanted; got 0.0",
    ),
    (checks.gain, answers(shares, ("median", "mean"))[0][0], "is wanted at place"),
    (checks.gain, answers(lambda t, c, s: points(t, 3, s), ("median", "mean"))[0][0], "at place"),
]
