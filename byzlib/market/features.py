"""From candles to a learning task: features, labels, and splits that respect time.

Three tasks: the book's own, "direction" (the next return against a fixed threshold), and two whose
labels are balanced and where there is something honest to learn, and so to lose: "tercile" and
"volatility", cut at quantiles of the training rows.

Three promises hold for everything here. No value looks ahead: a feature of candle t is known
when candle t closes. No value crosses a gap: a candle without its neighbour yields no ratio and
no label. And rows that cannot be defined are absent; nothing is filled in.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd

from byzlib.market._splits import Fold, standardize, walk_forward

__all__ = ["CLASSES", "EXTENDED", "FEATURES", "LOOK_BACK", "TASKS", "Fold", "dataset", "engineer",
           "labels", "next_returns", "standardize", "tercile_labels", "volatility_labels",
           "walk_forward"]  # fmt: skip

CLASSES = ("Down", "Flat", "Up")
TASKS = {"direction": CLASSES, "tercile": ("Low", "Middle", "High"), "volatility": ("Calm", "Wild")}
FEATURES = ("price_return", "body_ratio", "upper_shadow", "volume_change")
EXTENDED = FEATURES + ("log_volume_change", "lower_shadow", "volatility", "hour_sin", "hour_cos")
LOOK_BACK = 12  # candles behind the trailing volatility: one hour of five-minute candles
_COLUMNS = ("open", "high", "low", "close", "volume")
_DAYS = {"D": 1, "W": 7}


def engineer(candles, extended=False):
    """Turn candles into the book's four features.

    With o, h, l, c, v the open, high, low, close and volume of candle t::

        price_return  = (c - o) / o
        body_ratio    = |c - o| / (h - l)            0 where h = l
        upper_shadow  = (h - max(o, c)) / (h - l)    0 where h = l
        volume_change = v[t] / v[t-1]

    Parameters
    ----------
    candles : DataFrame
        Indexed by open time, oldest first, with columns open, high, low, close (quote currency)
        and volume (any one unit). ``attrs["interval"]`` ("5", "60", "D", ...) tells the step;
        without it the step is the most common difference of the index.
    extended : bool
        Also return log_volume_change = log(v[t] / v[t-1]), lower_shadow =
        (min(o, c) - l) / (h - l), volatility (root mean square close-to-close return of the
        last 12 candles), and hour_sin, hour_cos (the time of day on a circle).

    Returns
    -------
    DataFrame, (m, 4) or (m, 9), float64, no units
        By open time. Absent are the first candle, candles after a gap, and candles after a zero
        volume; with ``extended`` also candles of zero volume and those whose trailing hour is not
        whole. ``attrs["undefined"]`` counts them by reason.

    Raises
    ------
    ValueError
        If candles are out of order, repeated, incomplete, or impossible (high below low, ...).
    """
    o, h, low, c, v = _check(candles)
    follows = _follows(candles)
    before = np.concatenate([[0.0], v])[:-1]
    span = h - low
    table = {
        "price_return": (c - o) / o,
        "body_ratio": _ratio(np.abs(c - o), span),
        "upper_shadow": _ratio(h - np.maximum(o, c), span),
        "volume_change": _ratio(v, before),
    }
    reasons = {
        "first candle": np.arange(len(c)) == 0,
        "after a gap": ~follows,
        "after zero volume": before == 0,
    }
    if extended:
        volatility, change = _volatility(c, follows), _ratio(v, before)
        hours = candles.index.hour + candles.index.minute / 60
        table |= {
            "log_volume_change": np.log(change, out=np.zeros(len(v)), where=change > 0),
            "lower_shadow": _ratio(np.minimum(o, c) - low, span),
            "volatility": volatility,
            "hour_sin": np.sin(2 * np.pi * hours / 24),
            "hour_cos": np.cos(2 * np.pi * hours / 24),
        }
        reasons |= {"zero volume": v == 0, "short history": np.isnan(volatility)}
    features = pd.DataFrame(table, index=candles.index)
    features.attrs = dict(candles.attrs) | {"undefined": _first_reason(reasons)}
    return features[~np.any(list(reasons.values()), axis=0)]


def labels(candles, threshold=0.001):
    """Label each candle by the close-to-close return that comes next.

    With r = close[t+1] / close[t] - 1: 0 (Down) if r < -threshold, 2 (Up) if r > threshold, else
    1 (Flat). A return of exactly +-threshold is Flat on every machine: returns that lie within
    rounding of the threshold are decided on the decimal prices themselves, as printed, in exact
    fractions (close 0.6591, not the nearest binary number to it).

    Parameters
    ----------
    candles : DataFrame
        As for `engineer`.
    threshold : float
        A return, >= 0; 0.001 is ten basis points.

    Returns
    -------
    Series of int, (m,)
        By open time; the last candle and candles before a gap are absent.
    """
    if not 0 <= threshold < np.inf:
        raise ValueError(f"threshold must be a finite return >= 0; got {threshold}")
    close = _check(candles)[3]
    now, after = close[:-1], close[1:]
    move = after / now - 1
    label = 1 + (move > threshold).astype(int) - (move < -threshold)
    # Two roundings put the quotient off by less than 1e-15 of itself: only these are in doubt.
    doubtful = np.abs(np.abs(move) - threshold) <= 1e-12 * (1 + threshold)
    for t in np.flatnonzero(doubtful):
        label[t] = _exact_label(now[t], after[t], threshold)
    known = _follows(candles)[1:]
    return pd.Series(label[known], index=candles.index[:-1][known], name="label")


def next_returns(candles):
    """Close-to-close return that comes next, close[t+1] / close[t] - 1.

    Parameters
    ----------
    candles : DataFrame
        As for `engineer`.

    Returns
    -------
    Series of float, (m,)
        By open time; the last candle and candles before a gap are absent.
    """
    close = _check(candles)[3]
    known = _follows(candles)[1:]
    moves = (close[1:] / close[:-1] - 1)[known]
    return pd.Series(moves, index=candles.index[:-1][known], name="next_return")


def tercile_labels(candles, fold):
    """Which third of the training returns the next return would lie in: 0 low, 1 middle, 2 high.

    With q1, q2 the 1/3 and 2/3 quantiles of r over the training rows: 0 if r < q1, 2 if r > q2,
    else 1. The outer thirds come with restless markets, the middle one with quiet ones, which is
    what can be learned here.

    Parameters
    ----------
    candles : DataFrame
        As for `engineer`.
    fold : Fold
        Of `walk_forward`; the cuts are taken from its training rows alone.

    Returns
    -------
    Series of int, (m,)
        By open time, as `labels`; ``attrs["cuts"]`` holds (q1, q2).
    """
    returns = next_returns(candles)
    low, high = np.quantile(_training(returns, fold), [1 / 3, 2 / 3])
    label = 1 + (returns > high).astype(int) - (returns < low)
    return _named(label, low, high)


def volatility_labels(candles, fold):
    """Whether the next return is larger, up or down, than half of the training rows': 0 or 1.

    1 if |r| > the median of |r| over the training rows, else 0.

    Parameters
    ----------
    candles, fold
        As for `tercile_labels`.

    Returns
    -------
    Series of int, (m,)
        By open time, as `labels`; ``attrs["cuts"]`` holds (median,).
    """
    size = next_returns(candles).abs()
    cut = np.median(_training(size, fold))
    return _named((size > cut).astype(int), cut)


def _training(values, fold):
    if not isinstance(fold, Fold):
        raise TypeError(f"cuts come from training rows: pass a Fold of walk_forward; got {fold!r}")
    chosen = values[fold.train_mask(values.index)]
    if chosen.empty:
        raise ValueError(f"no row to cut by from {fold.train_start} to {fold.train_end}")
    return chosen


def _named(label, *cuts):
    label = label.rename("label")
    label.attrs["cuts"] = tuple(float(cut) for cut in cuts)
    return label


def dataset(candles, threshold=0.001, extended=False, task="direction", fold=None):
    """Features and labels of the candles that have both.

    Parameters
    ----------
    candles : DataFrame
        As for `engineer`.
    threshold : float
        As for `labels`; of use to "direction" only.
    extended : bool
        As for `engineer`.
    task : str
        "direction" (`labels`), "tercile" (`tercile_labels`) or "volatility"
        (`volatility_labels`); ``TASKS[task]`` names the classes.
    fold : Fold, optional
        Whose training rows cut the classes; needed by "tercile" and "volatility".

    Returns
    -------
    X : ndarray, (m, 4) or (m, 9)
        `engineer`, in the order of ``FEATURES`` or ``EXTENDED``.
    y : ndarray of int, (m,)
    times : DatetimeIndex, (m,)
        Open times. Row i is known at the close of its candle, its label one candle later.
    """
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; there are {', '.join(TASKS)}")
    if task == "direction":
        target = labels(candles, threshold)
    else:
        target = {"tercile": tercile_labels, "volatility": volatility_labels}[task](candles, fold)
    features = engineer(candles, extended)
    times = features.index.intersection(target.index)
    return features.loc[times].to_numpy(), target.loc[times].to_numpy(), times


def _check(candles):
    """Return open, high, low, close, volume as float arrays, or say what is wrong with them."""
    if not isinstance(candles, pd.DataFrame) or not isinstance(candles.index, pd.DatetimeIndex):
        raise TypeError("candles must be a DataFrame indexed by open time (a DatetimeIndex)")
    if missing := [name for name in _COLUMNS if name not in candles.columns]:
        raise ValueError(f"candles lack {', '.join(missing)}; they have {list(candles.columns)}")
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
    o, h, low, c, v = columns = [candles[name].to_numpy(dtype=float) for name in _COLUMNS]
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


def _follows(candles):
    """Boolean (m,): whether the candle before is really the one before (no gap between)."""
    times, interval = candles.index, candles.attrs.get("interval")
    if len(times) < 2:
        return np.zeros(len(times), dtype=bool)
    if str(interval) == "M":
        steps, step = np.diff(times.year * 12 + times.month), 1
    else:
        steps = (times[1:] - times[:-1]).to_numpy()
        sizes, counts = np.unique(steps, return_counts=True)
        usual = sizes[counts.argmax()]
        step = usual if interval is None else _duration(interval)
        # A pair may stand alone; a whole series that never steps by the interval is mislabelled.
        if len(steps) > 1 and not (steps == step).any():
            raise ValueError(
                f"attrs['interval'] is {interval!r}, but candles are {pd.Timedelta(usual)} apart"
            )
    return np.concatenate([[False], steps == step])


def _duration(interval):
    """Length of one candle from the exchange's word for it: minutes, "D" or "W"."""
    text = str(interval)
    if text.isdecimal() and int(text) > 0:
        return np.timedelta64(int(text), "m")
    if text in _DAYS:
        return np.timedelta64(_DAYS[text], "D")
    raise ValueError(f"attrs['interval'] must be minutes, 'D', 'W' or 'M'; got {interval!r}")


def _ratio(top, bottom):
    """top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)


def _volatility(close, follows):
    """Root mean square return of the last LOOK_BACK candles; NaN where one of them is missing."""
    square = np.full(len(close), np.nan)
    square[1:] = np.where(follows[1:], (close[1:] / close[:-1] - 1) ** 2, np.nan)
    out = np.full(len(close), np.nan)
    if len(close) >= LOOK_BACK:
        windows = np.lib.stride_tricks.sliding_window_view(square, LOOK_BACK)
        out[LOOK_BACK - 1 :] = np.sqrt(windows.mean(axis=-1))
    return out


def _first_reason(reasons):
    """Count each absent row once, under the first reason that applies."""
    counts, seen = {}, False
    for reason, rows in reasons.items():
        counts[reason] = int((rows & ~np.asarray(seen)).sum())
        seen = rows | seen
    return counts


def _exact_label(now, after, threshold):
    """The label in exact fractions of the shortest decimals that stand for these floats."""
    now, after, threshold = (Fraction(str(float(x))) for x in (now, after, threshold))
    move = after - now
    return 1 + int(move > threshold * now) - int(move < -threshold * now)
