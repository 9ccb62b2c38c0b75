"""Metrics by hand, intervals by coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from byzlib.metrics import (
    Interval,
    accuracy,
    attack_success,
    balanced_accuracy,
    bootstrap_interval,
    holm,
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


def test_bootstrap_interval_covers_where_students_fails():
    """Nine runs of ten hold, one collapses: Student's interval reaches beyond every run."""
    values = [0.85] * 9 + [0.05]
    assert t_interval(values).high > max(values)
    interval = bootstrap_interval(values)
    assert min(values) <= interval.low < interval.mean < interval.high <= max(values)
    assert bootstrap_interval(values) == interval  # the same draws every time
    assert bootstrap_interval([0.5] * 10) == Interval(0.5, 0.5, 0.5)


def test_bootstrap_interval_covers():
    rng = np.random.default_rng(29)
    hits = 0
    for _ in range(300):
        interval = bootstrap_interval(rng.exponential(1, 40), draws=999, rng=rng)
        hits += interval.low <= 1 <= interval.high
    assert 0.89 < hits / 300 < 0.98  # 0.92 to 0.93 is what BCa reaches with 40 such values


def test_holm_by_hand():
    """.005 * 4, .01 * 3, .03 * 2 and then not below the one before."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1] and holm([0.2]).tolist() == [0.2]
    assert holm([]).shape == (0,)


def test_holm_keeps_the_familys_error():
    """Ten true nulls that depend on each other: a false verdict in at most 5 % of families."""
    rng = np.random.default_rng(31)
    shared = rng.standard_normal((4000, 1))
    z = np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.standard_normal((4000, 10))
    p = 2 * stats.norm.sf(np.abs(z))
    false = np.array([(holm(row) <= 0.05).any() for row in p])
    assert (p <= 0.05).any(axis=1).mean() > 0.2  # what no correction would give
    assert false.mean() < 0.055


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_holm_properties(p, random):
    adjusted = holm(p)
    bonferroni = np.minimum(1, len(p) * np.array(p))
    assert (adjusted >= p).all() and (adjusted <= bonferroni + 1e-15).all()
    order = list(range(len(p)))
    random.shuffle(order)
    # Ties may change places, their results may not.
    np.testing.assert_array_equal(holm(np.array(p)[order]), adjusted[order])


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
        (lambda: bootstrap_interval([1.0]), "bootstrap_interval needs at least 2 values"),
        (lambda: bootstrap_interval([1.0, 2.0], draws=0), "draws >= 1; got 0"),
        (lambda: holm([0.5, 1.5]), r"between 0 and 1; got \[0.5, 1.5\]"),
        (lambda: holm([np.nan]), "between 0 and 1"),
        (lambda: holm(0.5), "one row"),
    ],
)
def test_illegal_use(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
