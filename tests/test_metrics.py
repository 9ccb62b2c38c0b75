"""Metrics by hand, intervals by coverage."""

import numpy as np
import pytest

from byzlib.metrics import (
    Interval,
    accuracy,
    attack_success,
    balanced_accuracy,
    majority_share,
    paired_difference,
    t_interval,
)

Y = np.array([0, 0, 0, 0, 1, 1, 2, 2])
GUESS = np.array([0, 0, 0, 1, 1, 0, 1, 2])


def test_by_hand():
    assert accuracy(Y, GUESS) == 5 / 8
    assert balanced_accuracy(Y, GUESS) == (3 / 4 + 1 / 2 + 1 / 2) / 3
    assert majority_share(Y) == 1 / 2
    assert attack_success(Y, GUESS, source=0, target=1) == 1 / 4
    assert np.isnan(attack_success(Y, GUESS, source=3, target=1))


def test_always_naming_one_class():
    """However common the class, balanced accuracy is one third."""
    always = np.zeros_like(Y)
    assert accuracy(Y, always) == majority_share(Y)
    assert balanced_accuracy(Y, always) == 1 / 3


def test_leading_axes():
    stacked = np.stack([GUESS, Y])
    assert accuracy(Y, stacked).tolist() == [5 / 8, 1]
    assert balanced_accuracy(Y, stacked).tolist() == [balanced_accuracy(Y, GUESS), 1]
    assert attack_success(Y, stacked, 0, 1).tolist() == [1 / 4, 0]
    assert majority_share(np.stack([Y, np.ones_like(Y)])).tolist() == [1 / 2, 1]


def test_t_interval_by_hand():
    """1, 2, 3: mean 2, s = 1, t of 2 degrees of freedom at 97.5 % is 4.3027."""
    interval = t_interval([1, 2, 3])
    assert np.isclose(interval.mean, 2) and np.isclose(interval.half_width, 4.302653 / np.sqrt(3))
    assert f"{Interval(71.25, 70.0, 72.5):.1f}" == "71.2 +- 1.2"


def test_t_interval_covers():
    rng = np.random.default_rng(17)
    hits = 0
    for _ in range(2000):
        interval = t_interval(rng.normal(5, 2, 10))
        hits += interval.low <= 5 <= interval.high
    assert abs(hits / 2000 - 0.95) < 0.015


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(19)
    seed_effect = rng.normal(0, 10, 12)
    a = 70 + seed_effect + rng.normal(0, 0.5, 12)
    b = 69 + seed_effect + rng.normal(0, 0.5, 12)
    difference = paired_difference(a, b)
    assert difference.is_better and difference.p_value < 0.01
    assert not paired_difference(b, a).is_better
    assert difference.interval.half_width < 1 < t_interval(a).half_width


def test_paired_p_value_is_uniform_when_nothing_differs():
    rng = np.random.default_rng(23)
    p = [paired_difference(*rng.standard_normal((2, 8))).p_value for _ in range(2000)]
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 0.015
    assert paired_difference([1, 2], [1, 2]).p_value == 1
    assert paired_difference([2, 3], [1, 2]).p_value == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: accuracy([1, 2], [1]), r"got \(2,\) and \(1,\)"),
        (lambda: balanced_accuracy([], []), "m >= 1"),
        (lambda: majority_share([]), "m >= 1"),
        (lambda: t_interval([1.0]), "at least 2 values"),
        (lambda: t_interval([1.0, np.nan]), "a diverged run has no mean"),
        (lambda: t_interval([1.0, 2.0], level=95), "0 < level < 1; got 95"),
        (lambda: paired_difference([1, 2, 3], [1, 2]), r"equally many seeds; got \(3,\), \(2,\)"),
    ],
)
def test_illegal_use(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
