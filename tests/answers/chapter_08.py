"""Answers to the exercises of chapter 08: right ones, and wrong ones with their hint."""

from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from byzlib import checks
from byzlib.attacks import a_little_is_enough, min_max
from tests.answers.experiment import answers


def votes(n, f):
    return n - f, n // 2 + 1 - f


def shift_by_quantile(n, f):
    h, s = votes(n, f)
    return ndtri((h - s) / h)


def shift_by_standard_library(n, f):
    h, s = votes(n, f)
    return NormalDist().inv_cdf(1 - s / h)


def shift_by_tail(n, f):
    h, s = votes(n, f)
    return np.array(norm.isf(s / h))


def parts(x):
    p = -x.std(axis=0)
    return x.mean(axis=0), p, np.linalg.norm(p), np.linalg.norm(x - x.mean(axis=0), axis=1)


def sum_by_formula(x):
    mean, p, size, away = parts(x)
    return mean + away.max() / size * p


def sum_by_search(x):
    mean, p, *_ = parts(x)
    bound = max(((row - x) ** 2).sum() for row in x)
    gamma = brentq(lambda g: ((mean + g * p - x) ** 2).sum() - bound, 0, 1e6, xtol=1e-14)
    return (mean + gamma * p).tolist()


def pushed(rule, honest, noise, z, own=lambda noise, sigma: noise, size=lambda s: (s**2).sum(1)):
    """The push of equal rows and of disguised ones, by round."""
    middle, sigma = honest.mean(axis=1), honest.std(axis=1)
    lie, found = (middle - z * sigma)[:, None], []
    for added in (0 * noise, own(noise, sigma[:, None])):
        answer = rule(np.concatenate([honest, lie + added], axis=1))
        found.append(((middle - answer) * sigma).sum(axis=1) / size(sigma))
    return found


def pushed_by_the_library(rule, honest, noise, z):
    lies = a_little_is_enough(honest, noise.shape[1], z=z)
    found = []
    for rows in (lies, lies + noise):
        off = np.mean(honest, axis=1) - rule(np.concatenate([honest, rows], axis=1))
        sigma = np.std(honest, axis=1)
        found.append(np.einsum("td,td->t", off, sigma) / np.einsum("td,td->t", sigma, sigma))
    return found


def pushed_far(rule, honest, noise, z):
    middle, sigma = honest.mean(axis=1), honest.std(axis=1)
    lie = (middle - z * sigma)[:, None]
    rows = [np.concatenate([honest, lie + own], axis=1) for own in (0 * noise, noise)]
    return [np.linalg.norm(rule(x) - middle, axis=1) for x in rows]


def pushed_with(**change):
    return lambda *given: pushed(*given, **change)


WORDS = ("equal", "disguised")
DISGUISE = answers(pushed, WORDS)

RIGHT = [
    (checks.unseen_shift, shift_by_quantile),
    (checks.unseen_shift, shift_by_standard_library),
    (checks.unseen_shift, shift_by_tail),
    (checks.min_sum_row, sum_by_formula),
    (checks.min_sum_row, sum_by_search),
    *[(checks.disguise_trial, answer) for answer in DISGUISE[0]],
    (checks.disguise_trial, answers(pushed_by_the_library, WORDS)[0][0]),
]


def whole_majority(n, f):
    h = n - f
    return ndtri((h - (n // 2 + 1)) / h)


def one_too_few(n, f):
    h, s = votes(n, f)
    return ndtri((h - s + 1) / h)


def among_all(n, f):
    return ndtri((n - votes(n, f)[1]) / n)


def spoiled(x):
    value = sum_by_formula(x)
    x += 1
    return value


def at(distance):
    def answer(x):
        mean, p, size, away = parts(x)
        return mean + distance(away) / size * p

    return answer


def squares(x):
    mean, p, size, away = parts(x)
    return mean + away.max() ** 2 / size**2 * p


def no_length(x):
    mean, p, _, away = parts(x)
    return mean + away.max() * p


def signs(x):
    mean, *_, away = parts(x)
    return mean - away.max() * np.sign(mean) / np.sqrt(x.shape[1])


def variances(x):
    mean, p, _, away = parts(x)
    return mean - away.max() * p**2 / np.linalg.norm(p**2)


def toward_zero(x):
    mean, *_, away = parts(x)
    return mean - away.max() * mean / np.linalg.norm(mean)


WRONG = [
    (checks.unseen_shift, lambda n, f: ndtri(n - f), "ndtri takes a share between 0 and 1"),
    (checks.unseen_shift, lambda n, f: ndtri((n - f - (n + 1) // 2 + f) / (n - f)), "even n"),
    (checks.unseen_shift, lambda n, f: [0.1, 0.2], "One number, please"),
    (checks.unseen_shift, lambda n, f: "much", "One number, please"),
    (checks.unseen_shift, lambda n, f: np.nan, "ndtri takes a share between 0 and 1"),
    (checks.unseen_shift, lambda n, f: max(shift_by_quantile(n, f), 0), "off at zero"),
    (checks.unseen_shift, lambda n, f: ndtr(1 - votes(n, f)[1] / (n - f)), "not its inverse"),
    (checks.unseen_shift, lambda n, f: 1 - votes(n, f)[1] / (n - f), "share of honest firms"),
    (checks.unseen_shift, lambda n, f: -shift_by_quantile(n, f), "sign is turned round"),
    (checks.unseen_shift, among_all, "you divide by n"),
    (checks.unseen_shift, whole_majority, "the liars are f of it"),
    (checks.unseen_shift, one_too_few, "one supporter too few"),
    (
        checks.unseen_shift,
        lambda n, f: shift_by_quantile(n, f) + 0.01,
        r"the share is 8 of 14, and its quantile 0.180012; yours is 0.190012.\n.*n = 17, f = 3",
    ),
    (checks.min_sum_row, lambda x: x[99], "stopped with IndexError"),
    (checks.min_sum_row, lambda x: x, r"shape \(6, 4\), not \(4,\)"),
    (checks.min_sum_row, lambda x: x[0] * np.nan, "finite number is wanted; yours holds nan"),
    (checks.min_sum_row, spoiled, "changed what it was given"),
    (checks.min_sum_row, lambda x: sum_by_formula(x) - x.mean(0), "add the average"),
    (checks.min_sum_row, lambda x: 2 * x.mean(0) - sum_by_formula(x), "you go up"),
    (checks.min_sum_row, at(np.min), "the loneliest firm"),
    (checks.min_sum_row, at(np.mean), "the average distance"),
    (checks.min_sum_row, no_length, "the length of p is missing"),
    (checks.min_sum_row, squares, "divided their squares"),
    (checks.min_sum_row, lambda x: min_max(x, 1)[0], "that is Min-Max"),
    (checks.min_sum_row, lambda x: x.mean(0) - x.std(0), "gamma is still to find"),
    (checks.min_sum_row, lambda x: x.mean(0) - x.std(0, ddof=1), "gamma is still to find"),
    (checks.min_sum_row, lambda x: x.mean(0), "the average itself"),
    (checks.min_sum_row, signs, "not the same number for all"),
    (checks.min_sum_row, variances, "not minus the variance"),
    (checks.min_sum_row, at(lambda away: away.max() * len(away) ** 0.5), "the h cancels"),
    (
        checks.min_sum_row,
        toward_zero,
        r"not on the line[^$]*step from the mean is \[[^$]*honest = \[\[",
    ),
    (checks.min_sum_row, at(lambda away: 1.5 * away.max()), "goes too far"),
    (checks.min_sum_row, at(lambda away: 0.999 * away.max()), "could go farther"),
    *[(checks.disguise_trial, answer, hint) for answer, hint in DISGUISE[1]],
    *[
        (checks.disguise_trial, answers(measure, WORDS)[0][0], hint)
        for measure, hint in [
            (pushed_with(own=lambda noise, _: noise[:, :1] + 0 * noise), "yours share the first"),
            (pushed_with(own=lambda noise, sigma: noise * sigma), "not in standard deviations"),
            (pushed_far, "measure along the lie"),
            (pushed_with(size=lambda s: 1), "so that the bare lie counts as z"),
            (pushed_with(size=lambda s: np.linalg.norm(s, axis=1)), "not by its root"),
            (pushed_with(size=lambda s: 2), "krum, 3 liars among 17, z = 1.0: .*is wanted at"),
        ]
    ],
]
