"""The rules: what a server may do with n updates of which f may be lies.

Every rule takes updates of shape (..., n, d), leading axes being independent trials, and returns
(..., d) in the same floating type. `return_weights=True` also returns (..., n): how much each
client counted. An illegal f, m, n or shape raises ValueError with one sentence, a wrong type
TypeError. Rows with NaN or infinity can only be faulty: the defended rules drop k of them and go on
with n - k clients, max(f - k, 0) of them Byzantine. Inputs are never modified.
"""

import math

import numpy as np

from byzlib.aggregators._contract import rule
from byzlib.aggregators._distances import (
    dictionary_order,
    nearest_sum,
    share_of_lowest,
    squared_distances,
)
from byzlib.aggregators._order import (
    mean_near_median,
    mean_of_ranks,
    share_near_median,
    share_of_ranks,
)
from byzlib.aggregators._subsets import least_diameter
from byzlib.aggregators.geometric import (
    centered_clipping,
    geometric_median,
    geometric_median_of_means,
)
from byzlib.aggregators.preaggregation import (
    adaptive_clipping,
    bucketing,
    clip_norms,
    compose,
    nearest_neighbor_mixing,
    weighted_mean,
)
from byzlib.theory import as_count, as_updates

__all__ = [
    "RULES",
    "adaptive_clipping",
    "bucketing",
    "bulyan",
    "centered_clipping",
    "clip_norms",
    "compose",
    "geometric_median",
    "geometric_median_of_means",
    "krum",
    "krum_scores",
    "mean",
    "mean_around_median",
    "median",
    "minimum_diameter_average",
    "multi_krum",
    "nearest_neighbor_mixing",
    "trimmed_mean",
]


def mean(updates, weights=None, *, return_weights=False):
    """Average of the updates: FedSGD with equal weights, FedAvg with sample counts as weights.

    F(x) = sum_i w_i x_i / sum_i w_i.

    It does not defend: one client moves it anywhere, and NaN in is NaN out.

    Parameters
    ----------
    updates : (..., n, d) array_like
    weights : (..., n) array_like, optional
        Finite, >= 0, with a positive sum; all equal by default.

    Returns
    -------
    (..., d) array; with `return_weights` also the normalised weights (..., n).

    Source: McMahan et al., AISTATS 2017.
    """
    updates = as_updates(updates, "mean")
    if weights is None:
        share = np.full(updates.shape[:-1], 1.0 / updates.shape[-2])
        with np.errstate(invalid="ignore", over="ignore"):
            result = updates.mean(axis=-2, dtype=np.float64)
    else:
        share = _normalised(weights, updates.shape[:-1])
        with np.errstate(invalid="ignore", over="ignore"):
            result = (share[..., None, :] @ updates)[..., 0, :]
    result = result.astype(updates.dtype, copy=False)
    return (result, share) if return_weights else result


@rule("n >= 2f + 3", lambda n, f: n >= 2 * f + 3, watches=True)
def krum(updates, f):
    """Krum: the one update whose n - f - 2 nearest others are nearest.

    F(x) = x_i with i = argmin_i S_i, where S_i sums |x_i - x_j|^2 over the n - f - 2 others
    nearest to x_i. Equal scores go to the vector that comes first in the dictionary.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie; n >= 2f + 3.

    Returns
    -------
    (..., d) array, one of the rows; with `return_weights` also a one-hot (..., n).

    Source: Blanchard et al., NeurIPS 2017, section 4 and Proposition 4.2.
    """
    trials, n, _ = updates.shape
    weights = share_of_lowest(squared_distances(updates), n - f - 2, m=1)
    return updates[np.arange(trials), weights.argmax(axis=-1)], weights


def krum_scores(updates, f):
    """The score S_i of every client: the smaller, the more Krum trusts it.

    Parameters, errors and source as in `krum`.

    Returns
    -------
    (..., n) float64 array in squared units of the updates; infinity for a row with NaN or infinity.
    """
    _, scores = _scored(updates, f, return_weights=True)
    return np.where(np.isfinite(as_updates(updates, "krum_scores")).all(axis=-1), scores, np.inf)


@rule("n >= 2f + 3", lambda n, f: n >= 2 * f + 3, watches=True)
def multi_krum(updates, f, m=None):
    """Multi-Krum: the mean of the m updates with the best Krum scores, scored once.

    F(x) = (1/m) sum of the m rows with the smallest S_i; m = 1 is Krum.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie; n >= 2f + 3.
    m : int, optional
        How many rows to average, 1 <= m <= n - f; all n - f by default. A larger m would average
        at least one lie.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n), 1/m on the rows that were averaged.

    Source: Blanchard et al., NeurIPS 2017, section 4.
    """
    n = updates.shape[-2]
    m = n - f if m is None else as_count(m, "m", "multi_krum")
    if not 1 <= m <= n - f:
        raise ValueError(f"multi_krum needs 1 <= m <= n - f; got m = {m}, n = {n}, f = {f}")
    distances = squared_distances(updates)
    weights = share_of_lowest(distances, n - f - 2, m)
    return weighted_mean(weights, updates, distances), weights


@rule("n > 2f", lambda n, f: n > 2 * f, watches=True)
def trimmed_mean(updates, f):
    """Coordinate-wise trimmed mean: drop the f smallest and f largest values, average the rest.

    F(x)_j = 1 / (n - 2f) * sum of the order statistics x_(f+1),j .. x_(n-f),j.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many values to drop at each end; n > 2f.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client was kept, scaled to sum to 1.

    Source: Yin et al., ICML 2018, Definition 2 (where the trimmed share is beta = f / n).
    """
    n = updates.shape[-2]
    return mean_of_ranks(updates, f, n - f), lambda: share_of_ranks(updates, f, n - f)


@rule("n >= 1", lambda n, f: n >= 1, watches=True)
def median(updates):
    """Coordinate-wise median; an even n averages the middle two.

    F(x)_j = x_((n+1)/2),j for odd n, the mean of x_(n/2),j and x_(n/2+1),j for even n.

    Parameters
    ----------
    updates : (..., n, d) array_like

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client stood in the middle.

    Source: Yin et al., ICML 2018, Definition 1.
    """
    n = updates.shape[-2]
    low, high = (n - 1) // 2, n // 2 + 1
    return mean_of_ranks(updates, low, high), lambda: share_of_ranks(updates, low, high)


@rule("n >= 4f + 3", lambda n, f: n >= 4 * f + 3, watches=True)
def bulyan(updates, f):
    """Bulyan: choose n - 2f updates by repeated Krum, then average near their median.

    In each round Krum runs on the clients that are left, with max(1, left - f - 2) neighbours, and
    its choice moves to S. Then F(x)_j is the mean of the n - 4f values of S nearest to their
    median. f = 0 is the mean.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie; n >= 4f + 3.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client was averaged.

    Source: El Mhamdi, Guerraoui and Rouault, ICML 2018, section 4.
    """
    trials, n, _ = updates.shape
    distances = squared_distances(updates)
    alive = np.ones((trials, n), dtype=bool)
    for left in range(n, 2 * f, -1):
        winner = share_of_lowest(distances, max(1, left - f - 2), 1, alive)
        alive &= winner == 0
    # n - 2f winners per trial; dead ones are those chosen.
    chosen = np.nonzero(~alive)[1].reshape(trials, n - 2 * f)

    def weights():
        selected = np.take_along_axis(updates, chosen[..., None], axis=1)
        share = np.zeros((trials, n))
        np.put_along_axis(share, chosen, share_near_median(selected, n - 4 * f), axis=1)
        return share

    return mean_near_median(updates, n - 4 * f, chosen), weights


@rule("n > 2f", lambda n, f: n > 2 * f, watches=True)
def mean_around_median(updates, f):
    """MeaMed: in each coordinate the mean of the n - f values nearest the median.

    Equally near values: the smaller first.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie; n > 2f.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client was averaged.

    Source: Xie, Koyejo and Gupta, 2018, arXiv 1802.10116, Definition 3.
    """
    count = updates.shape[-2] - f
    return mean_near_median(updates, count), lambda: share_near_median(updates, count)


@rule("n > 2f", lambda n, f: n > 2 * f, watches=True)
def minimum_diameter_average(updates, f):
    """MDA: the mean of the n - f updates that lie closest together.

    F(x) = mean of S, |S| = n - f, with the smallest max_{i, j in S} |x_i - x_j|; among equal ones
    the smallest sum of squared distances, then the first in the dictionary. Distances of float32
    rows come from rounded products: of two that agree in three digits at least, mostly six,
    rounding may choose.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie; n > 2f. Finding S is NP-hard: a search that does not finish
        raises ValueError, which says how many subsets there are.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n), 1/(n - f) on S.

    Source: El Mhamdi et al., PODC 2020; Rousseeuw, 1985, for the idea.
    """
    trials, n, _ = updates.shape
    distances = squared_distances(updates)
    order = dictionary_order(distances.updates)
    weights = np.zeros((trials, n))
    for t in range(trials):
        members = least_diameter(distances.table[t], f, order[t])
        if members is None:
            raise ValueError(
                "minimum_diameter_average gave up its search; "
                f"n = {n}, f = {f} has {math.comb(n, f):.1e} subsets"
            )
        weights[t, members] = 1.0 / (n - f)
    return weighted_mean(weights, updates, distances), weights


RULES = {
    "mean": mean,
    "Krum": krum,
    "multi-Krum": multi_krum,
    "trimmed mean": trimmed_mean,
    "median": median,
    "geometric median": geometric_median,
    "Bulyan": bulyan,
    "mean around median": mean_around_median,
    "minimum diameter average": minimum_diameter_average,
}


@rule("n >= 2f + 3", lambda n, f: n >= 2 * f + 3, name="krum_scores", watches=True)
def _scored(updates, f):
    """Any result, with the scores in the place of weights."""
    distances = squared_distances(updates)
    scores = nearest_sum(distances.table, updates.shape[-2] - f - 2)
    with np.errstate(over="ignore"):
        return updates[:, 0], scores * distances.unit[:, None] ** 2


def _normalised(weights, shape):
    """FedAvg weights as shares of 1 that broadcast to (..., n)."""
    weights = np.asarray(weights)
    if weights.dtype.kind not in "fiu":
        raise TypeError(f"mean needs real weights; got dtype {weights.dtype}")
    if weights.shape not in (shape, shape[-1:]):
        raise ValueError(f"mean needs weights of shape {shape}; got {weights.shape}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("mean needs finite weights >= 0")
    total = weights.sum(axis=-1, keepdims=True)
    if not (total > 0).all():
        raise ValueError("mean needs weights with a positive sum; they are all zero")
    return np.broadcast_to(weights / total, shape)
