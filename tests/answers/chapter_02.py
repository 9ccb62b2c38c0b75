"""Answers to the exercises of chapter 02: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib.checks import careful_trimmed_mean as careful
from byzlib.checks import influence


def influence_by_loop(rule, honest, y):
    honest = np.array(honest, dtype=float)[:, None]
    return [rule(np.append(honest, [[v]], axis=0)).item() - rule(honest).item() for v in y]


def influence_by_stacking(rule, honest, y):
    rows = np.tile([*honest, 0.0], (len(y), 1))
    rows[:, -1] = y
    alone = rule(rows[0, :-1, None])
    return np.array([rule(row[:, None]) - alone for row in rows])[:, 0]


def replacing(rule, honest, y):
    x = np.array(honest, dtype=float)[:, None]
    return [rule(np.append(x[:-1], [[v]], axis=0)).item() - rule(x).item() for v in y]


def growing(rule, honest, y):
    answers = influence_by_loop(rule, honest, y)
    honest.append(0.0)
    return answers


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


RIGHT = [
    (influence, influence_by_loop),
    (influence, influence_by_stacking),
    (careful, trimmed),
    (careful, trimmed_by_crossing_out),
]

WRONG = [
    (influence, lambda r, h, y: 0.0, r"shape \(\), not \(3,\)"),
    (influence, lambda r, h, y: "flat", "One number for each"),
    (influence, lambda r, h, y: [np.nan] * 3, "finite number is wanted; yours holds nan"),
    (influence, lambda r, h, y: [r(np.array([[*h, v]]).T).item() for v in y], "is the answer with"),
    (influence, lambda r, h, y: -np.array(influence_by_loop(r, h, y)), "the other way"),
    (influence, lambda r, h, y: (len(h) + 1) * np.array(influence_by_loop(r, h, y)), "n times"),
    (influence, lambda r, h, y: len(h) * np.array(influence_by_loop(r, h, y)), "n - 1 times"),
    (influence, replacing, "took the place of an honest one"),
    (influence, growing, "changed what it was given"),
    (influence, lambda r, h, y: (np.array(y) - np.mean(h)) / 5, "the median moves by"),
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
]
