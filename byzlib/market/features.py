"""From candles to a learning task: features, labels, and splits that respect time.

Three tasks: the book's own, "direction" (the next return against a fixed threshold), and two whose
labels are balanced and where there is something honest to learn, and so to lose: "tercile" and
"volatility", cut at quantiles of the training rows.

Three promises hold for everything here. No value looks ahead: a feature of candle t is known
when candle t closes. No value crosses a gap: a candle without its neighbour yields no ratio and
no label. And rows that cannot be defined are absent; nothing is filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from byzlib.market._candles import as_candles, follows_another
from byzlib.market._clock import as_duration, refuse_mixed_zones, usual_step
from byzlib.theory import as_count, as_number, as_reals, is_constant, refuse_unpaired, to_unit_scale

CLASSES = ("Down", "Flat", "Up")
TASKS = {"direction": CLASSES, "tercile": ("Low", "Middle", "High"), "volatility": ("Calm", "Wild")}
FEATURES = ("price_return", "body_ratio", "upper_shadow", "volume_change")
EXTENDED = FEATURES + ("log_volume_change", "lower_shadow", "volatility", "hour_sin", "hour_cos")
LOOK_BACK = 12  # candles behind the trailing volatility: one hour of five-minute candles


# --- Features -------------------------------------------------------------------------------


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
        without it the step is the most common difference of the index, give or take 15 %, which
        months need. ValueError if a candle is out of order, repeated or impossible.
    extended : bool
        Also log_volume_change = log(v[t] / v[t-1]), lower_shadow = (min(o, c) - l) / (h - l),
        volatility (root mean square close-to-close return of the last 12 candles), and hour_sin,
        hour_cos (the time of day on a circle).

    Returns
    -------
    DataFrame, (m, 4) or (m, 9), float64, no units
        By open time. Absent are the first candle, candles after a gap or after a zero volume; with
        ``extended`` also candles of zero volume and those whose trailing hour is not whole.
        ``attrs["undefined"]`` counts them by reason.
    """
    o, h, low, c, v = as_candles(candles)
    follows, span = follows_another(candles), h - low
    before = np.concatenate([[0.0], v])[:-1]
    table = {
        "price_return": (c - o) / o,
        "body_ratio": _ratio(np.abs(c - o), span),
        "upper_shadow": _ratio(h - np.maximum(o, c), span),
        "volume_change": _ratio(v, before),
    }
    absent = {
        "first candle": np.arange(len(c)) == 0,
        "after a gap": ~follows,
        "after zero volume": before == 0,
    }
    if extended:
        change, volatility = table["volume_change"], _volatility(c, follows)
        angle = 2 * np.pi * (candles.index.hour + candles.index.minute / 60) / 24
        table |= {
            "log_volume_change": np.log(change, out=np.zeros(len(v)), where=change > 0),
            "lower_shadow": _ratio(np.minimum(o, c) - low, span),
            "volatility": volatility,
            "hour_sin": np.sin(angle).round(15),  # 0 at noon, not 1.2e-16
            "hour_cos": np.cos(angle).round(15),
        }
        absent |= {"zero volume": v == 0, "short history": np.isnan(volatility)}
    reason = np.select(list(absent.values()), list(absent), default="")
    features = pd.DataFrame(table, index=candles.index)[reason == ""]
    counts = {name: int((reason == name).sum()) for name in absent}
    features.attrs = dict(candles.attrs) | {"undefined": counts}
    return features


def _ratio(top, bottom):
    """top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros(len(top)), where=bottom > 0)


def _volatility(close, follows):
    """Root mean square return of the last LOOK_BACK candles; NaN where one of them is missing."""
    square = np.full(len(close), np.nan)
    square[1:] = np.where(follows[1:], (close[1:] / close[:-1] - 1) ** 2, np.nan)
    before = np.concatenate([np.full(LOOK_BACK - 1, np.nan), square])
    return np.sqrt(np.lib.stride_tricks.sliding_window_view(before, LOOK_BACK).mean(axis=-1))


# --- Labels ---------------------------------------------------------------------------------


def next_returns(candles):
    """Close-to-close return that comes next, close[t+1] / close[t] - 1.

    A Series of float, (m,), by open time; the last candle and candles before a gap are absent.
    """
    close, after, times = _closes_and_next(candles)
    return pd.Series(after / close - 1, index=times, name="next_return")


def labels(candles, threshold=0.001):
    """Label each candle by the close-to-close return that comes next.

    With r as in `next_returns`: 0 (Down) if r < -threshold, 2 (Up) if r > threshold, else 1 (Flat);
    a Series of int, (m,), by open time. threshold : a return, >= 0; 0.001 is ten basis points.

    A return of exactly +-threshold is Flat on every machine: returns that lie within rounding of
    the threshold are decided on the decimal prices themselves, as printed, in exact fractions
    (close 0.6591, not the nearest binary number to it), float32 prices too.
    """
    threshold = as_number(threshold, "threshold", "labels", "finite and >= 0")
    close, after, times = _closes_and_next(candles)
    move = after / close - 1
    label = 1 + (move > threshold).astype(int) - (move < -threshold)
    # Two roundings put the quotient off by less than 1e-15 of itself: only these are in doubt.
    for t in np.flatnonzero(np.abs(np.abs(move) - threshold) <= 1e-12 * (1 + threshold)):
        label[t] = _exact_label(close[t], after[t], threshold)
    return pd.Series(label, index=times, name="label")


def dataset(candles, threshold=0.001, extended=False, task="direction", fold=None):
    """Features and labels of the candles that have both.

    Parameters
    ----------
    candles, extended
        As for `engineer`.
    threshold : float
        As for `labels`; of use to "direction" only.
    task : str
        "direction": `labels`. "tercile": which third of the training rows' next returns r the next
        one would lie in, 0 if r < q1, 2 if r > q2, else 1, with q1, q2 their 1/3 and 2/3 quantiles;
        the outer thirds come with restless markets, which is what can be learned. "volatility":
        whether the next move is larger than half of theirs, 1 if |r| > the median of |r|, else 0.
        ``TASKS[task]`` names the classes.
    fold : Fold, optional
        Whose training rows cut the classes; needed by "tercile" and "volatility".

    Returns
    -------
    X : ndarray, (m, 4) or (m, 9), `engineer` in the order of ``FEATURES`` or ``EXTENDED``
    y : ndarray of int, (m,)
    times : DatetimeIndex, (m,)
        Open times. Row i is known at the close of its candle, its label one candle later.
    """
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; there are {', '.join(TASKS)}")
    target = labels(candles, threshold) if task == "direction" else _cut(candles, task, fold)
    features = engineer(candles, extended)
    times = features.index.intersection(target.index)
    return features.loc[times].to_numpy(), target.loc[times].to_numpy(), times


def _closes_and_next(candles):
    """The closes that another candle follows, the closes of those, and the former's open times."""
    close, known = as_candles(candles)[3], follows_another(candles)[1:]
    return close[:-1][known], close[1:][known], candles.index[:-1][known]


def _exact_label(close, after, threshold):
    """The label in exact fractions of the shortest decimals that stand for these floats."""
    close, after, threshold = (Fraction(str(float(x))) for x in (close, after, threshold))
    move = after - close
    return 1 + int(move > threshold * close) - int(move < -threshold * close)


def _cut(candles, task, fold):
    """Labels of "tercile" or "volatility", cut at quantiles of a fold's training rows."""
    if not isinstance(fold, Fold):
        raise TypeError(f"cuts come from training rows: pass a Fold of walk_forward; got {fold!r}")
    returns = next_returns(candles).round(14)  # equal but for rounding is equal
    size = returns if task == "tercile" else returns.abs()
    known = size[fold.train_mask(size.index)]
    if known.empty:
        raise ValueError(f"no row to cut by from {fold.train_start} to {fold.train_end}")
    if task == "volatility":
        return (size > np.median(known)).astype(int)
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    return 1 + (size > high).astype(int) - (size < low)


# --- Splits and scaling ---------------------------------------------------------------------


@dataclass(frozen=True)
class Fold:
    """One step of `walk_forward`: half-open windows of open times on a clock that all share."""

    train_start: pd.Timestamp
    train_end: pd.Timestamp
    test_start: pd.Timestamp
    test_end: pd.Timestamp

    def train_mask(self, times):
        """Boolean (m,): which rows may be trained on."""
        return _within(times, self.train_start, self.train_end)

    def test_mask(self, times):
        """Boolean (m,): which rows are tested on."""
        return _within(times, self.test_start, self.test_end)


def _within(times, start, end):
    times = pd.DatetimeIndex(times)
    refuse_mixed_zones("Fold", times, start)
    return np.asarray((times >= start) & (times < end))


def walk_forward(times, train=None, test=None, purge=None, embargo="0min", folds=2):
    """Cut time into folds that train on the past and test on what comes next.

    Test windows follow one another; each is preceded by its own training window. All clients
    share the clock, so no client trains on a minute that another one is tested on.

    Parameters
    ----------
    times : DatetimeIndex, or list of them (one a client)
        The rows' open times.
    train, test : duration with its unit, such as "60D" or a timedelta, > 0
        Lengths of the windows. By default half of the time that the rows span, and so much of the
        other half that `folds` tests fill it.
    purge : duration, >= 0
        Training stops this long before the test. A row of candle t uses candles t-1 (volume),
        t, and t+1 (label), so two candles ("10min" for five-minute candles) are what keeps
        training and test rows from sharing one; longer features need more. By default two steps,
        the most common ones of the client whose steps are shortest.
    embargo : duration, >= 0
        Further pause before the test, such as the time it takes to train and ship a model.
        (The embargo of Lopez de Prado 2018, section 7.4.2 drops training rows *after* a test;
        here none ever come after.)
    folds : int >= 1
        How many tests where their length is not given.

    Returns
    -------
    list of Fold
        In time order; ValueError if none fits. A last test window that the data fill by less than
        half is left out.
    """
    clients = [times] if isinstance(times, pd.DatetimeIndex) else list(times)
    if not all(isinstance(one, pd.DatetimeIndex) for one in clients):
        raise TypeError("times must be a DatetimeIndex or a list of them, one for each client")
    clients = [one for one in clients if len(one)]
    if not clients:
        raise ValueError("walk_forward needs at least one row; got none")
    refuse_mixed_zones("walk_forward", *clients)
    start, end = min(one.min() for one in clients), max(one.max() for one in clients)
    half = (end - start) / 2
    train = half if train is None else train
    test = half / as_count(folds, "folds", "walk_forward", least=1) if test is None else test
    purge = 2 * min(map(usual_step, clients)) if purge is None else purge
    given = {"train": train, "test": test, "purge": purge, "embargo": embargo}
    train, test, purge, embargo = (as_duration(d, k, "walk_forward") for k, d in given.items())
    zero = pd.Timedelta(0)
    if not (train > zero and test > zero and purge >= zero and embargo >= zero):
        raise ValueError(
            f"train and test must be positive, purge and embargo not negative; "
            f"got {train}, {test}, {purge}, {embargo}"
        )
    if purge + embargo >= train:
        raise ValueError(f"purge + embargo ({purge + embargo}) leaves nothing of train ({train})")
    found = []
    while (cut := start + train + len(found) * test) + test / 2 <= end:
        found.append(Fold(cut - train, cut - purge - embargo, cut, cut + test))
    if not found:
        raise ValueError(
            f"one fold needs rows over {train + test / 2} (train and half a test window); "
            f"these span {end - start}"
        )
    return found


def standardize(train, *others, clip=5.0):
    """Centre and scale columns by the training rows alone, then clip.

    z = (x - mean) / std, mean and std over the training rows; columns that change by no more than
    rounding (1e-8 of their largest number) become 0.

    train, *others : (..., m, p); leading axes are independent (one client each, say), the others
    may have other m. clip : float or None; values beyond this many standard deviations are cut to
    it, since volume_change is heavy-tailed: one candle can otherwise outweigh a day. Returns an
    array, or a tuple of them when others are given, of the same shapes, float64.
    """
    refuse_unpaired("standardize", train=train, others=others)
    train, *others = (as_reals(x, "standardize") for x in (train, *others))
    if train.ndim < 2 or train.shape[-2] == 0 or not np.isfinite(train).all():
        raise ValueError(f"train must be finite with shape (..., m, p), m >= 1; got {train.shape}")
    limit = np.inf if clip is None else as_number(clip, "clip", "standardize")
    train, exponent = to_unit_scale(train, axis=-2)
    others = [np.ldexp(x, -exponent) for x in others]
    centre, spread = train.mean(-2, keepdims=True), train.std(-2, keepdims=True)
    spread = np.where(is_constant(train, axis=-2), np.inf, spread)
    z = [np.clip((x - centre) / spread, -limit, limit) for x in (train, *others)]
    return tuple(z) if others else z[0]
