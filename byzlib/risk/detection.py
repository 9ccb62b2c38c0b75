"""Detectors: one score a round from what all clients sent, and how good such a score is.

A detector maps updates (..., n, d) to scores (...,), larger when it suspects more. It sees one
round and no labels; which score is alarming is found on rounds known to be clean.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from byzlib.theory import as_updates


def gap_score(updates, rule, scaled=False):
    """How far a rule's answer lies from the plain mean: |F(x) - mean(x)|.

    Parameters
    ----------
    updates : (..., n, d) array_like, finite
    rule : callable (..., n, d) -> (..., d)
    scaled : bool
        Divide by the clients' typical distance, the median over clients of the distance to the
        median of the columns, so that the score has no unit. Where that is 0 (most clients agree
        to the last digit) the score is 0 if the gap is, and infinite if it is not.

    Returns
    -------
    (...,) array, >= 0.
    """
    x, size = _finite(updates, "gap_score")
    answer = np.asarray(rule(updates)) / size[..., 0]
    gap = np.linalg.norm(answer - x.mean(axis=-2), axis=-1)
    if not scaled:
        return gap * size[..., 0, 0]
    centre = np.median(x, axis=-2, keepdims=True)
    return _ratio(gap, np.median(np.linalg.norm(x - centre, axis=-1), axis=-1))


def clone_score(updates):
    """Is there a pair that is closer than pairs are? -ln(smallest distance / median distance).

    In many dimensions independent honest updates are nearly equally far from each other, so that
    liars who send one vector together give themselves away, whatever the vector is. Infinite for
    two equal rows (0 where most pairs are equal). Needs n >= 3. Parameters and return as in
    `gap_score`.
    """
    distances = _pairs(updates, "clone_score")
    return np.log(_ratio(np.median(distances, axis=-1), distances.min(axis=-1), empty=1.0))


def shout_score(updates):
    """Is there a pair that is farther than pairs are? ln(largest distance / median distance).

    Parameters and return as in `gap_score`; needs n >= 3.
    """
    distances = _pairs(updates, "shout_score")
    return np.log(_ratio(distances.max(axis=-1), np.median(distances, axis=-1), empty=1.0))


def pair_score(updates):
    """The larger of `clone_score` and `shout_score`: it looks to both sides."""
    return np.maximum(clone_score(updates), shout_score(updates))


def line_score(updates):
    """Do clients differ along one line? Largest eigenvalue of their covariance over its trace.

    Liars who shift together stand apart from the others in one direction, however much noise each
    adds of its own. Between 1 / (n - 1) and 1; 0 where all rows are equal. Needs n >= 3.
    Parameters and return as in `gap_score`.
    """
    x, _ = _finite(updates, "line_score")
    if x.shape[-2] < 3:
        raise ValueError(f"line_score needs n >= 3 clients; got n = {x.shape[-2]}")
    x = x - x.mean(axis=-2, keepdims=True)
    spread = np.linalg.eigvalsh(x @ x.swapaxes(-2, -1))
    return _ratio(spread[..., -1], np.trace(x @ x.swapaxes(-2, -1), axis1=-2, axis2=-1))


def roc(attacked, clean):
    """The receiver operating characteristic: false alarms and hits at every threshold.

    Parameters
    ----------
    attacked, clean : (k,), (m,) array_like
        Scores of rounds with and without liars; an alarm is a score >= the threshold.

    Returns
    -------
    (false_alarms, hits, thresholds), each (j,)
        From (0, 0) at threshold infinity to (1, 1), one point for each distinct score.
    """
    attacked, clean = _scores(attacked, "roc"), _scores(clean, "roc")
    if attacked.ndim != 1 or clean.ndim != 1:
        raise ValueError(f"roc needs two rows of scores; got {attacked.shape} and {clean.shape}")
    thresholds = np.unique(np.concatenate([attacked, clean]))[::-1]

    def reached(scores):
        below = np.searchsorted(np.sort(scores), thresholds, side="left")
        return np.append(0.0, 1 - below / len(scores))

    return reached(clean), reached(attacked), np.append(np.inf, thresholds)


class AUC(NamedTuple):
    """Area under the ROC with its interval; prints as "0.97 [0.95, 0.98]" under spec ".2f"."""

    area: float
    low: float
    high: float

    def __format__(self, spec):
        spec = spec or ".2f"
        return f"{self.area:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def auc(attacked, clean, level=0.95):
    """How often an attacked round scores above a clean one, ties counted half, with an interval.

    0.5 is a coin, 1 a perfect detector, and 0 a perfect one that is read the wrong way round. The
    interval is Newcombe's method 5: all areas A with |A - area| <= z sqrt(V(A)), V the variance of
    Hanley and McNeil, V(A) = A(1-A) [1 + N ((1-A)/(2-A) + A/(1+A))] / (k m), N = (k + m)/2 - 1.
    Unlike |area| -+ z se it does not shrink to a point where the area is 0 or 1.

    Parameters
    ----------
    attacked : (..., k) array_like
    clean : (..., m) array_like
        Scores; no NaN, infinity allowed. Leading axes broadcast.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    AUC(area, low, high) of (...,) arrays, or floats.

    Source: Hanley and McNeil, Radiology 1982; Newcombe, Statistics in Medicine 2006, 25: 559-573.
    """
    attacked, clean = _scores(attacked, "auc"), _scores(clean, "auc")
    if not 0 < level < 1:
        raise ValueError(f"auc needs 0 < level < 1; got {level}")
    k, m = attacked.shape[-1], clean.shape[-1]
    lead = np.broadcast_shapes(attacked.shape[:-1], clean.shape[:-1])
    both = np.concatenate(
        [np.broadcast_to(attacked, (*lead, k)), np.broadcast_to(clean, (*lead, m))], axis=-1
    )
    from scipy.stats import rankdata  # takes a second to import

    ranks = rankdata(both, axis=-1)[..., :k].sum(axis=-1)
    area = (ranks - k * (k + 1) / 2) / (k * m)
    z = ndtri((1 + level) / 2)

    def edge(inside, outside):
        """The last A from the area toward the outside that the area does not contradict."""
        for _ in range(60):
            middle = (inside + outside) / 2
            tail = (1 - middle) / (2 - middle) + middle / (1 + middle)
            spread = middle * (1 - middle) * (1 + ((k + m) / 2 - 1) * tail) / (k * m)
            fits = np.abs(middle - area) <= z * np.sqrt(spread)
            inside, outside = np.where(fits, middle, inside), np.where(fits, outside, middle)
        return inside

    low, high = edge(area, np.zeros_like(area)), edge(area, np.ones_like(area))
    return AUC(area[()], low[()], high[()])


def cusum(scores, drift):
    """Page's cumulated sum over rounds: S_t = max(0, S_(t-1) + score_t - drift), S_0 = 0.

    Parameters
    ----------
    scores : (..., T) array_like, no NaN
    drift : float
        What a round takes back; between the mean score of clean and of attacked rounds.

    Returns
    -------
    (..., T) array, >= 0.

    Source: Page, Biometrika 1954.
    """
    steps = _scores(scores, "cusum") - float(drift)
    total, path = np.zeros(steps.shape[:-1]), np.empty_like(steps)
    for t in range(steps.shape[-1]):
        total = np.maximum(total + steps[..., t], 0.0)
        path[..., t] = total
    return path


def detection_delay(scores, threshold):
    """Rounds until the first score at or above the threshold, counted from 1; infinite if none.

    scores : (..., T) array_like, of which the first is the first attacked round. Returns (...,).
    """
    alarm = _scores(scores, "detection_delay") >= threshold
    return np.where(alarm.any(axis=-1), alarm.argmax(axis=-1) + 1.0, np.inf)[()]


def _pairs(updates, caller):
    """Distances of all pairs of clients over the largest number, (..., n (n - 1) / 2)."""
    x, _ = _finite(updates, caller)
    n = x.shape[-2]
    if n < 3:
        raise ValueError(f"{caller} needs n >= 3 clients; got n = {n}")
    i, j = np.triu_indices(n, 1)
    return np.linalg.norm(x[..., i, :] - x[..., j, :], axis=-1)


def _ratio(top, bottom, empty=0.0):
    """top / bottom; infinite where only the bottom is 0, and `empty` where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((top == 0) & (bottom == 0), empty, top / bottom)[()]


def _finite(updates, caller):
    """Updates over their largest number, in float64, and that number: no square overflows."""
    x = as_updates(updates, caller).astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"{caller} needs finite updates; a row with NaN or infinity is found out")
    size = np.abs(x).max(axis=(-2, -1), keepdims=True)
    size = np.where(size > 0, size, 1.0)
    return x / size, size


def _scores(values, caller):
    x = np.asarray(values, dtype=float)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{caller} needs at least one score in a row; got shape {x.shape}")
    if np.isnan(x).any():
        raise ValueError(f"{caller} needs scores that are numbers; got NaN")
    return x
