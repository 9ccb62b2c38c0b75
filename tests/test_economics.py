"""What a forecast earns: costs, turnover, drawdown, and a Sharpe ratio whose interval covers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib.metrics import (
    max_drawdown,
    positions,
    profit_and_loss,
    sharpe,
    turnover,
)

SIDES = arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 2))


def test_by_hand():
    stand = positions([2, 2, 1, 0])
    assert stand.tolist() == [1, 1, 0, -1]
    profit = profit_and_loss([0.02, -0.01, 0.05, 0.03], stand, fee=0.001, slippage=0.0005)
    # In: one side. Out: one side. In on the other side and out at the end: two sides.
    np.testing.assert_allclose(profit, [0.02 - 0.0015, -0.01, -0.0015, -0.03 - 0.003])
    assert turnover(stand) == 1.0
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


def test_never_trading_costs_nothing_and_holding_costs_two_sides():
    assert turnover(np.zeros(9)) == 0 and turnover(np.ones(10)) == pytest.approx(0.2)
    assert (profit_and_loss(np.ones(9), np.zeros(9), 1.0) == 0).all()
    swapping = np.resize([1.0, -1.0], 1000)
    assert turnover(swapping) == pytest.approx(2, abs=0.001)


def test_a_position_meets_the_return_that_follows_it():
    r = np.random.default_rng(0).normal(0, 1, 500)
    assert profit_and_loss(r, np.sign(r), 0).sum() == pytest.approx(np.abs(r).sum())
    assert profit_and_loss(r, np.roll(np.sign(r), 1), 0).sum() < np.abs(r).sum() / 2


@given(arrays(float, st.integers(1, 30), elements=st.floats(-1, 1)))
def test_drawdown_is_the_largest_loss_of_any_stretch(profit):
    account = np.concatenate([[0.0], np.cumsum(profit)])
    worst = max(account[i] - account[j] for j in range(len(account)) for i in range(j + 1))
    assert max_drawdown(profit) == pytest.approx(max(worst, 0), abs=1e-12)


def test_stacks_are_as_many_calls():
    rng = np.random.default_rng(0)
    r, stand = rng.normal(0, 0.01, (3, 1, 200)), positions(rng.integers(0, 3, (4, 200)))
    profit = profit_and_loss(r, stand, 0.001)
    assert profit.shape == (3, 4, 200) and turnover(stand).shape == (4,)
    assert max_drawdown(profit).shape == (3, 4)
    together = sharpe(profit, 365)
    assert together.low.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            one = profit_and_loss(r[i, 0], stand[j], 0.001)
            assert one.tolist() == profit[i, j].tolist()
            assert sharpe(one, 365) == pytest.approx([part[i, j] for part in together])
            assert max_drawdown(one) == max_drawdown(profit)[i, j]


def test_sharpe_is_mean_over_standard_deviation_in_years():
    profit = np.random.default_rng(0).normal(0.1, 1, 1000)
    found = sharpe(profit, 252)
    assert found.mean == pytest.approx(np.sqrt(252) * profit.mean() / profit.std())
    assert sharpe(3 * profit, 252) == pytest.approx(found)
    assert sharpe(-profit, 252) == pytest.approx((-found.mean, -found.high, -found.low))
    assert sharpe(profit, 252, level=0.5).half_width < found.half_width
    # Without lags and for normal profits the variance of the ratio is (1 + S^2 / 2) / T.
    big = np.random.default_rng(1).normal(1, 1, 200_000)
    plain = sharpe(big, 1, lags=0)
    assert plain.half_width == pytest.approx(1.96 * np.sqrt(1.5 / 200_000), rel=0.02)


def draws(kind, rng, runs, T):
    """Profits of many accounts whose true ratio per bar is 0.1."""
    z = rng.standard_normal((runs, T + 1))
    if kind == "fat tails":
        z = rng.standard_t(5, z.shape) / np.sqrt(5 / 3)
    if kind == "repeating":  # MA(1) with correlation .4 between neighbours
        return 0.1 + (z[:, 1:] + 0.5 * z[:, :-1]) / np.sqrt(1.25)
    return 0.1 + z[:, 1:]


@pytest.mark.parametrize("kind", ["normal", "fat tails", "repeating"])
def test_nineteen_of_twenty_intervals_hold_the_truth(kind):
    found = sharpe(draws(kind, np.random.default_rng(0), 2000, 1000), 1)
    covered = np.mean((found.low <= 0.1) & (0.1 <= found.high))
    assert 0.92 < covered < 0.965


def test_without_lags_the_interval_of_repeating_profits_is_too_narrow():
    found = sharpe(draws("repeating", np.random.default_rng(0), 2000, 1000), 1, lags=0)
    assert np.mean((found.low <= 0.1) & (0.1 <= found.high)) < 0.9


def test_an_account_that_never_moves_has_no_ratio():
    profit = np.zeros((2, 50))
    profit[1, 3] = 1
    found = sharpe(profit, 365)
    assert np.isnan(found.mean[0]) and np.isnan(found.low[0])
    assert np.isfinite([found.mean[1], found.low[1]]).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="0 .Down., 1 .Flat., 2 .Up."):
        positions([0, 3])
    with pytest.raises(ValueError, match="as many returns as positions; got .3,. and .2,."):
        profit_and_loss([1, 2, 3], [0, 1], 0)
    for costs, name in [((-0.1,), "fee"), ((np.nan,), "fee"), ((0, np.inf), "slippage")]:
        with pytest.raises(ValueError, match=f"needs {name} >= 0"):
            profit_and_loss([1, 2], [0, 1], *costs)
    with pytest.raises(ValueError, match="max_drawdown needs finite"):
        max_drawdown([1, np.nan])
    with pytest.raises(ValueError, match="turnover needs bars"):
        turnover(3.0)
    for options in [{"level": 1.0}, {"bars_per_year": 0}, {"lags": 9}, {"lags": -1}]:
        with pytest.raises(ValueError, match="sharpe needs"):
            sharpe(**({"profit": np.arange(9.0), "bars_per_year": 365} | options))
    with pytest.raises(ValueError, match="T >= 3"):
        sharpe([1.0, 2.0], 365)
    with pytest.raises(TypeError, match="lags"):
        sharpe(np.arange(9.0), 365, lags=1.5)
