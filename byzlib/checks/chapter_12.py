"""Checkers of chapter 12: labels and shadows of candles, what a purge is for."""

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import array, ask, exercise, judge, require, shape_of


@exercise("Exercise 12.3 a", "the definition of the label, and what is known about the last bar.")
def next_labels(answer):
    """`answer(close, threshold)` is 0, 1, 2 for each bar whose next close is known."""
    for close, threshold in [
        ([100, 101, 101, 100, 100.05, 99], 0.001), ([100, 101, 101, 100, 100.05, 250], 0.001),
        ([64, 80, 60], 0.25), ([100, 125, 100], 0.22), ([8, 8], 0.0), ([2, 3, 2, 2], 0.0),
    ]:  # fmt: skip
        close = np.array(close, dtype=float)
        n, now, after = len(close), close[:-1], close[1:]
        value = ask(answer, close, threshold, shape=None)
        require(shape_of(value) not in (None, ()), f"a list of labels is wanted; got {value!r}.")
        last = "the last bar has no next close, so it has no label."
        require(len(value) != n, last)
        wanted = f"{n - 1} of the {n} bars have a label."
        found = array(value, (n - 1,), wanted)
        change = after / now - 1
        right = _three(change, threshold)
        shifted = (np.r_[first, right[:-1]] for first in range(3))
        mistakes = {
            "your labels describe the bar itself, the return up to t; wanted is the next one.":
                tuple(shifted),
            "your labels come out in reverse order.": right[::-1],
            "Up and Down have changed places.": 2 - right,
            "a return of exactly the threshold is Flat.":
                np.where(change >= threshold, 2, np.where(change <= -threshold, 0, 1)),
            "a difference of prices is no return: divide by the close of the bar.":
                _three(after - now, threshold),
            "you divided by the next close: a return is a share of the close before it.":
                _three(1 - now / after, threshold),
            "that is the logarithm: the return is the quotient of the closes less 1.":
                _three(np.log(after / now), threshold),
            "there is no Flat in your labels.": np.where(change > 0, 2, 0),
        }  # fmt: skip
        off = f"{right.tolist()} is wanted; yours {found.tolist()}."
        judge(found, right, mistakes, off)


def _three(change, threshold):
    return np.where(change > threshold, 2, np.where(change < -threshold, 0, 1))


@exercise("Exercise 12.3 b", "what happens where high equals low.")
def upper_shadow(answer):
    """`answer(open, high, low, close)` is the upper shadow's share of the range, 0 for no range."""
    # rising, falling, no shadow, open = close, all shadow, no range
    candles = np.array([
        [10.0, 12, 11, 10, 20, 5], [14, 13, 12, 12, 28, 5], [9, 9, 11, 7, 20, 5],
        [12, 10, 12, 10, 20, 5],
    ])  # fmt: skip
    for o, h, low, c in [candles, candles / 128, candles[:, :3]]:
        span = h - low
        some, safe = span > 0, np.where(span > 0, span, 1)
        above = h - np.maximum(o, c)
        right = above / safe
        body = np.abs(c - o)
        mistakes = {
            "a candle with high = low divides zero by zero: call it 0.":
                np.where(some, right, np.nan),
            "a candle with high = low has no shadow: 0.": np.where(some, right, 1),
            "a candle with open = close has no body, and may have a shadow all the same.":
                np.where(body > 0, right, 0),
            "a falling candle's shadow starts at its open, the higher end of its body.":
                (h - c) / safe,
            "a rising candle's shadow starts at its close, the higher end of its body.":
                (h - o) / safe,
            "that is the lower shadow.": (np.minimum(o, c) - low) / safe,
            "that is both shadows: the upper one is wanted.": (span - body) / safe,
            "a shadow starts at the higher end of the body, not at the lower.":
                (h - np.minimum(o, c)) / safe,
            "a share of the range is wanted: divide by high - low.": above,
            "divide by the whole range, high - low, not by the body.":
                np.where(some, above / np.where(body > 0, body, np.nan), 0),
            "divide by the range, not by the price.": (above / h, above / o, above / c),
        }  # fmt: skip
        got = ask(answer, o, h, low, c, shape=o.shape, wanted="One number a candle, please.")
        judge(got, right, mistakes)


@exercise(
    "Exercise 12.3 c", "the section Split by time: which training rows share bars with the test."
)
def purge_trial(answer):
    """`answer(closes, horizon, start)` is (low, high, verdict): right unpurged minus purged."""
    rng = np.random.default_rng(103)
    for markets, horizon, start in [(200, 12, 60), (200, 1, 50), (5, 30, 100)]:
        steps = 0.001 * rng.standard_normal((markets, start + 2 * horizon + 3))
        closes = 100 * np.exp(np.cumsum(steps, axis=1))
        found = ask(answer, closes, horizon, start, shape=None)
        up = closes[:, horizon:] > closes[:, :-horizon]
        test = up[:, start : start + horizon]
        loose, purged = (
            (test == up[:, last, None]).mean(axis=1) for last in (start - 1, start - horizon)
        )
        where = f"for {markets} markets, horizon = {horizon}, start = {start}"
        judge_experiment(found, loose, purged, ("leak", "purge wins"), where)
