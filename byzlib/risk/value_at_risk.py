"""Value at risk and expected shortfall of past returns, alone and federated; stress scenarios.

Returns are (..., m) array_like, finite, m >= 1; q is a share between 0 and 1 (0.01 for a 99 % value
at risk). Risks come as (...,) arrays in units of the returns.
"""

import math
from typing import NamedTuple

import numpy as np

from byzlib.theory import as_count, as_generator, as_number, as_reals, refuse_unpaired


def value_at_risk(returns, q=0.01):
    """Historical value at risk: the loss that a share q of past returns reached or passed.

    VaR = -x_(k), x ascending, k = ceil(q m); under 1 / q returns it is the worst loss seen. It
    minimises `pinball_loss`. For independent days from one continuous law the next return falls
    below -VaR with probability k / (m + 1), whatever the law is.
    """
    x, q = checked_returns(returns, "value_at_risk"), _share(q, "value_at_risk")
    k = _tail_count(x.shape[-1], q)
    return -np.partition(x, k - 1, axis=-1)[..., k - 1]


def expected_shortfall(returns, q=0.01):
    """Mean loss in the worst share q of past returns; never below `value_at_risk`.

    ES = -(x_(1) + ... + x_(k-1) + (q m - k + 1) x_(k)) / (q m), k = ceil(q m): the last return
    counts by the part of it that belongs to the share (Acerbi and Tasche, Journal of Banking &
    Finance 2002, proposition 4.1).
    """
    x, q = checked_returns(returns, "expected_shortfall"), _share(q, "expected_shortfall")
    k = _tail_count(x.shape[-1], q)
    worst = np.sort(np.partition(x, k - 1, axis=-1)[..., :k], axis=-1)
    weights = np.ones(k)
    weights[-1] = max(q * x.shape[-1] - k + 1, 0)
    return -(worst * (weights / weights.sum())).sum(axis=-1)


def pinball_loss(theta, returns, q=0.01):
    """Mean of (q - 1{r < theta}) (r - theta): least where theta is the q-quantile of the returns.

    theta : (...,) array_like, a return, minus a value at risk. Returns (...,), >= 0 (Koenker and
    Bassett, Econometrica 1978).
    """
    x, q = checked_returns(returns, "pinball_loss"), _share(q, "pinball_loss")
    above = x - _by_trial(theta, "theta", returns, "pinball_loss")
    return ((q - (above < 0)) * above).mean(axis=-1)


def pinball_gradient(theta, returns, q=0.01):
    """Slope of `pinball_loss` in theta: the share of returns below theta, minus q."""
    x, q = checked_returns(returns, "pinball_gradient"), _share(q, "pinball_gradient")
    return (x < _by_trial(theta, "theta", returns, "pinball_gradient")).mean(axis=-1) - q


def federated_var(
    returns, rule, q=0.01, *, learning_rate, rounds=200, f=0, attack=None, start=0.0, rng=None
):
    """Find one value at risk together, while every desk keeps its returns to itself.

    Each round the desks send `pinball_gradient` at the common theta, the server brings every
    report into [-q, 1 - q] (no honest one lies outside; one that is no number counts as 0, a desk
    that asks for no change) and steps: theta <- theta - learning_rate F(g_1, ..., g_n). When f
    desks send b beside h honest ones, the mean rests where the honest share of returns
    below theta is q - (f / h) b, and nowhere when that is negative.

    Parameters
    ----------
    returns : (..., h, m) array_like, what the h honest desks saw
    rule : callable (..., n, 1) -> (..., 1)
    learning_rate : float
        In units of the returns. Near the answer a round closes a share learning_rate * density
        of the distance.
    f : int, how many liars join the h desks
    attack : callable (..., h, 1), f, rng -> (..., f, 1), such as those of `byzlib.attacks`
        Needed where f > 0.
    start : float, first theta
    rng : numpy.random.Generator or int, passed to the attack

    Returns
    -------
    (..., rounds + 1) array
        The value at risk, -theta, before the first round and after each.
    """
    x, q = checked_returns(returns, "federated_var", "(..., h, m)"), _share(q, "federated_var")
    rate = as_number(learning_rate, "learning_rate", "federated_var")
    rounds = as_count(rounds, "rounds", "federated_var", least=1)
    f = as_count(f, "f", "federated_var", least=0)
    if f > 0 and attack is None:
        raise ValueError(f"federated_var needs an attack where f > 0; got f = {f}")
    rng = rng if rng is None else as_generator(rng, "federated_var")
    theta = np.full(x.shape[:-2], float(start))
    path = [-theta]
    for _ in range(rounds):
        below = np.count_nonzero(x < theta[..., None, None], axis=-1)
        sent = (below / x.shape[-1] - q)[..., None]
        if f:
            sent = np.concatenate([sent, attack(sent, f, rng)], axis=-2)
        sent = np.clip(np.where(np.isnan(sent), 0.0, sent), -q, 1 - q)
        theta = theta - rate * np.asarray(rule(sent))[..., 0]
        path.append(-theta)
    return np.stack(path, axis=-1)


def exceedances(returns, var):
    """The days whose loss was larger than the value at risk.

    returns : (..., T) array_like; var : (...,) or (..., T) array_like, one figure for all days of a
    trial or, with as many axes as `returns`, one for each day. Returns (..., T) bool.
    """
    return checked_returns(returns, "exceedances") < -by_day(var, "var", returns, "exceedances")


def uncovered_loss(returns, margin):
    """What a day costs beyond its margin, on average: mean of max(-r - margin, 0).

    A value at risk counts the days on which a margin fails; this is the money that is then missing,
    in units of the returns. returns, margin : as `returns` and `var` of `exceedances`. Returns
    (...,), >= 0.
    """
    x = checked_returns(returns, "uncovered_loss")
    return np.maximum(-x - by_day(margin, "margin", returns, "uncovered_loss"), 0.0).mean(axis=-1)


class Scenarios(NamedTuple):
    """The union of all desks' scenarios, with the desk that first sent each, and the refused."""

    shocks: np.ndarray  # (K, d)
    desk: np.ndarray  # (K,)
    refused: list  # (desk, scenario) pairs


def pool_scenarios(reports, low, high):
    """Keep every scenario that any desk knows and that is possible; count none of them twice.

    A set of scenarios is not a crowd of guesses at one number: the one that nobody else has is the
    one to keep. So nothing is averaged or trimmed. What is impossible is refused and named.

    reports : n array_like, each (k_i, d), the scenarios of each desk: shocks to d prices, as
    returns. low, high : float or (d,) array_like, the smallest and largest possible shock, such as
    -1 for a price that cannot fall below 0. Returns `Scenarios` in the order sent.
    """
    named = {f"the scenarios of desk {i}": report for i, report in enumerate(reports)}
    refuse_unpaired("pool_scenarios", **named, low=low, high=high)
    low, high = as_reals(low, "pool_scenarios"), as_reals(high, "pool_scenarios")
    if not (low <= high).all():
        raise ValueError(f"pool_scenarios needs low <= high; got {low} and {high}")
    reports = [as_reals(report, "pool_scenarios") for report in reports]
    first, refused = {}, []  # the desk that sent a possible scenario first
    for i, shocks in enumerate(reports):
        if shocks.ndim != 2 or shocks.shape[-1] != reports[0].shape[-1]:
            raise ValueError(
                f"pool_scenarios needs scenarios of shape (k, d), d the same for all desks; "
                f"desk {i} sent {shocks.shape}"
            )
        for shock in shocks + 0.0:  # -0.0 is 0.0
            if ((shock >= low) & (shock <= high)).all():
                first.setdefault(tuple(shock), i)
            else:
                refused.append((i, shock))
    width = reports[0].shape[-1] if reports else 0
    shocks = np.array(list(first), dtype=float).reshape(-1, width)
    return Scenarios(shocks, np.array(list(first.values()), dtype=int), refused)


def stress_losses(exposure, shocks):
    """What a book loses in each scenario: -shocks @ exposure, linear in the shocks.

    exposure : (..., d) array_like, money in each price, negative when short; shocks : (K, d).
    Returns (..., K), positive where money is lost.
    """
    refuse_unpaired("stress_losses", exposure=exposure, shocks=shocks)
    exposure, shocks = as_reals(exposure, "stress_losses"), as_reals(shocks, "stress_losses")
    if shocks.ndim != 2 or exposure.ndim == 0 or exposure.shape[-1] != shocks.shape[-1]:
        raise ValueError(
            f"stress_losses needs exposure (..., d) and shocks (K, d); "
            f"got {exposure.shape} and {shocks.shape}"
        )
    return -(exposure @ shocks.T)


def _tail_count(m, q):
    """ceil(q m), where 0.07 * 100 is 7 and not a little more; at least one."""
    return max(math.ceil(q * m * (1 - 1e-12)), 1)


def _share(q, caller):
    return as_number(q, "q", caller, "in (0, 1)")


def _by_trial(figure, name, returns, caller):
    """One figure a trial, (...,), as (..., 1) beside returns (..., m)."""
    refuse_unpaired(caller, **{"returns": getattr(returns, "T", returns), name: figure})
    return as_reals(figure, caller)[..., None]


def by_day(figure, name, returns, caller):
    """One figure a trial, (...,), or one a day, (..., T), as it broadcasts beside the returns."""
    if np.ndim(figure) < np.ndim(returns):
        return _by_trial(figure, name, returns, caller)
    refuse_unpaired(caller, **{"returns": returns, name: figure})
    return as_reals(figure, caller)


def checked_returns(values, caller, shape="(..., m)"):
    """Returns as float64, with as many axes as `shape` names at least, finite and not empty."""
    x, least = as_reals(values, caller), shape.count(",")
    if x.ndim < least or 0 in x.shape[-least:]:
        raise ValueError(f"{caller} needs returns of shape {shape}, not empty; got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{caller} needs finite returns; drop the days that are not known")
    return x
