"""Metrics by hand, intervals by coverage, and what a forecast earns after costs."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from byzlib.metrics import (
    Interval,
    accuracy,
    attack_success,
    balanced_accuracy,
    holm,
    majority_share,
    max_drawdown,
    paired_difference,
    positions,
    profit_and_loss,
    sharpe,
    t_interval,
    turnover,
)

# --- accuracies ---

Y = np.array([0, 0, 0, 0, 1, 1, 2, 2])
GUESS = np.array([0, 0, 0, 1, 1, 0, 1, 2])


def test_by_hand():
    """And stacked: the second guess is right everywhere, the third always names one class."""
    stacked = np.stack([GUESS, Y, np.zeros_like(Y)])
    assert accuracy(Y, stacked).tolist() == [5 / 8, 1, majority_share(Y)]
    assert balanced_accuracy(Y, stacked).tolist() == [(3 / 4 + 1 / 2 + 1 / 2) / 3, 1, 1 / 3]
    assert attack_success(Y, stacked, source=0, target=1).tolist() == [1 / 4, 0, 0]
    assert np.isnan(attack_success(Y, GUESS, source=3, target=1))
    assert majority_share(np.stack([Y, np.ones_like(Y)])).tolist() == [1 / 2, 1]


# --- intervals over seeds ---


def test_t_interval_by_hand():
    """1, 2, 3: mean 2, s = 1, t of 2 degrees of freedom at 97.5 % is 4.3027."""
    interval = t_interval([1, 2, 3])
    assert np.isclose(interval.mean, 2) and np.isclose(interval.half_width, 4.302653 / np.sqrt(3))
    assert f"{Interval(71.25, 70.0, 72.5):.1f}" == "71.2 +- 1.2"


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(19)
    seed_effect = rng.normal(0, 10, 12)
    a = 70 + seed_effect + rng.normal(0, 0.5, 12)
    b = 69 + seed_effect + rng.normal(0, 0.5, 12)
    difference = paired_difference(a, b)
    assert difference.interval == t_interval(a - b) and difference.is_positive
    assert difference.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert not paired_difference(b, a).is_positive
    assert difference.interval.half_width < 1 < t_interval(a).half_width
    assert paired_difference([1, 2], [1, 2]).p_value == 1
    assert paired_difference([2, 3], [1, 2]).p_value == 0


def test_holm_as_statsmodels_has_it():
    """statsmodels 0.15.0, stats.multitest.multipletests(p, method="holm"); rows stack."""
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.5, 0.04])
    wanted = np.array([0.05, 0.12, 0.12, 0.03, 0.5, 0.12])
    np.testing.assert_allclose(holm(p), wanted)
    np.testing.assert_allclose(holm([[p, p[::-1]]]), [[wanted, wanted[::-1]]])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_holm_properties(p, random):
    adjusted = holm(p)
    assert holm([]).shape == (0,)
    bonferroni = np.minimum(1, len(p) * np.array(p))
    assert (adjusted >= p).all() and (adjusted <= bonferroni + 1e-15).all()
    order = list(range(len(p)))
    random.shuffle(order)
    # Ties may change places, their results may not.
    np.testing.assert_array_equal(holm(np.array(p)[order]), adjusted[order])


# --- what a forecast earns ---

SIDES = arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 2))


def test_profit_by_hand():
    stand = positions([2, 2, 1, 0])
    assert stand.tolist() == [1, 1, 0, -1]
    profit = profit_and_loss([0.02, -0.01, 0.05, 0.03], stand, fee=0.001, slippage=0.0005)
    # In: one side. Out: one side. In on the other side and out at the end: two sides.
    np.testing.assert_allclose(profit, [0.02 - 0.0015, -0.01, -0.0015, -0.03 - 0.003])
    assert turnover(stand) == 1.0
    assert turnover(np.ones(10)) == pytest.approx(0.2)
    assert turnover(np.resize([1.0, -1.0], 1000)) == pytest.approx(2, abs=0.001)
    assert max_drawdown([0.02, -0.01, -0.03, 0.05, -0.01]) == pytest.approx(0.04)
    assert max_drawdown([-0.02, 0.5]) == pytest.approx(0.02)


@given(SIDES, st.floats(0, 0.01), st.floats(0, 0.01), st.integers(0, 2**32 - 1))
def test_costs_are_turnover_times_their_rate(classes, fee, slippage, seed):
    stand = positions(classes)
    r = np.random.default_rng(seed).normal(0, 0.01, len(stand))
    gross = profit_and_loss(r, stand, 0)
    np.testing.assert_array_equal(gross, stand * r)
    paid = (gross - profit_and_loss(r, stand, fee, slippage)).sum()
    assert paid == pytest.approx((fee + slippage) * turnover(stand) * len(stand), abs=1e-12)
    assert (profit_and_loss(-r, -stand, fee) == profit_and_loss(r, stand, fee)).all()


@given(arrays(float, st.integers(1, 30), elements=st.floats(-1, 1)))
def test_drawdown_is_the_largest_loss_of_any_stretch(profit):
    account = np.concatenate([[0.0], np.cumsum(profit)])
    worst = max(account[i] - account[j] for j in range(len(account)) for i in range(j + 1))
    assert max_drawdown(profit) == pytest.approx(max(worst, 0), abs=1e-12)


def test_stacks_are_as_many_calls():
    rng = np.random.default_rng(0)
    r, stand = rng.normal(0, 0.01, (3, 1, 200)), positions(rng.integers(0, 3, (4, 200)))
    profit, together = profit_and_loss(r, stand, 0.001), sharpe(profit_and_loss(r, stand, 0.001), 9)
    assert profit.shape == (3, 4, 200) and turnover(stand).shape == (4,)
    for i, j in np.ndindex(3, 4):
        one = profit_and_loss(r[i, 0], stand[j], 0.001)
        assert one.tolist() == profit[i, j].tolist()
        assert sharpe(one, 9) == pytest.approx([part[i, j] for part in together])
        assert max_drawdown(one) == max_drawdown(profit)[i, j]
        assert turnover(stand[j]) == turnover(stand)[j]


def test_sharpe_is_mean_over_standard_deviation_in_years():
    profit = np.random.default_rng(0).normal(0.1, 1, 1000)
    found = sharpe(profit, 252)
    assert found.mean == pytest.approx(np.sqrt(252) * profit.mean() / profit.std())
    assert sharpe(3 * profit, 252) == pytest.approx(found)
    assert sharpe(-profit, 252) == pytest.approx((-found.mean, -found.high, -found.low))
    assert sharpe(profit, 252, level=0.5).half_width < found.half_width
    # The formula: moments m and v, their covariance after Newey and West, the delta method.
    moments = np.stack([profit - profit.mean(), profit**2 - (profit**2).mean()])
    covariance = moments @ moments.T
    for k in range(1, 7):  # floor(4 (1000 / 100)^(2/9)) lags
        lagged = (1 - k / 7) * moments[:, k:] @ moments[:, :-k].T
        covariance += lagged + lagged.T
    m, v = profit.mean(), profit.var()
    slope = np.array([(v + m**2), -m / 2]) / v**1.5
    error = np.sqrt(slope @ covariance @ slope) / 1000
    assert sharpe(profit, 1).half_width == pytest.approx(stats.norm.ppf(0.975) * error)


def test_an_account_that_never_moves_has_no_ratio():
    profit = np.zeros((2, 50))
    profit[1, 3] = 1
    found = sharpe(profit, 365)
    assert np.isnan(found.mean[0]) and np.isnan(found.low[0])
    assert np.isfinite([found.mean[1], found.low[1]]).all()


@pytest.mark.parametrize("rate", [1e-3, 1e-5, 1e-7])
def test_rounding_is_no_risk_and_no_difference(rate):
    prices = (1 + rate) ** np.arange(50.0)
    profit = prices[1:] / prices[:-1] - 1
    assert np.ptp(profit) > 0 and np.isnan(sharpe(profit, 365)).all()
    assert paired_difference([0.1 + 0.2] * 3, [0.3] * 3) == ((0, 0, 0), 1)
    assert np.isfinite(sharpe(1 + rate * np.sin(np.arange(50.0)), 365)).all()  # and this is one


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_results_have_no_favourite_unit(size):
    x = np.array([1.0, 2, 4])
    assert sharpe(size * x, 365) == pytest.approx(sharpe(x, 365))
    assert t_interval(size * x) == pytest.approx([size * edge for edge in t_interval(x)])
    assert paired_difference(size * x, x).p_value == pytest.approx(
        stats.ttest_1samp(x, 0).pvalue if size > 1 else stats.ttest_1samp(-x, 0).pvalue
    )


@pytest.mark.parametrize("measure", [accuracy, balanced_accuracy, paired_difference,
                                     partial(attack_success, source=0, target=1),
                                     partial(profit_and_loss, fee=0.0)])  # fmt: skip
def test_series_are_not_paired_by_position(measure):
    """A forecast that stands one bar late would be paid for what it has seen."""
    times = pd.date_range("2025-01-01", periods=4, freq="5min", tz="UTC")
    a, b = pd.Series([0.0, 1, 1, 0], times), pd.Series([1.0, 1, 0, 0], times)
    plain = measure(a.to_numpy(), b.to_numpy())
    for same in (measure(a, b), measure(a, b.to_numpy()), measure(a.to_numpy(), b)):
        assert repr(same) == repr(plain)
    with pytest.raises(ValueError, match="their indexes differ"):
        measure(a[:-1], b[1:])
    with pytest.raises(TypeError, match="takes no masked arrays"):
        measure(np.ma.array([0.0, 1], mask=[0, 1]), [0.0, 1])


# --- what is wrong is said ---

BARS = np.arange(9.0)
BAD = [
    (lambda: accuracy([1, 2], [1]), ValueError, r"got \(2,\) and \(1,\)"),
    (lambda: balanced_accuracy([], []), ValueError, "m >= 1"),
    (lambda: majority_share([]), ValueError, "m >= 1"),
    (lambda: majority_share(np.ma.array([0, 1])), TypeError, "takes no masked arrays"),
    (lambda: positions(np.ma.array([0, 1])), TypeError, "takes no masked arrays"),
    (lambda: t_interval([1.0]), ValueError, "at least 2 values"),
    (lambda: t_interval([1.0, np.nan]), ValueError, "a diverged run has no mean"),
    (lambda: t_interval([1.0, 2.0], level=95), ValueError, r"level in \(0, 1\); got level = 95"),
    (lambda: paired_difference([1, 2, 3], [1]), ValueError, r"many seeds; got \(3,\), \(1,\)"),
    (lambda: holm([0.5, 1.5]), ValueError, r"between 0 and 1; got \[0.5, 1.5\]"),
    (lambda: positions([0, 3]), ValueError, "0 .Down., 1 .Flat., 2 .Up."),
    (lambda: profit_and_loss([1, 2], [0], 0), ValueError, "as many returns as positions; got .2,"),
    (lambda: profit_and_loss([1], [0], -0.1), ValueError, "fee finite and >= 0; got fee = -0.1"),
    (lambda: max_drawdown([1, np.nan]), ValueError, "max_drawdown needs finite"),
    (lambda: turnover(3.0), ValueError, "turnover needs bars"),
    (lambda: sharpe(BARS, 365, level=1.0), ValueError, r"sharpe needs level in \(0, 1\)"),
    (lambda: sharpe(BARS, 0), ValueError, "sharpe needs bars_per_year > 0"),
    (lambda: sharpe(BARS[:2], 365), ValueError, "T >= 3"),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD)
def test_illegal_use(call, error, words):
    with pytest.raises(error, match=words):
        call()
