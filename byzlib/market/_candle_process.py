"""The random process behind simulated candles: random numbers in, prices and volumes out.

All arrays are (n,) or (n, k) with one row a five-minute candle. Calibrated to the statistics of
public candles of Bybit's linear contracts, which `byzlib.market.stylized_facts` holds and measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

STEPS = 8  # sub-steps of a candle; highs and lows between them are drawn exactly

# Mean |return| by UTC hour and by weekday (from Monday), relative to the mean over all.
_HOUR = np.array([
    1.06, 1.05, 0.96, 0.82, 0.79, 0.76, 0.77, 0.81, 0.84, 0.82, 0.76, 0.78,
    0.94, 1.25, 1.57, 1.46, 1.28, 1.22, 1.11, 1.05, 1.02, 1.00, 1.01, 0.89,
])  # fmt: skip
_WEEKDAY = np.array([1.14, 1.03, 1.04, 1.05, 1.19, 0.62, 0.82])
# Log-volatility is a sum of independent AR(1) parts: (coefficient, standard deviation).
_VOLATILITY = ((0.9994, 0.21), (0.997, 0.36), (0.85, 0.38))
_TAIL = 11  # degrees of freedom of the scale that a single candle has on top
_WIGGLE = 0.7  # a trade price wanders between steps with this share of a Brownian variance
# Volume goes as range^.8 volatility^.33, times AR(1) parts of its own and a rare surge.
_RANGE_POWER, _STATE_POWER = 0.80, 0.33
_VOLUME = ((0.98, 0.36), (0.74, 0.45), (0.0, 0.20))
_SURGE = (3.0, 0.72)  # exceeded by an exponential in 5 % of candles; mean size in logs
# How much of the variance of a symbol's shocks the whole market shares; its path has its own share.
_SHARED = {"volatility": 0.70, "volume": 0.70}
# A venue's close is off the common price by this share of a typical return, independently; then
# returns of two venues correlate 1 / (1 + 2 x .0316^2) = .998.
_VENUE_NOISE = 0.0316
_VENUE_VOLUME = ((0.95, 0.20), (0.0, 0.15))
_VENUE_SIZE = 0.8  # standard deviation of a venue's log-size


@dataclass(frozen=True)
class Symbol:
    """What sets one contract apart: all else is common to the market."""

    price: float  # first price, USDT
    ticks: int  # price steps per USDT
    lots: int  # volume steps per coin
    volatility: float  # standard deviation of a five-minute return
    volume: float  # typical coins per five minutes
    shared: float = 0.88  # share of the variance of its price path that is the market's
    trades: float = np.inf  # typical number in five minutes; infinite: a price at every instant
    volume_spread: float = 1.0  # factor on the log-volume's own movements
    crash: float = 0.08  # loss in the candle of a crash, as a share of the price


@dataclass(frozen=True)
class Script:
    """What happens beside chance, candle by candle; see `byzlib.market.Regime` for the units."""

    volatility: np.ndarray  # factor
    memory: np.ndarray  # correlation of the next standardised return with this one
    drift: np.ndarray  # log return a candle
    crash: np.ndarray  # 1 at the candle of a crash, else 0


class Path(NamedTuple):
    """What a symbol does on all venues: logarithmic prices and volumes, before any rounding."""

    begin: np.ndarray  # (n,) first, last, highest and lowest log price
    end: np.ndarray
    high: np.ndarray
    low: np.ndarray
    scale: np.ndarray  # (n,) standard deviation of the log return
    after: np.ndarray  # (n, STEPS) log price at each step's end, less the first, over the scale
    state: np.ndarray  # (n,) relative volatility, season and regime included
    volume: np.ndarray  # (n,) log-volume beside what the range and the state explain


def season(times):
    """Relative volatility by time of week, with mean square 1 over the week."""
    week = np.multiply.outer(_WEEKDAY, _HOUR)
    return (week / np.sqrt(np.mean(week**2)))[times.day_of_week, times.hour]


def stream(seed, source, use):
    """A generator for one use of one source, so that nothing drawn for one shifts another."""
    return np.random.default_rng([seed, *source.encode(), 0, *use.encode()])


def shocks(seed, source, n):
    """All random numbers of one source, by use; earlier ones do not depend on n."""

    def of(use):
        return stream(seed, source, use)

    return {
        "path": of("path").standard_normal((n, STEPS)),
        "high": of("high").standard_exponential((n, STEPS)),
        "low": of("low").standard_exponential((n, STEPS)),
        "volatility": of("volatility").standard_normal((n, len(_VOLATILITY))).T,
        "volume": of("volume").standard_normal((n, len(_VOLUME))).T,
        "tail": of("tail").chisquare(_TAIL, n),
        "surge": of("surge").standard_exponential(n),
    }


def correlated(symbol, market, own):
    """A symbol's shocks: normal ones mixed with the market's, so that symbols move together."""
    shares = _SHARED | {"path": symbol.shared}
    both = {k: np.sqrt(s) * market[k] + np.sqrt(1 - s) * own[k] for k, s in shares.items()}
    return own | both | {"tail": market["tail"]}


def path(symbol, shocks, season, script):
    """The `Path` of a symbol, from its shocks as `correlated` returns them."""
    variance = sum(sd**2 for _, sd in _VOLATILITY)
    # Mean squares are 1: of exp(x - s2) for x ~ N(0, s2), of sqrt((k - 2) / chi-square(k)).
    state = season * np.exp(_ar_sum(shocks["volatility"], _VOLATILITY) - variance)
    state = state * script.volatility
    scale = symbol.volatility * state * np.sqrt((_TAIL - 2) / shocks["tail"])
    after = _directed(shocks["path"].cumsum(axis=1) / np.sqrt(STEPS), scale, symbol, script)
    end = np.log(symbol.price) + np.cumsum(scale * after[:, -1])
    begin = np.concatenate([[np.log(symbol.price)], end[:-1]])
    high, low = (begin + scale * x for x in _extremes(after, shocks))
    surge = _SURGE[1] * np.maximum(shocks["surge"] - _SURGE[0], 0)
    volume = symbol.volume_spread * (_ar_sum(shocks["volume"], _VOLUME) + surge)
    return Path(begin, end, high, low, scale, after, state, volume)


def candles(symbol, path, seed, name, venue=None):
    """Columns open, high, low, close on the tick grid and volume on the lot grid.

    A venue adds noise of its own to close, high and low, and to the log-volume.
    """
    n, source = len(path.end), name if venue is None else f"{venue} {name}"
    traded, *seen = _seen(symbol, path, seed, source)
    noise, size = np.zeros((3, 1)), 0.0
    if venue is not None:
        noise = _VENUE_NOISE * stream(seed, source, "noise").standard_normal((n, 3)).T
        own = stream(seed, source, "volume").standard_normal((n, len(_VENUE_VOLUME))).T
        size = _VENUE_SIZE * stream(seed, venue, "size").standard_normal()
        size = size + _ar_sum(own, _VENUE_VOLUME)
    close, high, low = (np.rint(np.exp(x) * symbol.ticks) for x in symbol.volatility * noise + seen)
    first = np.rint(symbol.price * symbol.ticks)
    close = _carried(close, traded, first)
    open_ = np.concatenate([[first], close[:-1]])
    # True already but for the last bit, a venue's noise, and trades that never saw the open.
    high = np.maximum(high, np.maximum(open_, close))
    low = np.minimum(low, np.minimum(open_, close))
    activity = (high - low + 0.5) / open_ / symbol.volatility
    explained = symbol.volume * activity**_RANGE_POWER * path.state**_STATE_POWER
    volume = explained * np.exp(path.volume + size)
    lots = np.where(traded, np.maximum(np.rint(volume * symbol.lots), 1), 0)
    prices = [x / symbol.ticks for x in (open_, high, low, close)]
    return *prices, lots / symbol.lots


def _ar_sum(shocks, parts):
    """Sum of stationary AR(1) series, each with its coefficient and standard deviation."""
    total = 0.0
    for shock, (coefficient, sd) in zip(shocks, parts, strict=True):
        scaled = sd * np.sqrt(1 - coefficient**2) * shock
        scaled[0] = sd * shock[0]
        total = total + _recursion(coefficient, scaled)
    return total


def _recursion(coefficient, pushes):
    """x[t] = coefficient[t] x[t-1] + pushes[t], from 0; (n,) to (n,)."""
    # In plain floats: a compiled filter may fuse product and sum, and the last bit with them.
    steps = zip(np.broadcast_to(coefficient, pushes.shape).tolist(), pushes.tolist(), strict=True)
    x = 0.0
    return np.array([x := a * x + push for a, push in steps])


def _directed(after, scale, symbol, script):
    """Paths that remember the candle before, drift, and crash; in units of the candle's scale."""
    own = np.sqrt(1 - script.memory**2)  # x[t] = memory x[t-1] + own z[t] has variance 1
    past = np.concatenate([[0.0], _recursion(script.memory, own * after[:, -1])[:-1]])
    push = script.drift + script.crash * np.log1p(-symbol.crash)
    lean = script.memory * past + push / scale
    return own[:, None] * after + lean[:, None] * np.arange(1, STEPS + 1) / STEPS


def _extremes(after, shocks):
    """The highest and lowest point of Brownian bridges over steps of variance 1 / STEPS."""
    before = np.concatenate([np.zeros((len(after), 1)), after[:, :-1]], axis=1)
    middle, step = (before + after) / 2, after - before
    high = middle + np.sqrt(step**2 + 2 * _WIGGLE / STEPS * shocks["high"]) / 2
    low = middle - np.sqrt(step**2 + 2 * _WIGGLE / STEPS * shocks["low"]) / 2
    return high.max(axis=1), low.min(axis=1)


def _seen(symbol, path, seed, source):
    """Which candles trade, (n,); and the last, highest and lowest log price at which they do.

    A liquid symbol trades at every instant, a thin one in some of the steps.
    """
    if np.isinf(symbol.trades):
        return np.ones(len(path.end), dtype=bool), path.end, path.high, path.low
    after = path.after
    rate = symbol.trades / STEPS * np.sqrt(path.state)
    trades = stream(seed, source, "trades").random(after.shape) < -np.expm1(-rate)[:, None]
    latest = STEPS - 1 - trades[:, ::-1].argmax(axis=1)
    last = np.take_along_axis(after, latest[:, None], axis=1)[:, 0]
    high = np.where(trades, after, -np.inf).max(axis=1)
    low = np.where(trades, after, np.inf).min(axis=1)
    return trades.any(axis=1), *(path.begin + path.scale * x for x in (last, high, low))


def _carried(close, traded, first):
    """Closes, where a candle without a trade repeats the last one before it."""
    if traded.all():
        return close
    source = np.maximum.accumulate(np.where(traded, np.arange(len(close)), -1))
    return np.where(source >= 0, close[source], first)
