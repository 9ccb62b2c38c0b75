"""The simulated market looks like the real one and gives no direction away; the planted task."""

import numpy as np
import pandas as pd
import pytest

from byzlib import features, market
from byzlib.datasets.facts import REAL, measure

DAYS, SEEDS = 120, range(5)


@pytest.fixture(scope="module")
def years():
    """Facts of five simulated stretches of BTCUSDT."""
    return pd.DataFrame({seed: measure(market.simulate("BTCUSDT", DAYS, seed)) for seed in SEEDS})


# Not reached in 120 days: the memory of a day is cut by the sample's own mean. A year reaches it.
@pytest.mark.parametrize("name", [name for name in REAL if name != "acf |r| lag 288"])
def test_simulated_market_is_like_the_real_one(years, name):
    _, low, high = REAL[name]
    assert low <= years.loc[name].mean() <= high


def test_a_year_remembers_the_same_hour_of_yesterday():
    name = "acf |r| lag 288"
    _, low, high = REAL[name]
    assert low <= np.mean([measure(market.simulate(days=365, rng=s))[name] for s in (0, 1)]) <= high


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


@pytest.mark.parametrize("name", list(market.SYMBOLS))
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
    frames = market.simulate(["BTCUSDT", "ETHUSDT", "SOLUSDT"], DAYS, 0)
    assert list(frames) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    returns = np.array([np.diff(np.log(frame["close"])) for frame in frames.values()])
    correlations = np.corrcoef(returns)[np.triu_indices(3, 1)]
    assert np.abs(correlations - 0.80).max() < 0.05
    labels = [features.labels(frame).to_numpy() for frame in frames.values()]
    assert 0.60 < np.mean(labels[0] == labels[1]) < 0.85
    spread = returns.std(axis=1) * 1e4
    assert (np.abs(spread / [14.4, 21.6, 24.3] - 1) < 0.2).all()


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
