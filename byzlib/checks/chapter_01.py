"""Checkers of chapter 01: steering an average, counting who is survived."""

import numpy as np

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
        overshot = (honest.sum(axis=0) + f * alone) / (h + f)
        each = f"each of your {f} liars sends what a single liar would; together they overshoot."
        off = f"with {h} honest rows and f = {f} the mean came to {reached}, not to {target}."
        judge(reached, target, {each: overshot}, off)


@exercise("Exercise 1.3 b", "the experiment: replace k rows, look whether the answer stays honest.")
def liars_survived(answer):
    """`answer(rule, n)` is how many far-away liars among n the rule survives."""

    def kept(first, last):
        """The mean of the sorted reports first .. last (from the end)."""
        return lambda x: np.sort(x, axis=-2)[..., first : x.shape[-2] - last, :].mean(axis=-2)

    def median(x):
        return np.median(x, axis=-2)

    cases = [
        ("the mean", kept(0, 0), 10, 0),
        ("the median", median, 10, 4),
        ("the median", median, 11, 5),
        ("a mean without the two ends", kept(1, 1), 8, 1),
        ("a mean that drops three at each end", kept(3, 3), 10, 3),
        ("the third smallest report", kept(2, 6), 9, 2),
    ]
    for name, rule, n, survived in cases:
        count = whole(answer(rule, n))
        require(
            count != survived + 1,
            f"{name} of {n} breaks at {survived + 1}: the number wanted is the last it survives.",
        )
        require(
            count <= survived or name != "the third smallest report",
            "a liar may pull down as well as up: try both signs and keep the worse.",
        )
        require(count == survived, f"{name} of {n} survives {survived}; you found {count}.")
