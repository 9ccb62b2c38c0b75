"""Back-tests of a value at risk: did it fail on as many days as promised, and on scattered ones?

Days are (..., T) of True or False, True where the loss passed the value at risk, as `exceedances`
gives them; leading axes are independent trials.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, gammaln, xlog1py, xlogy

from byzlib.theory import as_number, refuse_masked


class Backtest(NamedTuple):
    """A likelihood ratio and its p-value: floats, or arrays of the leading shape."""

    statistic: float
    p_value: float


def kupiec(exceeded, p=0.01, exact=False):
    """Unconditional coverage: did losses pass the value at risk on a share p of the days?

    LR_uc = -2 ln[(1-p)^(T-x) p^x / ((1-x/T)^(T-x) (x/T)^x)] for x of T days, against chi-squared
    with one degree of freedom. That law is an approximation: at p = 0.01 and T = 250 the test at
    5 % rejects 9.5 % of right models. With `exact`, the p-value is the binomial probability of all
    counts whose LR is at least as large, and a right model is rejected in at most 5 %.

    exceeded : (..., T) array_like; p : the promised share, between 0 and 1. Returns a `Backtest` of
    (...,) arrays. Source: Kupiec, Journal of Derivatives 1995.
    """
    hits, p = _hits(exceeded, "kupiec"), as_number(p, "p", "kupiec", "in (0, 1)")
    T, x = hits.shape[-1], hits.sum(axis=-1)
    counts = np.arange(T + 1)
    promised = xlogy(counts, p) + xlog1py(T - counts, -p)
    ratio = np.maximum(2 * (_log_likelihood(counts, T) - promised), 0.0)
    if not exact:
        return Backtest(ratio[x], chdtrc(1, ratio[x]))
    ways = gammaln(T + 1) - gammaln(counts + 1) - gammaln(T - counts + 1)
    order = np.argsort(ratio)
    beyond = np.cumsum(np.exp(ways + promised)[order][::-1])[::-1]
    # All counts from the first whose ratio is as large as the one seen, up to rounding.
    first = np.searchsorted(ratio[order], ratio[x] * (1 - 1e-9))
    return Backtest(ratio[x], np.minimum(beyond[first], 1.0))


def independence(exceeded):
    """Christoffersen's test that an exceedance today says nothing of tomorrow.

    With n_ab days in state b after a day in state a, pi_ab their share and pi the share of all,
    LR_ind = -2 ln[(1-pi)^(n00+n10) pi^(n01+n11) / ((1-pi01)^n00 pi01^n01 (1-pi11)^n10 pi11^n11)],
    0 ln 0 = 0, against chi-squared with one degree of freedom. No exceedance gives LR = 0, p = 1.

    exceeded : (..., T) array_like, T >= 2. Returns a `Backtest` of (...,) arrays. Source:
    Christoffersen, International Economic Review 1998.
    """
    hits = _hits(exceeded, "independence", least=2)
    before, after = hits[..., :-1], hits[..., 1:]
    n0, n1 = (~before).sum(axis=-1), before.sum(axis=-1)
    n01, n11 = (~before & after).sum(axis=-1), (before & after).sum(axis=-1)
    together = _log_likelihood(n01 + n11, n0 + n1)
    ratio = 2 * (_log_likelihood(n01, n0) + _log_likelihood(n11, n1) - together)
    ratio = np.maximum(ratio, 0.0)  # rounding
    return Backtest(ratio, chdtrc(1, ratio))


def christoffersen(exceeded, p=0.01):
    """Conditional coverage: the right share of exceedances, and no memory in them.

    LR_cc = LR_uc + LR_ind, of `kupiec` and `independence`, against chi-squared with two degrees of
    freedom.
    """
    ratio = kupiec(exceeded, p).statistic + independence(exceeded).statistic
    return Backtest(ratio, chdtrc(2, ratio))


def _log_likelihood(x, T):
    """Log-likelihood of x of T at its best share x / T, with 0 ln 0 = 0."""
    share = x / np.maximum(T, 1)
    return xlogy(x, share) + xlog1py(T - x, -share)


def _hits(exceeded, caller, least=1):
    refuse_masked(exceeded, caller)
    hits = np.asarray(exceeded)
    if hits.ndim == 0 or hits.shape[-1] < least:
        raise ValueError(f"{caller} needs days of shape (..., T), T >= {least}; got {hits.shape}")
    if hits.dtype != bool and not np.isin(hits, (0, 1)).all():
        raise ValueError(f"{caller} needs True or False for each day, as exceedances gives them")
    return hits.astype(bool)
