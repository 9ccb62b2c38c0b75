"""Back-tests: did a value at risk fail on as many days as promised, on scattered ones, mildly?

Days are (..., T) of True or False, True where the loss passed the value at risk, as `exceedances`
gives them; leading axes are independent trials, such as the desks of a house.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import bdtr, chdtrc, gammaln, xlog1py, xlogy

from byzlib.risk.value_at_risk import by_day, checked_returns
from byzlib.theory import as_count, as_generator, as_number, as_numbers, refuse_masked


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


def ljung_box(exceeded, lags=10, rng=None, draws=999):
    """Does an exceedance today say anything of the next `lags` days?

    Q = T (T + 2) sum over k of r_k^2 / (T - k), r_k the autocorrelation at lag k, against
    chi-squared with `lags` degrees of freedom. With few exceedances that law is far off. With
    `rng`, the p-value is (1 + c) / (1 + draws), c of `draws` shuffles of the same days having a Q
    as large: without memory all orders are equally likely, so that days without memory are rejected
    at level a in no more than a. No exceedance, or nothing else, gives Q = 0, p = 1.

    exceeded : (..., T) array_like, T > lags; lags : int, >= 1; rng : numpy.random.Generator or int.
    Returns a `Backtest` of (...,) arrays. Source: Ljung and Box, Biometrika 1978; for exceedances,
    beside its rivals: Berkowitz, Christoffersen and Pelletier, Management Science 2011.
    """
    lags = as_count(lags, "lags", "ljung_box", least=1)
    hits = _hits(exceeded, "ljung_box", least=lags + 1)
    statistic = _portmanteau(hits, lags)
    if rng is None:
        return Backtest(statistic, chdtrc(lags, statistic))
    rng, draws = as_generator(rng, "ljung_box"), as_count(draws, "draws", "ljung_box", least=1)
    # As large, up to rounding: the same gaps in another order give the same Q.
    least = statistic * (1 - 1e-9)
    as_large = sum(_portmanteau(rng.permuted(hits, axis=-1), lags) >= least for _ in range(draws))
    return Backtest(statistic, (1 + as_large) / (1 + draws))


def traffic_light(exceeded, p=0.01):
    """The zone of the Basel committee: "green", "yellow" or "red".

    Yellow begins at the first count that a right model stays at or under with a probability of
    95 %, red at that of 99.99 %. For 250 days at p = 0.01 that is 5 and 10 exceedances.

    exceeded : (..., T) array_like. Returns (...,) of str. Source: Basel Committee on Banking
    Supervision, Supervisory framework for the use of "backtesting", 1996.
    """
    hits, p = _hits(exceeded, "traffic_light"), as_number(p, "p", "traffic_light", "in (0, 1)")
    stays_under = bdtr(hits.sum(axis=-1), hits.shape[-1], p)
    return np.array(["green", "yellow", "red"])[np.digitize(stays_under, [0.95, 0.9999])]


class ShortfallBacktest(NamedTuple):
    """Two tests of an expected shortfall: of the days beyond the value at risk, and of all days."""

    beyond: Backtest
    overall: Backtest


def acerbi_szekely(returns, var, es, p=0.01, *, model, rng, draws=999):
    """Were losses beyond the value at risk as large as the expected shortfall said?

    With I_t = 1 on the x days whose loss passed the value at risk,
    Z_1 = 1 + (1 / x) sum r_t I_t / ES_t (test 1: how bad were they) and
    Z_2 = 1 + 1 / (T p) sum r_t I_t / ES_t (test 2: how many and how bad). Both are 0 on average
    under the model and negative where risk is understated. The p-value is (1 + c) / (1 + draws), c
    of `draws` samples of the model, beside the same VaR and ES, having a Z as low. Without an
    exceedance nothing is known of Z_1: it is 0 with p = 1, and such samples are left out.

    Parameters
    ----------
    returns : (..., T) array_like
    var, es : (...,) or (..., T) array_like, > 0; one figure for all days of a trial, or one a day
    p : the promised share, between 0 and 1
    model : callable (rng, shape) -> returns of that shape
        Draws days for which var and es are right, such as
        `lambda rng, shape: scale * rng.standard_t(4, shape)`.
    rng : numpy.random.Generator or int
    draws : int

    Returns
    -------
    ShortfallBacktest of two `Backtest`, `beyond` (test 1) and `overall` (test 2), of (...,) arrays.

    Source: Acerbi and Szekely, Backtesting expected shortfall, Risk, December 2014.
    """
    caller = "acerbi_szekely"
    x, p = checked_returns(returns, caller), as_number(p, "p", caller, "in (0, 1)")
    rng, draws = as_generator(rng, caller), as_count(draws, "draws", caller, least=1)
    for name, figure in (("var", var), ("es", es)):
        as_numbers(figure, name, caller, "finite and > 0")
    var, es = by_day(var, "var", returns, caller), by_day(es, "es", returns, caller)

    def both(days):
        hits = days < -var
        total, x = (days / es * hits).sum(axis=-1), hits.sum(axis=-1)
        beyond = np.where(x > 0, 1 + total / np.maximum(x, 1), np.nan)
        return np.stack([beyond, 1 + total / (p * days.shape[-1])])

    seen, low, known = both(x), 0, 0
    for _ in range(draws):
        days = checked_returns(model(rng, x.shape), f"the model of {caller}")
        if days.shape != x.shape:
            raise ValueError(f"{caller} needs a model of shape {x.shape}; got {days.shape}")
        drawn = both(days)
        low, known = low + (drawn <= seen), known + ~np.isnan(drawn)
    p_value = np.where(np.isnan(seen), 1.0, (1 + low) / (1 + known))
    return ShortfallBacktest(*map(Backtest, np.nan_to_num(seen, nan=0.0), p_value))


def _portmanteau(hits, lags):
    """Ljung and Box's Q, (...,); 0 where all days are alike."""
    T = hits.shape[-1]
    centred = hits - hits.mean(axis=-1, keepdims=True)
    size = (centred**2).sum(axis=-1)
    total = sum(
        (centred[..., k:] * centred[..., :-k]).sum(axis=-1) ** 2 / (T - k)
        for k in range(1, lags + 1)
    )
    return T * (T + 2) * total / np.where(size > 0, size, 1.0) ** 2


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
