"""The volatility and tercile tasks: cut by training rows alone; and no split finds what is not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib import market
from byzlib.federated import SimpleModel
from byzlib.market import features
from byzlib.metrics import balanced_accuracy, t_interval

TASKS = {"tercile": features.tercile_labels, "volatility": features.volatility_labels}
START = pd.Timestamp("2025-01-01", tz="UTC")


def fold_of(train_end, test_end):
    """Train on the first candles up to one number, test up to another (both exclusive)."""
    step = pd.Timedelta("5min")
    edges = [START, START + train_end * step, START + train_end * step, START + test_end * step]
    return features.Fold(*edges)


def closes(*prices):
    index = pd.date_range(START, periods=len(prices), freq="5min", name="open_time")
    table = {name: np.array(prices, float) for name in ("open", "high", "low", "close")}
    return pd.DataFrame(table | {"volume": 1.0}, index=index)


@pytest.fixture(scope="module")
def candles():
    return market.simulate("BTCUSDT", 4, 0)


def test_next_returns_by_hand():
    found = features.next_returns(closes(100, 110, 99, 99))
    np.testing.assert_allclose(found, [0.1, -0.1, 0], atol=1e-15)
    assert found.name == "next_return" and len(found.index) == 3


def test_labels_by_hand():
    # Returns +10 %, -10 %, 0, +50 %, then two to be judged: +20 % and -50 %.
    table = closes(100, 110, 99, 99, 148.5, 178.2, 89.1)
    fold = fold_of(4, 6)
    tercile = features.tercile_labels(table, fold)
    assert tercile.tolist() == [1, 0, 1, 2, 2, 0]
    assert tercile.attrs["cuts"] == pytest.approx((0, 0.1))
    volatility = features.volatility_labels(table, fold)
    assert volatility.attrs["cuts"] == pytest.approx((0.1,))
    assert volatility.tolist()[2:] == [0, 1, 1, 1]


@pytest.mark.parametrize("task", TASKS)
def test_training_classes_are_balanced(task, candles):
    X, y, times = features.dataset(candles, task=task, fold=fold_of(800, 1100))
    trained = y[fold_of(800, 1100).train_mask(times)]
    shares = np.bincount(trained) / len(trained)
    assert len(shares) == len(features.TASKS[task]) and np.ptp(shares) < 0.005
    assert X.shape == (len(y), 4)


@pytest.mark.parametrize("task", TASKS)
@given(t=st.integers(300, 1150), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_future_of_a_row_changes_no_label(task, candles, t, seed):
    fold, label = fold_of(298, 1152), TASKS[task]
    whole = label(candles, fold)
    other = market.simulate("BTCUSDT", 4, 1000 + seed)
    mixed = pd.concat([candles[: t + 2], other[t + 2 :]])
    for changed in (mixed, candles[: t + 2]):
        now = label(changed, fold)
        assert now.attrs["cuts"] == whole.attrs["cuts"]
        pd.testing.assert_series_equal(now[: t + 1], whole[: t + 1])


@pytest.mark.parametrize("task", TASKS)
def test_the_training_rows_do_change_the_cuts(task, candles):
    cuts = [TASKS[task](candles, fold_of(k, 1152)).attrs["cuts"] for k in (200, 800)]
    assert cuts[0] != cuts[1]


@pytest.mark.parametrize("task", TASKS)
@given(missing=st.sets(st.integers(0, 59), max_size=20))
@settings(max_examples=40, deadline=None)
def test_no_label_crosses_a_gap(task, candles, missing):
    candles = candles[:60]
    kept = candles.drop(candles.index[sorted(missing)])
    kept.attrs["interval"] = "5"
    known = [t for t in range(59) if not {t, t + 1} & missing]
    if len(known) < 2:
        return
    found = TASKS[task](kept, fold_of(60, 61))
    assert list(found.index) == list(candles.index[known])
    returns = candles["close"].pct_change().shift(-1).iloc[known]
    np.testing.assert_allclose(features.next_returns(kept), returns)


def test_a_purged_training_row_moves_no_cut(candles):
    (fold,) = features.walk_forward(candles.index, "3D", "1D", "10min")
    changed = candles.copy()
    at = fold.test_start - pd.Timedelta("5min")
    factor = np.where(changed.index >= at, 1.5, 1.0)
    for name in ("open", "high", "low", "close"):
        changed[name] *= factor
    changed.loc[at, ["open", "low"]] /= 1.5
    for label in TASKS.values():
        assert label(changed, fold).attrs["cuts"] == label(candles, fold).attrs["cuts"]


def test_what_is_wrong_is_said(candles):
    with pytest.raises(ValueError, match="no task 'sign'; there are direction, tercile"):
        features.dataset(candles, task="sign")
    with pytest.raises(TypeError, match="pass a Fold of walk_forward; got None"):
        features.dataset(candles, task="tercile")
    with pytest.raises(ValueError, match="no row to cut by from 2025-01-01"):
        features.volatility_labels(candles, features.Fold(START, START, START, START))


def scores(candles, task, extended=True):
    """Balanced accuracy of a network in every fold of a walk through time."""
    times = features.engineer(candles, extended).index
    found = []
    for fold in features.walk_forward(times, "20D", "10D", "70min"):
        X, y, rows = features.dataset(candles, extended=extended, task=task, fold=fold)
        train, test = fold.train_mask(rows), fold.test_mask(rows)
        A, B = features.standardize(X[train], X[test])
        model = SimpleModel(A.shape[1], n_hidden=6, n_classes=len(features.TASKS[task]))
        theta, rng = model.init(0), np.random.default_rng(0)
        for _ in range(60):
            batch = rng.integers(0, len(A), 500)
            theta = theta - 0.5 * model.gradient(theta, A[batch], y[train][batch])
        found.append(balanced_accuracy(y[test], model.predict(theta, B)))
    return found


def random_walk(seed, m=288 * 60):
    """Candles whose moves have no memory of any kind: the null market."""
    rng = np.random.default_rng(seed)
    path = 60_000 * np.exp(np.cumsum(rng.standard_normal((m, 4)) * 7e-4).reshape(m, 4))
    open_ = np.concatenate([[60_000.0], path[:-1, -1]])
    seen = np.column_stack([open_, path])
    index = pd.date_range(START, periods=m, freq="5min", name="open_time")
    columns = {"open": open_, "high": seen.max(1), "low": seen.min(1), "close": path[:, -1]}
    return pd.DataFrame(columns | {"volume": rng.lognormal(5, 1, m)}, index=index)


@pytest.mark.parametrize("task", features.TASKS)
def test_on_the_null_market_no_split_finds_anything(task):
    classes = len(features.TASKS[task])
    found = np.array([scores(random_walk(seed), task) for seed in range(5)])
    chance = 1 / classes
    # A fold holds 2880 rows: the rarest class a few hundred, so one score strays by under .03.
    assert np.abs(found - chance).max() < 0.03
    interval = t_interval(found.ravel(), level=0.999)
    assert interval.low <= chance <= interval.high


@pytest.mark.parametrize("task, least", [("tercile", 0.36), ("volatility", 0.56)])
def test_on_the_simulated_market_there_is_something_to_lose(task, least):
    found = scores(market.simulate("BTCUSDT", 60, 0), task)
    assert np.mean(found) > least
