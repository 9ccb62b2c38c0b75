"""Checkers of chapter 11: candles a claim needs, short tests that look skilled, the last bar."""

import math

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, require


@exercise("Exercise 11.3 a", "equation (11.3), solved for N; half a candle cannot be had.")
def candles_needed(answer):
    """`answer(p, points)` is the least N with a half width of (11.3) of at most `points`."""
    more = []  # than needed, where the exact N is whole
    for p, points in [
        (0.7, 1.0), (0.7, 14.0), (0.9, 0.5), (0.1, 0.5), (1 / 3, 3.0), (0.5, 1.0), (0.5, 49.0),
        (0.5, 24.5), (0.5, 14.0), (0.5, 7.0), (0.2, 5.6),
    ]:  # fmt: skip
        exact = p * (1 - p) * (196 / points) ** 2
        given, even = float(ask(answer, p, points)), abs(exact - round(exact)) < 1e-6
        right = round(exact) if even else math.ceil(exact)
        if even and given in (right, right + 1):  # one way of rounding or another
            more.append(given - right)
            given = right
        mistakes = {
            "`points` are hundredths of the accuracy: 1 point is 0.01.": _rounded(exact / 1e4),
            "in (11.3) N stands under a square root; square both sides.": _rounded(exact**0.5),
            "the 1.96 has to be squared with the rest.": _rounded(exact / 1.96),
            "a half width is wanted, not the whole width of the interval.":
                (*_rounded(4 * exact), 4 * right, 4 * right + 4 * even),
            "that is the answer for p = 0.5, the worst case; use the p that is given.":
                _rounded(0.25 * (196 / points) ** 2),
        }  # fmt: skip
        off = f"fewer candles than your {given:g} would do: {right} are enough."
        if not given >= exact - 1e-6:
            off = f"your N = {given:g} is too small: the half width is still wider. Round up."
        elif given != int(given):
            off = f"a whole number of candles, please; got {given:g}."
        judge(given, right, mistakes, off, rtol=0, atol=1e-9 * right)
    require(0 in more, "where N comes out whole it is enough: you ask for one candle more.")


def _rounded(value):
    """A number, and the whole numbers that it may be rounded to."""
    return value, math.floor(value), math.ceil(value), math.floor(value) + 1


@exercise("Exercise 11.3 b", "what could be known before the test, and which windows are whole.")
def lucky_share(answer):
    """`answer(y, window, test, level)` is the share of windows that look good with one class.

    Windows stand side by side; the class is the commonest of a window before its last `test`
    labels, and looks good if at least `level` of those are of that class.
    """
    turned = np.tile(np.repeat([0, 2], [4, 6]), 5)
    up, edge = np.full(40, 2), np.tile([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 4)
    left_over = np.repeat([1, 0, 1], [16, 4, 5])  # one good window, one bad, and half a window
    tie = "of equally common classes the smallest is named, wherever they stand."
    rng = np.random.default_rng(9)
    drawn = [(rng.choice(3, 2000, p=[0.15, 0.7, 0.15]), window, test, level, {}, "")
             for window, test, level in [(20, 5, 0.8), (50, 10, 0.6), (200, 40, 0.7)]]  # fmt: skip
    for y, window, test, level, mistakes, otherwise in [
        (turned, 10, 4, 0.85, {
            "each window turns from one class to another before its test, and you still named the "
            "right one: the class has to be learned before the test begins.": 1,
        }, ""),
        (up, 10, 4, 0.85, {}, "a market that only goes Up looks good in every window: the "
                              "commonest class need not be Flat."),
        (edge, 10, 4, 0.75, {}, "three of four right is 75 %, and 75 % is at least 75 %."),
        (left_over, 10, 4, 0.85, {
            "the five labels at the end are not a whole window: leave them out.": (1 / 3, 2 / 3),
        }, "of two windows side by side one looks good; do your windows overlap?"),
        (np.tile([2, 2, 0, 0, 0, 0], 3), 6, 2, 0.9, {}, tie),
        (np.tile([0, 2, 2, 0, 2, 2], 3), 6, 2, 0.9, {}, tie),
        (np.tile([2, 1, 1, 2, 2, 2], 3), 6, 2, 0.9, {}, tie),
        *drawn,
    ]:  # fmt: skip
        found, right = ask(answer, y, window, test, level), _lucky(y, window, test, level)
        require(0 <= found <= 1, f"a share lies between 0 and 1; got {found:g}.")
        otherwise = otherwise or "look at each window by hand."
        off = f"the share is {right:.3f}, you found {found:.3f}: {otherwise}"
        judge(found, right, mistakes, off)


@exercise("Exercise 11.3 c", "the three steps of the experiment; a market is a pair.")
def last_bar_trial(answer):
    """`answer(markets, test)` is (low, high, which): the last bar's accuracy minus one class's."""
    rng = np.random.default_rng(93)
    for k, m, test, clump in [(20, 60, 20, 1), (12, 80, 30, 8), (6, 60, 20, 2)]:
        markets = rng.choice(3, (k, m), p=[0.2, 0.5, 0.3]).repeat(clump, axis=1)[:, -m:]
        found = ask(answer, markets, test, shape=None)
        future = markets[:, -test:]
        learned = [np.bincount(row[:-test]).argmax() for row in markets]
        by_bar = (future == markets[:, -test - 1 : -1]).mean(axis=1)
        by_class = (future == np.array(learned)[:, None]).mean(axis=1)
        where = f"{k} markets, test {test}"
        judge_experiment(found, by_bar, by_class, ("last bar", "commonest"), where)


def _lucky(y, window, test, level):
    rows = y[: len(y) // window * window].reshape(-1, window)
    learned = [np.bincount(row[:-test]).argmax() for row in rows]
    right = (rows[:, -test:] == np.array(learned)[:, None]).mean(axis=1)
    return np.mean(right >= level)
