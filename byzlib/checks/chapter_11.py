"""Checkers of chapter 11: how far clients stand apart, capped claims, a candle in an update."""

import numpy as np

from byzlib.checks._form import array, exercise, require
from byzlib.federated import SimpleModel


@exercise("Exercise 11.3 a", "the section How different are honest clients?, equation (11.1).")
def heterogeneity(answer):
    """`answer(rows)` is the mean squared distance from the average over its squared length."""
    rng = np.random.default_rng(11)
    for n, d in [(3, 1), (4, 3), (10, 20), (2, 1)]:
        rows = rng.normal(1, 1, (n, d))
        given = rows.copy()
        found = array(answer(given), (), "One number, please.")
        require(np.array_equal(given, rows), "your function changed the rows it was given.")
        centre = rows.mean(axis=0)
        apart, size = ((rows - centre) ** 2).sum(axis=1), (centre**2).sum()
        right = apart.mean() / size
        if np.isclose(found, right):
            continue
        where = f"with {n} rows of {d} numbers"
        hints = {
            "you added the squared distances up: take their mean.": apart.sum() / size,
            "you divided by n - 1: (11.1) divides by n.": apart.sum() / (n - 1) / size,
            "you averaged over the numbers of a row too: add up along a row, average over rows.": (
                ((rows - centre) ** 2).mean() / size
            ),
            "you did not divide by the squared length of the average.": apart.mean(),
            "you divided by the length of the average, not by its square.": (
                apart.mean() / np.sqrt(size)
            ),
            "that is the square root: (11.1) is a ratio of squares.": np.sqrt(right),
            "you divided by the mean squared length of the rows: the average is what they share.": (
                apart.mean() / (rows**2).sum(axis=1).mean()
            ),
            "distances must be squared before they are averaged.": np.sqrt(apart).mean() / size,
        }
        for hint, wrong in hints.items():
            require(not np.isclose(found, wrong), f"{where} {hint}")
        require(False, f"{where} the heterogeneity is not {found:.4g}.")


@exercise("Exercise 11.3 b", "the section Weights that nobody can check.")
def capped_weights(answer):
    """`answer(claims)` are weights that add up to 1, where no claim exceeds the median claim."""
    rng = np.random.default_rng(12)
    crowds = [rng.integers(50, 500, n) for n in (3, 8, 9)]
    for claims in [*crowds, np.r_[np.full(7, 100), 1300], np.r_[crowds[1], 10**9]]:
        given = claims.copy()
        found = array(answer(given), claims.shape, "One weight a client, please.")
        require(np.array_equal(given, claims), "your function changed the claims.")
        kept = np.minimum(claims, np.median(claims))
        if np.allclose(found, kept / kept.sum()):
            continue
        where = f"for claims {claims.tolist()}"
        hints = {
            "you gave back claims: divide by their sum.": kept,
            "these are the claims' own shares: no cap was set.": claims / claims.sum(),
            "all weights are equal: claims below the median keep their size.": (
                np.full(len(claims), 1 / len(claims))
            ),
            "you capped at the mean claim, which a liar moves: cap at the median.": (
                _shares(np.minimum(claims, claims.mean()))
            ),
            "you divided by the sum before the cap: the weights must add up to 1.": (
                kept / claims.sum()
            ),
            "you raised the small claims to the median: cut the large ones.": (
                _shares(np.maximum(claims, np.median(claims)))
            ),
            "you left out who claims more than the median: it counts as the median.": (
                _shares(np.where(claims > np.median(claims), 0, claims))
            ),
        }
        for hint, wrong in hints.items():
            require(not np.allclose(found, wrong), f"{where} {hint}")
        require(np.isclose(found.sum(), 1), f"{where} your weights add up to {found.sum():.4g}.")
        require(False, f"{where} these are not the shares after the cap: {found.round(4)}.")


@exercise("Exercise 11.3 c", "the section What a robust rule does not hide, equation (11.4).")
def read_candle(answer):
    """`answer(theta, after, rate, p, hidden)` are the features of a batch of one candle."""
    rng = np.random.default_rng(13)
    for p, hidden, rate, activation in [
        (4, 3, 0.5, "tanh"),
        (9, 8, 0.1, "relu"),
        (2, 16, 2, "relu"),
    ]:
        model = SimpleModel(p, hidden, 2, activation)
        candle = rng.standard_normal(p)
        theta = _told(model, candle, rng)
        after = theta - rate * model.gradient(theta, candle[None], np.array([1]))
        given = theta.copy(), after.copy()
        found = array(answer(*given, rate, p, hidden), (p,), f"The {p} features, please.")
        same = np.array_equal(given[0], theta) and np.array_equal(given[1], after)
        require(same, "your function changed theta or after.")
        if np.allclose(found, candle, rtol=1e-4, atol=1e-6):
            continue
        where = f"with {p} features and {hidden} hidden units"
        slopes = ((theta - after) / rate)[: (p + 1) * hidden].reshape(p + 1, hidden)
        require(
            np.isfinite(found).all(),
            f"{where} you divided by zero: some hidden units are off, take one that is not.",
        )
        require(
            not np.allclose(found, -candle),
            f"{where} every feature has the wrong sign: the step is subtracted.",
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            swapped = np.isclose(found, 1 / candle).all()
        require(not swapped, f"{where} that is bias over weight: turn the quotient round.")
        columns = [slopes[:-1, j] for j in range(hidden)]
        raw = any(np.allclose(found, k * c) for c in columns for k in (1, rate, -rate, -1))
        require(not raw, f"{where} those are weight gradients: divide by the bias gradient.")
        require(
            not any(np.allclose(found, k * candle) for k in (rate, 1 / rate, -rate, -1 / rate)),
            f"{where} the learning rate is left over: it cancels in the quotient.",
        )
        require(
            False,
            f"{where} that is not the candle. Rows of W are features, columns are hidden units; "
            "the biases come next.",
        )


def _shares(claims):
    return claims / claims.sum()


def _told(model, candle, rng):
    """Parameters under which the first hidden unit is off, and another one is not."""
    first_bias = model.n_features * model.n_hidden
    while True:
        theta = model.init(rng)
        theta[first_bias] = -100
        slopes = model.gradient(theta, candle[None], np.array([1]))
        if np.abs(slopes[first_bias : first_bias + model.n_hidden]).max() > 0.01:
            return theta
