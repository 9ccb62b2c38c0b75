"""Checkers of chapter 09: how many candles a claim needs, how often a short test looks skilled."""

import numpy as np

from byzlib.checks._form import ask, exercise, require


@exercise("Exercise 9.3 a", "equation (9.3), solved for N; half a candle cannot be had.")
def candles_needed(answer):
    """`answer(p, points)` is the least N with a half width of (9.3) of at most `points`."""
    for p, points in [(0.7, 1.0), (0.5, 1.0), (0.7, 14.0), (0.9, 0.5), (0.1, 0.5), (1 / 3, 3.0)]:
        exact = p * (1 - p) * (196 / points) ** 2
        given = float(ask(answer, p, points))
        asked = f"for p = {p:.2f} and {points} points"
        mistakes = {
            "`points` are hundredths of the accuracy: 1 point is 0.01.": exact / 1e4,
            "in (9.3) N stands under a square root; square both sides first.": exact**0.5,
            "the 1.96 has to be squared with the rest.": exact / 1.96,
            "a half width is wanted, not the whole width of the interval.": 4 * exact,
            "that is the answer for p = 0.5, the worst case; use the p that is given.":
                0.25 * (196 / points) ** 2,
        }  # fmt: skip
        for hint, value in mistakes.items():  # rounded in one way or another
            require(not abs(given - value) <= 1 + 1e-3 * value or abs(given - exact) <= 1, hint)
        require(
            given >= exact - 1e-6,
            f"{asked} your N = {given:g} is too small: the half width is still wider. Round up.",
        )
        require(given == int(given), f"a whole number of candles, please; got {given:g} {asked}.")
        require(given < exact + 1, f"{asked} fewer candles than your {given:g} would do.")


@exercise("Exercise 9.3 b", "what could be known before the test, and which windows are whole.")
def lucky_share(answer):
    """`answer(y, window, test, level)` is the share of windows that look good with one class.

    Windows stand side by side; the class is the commonest of a window before its last `test`
    labels, and looks good if at least `level` of those are of that class.
    """

    def share(y, *how):
        found = float(ask(answer, np.array(y), *how, shape=(), wanted="one number is wanted."))
        require(0 <= found <= 1, f"a share lies between 0 and 1; got {found:g}.")
        return found

    # Learned on one class, tested on another: who peeks at the test scores here.
    found = share(np.tile(np.repeat([0, 2], [4, 6]), 5), 10, 4, 0.85)
    require(
        found != 1,
        "each window turns from one class to another before its test, and you still named the "
        "right one: the class has to be learned before the test begins.",
    )
    require(found == 0, f"no window of a market that turns looks good; you found {found:g}.")
    require(
        share([2] * 40, 10, 4, 0.85) == 1,
        "a market that only goes Up looks good in every window: the commonest class need not "
        "be Flat.",
    )
    require(
        share(np.tile([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], 4), 10, 4, 0.75) == 1,
        "three of four right is 75 %, and 75 % is at least 75 %.",
    )
    # One good window, one bad, and half a window that is left over.
    found = share(np.repeat([1, 0, 1], [16, 4, 5]), 10, 4, 0.85)
    require(
        not np.isclose(found, 1 / 3) and not np.isclose(found, 2 / 3),
        "the five labels at the end are not a whole window: leave them out.",
    )
    require(
        np.isclose(found, 0.5),
        f"of two windows side by side one looks good, so the share is 0.5; you found {found:g}. "
        "Do your windows overlap?",
    )
    rng = np.random.default_rng(9)
    for window, test, level in [(20, 5, 0.8), (50, 10, 0.6), (200, 40, 0.7)]:
        y = rng.choice(3, 2000, p=[0.15, 0.7, 0.15])
        found, right = share(y, window, test, level), _lucky(y, window, test, level)
        case = f"window {window}, test {test}, level {level}"
        require(
            np.isclose(found, right), f"{case}: the share is {right:.3f}, you found {found:.3f}."
        )


def _lucky(y, window, test, level):
    rows = y[: len(y) // window * window].reshape(-1, window)
    learned = [np.bincount(row[:-test]).argmax() for row in rows]
    right = (rows[:, -test:] == np.array(learned)[:, None]).mean(axis=1)
    return np.mean(right >= level)
