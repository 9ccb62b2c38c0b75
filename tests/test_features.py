"""Features, labels and splits: values by hand, no look-ahead, nothing across a gap."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib.market import features

ROWS = [  # open, high, low, close, volume
    (100, 110, 90, 105, 10),
    (105, 115, 105, 115, 20),  # closes at its high
    (115, 120, 100, 110, 5),
    (110, 110, 110, 110, 0),  # no trade
    (110, 112, 108, 111, 4),
]
SHARED = Path(os.environ.get("BYZLIB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def table(rows, step="5min"):
    index = pd.date_range("2024-05-01", periods=len(rows), freq=step, tz="UTC", name="open_time")
    return pd.DataFrame(
        rows, columns=["open", "high", "low", "close", "volume"], index=index, dtype=float
    )


def walk(m, seed=0):
    """Candles of a random walk in whole ticks."""
    rng = np.random.default_rng(seed)
    close = 60_000 + np.cumsum(rng.integers(-90, 91, m)).astype(float)
    open_ = np.concatenate([[60_000.0], close[:-1]])
    high = np.maximum(open_, close) + rng.integers(0, 50, m)
    low = np.minimum(open_, close) - rng.integers(0, 50, m)
    return table(np.column_stack([open_, high, low, close, rng.integers(1, 1000, m)]))


def closes(*prices):
    return table([(p, p, p, p, 1) for p in prices])


def test_four_features_by_hand():
    found = features.engineer(table(ROWS))
    assert list(found.columns) == ["price_return", "body_ratio", "upper_shadow", "volume_change"]
    expected = [[10 / 105, 1, 0, 2], [-5 / 115, 5 / 20, 5 / 20, 1 / 4], [0, 0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert list(found.index) == list(table(ROWS).index[1:4])


def test_extended_features_by_hand():
    candles = walk(40)
    found = features.engineer(candles, extended=True)
    assert tuple(found.columns) == features.EXTENDED
    assert len(found) == 40 - features.LOOK_BACK
    row, t = candles.iloc[20], candles.index[20]
    moves = candles["close"].pct_change().iloc[9:21]
    expected = {
        "log_volume_change": np.log(row["volume"] / candles["volume"].iloc[19]),
        "lower_shadow": (min(row["open"], row["close"]) - row["low"]) / (row["high"] - row["low"]),
        "volatility": np.sqrt((moves**2).mean()),
        "hour_sin": np.sin(2 * np.pi * 100 / 1440),
        "hour_cos": np.cos(2 * np.pi * 100 / 1440),
    }
    for name, value in expected.items():
        assert found.loc[t, name] == pytest.approx(value, rel=1e-12), name
    assert found.loc[t, "body_ratio"] + found.loc[t, "upper_shadow"] + found.loc[
        t, "lower_shadow"
    ] == pytest.approx(1)


def test_extended_features_leave_out_what_has_no_logarithm_or_history():
    candles = walk(60)
    candles.loc[candles.index[30], ["open", "high", "low", "close", "volume"]] = [1, 1, 1, 1, 0]
    found = features.engineer(candles, extended=True)
    assert np.isfinite(found).all(axis=None)
    assert not found.index.isin(candles.index[30:32]).any()
    holed = walk(60).drop(candles.index[30])
    first_whole = holed.index[30 + features.LOOK_BACK]
    after = features.engineer(holed, extended=True).loc[candles.index[30] :]
    assert after.index[0] == first_whole


def test_undefined_rows_are_counted_by_reason():
    candles = table(ROWS + ROWS).drop(table(ROWS + ROWS).index[7])
    counts = features.engineer(candles).attrs["undefined"]
    assert counts == {"first candle": 1, "after a gap": 1, "after zero volume": 2}


def test_labels_by_hand():
    found = features.labels(table(ROWS))
    assert found.tolist() == [2, 0, 1, 2]
    assert list(found.index) == list(table(ROWS).index[:4])
    assert found.dtype.kind == "i"


def test_dataset_aligns_rows():
    candles = walk(300)
    X, y, times = features.dataset(candles)
    assert X.shape == (298, 4) and y.shape == (298,) and len(times) == 298
    np.testing.assert_array_equal(X, features.engineer(candles).loc[times])
    np.testing.assert_array_equal(y, features.labels(candles).loc[times])
    assert features.dataset(candles, extended=True)[0].shape[1] == len(features.EXTENDED)


@pytest.mark.parametrize(
    "now, after",
    [(100.0, 100.1), (60000.0, 60060.0), (0.6591, 0.6597591), (0.6, 0.6006), (7e-5, 7.007e-5)],
)
def test_exactly_the_threshold_is_flat(now, after):
    down = round(now - (after - now), 12)
    assert features.labels(closes(now, after, now)).tolist()[0] == 1
    assert features.labels(closes(now, down, now)).tolist()[0] == 1


@given(st.integers(1, 10**7), st.integers(0, 6), st.sampled_from([1, -1]))
def test_one_unit_past_the_threshold_is_not_flat(price, digits, sign):
    unit = 10 ** (digits + 3)
    now, tie, past = price * 1000, price * (1000 + sign), price * (1000 + sign) + sign
    edge, over = (features.labels(closes(now / unit, x / unit)).iloc[0] for x in (tie, past))
    assert edge == 1
    assert over == 1 + sign


def test_plain_floats_would_get_ties_wrong():
    now = np.arange(1000, 2000) / 10
    after = np.arange(1000, 2000) * 1001 / 10_000
    wrong = np.mean(after / now - 1 > 0.001)
    assert wrong > 0.1  # the reason for exact fractions
    pairs = np.column_stack([now, after]).ravel()
    assert (features.labels(closes(*pairs)).iloc[::2] == 1).all()


def test_other_thresholds():
    candles = closes(100.0, 100.2, 100.2, 99.0)
    assert features.labels(candles, threshold=0.002).tolist() == [1, 1, 0]
    assert features.labels(candles, threshold=0).tolist() == [2, 1, 0]
    for bad in (-0.001, np.nan, np.inf):
        with pytest.raises(ValueError, match="threshold"):
            features.labels(candles, threshold=bad)


@given(st.integers(2, 58), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_the_future_changes_no_feature(t, seed):
    candles = walk(60)
    other = pd.concat([candles[:t], walk(60, seed)[t:]])
    for extended in (False, True):
        whole = features.engineer(candles, extended)
        for changed in (other, candles[:t]):
            now = features.engineer(changed, extended)
            pd.testing.assert_frame_equal(
                now[now.index < candles.index[t]], whole[whole.index < candles.index[t]]
            )


@given(st.integers(2, 57), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_label_looks_one_candle_ahead_and_no_further(t, seed):
    candles = walk(60)
    other = pd.concat([candles[: t + 2], walk(60, seed)[t + 2 :]])
    upto = candles.index[t]
    pd.testing.assert_series_equal(features.labels(other)[:upto], features.labels(candles)[:upto])


@given(st.sets(st.integers(0, 39), max_size=20))
def test_nothing_crosses_a_gap(missing):
    candles = walk(40)
    candles.attrs["interval"] = "5"
    kept = candles.drop(candles.index[sorted(missing)])
    try:
        found, target = features.engineer(kept), features.labels(kept)
    except ValueError:
        assert not (np.diff(sorted(set(range(40)) - missing)) == 1).any()
        return
    before = [t for t in range(1, 40) if not {t - 1, t} & missing]
    after = [t for t in range(39) if not {t, t + 1} & missing]
    pd.testing.assert_frame_equal(
        found, features.engineer(candles).loc[candles.index[before]], check_freq=False
    )
    pd.testing.assert_series_equal(
        target, features.labels(candles).loc[candles.index[after]], check_freq=False
    )


def test_the_step_comes_from_attrs_or_from_the_index():
    candles = walk(30)
    hourly = candles.set_axis(pd.date_range("2024-05-01", periods=30, freq="h", tz="UTC"))
    assert len(features.engineer(hourly)) == 29
    hourly.attrs["interval"] = "60"
    assert len(features.engineer(hourly)) == 29
    hourly.attrs["interval"] = "5"
    with pytest.raises(ValueError, match="0 days 01:00:00 apart"):
        features.engineer(hourly)
    monthly = candles.set_axis(pd.date_range("2021-11-01", periods=30, freq="MS", tz="UTC"))
    monthly.attrs["interval"] = "M"
    assert len(features.labels(monthly)) == 29
    assert len(features.labels(monthly.drop(monthly.index[5]))) == 27
    weekly = candles.set_axis(pd.date_range("2024-05-01", periods=30, freq="7D", tz="UTC"))
    weekly.attrs["interval"] = "W"
    assert len(features.labels(weekly)) == 29
    weekly.attrs["interval"] = "fortnight"
    with pytest.raises(ValueError, match="fortnight"):
        features.labels(weekly)


@pytest.mark.parametrize("m", [0, 1, 2])
def test_short_series_give_empty_results(m):
    candles = table(ROWS[:m]) if m else table(ROWS)[:0]
    X, y, times = features.dataset(candles)
    assert X.shape == (0, 4) and y.shape == (0,) and len(times) == 0
    assert len(features.engineer(candles)) == max(m - 1, 0)


def test_identical_candles_and_a_crash_stay_finite():
    X, y, _ = features.dataset(closes(*[5.0] * 20))
    np.testing.assert_array_equal(X, np.tile([0.0, 0.0, 0.0, 1.0], (18, 1)))
    assert (y == 1).all()
    candles = walk(20)
    candles.iloc[10, [2, 3]] = [20_000, 24_000]
    X, y, times = features.dataset(candles)
    assert np.isfinite(X).all()
    assert y[times.get_loc(candles.index[9])] == 0


def test_wrong_order_is_refused_with_the_reason():
    candles = walk(30)
    with pytest.raises(ValueError, match="newest first.*past one.*sort_index"):
        features.engineer(candles[::-1])
    with pytest.raises(ValueError, match="out of order"):
        features.labels(candles.sample(frac=1, random_state=1))
    again = pd.concat([candles, candles[-1:]])
    with pytest.raises(ValueError, match="occurs twice"):
        features.dataset(again)


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("close", np.nan, "not finite"),
        ("volume", np.inf, "not finite"),
        ("low", 0.0, "not positive"),
        ("volume", -1.0, "negative volume"),
        ("high", 1.0, "inside the body"),
        ("low", 1e9, "inside the body"),
    ],
)
def test_impossible_candles_are_named(column, value, message):
    candles = walk(10)
    candles.loc[candles.index[3], column] = value
    with pytest.raises(ValueError, match=f"00:15:00.*{message}"):
        features.engineer(candles)


def test_wrong_tables_are_refused():
    with pytest.raises(ValueError, match="lack volume"):
        features.engineer(walk(5).drop(columns="volume"))
    for wrong in (walk(5).to_numpy(), walk(5).reset_index()):
        with pytest.raises(TypeError, match="DatetimeIndex"):
            features.engineer(wrong)
    with pytest.raises(ValueError, match="NaT"):
        features.labels(walk(3).set_axis(pd.DatetimeIndex(["2024-05-01", None, "2024-05-02"])))


def test_candles_are_not_changed():
    candles = walk(30)
    copy = candles.copy(deep=True)
    features.engineer(candles, extended=True)
    features.dataset(candles)
    pd.testing.assert_frame_equal(candles, copy)


def clock(start, days):
    return pd.date_range(start, periods=288 * days, freq="5min", tz="UTC")


def test_walk_forward_tests_each_row_once_and_only_after_training():
    times = clock("2024-05-01", 30)
    folds = features.walk_forward(times, "10D", "5D", "10min")
    assert len(folds) == 4
    tested = np.sum([fold.test_mask(times) for fold in folds], axis=0)
    assert (tested[: 288 * 10] == 0).all() and (tested[288 * 10 :] == 1).all()
    for fold in folds:
        train, test = fold.train_mask(times), fold.test_mask(times)
        # Row t reads candles t-1, t and t+1; no candle may serve both sides.
        assert times[train].max() + pd.Timedelta("5min") < times[test].min() - pd.Timedelta("5min")
        assert train.sum() == 288 * 10 - 2


def test_purge_and_embargo_take_rows_from_the_end_of_training_only():
    times = clock("2024-05-01", 30)
    plain, pure, both = (
        features.walk_forward(times, "10D", "5D", purge, embargo)
        for purge, embargo in [("0min", "0min"), ("15min", "0min"), ("15min", "1h")]
    )
    for a, b, c in zip(plain, pure, both, strict=True):
        lost = [a.train_mask(times) & ~x.train_mask(times) for x in (b, c)]
        assert [x.sum() for x in lost] == [3, 15]
        assert times[lost[1]].min() == a.test_start - pd.Timedelta("75min")
        assert (a.test_mask(times) == c.test_mask(times)).all()
        assert not (c.train_mask(times) & ~a.train_mask(times)).any()


def test_all_clients_share_one_clock():
    early, late = clock("2024-05-01", 20), clock("2024-05-04", 20)[::3]
    folds = features.walk_forward([early, late], "10D", "4D", "10min")
    assert folds[0].train_start == early[0]
    for fold in folds:
        trained = early[fold.train_mask(early)].max(), late[fold.train_mask(late)].max()
        tested = early[fold.test_mask(early)], late[fold.test_mask(late)]
        assert max(trained) < min(x.min() for x in tested if len(x))
    assert sum(fold.test_mask(late).sum() for fold in folds) > 0


def test_a_last_window_less_than_half_full_is_left_out():
    assert len(features.walk_forward(clock("2024-05-01", 16), "10D", "5D", "10min")) == 1
    assert len(features.walk_forward(clock("2024-05-01", 18), "10D", "5D", "10min")) == 2
    # The first and last candle of ninety days carry no row; the windows hold all the same.
    assert len(features.walk_forward(clock("2024-05-01", 90)[1:-1], "60D", "15D", "10min")) == 2


def test_walk_forward_says_what_is_wrong():
    times = clock("2024-05-01", 5)
    with pytest.raises(ValueError, match="one fold needs rows over 11 days"):
        features.walk_forward(times, "10D", "2D", "10min")
    with pytest.raises(ValueError, match="leaves nothing"):
        features.walk_forward(times, "1D", "1D", "20h", "4h")
    with pytest.raises(ValueError, match="must be positive"):
        features.walk_forward(times, "1D", "0D", "10min")
    with pytest.raises(ValueError, match="not negative"):
        features.walk_forward(times, "1D", "1D", "-10min")
    with pytest.raises(ValueError, match="got none"):
        features.walk_forward([times[:0]], "1D", "1D", "10min")
    with pytest.raises(TypeError, match="DatetimeIndex"):
        features.walk_forward([1, 2, 3], "1D", "1D", "10min")


def test_standardize_uses_the_training_rows_alone():
    rng = np.random.default_rng(0)
    train, test = rng.normal(3, 2, (500, 4)), rng.normal(9, 5, (100, 4))
    a, b = features.standardize(train, test, clip=None)
    np.testing.assert_allclose(a.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(a.std(0), 1)
    np.testing.assert_allclose(b, (test - train.mean(0)) / train.std(0))
    np.testing.assert_array_equal(features.standardize(train, test * 7, clip=None)[0], a)


def test_standardize_clips_and_handles_constants_and_clients():
    train = np.full((3, 50, 2), 0.1)
    train[..., 0] = np.random.default_rng(0).standard_normal((3, 50))
    train[1, 7, 0] = 1e6
    scaled = features.standardize(train)
    assert scaled.shape == train.shape
    assert np.abs(scaled).max() == 5.0
    assert (scaled[..., 1] == 0).all()
    np.testing.assert_array_equal(scaled[2], features.standardize(train[2]))
    with pytest.raises(ValueError, match="finite"):
        features.standardize(train * np.nan)
    with pytest.raises(ValueError, match="m >= 1"):
        features.standardize(train[:, :0])
    with pytest.raises(ValueError, match="clip"):
        features.standardize(train, clip=0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real candles are not beside the repository")
def test_real_candles_give_the_published_numbers():
    (path,) = SHARED.glob("bybit_linear_BTCUSDT_5m_20240501_20240809*")
    candles = pd.read_csv(path)
    candles.index = pd.to_datetime(candles.pop("ts_ms"), unit="ms", utc=True)
    assert 1e4 * np.log(candles["close"]).diff().std() == pytest.approx(16.17, abs=0.005)
    shares = np.bincount(features.labels(candles)) / (len(candles) - 1)
    np.testing.assert_allclose(100 * shares, [17.1, 65.6, 17.3], atol=0.05)
    assert len(features.dataset(candles)[0]) == 28_964 - 2
