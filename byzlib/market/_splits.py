"""Splits that respect time, and scaling that respects the split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Fold:
    """One step of `walk_forward`: half-open windows of open times on a clock that all share."""

    train_start: pd.Timestamp
    train_end: pd.Timestamp
    test_start: pd.Timestamp
    test_end: pd.Timestamp

    def train_mask(self, times):
        """Boolean (m,): which rows may be trained on."""
        return np.asarray((times >= self.train_start) & (times < self.train_end))

    def test_mask(self, times):
        """Boolean (m,): which rows are tested on."""
        return np.asarray((times >= self.test_start) & (times < self.test_end))


def walk_forward(times, train, test, purge, embargo="0min"):
    """Cut time into folds that train on the past and test on what comes next.

    Test windows follow one another; each is preceded by its own training window. All clients
    share the clock, so no client trains on a minute that another one is tested on.

    Parameters
    ----------
    times : DatetimeIndex, or list of them (one a client)
        The rows' open times.
    train, test : duration, such as "60D"
        Lengths of the windows.
    purge : duration
        Training stops this long before the test. A row of candle t uses candles t-1 (volume),
        t, and t+1 (label), so two candles ("10min" for five-minute candles) are what keeps
        training and test rows from sharing one; longer features need more.
    embargo : duration
        Further pause before the test, such as the time it takes to train and ship a model.
        (The embargo of Lopez de Prado 2018, section 7.4.2 drops training rows *after* a test;
        here none ever come after.)

    Returns
    -------
    list of Fold
        In time order. A last test window that the data fill by less than half is left out.

    Raises
    ------
    ValueError
        If a duration is not positive (purge and embargo may be 0), or no fold fits.
    """
    clients = [times] if isinstance(times, pd.DatetimeIndex) else list(times)
    if not all(isinstance(one, pd.DatetimeIndex) for one in clients):
        raise TypeError("times must be a DatetimeIndex or a list of them, one for each client")
    clients = [one for one in clients if len(one)]
    if not clients:
        raise ValueError("walk_forward needs at least one row; got none")
    train, test, purge, embargo = (pd.Timedelta(d) for d in (train, test, purge, embargo))
    zero = pd.Timedelta(0)
    if not (train > zero and test > zero and purge >= zero and embargo >= zero):
        raise ValueError(
            f"train and test must be positive, purge and embargo not negative; "
            f"got {train}, {test}, {purge}, {embargo}"
        )
    if purge + embargo >= train:
        raise ValueError(f"purge + embargo ({purge + embargo}) leaves nothing of train ({train})")
    start, end = min(one.min() for one in clients), max(one.max() for one in clients)
    folds = []
    while (cut := start + train + len(folds) * test) + test / 2 <= end:
        folds.append(Fold(cut - train, cut - purge - embargo, cut, cut + test))
    if not folds:
        raise ValueError(
            f"one fold needs rows over {train + test / 2} (train and half a test window); "
            f"these span {end - start}"
        )
    return folds


def standardize(train, *others, clip=5.0):
    """Centre and scale columns by the training rows alone, then clip.

    z = (x - mean) / std, mean and std over the training rows; constant columns become 0.

    Parameters
    ----------
    train, *others : array, (..., m, p)
        Leading axes are independent (one client each, say); the others may have other m.
    clip : float or None
        Values beyond this many standard deviations are cut to it. volume_change is
        heavy-tailed: one candle can otherwise outweigh a day. None leaves them.

    Returns
    -------
    array, or tuple of arrays when others are given
        Same shapes, float64.
    """
    train, *others = (np.asarray(x, dtype=float) for x in (train, *others))
    if train.ndim < 2 or train.shape[-2] == 0 or not np.isfinite(train).all():
        raise ValueError(f"train must be finite with shape (..., m, p), m >= 1; got {train.shape}")
    if clip is not None and not clip > 0:
        raise ValueError(f"clip must be positive or None; got {clip}")
    centre, scale = train.mean(-2, keepdims=True), train.std(-2, keepdims=True)
    # Not scale == 0: the mean of equal numbers can be off by a rounding.
    constant = np.ptp(train, axis=-2, keepdims=True) == 0
    scale = np.where(constant, np.inf, scale)
    scaled = [(x - centre) / scale for x in (train, *others)]
    if clip is not None:
        scaled = [np.clip(x, -clip, clip) for x in scaled]
    return tuple(scaled) if others else scaled[0]
