"""Answers to the exercises of chapter 11: right ones, and wrong ones with their hint."""

import math
from collections import Counter

import numpy as np

from byzlib import checks
from tests.answers.experiment import answers


def needed_by_formula(p, points):
    return math.ceil(p * (1 - p) * (196 / points) ** 2)


def needed_by_search(p, points):
    low, high = 0, 10**7
    while high - low > 1:
        middle = (low + high) // 2
        enough = 196 * math.sqrt(p * (1 - p) / middle) <= points
        low, high = (low, middle) if enough else (middle, high)
    return np.int64(high)


def needed_by_quotient(p, points):
    return math.ceil(p * (1 - p) / (points / 196) ** 2)


def needed_in_hundredths(p, points):
    return int(np.ceil((1.96 * np.sqrt(p * (1 - p)) / (points / 100)) ** 2))


NEEDED_WRONG = [
    (lambda p, points: round(p * (1 - p) * (196 / points) ** 2), "8067 is too small"),
    (
        lambda p, points: math.floor(p * (1 - p) * (196 / points) ** 2 + 1e-9) + 1,
        "whole it is enough",
    ),
    (lambda p, points: p * (1 - p) * (1.96 / points) ** 2, "hundredths"),
    (lambda p, points: math.sqrt(p * (1 - p)) * 196 / points, "square root"),
    (lambda p, points: p * (1 - p) * 1.96 * (100 / points) ** 2, "1.96 has to be squared"),
    (lambda p, points: math.ceil(4 * needed_by_formula(p, points)), "not the whole width"),
    (lambda p, points: math.ceil(0.25 * (196 / points) ** 2), "worst case"),
    (lambda p, points: int(p * (1 - p) * (196 / points) ** 2), "Round up"),
    (lambda p, points: p * (1 - p) * (196 / points) ** 2, "whole number"),
    (lambda p, points: needed_by_formula(p, points) + 1, "would do"),
    (lambda p, points: math.nan, "yours holds nan"),
    (lambda p, points: [1, 2], "(?i)one number"),
    (lambda p, points: None, "returns None"),
]


def lucky_by_loop(y, window, test, level):
    looks_good = []
    for start in range(0, len(y) - window + 1, window):
        past = y[start : start + window - test].tolist()
        future = y[start + window - test : start + window].tolist()
        counts = Counter(past)
        name = min(counts, key=lambda k: (-counts[k], k))
        looks_good.append(future.count(name) >= level * test)
    return sum(looks_good) / len(looks_good)


def lucky_by_arrays(y, window, test, level):
    rows = np.array_split(y[: len(y) // window * window], len(y) // window)
    rows = np.stack(rows)
    counts = (rows[:, :-test, None] == np.arange(3)).sum(axis=1)
    right = rows[:, -test:] == counts.argmax(axis=1, keepdims=True)
    return (right.mean(axis=1) >= level).mean()


def over(windows, learn, good=np.greater_equal):
    """An answer from its parts: which windows, what is learned, what counts as good."""

    def answer(y, window, test, level):
        rows = windows(y, window)
        right = [np.mean(row[-test:] == learn(row, test)) for row in rows]
        return np.mean(good(right, level))

    return answer


def side_by_side(y, window):
    return y[: len(y) // window * window].reshape(-1, window)


def before(row, test):
    return np.bincount(row[:-test]).argmax()


def first_met(row, test):
    return Counter(row[:-test].tolist()).most_common(1)[0][0]


def largest(row, test):
    return 2 - np.bincount(row[:-test], minlength=3)[::-1].argmax()


def last_met(row, test):
    return Counter(row[:-test][::-1].tolist()).most_common(1)[0][0]


LUCKY_WRONG = [
    *(
        (over(side_by_side, learn), "the smallest is named")
        for learn in (first_met, largest, last_met)
    ),
    (over(side_by_side, lambda row, test: np.bincount(row[-test:]).argmax()), "learned before"),
    (over(side_by_side, lambda row, test: np.bincount(row).argmax()), "learned before"),
    (over(side_by_side, lambda row, test: 1), "need not be Flat"),
    (over(side_by_side, before, np.greater), "at least 75"),
    (
        over(lambda y, window: np.lib.stride_tricks.sliding_window_view(y, window), before),
        "overlap",
    ),
    (
        over(lambda y, window: [y[i : i + window] for i in range(0, len(y), window)], before),
        "whole window",
    ),
    (lambda y, window, test, level: 100 * lucky_by_loop(y, window, test, level), "between 0 and 1"),
    (lambda y, window, test, level: math.nan, "between 0 and 1"),
    (lambda y, window, test, level: np.ones(3), "(?i)one number"),
    (lambda y, window, test, level: 1 - lucky_by_loop(y, window, test, level), "right one"),
    (lambda y, window, test, level: y.sort() or 0.0, "only goes Up|changed"),
]


def scores(markets, test):
    future = markets[:, -test:]
    learned = np.array([np.bincount(row[:-test]).argmax() for row in markets])
    by_bar = (future == markets[:, -test - 1 : -1]).mean(axis=1)
    return by_bar, (future == learned[:, None]).mean(axis=1)


def scores_that_peek(markets, test):
    peeked = np.array([np.bincount(row[-test:]).argmax() for row in markets])
    return scores(markets, test)[0], (markets[:, -test:] == peeked[:, None]).mean(axis=1)


LAST_BAR = answers(scores, ("last bar", "commonest"))

RIGHT = [
    (checks.candles_needed, needed_by_formula),
    (checks.candles_needed, needed_by_search),
    (checks.candles_needed, needed_by_quotient),
    (checks.candles_needed, needed_in_hundredths),
    (checks.lucky_share, lucky_by_loop),
    (checks.lucky_share, lucky_by_arrays),
    (checks.lucky_share, over(side_by_side, before)),
    *[(checks.last_bar_trial, answer) for answer in LAST_BAR[0]],
]

WRONG = [
    *((checks.candles_needed, *case) for case in NEEDED_WRONG),
    *((checks.lucky_share, *case) for case in LUCKY_WRONG),
    *[(checks.last_bar_trial, answer, hint) for answer, hint in LAST_BAR[1]],
    (
        checks.last_bar_trial,
        answers(scores_that_peek, ("last bar", "commonest"))[0][0],
        "is wanted at place",
    ),
]
