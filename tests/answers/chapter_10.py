"""Answers to the exercises of chapter 10: right ones, and wrong ones with their hint."""

import numpy as np
from scipy.signal import lfilter

from byzlib import checks
from byzlib.aggregators import mean as average
from byzlib.aggregators import median
from byzlib.theory import radius_strongly_convex
from tests.answers.experiment import answers


def path_by_loop(rule, answers, theta, rate, rounds):
    path = np.empty((rounds + 1, len(theta)))
    path[0] = theta
    for t in range(rounds):
        path[t + 1] = path[t] - rate * rule(answers(path[t]))
    return path


def path_by_recursion(rule, answers, theta, rate, rounds):
    if rounds == 0:
        return [list(theta)]
    before = path_by_recursion(rule, answers, theta, rate, rounds - 1)
    last = np.array(before[-1])
    return [*before, list(last - rate * rule(answers(last)))]


def path_in_place(rule, answers, theta, rate, rounds):
    theta, path = theta.copy(), []
    path.append(theta)
    for _ in range(rounds):
        theta -= rate * rule(answers(theta))
        path.append(theta)
    return np.array(path)


def path_spoiling(rule, answers, theta, rate, rounds):
    path = path_by_loop(rule, answers, theta, rate, rounds)
    theta += 1
    return path


def path_asking_once(rule, answers, theta, rate, rounds):
    step = rate * rule(answers(theta))
    return np.array([theta - t * step for t in range(rounds + 1)])


def loop_with(change):
    """The right loop with one part of its call changed."""
    return lambda rule, answers, theta, rate, rounds: path_by_loop(
        *change(rule, answers, theta, rate, rounds)
    )


def ball(of_variance, of_kappa=np.sqrt, of_mu=lambda mu: mu):
    """The radius from the honest rows' centred squares (h, d)."""

    def radius(honest, kappa, mu):
        squares = (honest - honest.mean(axis=0)) ** 2
        return of_kappa(kappa) * of_variance(squares) / of_mu(mu)

    return radius


def G(squares):
    return np.sqrt(squares.sum(axis=1).mean())


def ball_by_theory(honest, kappa, mu):
    return radius_strongly_convex(kappa, np.sqrt(honest.var(axis=0).sum()), mu)


def ball_by_pairs(honest, kappa, mu):
    """The variance is half the mean squared distance of all pairs."""
    gaps = honest[:, None] - honest
    return (kappa * (gaps**2).sum(axis=-1).mean() / 2) ** 0.5 / mu


def ball_from_zero(honest, kappa, mu):
    return np.sqrt(kappa * (honest**2).sum(axis=1).mean()) / mu


def ball_spoiling(honest, kappa, mu):
    honest -= honest.mean(axis=0)
    return np.sqrt(kappa * (honest**2).sum(axis=1).mean()) / mu


def averages(keep, new, first=lambda slopes: 0.0, late=False):
    def sent(slopes, beta):
        memory, rows = first(slopes), []
        for slope in slopes:
            before = memory + 0 * slope
            memory = keep(beta) * memory + new(beta) * slope
            rows.append(before if late else memory)
        return np.array(rows)

    return sent


def remember_by_filter(slopes, beta):
    return lfilter([1 - beta], [1, -beta], slopes, axis=0)


def remember_by_sum(slopes, beta):
    """Every slope, weighted by its age."""
    ages = np.subtract.outer(np.arange(len(slopes)), np.arange(len(slopes)))
    weights = np.where(ages >= 0, (1 - beta) * beta ** np.maximum(ages, 0), 0.0)
    return (weights @ slopes).tolist()


def remember_in_place(slopes, beta):
    memory, rows = np.zeros(slopes.shape[1]), []
    for slope in slopes:
        memory *= beta
        memory += (1 - beta) * slope
        rows.append(memory)
    return np.array(rows)


def remember_spoiling(slopes, beta):
    slopes *= 1 - beta
    for t in range(1, len(slopes)):
        slopes[t] += beta * slopes[t - 1]
    return slopes


def last_two(slopes, beta):
    before = np.vstack([np.zeros(slopes.shape[1]), slopes[:-1]])
    return beta * before + (1 - beta) * slopes


def memory_distances(centres, noise, beta, rule=median):
    found = []
    for kept in (0.0, beta):
        ends = []
        for own, drawn in zip(centres, noise.swapaxes(0, 1), strict=True):
            theta, sent = np.ones(own.shape[1]), np.zeros(own.shape)
            for now in drawn:
                sent = kept * sent + (1 - kept) * (theta - own + now)
                theta = theta - 0.2 * rule(np.vstack([sent, np.full((2, own.shape[1]), 10)]))
            ends.append(np.linalg.norm(theta - own.mean(axis=0)))
        found.append(ends)
    return found


def under_the_mean(centres, noise, beta):
    return memory_distances(centres, noise, beta, average)


MEMORY = answers(memory_distances, ("memory", "none"))

RIGHT = [
    (checks.descend, path_by_loop),
    (checks.descend, path_by_recursion),
    (checks.ball_radius, ball(G)),
    (checks.ball_radius, ball_by_theory),
    (checks.ball_radius, ball_by_pairs),
    (checks.remember, averages(lambda b: b, lambda b: 1 - b)),
    (checks.remember, remember_by_filter),
    (checks.remember, remember_by_sum),
    *[(checks.memory_trial, answer) for answer in MEMORY[0]],
]

WRONG = [
    (
        checks.descend,
        lambda r, a, x, e, k: path_by_loop(r, a, x, e, max(k, 1)),
        r"1 models of 2 numbers[^$]*rounds = 0",
    ),
    (checks.descend, lambda *a: path_by_loop(*a)[1:], "model of round 0"),
    (checks.descend, lambda *a: path_by_loop(*a)[-1], "models of 1 numbers"),
    (checks.descend, lambda *a: path_by_loop(*a)[:-1] * np.nan, "models of 1 numbers"),
    (
        checks.descend,
        lambda *a: path_by_loop(*a) * np.nan,
        r"a finite number is wanted[^$]*rounds = 4",
    ),
    (checks.descend, lambda r, a, x, e, k: np.tile(x, (k + 1, 1)), "nothing moves"),
    (checks.descend, path_in_place, "in place"),
    (checks.descend, path_spoiling, "changed what it was given"),
    (checks.descend, path_asking_once, "asked only once"),
    (checks.descend, loop_with(lambda r, a, x, e, k: (r, a, x, -e, k)), "you climb"),
    (checks.descend, loop_with(lambda r, a, x, e, k: (r, a, x, 1.0, k)), "left out the rate"),
    (checks.descend, loop_with(lambda r, a, x, e, k: (r, a, x, e / 5, k)), "number of firms"),
    (
        checks.descend,
        loop_with(lambda r, a, x, e, k: (lambda rows: rows.mean(axis=0), a, x, e, k)),
        "without the rule",
    ),
    (
        checks.descend,
        loop_with(lambda r, a, x, e, k: (r, a, x, e / 2, k)),
        r"is wanted at place \(4, 0\)",
    ),
    (checks.ball_radius, lambda honest, kappa, mu: honest, "One number, please"),
    (checks.ball_radius, lambda honest, kappa, mu: "far", "returned 'far'"),
    (checks.ball_radius, lambda honest, kappa, mu: np.nan, "finite number is wanted"),
    (checks.ball_radius, ball_spoiling, "changed what it was given"),
    (checks.ball_radius, ball_from_zero, "not from zero"),
    (checks.ball_radius, lambda *a: ball_by_theory(*a) ** 2, "take the root"),
    (checks.ball_radius, ball(G, of_kappa=lambda kappa: kappa), "kappa bounds the squared"),
    (checks.ball_radius, ball(lambda s: G(s) ** 2), "not the variance"),
    (checks.ball_radius, ball(G, of_mu=lambda mu: 1.0), "divide by mu, once"),
    (checks.ball_radius, ball(G, of_mu=np.sqrt), "not by its root"),
    (checks.ball_radius, ball(G, of_mu=lambda mu: mu**2), "not by its square"),
    (checks.ball_radius, ball(G, of_mu=lambda mu: 1 / mu), "multiplying by mu"),
    (checks.ball_radius, ball(lambda s: np.sqrt(s.sum() / (len(s) - 1))), "not by h - 1"),
    (checks.ball_radius, ball(lambda s: np.sqrt(s.sum())), "only added them"),
    (checks.ball_radius, ball(lambda s: np.sqrt(s.mean())), "you averaged them"),
    (checks.ball_radius, ball(lambda s: np.sqrt(s.mean(axis=0)).mean()), "add over the parameters"),
    (checks.ball_radius, ball(lambda s: np.sqrt(s.sum(axis=1)).mean()), "square the lengths"),
    (checks.ball_radius, lambda honest, kappa, mu: 7.0, "is wanted; yours is 7"),
    (checks.remember, lambda slopes, beta: slopes[-1], "As many rows"),
    (checks.remember, lambda slopes, beta: slopes * np.nan, "finite number is wanted"),
    (checks.remember, averages(lambda b: b, lambda b: 1.0), "memory grows"),
    (checks.remember, averages(lambda b: 1 - b, lambda b: b), "are exchanged"),
    (
        checks.remember,
        averages(lambda b: b, lambda b: 1 - b, lambda x: x[0]),
        "not the first slope",
    ),
    (checks.remember, averages(lambda b: b, lambda b: 1 - b, late=True), "already contains"),
    (checks.remember, remember_in_place, "in place"),
    (checks.remember, remember_spoiling, "changed what it was given"),
    (checks.remember, last_two, "mix in the last slope"),
    (
        checks.remember,
        lambda s, beta: np.cumsum(s, axis=0) / np.arange(1, len(s) + 1)[:, None],
        "never forgets",
    ),
    *[(checks.memory_trial, answer, hint) for answer, hint in MEMORY[1]],
    (
        checks.memory_trial,
        answers(under_the_mean, ("memory", "none"))[0][0],
        "is wanted at place",
    ),
]
