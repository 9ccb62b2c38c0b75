"""Checkers of chapter 10: the loop, the radius of the ball, momentum and what it helps against."""

import numpy as np

from byzlib.aggregators import mean, median
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import array, ask, exercise, judge, require, shape_of

ONE_OBJECT = "all rows are the last one: did you change one array in place? Keep copies."


def _path(rule, answers, theta, rate, rounds):
    """The models of a descent, (rounds + 1, d)."""
    path = [theta]
    for _ in range(rounds):
        path.append(path[-1] - rate * rule(answers(path[-1])))
    return np.array(path)


@exercise("Exercise 10.3 a", "equation (10.1) and the loop below it.")
def descend(answer):
    """`answer(rule, answers, theta, rate, rounds)` is the path of a descent, (rounds + 1, d)."""
    rng = np.random.default_rng(8)
    for rule, d, rate, rounds in [
        (mean, 1, 0.5, 4), (median, 3, 0.1, 6), (mean, 2, 0.3, 1), (median, 2, 0.3, 0),
    ]:  # fmt: skip
        best = rng.integers(-9, 10, (5, d)).astype(float)
        curvature = np.linspace(0.5, 1, d)

        def answers(theta, best=best, curvature=curvature):
            return curvature * (theta - best)

        start = rng.integers(-9, 10, d).astype(float)
        right = _path(rule, answers, start, rate, rounds)
        found = ask(answer, rule, answers, start, rate, rounds, shape=None)
        if shape_of(found) == (rounds, d):
            late = np.allclose(array(found, (rounds, d), ""), right[1:])
            require(not late, "the model of round 0, before the first step, belongs to the path.")
        found = array(found, (rounds + 1, d), f"{rounds + 1} models of {d} numbers, please.")
        once = np.arange(rounds + 1)[:, None] * rule(answers(start))
        mistakes = {
            ONE_OBJECT: np.broadcast_to(right[-1], right.shape),
            "nothing moves: where is the step?": np.broadcast_to(start, right.shape),
            "you climb: the step goes against the answer of the rule.":
                _path(rule, answers, start, -rate, rounds),
            "you left out the rate: each step is the rate times the answer.":
                _path(rule, answers, start, 1.0, rounds),
            "you divide by the number of firms once more: the rule has done that.":
                _path(rule, answers, start, rate / 5, rounds),
            "the firms were asked only once: ask them anew at each model.": start - rate * once,
            "you averaged without the rule that was handed to you.":
                _path(mean, answers, start, rate, rounds),
        }  # fmt: skip
        judge(found, right, mistakes)


@exercise("Exercise 10.3 b", "equations (10.4) and (10.5).")
def ball_radius(answer):
    """`answer(honest, kappa, mu)` is sqrt(kappa) G / mu for honest rows (h, d)."""
    rng = np.random.default_rng(80)
    for h, d, kappa, mu in [(5, 1, 0.3, 0.7), (7, 3, 0.75, 0.2), (12, 6, 4 / 3, 2.0)]:
        honest = rng.integers(-2, 9, (h, d)).astype(float)
        found = ask(answer, honest, kappa, mu)
        squares = ((honest - honest.mean(axis=0)) ** 2).sum(axis=1)
        G, root = np.sqrt(squares.mean()), np.sqrt(kappa)
        mistakes = {
            "that is the squared radius: take the root.": kappa * G**2 / mu**2,
            "kappa bounds the squared error: its root belongs into the radius.": kappa * G / mu,
            "G is the root of the variance, not the variance.": root * G**2 / mu,
            "divide by mu, once.": root * G,
            "divide by mu, not by its root.": root * G / np.sqrt(mu),
            "divide by mu, not by its square.": root * G / mu**2,
            "multiplying by mu makes steep losses forgiving: divide.": root * G * mu,
            "divide the sum of squares by h, not by h - 1.":
                root * np.sqrt(squares.sum() / (h - 1)) / mu,
            "the squares are averaged over the firms: you only added them.":
                root * np.sqrt(squares.sum()) / mu,
            "average over the firms but add over the parameters: |x_i - g|^2 is a sum over d.":
                root * honest.std(axis=0).mean() / mu,
            "add the squares over the d parameters; you averaged them.": root * G / np.sqrt(d) / mu,
            "measure from the honest average, not from zero.":
                root * np.sqrt((honest**2).sum(axis=1).mean()) / mu,
            "square the lengths before you average them.": root * np.sqrt(squares).mean() / mu,
        }  # fmt: skip
        judge(found, root * G / mu, mistakes)


@exercise("Exercise 10.3 c", "equation (10.8), with zero before the first round.")
def remember(answer):
    """`answer(slopes, beta)` are the running averages of slopes (rounds, d)."""
    rng = np.random.default_rng(88)
    for rounds, d, beta in [(4, 1, 0.5), (6, 2, 0.9), (5, 3, 0.0), (1, 2, 0.3)]:
        slopes = rng.integers(-9, 10, (rounds, d)).astype(float)
        wanted = "As many rows as there are rounds, please."
        found = ask(answer, slopes, beta, shape=(rounds, d), wanted=wanted)
        right = _averages(slopes, beta, 1 - beta)
        last = np.concatenate([np.zeros((1, d)), slopes[:-1]])
        mistakes = {
            "the new slope counts 1 - beta; without it the memory grows.":
                _averages(slopes, beta, 1.0),
            "beta and 1 - beta are exchanged: beta is for what is remembered.":
                _averages(slopes, 1 - beta, beta),
            "the memory is zero before the first round, not the first slope.":
                _averages(slopes, beta, 1 - beta, memory=slopes[0]),
            "what is sent in a round already contains the slope of that round.":
                np.concatenate([np.zeros((1, d)), right[:-1]]),
            ONE_OBJECT: np.broadcast_to(right[-1], right.shape),
            "you mix in the last slope, not the memory of all of them.":
                beta * last + (1 - beta) * slopes,
            "that is the plain average so far, which never forgets.":
                np.cumsum(slopes, axis=0) / np.arange(1, rounds + 1)[:, None],
        }  # fmt: skip
        judge(found, right, mistakes)


@exercise(
    "Exercise 10.3 d", "equations (10.1) and (10.8); the liars shout 10, the same in every round."
)
def memory_trial(answer):
    """`answer(centres, noise, beta)` is (low, high, who): distance without memory minus with it."""
    rng = np.random.default_rng(83)
    for k, rounds, beta, spread, sigma in [
        (12, 60, 0.9, 0.0, 1.0), (10, 60, 0.8, 1.0, 0.0), (8, 6, 0.9, 0.2, 0.2),
    ]:  # fmt: skip
        centres = spread * rng.standard_normal((k, 5, 4))
        noise = sigma * rng.standard_normal((rounds, k, 5, 4))
        found = ask(answer, centres, noise, beta, shape=None)
        one, other = (_distance(centres, noise, kept) for kept in (0.0, beta))
        where = f"{k} seeds, {rounds} rounds, beta = {beta}"
        judge_experiment(found, one, other, ("memory", "none"), where)


def _distance(centres, noise, beta):
    """How far the last models are from the average of the centres, (seeds,)."""
    theta, kept = np.ones((len(centres), centres.shape[-1])), 0.0
    shout = np.full((len(centres), 2, centres.shape[-1]), 10.0)
    for drawn in noise:
        kept = beta * kept + (1 - beta) * (theta[:, None] - centres + drawn)
        theta = theta - 0.2 * median(np.concatenate([kept, shout], axis=1))
    return np.linalg.norm(theta - centres.mean(axis=1), axis=-1)


def _averages(slopes, keep, new, memory=0.0):
    """m <- keep * m + new * slope, round after round, (rounds, d)."""
    sent = []
    for slope in slopes:
        memory = keep * memory + new * slope
        sent.append(memory)
    return np.array(sent)
