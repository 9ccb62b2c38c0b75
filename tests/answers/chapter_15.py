"""Answers to the exercises of chapter 15: right ones, and wrong ones with their hint."""

import math

import numpy as np
from scipy.special import rel_entr, xlogy

from byzlib import checks, risk
from tests.answers.experiment import answers


def ratio(x, T, p):
    return 2 * (
        xlogy(x, x / T) + xlogy(T - x, 1 - x / T) - xlogy(x, p) - xlogy(T - x, 1 - p)
    )  # fmt: skip


def ratio_as_entropy(x, T, p):
    return 2 * T * (rel_entr(x / T, p) + rel_entr(1 - x / T, 1 - p))


def ratio_of_library(x, T, p):
    return risk.kupiec(np.arange(T) < x, p).statistic


def boxed(hits, K):
    return risk.ljung_box(hits, K).statistic


def boxed_by_correlation(hits, K):
    """The same in sums over pairs, one by one."""
    T, mean = len(hits), sum(hits) / len(hits)
    square = sum((h - mean) ** 2 for h in hits)
    total = 0
    for k in range(1, K + 1):
        r = sum((hits[t] - mean) * (hits[t + k] - mean) for t in range(T - k)) / square
        total += r * r / (T - k)
    return T * (T + 2) * total


RIGHT = [
    (checks.coverage_ratio, ratio),
    (checks.coverage_ratio, ratio_as_entropy),
    (checks.coverage_ratio, ratio_of_library),
    (checks.portmanteau, boxed),
    (checks.portmanteau, boxed_by_correlation),
]


def naive(x, T, p):
    return -2 * (
        x * np.log(p) + (T - x) * np.log(1 - p) - x * np.log(x / T) - (T - x) * np.log(1 - x / T)
    )  # fmt: skip


def python_logs(x, T, p):
    return 2 * (x * math.log(x / T / p) + (T - x) * math.log((1 - x / T) / (1 - p)))


def by_powers(x, T, p):
    def likelihood(share):
        return np.float64(share) ** x * np.float64(1 - share) ** (T - x)

    return 2 * np.log(likelihood(x / T) / likelihood(p))


def box_with(power=2, front=None, left=lambda T, k: T - k, centre=True, first=1, last=0):
    """Q with one thing changed."""

    def wrong(hits, K):
        T = len(hits)
        c = hits - centre * np.mean(hits)
        lags = range(first, K + 1 - last)
        r = np.array([c[k:] @ c[: T - k] for k in lags]) / (c @ c)
        parts = r**power / [left(T, k) for k in lags]
        return (front(T) if front else T * (T + 2)) * parts.sum()

    return wrong


WRONG = [
    (checks.coverage_ratio, by_powers, r"take logs first.*\n.*x = 900, T = 1000"),
    (checks.coverage_ratio, naive, r"leave the term with 0 ln 0 out.\n.*x = 0, T = 250"),
    (checks.coverage_ratio, python_logs, r"leave the term.*\n.*x = 0, T = 250"),
    (checks.coverage_ratio, lambda x, T, p: ratio(x, T, p) / 2, "the 2 in front"),
    (checks.coverage_ratio, lambda x, T, p: -ratio(x, T, p), "the sign is turned: the ratio"),
    (checks.coverage_ratio, lambda x, T, p: -ratio(x, T, p) / 2, "turned and the 2 is missing"),
    (checks.coverage_ratio, lambda x, T, p: ratio(x, T, p) / np.log(10), "natural logarithm"),
    (
        checks.coverage_ratio,
        lambda x, T, p: -2 * (x * np.log(p) + (T - x) * np.log(1 - p)),
        "belongs below",
    ),
    (checks.coverage_ratio, lambda x, T, p: 2 * xlogy(x, x / T / p), "without an exceedance"),
    (
        checks.coverage_ratio,
        lambda x, T, p: (x - T * p) ** 2 / (T * p * (1 - p)),
        "the ratio has logarithms",
    ),
    (checks.coverage_ratio, lambda x, T, p: 7.5, "the ratio is 0.108435, not 7.5"),
    (checks.coverage_ratio, lambda x, T, p: np.nan, "no finite number"),
    (checks.coverage_ratio, lambda x, T, p: "much", "One number"),
    (checks.portmanteau, box_with(centre=False), "subtract the average"),
    (checks.portmanteau, box_with(power=1), "are squared"),
    (checks.portmanteau, box_with(left=lambda T, k: 1), "divide each square"),
    (checks.portmanteau, box_with(left=lambda T, k: T), "divide each square"),
    (checks.portmanteau, box_with(front=lambda T: T * T), "stands in front"),
    (checks.portmanteau, box_with(front=lambda T: T, left=lambda T, k: 1), "stands in front"),
    (checks.portmanteau, box_with(last=1), "lag K is missing"),
    (checks.portmanteau, box_with(first=0), "lag 0 does not count"),
    (checks.portmanteau, lambda hits, K: 1.0, "is wanted; yours is 1"),
    (checks.portmanteau, lambda hits, K: np.nan, "finite number is wanted"),
    (checks.portmanteau, lambda hits, K: hits, "One number"),
]


def company(returns, q, window, reach, day=0, beyond=0):
    """Exceedances in company by market, day by day: of the constant and of the rolling figure."""

    def counted(market, var):
        hits = [r < -v for r, v in zip(market[window:], var, strict=True)]
        return sum(h and any(hits[t + 1 : t + 1 + reach + beyond]) for t, h in enumerate(hits))

    def figure(days):
        return -sorted(days)[math.ceil(q * window) - 1]

    pairs = []
    for market in returns.tolist():
        later = range(window, len(market))
        rolling = [figure(market[t - window + day : t + day]) for t in later]
        constant = [figure(market[:window])] * len(rolling)
        pairs.append((counted(market, constant), counted(market, rolling)))
    return np.array(pairs, float).T


WORDS = ("rolling", "constant")
COMPANY = answers(company, WORDS)
RIGHT += [(checks.company_trial, answer) for answer in COMPANY[0]]
WRONG += [(checks.company_trial, answer, hint) for answer, hint in COMPANY[1]]


def ahead(*given):
    return company(*given, day=1)


def too_far(*given):
    return company(*given, beyond=1)


WRONG += [
    (checks.company_trial, answers(ahead, WORDS)[0][0], "must not know that day"),
    (checks.company_trial, answers(too_far, WORDS)[0][0], "wanted at"),
]
