"""Checkers of chapter 01: steering an average, counting who is survived, what a flip costs."""

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, require, whole


@exercise("Exercise 1.3 a", "equation (1.2); the f lies together must do what one lie did.")
def steer_together(answer):
    """`answer(honest, target, f)` is f rows that put the mean of all rows on the target."""
    rng = np.random.default_rng(2)
    for h, f, d in [(9, 1, 3), (7, 3, 2), (4, 2, 1), (20, 5, 4)]:
        honest = rng.integers(-5, 6, (h, d)).astype(float)
        target = rng.integers(-50, 51, d).astype(float)
        wanted = f"{f} lies of {d} numbers, please."
        lies = ask(answer, honest, target, f, shape=(f, d), wanted=wanted)
        reached = np.concatenate([honest, lies]).mean(axis=0)
        alone = (h + 1) * target - honest.sum(axis=0)
        each = "each of your f liars sends what a single liar would; together they overshoot."
        off = f"the mean came to {reached.tolist()}, not to {target.tolist()}."
        judge(reached, target, {each: (honest.sum(axis=0) + f * alone) / (h + f)}, off)


@exercise("Exercise 1.3 b", "the experiment: replace k rows, look whether the answer stays honest.")
def liars_survived(answer):
    """`answer(rule, n)` is how many far-away liars among n the rule survives."""
    above = "a liar may pull down as well as up: try both signs and keep the worse."
    below = "some rules survive all liars but the last: go on up to n."
    for rule, n, survived, hint in [
        (_kept("the mean", 0, 0), 10, 0, ""),
        (_median, 10, 4, ""),
        (_median, 11, 5, ""),
        (_kept("a mean without the two ends", 1, 1), 8, 1, ""),
        (_kept("a mean that drops three at each end", 3, 3), 10, 3, ""),
        (_kept("the third smallest report", 2, 6), 9, 2, above),
        (_kept("the third largest report", 6, 2), 9, 2, above),
        (_nearest_zero, 6, 5, below),
    ]:
        count, name = whole(ask(answer, rule, n, shape=None)), rule.__name__
        one_more = f"{name} of {n} breaks at {survived + 1}: the last it survives is wanted."
        require(count != survived + 1, one_more)
        off = f"{name} of {n} survives {survived}; you found {count}."
        require(count <= survived, above if hint == above else off)
        require(count >= survived, below if hint == below else off)


def _kept(name, first, last):
    """The mean of the sorted reports first .. last (from the end), as a rule of that name."""

    def rule(x):
        return np.sort(x, axis=-2)[..., first : x.shape[-2] - last, :].mean(axis=-2)

    rule.__name__ = name
    return rule


def _median(x):
    return np.median(x, axis=-2)


def _nearest_zero(x):
    return x[np.abs(x[:, 0]).argmin()]


_median.__name__ = "the median"
_nearest_zero.__name__ = "the report nearest to zero"


@exercise("Exercise 1.3 c", "equation (1.4), and the section on when a lie costs accuracy.")
def gain(answer):
    """`answer(train, loudness, seeds)` is (low, high, rule): points of the median minus mean."""

    def train(rule, loudness, seed):
        """An accuracy whose luck is the seed's, for the most part."""
        luck = np.random.default_rng(seed).normal(0.5, 0.05)
        own = np.random.default_rng([seed, loudness, len(rule)]).normal(0, 0.004)
        lost = {"mean": 0.12 * (loudness > 2), "median": 0.01 * (loudness < 2)}[rule]
        return luck + own - lost

    for loudness, seeds in [(3, [*range(10)]), (1, [*range(12)]), (2, [*range(6)])]:
        median, mean = (
            [100 * train(rule, loudness, seed) for seed in seeds] for rule in ("median", "mean")
        )
        found = ask(answer, train, loudness, seeds, shape=None)
        judge_experiment(found, median, mean, ("median", "mean"), f"at loudness {loudness}")
