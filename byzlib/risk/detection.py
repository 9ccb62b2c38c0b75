"""Detectors: one score a round from what all clients sent, and how good such a score is.

A detector maps updates (..., n, d) to scores (...,), larger when it suspects more. It sees one
round and no labels; which score is alarming is found on rounds known to be clean.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from byzlib.theory import as_number, as_reals, as_updates, to_unit_scale


def mean_gap_score(updates, rule, scaled=False):
    """How far a rule's answer lies from the plain mean: |F(x) - mean(x)|.

    updates : (..., n, d) array_like, finite; rule : callable (..., n, d) -> (..., d). Returns
    (...,), >= 0. With `scaled` it is divided by the clients' typical distance, the median over
    clients of the distance to the median of the columns, and has no unit; where that is 0 (most
    clients agree but for rounding) the score is 0 if the gap is, and infinite if it is not.
    """
    x, exponent = _finite(updates, "mean_gap_score")
    answer = np.ldexp(rule(updates), -exponent[..., 0])
    gap = np.linalg.norm(answer - x.mean(axis=-2), axis=-1)
    if not scaled:
        return np.ldexp(gap, exponent[..., 0, 0])
    centre = np.median(x, axis=-2, keepdims=True)
    return _ratio(gap, np.median(np.linalg.norm(x - centre, axis=-1), axis=-1))


def extreme_pair_score(updates):
    """Is a pair closer, or farther, than pairs are? ln(median / smallest) or ln(largest / median).

    The larger of the two, of the distances between clients. In many dimensions independent honest
    updates are nearly equally far from each other, so that liars who send one vector together give
    themselves away, whatever the vector is. Infinite for two equal rows (0 where most pairs are
    equal). updates : (..., n, d) array_like, finite, n >= 3. Returns (...,), >= 0.
    """
    x, _ = _finite(updates, "extreme_pair_score", least=3)
    i, j = np.triu_indices(x.shape[-2], 1)
    distances = np.linalg.norm(x[..., i, :] - x[..., j, :], axis=-1)
    smallest, largest = distances.min(axis=-1), distances.max(axis=-1)
    middle = np.median(distances, axis=-1)
    return np.log(np.maximum(_ratio(middle, smallest, 1.0), _ratio(largest, middle, 1.0)))


def spectral_score(updates):
    """Do clients differ along one line? Largest eigenvalue of their covariance over its trace.

    Liars who shift together stand apart from the others in one direction, however much noise each
    adds of its own. Between 1 / (n - 1) and 1; 0 where all rows are equal.
    updates : (..., n, d) array_like, finite, n >= 3. Returns (...,).
    """
    x, _ = _finite(updates, "spectral_score", least=3)
    x = x - x.mean(axis=-2, keepdims=True)
    gram = x @ x.swapaxes(-2, -1)  # the same eigenvalues as the covariance, up to a factor
    largest = np.maximum(np.linalg.eigvalsh(gram)[..., -1], 0.0)
    return _ratio(np.sqrt(largest), np.sqrt(np.trace(gram, axis1=-2, axis2=-1))) ** 2


def fewest_liars(updates, clean, score=extreme_pair_score, level=0.05):
    """With how many liars a round looks like the clean rounds: "at least so many lie".

    The smallest j for which the round without j of its rows scores no more than clean rounds of as
    many rows do. Tried are the j rows farthest from the median of the columns, and the j that stand
    closest to another. If today's honest rows are drawn like those of the clean rounds, a round
    without liars is called 0 with probability >= 1 - level, for its score is one of k + 1 equally
    likely places among theirs; and where the f liars are the farthest, or the closest, no more than
    f are counted with the same probability. It says nothing from above: liars who send what honest
    clients might have sent are not in the count, and the last of liars who stand together may look
    like anybody.

    Parameters
    ----------
    updates : (..., n, d) array_like, finite, n >= 4
    clean : (k, n, d) array_like
        Rounds in which nobody lied, from the same clients in any order; k >= 1 / level - 1.
    score : callable (..., n, d) -> (...,)
        Larger where it suspects more, of no unit: `extreme_pair_score`, `spectral_score`, or
        `mean_gap_score` with a rule and scaled=True.
    level : float in (0, 1), the share of false alarms

    Returns
    -------
    (...,) integers from 0 to (n - 1) // 2, which stands for "or more": of a majority nobody can say
    who is honest.
    """
    (x, _), (clean, _) = _finite(updates, "fewest_liars"), _finite(clean, "fewest_liars")
    level = as_number(level, "level", "fewest_liars", "in (0, 1)")
    n, d = x.shape[-2:]
    rank = int(np.ceil((len(clean) + 1) * (1 - level) - 1e-9))
    if n < 4 or clean.ndim != 3 or clean.shape[1:] != (n, d) or rank > len(clean):
        raise ValueError(
            f"fewest_liars needs n >= 4 and k >= {np.ceil(1 / level - 1 - 1e-9):.0f} clean rounds "
            f"(k, {n}, {d}) for level = {level}; got n = {n} and {clean.shape}"
        )
    rounds, most = x.reshape(-1, n, d), (n - 1) // 2
    orders = [np.take_along_axis(rounds, _order(odd), axis=1) for odd in _oddness(rounds)]
    counts = np.full(len(rounds), most)
    for j in reversed(range(most)):
        usual = np.sort(score(clean[:, j:]))[rank - 1]
        counts[np.min([score(ordered[:, j:]) for ordered in orders], axis=0) <= usual] = j
    return counts.reshape(x.shape[:-2])[()]


def _order(odd):
    """Indices (trials, n, 1), the oddest row first."""
    return np.argsort(-odd, axis=-1, kind="stable")[..., None]


def _oddness(x):
    """(trials, n) of rows (trials, n, d): distance from the middle, and closeness to another."""
    yield np.linalg.norm(x - np.median(x, axis=-2, keepdims=True), axis=-1)
    apart = np.stack([np.linalg.norm(x - x[:, [i]], axis=-1) for i in range(x.shape[1])], axis=1)
    yield -np.where(np.eye(x.shape[1], dtype=bool), np.inf, apart).min(axis=-1)


def _ratio(top, bottom, empty=0.0):
    """top / bottom of two lengths; infinite where only the bottom is 0, `empty` where both are.

    Of updates as `_finite` returns them: a length below 1e-13 is rounding, and counts as 0.
    """
    top, bottom = (np.where(length < 1e-13, 0.0, length) for length in (top, bottom))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((top == 0) & (bottom == 0), empty, top / bottom)[()]


def _finite(updates, caller, least=1):
    """Updates in float64, brought to numbers below 1 in size, and the exponent (..., 1, 1)."""
    x = as_updates(updates, caller).astype(np.float64)
    if x.shape[-2] < least:
        raise ValueError(f"{caller} needs n >= {least} clients; got n = {x.shape[-2]}")
    if not np.isfinite(x).all():
        raise ValueError(f"{caller} needs finite updates; a row with NaN or infinity is found out")
    return to_unit_scale(x, axis=(-2, -1))


def roc(attacked, clean):
    """The receiver operating characteristic: false alarms and hits at every threshold.

    attacked, clean : (k,), (m,) array_like, scores of rounds with and without liars; an alarm is a
    score >= the threshold. Returns (false_alarms, hits, thresholds), each (j,): from (0, 0) at
    threshold infinity to (1, 1), one point for each distinct score.
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


def auc(attacked, clean):
    """How often an attacked round scores above a clean one, ties counted half, with an interval.

    0.5 is a coin, 1 a perfect detector, and 0 a perfect one that is read the wrong way round. The
    interval is Newcombe's method 5: all areas A with |A - area| <= z sqrt(V(A)), V the variance of
    Hanley and McNeil, V(A) = A(1-A) [1 + N ((1-A)/(2-A) + A/(1+A))] / (k m), N = (k + m)/2 - 1.
    Unlike |area| -+ z se it does not shrink to a point where the area is 0 or 1. z is for 95 %.

    attacked : (..., k), clean : (..., m) array_like, scores; no NaN, infinity allowed. Leading axes
    broadcast. Returns an `AUC` of (...,) arrays, or floats.

    Source: Hanley and McNeil, Radiology 1982; Newcombe, Statistics in Medicine 2006, 25: 559-573.
    """
    attacked, clean = _scores(attacked, "auc"), _scores(clean, "auc")
    from scipy.stats import mannwhitneyu  # half a second to import

    z = ndtri(0.975)
    k, m = attacked.shape[-1], clean.shape[-1]
    # Mann and Whitney's U counts the pairs with attacked > clean, and half of the ties.
    U = mannwhitneyu(attacked, clean, axis=-1, method="asymptotic").statistic
    area = U / (k * m)

    def edge(outside):
        """The last A from the area toward the outside that the area does not contradict."""
        inside = area
        for _ in range(60):
            middle = (inside + outside) / 2
            tail = (1 - middle) / (2 - middle) + middle / (1 + middle)
            spread = middle * (1 - middle) * (1 + ((k + m) / 2 - 1) * tail) / (k * m)
            fits = np.abs(middle - area) <= z * np.sqrt(spread)
            inside, outside = np.where(fits, middle, inside), np.where(fits, outside, middle)
        return inside[()]

    return AUC(area[()], edge(np.zeros_like(area)), edge(np.ones_like(area)))


def cusum(scores, drift):
    """Page's cumulated sum over rounds: S_t = max(0, S_(t-1) + score_t - drift), S_0 = 0.

    scores : (..., T) array_like, no NaN; drift : float, what a round takes back, between the mean
    score of clean and of attacked rounds. Returns (..., T), >= 0.

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


def _scores(values, caller):
    x = as_reals(values, caller)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"{caller} needs at least one score in a row; got shape {x.shape}")
    if np.isnan(x).any():
        raise ValueError(f"{caller} needs scores that are numbers; got NaN")
    return x
