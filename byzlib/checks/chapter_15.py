"""Checkers of chapter 15: Kupiec's ratio, the sum of Ljung and Box, bad days in company."""

import numpy as np
from scipy.special import xlogy

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, require
from byzlib.risk import ljung_box, value_at_risk


@exercise("Exercise 15.3 a", "equation (15.2) and the cell below it.")
def coverage_ratio(answer):
    """`answer(x, T, p)` is Kupiec's ratio; 0 ln 0 counts as 0."""
    cases = [(2, 250, 0.01), (7, 250, 0.01), (40, 1000, 0.05), (5, 100, 0.05)]
    for x, T, p in [*cases, (0, 250, 0.01), (20, 20, 0.3), (900, 1000, 0.05)]:
        try:
            found = ask(answer, x, T, p)
        except (ValueError, ZeroDivisionError):
            found = np.nan
        edge = " Where x is 0 or T, leave the term with 0 ln 0 out."
        if 0 < x < T:
            edge = " A power such as p^x leaves the range of floats: take logs first, then add."
        require(np.isfinite(found), f"no finite number came.{edge}")
        hits = 2 * xlogy(x, x / T / p)
        right = hits + 2 * xlogy(T - x, (1 - x / T) / (1 - p))
        mistakes = {
            "the 2 in front is missing.": right / 2,
            "the sign is turned: the ratio is never negative.": -right,
            "the sign is turned and the 2 is missing.": -right / 2,
            "take the natural logarithm, not that to base 10.": right / np.log(10),
            "you compare with the promise only: the share x / T that was seen belongs below.":
                -2 * (x * np.log(p) + (T - x) * np.log(1 - p)),
            "the days without an exceedance, T - x of them, are missing.": hits,
            "that is the p-value's way of counting, z squared; the ratio has logarithms.":
                (x - T * p) ** 2 / (T * p * (1 - p)),
        }  # fmt: skip
        off = f"the ratio is {right:.6g}, not {found:.6g}."
        judge(found, right, mistakes, off, rtol=1e-7, atol=1e-9)


@exercise("Exercise 15.3 b", "equation (15.4) and the cell below it.")
def portmanteau(answer):
    """`answer(hits, K)` is Ljung and Box's Q of days of 0 and 1 over the lags 1 to K."""
    rng = np.random.default_rng(153)
    for T, bad, K in [(12, [2, 3, 7], 2), (100, [4, 6, 40, 44, 90], 5), (250, None, 10)]:
        hits = np.zeros(T)
        hits[rng.choice(T, 8, replace=False) if bad is None else bad] = 1
        centred = hits - hits.mean()
        parts = np.array([(centred[k:] * centred[:-k]).sum() for k in range(1, K + 1)])
        square, left = (centred**2).sum(), T - np.arange(1, K + 1)
        right = ljung_box(hits, K).statistic
        plain = np.array([(hits[k:] * hits[:-k]).sum() for k in range(1, K + 1)])
        mistakes = {
            "subtract the average of all days first.":
                T * (T + 2) * ((plain / hits.sum()) ** 2 / left).sum(),
            "the autocorrelations are squared before they are added.":
                T * (T + 2) * (parts / square / left).sum(),
            "divide each square by T - k, the pairs that there are at lag k.":
                (T * (T + 2) * ((parts / square) ** 2).sum(),
                 T * (T + 2) * ((parts / square) ** 2 / T).sum()),
            "T (T + 2) stands in front: T squared, or T alone, is not it.":
                (T * T * ((parts / square) ** 2 / left).sum(),
                 T * ((parts / square) ** 2).sum(), ((parts / square) ** 2 / left).sum(),
                 T * ((parts / square) ** 2 / left).sum()),
            "lag K is missing: the lags are 1 to K.": ljung_box(hits, K - 1).statistic,
            "lag 0 does not count: a day is not compared with itself.":
                right + T * (T + 2) / T,
        }  # fmt: skip
        judge(ask(answer, hits, K), right, mistakes, rtol=1e-7, atol=1e-9)


@exercise("Exercise 15.3 c", "equation (15.1), and the section In company.")
def company_trial(answer):
    """`answer(returns, q, window, reach)` is (low, high, which): company of constant - rolling."""
    rng = np.random.default_rng(154)
    for markets, wild, reach in [(30, 1.0, 8), (30, 0.0, 8), (6, 1.0, 3)]:
        mood = np.repeat(rng.standard_normal((markets, 15)), 40, axis=1)
        returns = np.exp(wild * mood) * rng.standard_normal((markets, 600))
        found = ask(answer, returns, 0.04, 75, reach, shape=None)
        frames = np.lib.stride_tricks.sliding_window_view(returns, 75, axis=1)
        rolling = value_at_risk(frames, 0.04)
        constant = _in_company(returns[:, 75:], rolling[:, :1], reach)
        before = _in_company(returns[:, 75:], rolling[:, :-1], reach)
        ahead = _in_company(returns[:, 75:], rolling[:, 1:], reach)
        where = f"for {markets} markets, moods of size {wild} and a reach of {reach}"
        known = {"the rolling value at risk of a day must not know that day.": (constant, ahead)}
        judge_experiment(found, constant, before, ("rolling", "constant"), where, known)


def _in_company(returns, var, reach):
    """How many exceedances have another in the next `reach` days, by market."""
    hits = returns < -var
    padded = np.pad(hits, ((0, 0), (0, reach)))
    later = np.lib.stride_tricks.sliding_window_view(padded[:, 1:], reach, axis=1)
    return (hits & later.any(axis=2)).sum(axis=1)
