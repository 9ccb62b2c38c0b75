"""A simulated market of candles: symbols, venues, regimes and a crash.

It is calibrated to public five-minute candles of Bybit's linear contracts in
2025-2026. Like those it gives no direction away: the sign of the next return is a fair coin,
unless a regime with a memory or a drift is asked for by name.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from byzlib.market import _candle_process as process
from byzlib.market._candle_process import Script, Symbol
from byzlib.market._clock import as_time
from byzlib.theory import as_count, as_generator

INTERVALS = (5, 15, 30, 60, 120, 240, 360, 720)  # minutes
AFTERMATH = 60  # candles after a crash in which the market is upset
_PER_DAY = 288
_UPSET = 5.0  # factor on the volatility of a crash's candle; it falls back over the aftermath

SYMBOLS = {
    "BTCUSDT": Symbol(60_000.0, 10, 1000, 14.6e-4, 210.0, crash=0.08),
    "ETHUSDT": Symbol(3_000.0, 100, 100, 21.6e-4, 1_500.0, crash=0.07),
    "SOLUSDT": Symbol(150.0, 100, 10, 24.3e-4, 15_000.0, crash=0.16),
    # Thin: so few trades that candles without a trade, or without a range, occur.
    "BALUSDT": Symbol(3.0, 10_000, 10, 23e-4, 190.0, 0.66, 6.0, 2.5, 0.20),
}


@dataclass(frozen=True)
class Regime:
    """How a stretch of time differs from the calibrated market.

    Parameters
    ----------
    volatility : float
        Factor on every candle's standard deviation, > 0.
    memory : float
        Correlation of the next standardised return with this one, in (-1, 1). Real
        five-minute returns are near -0.02; 0.2 lets the sign be guessed right in 56 % of candles
        (1/2 + arcsin(memory) / pi). Positive: moves go on; negative: they turn back.
    drift : float
        Log return a day.
    """

    volatility: float = 1.0
    memory: float = 0.0
    drift: float = 0.0

    def __post_init__(self):
        if not (0 < self.volatility < np.inf and abs(self.memory) < 1 and np.isfinite(self.drift)):
            raise ValueError(f"needs volatility > 0, |memory| < 1, a finite drift; got {self}")


REGIMES = {
    "normal": Regime(),
    "calm": Regime(volatility=0.5),
    "turbulent": Regime(volatility=2.0),
    "trending": Regime(memory=0.2),
    "reverting": Regime(memory=-0.2),
    "bull": Regime(drift=0.01),
    "bear": Regime(drift=-0.01),
}


def simulate(
    symbols="BTCUSDT", days=30, rng=0, *, start="2025-01-01", interval=5, venues=None, regimes=None,
    crash=None,
):  # fmt: skip
    """Draw candles of a simulated market.

    The recipe: log-volatility is an hour and weekday profile plus three AR(1) parts; each candle's
    scale has Student tails; a candle is a Brownian path of eight steps, with the highs and lows
    between steps drawn from a Brownian bridge; prices and volumes are rounded to ticks and lots;
    each open is the previous close; log-volume follows the log-range. Symbols share most of the
    path and of the volatility, so that returns of the liquid ones correlate 0.80. The sign of the
    next return is independent of all that came before.

    Every symbol and venue has random numbers of its own: its candles depend neither on which
    others are drawn, nor on how many days follow, nor on a crash before it comes.

    Parameters
    ----------
    symbols : str or sequence of str
        Of ``SYMBOLS``; BALUSDT is thin: candles without a trade (volume 0, all prices the last
        close) or without a range.
    days : int
        Length, >= 1.
    rng : int or numpy.random.Generator
    start : str or Timestamp
        First open time; UTC unless it says otherwise; midnight.
    interval : int
        Minutes, one of ``INTERVALS``; beyond 5, five-minute candles are merged.
    venues : str or sequence of str, optional
        Names, freely chosen. Each venue quotes the same market with its own small noise (returns
        of two venues correlate .998) and has a size and volume movements of its own.
    regimes : str or Regime, optional
        Which of ``REGIMES`` holds throughout, or one of your own; "normal" when not given.
    crash : str or Timestamp, optional
        Open time of a candle in which all symbols fall together, by ``SYMBOLS[name].crash`` (as
        on 2025-10-10: BTC 8 %; BALUSDT's 20 % is a choice) on top of chance. In it volatility is 5
        times the usual and falls back over the next 60 candles, while memory changes its sign.

    Returns
    -------
    DataFrame; a dict of them by symbol when `symbols` is a sequence, by venue when `venues` is
    one, by (venue, symbol) when both are
        In the form of `byzlib.market.fetch_klines`: indexed by ``open_time`` (UTC, ascending),
        float64 columns open, high, low, close (USDT), volume (coins), turnover (USDT, at the mean
        of the four prices, to the cent); ``attrs["source"] == "simulated"``, ``attrs["venue"]``.
        With regimes or a crash there is also a categorical column ``regime``: the name that holds
        in each candle, "crash" for the crash and its aftermath.

    Source: `byzlib.market.stylized_facts` measures the targets; chapter 12 shows them.
    """
    names = _names(symbols, "symbols")
    if unknown := [name for name in names if name not in SYMBOLS]:
        raise ValueError(f"no simulated symbol {unknown[0]!r}; there are {', '.join(SYMBOLS)}")
    places = [None] if venues is None else _names(venues, "venues")
    days = as_count(days, "days", "simulate", least=1)
    if as_count(interval, "interval", "simulate") not in INTERVALS:
        raise ValueError(f"simulate needs an interval of {INTERVALS} minutes; got {interval}")
    times = _clock(start, days)
    script, regime = _script(times, regimes, crash)
    # One integer, then one stream per symbol and use: nothing drawn for one shifts another.
    seed, n = int(as_generator(rng, "simulate").integers(2**63)), len(times)
    market, season = process.shocks(seed, "market", n), process.season(times)
    paths = {}
    for name in names:
        shocks = process.correlated(SYMBOLS[name], market, process.shocks(seed, name, n))
        paths[name] = process.path(SYMBOLS[name], shocks, season, script)
    frames = {}
    for venue, name in itertools.product(places, names):
        columns = process.candles(SYMBOLS[name], paths[name], seed, name, venue)
        frame = _merged(_frame(columns, times, name, regime), interval)
        frame.attrs |= {"venue": venue} if venue is not None else {}
        frames[venue, name] = frame
    one_venue, one_symbol = isinstance(venues, str | None), isinstance(symbols, str)
    if one_venue and one_symbol:
        return frame
    if one_venue:
        return {name: frame for (_, name), frame in frames.items()}
    return {venue: frame for (venue, _), frame in frames.items()} if one_symbol else frames


def _names(given, what):
    names = [given] if isinstance(given, str) else list(given)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"simulate needs {what} as a name or a list of names; got {given!r}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"simulate needs each of {what} once; got {repeated[0]!r} again")
    return names


def _clock(start, days):
    start = as_time(start, "start", "simulate")
    if start != start.normalize():
        raise ValueError(f"start must be a midnight UTC; got {start}")
    times = pd.date_range(start, periods=days * _PER_DAY, freq="5min", name="open_time")
    return pd.DatetimeIndex(times.as_unit("ms"), freq=None)


def _script(times, regime, crash):
    """The script of the whole time, and each candle's regime, a Categorical, if one was asked."""
    name, n = "normal" if regime is None else str(regime), len(times)
    rules = regime if isinstance(regime, Regime) else REGIMES.get(name)
    if rules is None:
        raise ValueError(f"no regime {regime!r}; there are {', '.join(REGIMES)}, or a Regime")
    volatility, memory, drift = (
        np.full(n, float(x)) for x in (rules.volatility, rules.memory, rules.drift / _PER_DAY)
    )
    kinds, code, fall = [name], np.zeros(n, int), np.zeros(n)
    if crash is not None:
        at = as_time(crash, "crash", "simulate")
        if at not in times:
            raise ValueError(
                f"crash must be the open time of a candle, from {times[0]} to {times[-1]} in "
                f"steps of five minutes; got {at}"
            )
        at = times.get_loc(at)
        upset = slice(at, at + AFTERMATH + 1)
        volatility[upset] *= _UPSET ** (1 - np.arange(len(times[upset])) / AFTERMATH)
        memory[upset] *= -1
        fall[at], code[upset] = 1.0, 1
        kinds.append("crash")  # last, so that the largest code of a merged candle names it
    named = regime is not None or crash is not None
    regimes = pd.Categorical.from_codes(code, kinds) if named else None
    return Script(volatility, memory, drift, fall), regimes


def _frame(columns, times, name, regime):
    candles = pd.DataFrame(
        dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True)), index=times
    )
    candles["turnover"] = (candles["volume"] * sum(columns[:4]) / 4).round(2)
    if regime is not None:
        candles["regime"] = regime
    # As of a fetch that met no gap and dropped nothing.
    market = {"source": "simulated", "category": "linear", "symbol": name, "interval": "5"}
    candles.attrs = market | {"gaps": [], "dropped": {}}
    return candles


def _merged(candles, interval):
    """Longer candles from five-minute ones."""
    k = interval // 5
    if k == 1:
        return candles
    groups = np.arange(len(candles)) // k
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    out = candles.groupby(groups).agg(how | {"volume": "sum", "turnover": "sum"})
    out = out.round({"volume": 3, "turnover": 2}).set_axis(candles.index[::k])
    if "regime" in candles:
        codes = candles["regime"].cat.codes.groupby(groups).max()
        out["regime"] = pd.Categorical.from_codes(codes, candles["regime"].cat.categories)
    out.attrs = candles.attrs | {"interval": str(interval)}
    return out
