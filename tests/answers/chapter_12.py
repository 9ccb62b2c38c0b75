"""Answers to the exercises of chapter 12: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib import checks
from tests.answers.experiment import answers


def labels_by_loop(close, threshold):
    out = []
    for now, after in zip(close[:-1], close[1:], strict=True):
        change = after / now - 1
        out.append(2 if change > threshold else 0 if change < -threshold else 1)
    return out


def labels_by_array(close, threshold):
    change = np.diff(close) / close[:-1]
    return np.where(change > threshold, 2, np.where(change < -threshold, 0, 1))


def labels_of(change, threshold):
    return np.sign(change) * (abs(change) > threshold) + 1


def shadow(o, h, low, c):
    span = h - low
    return np.where(span > 0, (h - np.maximum(o, c)) / np.where(span > 0, span, 1), 0)


RIGHT = [
    (checks.next_labels, labels_by_loop),
    (checks.next_labels, labels_by_array),
    (checks.upper_shadow, shadow),
    (checks.upper_shadow, lambda o, h, low, c: shadow(o, h, low, c).tolist()),
]


WRONG = [
    (checks.next_labels, lambda c, t: [*labels_by_loop(c, t), 1], "the last bar has no next"),
    (checks.next_labels, lambda c, t: [1, *labels_by_loop(c, t)][:-1], "describe the bar itself"),
    (checks.next_labels, lambda c, t: labels_by_loop(c, t)[::-1], "reverse order"),
    (checks.next_labels, lambda c, t: [2 - k for k in labels_by_loop(c, t)], "changed places"),
    (
        checks.next_labels,
        lambda c, t: labels_by_loop(c, 0.02),
        r"\[2, 1, 0, 1, 0\] is wanted; yours[^$]*close = ",
    ),
    (checks.next_labels, lambda c, t: labels_of(np.diff(c), t), "a difference of prices"),
    (checks.next_labels, lambda c, t: labels_of(1 - c[:-1] / c[1:], t), "the close before it"),
    (checks.next_labels, lambda c, t: labels_of(np.diff(np.log(c)), t), "that is the logarithm"),
    (checks.next_labels, lambda c, t: 2 * (c[1:] > c[:-1]), "no Flat in your labels"),
    (
        checks.next_labels,
        lambda c, t: labels_by_loop(c[:-1], t) + [2 * (c[-1] > c[-2])],
        r"\[1, 1\] is wanted; yours \[1.0, 0.0\][^$]*threshold = 0.25",
    ),
    (
        checks.next_labels,
        lambda c, t: [
            2 if b / a - 1 >= t else 0 if b / a - 1 <= -t else 1
            for a, b in zip(c[:-1], c[1:], strict=True)
        ],
        "exactly the threshold is Flat",
    ),
    (checks.upper_shadow, lambda o, h, low, c: (h - np.maximum(o, c)) / (h - low), "high = low"),
    (checks.upper_shadow, lambda o, h, low, c: shadow(c, h, low, c), "starts at its open"),
    (
        checks.upper_shadow,
        lambda o, h, low, c: np.where(h > low, shadow(o, h, low, c), 1.0),
        "has no shadow",
    ),
    (
        checks.upper_shadow,
        lambda o, h, low, c: (h - np.maximum(o, c)) / 4 * (h > low),
        "at place 4",
    ),
    (checks.upper_shadow, lambda o, h, low, c: shadow(o, h, low, c) * (h - low > 1), "at place"),
    (checks.upper_shadow, lambda o, h, low, c: shadow(o, h, low, c) * (o != c), "open = close"),
    (checks.upper_shadow, lambda o, h, low, c: shadow(-o, -low, -h, -c), "the lower shadow"),
    (checks.upper_shadow, lambda o, h, low, c: shadow(o, h, low, o), "starts at its close"),
    (checks.upper_shadow, lambda o, h, low, c: h - np.maximum(o, c), "divide by high - low"),
    (
        checks.upper_shadow,
        lambda o, h, low, c: (h - low - abs(o - c)) / np.where(h > low, h - low, 1),
        "both shadows",
    ),
]


def purged(closes, horizon, start, gap=None, rows=None):
    """Shares right without a purge and with one, by market."""
    gap, rows = gap or horizon, rows or horizon
    shares = []
    for row in closes:
        up = [row[t + horizon] > row[t] for t in range(start + horizon)]
        test = up[start : start + rows]
        shares.append([np.mean([u == up[last] for u in test]) for last in (start - 1, start - gap)])
    return np.transpose(shares)


def one_more(closes, horizon, start):
    return purged(closes, horizon, start, gap=horizon + 1)


PURGE = answers(purged, ("leak", "purge wins"))
RIGHT += [(checks.purge_trial, answer) for answer in PURGE[0]]
WRONG += [(checks.purge_trial, answer, hint) for answer, hint in PURGE[1]]
WRONG += [(checks.purge_trial, answers(one_more, ("leak", "purge wins"))[0][0], "is wanted at")]
