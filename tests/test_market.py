"""The simulated market looks like the real one and gives no direction away; the planted task."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm, rankdata

from byzlib import market
from byzlib.market import features
from byzlib.market.facts import REAL, measure

DAYS, SEEDS = 365, range(5)
LIQUID = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]


@pytest.fixture(scope="module")
def years():
    """Facts of five simulated years of BTCUSDT."""
    return pd.DataFrame({seed: measure(market.simulate("BTCUSDT", DAYS, seed)) for seed in SEEDS})


@pytest.mark.parametrize("name", REAL)
def test_simulated_years_are_like_the_real_one(years, name):
    _, low, high = REAL[name]
    assert low <= years.loc[name].mean() <= high


def test_no_year_is_far_off(years):
    inside = [years.loc[name].between(low, high).sum() for name, (_, low, high) in REAL.items()]
    assert sum(inside) >= 0.97 * len(REAL) * len(SEEDS)


def test_months_vary_as_real_ones_do():
    r = np.diff(np.log(market.simulate("BTCUSDT", 360, 0)["close"]), prepend=np.log(60_000))
    months = 1e4 * r.reshape(12, -1).std(axis=1)
    assert 8 < months.min() < months.max() < 22 and months.max() > 1.3 * months.min()


def auc(score, target):
    """P(a random positive scores above a random negative), ties counted half."""
    ranks, positive = rankdata(score), target.sum()
    above = ranks[target].sum() - positive * (positive + 1) / 2
    return above / positive / (len(target) - positive)


def test_size_of_the_next_move_can_be_told_and_its_direction_cannot():
    candles = market.simulate("BTCUSDT", 180, 1)
    X, y, times = features.dataset(candles, extended=True)
    size, fold = np.log(X[:, 6]), features.walk_forward(times, "120D", "60D", "70min")[0]
    train, test = fold.train_mask(times), fold.test_mask(times)
    A, B = features.standardize(X[train], X[test])
    A, B = (np.column_stack([np.ones(len(Z)), Z, np.abs(Z), w[:, None]])
            for Z, w in ((A, size[train]), (B, size[test])))  # fmt: skip
    move = np.linalg.lstsq(A, y[train] != 1.0, rcond=None)[0]
    assert 0.66 < auc(B @ move, y[test] != 1) < 0.76
    went, goes = y[train] != 1, y[test] != 1
    side = np.linalg.lstsq(A[went], y[train][went] == 2.0, rcond=None)[0]
    assert 0.485 < auc((B @ side)[goes], y[test][goes] == 2) < 0.515


def test_no_feature_tells_the_sign_of_the_next_return():
    candles = market.simulate("BTCUSDT", 240, 3)
    X, _, times = features.dataset(candles, extended=True)
    ahead = np.sign(np.diff(candles["close"]))[candles.index.get_indexer(times)]
    X = features.standardize(X)
    # Under a fair coin m^0.5 times this mean product is standard normal, column by column.
    z = np.abs(np.sqrt(len(X)) * (X * ahead[:, None]).mean(0) / X.std(0))
    assert z.max() < 4
    later = np.sqrt(len(X)) * np.mean(ahead[1:] * ahead[:-1])
    assert abs(later) < 4


def test_newest_first_order_does_tell_it():
    candles = market.simulate("BTCUSDT", 60, 3)
    reversed_ = candles[::-1].set_axis(candles.index)
    X, y, _ = features.dataset(reversed_)
    # The bar that is "next" moved against the sign of price_return: the fault that labels detect.
    assert np.corrcoef(X[:, 0], y)[0, 1] < -0.7
    X, y, _ = features.dataset(candles)
    assert abs(np.corrcoef(X[:, 0], y)[0, 1]) < 0.05


def test_candles_have_the_form_of_a_fetch():
    candles = market.simulate("ETHUSDT", 2, 0, start="2024-05-01")
    assert list(candles.columns) == ["open", "high", "low", "close", "volume", "turnover"]
    assert (candles.dtypes == np.float64).all()
    assert candles.index.name == "open_time" and str(candles.index.tz) == "UTC"
    assert candles.index[0] == pd.Timestamp("2024-05-01", tz="UTC") and len(candles) == 576
    assert candles.index.is_monotonic_increasing and candles.index.is_unique
    assert candles.attrs == {
        "source": "simulated",
        "category": "linear",
        "symbol": "ETHUSDT",
        "interval": "5",
        "gaps": [],
        "dropped": {},
    }


@pytest.mark.parametrize("name", LIQUID)
def test_prices_are_whole_ticks_and_volumes_whole_lots(name):
    candles, symbol = market.simulate(name, 20, 1), market.SYMBOLS[name]
    prices = candles[["open", "high", "low", "close"]].to_numpy()
    assert (np.rint(prices * symbol.ticks) / symbol.ticks == prices).all()
    volume = candles["volume"].to_numpy()
    assert (np.rint(volume * symbol.lots) / symbol.lots == volume).all() and volume.min() > 0
    o, h, low, c = prices.T
    assert (o[1:] == c[:-1]).all() and o[0] == symbol.price
    assert (h >= np.maximum(o, c)).all() and (low <= np.minimum(o, c)).all() and low.min() > 0
    np.testing.assert_allclose(candles["turnover"], volume * prices.mean(1), atol=0.0051)


def test_a_price_that_never_leaves_its_tick_still_trades(monkeypatch):
    stuck = market.Symbol(price=1.0, ticks=10, lots=1, volatility=1e-6, volume=1e-9)
    monkeypatch.setitem(market.SYMBOLS, "STUCK", stuck)
    candles = market.simulate("STUCK", 3, 0)
    assert (candles["high"] == candles["low"]).all() and (candles["volume"] >= 1).all()
    assert np.isfinite(features.dataset(candles)[0]).all()


def test_symbols_move_together():
    frames = market.simulate(LIQUID, 120, 0)
    assert list(frames) == LIQUID
    returns = np.array([np.diff(np.log(frame["close"])) for frame in frames.values()])
    correlations = np.corrcoef(returns)[np.triu_indices(3, 1)]
    assert np.abs(correlations - 0.80).max() < 0.05
    labels = [features.labels(frame).to_numpy() for frame in frames.values()]
    assert 0.60 < np.mean(labels[0] == labels[1]) < 0.85
    spread = returns.std(axis=1) * 1e4
    assert (np.abs(spread / [14.4, 21.6, 24.3] - 1) < 0.2).all()


def test_venues_are_near_copies_with_a_size_of_their_own():
    frames = market.simulate("BTCUSDT", 120, 0, venues=["north", "south", "east"])
    assert list(frames) == ["north", "south", "east"]
    returns = np.array([np.diff(np.log(frame["close"])) for frame in frames.values()])
    correlations = np.corrcoef(returns)[np.triu_indices(3, 1)]
    assert np.abs(correlations - 0.998).max() < 0.001
    labels = [features.labels(frame).to_numpy() for frame in frames.values()]
    assert 0.96 < np.mean(labels[0] == labels[1]) < 0.99
    volumes = np.log([frame["volume"] for frame in frames.values()])
    assert np.ptp(volumes.mean(axis=1)) > 0.3
    assert 0.85 < np.corrcoef(volumes)[0, 1] < 0.97
    for name, frame in frames.items():
        assert frame.attrs["venue"] == name
        assert (frame["open"].to_numpy()[1:] == frame["close"].to_numpy()[:-1]).all()
        assert len(features.dataset(frame)[0]) == len(frame) - 2


def test_what_is_drawn_beside_a_venue_does_not_change_it():
    alone = market.simulate("ETHUSDT", 3, 4, venues="south")
    both = market.simulate(["BTCUSDT", "ETHUSDT"], 3, 4, venues=["north", "south"])
    assert list(both) == [(v, s) for v in ("north", "south") for s in ("BTCUSDT", "ETHUSDT")]
    pd.testing.assert_frame_equal(alone, both["south", "ETHUSDT"])
    by_symbol = market.simulate(["ETHUSDT"], 3, 4, venues="south")
    pd.testing.assert_frame_equal(alone, by_symbol["ETHUSDT"])


def test_a_thin_symbol_has_candles_without_trades_and_without_a_range():
    candles = market.simulate("BALUSDT", 365, 0)
    o, h, low, c, v = candles.iloc[:, :5].to_numpy().T
    assert (o[1:] == c[:-1]).all() and (h >= np.maximum(o, c)).all()
    assert (low <= np.minimum(o, c)).all() and low.min() > 0
    still, idle = h == low, v == 0
    assert still[idle].all() and (candles["turnover"] == 0)[idle].all()
    assert 0.0006 < still.mean() < 0.028 and 0.0 < idle.mean() < 0.019
    assert still.sum() > idle.sum()
    X, _, times = features.dataset(candles)
    assert np.isfinite(X).all() and len(times) < len(candles) - 2
    r = np.diff(np.log(c))
    big = np.diff(np.log(market.simulate("BTCUSDT", 365, 0)["close"]))
    assert 0.55 < np.corrcoef(r, big)[0, 1] < 0.75
    assert 20 < 1e4 * r.std() < 32


def test_thin_venues_trade_at_times_of_their_own():
    a, b = market.simulate("BALUSDT", 60, 0, venues=["north", "south"]).values()
    idle = np.array([a["volume"] == 0, b["volume"] == 0])
    assert (idle.sum(axis=1) > 50).all() and idle.all(axis=0).sum() < idle.sum(axis=1).min() / 2


def test_regimes_change_what_they_say_and_leave_chance_alone():
    quiet = market.simulate("BTCUSDT", 60, 2)
    plan = {20: "turbulent", 40: market.Regime(volatility=0.5, drift=0.05)}
    frame = market.simulate("BTCUSDT", 60, 2, regimes=plan)
    assert frame["regime"].cat.categories[:2].tolist() == ["normal", "turbulent"]
    pd.testing.assert_frame_equal(frame.iloc[: 20 * 288, :6], quiet[: 20 * 288])
    r, s = (np.diff(np.log(f["close"]), prepend=np.log(60_000)) for f in (quiet, frame))
    ratio = [np.std(s[k]) / np.std(r[k]) for k in (slice(5760, 11520), slice(11520, None))]
    np.testing.assert_allclose(ratio, [2, 0.5], rtol=0.02)
    assert s[11520:].sum() - 0.5 * r[11520:].sum() == pytest.approx(20 * 0.05, abs=0.01)
    normal = market.simulate("BTCUSDT", 60, 2, regimes="normal")
    pd.testing.assert_frame_equal(normal.iloc[:, :6], quiet)


@pytest.mark.parametrize("name, memory", [("trending", 0.2), ("reverting", -0.2)])
def test_a_memory_lets_the_sign_be_guessed(name, memory):
    z = np.sign(np.diff(market.simulate("BTCUSDT", 200, 3, regimes=name)["close"]))
    again = np.mean(z[1:] == z[:-1])
    assert again == pytest.approx(0.5 + np.arcsin(memory) / np.pi, abs=0.012)


def test_a_crash_is_labelled_and_shared():
    at = pd.Timestamp("2025-01-20 21:15", tz="UTC")
    options = {"days": 40, "rng": 0, "regimes": {0: "trending"}}
    frames = market.simulate(list(market.SYMBOLS), crash=at, **options)
    without = market.simulate(list(market.SYMBOLS), **options)
    for name, frame in frames.items():
        upset = frame.index[frame["regime"] == "crash"]
        assert len(upset) == market.AFTERMATH + 1 and upset[0] == at
        assert frame.attrs["crash"] == {"at": at, "until": upset[-1]}
        pd.testing.assert_frame_equal(frame[:at].iloc[:-1, :6], without[name][:at].iloc[:-1, :6])
        fall = frame["close"][at] / frame["open"][at] - 1
        assert fall == pytest.approx(-market.SYMBOLS[name].crash, abs=0.025)
        wild, usual = (np.log(f["close"]).diff()[upset[1:]].std() for f in (frame, without[name]))
        assert 1.5 < wild / usual < 5
        assert frame["volume"][at] > 2 * without[name]["volume"][at]
        assert np.isfinite(features.dataset(frame)[0]).all()
    hourly = market.simulate("BTCUSDT", crash=at, interval=60, **options)
    assert hourly.attrs["crash"]["at"] == pd.Timestamp("2025-01-20 21:00", tz="UTC")
    assert (hourly["regime"] == "crash").sum() == 6


def test_a_seed_fixes_everything_and_nothing_else_does():
    one = market.simulate("BTCUSDT", 9, 7)
    pd.testing.assert_frame_equal(one, market.simulate("BTCUSDT", 9, np.random.default_rng(7)))
    pd.testing.assert_frame_equal(one, market.simulate(["ETHUSDT", "BTCUSDT"], 9, 7)["BTCUSDT"])
    pd.testing.assert_frame_equal(one, market.simulate("BTCUSDT", 30, 7)[: len(one)])
    assert not one.equals(market.simulate("BTCUSDT", 9, 8))
    rng = np.random.default_rng(7)
    assert not market.simulate("BTCUSDT", 1, rng).equals(market.simulate("BTCUSDT", 1, rng))


def test_longer_candles_are_merged_five_minute_candles():
    five, hour = (market.simulate("BTCUSDT", 3, 0, interval=k) for k in (5, 60))
    assert hour.attrs["interval"] == "60" and len(hour) == 72
    third = five[24:36]
    expected = [third["open"].iloc[0], third["high"].max(), third["low"].min()]
    expected += [third["close"].iloc[-1], third["volume"].sum(), third["turnover"].sum()]
    assert hour.index[2] == third.index[0]
    np.testing.assert_allclose(hour.iloc[2], expected, rtol=1e-12)
    assert len(features.engineer(hour)) == 71


def test_simulate_says_what_is_wrong():
    with pytest.raises(ValueError, match="no simulated symbol 'DOGEUSDT'; there are BTCUSDT"):
        market.simulate("DOGEUSDT")
    with pytest.raises(ValueError, match="days >= 1; got 0"):
        market.simulate(days=0)
    with pytest.raises(ValueError, match="interval of .* got 7"):
        market.simulate(interval=7)
    with pytest.raises(ValueError, match="midnight"):
        market.simulate(start="2025-01-01 00:05")
    with pytest.raises(TypeError, match="rng"):
        market.simulate(rng=None)
    with pytest.raises(TypeError, match="days"):
        market.simulate(days=1.5)
    with pytest.raises(ValueError, match="no regime 'wild'; there are normal, calm"):
        market.simulate(regimes="wild")
    with pytest.raises(ValueError, match="day from 0 to 29; got 30"):
        market.simulate(regimes={30: "calm"})
    with pytest.raises(TypeError, match="first day"):
        market.simulate(regimes={1.5: "calm"})
    with pytest.raises(ValueError, match="memory"):
        market.Regime(memory=1.0)
    for crash in ("2024-12-31 23:55", "2025-01-02 00:01"):
        with pytest.raises(ValueError, match="crash must be the open time of a candle"):
            market.simulate(crash=crash)
    for names in ([], [""], [1]):
        with pytest.raises(ValueError, match="name or a list of names"):
            market.simulate(venues=names)
    with pytest.raises(ValueError, match="each of venues once; got 'a' again"):
        market.simulate(venues=["a", "a"])


# Bayes accuracy, and balanced accuracy of the same classifier, found independently.
BAYES = {
    0.0: [0.333, 0.500, 0.333, 0.600, 0.333, 0.800, 0.333],
    0.001: [0.343, 0.500, 0.333, 0.600, 0.333, 0.800, 0.333],
    0.005: [0.354, 0.500, 0.333, 0.600, 0.333, 0.800, 0.333],
    0.01: [0.362, 0.500, 0.333, 0.600, 0.333, 0.800, 0.333],
    0.05: [0.399, 0.501, 0.338, 0.600, 0.334, 0.800, 0.333],
    0.2: [0.473, 0.530, 0.423, 0.610, 0.384, 0.800, 0.340],
    0.5: [0.589, 0.629, 0.581, 0.681, 0.555, 0.820, 0.473],
    0.9: [0.814, 0.838, 0.831, 0.858, 0.828, 0.912, 0.802],
    0.95: [0.869, 0.886, 0.882, 0.900, 0.882, 0.938, 0.867],
}


@pytest.mark.parametrize("r2", BAYES)
def test_planted_accuracy_matches_the_table(r2):
    found = [market.planted_signal_accuracy(r2, 1 / 3)]
    for p_flat in (0.5, 0.6, 0.8):
        found += [market.planted_signal_accuracy(r2, p_flat, balanced=b) for b in (False, True)]
    np.testing.assert_allclose(found, BAYES[r2], atol=0.00051)


@pytest.mark.parametrize("r2, p_flat", [(0.01, 1 / 3), (0.2, 0.6), (0.5, 0.2), (0.955, 0.7)])
def test_planted_accuracy_matches_numerical_integration(r2, p_flat):
    """The mean over s of the largest class probability, with the maximum left to the integrator."""
    tau, rho, rest = norm.isf((1 - p_flat) / 2), np.sqrt(r2), np.sqrt(1 - r2)

    def largest(s):
        down, up = norm.cdf((-tau - rho * s) / rest), norm.sf((tau - rho * s) / rest)
        return max(down, 1 - down - up, up) * norm.pdf(s)

    expected = quad(largest, -9, 9, limit=500, points=np.linspace(-3, 3, 25))[0]
    assert market.planted_signal_accuracy(r2, p_flat) == pytest.approx(expected, abs=1e-6)


def test_a_noiseless_signal_can_be_read_in_full():
    for p_flat in (0.1, 0.5, 0.9):
        assert market.planted_signal_accuracy(1, p_flat) == pytest.approx(1, abs=1e-9)
        assert market.planted_signal_accuracy(1, p_flat, balanced=True) == pytest.approx(1)


@pytest.mark.parametrize("r2, p_flat", [(0.955, 1 / 3), (0.5, 0.5), (0.2, 0.6)])
def test_the_best_classifier_scores_its_bayes_accuracy(r2, p_flat):
    m = 200_000
    X, y = market.planted_signal(m, r2, p_flat, 5)
    assert np.bincount(y) / m == pytest.approx(
        [(1 - p_flat) / 2, p_flat, (1 - p_flat) / 2], abs=0.005
    )
    s = X[:, :3] @ np.array([2, -1, 2]) / 3
    # Bayes' rule by counting: the likeliest class in narrow bins of the true signal.
    bins = np.digitize(s, np.linspace(-3, 3, 61))
    counts = np.zeros((62, 3))
    np.add.at(counts, (bins, y), 1)
    best = market.planted_signal_accuracy(r2, p_flat)
    assert counts.max(1).sum() / m == pytest.approx(best, abs=0.004)


def test_planted_signal_stacks_clients_and_turns_directions():
    X, y = market.planted_signal(50, 1.0, 0.5, 0, n_features=5, shape=(2, 10))
    assert X.shape == (2, 10, 50, 5) and y.shape == (2, 10, 50) and y.dtype.kind == "i"
    turned = np.zeros((10, 5))
    turned[:, 4] = -3.0
    X, y = market.planted_signal(50, 1.0, 0.5, 0, n_features=5, shape=(10,), direction=turned)
    np.testing.assert_array_equal(
        y, 1 + np.sign(-X[..., 4]) * (np.abs(X[..., 4]) > 0.6744897501960817)
    )
    np.testing.assert_array_equal(X, market.planted_signal(50, 0.3, 0.9, 0, 5, (10,))[0])
    one, _ = market.planted_signal(7, 0.5, 0.5, 0, n_features=1)
    assert one.shape == (7, 1)


def test_planted_signal_says_what_is_wrong():
    for r2, p_flat in [(-0.1, 0.5), (1.1, 0.5), (0.5, 0.0), (0.5, 1.0), (np.nan, 0.5)]:
        for call in (market.planted_signal_accuracy, lambda *a: market.planted_signal(9, *a, 0)):
            with pytest.raises(ValueError, match="0 <= r2 <= 1"):
                call(r2, p_flat)
    with pytest.raises(ValueError, match="m >= 1"):
        market.planted_signal(0, 0.5, 0.5, 0)
    with pytest.raises(ValueError, match="direction"):
        market.planted_signal(9, 0.5, 0.5, 0, direction=np.zeros(8))
    with pytest.raises(TypeError, match="rng"):
        market.planted_signal(9, 0.5, 0.5, None)


def test_a_regime_may_be_given_in_whole_numbers():
    whole = market.Regime(volatility=2, memory=0, drift=0)
    broken = market.Regime(volatility=2.0, memory=0.0, drift=0.0)
    a, b = (
        market.simulate(days=1, regimes=regime, crash="2025-01-01 12:00")
        for regime in (whole, broken)
    )
    pd.testing.assert_frame_equal(a.drop(columns="regime"), b.drop(columns="regime"))
