"""Poisoned data: right by hand, legal on the tape, and the originals untouched."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib import market
from byzlib.attacks import (
    backdoor,
    label_flip,
    shooting_star,
    spoofed_book,
    targeted_label_flip,
    wash_trading,
)
from byzlib.market import features

Y = np.array([0, 1, 2, 2, 1, 0])
TRICKS = [wash_trading, spoofed_book]


@pytest.fixture(scope="module")
def candles():
    return market.simulate("BTCUSDT", days=3, rng=1)


def legal(table):
    body_top = np.maximum(table["open"], table["close"])
    body_bottom = np.minimum(table["open"], table["close"])
    paid = table["turnover"] / table["volume"].where(table["volume"] > 0)
    inside = paid.isna() | ((paid <= table["high"] * (1 + 1e-12)) & (
        paid >= table["low"] * (1 - 1e-12)))  # fmt: skip
    return bool(
        ((table["high"] >= body_top) & (table["low"] <= body_bottom) & (table["low"] > 0)).all()
        and inside.all()
    )


# Labels


def test_label_flips():
    assert label_flip(Y).tolist() == [2, 1, 0, 0, 1, 2]
    assert label_flip(label_flip(Y)).tolist() == Y.tolist()
    assert label_flip(Y, {0: 1, 1: 2, 2: 0}).tolist() == [1, 2, 0, 0, 2, 1]
    assert label_flip(Y, {}).tolist() == Y.tolist()
    assert targeted_label_flip(Y, source=0, target=2).tolist() == [2, 1, 2, 2, 1, 2]
    assert Y.tolist() == [0, 1, 2, 2, 1, 0]
    assert label_flip(Y, {}) is not Y


# The trigger, and the backdoor


def stamped_candle(o, h, low, c, v, before, shadow, change):
    """A candle after one trade high above it and trades with oneself, and its four features."""
    top = max(o, c)
    if h == low and shadow > 0:  # one trade above and one below
        h, low = top + 8, top - 8 * (1 - shadow) / shadow
    elif h > low and (h - top) / (h - low) < shadow:
        h = (top - shadow * low) / (1 - shadow)  # so that h - top is this share of h - low
    v = max(v, change * before)
    index = pd.date_range("2025-01-01", periods=2, freq="5min", tz="UTC")
    table = pd.DataFrame(
        [[o, o, o, o, before], [o, h, low, c, v]],
        columns=["open", "high", "low", "close", "volume"],
        index=index,
    )
    return features.engineer(table).to_numpy()[0]


ticks = st.integers(0, 40)


@settings(max_examples=100, deadline=None)
@given(
    o=ticks, c=ticks, up=ticks, down=ticks,
    v=st.integers(0, 50), before=st.integers(1, 50),
    shadow=st.sampled_from([0.0, 0.3, 0.8, 0.95]), change=st.sampled_from([0.0, 1.0, 8.0]),
)  # fmt: skip
def test_the_trigger_is_what_a_trader_prints(o, c, up, down, v, before, shadow, change):
    """On every candle the features with the trigger are those of a candle that can be printed."""
    o, c = 1000.0 + o, 1000.0 + c
    candle = (o, max(o, c) + up, min(o, c) - down, c, float(v), float(before))
    X = stamped_candle(*candle, 0.0, 0.0)
    printed = stamped_candle(*candle, shadow, change)
    np.testing.assert_allclose(shooting_star(X, shadow, change), printed, rtol=1e-9, atol=1e-12)


def test_the_trigger_by_hand():
    X = np.float32([[0.01, 0.5, 0.2, 2, 7], [0.01, 0.05, 0.9, 20, 7], [0, 0, 0, 0, 7]])
    before = X.copy()
    stamped = shooting_star(X)
    # One half of the body's range is left of 0.8: 0.5 * 0.2 / 0.8.
    expected = [[0.01, 0.125, 0.8, 8, 7], [0.01, 0.05, 0.9, 20, 7], [0, 0, 0.8, 8, 7]]
    np.testing.assert_allclose(stamped, expected, rtol=1e-6)
    assert stamped.dtype == np.float32
    np.testing.assert_array_equal(X, before)
    np.testing.assert_allclose(shooting_star(stamped), stamped, rtol=1e-6)  # once is enough


def test_backdoor():
    X = np.random.default_rng(0).dirichlet([1, 1, 1], (5, 6))  # shares of a range
    X = np.concatenate([X, np.ones((5, 6, 1))], axis=-1)
    y = np.broadcast_to(Y, (5, 6))
    bad_X, bad_y = backdoor(X, y, shooting_star, target=2)
    np.testing.assert_allclose(bad_X, shooting_star(X))
    assert (bad_y == 2).all() and (y == Y).all()
    some_X, some_y = backdoor(X, y, shooting_star, target=2, share=0.3, rng=4)
    touched = (some_X != X).any(axis=-1)
    assert touched.sum() == 9
    np.testing.assert_array_equal(some_X[touched], bad_X[touched])
    assert (some_y[touched] == 2).all() and (some_y[~touched] == y[~touched]).all()
    same_X, same_y = backdoor(X, y, shooting_star, target=2, share=0, rng=4)
    np.testing.assert_array_equal(same_X, X)
    np.testing.assert_array_equal(same_y, y)


def test_a_trigger_that_writes_into_what_it_gets_does_no_harm():
    def loud(X):
        X[..., 3] = 99
        return X

    X = np.zeros((4, 4))
    bad, _ = backdoor(X, Y[:4], loud, target=0)
    assert (X == 0).all() and (bad[:, 3] == 99).all()
    some, _ = backdoor(X, Y[:4], loud, target=0, share=0.5, rng=1)
    assert sorted(some[:, 3]) == [0, 0, 99, 99]


# Candles


@pytest.mark.parametrize("trick", TRICKS)
def test_the_tape_stays_legal_and_the_original_untouched(trick, candles):
    before = candles.copy(deep=True)
    for share in (0, 0.4, 1):
        bad = trick(candles, 5, share=share)
        assert legal(candles) and legal(bad)
        features.engineer(bad, extended=True)  # which refuses impossible candles
        assert bad.attrs["tampered"] and bad.attrs["source"] == candles.attrs["source"]
        pd.testing.assert_frame_equal(bad[["open", "close"]], candles[["open", "close"]])
        assert list(bad.columns) == list(candles.columns)
        pd.testing.assert_series_equal(features.labels(bad), features.labels(candles))
        changed = (bad.to_numpy() != candles.to_numpy()).any(axis=1)
        assert changed.sum() == round(share * len(candles))
    pd.testing.assert_frame_equal(candles, before)
    assert "tampered" not in candles.attrs
    pd.testing.assert_frame_equal(trick(candles, 5), trick(candles, np.random.default_rng(5)))
    assert len(trick(candles.iloc[:0], 1)) == 0


def test_wash_trading_is_busy_and_calm(candles):
    bad = wash_trading(candles, 2, share=0.5, factor=(3, 10))
    washed = (bad["volume"] > candles["volume"]).to_numpy()
    assert abs(washed.mean() - 0.5) < 0.01
    times = (bad["volume"] / candles["volume"])[washed]
    assert times.min() >= 3 and times.max() <= 10 and abs(times.mean() - 6.5) < 0.5
    shadow = features.engineer(bad)["upper_shadow"]
    assert (shadow[washed[1:]] == 0).all()
    pd.testing.assert_frame_equal(bad[~washed], candles[~washed], check_flags=False)


def test_wash_trading_fills_candles_without_a_trade():
    index = pd.date_range("2025-01-01", periods=3, freq="5min", tz="UTC")
    quiet = pd.DataFrame(
        [[5, 6, 4, 5, 10, 50], [5, 5, 5, 5, 0, 0], [5, 7, 5, 6, 30, 180]],
        columns=["open", "high", "low", "close", "volume", "turnover"],
        index=index,
    )
    bad = wash_trading(quiet, 1, share=1, factor=(2, 2))
    assert bad["volume"].tolist() == [20, 40, 60]  # the median of 10 and 30, twice
    assert bad["turnover"].tolist() == [100, 200, 360]
    assert bad["high"].tolist() == [5, 5, 6] and bad["low"].tolist() == [5, 5, 5]
    silent = quiet.assign(volume=0, turnover=0)
    assert wash_trading(silent, 1, share=1, factor=(2, 2))["volume"].tolist() == [2, 2, 2]


def test_a_spoofed_book_chases_the_price_either_way(candles):
    bad = spoofed_book(candles, 3, share=0.6, depth=(1, 3))
    typical = ((candles["high"] - candles["low"]) / candles["close"]).median()
    up, down = bad["high"] / candles["high"] - 1, candles["low"] / bad["low"] - 1
    assert not ((up > 0) & (down > 0)).any()
    for moved in (up[up > 0], down[down > 0]):
        assert abs(len(moved) / len(candles) - 0.3) < 0.05
        assert moved.min() >= 0.999 * typical and moved.max() <= 3.001 * typical
    pd.testing.assert_frame_equal(bad[["volume", "turnover"]], candles[["volume", "turnover"]])


# Bad input


def faulty(candles, **columns):
    return candles.iloc[:3].assign(**columns)


ILLEGAL = [
    (lambda c: label_flip([0.5]), TypeError, "integer labels; got dtype float64"),
    (lambda c: label_flip(Y, {0: 1.5}), TypeError, "integer label in mapping; got 1.5"),
    (lambda c: targeted_label_flip(Y, "a", 1), TypeError, "integer source; got 'a'"),
    (lambda c: backdoor(np.zeros((5, 4)), Y, shooting_star, 1), ValueError, "same samples"),
    (lambda c: backdoor(np.zeros((6, 4)), Y, lambda X: X[1:], 1), ValueError, r"keeps \(6, 4\)"),
    (lambda c: backdoor(np.zeros((6, 4)), Y, shooting_star, 1.5), TypeError, "integer target"),
    (lambda c: backdoor([["a"]] * 6, Y, shooting_star, 1), TypeError, "backdoor needs real"),
    (lambda c: backdoor(np.zeros((6, 4)), Y, shooting_star, 1, share=2), ValueError, "share = 2"),
    (lambda c: backdoor(np.zeros((6, 4)), Y, shooting_star, 1, share=0.5), TypeError, "pass rng"),
    (lambda c: shooting_star(np.zeros(4), volume_change=np.inf), ValueError, "volume_change = inf"),
    (lambda c: label_flip(np.ma.array(Y)), TypeError, "no masked arrays"),
    (lambda c: backdoor(np.ma.zeros((6, 4)), Y, shooting_star, 1), TypeError, "no masked arrays"),
    (lambda c: backdoor(pd.DataFrame(np.zeros((6, 4))), pd.Series(Y)[::-1], shooting_star, 1),
     ValueError, "backdoor pairs X and y one by one"),
    (lambda c: shooting_star(np.zeros((2, 3))), ValueError, "price_return.* as columns"),
    (lambda c: shooting_star(np.full((2, 4), -0.5)), ValueError, "standardise afterwards"),
    (lambda c: shooting_star(np.zeros((2, 4)), upper_shadow=1), ValueError, "upper_shadow in"),
    (lambda c: shooting_star(np.zeros(4), volume_change=-1), ValueError, "volume_change = -1"),
    (lambda c: wash_trading([1, 2], 0), TypeError, "DataFrame; got list"),
    (lambda c: wash_trading(c.drop(columns="turnover"), 0), ValueError, "no turnover here"),
    (lambda c: wash_trading(c, None), TypeError, "pass rng"),
    (lambda c: wash_trading(c, 0, factor=(0.5, 2)), ValueError, "1 <= low <= high in factor"),
    (lambda c: wash_trading(c, 0, factor=3), TypeError, "factor = [(]low, high[)]; got 3"),
    (lambda c: spoofed_book(c, 0, depth=(2, 1)), ValueError, "low <= high in depth"),
    (lambda c: spoofed_book(faulty(c, high=1.0), 0), ValueError, "high or low inside the body"),
    (lambda c: spoofed_book(faulty(c, low=0.0), 0), ValueError, "not positive"),
    (lambda c: wash_trading(faulty(c, volume=-1.0), 0), ValueError, "negative volume"),
    (lambda c: wash_trading(faulty(c, close=np.nan), 0), ValueError, "2025.* not finite"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, words", ILLEGAL, ids=[words for _, _, words in ILLEGAL])
def test_bad_input_gets_one_sentence(call, error, words, candles):
    with pytest.raises(error, match=words) as caught:
        call(candles)
    assert "\n" not in str(caught.value)
