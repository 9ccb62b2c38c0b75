"""The checkers: right answers in several dresses pass, each likely wrong one gets its own hint."""

import pkgutil
import statistics
from pathlib import Path

import numpy as np
import pytest

from byzlib import checks


def middle_by_sorting(reports):
    ordered = sorted(reports)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


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


def labels_by_loop(close, threshold):
    out = []
    for now, after in zip(close[:-1], close[1:], strict=True):
        change = after / now - 1
        out.append(2 if change > threshold else 0 if change < -threshold else 1)
    return out


def labels_by_array(close, threshold):
    change = np.diff(close) / close[:-1]
    return np.where(change > threshold, 2, np.where(change < -threshold, 0, 1))


def shadow(o, h, low, c):
    span = h - low
    return np.where(span > 0, (h - np.maximum(o, c)) / np.where(span > 0, span, 1), 0)


RIGHT = [
    (checks.middle, middle_by_sorting),
    (checks.middle, statistics.median),
    (checks.middle, np.median),
    (checks.steer_together, steer_equal),
    (checks.steer_together, steer_with_decoys),
    (checks.steer_together, lambda h, t, f: steer_equal(h, t, f).tolist()),
    (checks.liars_survived, survived),
    (checks.liars_survived, lambda rule, n: np.int64(survived(rule, n))),
    (checks.next_labels, labels_by_loop),
    (checks.next_labels, labels_by_array),
    (checks.upper_shadow, shadow),
    (checks.upper_shadow, lambda o, h, low, c: shadow(o, h, low, c).tolist()),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass(check, answer, capsys):
    check(answer)
    assert capsys.readouterr().out.endswith("right.\n")


def steal_last(reports):
    reports.pop()
    return 2.5


def survived_upward(rule, n):
    rows = np.linspace(0, 1, n)[:, None]
    for k in range(n):
        rows[k] = 1e9
        if not -10 < rule(rows).item() < 10:
            return k
    return n


def spoil(honest, target, f):
    lies = steer_equal(honest, target, f)
    honest += 1
    return lies


def todo(*args):
    raise NotImplementedError


WRONG = [
    (checks.middle, todo, "still to do"),
    (checks.middle, None, "hand over the function itself; got None"),
    (checks.middle, np.mean, "that is the mean"),
    (checks.middle, lambda x: sorted(x)[len(x) // 2], "two in the middle, 2 and 3"),
    (checks.middle, lambda x: sorted(x)[(len(x) - 1) // 2], "two in the middle, 2 and 3"),
    (checks.middle, lambda x: 2.5, "one report is its own middle"),
    (checks.middle, lambda x: (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2, "sort"),
    (checks.middle, lambda x: "2.5 or so", "One number is wanted"),
    (checks.middle, lambda x: 1 / 0, "stopped with ZeroDivisionError"),
    (checks.middle, steal_last, "changed the list"),
    (checks.steer_together, todo, "still to do"),
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
    (checks.steer_together, spoil, "changed the honest rows"),
    (checks.liars_survived, todo, "still to do"),
    (checks.liars_survived, lambda rule, n: survived(rule, n) + 1, "the last it survives"),
    (checks.liars_survived, lambda rule, n: n // 2, "you found 5"),
    (checks.liars_survived, lambda rule, n: 0, "survives 4; you found 0"),
    (checks.liars_survived, survived_upward, "down as well as up"),
    (checks.liars_survived, lambda rule, n: float(survived(rule, n)), "whole number; got 0.0"),
    (checks.next_labels, todo, "still to do"),
    (checks.next_labels, lambda c, t: [*labels_by_loop(c, t), 1], "the last bar has no next"),
    (checks.next_labels, lambda c, t: [1, *labels_by_loop(c, t)][:-1], "describe the bar itself"),
    (checks.next_labels, lambda c, t: labels_by_loop(c, t)[::-1], "reverse order"),
    (checks.next_labels, lambda c, t: [2 - k for k in labels_by_loop(c, t)], "changed places"),
    (checks.next_labels, lambda c, t: labels_by_loop(c, 0.02), "for closes"),
    (
        checks.next_labels,
        lambda c, t: labels_by_loop(c[:-1], t) + [2 * (c[-1] > c[-2])],
        "the threshold is Flat",
    ),
    (
        checks.next_labels,
        lambda c, t: [
            2 if b / a - 1 >= t else 0 if b / a - 1 <= -t else 1
            for a, b in zip(c[:-1], c[1:], strict=True)
        ],
        "exactly the threshold is Flat",
    ),
    (checks.upper_shadow, todo, "still to do"),
    (checks.upper_shadow, lambda o, h, low, c: (h - np.maximum(o, c)) / (h - low), "high = low"),
    (checks.upper_shadow, lambda o, h, low, c: shadow(c, h, low, c), "starts at its open"),
    (
        checks.upper_shadow,
        lambda o, h, low, c: np.where(h > low, shadow(o, h, low, c), 1.0),
        "has no shadow",
    ),
    (checks.upper_shadow, lambda o, h, low, c: (h - np.maximum(o, c)) / 4 * (h > low), "doubling"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(check, answer, hint):
    with np.errstate(all="ignore"), pytest.raises(checks.NotYet, match=hint):
        check(answer)


def test_every_checker_is_tested_both_ways():
    mine = {f"byzlib.checks.chapter_{number}" for number in ("00", "01", "10")}
    checkers = {f for f in vars(checks).values() if getattr(f, "__module__", "") in mine}
    assert checkers == {check for check, _ in RIGHT} == {check for check, *_ in WRONG}


def test_every_chapter_with_checkers_has_its_tests():
    here = Path(__file__).parent
    modules = {module.name for module in pkgutil.iter_modules(checks.__path__)} - {"_form"}
    tested = {f"chapter_{path.stem[-2:]}" for path in here.glob("test_checks_*.py")}
    assert modules == tested | {"chapter_00", "chapter_01", "chapter_10"}
