"""Answers to the exercises of chapter 03: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib.aggregators import krum, mean, multi_krum
from byzlib.attacks import sign_flip
from byzlib.checks import average_best as best
from byzlib.checks import farther_forward
from tests.answers.experiment import answers


def best_by_partition(updates, scores, m):
    return updates[np.argpartition(scores, m - 1)[:m]].sum(axis=0) / m


def best_by_loop(updates, scores, m):
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    return [sum(updates[i][j] for i in order[:m]) / m for j in range(updates.shape[1])]


def in_place(updates, scores, m):
    value = best_by_partition(updates, scores, m)
    scores.sort()
    return value


def best_by_weights(updates, scores, m):
    chosen = np.argsort(np.argsort(scores)) < m
    return chosen @ updates / m


def steps(draw, g, loudness, seeds, robust=multi_krum):
    """Of the mean and of a robust rule, seed by seed."""
    honest = np.array([draw(seed) for seed in seeds])
    rows = np.concatenate([honest, sign_flip(honest, 3, scale=loudness)], axis=-2)
    return [(answer @ g / (g @ g)).mean(axis=1) for answer in (mean(rows), robust(rows, 3))]


WORDS = ("mean", "Multi-Krum")
STEPS = answers(steps, WORDS)


RIGHT = [
    *[(farther_forward, answer) for answer in STEPS[0]],
    (best, best_by_weights),
    (best, best_by_partition),
    (best, best_by_loop),
]

WRONG = [
    *[(farther_forward, answer, hint) for answer, hint in STEPS[1]],
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
    (farther_forward, answers(lambda *x: steps(*x, krum), WORDS)[0][0], "is wanted at place"),
]
