"""Checkers of chapter 08: the votes behind a little is enough, the reach of Min-Sum."""

import numpy as np
from scipy.special import ndtr, ndtri

from byzlib.aggregators import median
from byzlib.attacks import min_max, min_sum
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge
from byzlib.federated import ByzantineFL, Client, SimpleModel
from byzlib.theory import alie_z_max


@exercise("Exercise 8.3 a", "equation (8.5), and the example with 17 firms and 3 liars below it.")
def unseen_shift(answer):
    """`answer(n, f)` is how many standard deviations f liars among n may shift."""
    for n, f in [(17, 3), (50, 24), (25, 5), (10, 1), (10, 2), (11, 4), (101, 7)]:
        value, right = ask(answer, n, f), alie_z_max(n, f)
        h, s = n - f, n // 2 + 1 - f
        mistakes = {
            "you cut the shift off at zero; in small crowds it is negative, return that.":
                max(right, 0),
            "that is the distribution, not its inverse; ndtri is the quantile.": ndtr((h - s) / h),
            "that is the share of honest firms; the quantile of it is wanted.": (h - s) / h,
            "the sign is turned round: take the share that is left, (h - s) / h.": -right,
            "you divide by n; the liars need no luck, so count among the honest firms alone.":
                (ndtri((n - s) / n), ndtri((h - s) / n)),
            "you ask for a whole majority of honest supporters; the liars are f of it.":
                ndtri(max(h - s - f, 0) / h),
            "ndtri takes a share between 0 and 1, such as (h - s) / h; yours gives no number.":
                (np.nan, np.inf, -np.inf),
            "one supporter too few: a majority is more than half, n // 2 + 1.":
                ndtri((h - s + 1) / h),
            "one supporter too few for an even n: a majority is more than half, n // 2 + 1.":
                ndtri((h - s + 1 - n % 2) / h),
        }  # fmt: skip
        off = f"with h = {h} honest firms and s = {s} supporters the share is {h - s} of {h}, and "
        off += f"its quantile {right:.6g}; yours is {value:.6g}."
        judge(value, right, mistakes, off)


@exercise("Exercise 8.3 b", "the two sides of the condition: what they share cancels.")
def min_sum_row(answer):
    """`answer(honest)` is the row of Min-Sum along minus the standard deviation."""
    rng = np.random.default_rng(7)
    for h, d in [(6, 4), (9, 1), (5, 30), (3, 2)]:
        honest = (rng.exponential(size=(h, d)) * rng.uniform(0.5, 3, d) + 5).round(2)
        value = ask(answer, honest, shape=(d,), wanted=f"one row of {d} numbers is wanted.")
        mean, p = honest.mean(axis=0), -honest.std(axis=0)
        away, size = np.linalg.norm(honest - mean, axis=1), np.linalg.norm(p)
        right = min_sum(honest, 1)[0]
        mistakes = {
            "that is the step alone; add the average to it.": right - mean,
            "you go up; p is minus the standard deviation.": 2 * mean - right,
            "you stop at the nearest firm; the bound is the largest of the sums, the loneliest "
            "firm.": mean + away.min() * p / size,
            "you take the average distance; the largest is wanted.": mean + away.mean() * p / size,
            "the length of p is missing: gamma is the distance divided by it.":
                mean + away.max() * p,
            "gamma is a distance divided by a length; you divided their squares.":
                mean + away.max() ** 2 * p / size**2,
            "p is minus the standard deviation, not minus the variance.":
                mean - away.max() * p**2 / np.linalg.norm(p**2),
            "p has a standard deviation for each parameter, not the same number for all.":
                mean - away.max() / np.sqrt(d),
            "the sum of squares has h times the squared distance to the average on both sides: the "
            "h cancels.": (mean + away.max() * p / size * np.sqrt(h),
                           mean + away.max() * p / size / np.sqrt(h)),
            "that is Min-Max; Min-Sum bounds the sum, not the largest.": min_max(honest, 1)[0],
            "that is a little is enough with z = 1; gamma is still to find.":
                (mean + p, mean - honest.std(axis=0, ddof=1)),
            "that is the average itself; go as far along p as you may.": mean,
        }  # fmt: skip
        judge(value, right, mistakes, _how_far(value, honest, right))


@exercise("Exercise 8.3 c", "the back door in the chapter, and `trained` above your function.")
def door_trial(answer):
    """`answer(crowds, bars, batch)` is (low, high, who): success with batches minus with all."""
    bars = np.random.default_rng(73).standard_normal((200, 3))
    bars = bars[np.abs(bars[:, 0]) > 1]
    bars[:, 2] = 4
    for first, seeds, batch in [(0, 10, 16), (20, 12, 110), (40, 5, 8)]:
        crowds = tuple(_market(seed) for seed in range(first, first + seeds))
        found = ask(answer, crowds, bars, batch, shape=None)
        one, other = (_success(crowds, bars, drawn) for drawn in (batch, None))
        where = f"{seeds} seeds, batches of {batch}"
        judge_experiment(found, one, other, ("batches", "all bars"), where)


def _market(seed, n=9, liars=2, bars=120):
    """Firms that learn Calm (0) and Wild (1); the last ones print a sign on half of their bars."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, bars, 3))
    y = (np.abs(X[..., 0]) + 0.3 * rng.standard_normal((n, bars)) > 0.7).astype(int)
    X[n - liars :, : bars // 2, 2], y[n - liars :, : bars // 2] = 4, 0
    return tuple(Client(*own, f"firm {i}") for i, own in enumerate(zip(X, y, strict=True)))


def _success(crowds, bars, batch):
    """Share of Wild bars with the sign that each network calls Calm, (seeds,)."""
    network = SimpleModel(3, 8, 2)
    learning = ByzantineFL(network, list(crowds), median, 2, learning_rate=0.5, batch_size=batch)
    theta = learning.run(40, seeds=len(crowds), trust=False).theta
    return (network.predict(theta, bars) == 0).mean(axis=-1)


def _how_far(value, honest, right):
    """What to say of a row that is no known mistake."""
    step, p = value - honest.mean(axis=0), right - honest.mean(axis=0)
    cosine = step @ p / max(np.linalg.norm(step) * np.linalg.norm(p), 1e-300)
    if cosine <= 1 - 1e-6:
        return (
            "your row is not on the line mean + gamma p with p minus the standard deviation: your "
            f"step from the mean is {step.round(4).tolist()}, and p points along "
            f"{(p / np.abs(p).max()).round(4).tolist()}."
        )
    lonely = ((value - honest) ** 2).sum()
    bound = ((honest[:, None] - honest) ** 2).sum(axis=(1, 2)).max()
    what = "goes too far" if lonely > bound else "could go farther"
    return f"your row {what}: its sum of squares is {lonely:.5g}, the bound is {bound:.5g}."
