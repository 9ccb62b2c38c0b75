"""Checkers of chapter 16: where lies bring the mean to rest, the area of a ROC, alarms, a crash."""

from functools import partial

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge
from byzlib.risk import cusum, detection_delay


@exercise("Exercise 16.3 a", "equation (16.4) and the two liars around it.")
def resting_share(answer):
    """`answer(q, n, f, b)` is the share of exceedances at which the mean rests, at least 0."""
    for q, n, f, b in [
        (0.01, 10, 1, -0.01), (0.01, 10, 3, 0.01), (0.05, 20, 2, 0.2), (0.05, 20, 0, 0.5),
        (0.01, 10, 3, 0.5), (0.01, 10, 1, -5.0), (0.5, 12, 4, 40.0),
    ]:  # fmt: skip
        checked, weight = min(max(b, -q), 1 - q), f / (n - f)
        mistakes = {
            "f / n is not the weight: the liars pull against the h = n - f honest desks.":
                max(q - f / n * checked, 0.0),
            "the sign of b is turned: a liar that sends a negative b wants less margin, and gets "
            "more exceedances.": max(q + weight * checked, 0.0),
            "a share is never negative: with no point of rest it is 0.": q - weight * checked,
            "bring b into [-q, 1 - q] first, as the house does.": max(q - weight * b, 0.0),
            "bring b into [-q, 1 - q] first, and a share is never negative.": q - weight * b,
            "that is the honest share: the lies are missing.": q,
        }  # fmt: skip
        right = max(q - weight * checked, 0.0)
        judge(ask(answer, q, n, f, b), right, mistakes, rtol=1e-9, atol=1e-12)


@exercise("Exercise 16.3 b", "the section An alarm that goes the wrong way.")
def area(answer):
    """`answer(attacked, clean)` is the chance that attacked scores higher, ties one half."""
    rng = np.random.default_rng(13)
    for attacked, clean in [
        (rng.normal(-1, 1, 15).round(2), rng.normal(0, 1, 15).round(2)),
        (np.array([3.0, 4.0]), np.array([1.0, 2.0, 2.5])),
        (rng.normal(1, 1, 40).round(2), rng.normal(0, 1, 30).round(2)),
        (rng.integers(0, 4, 30).astype(float), rng.integers(0, 3, 20).astype(float)),
        (np.ones(5), np.ones(4)),
    ]:
        larger = np.mean(attacked[:, None] > clean)
        equal = np.mean(attacked[:, None] == clean)
        right, both = larger + equal / 2, min(attacked.size, clean.size)
        mistakes = {
            "the two are exchanged: attacked rounds should score above clean ones.": 1 - right,
            "ties are missing: an equal pair counts one half.": larger,
            "ties count one half, not one.": larger + equal,
            "a chance is wanted: divide by the number of pairs.": right
            * attacked.size
            * clean.size,
            "you compared round with round: every attacked round meets every clean one.":
                np.mean(attacked[:both] > clean[:both]),
        }  # fmt: skip
        judge(ask(answer, attacked, clean), right, mistakes)


@exercise("Exercise 16.3 c", "equation (16.6), and how both alarms were given the same peace.")
def alarm_trial(answer):
    """`answer(calm, told, drift, window)` is (low, high, which): wait of average minus cusum."""
    rng = np.random.default_rng(133)
    for runs, shift, window in [(40, 0.7, 1), (40, 3.0, 1), (6, 0.5, 8)]:
        calm = rng.standard_normal((100, 30))
        told = shift + rng.standard_normal((runs, 30))
        found = ask(answer, calm, told, 0.4, window, shape=None)
        waits = []
        for watch in (partial(_moving_average, window=window), partial(cusum, drift=0.4)):
            border = np.quantile(watch(calm).max(axis=1), 0.95)
            waits.append(np.minimum(detection_delay(watch(told), border), 30))
        where = f"for {runs} runs, a shift of {shift} and a window of {window}"
        judge_experiment(found, *waits, ("adding up", "average"), where)


def _moving_average(scores, window):
    """Mean of the last `window` scores; minus infinity before there are as many."""
    frames = np.lib.stride_tricks.sliding_window_view(scores, window, axis=1)
    early = np.full((len(scores), window - 1), -np.inf)
    return np.concatenate([early, frames.mean(axis=2)], axis=1)


@exercise("Exercise 16.3 d", "the section Scenarios are not votes.")
def leans_on(answer):
    """`answer(book, shocks, desks, low, high)` is (desk, worst loss, worst loss without it)."""
    hour, crash, absurd, mild = [-0.1, -0.2], [-0.3, -0.4], [-1.2, 0.0], [0.1, -0.05]
    for book, shocks, desks in [
        ([1.0, 1.0], [hour, mild, crash, mild], [0, 1, 1, 2]),
        ([1.0, 1.0], [hour, absurd, mild, crash], [0, 0, 1, 2]),
        ([1.0, 1.0], [crash, mild, crash, hour], [0, 1, 2, 2]),
        ([-1.0, 2.0], [mild, hour, crash, [0.8, 0.2]], [0, 1, 1, 2]),
        ([1.0, 0.0], [[0.1, 0.2], [0.3, 0.1]], [0, 1]),
    ]:
        book, shocks, desks = np.array(book), np.array(shocks), np.array(desks)
        wanted = "A desk and two losses, please."
        found = ask(answer, book, shocks, desks, -1, 10, shape=(3,), wanted=wanted)
        desk, loss, rest = right = _leans(-shocks @ book, desks, (shocks >= -1).all(axis=1))
        everything = np.ones(len(desks), bool)
        fair = (shocks >= -1).all(axis=1)
        each = np.array([(-shocks @ book)[fair & (desks == k)].max() for k in np.unique(desks)])
        mistakes = {
            "a scenario with a price below 0, a shock under `low`, is refused.":
                _leans(-shocks @ book, desks, everything),
            "desks are counted from 0.": [desk + 1, loss, rest],
            "a loss is positive when money is lost: minus the shocks times the book.":
                ([desk, -loss, -rest], _leans(shocks @ book, desks, fair)),
            "the third number is the worst loss that is left without the desk, not the difference.":
                [desk, loss, loss - rest],
            "a scenario that two desks sent is still there without one of them.":
                [desk, loss, max(x for x in -shocks[fair] @ book if x < loss)],
            "the average of the desks' worst losses is a vote; take the largest.":
                [desk, each.mean(), np.delete(each, desk).mean()],
        }  # fmt: skip
        where = f"for the book {book.tolist()}, {shocks.tolist()} sent by {desks.tolist()}"
        judge(found, right, mistakes, where=where)


def _leans(losses, desks, possible):
    """The desk with the largest loss, that loss, and the largest without the desk."""
    losses, desks = losses[possible], desks[possible]
    desk = desks[losses.argmax()]
    return [desk, losses.max(), losses[desks != desk].max()]
