"""Checkers of chapter 10: labels and shadows of candles."""

import numpy as np

from byzlib.checks._form import ask, exercise, judge, require, shape_of


@exercise("Exercise 10.3 a", "the definition of the label, and what is known about the last bar.")
def next_labels(answer):
    """`answer(close, threshold)` is 0, 1, 2 for each bar whose next close is known."""
    close = np.array([100.0, 101.0, 101.0, 100.0, 100.05, 99.0])
    value = ask(answer, close, 0.001, shape=None)
    require(shape_of(value) not in (None, ()), f"a list of labels is wanted; got {value!r}.")
    got, right = np.asarray(value), np.array([2, 1, 0, 1, 0])
    require(len(got) != len(close), "the last bar has no next close, so it has no label.")
    require(got.shape == (5,), f"five of the six bars have a label; yours has shape {got.shape}.")
    mistakes = {
        "your labels describe the bar itself, the return up to t; wanted is the next one.":
            [1, 2, 1, 0, 1],
        "your labels come out in reverse order.": right[::-1],
        "Up and Down have changed places.": 2 - right,
    }  # fmt: skip
    off = f"for closes {close.tolist()}: {right.tolist()}; yours {got.tolist()}."
    judge(got, right, mistakes, off)
    close[-1] = 250
    early = np.asarray(answer(close, 0.001))[:4]
    require(
        early.tolist() == right[:4].tolist(),
        "an earlier label changed when only the last close did.",
    )
    tie = np.asarray(answer(np.array([64.0, 80.0, 60.0]), 0.25)).tolist()
    require(tie == [1, 1], f"a return of exactly the threshold is Flat; yours {tie}.")


@exercise("Exercise 10.3 b", "what happens where high equals low.")
def upper_shadow(answer):
    """`answer(open, high, low, close)` is the upper shadow's share of the range, 0 for no range."""
    candles = np.array([[10.0, 12, 11, 5], [14, 13, 12, 5], [10, 9, 11, 5], [12, 10, 12, 5]])
    wanted = "One number a candle, please."
    got = ask(answer, *candles, shape=(4,), wanted=wanted)
    require(np.isfinite(got[3]), "a candle with high = low divides zero by zero: call it 0.")
    require(got[3] == 0, f"a candle with high = low has no shadow: 0; yours {got[3]:g}.")
    require(
        got[1] == 0.25,
        f"a falling candle's shadow starts at its open: (13 - 12) / 4; yours {got[1]:g}.",
    )
    require(np.allclose(got, [0.5, 0.25, 0, 0]), f"wanted 0.5, 0.25, 0, 0; yours {got.tolist()}.")
    scaled = ask(answer, *(2 * candles), shape=(4,), wanted=wanted)
    require(np.allclose(got, scaled), "doubling all prices must not change the share.")
