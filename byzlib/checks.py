"""Checkers of the exercises: each asks for properties, and says what is wrong and where to look.

A checker takes the reader's function. It prints one line when the answer is right, and raises
`NotYet` with a hint when it is not. It works offline, at once, and never changes what it is given.
"""

import functools

import numpy as np


class NotYet(AssertionError):
    """The answer is not right yet; the message is a hint."""


def exercise(number, where):
    """Make a checker of a function that tests an answer with `require`.

    Parameters
    ----------
    number : str
        The exercise, as its chapter counts it.
    where : str
        What to read again when it does not work out.
    """

    def decorate(test):
        @functools.wraps(test)
        def check(answer):
            if not callable(answer):
                raise NotYet(f"{number}: hand over the function itself; got {answer!r}")
            try:
                test(answer)
            except NotImplementedError:
                raise NotYet(f"{number} is still to do. Where to look: {where}") from None
            except NotYet as hint:
                raise NotYet(f"{number}: {hint} Where to look: {where}") from None
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise NotYet(f"{number}: your function stopped with {what}. {where}") from error
            print(f"{number}: right.")

        return check

    return decorate


def require(condition, hint):
    """Raise `NotYet` with the hint unless the condition holds."""
    if not condition:
        raise NotYet(hint)


def _array(value, shape, hint):
    """`value` as a float array, if it has that shape and can be one."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{hint} Your function returned {value!r}.") from None
    require(array.shape == shape, f"{hint} Yours has shape {array.shape}, not {shape}.")
    return array


@exercise("Exercise 0.2", "write the reports in order first; for even n two stand in the middle.")
def middle(answer):
    """`answer(reports)` is the median of a list of numbers."""
    reports = [2, 3, 1, 4, 2, 3, 2, 1, 3, 900]
    given = list(reports)
    value = _array(answer(given), (), "One number is wanted.")
    require(given == reports, "your function changed the list that it was given.")
    require(value != np.mean(reports), "that is the mean, which the 900 has moved.")
    require(value not in (2, 3), "ten reports have two in the middle, 2 and 3: average them.")
    require(value == 2.5, f"for {reports} the middle is 2.5; yours is {value:g}.")
    require(answer([7]) == 7, "one report is its own middle.")
    require(answer([5, -1, 3]) == 3, "for 5, -1, 3 the middle is 3: did you sort?")
    rng = np.random.default_rng(1)
    for n in range(1, 12):
        x = rng.integers(-9, 9, n).tolist()
        require(answer(x) == np.median(x), f"for {x} the middle is {np.median(x):g}.")


@exercise("Exercise 1.3 a", "equation (1.2); the f lies together must do what one lie did.")
def steer_together(answer):
    """`answer(honest, target, f)` is f rows that put the mean of all rows on the target."""
    rng = np.random.default_rng(2)
    for h, f, d in [(9, 1, 3), (7, 3, 2), (4, 2, 1), (20, 5, 4)]:
        honest = rng.integers(-5, 6, (h, d)).astype(float)
        target = rng.integers(-50, 51, d).astype(float)
        given = honest.copy()
        lies = _array(answer(given, target.copy(), f), (f, d), f"{f} lies of {d} numbers, please.")
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


@exercise("Exercise 10.3 a", "the definition of the label, and what is known about the last bar.")
def next_labels(answer):
    """`answer(close, threshold)` is 0, 1, 2 for each bar whose next close is known."""
    close = np.array([100.0, 101.0, 101.0, 100.0, 100.05, 99.0])
    got = np.asarray(answer(close.copy(), 0.001))
    require(len(got) != len(close), "the last bar has no next close, so it has no label.")
    require(got.shape == (5,), f"five of the six bars have a label; yours has shape {got.shape}.")
    right = [2, 1, 0, 1, 0]
    require(
        got.tolist() != [1, 2, 1, 0, 1],
        "your labels describe the bar itself, the return up to t; wanted is the next one.",
    )
    require(got.tolist() != right[::-1], "your labels come out in reverse order.")
    require(got.tolist() != [2 - k for k in right], "Up and Down have changed places.")
    require(got.tolist() == right, f"for closes {close.tolist()}: {right}; yours {got.tolist()}.")
    future = np.array([100.0, 101.0, 101.0, 100.0, 100.05, 250.0])
    require(
        np.asarray(answer(future, 0.001))[:4].tolist() == right[:4],
        "an earlier label changed when only the last close did.",
    )
    tie = np.asarray(answer(np.array([64.0, 80.0, 60.0]), 0.25)).tolist()
    require(tie == [1, 1], f"a return of exactly the threshold is Flat; yours {tie}.")


@exercise("Exercise 10.3 b", "what happens where high equals low.")
def upper_shadow(answer):
    """`answer(open, high, low, close)` is the upper shadow's share of the range, 0 for no range."""
    o = np.array([10.0, 12.0, 11.0, 5.0])
    h = np.array([14.0, 13.0, 12.0, 5.0])
    low = np.array([10.0, 9.0, 11.0, 5.0])
    c = np.array([12.0, 10.0, 12.0, 5.0])
    with np.errstate(all="ignore"):
        got = _array(answer(o, h, low, c), (4,), "One number a candle, please.")
    require(np.isfinite(got[3]), "a candle with high = low divides zero by zero: call it 0.")
    require(got[3] == 0, f"a candle with high = low has no shadow: 0; yours {got[3]:g}.")
    require(
        got[1] == 0.25,
        f"a falling candle's shadow starts at its open: (13 - 12) / 4; yours {got[1]:g}.",
    )
    require(np.allclose(got, [0.5, 0.25, 0, 0]), f"wanted 0.5, 0.25, 0, 0; yours {got.tolist()}.")
    with np.errstate(all="ignore"):
        scaled = _array(answer(2 * o, 2 * h, 2 * low, 2 * c), (4,), "One number a candle, please.")
    require(np.allclose(got, scaled), "doubling all prices must not change the share.")
