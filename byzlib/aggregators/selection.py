"""Rules that choose among the clients by their distances: Krum, Multi-Krum, Bulyan and MDA."""

import math
from functools import partial

import numpy as np
from array_api_compat import array_namespace

from byzlib.aggregators._contract import in_shape, rule
from byzlib.aggregators._distances import (
    lexicographic_rank,
    lost_squares,
    lowest,
    nearest_sums,
    picked,
    squared_distances,
    squares_in_reach,
    weighted_means,
)
from byzlib.aggregators._order import mean_of, near_median, share_of
from byzlib.aggregators._subsets import closest_subset, least_diameter
from byzlib.theory import LEGAL, as_count, as_updates, in_one, is_tensor


@rule(*LEGAL["Krum"])
def krum(x, f):
    """Krum: the one update whose n - f - 2 nearest others are nearest.

    F(x) = x_i with i = argmin_i S_i, where S_i sums |x_i - x_j|^2 over the n - f - 2 others
    nearest to x_i. Of equal scores the first in lexicographic order.

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
    chosen = lowest(squared_distances(x), x.shape[1] - f - 2, m=1)
    return picked(x, chosen), chosen.astype(float)


def krum_scores(updates, f):
    """The score S_i of every client: the smaller, the more Krum trusts it.

    Parameters, errors and source as in `krum`.

    Returns
    -------
    (..., n) float64 array in squared units of the updates; infinity for a row with NaN or infinity.
    """
    updates = in_one(updates)
    _, scores = _scored(updates, f, return_weights=True)
    x = updates if is_tensor(updates) else as_updates(updates, "krum_scores")
    xp = array_namespace(x)
    return xp.where(xp.all(xp.isfinite(x), axis=-1), scores, xp.inf)


@rule(*LEGAL["Krum"], name="krum_scores")
def _scored(x, f):
    """Any answer, with the scores in the place of weights."""
    return x[:, 0, :], nearest_sums(squared_distances(x).table, x.shape[1] - f - 2)


@rule(*LEGAL["multi-Krum"])
def multi_krum(x, f, m=None):
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
    n = x.shape[1]
    m = n - f if m is None else as_count(m, "m", "multi_krum")
    if not 1 <= m <= n - f:
        raise ValueError(f"multi_krum needs 1 <= m <= n - f; got m = {m}, n = {n}, f = {f}")
    distances = squared_distances(x)
    weights = lowest(distances, n - f - 2, m) / m
    return weighted_means(weights[:, None], x, distances.table)[:, 0, :], weights


@rule(*LEGAL["Bulyan"])
def bulyan(x, f):
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
    trials, n, _ = x.shape
    distances, left = squared_distances(x), np.ones((trials, n), dtype=bool)
    for count in range(n, 2 * f, -1):
        neighbours = min(max(1, count - f - 2), count - 1)
        left &= ~lowest(distances, neighbours, 1, left)
    rows = in_shape(picked(x, ~left), (trials, n - 2 * f, x.shape[2]))
    keep = partial(near_median, count=n - 4 * f)

    def weights():
        share = np.zeros((trials, n))
        share[~left] = share_of(keep, rows).ravel()
        return share

    return mean_of(keep, rows), weights


@rule(*LEGAL["minimum diameter average"])
def minimum_diameter_average(x, f):
    """MDA: the mean of the n - f updates that lie closest together.

    F(x) = mean of S, |S| = n - f, with the smallest max_{i, j in S} |x_i - x_j|; among equal ones
    the smallest sum of squared distances, then the first in lexicographic order. Of two that agree
    to rounding (three digits at least, mostly six, of float32 rows) rounding may choose.

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
    trials, n, _ = x.shape
    distances, rank, weights = squared_distances(x), lexicographic_rank(x), np.zeros((trials, n))
    lost = lost_squares(distances.table)
    for t, table in enumerate(distances.table):
        if lost[t]:
            table, _ = squares_in_reach(distances.rows[t], lambda apart: least_diameter(apart, f))
        members = closest_subset(table, f, rank[t])
        if members is None:
            raise ValueError(
                "minimum_diameter_average gave up its search; "
                f"n = {n}, f = {f} has {math.comb(n, f):.1e} subsets"
            )
        weights[t, members] = 1 / (n - f)
    return weighted_means(weights[:, None], x, distances.table)[:, 0, :], weights
