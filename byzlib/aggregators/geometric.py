"""Rules that look for a centre: the geometric median, of rows or of group means, and clipping.

They belong to `byzlib.aggregators`, under whose name they are used.
"""

import numpy as np

from byzlib.aggregators._contract import BrokenRows, rule
from byzlib.aggregators._distances import (
    Distances,
    products_around_a_row,
    squared_distances,
)
from byzlib.aggregators._weiszfeld import (
    drawn_near,
    lengths_between,
    median_weights,
)
from byzlib.aggregators.preaggregation import (
    clipping_factor,
    lengths,
    random_groups,
    weighted_mean,
    weighted_sum,
)
from byzlib.theory import as_count, as_generator, as_number


@rule("n >= 1", lambda n, f: n >= 1, watches=True)
def geometric_median(updates, tol=1e-10, max_iter=1000):
    """Geometric median: the point with the smallest sum of distances to the updates.

    F(x) = argmin_z sum_i |z - x_i|. With an even number of rows on one line, where all points
    between the middle two are equally good, the midpoint.

    Parameters
    ----------
    updates : (..., n, d) array_like
    tol : float
        Relative to the length of the rows around the median row, > 0.
    max_iter : int
        Steps of n^2 operations each, >= 1; a RuntimeWarning with numbers tells if they ran out.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n), proportional to 1 / |F(x) - x_i|.

    Source: Weiszfeld, 1937; Vardi and Zhang, PNAS 2000, for medians at a row; as a rule, Chen, Su
    and Xu, POMACS 2017.
    """
    tol = as_number(tol, "tol", "geometric_median")
    if as_count(max_iter, "max_iter", "geometric_median") < 1:
        raise ValueError(f"geometric_median needs max_iter >= 1; got {max_iter}")
    distances = squared_distances(updates)
    weights = _majority(distances.table)
    left = np.flatnonzero(~weights.any(axis=-1))
    if len(left):
        part = distances
        if len(left) < len(weights):
            part = Distances(*(field[left] for field in distances))
        products, shrunk = drawn_near(*products_around_a_row(part))
        length = lengths_between(products, part.table, shrunk < 1)
        weights[left] = median_weights(products, length, tol, max_iter) * shrunk
        weights /= weights.sum(axis=-1, keepdims=True)
    return weighted_mean(weights, updates, distances), weights


def _majority(table):
    """Equal weights on rows that are the same, if they are more than half of all; else zeros.

    No pull of the others can move the median from there, however far away they are.
    """
    same = table == 0
    count = same.sum(axis=-1)
    if 2 * count.max() <= table.shape[-1]:
        return np.zeros(count.shape)
    most = np.take_along_axis(same, count.argmax(axis=-1)[:, None, None], axis=1)[:, 0]
    return np.where(2 * count.max(axis=-1, keepdims=True) > table.shape[-1], most, 0) / (
        count.max(axis=-1, keepdims=True)
    )


def geometric_median_of_means(updates, n_groups, rng, *, return_weights=False):
    """Geometric median of the means of random groups of clients.

    Parameters
    ----------
    updates : (..., n, d) array_like
    n_groups : int
        1 <= n_groups <= n; 1 is the mean, n the geometric median. f liars spoil at most f groups,
        so the guarantee needs more than 2f of them.
    rng : numpy.random.Generator or int
        Draws who goes with whom; the draw does not depend on the order of the clients.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n).

    Source: Chen, Su and Xu, POMACS 2017, Algorithm 2.
    """
    groups = as_count(n_groups, "n_groups", "geometric_median_of_means")
    rng = as_generator(rng, "geometric_median_of_means")

    @rule(f"1 <= n_groups <= n, n_groups = {groups}", lambda n, f: 1 <= groups <= n, split=False)
    def geometric_median_of_means(updates):
        matrix = random_groups(updates, min(groups, updates.shape[1]), rng)
        result, weights = geometric_median(matrix @ updates, return_weights=True)
        return result, (weights[:, None, :] @ matrix)[:, 0, :]

    return geometric_median_of_means(updates, return_weights=return_weights)


@rule("n >= 1", lambda n, f: n >= 1, watches=True)
def centered_clipping(updates, radius, center=None, n_iter=1):
    """Centered clipping: from a centre, follow each update for at most `radius`, on average.

    v <- v + 1/n sum_i (x_i - v) min(1, radius / |x_i - v|), n_iter times.

    Parameters
    ----------
    updates : (..., n, d) array_like
    radius : float
        In units of the updates, > 0; infinity gives the mean. One client moves v by at most
        2 radius / n.
    center : (d,) array_like, optional
        Where v starts: the last answer in a training, zero by default.
    n_iter : int
        >= 1.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n), proportional to the last clipping factors.

    Source: Karimireddy, He and Jaggi, ICML 2021, Algorithm 2.
    """
    radius = as_number(radius, "radius", "centered_clipping")
    if as_count(n_iter, "n_iter", "centered_clipping") < 1:
        raise ValueError(f"centered_clipping needs n_iter >= 1; got {n_iter}")
    trials, _, d = updates.shape
    v = _center(center, trials, d)
    for _ in range(n_iter):
        moved = updates if not v.any() else updates - v[:, None, :]
        length, unit = lengths(moved)
        if not np.isfinite(length).all():
            raise BrokenRows
        factor = clipping_factor(length, radius / unit)
        v = v + weighted_sum(factor / updates.shape[1], moved)
    return v, factor / factor.sum(axis=-1, keepdims=True)


def _center(center, trials, d):
    if center is None:
        return np.zeros((trials, d))
    needed = f"centered_clipping needs a finite center of shape ({d},)"
    try:
        center = np.asarray(center)
    except ValueError:
        raise ValueError(f"{needed}; got rows of different lengths") from None
    if center.dtype.kind not in "fiu":
        raise TypeError(f"{needed}; got dtype {center.dtype}")
    if center.shape != (d,):
        raise ValueError(f"{needed}; got shape {center.shape}")
    if not np.isfinite(center).all():
        raise ValueError(f"{needed}; got NaN or infinity")
    return np.broadcast_to(center.astype(np.float64), (trials, d))
