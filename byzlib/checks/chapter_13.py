"""Checkers of chapter 13: clients apart, capped claims, a candle in an update, clean liars."""

import numpy as np

from byzlib.aggregators import krum, median
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, require
from byzlib.federated import SimpleModel


@exercise("Exercise 13.3 a", "the section How different are honest clients?, equation (13.1).")
def heterogeneity(answer):
    """`answer(rows)` is the mean squared distance from the average over its squared length."""
    rng = np.random.default_rng(11)
    for n, d in [(3, 1), (4, 3), (10, 20), (2, 1)]:
        rows = rng.normal(1, 1, (n, d)).round(2)
        centre = rows.mean(axis=0)
        apart, size = ((rows - centre) ** 2).sum(axis=1), (centre**2).sum()
        right = apart.mean() / size
        mistakes = {
            "you added the squared distances up: take their mean.": apart.sum() / size,
            "you divided by n - 1: (13.1) divides by n.": apart.sum() / (n - 1) / size,
            "you averaged over the numbers of a row too: add up along a row, average over rows.":
                ((rows - centre) ** 2).mean() / size,
            "you did not divide by the squared length of the average.": apart.mean(),
            "you divided by the length of the average, not by its square.":
                apart.mean() / np.sqrt(size),
            "that is the square root: (13.1) is a ratio of squares.": np.sqrt(right),
            "you divided by the mean squared length of the rows: the average is what they share.":
                apart.mean() / (rows**2).sum(axis=1).mean(),
            "distances must be squared before they are averaged.": np.sqrt(apart).mean() / size,
        }  # fmt: skip
        judge(ask(answer, rows), right, mistakes)


@exercise("Exercise 13.3 b", "the section Weights that nobody can check.")
def capped_weights(answer):
    """`answer(claims)` are weights that add up to 1, where no claim exceeds the median claim."""
    rng = np.random.default_rng(12)
    crowds = [rng.integers(50, 500, n) for n in (3, 8, 9)]
    for claims in [*crowds, np.r_[np.full(7, 100), 1300], np.r_[crowds[1], 10**9]]:
        middle = np.median(claims)
        kept = np.minimum(claims, middle)
        mistakes = {
            "you gave back claims: divide by their sum.": kept,
            "these are the claims' own shares: no cap was set.": _shares(claims),
            "all weights are equal: claims below the median keep their size.": 1 / len(claims),
            "you capped at the mean claim, which a liar moves: cap at the median.":
                _shares(np.minimum(claims, claims.mean())),
            "you divided by the sum before the cap: the weights must add up to 1.":
                kept / claims.sum(),
            "you raised the small claims to the median: cut the large ones.":
                _shares(np.maximum(claims, middle)),
            "you left out who claims more than the median: it counts as the median.":
                _shares(np.where(claims > middle, 0, claims)),
        }  # fmt: skip
        found = ask(answer, claims, shape=claims.shape, wanted="One weight a client, please.")
        off = "" if np.isclose(found.sum(), 1) else f"your weights add up to {found.sum():.4g}."
        judge(found, _shares(kept), mistakes, off)


def _shares(claims):
    return claims / claims.sum()


@exercise("Exercise 13.3 c", "the section What a robust rule does not hide, equation (13.4).")
def read_candle(answer):
    """`answer(theta, after, rate, p, hidden)` are the features of a batch of one candle."""
    rng = np.random.default_rng(13)
    for p, h, rate, activation, down in [
        (4, 3, 0.5, "tanh", False), (9, 8, 0.1, "relu", False), (2, 16, 2, "relu", False),
        (3, 3, 0.5, "relu", True),
    ]:  # fmt: skip
        model, candle = SimpleModel(p, h, 2, activation), rng.standard_normal(p)
        theta = _told(model, candle, rng, down)
        after = theta - rate * model.gradient(theta, candle[None], np.array([1]))
        wanted = f"The {p} features, please."
        found = ask(answer, theta, after, rate, p, h, shape=(p,), wanted=wanted)
        require(
            np.isfinite(found).all(),
            "you divided by zero: some hidden units are off. Take the one whose bias gradient is "
            "largest in size; all of them may be negative.",
        )
        weights = ((theta - after) / rate)[: p * h].reshape(p, h).T
        mistakes = {
            "every feature has the wrong sign: the step is subtracted.": -candle,
            "that is bias over weight: turn the quotient round.": 1 / candle,
            "those are weight gradients: divide by the bias gradient.": tuple(
                k * weight for weight in weights for k in (1, rate, -rate, -1)
            ),
            "the learning rate is left over: it cancels in the quotient.": tuple(
                k * candle for k in (rate, 1 / rate, -rate, -1 / rate)
            ),
        }
        off = "that is not the candle. Rows of W are features, columns are hidden units; the "
        judge(found, candle, mistakes, off + "biases come next.", rtol=1e-4, atol=1e-6)


def _told(model, candle, rng, down):
    """Parameters under which the first hidden unit is off, and another one is not.

    If `down`, no bias gradient is positive.
    """
    first_bias = model.n_features * model.n_hidden
    while True:
        theta = model.init(rng)
        theta[first_bias] = -100
        slopes = model.gradient(theta, candle[None], np.array([1]))
        biases = slopes[first_bias : first_bias + model.n_hidden]
        if np.abs(biases).max() > 0.01 and (not down or biases.max() <= 0):
            return theta


@exercise("Exercise 13.3 d", "the section Too clean, equation (13.2).")
def clean_trial(answer):
    """`answer(honest, noise, q, bias)` is (low, high, who): Krum's error minus the median's."""
    rng = np.random.default_rng(113)
    for trials, q, bias in [(30, 0.5, 15.0), (30, 0.0, 0.0), (6, 1.0, 0.0)]:
        honest = 2 + rng.standard_normal((trials, 8, 400))
        noise = rng.standard_normal((trials, 2, 400))
        found = ask(answer, honest, noise, q, bias, shape=None)
        centre = honest.mean(axis=1)
        clean = centre[:, None] + q * noise
        clean[:, :, 0] += bias
        rows = np.concatenate([honest, clean], axis=1)
        one, other = (
            np.linalg.norm(answered - centre, axis=1) for answered in (krum(rows, 3), median(rows))
        )
        where = f"for {trials} rounds, q = {q}, bias = {bias}"
        judge_experiment(found, one, other, ("Krum", "median"), where)
