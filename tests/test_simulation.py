"""The simulated market is like the real one and gives no direction away; its sample; a known task.

The sample's bytes are checked, its card holds, and it can be made again.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from byzlib.market import (
    REGIMES,
    SYMBOLS,
    Regime,
    features,
    load_sample,
    planted_signal,
    planted_signal_accuracy,
    sample,
    simulate,
    simulation,
)
from byzlib.market.stylized_facts import REAL, measure
from notebooks import make_sample

LIQUID = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
SEEDS = range(5)


def log_returns(candles):
    return np.diff(np.log(candles["close"].to_numpy()))


# --- like the real one ---


@pytest.fixture(scope="module")
def years():
    """Facts of five simulated years of BTCUSDT."""
    return pd.DataFrame({seed: measure(simulate("BTCUSDT", 365, seed)) for seed in SEEDS})


@pytest.mark.parametrize("name", REAL)
def test_simulated_years_are_like_the_real_one(years, name):
    _, low, high = REAL[name]
    assert low <= years.loc[name].mean() <= high
    assert years.loc[name].between(low, high).sum() >= 3


def test_no_feature_tells_the_sign_of_the_next_return():
    candles = simulate("BTCUSDT", 240, 3)
    X, _, times = features.dataset(candles, extended=True)
    ahead = np.sign(features.next_returns(candles).loc[times].to_numpy())
    X = features.standardize(X)
    # Under a fair coin m^0.5 times this mean product is standard normal, column by column.
    z = np.sqrt(len(X)) * (X * ahead[:, None]).mean(0) / X.std(0)
    assert np.abs(z).max() < 4
    assert abs(np.sqrt(len(X)) * np.mean(ahead[1:] * ahead[:-1])) < 4


# --- the form of a fetch ---


def test_candles_have_the_form_of_a_fetch():
    candles = simulate("ETHUSDT", 2, 0, start="2024-05-01")
    assert list(candles.columns) == ["open", "high", "low", "close", "volume", "turnover"]
    assert (candles.dtypes == np.float64).all()
    times = candles.index
    assert (times == pd.date_range("2024-05-01", periods=576, freq="5min", tz="UTC")).all()
    assert (times.name, times.unit, times.freq) == ("open_time", "ms", None)
    assert candles.attrs == {"source": "simulated", "category": "linear", "symbol": "ETHUSDT",
                             "interval": "5", "gaps": [], "dropped": {}}  # fmt: skip


@pytest.mark.parametrize("name", SYMBOLS)
@pytest.mark.parametrize("venue", [None, "north"])
def test_prices_are_whole_ticks_and_volumes_whole_lots(name, venue):
    candles, symbol = simulate(name, 20, 1, venues=venue), SYMBOLS[name]
    prices = candles[["open", "high", "low", "close"]].to_numpy()
    assert (np.rint(prices * symbol.ticks) / symbol.ticks == prices).all()
    volume = candles["volume"].to_numpy()
    assert (np.rint(volume * symbol.lots) / symbol.lots == volume).all()
    assert (volume > 0).all() == (name in LIQUID)
    o, h, low, c = prices.T
    assert (o[1:] == c[:-1]).all() and o[0] == symbol.price
    assert (h >= np.maximum(o, c)).all() and (low <= np.minimum(o, c)).all() and low.min() > 0
    np.testing.assert_allclose(candles["turnover"], volume * prices.mean(1), atol=0.0051)


def test_a_price_that_never_leaves_its_tick_still_trades(monkeypatch):
    stuck = simulation.Symbol(price=1.0, ticks=10, lots=1, volatility=1e-6, volume=1e-9)
    monkeypatch.setitem(SYMBOLS, "STUCK", stuck)
    candles = simulate("STUCK", 3, 0)
    assert (candles["high"] == candles["low"]).all() and (candles["volume"] >= 1).all()


def test_longer_candles_are_merged_five_minute_candles():
    five, hour = (simulate("BTCUSDT", 3, 0, interval=k) for k in (5, 60))
    assert hour.attrs == five.attrs | {"interval": "60"}
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    merged = five.resample("h").agg(how | {"turnover": "sum"})
    pd.testing.assert_frame_equal(hour, merged, check_freq=False, check_index_type=False)


# --- symbols and venues ---


def test_symbols_move_together():
    frames = simulate(LIQUID, 120, 0)
    assert list(frames) == LIQUID
    returns = np.array([log_returns(frame) for frame in frames.values()])
    assert np.abs(np.corrcoef(returns)[np.triu_indices(3, 1)] - 0.80).max() < 0.05
    btc, eth, _ = (features.labels(frame).to_numpy() for frame in frames.values())
    assert 0.60 < np.mean(btc == eth) < 0.85
    assert (np.abs(returns.std(axis=1) * 1e4 / [14.4, 21.6, 24.3] - 1) < 0.2).all()


def test_a_seed_fixes_everything_and_nothing_else_does():
    one = simulate("ETHUSDT", 3, 4, venues="south")
    both = simulate(["BTCUSDT", "ETHUSDT"], 3, 4, venues=["north", "south"])
    assert list(both) == [(v, s) for v in ("north", "south") for s in ("BTCUSDT", "ETHUSDT")]
    for same in (
        both["south", "ETHUSDT"],
        simulate(["ETHUSDT"], 3, 4, venues="south")["ETHUSDT"],
        simulate("ETHUSDT", 3, 4, venues=["east", "south"])["south"],
        simulate("ETHUSDT", 3, np.random.default_rng(4), venues="south"),
        simulate("ETHUSDT", 8, 4, venues="south")[: len(one)],
    ):
        pd.testing.assert_frame_equal(one, same)
    assert not one.equals(simulate("ETHUSDT", 3, 5, venues="south"))
    rng = np.random.default_rng(7)
    assert not simulate("BTCUSDT", 1, rng).equals(simulate("BTCUSDT", 1, rng))


def test_a_thin_symbol_has_candles_without_trades_and_without_a_range():
    candles = simulate("BALUSDT", 365, 0)
    o, h, low, c, v = candles.iloc[:, :5].to_numpy().T
    still, idle = h == low, v == 0
    assert still[idle].all() and (candles["turnover"] == 0)[idle].all()
    assert 0.0006 < still.mean() < 0.028 and 0.0 < idle.mean() < 0.019
    assert still.sum() > idle.sum()
    assert np.isfinite(features.dataset(candles)[0]).all()
    r = log_returns(candles)
    assert 0.55 < np.corrcoef(r, log_returns(simulate("BTCUSDT", 365, 0)))[0, 1] < 0.75
    assert 20 < 1e4 * r.std() < 32


def test_thin_venues_trade_at_times_of_their_own():
    a, b = simulate("BALUSDT", 60, 0, venues=["north", "south"]).values()
    idle = np.array([a["volume"] == 0, b["volume"] == 0])
    assert (idle.sum(axis=1) > 50).all() and idle.all(axis=0).sum() < idle.sum(axis=1).min() / 2


# --- regimes and a crash ---


def test_regimes_change_what_they_say_and_leave_chance_alone():
    quiet = simulate("BTCUSDT", 60, 2)
    named = simulate("BTCUSDT", 60, 2, regimes="normal")
    pd.testing.assert_frame_equal(named.iloc[:, :6], quiet)
    assert set(named["regime"]) == {"normal"}
    wild = simulate("BTCUSDT", 60, 2, regimes="turbulent")
    frame = simulate("BTCUSDT", 60, 2, regimes=Regime(volatility=0.5, drift=0.05))
    r, twice, half = (log_returns(candles) for candles in (quiet, wild, frame))
    np.testing.assert_allclose([twice.std() / r.std(), half.std() / r.std()], [2, 0.5], rtol=0.02)
    assert half.sum() - 0.5 * r.sum() == pytest.approx(60 * 0.05, abs=0.02)


@pytest.mark.parametrize("name", ["trending", "reverting"])
def test_a_memory_lets_the_sign_be_guessed(name):
    z = np.sign(np.diff(simulate("BTCUSDT", 200, 3, regimes=name)["close"]))
    promised = 0.5 + np.arcsin(REGIMES[name].memory) / np.pi
    assert np.mean(z[1:] == z[:-1]) == pytest.approx(promised, abs=0.012)


def test_a_crash_is_labelled_and_shared():
    at = pd.Timestamp("2025-01-20 21:15", tz="UTC")
    options = {"days": 40, "rng": 0, "regimes": "trending"}
    frames = simulate(list(SYMBOLS), crash=at, **options)
    without = simulate(list(SYMBOLS), **options)
    for name, frame in frames.items():
        upset = frame.index[frame["regime"] == "crash"]
        assert len(upset) == simulation.AFTERMATH + 1 and upset[0] == at
        pd.testing.assert_frame_equal(frame[:at].iloc[:-1, :6], without[name][:at].iloc[:-1, :6])
        fall = frame["close"][at] / frame["open"][at] - 1
        assert fall == pytest.approx(-SYMBOLS[name].crash, abs=0.025)
        wild, usual = (np.log(f["close"]).diff()[upset[1:]].std() for f in (frame, without[name]))
        assert 1.5 < wild / usual < 5
        assert frame["volume"][at] > 2 * without[name]["volume"][at]
    hourly = simulate("BTCUSDT", crash=at, interval=60, **options)
    upset = hourly.index[hourly["regime"] == "crash"]
    assert upset[0] == pd.Timestamp("2025-01-20 21:00", tz="UTC") and len(upset) == 6


def test_in_the_aftermath_of_a_crash_a_memory_changes_its_sign():
    frame = simulate(days=1, regimes=Regime(memory=0.9), crash="2025-01-01 12:00")
    for upset, sign in [(False, 1), (True, -1)]:
        r = np.log(frame["close"]).diff()[(frame["regime"] == "crash") == upset][1:]
        assert sign * r.autocorr() > 0.5


# --- the sample and its card ---


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the sample that a test may damage."""
    for path in [*sample.FOLDER.glob("*.csv.gz"), sample.FOLDER / "SHA256SUMS"]:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(sample, "FOLDER", tmp_path)
    return tmp_path


def test_making_it_again_gives_the_same_candles_and_card(tmp_path, monkeypatch):
    make_sample.main(tmp_path)
    assert make_sample.pack(simulate(days=1))[4:8] == bytes(4)  # no time in the gzip header
    card = (sample.FOLDER / "CARD.md").read_text("utf-8")
    kept = {name: load_sample(name) for name in make_sample.SYMBOLS}
    sums = (sample.FOLDER / "SHA256SUMS").read_text("ascii").splitlines(keepends=True)
    assert card == make_sample.card(kept, sums)
    assert card != make_sample.card({name: frame[:-1] for name, frame in kept.items()}, sums)
    monkeypatch.setattr(sample, "FOLDER", tmp_path)
    for name in kept:  # other versions of zlib pack the same text into other bytes
        pd.testing.assert_frame_equal(load_sample(name), kept[name])
        assert load_sample(name).attrs == simulate(name, 1).attrs == kept[name].attrs


@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b[:500] + b"?" + b[501:]])
def test_an_altered_sample_is_refused(copied, damage):
    path = copied / "BTCUSDT_5m.csv.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"BTCUSDT_5m\.csv\.gz was altered: its sha256 is"):
        load_sample("BTCUSDT")
    assert len(load_sample("ETHUSDT"))


@pytest.mark.parametrize("file", ["BTCUSDT_5m.csv.gz", "SHA256SUMS"])
def test_a_missing_file_is_named(copied, file):
    (copied / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"{file} is missing; install byzlib again"):
        load_sample("BTCUSDT")


# --- the planted task ---

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
    1.0: [1.0] * 7,
}


@pytest.mark.parametrize("r2", BAYES)
def test_planted_accuracy_matches_the_table(r2):
    found = [planted_signal_accuracy(r2, 1 / 3)]
    for p_flat in (0.5, 0.6, 0.8):
        found += [planted_signal_accuracy(r2, p_flat, balanced=b) for b in (False, True)]
    np.testing.assert_allclose(found, BAYES[r2], atol=0.00051)


@pytest.mark.parametrize("r2, p_flat", [(0.955, 1 / 3), (0.5, 0.5), (0.2, 0.6)])
def test_the_best_classifier_scores_its_bayes_accuracy(r2, p_flat):
    m = 200_000
    X, y = planted_signal(m, r2, p_flat, 5)
    np.testing.assert_allclose(
        np.bincount(y) / m, [(1 - p_flat) / 2, p_flat, (1 - p_flat) / 2], atol=0.005
    )
    # Bayes' rule by counting: the likeliest class in narrow bins of the true signal.
    bins = np.digitize(X[:, :3] @ np.array([2, -1, 2]) / 3, np.linspace(-3, 3, 61))
    counts = np.zeros((62, 3))
    np.add.at(counts, (bins, y), 1)
    best = planted_signal_accuracy(r2, p_flat)
    assert counts.max(1).sum() / m == pytest.approx(best, abs=0.004)


def test_planted_signal_stacks_clients_and_turns_directions():
    X, y = planted_signal(50, 1.0, 0.5, 0, n_features=5, shape=(2, 10))
    assert X.shape == (2, 10, 50, 5) and y.shape == (2, 10, 50) and y.dtype.kind == "i"
    turned = np.zeros((10, 5))
    turned[:, 4] = [-3.0] * 5 + [-1e200] * 5
    X, y = planted_signal(50, 1.0, 0.5, 0, n_features=5, shape=(10,), direction=turned)
    tau = norm.ppf(0.75)
    np.testing.assert_array_equal(y, 1 + np.sign(-X[..., 4]) * (np.abs(X[..., 4]) > tau))
    np.testing.assert_array_equal(X, planted_signal(50, 0.3, 0.9, 0, 5, (10,))[0])
    assert planted_signal(7, 0.5, 0.5, 0, n_features=1)[0].shape == (7, 1)


# --- what is wrong is said ---

BAD = [
    (lambda: simulate("DOGEUSDT"), ValueError, "no simulated symbol 'DOGEUSDT'; there are BTC"),
    (lambda: simulate(days=0), ValueError, "days >= 1; got days = 0"),
    (lambda: simulate(interval=7), ValueError, "interval of .* got 7"),
    (lambda: simulate(start="2025-01-01 00:05"), ValueError, "midnight"),
    (lambda: simulate(start=0), TypeError, "simulate needs start as a date.*got 0"),
    (lambda: simulate(rng=None), TypeError, "rng"),
    (lambda: simulate(regimes="wild"), ValueError, "no regime 'wild'; there are normal, calm"),
    (lambda: simulate(regimes={3: "calm"}), ValueError, "no regime {3: 'calm'}; there are"),
    (lambda: Regime(memory=1.0), ValueError, "memory"),
    (lambda: simulate(crash="2025-01-02 00:01"), ValueError, "crash must be the open time of a"),
    (lambda: simulate(venues=[]), ValueError, "name or a list of names"),
    (lambda: simulate(venues=[1]), ValueError, "name or a list of names"),
    (lambda: simulate(venues=["a", "a"]), ValueError, "each of venues once; got 'a' again"),
    (lambda: load_sample("DOGEUSDT"), ValueError, "no sample 'DOGEUSDT'; there are BTCUSDT, ETH"),
    (lambda: planted_signal_accuracy(-0.1, 0.5), ValueError, r"accuracy needs r2 in \[0, 1\]"),
    (lambda: planted_signal(9, 0.5, 0.0, 0), ValueError, r"p_flat in \(0, 1\)"),
    (lambda: planted_signal(0, 0.5, 0.5, 0), ValueError, "m >= 1"),
    (lambda: planted_signal(9, 0.5, 0.5, 0, direction=np.zeros(8)), ValueError, "direction"),
    (lambda: planted_signal(9, 0.5, 0.5, 0, direction=[np.inf] * 8), ValueError, "finite"),
    (lambda: planted_signal(9, 0.5, 0.5, 0, direction=np.ma.ones(8)), TypeError, "masked"),
]


@pytest.mark.parametrize("call, error, words", BAD)
def test_illegal_use(call, error, words):
    with pytest.raises(error, match=words):
        call()
