"""Features, labels, splits: values by hand, no look-ahead, nothing across a gap."""

import datetime
import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib import market
from byzlib.market import features

COLUMNS = ["open", "high", "low", "close", "volume"]
ROWS = [
    (100, 110, 90, 105, 10),
    (105, 115, 105, 115, 20),  # closes at its high
    (115, 120, 100, 110, 5),
    (110, 110, 110, 110, 0),  # no trade
    (110, 112, 108, 111, 4),
]
START = pd.Timestamp("2025-01-01", tz="UTC")
STEP = pd.Timedelta("5min")


def table(rows, step="5min"):
    index = pd.date_range(START, periods=len(rows), freq=step, name="open_time")
    return pd.DataFrame(rows, columns=COLUMNS, index=index, dtype=float)


def closes(*prices):
    return table([(p, p, p, p, 1) for p in prices])


def walk(m, seed=0):
    """Candles of a random walk in whole ticks."""
    rng = np.random.default_rng(seed)
    close = 60_000 + np.cumsum(rng.integers(-90, 91, m)).astype(float)
    open_ = np.concatenate([[60_000.0], close[:-1]])
    high = np.maximum(open_, close) + rng.integers(0, 50, m)
    low = np.minimum(open_, close) - rng.integers(0, 50, m)
    return table(np.column_stack([open_, high, low, close, rng.integers(1, 1000, m)]))


def fold_of(train_end, test_end):
    """Train on the first candles up to one number, test up to another (both exclusive)."""
    return features.Fold(*(START + k * STEP for k in (0, train_end, train_end, test_end)))


def cut(candles, task, fold):
    """The labels of a task that is cut at quantiles, by open time, of rows that have features."""
    _, y, times = features.dataset(candles, task=task, fold=fold)
    return pd.Series(y, times)


CANDLES = walk(60)
# Everything that is made of candles, the cut labels with training rows 0 to 29.
MADE = {
    "features": features.engineer,
    "extended": lambda candles: features.engineer(candles, extended=True),
    "labels": features.labels,
    "returns": features.next_returns,
    "tercile": lambda candles: cut(candles, "tercile", fold_of(30, 60)),
    "volatility": lambda candles: cut(candles, "volatility", fold_of(30, 60)),
}
LOOK_AHEAD = {"features": 0, "extended": 0}  # else 1: the close that comes next


# --- by hand ---


def test_four_features_by_hand():
    found = features.engineer(table(ROWS))
    assert tuple(found.columns) == features.FEATURES
    expected = [[10 / 105, 1, 0, 2], [-5 / 115, 5 / 20, 5 / 20, 1 / 4], [0, 0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    assert list(found.index) == list(table(ROWS).index[1:4])


def test_extended_features_by_hand():
    found = features.engineer(CANDLES, extended=True)
    assert tuple(found.columns) == features.EXTENDED
    assert len(found) == 60 - features.LOOK_BACK
    row, t = CANDLES.iloc[20], CANDLES.index[20]
    moves = CANDLES["close"].pct_change().iloc[9:21]
    expected = {
        "log_volume_change": np.log(row["volume"] / CANDLES["volume"].iloc[19]),
        "lower_shadow": (min(row["open"], row["close"]) - row["low"]) / (row["high"] - row["low"]),
        "volatility": np.sqrt((moves**2).mean()),
        "hour_sin": np.sin(2 * np.pi * 100 / 1440),
        "hour_cos": np.cos(2 * np.pi * 100 / 1440),
    }
    for name, value in expected.items():
        assert found.loc[t, name] == pytest.approx(value, rel=1e-12), name
    pd.testing.assert_frame_equal(
        found[list(features.FEATURES)], features.engineer(CANDLES)[11:], check_freq=False
    )


def test_undefined_rows_are_counted_by_reason():
    candles = table(ROWS + ROWS).drop(table(ROWS + ROWS).index[7])
    counts = features.engineer(candles).attrs["undefined"]
    assert counts == {"first candle": 1, "after a gap": 1, "after zero volume": 2}
    idle = CANDLES.copy()
    idle.iloc[30] = [*[idle["close"].iloc[30]] * 4, 0]
    found = features.engineer(idle, extended=True)
    assert np.isfinite(found).all(axis=None) and not found.index.isin(idle.index[30:32]).any()
    assert found.attrs["undefined"] == {
        "first candle": 1, "after a gap": 0, "after zero volume": 1, "zero volume": 1,
        "short history": 11,
    }  # fmt: skip


def test_labels_by_hand():
    found = features.labels(table(ROWS))
    assert found.tolist() == [2, 0, 1, 2] and found.dtype.kind == "i"
    assert list(found.index) == list(table(ROWS).index[:4])
    other = closes(100.0, 100.2, 100.2, 99.0)
    assert features.labels(other, threshold=0.002).tolist() == [1, 1, 0]
    assert features.labels(other, threshold=0).tolist() == [2, 1, 0]


def test_cut_labels_by_hand():
    # After a first candle: returns +10 %, -10 %, 0, +50 %, then two to be judged: +20 % and -50 %.
    candles, fold = closes(100, 100, 110, 99, 99, 148.5, 178.2, 89.1), fold_of(5, 7)
    returns = features.next_returns(candles)
    np.testing.assert_allclose(returns, [0, 0.1, -0.1, 0, 0.5, 0.2, -0.5], atol=1e-15)
    # The thirds of 0, .1, -.1, 0, .5 end at 0 and at 1/15; their median size is .1.
    assert cut(candles, "tercile", fold).tolist() == [2, 0, 1, 2, 2, 0]
    assert cut(candles, "volatility", fold).tolist()[2:] == [0, 1, 1, 1]


@pytest.mark.parametrize("task", features.TASKS)
@pytest.mark.parametrize("extended", [False, True])
def test_dataset_aligns_rows(task, extended):
    candles, fold = walk(300), fold_of(200, 300)
    X, y, times = features.dataset(candles, extended=extended, task=task, fold=fold)
    target = features.labels(candles) if task == "direction" else cut(candles, task, fold)
    first = features.LOOK_BACK if extended else 1
    assert list(times) == list(candles.index[first:-1])
    np.testing.assert_array_equal(X, features.engineer(candles, extended).loc[times])
    np.testing.assert_array_equal(y, target.loc[times])
    shares = np.bincount(target[fold.train_mask(target.index)]) / 200
    assert len(shares) == len(features.TASKS[task])
    assert task == "direction" or np.ptp(shares) <= 0.015


def test_identical_candles_and_a_crash_stay_finite():
    X, y, _ = features.dataset(closes(*[5.0] * 20))
    np.testing.assert_array_equal(X, np.tile([0.0, 0.0, 0.0, 1.0], (18, 1)))
    assert (y == 1).all()
    candles = walk(20)
    candles.iloc[10, [2, 3]] = [20_000, 24_000]
    X, y, times = features.dataset(candles)
    assert np.isfinite(X).all() and y[times.get_loc(candles.index[9])] == 0


@pytest.mark.parametrize("m", [0, 1, 2])
def test_short_series_give_empty_results(m):
    X, y, times = features.dataset(table(ROWS)[:m])
    assert X.shape == (0, 4) and y.shape == (0,) and len(times) == 0
    assert len(features.engineer(table(ROWS)[:m])) == max(m - 1, 0)


# --- exactly the threshold ---


@given(st.integers(1, 10**7), st.integers(0, 6), st.sampled_from([1, -1]))
def test_exactly_the_threshold_is_flat_and_one_unit_past_it_is_not(price, digits, sign):
    unit = 10 ** (digits + 3)
    now, tie = price * 1000, price * (1000 + sign)
    for after, label in ((tie, 1), (tie + sign, 1 + sign), (tie - sign, 1)):
        assert features.labels(closes(now / unit, after / unit)).tolist() == [label]


# --- the promises: nothing looks ahead, nothing crosses a gap, nothing is changed ---


@pytest.mark.parametrize("name", MADE)
@given(t=st.integers(31, 57), seed=st.integers(1, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_future_changes_no_row(name, t, seed):
    """What is said of candle t stays when all after it (and its label's candle) are others."""
    make, known = MADE[name], CANDLES[: t + 1 + LOOK_AHEAD.get(name, 1)]
    other = pd.concat([known, walk(60, seed)[len(known) :]])
    whole = make(CANDLES)[: CANDLES.index[t]]
    for changed in (known, other):
        found = make(changed)
        same = pd.testing.assert_frame_equal if whole.ndim == 2 else pd.testing.assert_series_equal
        same(found[: CANDLES.index[t]], whole, check_freq=False)


@pytest.mark.parametrize("name, side", [("features", -1), ("labels", 1), ("returns", 1)])
@given(missing=st.sets(st.integers(0, 59), max_size=30))
@settings(max_examples=30, deadline=None)
def test_nothing_crosses_a_gap(name, side, missing):
    """`side` is where the neighbour stands that a row needs."""
    kept = CANDLES.drop(CANDLES.index[sorted(missing)])
    kept.attrs["interval"] = "5"
    rows = [t for t in range(60) if 0 <= t + side < 60 and not {t, t + side} & missing]
    if rows:  # else a single step may not be the interval
        found = MADE[name](kept)
        assert list(found.index) == list(CANDLES.index[rows])
        np.testing.assert_array_equal(found, MADE[name](CANDLES).loc[found.index])


def test_the_trailing_hour_crosses_no_gap():
    holed = CANDLES.drop(CANDLES.index[30])
    after = features.engineer(holed, extended=True)[CANDLES.index[30] :]
    assert after.index[0] == CANDLES.index[31 + features.LOOK_BACK]


def test_candles_are_not_changed():
    candles, copy = walk(60), walk(60)
    for make in MADE.values():
        make(candles)
    pd.testing.assert_frame_equal(candles, copy)
    assert candles.attrs == {}


@pytest.mark.parametrize("step, interval", [("5min", "5"), ("h", "60"), ("7D", "W"), ("MS", "M")])
def test_the_step_comes_from_attrs_or_from_the_index(step, interval):
    candles = table(walk(30).to_numpy(), step)
    candles.attrs["interval"] = interval
    assert len(features.engineer(candles)) == len(features.labels(candles)) == 29
    assert len(features.labels(candles.drop(candles.index[5]))) == 27
    if interval != "M":  # months differ
        candles.attrs = {}
        assert len(features.labels(candles.drop(candles.index[5]))) == 27


@pytest.mark.parametrize("step", ["MS", "ME", "QS", "YS"])
def test_calendars_need_no_attrs(step):
    candles = table(walk(24).to_numpy(), step)
    assert len(features.labels(candles)) == 23
    assert len(features.labels(candles.drop(candles.index[5]))) == 21


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_short_floats_are_the_prices_they_print(dtype):
    up = closes(1, 1.001, 1, 1.002, 1).astype(dtype)
    assert up.iloc[1]["close"] - 1 != pytest.approx(0.001, rel=1e-6)
    assert features.labels(up).tolist() == [1, 1, 2, 0]
    np.testing.assert_array_equal(features.next_returns(up), features.next_returns(up.astype(str)))
    if dtype is np.float32:  # pandas' own
        assert features.labels(up.astype("Float32")).tolist() == [1, 1, 2, 0]


def test_rounding_is_no_feature_and_no_label():
    """The hour of two candles a day, and a market of one steady rise."""
    for step in ("12h", "6h"):
        found = features.engineer(table(walk(40).to_numpy(), step), extended=True)
        assert set(found["hour_sin"]) | set(found["hour_cos"]) <= {-1.0, 0.0, 1.0}
    steady = closes(*1.001 ** np.arange(40.0))
    assert features.next_returns(steady).nunique() > 1
    assert (features.standardize(features.next_returns(steady).to_numpy()[:, None]) == 0).all()
    assert set(cut(steady, "tercile", fold_of(20, 40))) == {1}
    assert set(cut(steady, "volatility", fold_of(20, 40))) == {0}


# --- splits and scaling ---


def clock(days, start=START):
    return pd.date_range(start, periods=288 * days, freq="5min")


def test_walk_forward_tests_each_row_once_and_only_after_training():
    times = clock(30)
    folds = features.walk_forward(times, "10D", "5D", "10min")
    assert len(folds) == 4
    tested = np.sum([fold.test_mask(times) for fold in folds], axis=0)
    assert (tested[: 288 * 10] == 0).all() and (tested[288 * 10 :] == 1).all()
    for fold in folds:
        train, test = fold.train_mask(times), fold.test_mask(times)
        # Row t reads candles t-1, t and t+1; no candle may serve both sides.
        assert times[train].max() + STEP < times[test].min() - STEP
        assert train.sum() == 288 * 10 - 2


def test_purge_and_embargo_take_rows_from_the_end_of_training_only():
    times = clock(30)
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


@pytest.mark.parametrize("day", [pd.Timedelta("1D"), np.timedelta64(24, "h"), "24:00:00",
                                 datetime.timedelta(1), pd.offsets.Hour(24)])  # fmt: skip
def test_durations_of_any_library(day):
    assert split(day, day, purge="0D") == split("1D", "1D", purge="0min")


def test_all_clients_share_one_clock():
    early, late = clock(20), clock(20, START + pd.Timedelta("3D"))[::3]
    folds = features.walk_forward([early, late, late[:0]], "10D", "4D", "10min")
    assert folds == features.walk_forward(early.union(late), "10D", "4D", "10min")
    assert folds[0].train_start == early[0] and folds[-1].test_mask(late).any()


def test_a_last_window_less_than_half_full_is_left_out():
    assert len(features.walk_forward(clock(16), "10D", "5D", "10min")) == 1
    assert len(features.walk_forward(clock(18), "10D", "5D", "10min")) == 2
    # The first and last candle of ninety days carry no row; the windows hold all the same.
    assert len(features.walk_forward(clock(90)[1:-1], "60D", "15D", "10min")) == 2


def test_standardize_uses_the_training_rows_alone():
    rng = np.random.default_rng(0)
    train, test = rng.normal(3, 2, (500, 4)), rng.normal(9, 5, (100, 4))
    a, b = features.standardize(train, test, clip=None)
    np.testing.assert_allclose([a.mean(0), a.std(0)], [[0] * 4, [1] * 4], atol=1e-12)
    np.testing.assert_allclose(b, (test - train.mean(0)) / train.std(0))
    np.testing.assert_array_equal(features.standardize(train, test * 7, clip=None)[0], a)


def test_standardize_clips_and_handles_constants_and_clients():
    train = np.full((3, 50, 2), 0.1)
    train[..., 0] = np.random.default_rng(0).standard_normal((3, 50))
    train[1, 7, 0] = 1e6
    scaled = features.standardize(train)
    assert scaled.shape == train.shape and np.abs(scaled).max() == 5.0
    assert (scaled[..., 1] == 0).all()
    np.testing.assert_array_equal(scaled[2], features.standardize(train[2]))
    for size in (1e-200, 1e200):
        np.testing.assert_allclose(features.standardize(train * size), scaled)


# --- what is wrong is said ---


def spoiled(column, value):
    return CANDLES.assign(
        **{column: CANDLES[column].where(CANDLES.index != START + 3 * STEP, value)}
    )


def labelled(interval, step="5min"):
    candles = table(walk(30).to_numpy(), step)
    candles.attrs["interval"] = interval
    return candles


NAT = CANDLES[:3].set_axis(pd.DatetimeIndex(["2024-05-01", None, "2024-05-02"]))
BAD_CANDLES = [
    (spoiled("close", np.nan), ValueError, "00:15:00.* not finite"),
    (spoiled("volume", np.inf), ValueError, "00:15:00.* not finite"),
    (spoiled("low", np.nan).convert_dtypes(), ValueError, "00:15:00.* not finite"),
    (spoiled("low", 0.0), ValueError, "00:15:00.* not positive"),
    (spoiled("volume", -1.0), ValueError, "00:15:00.* negative volume"),
    (spoiled("high", 1.0), ValueError, "00:15:00.* inside the body"),
    (CANDLES[::-1], ValueError, "newest first.*past one.*sort_index"),
    (CANDLES.sample(frac=1, random_state=1), ValueError, "out of order"),
    (pd.concat([CANDLES, CANDLES[-1:]]), ValueError, "occurs twice"),
    (CANDLES.drop(columns="volume"), ValueError, "lack volume"),
    (NAT, ValueError, "NaT"),
    (pd.concat([CANDLES, CANDLES[["low"]]], axis=1), ValueError, "two columns called 'low'"),
    (CANDLES.to_numpy(), TypeError, "DatetimeIndex"),
    (labelled("5", "h"), ValueError, "0 days 01:00:00 apart"),
    (labelled("fortnight"), ValueError, "fortnight"),
]


@pytest.mark.parametrize("candles, error, words", BAD_CANDLES)
@pytest.mark.parametrize("make", [features.engineer, features.labels, features.next_returns])
def test_impossible_candles_are_named(make, candles, error, words):
    with pytest.raises(error, match=words):
        make(candles)


EMPTY = features.Fold(START, START, START, START)
X3 = np.ones((3, 50, 2))
BAD_USE = [
    (lambda: features.labels(CANDLES, -0.001), ValueError, "threshold finite and >= 0"),
    (lambda: features.dataset(CANDLES, task="sign"), ValueError, "no task 'sign'; there are dir"),
    (lambda: features.dataset(CANDLES, task="tercile"), TypeError, "pass a Fold .*; got None"),
    (lambda: cut(CANDLES, "volatility", EMPTY), ValueError, "no row to cut by from 2025"),
    (lambda: split("10D", "2D"), ValueError, "one fold needs rows over 11 days"),
    (lambda: split("1D", "1D", "20h", "4h"), ValueError, "leaves nothing"),
    (lambda: split("1D", "0D"), ValueError, "must be positive"),
    (lambda: split("1D", "1D", "-10min"), ValueError, "not negative"),
    (lambda: split("1D", "1D", purge=2), TypeError, "needs purge with its unit.* got 2$"),
    (lambda: split(60, "1D"), TypeError, "train with its unit"),
    (lambda: split("1D", "1D", "2"), TypeError, "purge with its unit, such as '10min'; got '2'"),
    (lambda: split("1D", "1D", embargo="2.5"), TypeError, "embargo with its unit"),
    (lambda: split("1D", "soon"), ValueError, "test such as '10min' or '60D'; got 'soon'"),
    (lambda: split("1D", "1D", times=[clock(5), clock(5).tz_localize(None)]), ValueError, "zone"),
    (lambda: EMPTY.train_mask(clock(5).tz_localize(None)), ValueError, "with a time zone or none"),
    (lambda: split("1D", "1D", times=[clock(5)[:0]]), ValueError, "got none"),
    (lambda: split("1D", "1D", times=[1, 2, 3]), TypeError, "DatetimeIndex"),
    (lambda: features.standardize(X3 * np.nan), ValueError, "finite"),
    (lambda: features.standardize(X3[:, :0]), ValueError, "m >= 1"),
    (lambda: features.standardize(X3, clip=0), ValueError, "clip > 0"),
    (lambda: features.standardize(np.ma.array(X3)), TypeError, "takes no masked arrays"),
    (lambda: features.standardize(CANDLES, CANDLES[COLUMNS[::-1]]), ValueError, "indexes differ"),
]


def split(train, test, purge="10min", embargo="0min", times=None):
    return features.walk_forward(clock(5) if times is None else times, train, test, purge, embargo)


@pytest.mark.parametrize("call, error, words", BAD_USE)
def test_illegal_use(call, error, words):
    with pytest.raises(error, match=words):
        call()


# --- files of candles ---

HEAD, BARS = "open,high,low,close,volume", ["100.1,110,90,105,10", "105,115,105,115,2.5e-1"]


def filed(tmp_path, *lines, name="candles.csv"):
    path = tmp_path / name
    packed = gzip.compress if name.endswith(".gz") else bytes
    path.write_bytes(packed("\n".join(lines).encode()))
    return path


@pytest.mark.parametrize("name", ["candles.csv", "candles.csv.gz"])
@pytest.mark.parametrize("head, opened, known", [
    (f"ts_ms,{HEAD},turnover,source", ["1735689600000,{},9,here", "1735689900000,{},9,here"],
     {"source": "here"}),
    (f"ts_ms,{HEAD}", ["1735689600000,{}", "1735689900000,{}"], {}),
    (f"start_at,symbol,{HEAD}", ["1735689600,BTCUSDT,{}", "1735689900,BTCUSDT,{}"],
     {"symbol": "BTCUSDT"}),
    (f"open_time,{HEAD}", ["2025-01-01 00:00:00+00:00,{}", "2025-01-01T02:05+02:00,{}"], {}),
    (f"open_time,{HEAD}", ["2025-01-01,{}", "2025-01-01 00:05,{}"], {}),
    (None, ["2025.01.01 03:00,{}", "2025.01.01 03:05,{}"], {}),  # MetaTrader's clock, UTC+3
])  # fmt: skip
def test_files_of_candles_are_read_exactly(tmp_path, name, head, opened, known):
    lines = [line.format(bar) for line, bar in zip(opened, BARS, strict=True)]
    found = market.read_candles(filed(tmp_path, *([head] if head else []), *lines, name=name))
    assert found[COLUMNS].to_numpy().tolist() == [[float(x) for x in b.split(",")] for b in BARS]
    assert list(found.index) == list(table(ROWS[:2]).index) and found.index.name == "open_time"
    assert str(found.index.dtype) == "datetime64[ms, UTC]"
    assert found.attrs == {"source": name} | known
    assert len(features.labels(found)) == 1


@pytest.mark.parametrize("lines, said", [
    ([], "No columns"),
    (["side,size,price"], "needs one column ts_ms.* has 0 rows of .'side', 'size', 'price'"),
    ([f"ts_ms,{HEAD}"], "has 0 rows"),
    (["ts_ms,open,high,low,close", "1735689600000,1,1,1,1"], "candles lack volume"),
    ([f"ts_ms,{HEAD}", f"17356896000,{BARS[0]}"], "needs seconds or milli.*; has '17356896000'$"),
    ([f"ts_ms,{HEAD}", f"yesterday,{BARS[0]}"], "needs seconds or milli.*; has 'yesterday'"),
    ([f"ts_ms,{HEAD}", f"1735689600000,{BARS[0]},7"], "Expected 6 fields in line 2, saw 7"),
    ([f"ts_ms,{HEAD}", "1735689600000,1,1,1,1"], "volume needs plain decimals"),
    ([f"ts_ms,{HEAD},close", f"1735689600000,{BARS[0]},7"], "no name twice"),
    ([f"ts_ms,open_time,{HEAD}", f"1735689600,1735689600,{BARS[0]}"], "one column ts_ms"),
    ([f"ts_ms,{HEAD}", f"1735689900000,{BARS[0]}", f"1735689600000,{BARS[1]}"], "newest first"),
    ([f"ts_ms,{HEAD}", "1735689600000,1,1,1,1_0,1"], "close needs plain decimals; has '1_0'"),
    ([f"ts_ms,{HEAD}", "1735689600000,1,1,1,1,"], "volume needs plain decimals; has ''"),
    ([f"ts_ms,{HEAD}", "1735689600000,1,1,1,2,1"], "high or low inside the body"),
    (["2025.01.01 03:00,1,1,1,1,1", "yesterday,1,1,1,1,1"], "has 'yesterday'"),
    (["\0SQLite format"], ""),
])  # fmt: skip
def test_a_file_of_anything_else_is_refused_by_name(tmp_path, lines, said):
    path = filed(tmp_path, *lines)
    with pytest.raises(ValueError, match=f"{path} is no file of candles: .*{said}") as error:
        market.read_candles(path)
    assert str(error.value).isprintable()


def test_a_damaged_packed_file_is_refused_by_name_and_a_missing_one_is_missing(tmp_path):
    whole = filed(tmp_path, f"ts_ms,{HEAD}", *(f"{i},{BARS[0]}" for i in range(99)), name="a.gz")
    for damage in (whole.read_bytes()[:60], b"no zip", whole.read_bytes()[:20] + bytes(40)):
        whole.write_bytes(damage)
        with pytest.raises(ValueError, match="a.gz is no file of candles: "):
            market.read_candles(whole)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        market.read_candles(tmp_path / "nowhere.csv")
