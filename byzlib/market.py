"""A simulated market, and a learning task whose best answer is known.

The simulated market is calibrated to public five-minute candles of Bybit's linear contracts in
2025-2026. Like those it gives no direction away: the sign of the next return is a fair coin.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from byzlib._contract import as_count, as_generator
from byzlib.datasets import load_sample

__all__ = ["INTERVALS", "SYMBOLS", "Symbol", "load_sample", "planted_signal",
           "planted_signal_accuracy", "simulate"]  # fmt: skip

INTERVALS = (5, 15, 30, 60, 120, 240, 360, 720)  # minutes
_PER_DAY = 288
_STEPS = 8  # sub-steps of a candle; highs and lows between them are drawn exactly

# Mean |return| by UTC hour and by weekday (from Monday), relative to the mean over all.
_HOUR = np.array([
    1.06, 1.05, 0.96, 0.82, 0.79, 0.76, 0.77, 0.81, 0.84, 0.82, 0.76, 0.78,
    0.94, 1.25, 1.57, 1.46, 1.28, 1.22, 1.11, 1.05, 1.02, 1.00, 1.01, 0.89,
])  # fmt: skip
_WEEKDAY = np.array([1.14, 1.03, 1.04, 1.05, 1.19, 0.62, 0.82])
# Log-volatility is a sum of independent AR(1) parts: (coefficient, standard deviation).
_VOLATILITY = ((0.9996, 0.29), (0.995, 0.30), (0.90, 0.43))
_TAIL = 8  # degrees of freedom of the scale that a single candle has on top
_WIGGLE = 0.7  # a trade price wanders between steps with this share of a Brownian variance
# Volume goes as range^.8 volatility^.33, times AR(1) parts of its own and a rare surge.
_RANGE_POWER, _STATE_POWER = 0.80, 0.33
_VOLUME = ((0.97, 0.31), (0.75, 0.34), (0.0, 0.27))
_SURGE = (3.5, 0.82)  # exceeded by an exponential in 3 % of candles; mean size in logs
# How much of the variance of a symbol's shocks the whole market shares.
_SHARED = {"path": 0.88, "volatility": 0.70, "volume": 0.70}


@dataclass(frozen=True)
class Symbol:
    """What sets one contract apart: all else is common to the market."""

    price: float  # first price, USDT
    ticks: int  # price steps per USDT
    lots: int  # volume steps per coin
    volatility: float  # standard deviation of a five-minute return
    volume: float  # typical coins per five minutes


SYMBOLS = {
    "BTCUSDT": Symbol(60_000.0, 10, 1000, 14.9e-4, 210.0),
    "ETHUSDT": Symbol(3_000.0, 100, 100, 21.6e-4, 1_500.0),
    "SOLUSDT": Symbol(150.0, 100, 10, 24.3e-4, 15_000.0),
}


def simulate(symbols="BTCUSDT", days=30, rng=0, *, start="2025-01-01", interval=5):
    """Draw candles of a simulated market.

    The recipe: log-volatility is an hour and weekday profile plus three AR(1) parts; each candle's
    scale has Student tails; a candle is a Brownian path of eight steps, with the highs and lows
    between steps drawn from a Brownian bridge; prices and volumes are rounded to ticks and lots;
    each open is the previous close; log-volume follows the log-range. Symbols share most of the
    path and of the volatility, so their returns correlate 0.80. The sign of the next return is
    independent of all that came before.

    Parameters
    ----------
    symbols : str or sequence of str
        Of ``SYMBOLS``. A symbol's candles do not depend on which others are drawn with it.
    days : int
        Length, >= 1. The first days do not depend on how many follow.
    rng : int or numpy.random.Generator
    start : str or Timestamp
        First open time; UTC unless it says otherwise; midnight.
    interval : int
        Minutes, one of ``INTERVALS``; beyond 5, five-minute candles are merged.

    Returns
    -------
    DataFrame, or dict of them by symbol when `symbols` is a sequence
        In the form of `byzlib.bybit.fetch_klines`: indexed by ``open_time`` (UTC, ascending),
        float64 columns open, high, low, close (USDT), volume (coins), turnover (USDT, at the mean
        of the four prices, to the cent); ``attrs["source"] == "simulated"``.
    """
    names = [symbols] if isinstance(symbols, str) else list(symbols)
    if unknown := [name for name in names if name not in SYMBOLS]:
        raise ValueError(f"no simulated symbol {unknown[0]!r}; there are {', '.join(SYMBOLS)}")
    if as_count(days, "days", "simulate") < 1:
        raise ValueError(f"simulate needs days >= 1; got {days}")
    if as_count(interval, "interval", "simulate") not in INTERVALS:
        raise ValueError(f"simulate needs an interval of {INTERVALS} minutes; got {interval}")
    times = _clock(start, days)
    # One integer, then one stream per symbol and use: nothing drawn for one shifts another.
    seed = int(as_generator(rng, "simulate").integers(2**63))
    market = _shocks(seed, "market", len(times))
    frames = {}
    for name in names:
        shocks = _mix(market, _shocks(seed, name, len(times)))
        columns = _candles(SYMBOLS[name], shocks, _season(times))
        frames[name] = _merge(_frame(columns, times, name), interval)
    return frames[symbols] if isinstance(symbols, str) else frames


def _clock(start, days):
    start = pd.Timestamp(start)
    start = start.tz_localize("UTC") if start.tz is None else start.tz_convert("UTC")
    if start != start.normalize():
        raise ValueError(f"start must be a midnight UTC; got {start}")
    times = pd.date_range(start, periods=days * _PER_DAY, freq="5min", name="open_time")
    return pd.DatetimeIndex(times.as_unit("ms"), freq=None)


def _season(times):
    """Relative volatility by time of week, with mean square 1 over the week."""
    week = np.multiply.outer(_WEEKDAY, _HOUR)
    return (week / np.sqrt(np.mean(week**2)))[times.day_of_week, times.hour]


def _shocks(seed, source, n):
    """All random numbers of one source, by use; earlier ones do not depend on n."""

    def stream(use):
        return np.random.default_rng([seed, *source.encode(), 0, *use.encode()])

    return {
        "path": stream("path").standard_normal((n, _STEPS)),
        "high": stream("high").standard_exponential((n, _STEPS)),
        "low": stream("low").standard_exponential((n, _STEPS)),
        "volatility": stream("volatility").standard_normal((n, len(_VOLATILITY))).T,
        "volume": stream("volume").standard_normal((n, len(_VOLUME))).T,
        "tail": stream("tail").chisquare(_TAIL, n),
        "surge": stream("surge").standard_exponential(n),
    }


def _mix(market, own):
    """Correlate a symbol's normal shocks with the market's; the rest stays its own."""
    mixed = {k: np.sqrt(s) * market[k] + np.sqrt(1 - s) * own[k] for k, s in _SHARED.items()}
    return own | mixed | {"tail": market["tail"]}


def _ar_sum(shocks, parts):
    """Sum of stationary AR(1) series, each with its coefficient and standard deviation."""
    total = 0.0
    for shock, (coefficient, sd) in zip(shocks, parts, strict=True):
        scaled = sd * np.sqrt(1 - coefficient**2) * shock
        scaled[0] = sd * shock[0]
        total = total + lfilter([1.0], [1.0, -coefficient], scaled)
    return total


def _candles(symbol, shocks, season):
    """Prices on the tick grid and volumes on the lot grid."""
    variance = sum(sd**2 for _, sd in _VOLATILITY)
    # Mean squares are 1: of exp(x - s2) for x ~ N(0, s2), of sqrt((k - 2) / chi-square(k)).
    state = season * np.exp(_ar_sum(shocks["volatility"], _VOLATILITY) - variance)
    scale = symbol.volatility * state * np.sqrt((_TAIL - 2) / shocks["tail"])
    after = shocks["path"].cumsum(axis=1) / np.sqrt(_STEPS)
    before = np.concatenate([np.zeros((len(after), 1)), after[:, :-1]], axis=1)
    middle, step = (before + after) / 2, after - before
    # The highest point of a Brownian bridge over a step of variance 1 / _STEPS, and the lowest.
    high = middle + np.sqrt(step**2 + 2 * _WIGGLE / _STEPS * shocks["high"]) / 2
    low = middle - np.sqrt(step**2 + 2 * _WIGGLE / _STEPS * shocks["low"]) / 2
    end = np.log(symbol.price) + np.cumsum(scale * after[:, -1])
    begin = np.concatenate([[np.log(symbol.price)], end[:-1]])
    close, high, low = (
        np.rint(np.exp(x) * symbol.ticks)
        for x in (end, begin + scale * high.max(axis=1), begin + scale * low.min(axis=1))
    )
    open_ = np.concatenate([[np.rint(symbol.price * symbol.ticks)], close[:-1]])
    # True already but for the last bit, which rounding to a tick could make visible.
    high = np.maximum(high, np.maximum(open_, close))
    low = np.minimum(low, np.minimum(open_, close))
    activity = (high - low) / open_ / symbol.volatility
    surge = _SURGE[1] * np.maximum(shocks["surge"] - _SURGE[0], 0)
    own = _ar_sum(shocks["volume"], _VOLUME) + surge
    volume = symbol.volume * activity**_RANGE_POWER * state**_STATE_POWER * np.exp(own)
    lots = np.maximum(np.rint(volume * symbol.lots), 1)  # a liquid symbol: somebody trades
    prices = [x / symbol.ticks for x in (open_, high, low, close)]
    return *prices, lots / symbol.lots


def _frame(columns, times, name):
    candles = pd.DataFrame(
        dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True)), index=times
    )
    typical = candles[["open", "high", "low", "close"]].mean(axis=1)
    candles["turnover"] = (candles["volume"] * typical).round(2)
    candles.attrs = _attrs(name)
    return candles


def _attrs(name):
    """As of a fetch that met no gap and dropped nothing."""
    market = {"source": "simulated", "category": "linear", "symbol": name, "interval": "5"}
    return market | {"gaps": [], "dropped": {}}


def _merge(candles, interval):
    """Longer candles from five-minute ones."""
    k = interval // 5
    groups = candles.to_numpy().reshape(-1, k, 6)
    o, h, low, c, v, turnover = np.moveaxis(groups, -1, 0)
    merged = [o[:, 0], h.max(axis=1), low.min(axis=1), c[:, -1]]
    merged += [v.sum(axis=1).round(3), turnover.sum(axis=1).round(2)]
    out = pd.DataFrame(dict(zip(candles.columns, merged, strict=True)), index=candles.index[::k])
    out.attrs = candles.attrs | {"interval": str(interval)}
    return out


def planted_signal(m, r2, p_flat, rng, n_features=8, shape=(), direction=None):
    """A three-class task whose best possible accuracy is known.

    x ~ N(0, I), s = <a, x>, z = sqrt(r2) s + sqrt(1 - r2) e with e ~ N(0, 1); the class is
    0 (Down) if z < -tau, 2 (Up) if z > tau, else 1 (Flat), and P(Flat) = p_flat fixes tau.

    Parameters
    ----------
    m : int
        Samples.
    r2 : float in [0, 1]
        Share of the variance of z that the features explain. Real five-minute returns: below .01.
    p_flat : float in (0, 1)
    rng : int or numpy.random.Generator
    n_features : int
    shape : tuple of int
        Leading axes: (10,) draws for ten clients.
    direction : array, (..., n_features), optional
        a; scaled to length 1; its leading axes broadcast to `shape`, so that clients may differ.
        By default (2, -1, 2, 0, ..., 0) / 3, cut to n_features.

    Returns
    -------
    X : ndarray, (*shape, m, n_features)
    y : ndarray of int, (*shape, m)
    """
    tau = _threshold(r2, p_flat)
    rng = as_generator(rng, "planted_signal")
    p = as_count(n_features, "n_features", "planted_signal")
    m = as_count(m, "m", "planted_signal")
    if p < 1 or m < 1:
        raise ValueError(f"planted_signal needs m >= 1 and n_features >= 1; got {m}, {p}")
    a = np.resize([2.0, -1.0, 2.0], p) * (np.arange(p) < 3) if direction is None else direction
    a = np.asarray(a, dtype=float)
    if a.ndim < 1 or a.shape[-1] != p or not (np.linalg.norm(a, axis=-1) > 0).all():
        raise ValueError(f"direction must be (..., {p}) and not zero; got shape {a.shape}")
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    X = rng.standard_normal((*shape, m, p))
    noise = rng.standard_normal((*shape, m))
    signal = np.squeeze(X @ a[..., None], -1)
    z = np.sqrt(r2) * signal + np.sqrt(1 - r2) * noise
    return X, 1 + (z > tau).astype(int) - (z < -tau)


def planted_signal_accuracy(r2, p_flat, balanced=False):
    """Accuracy of the best classifier of `planted_signal`, which picks the likeliest class.

    That is Flat while |s| is below some b, Up above b, Down below -b. With phi the normal density
    and P(k | s) the class probabilities::

        accuracy = 2 * (integral of phi P(Flat | s) over 0..b + of phi P(Up | s) over b..inf)

    Parameters
    ----------
    r2, p_flat : float
        As for `planted_signal`.
    balanced : bool
        Return the mean of that classifier's three recalls instead.
    """
    tau = _threshold(r2, p_flat)
    rho, rest = np.sqrt(r2), np.sqrt(1 - r2)

    def p_up(s):
        return ndtr((rho * s - tau) / rest) if rest else float(s > tau)

    def p_flat_at(s):
        return 1 - p_up(s) - p_up(-s)

    far = 40.0  # standard deviations: nothing lies beyond
    flat_wins = p_flat_at(0.0) > p_up(0.0), p_flat_at(far) > p_up(far)
    b = {(True, True): far, (False, False): 0.0}.get(flat_wins)
    if b is None:
        b = tau if r2 == 1 else brentq(lambda s: p_flat_at(s) - p_up(s), 0.0, far)

    def mass(p, low, high):
        def density(s):
            return np.exp(-s * s / 2) / np.sqrt(2 * np.pi) * p(s)

        # Cut at 9: a wide interval would hide the peak from the quadrature.
        cuts = sorted({low, high, *(cut for cut in (tau, 9.0) if low < cut < high)})
        return 2 * sum(quad(density, *ends)[0] for ends in pairwise(cuts))

    flat, up = mass(p_flat_at, 0.0, b), mass(p_up, b, far)
    if balanced:
        return (flat / p_flat + 2 * up / (1 - p_flat)) / 3
    return flat + up


def _threshold(r2, p_flat):
    """tau with P(|z| <= tau) = p_flat."""
    if not 0 <= r2 <= 1 or not 0 < p_flat < 1:
        raise ValueError(f"need 0 <= r2 <= 1 and 0 < p_flat < 1; got r2 = {r2}, p_flat = {p_flat}")
    return float(ndtri((1 + p_flat) / 2))
