"""What a table of candles must be, and which candle follows which."""

import numpy as np
import pandas as pd


def as_candles(candles):
    """Return open, high, low, close, volume as float arrays, or say what is wrong with them."""
    if not isinstance(candles, pd.DataFrame) or not isinstance(candles.index, pd.DatetimeIndex):
        raise TypeError("candles must be a DataFrame indexed by open time (a DatetimeIndex)")
    names = ["open", "high", "low", "close", "volume"]
    if missing := [name for name in names if name not in candles]:
        raise ValueError(f"candles lack {', '.join(missing)}; they have {list(candles.columns)}")
    if twice := [name for name in names if list(candles.columns).count(name) > 1]:
        raise ValueError(f"candles have two columns called {twice[0]!r}; keep one")
    times = candles.index
    if times.hasnans:
        raise ValueError("an open time is missing (NaT); drop that row")
    if not times.is_monotonic_increasing:
        which = "newest first" if times.is_monotonic_decreasing else "out of order"
        raise ValueError(
            f"candles are {which}; they must run from oldest to newest, or the 'next' return "
            f"is the past one, which the features already hold: use candles.sort_index()"
        )
    if not times.is_unique:
        raise ValueError(f"open time {times[times.duplicated()][0]} occurs twice; keep one candle")
    o, h, low, c, v = columns = [_as_printed(candles[name]) for name in names]
    wrong = {
        "a value that is not finite": ~np.isfinite(columns).all(axis=0),
        "a price that is not positive": ~(np.minimum(low, np.minimum(o, c)) > 0),
        "a negative volume": v < 0,
        "high or low inside the body": (h < np.maximum(o, c)) | (low > np.minimum(o, c)),
    }
    for fault, rows in wrong.items():
        if rows.any():
            raise ValueError(f"candle {times[rows][0]} has {fault}; drop it or fetch it again")
    return columns


def _as_printed(column):
    """A column as float64: 1.001 in float32 is 1.001, not the nearest float32 to it."""
    short = {"float16": np.float16, "float32": np.float32}.get(str(column.dtype).lower())
    values = column.to_numpy(dtype=short or float, na_value=np.nan)
    return values.astype(str).astype(float) if short else values


def follows_another(candles):
    """Boolean (m,): whether the candle before is really the one before (no gap between)."""
    times, interval = candles.index, candles.attrs.get("interval")
    if len(times) < 2:
        return np.zeros(len(times), dtype=bool)
    steps = (times[1:] - times[:-1]).to_numpy()
    sizes, counts = np.unique(steps, return_counts=True)
    usual = sizes[counts.argmax()]
    if interval is None:  # months differ, and so do the days on which clocks change
        next_to = np.abs(steps - usual) <= 0.15 * usual
    elif interval == "M":
        next_to = np.diff(times.year * 12 + times.month) == 1
    else:
        next_to = steps == _duration(interval)
        # A pair may stand alone; a whole series that never steps by the interval is mislabelled.
        if len(steps) > 1 and not next_to.any():
            raise ValueError(
                f"attrs['interval'] is {interval!r}, but candles are {pd.Timedelta(usual)} apart"
            )
    return np.concatenate([[False], next_to])


def _duration(interval):
    """Length of one candle from the exchange's word for it: minutes, "D" or "W"."""
    minutes = {"D": 1440, "W": 10_080}.get(interval, interval)
    if not str(minutes).isdecimal():
        raise ValueError(f"attrs['interval'] must be minutes, 'D', 'W' or 'M'; got {interval!r}")
    return np.timedelta64(int(minutes), "m")
