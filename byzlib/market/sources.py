"""Candles by one door, from the exchange, a file or the simulated sample, and what they are."""

import pandas as pd

from byzlib.market._candles import read_candles
from byzlib.market.sample import load_sample
from byzlib.theory import as_count, as_number


def load_candles(source=None, symbol=None, interval=None, limit=None, days=None):
    """The newest candles of a source, and never another source's in their place.

    Parameters
    ----------
    source : None, "sample", or the path of a file
        Bybit, by `fetch_klines`, or `load_klines` where days are asked for; the simulated candles
        of `load_sample`; or a file for `read_candles`.
    symbol, interval : str, optional
        "BTCUSDT" and "5" by default. A file has its own, and the sample its own interval.
    limit : int >= 1, optional
        The newest so many: by default 1000 of the exchange, and all of a file.
    days : float > 0, optional
        Those that open in the last so many days up to the newest one, by the source's own clock.

    Returns and raises as those functions do; ValueError for a symbol or an interval of a file.
    """
    limit = None if limit is None else as_count(limit, "limit", "load_candles", least=1)
    days = None if days is None else as_number(days, "days", "load_candles", "finite and > 0")
    series = symbol or "BTCUSDT", interval or "5"
    if source is None:
        from byzlib.market import fetch_klines, load_klines  # these load requests

        if days is None:
            return fetch_klines(*series, limit=limit or 1000)
        newest = fetch_klines(*series, limit=1).index[0]
        candles = load_klines(*series, newest - pd.Timedelta(days=days), deadline=600)
    elif interval or symbol and source != "sample":
        raise ValueError("symbol and interval ask the exchange, and a file has its own")
    else:
        candles = load_sample(series[0]) if source == "sample" else read_candles(source)
    if days is not None:
        candles = candles[(candles.index[-1] - candles.index) / pd.Timedelta(days=1) <= days]
    return candles.tail(limit or len(candles))


def describe(candles):
    """What candles are, in a line: "BTCUSDT, simulated: 25920 candles, ... to ... UTC"."""
    name = ", ".join(filter(None, map(candles.attrs.get, ["symbol", "source"])))
    first, last = (f"{candles.index[i]:%Y-%m-%d %H:%M}" for i in (0, -1))
    return f"{name}: {len(candles)} candles, {first} to {last} UTC"
