"""What a table of candles must be, a file of them, and which candle follows which."""

import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from byzlib.market._clock import usual_step

PRICES = ["open", "high", "low", "close", "volume"]
DECIMAL = r"[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?"  # float takes "nan", "1_0" and other digits
METATRADER = r"[0-9]{4}\.[0-9]{2}\.[0-9]{2} [0-9]{2}:[0-9]{2}"


def read_candles(path):
    """Candles from a CSV file, as `python -m byzlib.market` or Bybit's archive writes it.

    Parameters
    ----------
    path : str or path, packed or not (.csv, .csv.gz)
        With a head: a column of open times ts_ms, start_at or open_time, in seconds or milliseconds
        since 1970 or as ISO dates (UTC where no zone is named); open, high, low, close, volume;
        and perhaps turnover, source and symbol. Without a head, as public.bybit.com keeps candles
        for MetaTrader: 2024.05.01 03:00,open,high,low,close,volume on a clock three hours ahead of
        UTC.

    Returns
    -------
    DataFrame, in the form of `byzlib.market.fetch_klines`
        ``attrs["source"]`` is what the file names, or its own name. Nothing is put right: the order
        is the file's, oldest first, and a gap stays.

    Raises
    ------
    ValueError, with the path, for a file of anything else; OSError where there is none
    """
    try:
        table = pd.read_csv(Path(path), header=None, dtype=str, keep_default_na=False)
        return _from_text(table, Path(path).name)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is no file of candles: {' '.join(str(error).split())}") from None


def _from_text(table, source):
    """The cells of a CSV, all of them text, in the form of `fetch_klines`."""
    if re.fullmatch(METATRADER, table.iloc[0, 0]):
        table = table.set_axis(["open_time", *PRICES], axis=1)
    else:
        table = table[1:].set_axis(table.iloc[0].to_list(), axis=1)
    clocks = [name for name in ("ts_ms", "start_at", "open_time") if name in table]
    if len(clocks) != 1 or table.empty or table.columns.has_duplicates:
        needs = "one column ts_ms, start_at or open_time, no name twice, and rows"
        raise ValueError(f"it needs {needs}; has {len(table)} rows of {[*table]}")
    times = _open_times(table[clocks[0]])
    candles = table[[name for name in (*PRICES, "turnover") if name in table]].set_axis(times)
    for name in candles:
        if (wrong := ~candles[name].str.fullmatch(DECIMAL, na=False)).any():
            raise ValueError(f"{name} needs plain decimals; has {candles[name][wrong].iloc[0]!r}")
    # Not pandas' numbers: its older parsers may miss the nearest float by a digit.
    candles = candles.apply(lambda column: column.to_numpy(str).astype(float))
    as_candles(candles)
    about = {name: table[name].iloc[0] for name in ("source", "symbol") if name in table}
    candles.attrs = {"source": source} | about
    return candles


def _open_times(cells):
    """The open times that a column of text holds."""
    cells = cells.fillna("")
    if re.fullmatch(METATRADER, cells.iloc[0]):
        times = pd.to_datetime(cells, format="%Y.%m.%d %H:%M", errors="coerce")
        times = times.dt.tz_localize("Etc/GMT-3")
    elif cells.str.fullmatch("[0-9]{10}|[0-9]{13}").all():
        ms = cells.where(cells.str.len() == 13, cells + "000").to_numpy(str).astype("int64")
        times = pd.to_datetime(pd.Series(ms, cells.index), unit="ms")
    else:
        times = pd.to_datetime(cells, utc=True, format="ISO8601", errors="coerce")
    times = pd.DatetimeIndex(pd.to_datetime(times, utc=True), name="open_time").as_unit("ms")
    if (wrong := ~times.year.isin(range(2010, 2101))).any():
        needs = "seconds or milliseconds since 1970 or ISO dates, of the years 2010 to 2100"
        raise ValueError(f"{cells.name} needs {needs}; has {cells[wrong].iloc[0]!r}")
    return times


def as_candles(candles):
    """Return open, high, low, close, volume as float arrays, or say what is wrong with them."""
    if not isinstance(candles, pd.DataFrame) or not isinstance(candles.index, pd.DatetimeIndex):
        raise TypeError("candles must be a DataFrame indexed by open time (a DatetimeIndex)")
    if missing := [name for name in PRICES if name not in candles]:
        raise ValueError(f"candles lack {', '.join(missing)}; they have {list(candles.columns)}")
    if twice := [name for name in PRICES if list(candles.columns).count(name) > 1]:
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
    o, h, low, c, v = columns = [_as_printed(candles[name]) for name in PRICES]
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
    steps, usual = (times[1:] - times[:-1]).to_numpy(), usual_step(times)
    if interval is None:  # months differ, and so do the days on which clocks change
        next_to = np.abs(steps - usual) <= 0.15 * usual
    elif interval == "M":
        next_to = np.diff(times.year * 12 + times.month) == 1
    else:
        next_to = steps == _duration(interval)
        # A pair may stand alone; a whole series that never steps by the interval is mislabelled.
        if len(steps) > 1 and not next_to.any():
            raise ValueError(f"attrs['interval'] is {interval!r}, but candles are {usual} apart")
    return np.concatenate([[False], next_to])


def _duration(interval):
    """Length of one candle from the exchange's word for it: minutes, "D" or "W"."""
    minutes = {"D": 1440, "W": 10_080}.get(interval, interval)
    if not str(minutes).isdecimal():
        raise ValueError(f"attrs['interval'] must be minutes, 'D', 'W' or 'M'; got {interval!r}")
    return np.timedelta64(int(minutes), "m")
