"""What a number means: accuracies beside their baseline, and intervals beside their mean."""

from typing import NamedTuple

import numpy as np
from scipy import stats


def accuracy(y, predicted):
    """Share of right predictions, (...,): y and predicted are (..., m) integers."""
    y, predicted = _pair(y, predicted, "accuracy")
    return (y == predicted).mean(axis=-1)


def balanced_accuracy(y, predicted):
    """Mean over the classes present in y of the share of that class predicted right, (...,).

    Always naming the same class scores 1 / (number of classes), however common the class is.
    """
    y, predicted = _pair(y, predicted, "balanced_accuracy")
    recalls = []
    for label in np.unique(y):
        members = y == label
        count = members.sum(axis=-1)
        hits = (members & (predicted == label)).sum(axis=-1)
        recalls.append(np.where(count > 0, hits / np.maximum(count, 1), np.nan))
    return np.nanmean(recalls, axis=0)[()]


def majority_share(y):
    """Accuracy of always naming the most common class of y (..., m): the baseline, (...,)."""
    y = np.asarray(y)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ValueError(f"majority_share needs labels of shape (..., m), m >= 1; got {y.shape}")
    return np.max([(y == label).mean(axis=-1) for label in np.unique(y)], axis=0)


def attack_success(y, predicted, source, target):
    """Share of true `source` bars predicted as `target`, (...,): P(predicted = t | y = s).

    Set it beside the same figure of an untouched model: that is its base rate. NaN where y holds
    no `source`.
    """
    y, predicted = _pair(y, predicted, "attack_success")
    members = y == source
    count = members.sum(axis=-1)
    hits = (members & (predicted == target)).sum(axis=-1)
    return np.where(count > 0, hits / np.maximum(count, 1), np.nan)[()]


class Interval(NamedTuple):
    """A mean with its confidence interval; prints as "71.2 +- 1.3" under format spec ".1f"."""

    mean: float
    low: float
    high: float

    @property
    def half_width(self):
        return (self.high - self.low) / 2

    def __format__(self, spec):
        return f"{self.mean:{spec or '.3g'}} +- {self.half_width:{spec or '.2g'}}"


def t_interval(values, level=0.95):
    """Student's interval for the mean of independent runs: mean +- t_{k-1} s / sqrt(k).

    Parameters
    ----------
    values : (k,) array_like
        One number a seed, k >= 2, finite.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    Interval(mean, low, high)
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"t_interval needs at least 2 values in one row; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("t_interval needs finite values; a diverged run has no mean")
    if not 0 < level < 1:
        raise ValueError(f"t_interval needs 0 < level < 1; got {level}")
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    centre = values.mean()
    return Interval(float(centre), float(centre - half), float(centre + half))


class PairedDifference(NamedTuple):
    """Mean of a - b over common seeds with its interval, and the p-value of "no difference"."""

    interval: Interval
    p_value: float

    @property
    def is_better(self):
        """True when the whole interval lies above zero: a beats b."""
        return self.interval.low > 0


def paired_difference(a, b, level=0.95):
    """Compare two methods on the same seeds: the t-interval of a_k - b_k.

    Parameters
    ----------
    a, b : (k,) array_like
        a[k] and b[k] come from the same seed.

    Returns
    -------
    PairedDifference(interval, p_value)
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"paired_difference needs equally many seeds; got {a.shape}, {b.shape}")
    difference = a - b
    interval = t_interval(difference, level)
    spread = stats.sem(difference)
    if spread == 0:
        return PairedDifference(interval, 1.0 if interval.mean == 0 else 0.0)
    p_value = 2 * stats.t.sf(abs(interval.mean) / spread, len(difference) - 1)
    return PairedDifference(interval, float(p_value))


def _pair(y, predicted, caller):
    y, predicted = np.asarray(y), np.asarray(predicted)
    if y.ndim == 0 or y.shape[-1:] != predicted.shape[-1:] or y.shape[-1] == 0:
        raise ValueError(
            f"{caller} needs y and predicted of shape (..., m), m >= 1; "
            f"got {y.shape} and {predicted.shape}"
        )
    return np.broadcast_arrays(y, predicted)
