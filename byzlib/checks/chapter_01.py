"""Checkers of chapter 01: steering an average, counting who is survived."""

import numpy as np

from byzlib.checks._form import NotYet, array, exercise, require


@exercise("Exercise 1.3 a", "equation (1.2); the f lies together must do what one lie did.")
def steer_together(answer):
    """`answer(honest, target, f)` is f rows that put the mean of all rows on the target."""
    rng = np.random.default_rng(2)
    for h, f, d in [(9, 1, 3), (7, 3, 2), (4, 2, 1), (20, 5, 4)]:
        honest = rng.integers(-5, 6, (h, d)).astype(float)
        target = rng.integers(-50, 51, d).astype(float)
        given = honest.copy()
        lies = array(answer(given, target.copy(), f), (f, d), f"{f} lies of {d} numbers, please.")
        require(np.array_equal(given, honest), "your function changed the honest rows.")
        reached = np.concatenate([honest, lies]).mean(axis=0)
        if f > 1 and not np.allclose(reached, target):
            alone = (h + 1) * target - honest.sum(axis=0)
            require(
                not np.allclose(lies, alone),
                f"each of your {f} liars sends what a single liar would; together they overshoot.",
            )
        require(
            np.allclose(reached, target),
            f"with {h} honest rows and f = {f} the mean came to {reached}, not to {target}.",
        )


@exercise("Exercise 1.3 b", "the experiment: replace k rows, look whether the answer stays honest.")
def liars_survived(answer):
    """`answer(rule, n)` is how many far-away liars among n the rule survives."""

    def trimming(cut):
        return lambda updates: np.sort(updates, axis=-2)[
            ..., cut : updates.shape[-2] - cut, :
        ].mean(axis=-2)

    def lowest_but_two(updates):
        return np.sort(updates, axis=-2)[..., 2, :]

    cases = [
        ("the mean", lambda updates: updates.mean(axis=-2), 10, 0),
        ("the median", lambda updates: np.median(updates, axis=-2), 10, 4),
        ("the median", lambda updates: np.median(updates, axis=-2), 11, 5),
        ("a mean without the two ends", trimming(1), 8, 1),
        ("a mean that drops three at each end", trimming(3), 10, 3),
        ("the third smallest report", lowest_but_two, 9, 2),
    ]
    for name, rule, n, survived in cases:
        count = answer(rule, n)
        require(
            isinstance(count, int | np.integer) and not isinstance(count, bool),
            f"a count is wanted, a whole number; got {count!r}.",
        )
        require(
            count != survived + 1,
            f"{name} of {n} breaks at {survived + 1}: the number wanted is the last it survives.",
        )
        if name == "the third smallest report" and count > survived:
            raise NotYet("a liar may pull down as well as up: try both signs and keep the worse.")
        require(count == survived, f"{name} of {n} survives {survived}; you found {count}.")
