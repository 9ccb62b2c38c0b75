"""Checkers of chapter 08: the votes of a little is enough, Min-Sum's reach, a disguise's price."""

from functools import partial

import numpy as np
from scipy.special import ndtr, ndtri

from byzlib.aggregators import krum, mean, trimmed_mean
from byzlib.attacks import min_max, min_sum
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge
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


@exercise("Exercise 8.3 c", "the formula of the push, and chapter 03 for what a clique lives on.")
def disguise_trial(answer):
    """`answer(rule, honest, noise, z)` is (low, high, who): the push, equal minus disguised."""
    rng = np.random.default_rng(83)
    for rule, rounds, h, f, z, size in [
        (partial(krum, f=3), 20, 14, 3, 1.0, 1.0), (mean, 12, 8, 2, 0.5, 0.7),
        (partial(trimmed_mean, f=4), 30, 15, 4, 1.5, 0.8),
    ]:  # fmt: skip
        honest = 1 + rng.standard_normal((rounds, h, 30)) * rng.uniform(1, 3, 30)
        noise = size * rng.standard_normal((rounds, f, 30))
        found = ask(answer, rule, honest, noise, z, shape=None)
        middle, sigma = honest.mean(axis=1), honest.std(axis=1)
        lie = (middle - z * sigma)[:, None]

        def moved(own, rule=rule, honest=honest, lie=lie, middle=middle):
            return middle - rule(np.concatenate([honest, lie + own], axis=1))

        def push(own, moved=moved, sigma=sigma):
            return (moved(own) * sigma).sum(axis=1) / (sigma**2).sum(axis=1)

        def far(own, moved=moved):
            return np.linalg.norm(moved(own), axis=1)

        equal = push(0 * noise)
        mistakes = {
            "each liar has noise of its own; yours share the first one's.":
                (equal, push(noise[:, :1] + 0 * noise)),
            "the noise is added as it comes, not in standard deviations.":
                (equal, push(noise * sigma[:, None])),
            "measure along the lie: Krum answers with a row, whose own noise is no push.":
                (far(0 * noise), far(noise)),
            "divide by sigma . sigma, so that the bare lie counts as z.":
                [(moved(own) * sigma).sum(axis=1) for own in (0 * noise, noise)],
            "divide by sigma . sigma, not by its root.":
                [(moved(own) * sigma).sum(axis=1) / np.linalg.norm(sigma, axis=1)
                 for own in (0 * noise, noise)],
        }  # fmt: skip
        name = getattr(rule, "func", rule).__name__
        where = f"with {name}, {f} liars among {h + f}, z = {z}"
        judge_experiment(found, equal, push(noise), ("equal", "disguised"), where, mistakes)


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
