"""Checkers of chapter 10: labels and shadows of candles."""

import numpy as np

from byzlib.checks._form import array, exercise, require, shape_of


@exercise("Exercise 10.3 a", "the definition of the label, and what is known about the last bar.")
def next_labels(answer):
    """`answer(close, threshold)` is 0, 1, 2 for each bar whose next close is known."""
    close = np.array([100.0, 101.0, 101.0, 100.0, 100.05, 99.0])
    given = close.copy()
    value = answer(given, 0.001)
    require(np.array_equal(given, close), "your function changed the closes it was given.")
    require(shape_of(value) not in (None, ()), f"a list of labels is wanted; got {value!r}.")
    got = np.asarray(value)
    require(len(got) != len(close), "the last bar has no next close, so it has no label.")
    require(got.shape == (5,), f"five of the six bars have a label; yours has shape {got.shape}.")
    right = [2, 1, 0, 1, 0]
    require(
        got.tolist() != [1, 2, 1, 0, 1],
        "your labels describe the bar itself, the return up to t; wanted is the next one.",
    )
    require(got.tolist() != right[::-1], "your labels come out in reverse order.")
    require(got.tolist() != [2 - k for k in right], "Up and Down have changed places.")
    require(got.tolist() == right, f"for closes {close.tolist()}: {right}; yours {got.tolist()}.")
    future = np.array([100.0, 101.0, 101.0, 100.0, 100.05, 250.0])
    require(
        np.asarray(answer(future, 0.001))[:4].tolist() == right[:4],
        "an earlier label changed when only the last close did.",
    )
    tie = np.asarray(answer(np.array([64.0, 80.0, 60.0]), 0.25)).tolist()
    require(tie == [1, 1], f"a return of exactly the threshold is Flat; yours {tie}.")


@exercise("Exercise 10.3 b", "what happens where high equals low.")
def upper_shadow(answer):
    """`answer(open, high, low, close)` is the upper shadow's share of the range, 0 for no range."""
    o = np.array([10.0, 12.0, 11.0, 5.0])
    h = np.array([14.0, 13.0, 12.0, 5.0])
    low = np.array([10.0, 9.0, 11.0, 5.0])
    c = np.array([12.0, 10.0, 12.0, 5.0])
    with np.errstate(all="ignore"):
        given = [x.copy() for x in (o, h, low, c)]
        got = array(answer(*given), (4,), "One number a candle, please.")
    require(np.array_equal(given, [o, h, low, c]), "your function changed what it was given.")
    require(np.isfinite(got[3]), "a candle with high = low divides zero by zero: call it 0.")
    require(got[3] == 0, f"a candle with high = low has no shadow: 0; yours {got[3]:g}.")
    require(
        got[1] == 0.25,
        f"a falling candle's shadow starts at its open: (13 - 12) / 4; yours {got[1]:g}.",
    )
    require(np.allclose(got, [0.5, 0.25, 0, 0]), f"wanted 0.5, 0.25, 0, 0; yours {got.tolist()}.")
    with np.errstate(all="ignore"):
        scaled = array(answer(2 * o, 2 * h, 2 * low, 2 * c), (4,), "One number a candle, please.")
    require(np.allclose(got, scaled), "doubling all prices must not change the share.")
