"""What may be done to the updates before a rule: mixing, bucketing, clipping.

Each takes (..., n, d) and returns (..., n', d) in the same floating type. A row with NaN or
infinity comes out as NaN, so that the rule that follows drops it and counts it against its f.
`return_weights=True` also returns (..., n', n): how much of each client went into each row.
"""

import numpy as np

from byzlib.aggregators._contract import apply_rule, preaggregation
from byzlib.aggregators._distances import (
    PIECE,
    SAFE,
    dictionary_order,
    squared_distances,
)
from byzlib.aggregators._threads import each, lanes
from byzlib.theory import as_count, as_generator, as_number

BEYOND = 2.0**100  # unit of norms that are too large for a float


@preaggregation("n > f", lambda n, f: n > f, watches=True)
def nearest_neighbor_mixing(updates, f):
    """Each update becomes the mean of the n - f updates nearest to it, itself included.

    y_i = 1 / (n - f) * sum of the n - f rows x_j with the smallest |x_i - x_j|. Equal distances go
    to the vector that comes first in the dictionary. Distances of float32 rows come from rounded
    products: of two that agree in three digits at least, mostly six, rounding may choose.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie, f < n; the guarantee of the rule that follows needs n > 2f.

    Returns
    -------
    (..., n, d) array.

    Source: Allouah et al., AISTATS 2023, Algorithm 1.
    """
    n = updates.shape[-2]
    distances = squared_distances(updates)
    place = dictionary_order(distances.updates)[:, None, :]
    # A client is its own nearest neighbour, also among others at distance zero.
    table = np.where(np.eye(n, dtype=bool), -1.0, distances.table)
    nearest = np.lexsort((np.broadcast_to(place, table.shape), table), axis=-1)[..., : n - f]
    # Weighted by a power of two first: sums of whole numbers are then exact in any order, and
    # equal means stay equal, so that the rule that follows sees the same ties.
    count, share = n - f, 2.0 ** -(n - f - 1).bit_length()
    matrix = np.zeros_like(table)
    np.put_along_axis(matrix, nearest, share, axis=-1)
    rows = weighted_means(matrix, updates, distances.table, rest=1 / (share * count))
    return rows, matrix / (share * count)


def _buckets(n, s):
    return -(-n // s)


def bucketing(updates, s, rng, *, return_weights=False):
    """Means of random buckets of s clients each; the last bucket may be smaller.

    Parameters
    ----------
    updates : (..., n, d) array_like
    s : int
        Clients in a bucket, 1 <= s <= n. One liar spoils one bucket, so the rule that follows
        must be legal for ceil(n / s) rows and the same f.
    rng : numpy.random.Generator or int
        Draws who goes with whom, anew in each trial; the draw does not depend on the order of the
        clients.

    Returns
    -------
    (..., ceil(n / s), d) array.

    Source: Karimireddy, He and Jaggi, ICLR 2022, Algorithm 1.
    """
    s = as_count(s, "s", "bucketing")
    rng = as_generator(rng, "bucketing")

    @preaggregation(f"1 <= s <= n, s = {s}", lambda n, f: 1 <= s <= n, lambda n: _buckets(n, s))
    def bucketing(updates):
        matrix = random_groups(updates, _buckets(updates.shape[1], s), rng, size=s)
        return matrix @ updates, matrix

    return bucketing(updates, return_weights=return_weights)


def random_groups(updates, groups, rng, size=None):
    """Averaging matrix (trials, groups, n) of a random division of the clients.

    Groups of `size`, the last one smaller; of nearly equal size by default. Clients are shuffled
    as vectors, not as places in the list.
    """
    trials, n, _ = updates.shape
    member = np.arange(n) // size if size else np.arange(n) * groups // n
    shuffled = rng.permuted(np.broadcast_to(member, (trials, n)), axis=-1)
    group = np.take_along_axis(shuffled, dictionary_order(updates), axis=-1)
    matrix = (group[:, None, :] == np.arange(groups)[:, None]).astype(updates.dtype)
    return matrix / matrix.sum(axis=-1, keepdims=True)


@preaggregation("n >= 1", lambda n, f: n >= 1)
def clip_norms(updates, radius):
    """Shorten every update that is longer than `radius` to that length: static clipping.

    y_i = x_i * min(1, radius / |x_i|).

    Parameters
    ----------
    updates : (..., n, d) array_like
    radius : float
        In units of the updates, > 0.

    Returns
    -------
    (..., n, d) array.
    """
    radius = as_number(radius, "radius", "clip_norms")
    length, unit = lengths(updates)
    return _shortened(updates, length, radius / unit)


@preaggregation("n > 2f", lambda n, f: n > 2 * f)
def adaptive_clipping(updates, f):
    """ARC: shorten the k longest updates to the length of the next, k = floor(2 (f / n) (n - f)).

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie, n > 2f; f = 0 leaves everything as it is.

    Returns
    -------
    (..., n, d) array.

    Source: Allouah et al., 2024, arXiv 2405.14432, Algorithm 2.
    """
    n = updates.shape[-2]
    k = 2 * f * (n - f) // n
    length, _ = lengths(updates)
    next_longest = np.sort(length, axis=-1)[:, n - k - 1 : n - k]
    return _shortened(updates, length, next_longest)


def _shortened(updates, length, radius):
    """Rows cut to length radius; zero rows stay, and nothing overflows on the way."""
    factor = clipping_factor(length, radius)
    eye = np.eye(updates.shape[1])
    return updates * factor[..., None].astype(updates.dtype), lambda: factor[..., None] * eye


def clipping_factor(length, radius):
    """min(1, radius / length), 1 for length 0."""
    longer = length > radius
    return np.where(longer, radius / np.where(longer, length, 1.0), 1.0)


def lengths(updates, unit=1.0):
    """Euclidean norms of the rows in float64, right for every finite row.

    Returns
    -------
    length : (trials, n) array
    unit : float, in which they are counted; 1 unless a norm is too large for a float
    """
    with np.errstate(over="ignore", invalid="ignore"):
        columns = lanes(updates.shape[-1], updates.nbytes, uses=1)
        square = sum(each(lambda part: _squares(updates[..., part]), columns, updates.nbytes))
        length, (low, _) = np.sqrt(square), SAFE[updates.dtype]
        for t, i in zip(*np.nonzero(~((square > low) & (square < np.inf))), strict=True):
            size = float(np.abs(updates[t, i]).max())
            if size > 0:
                length[t, i] = size * np.linalg.norm(updates[t, i].astype(np.float64) / size)
    return lengths(updates / BEYOND, BEYOND) if np.isinf(length).any() else (length, unit)


def _squares(rows):
    """Sum of squares of each row in float64; short pieces are added up in its own precision."""
    *lead, d = rows.shape
    whole = d - d % PIECE
    pieces, rest = rows[..., :whole].reshape(*lead, -1, PIECE), rows[..., whole:]
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.vecdot(pieces, pieces).sum(axis=-1, dtype=np.float64)
        return total + np.vecdot(rest, rest)


def weighted_sum(weights, updates):
    """sum_i w_i x_i for every trial: (trials, n), (trials, n, d) -> (trials, d)."""
    return _combined(weights[:, None, :], updates)[:, 0, :]


def _combined(matrix, updates, rest=1.0):
    """rest * (matrix @ updates), by blocks of columns: (trials, k, n), (trials, n, d)."""
    matrix = matrix.astype(updates.dtype, copy=False)
    result = np.empty((*matrix.shape[:-1], updates.shape[-1]), updates.dtype)

    def work(columns):
        with np.errstate(over="ignore"):
            part = np.matmul(matrix, updates[..., columns], out=result[..., columns])
            if rest != 1:
                part *= rest

    columns = lanes(updates.shape[-1], updates.nbytes, uses=matrix.shape[1])
    each(work, columns, updates.nbytes)
    return result


def weighted_means(matrix, updates, table, rest=1.0):
    """sum_j w_ij x_j for weights that sum to 1: (trials, k, n), (trials, n, d) -> (trials, k, d).

    The weights are the matrix times `rest`, by which the sums are multiplied afterwards. Rounding
    would move the mean of equal rows by a last digit; by their squared distances `table` they are
    known, and average to themselves.
    """
    result = _combined(matrix, updates, rest)
    trials, n, _ = table.shape
    if np.count_nonzero(table) < trials * n * (n - 1):  # some rows are equal
        some = matrix.argmax(axis=-1)
        apart = (matrix > 0) & (np.take_along_axis(table, some[..., None], axis=1) > 0)
        t, i = np.nonzero(~apart.any(axis=-1))
        result[t, i] = updates[t, some[t, i]]
    return result


def weighted_mean(weights, updates, distances):
    """`weighted_means` with one row of weights a trial: (trials, n) -> (trials, d)."""
    return weighted_means(weights[:, None, :], updates, distances.table)[:, 0, :]


def compose(*steps):
    """One rule out of pre-aggregations and a rule, applied from left to right.

    Parameters
    ----------
    *steps : callables of (updates) or (updates, f)
        Pre-aggregations, then a rule. Fix further parameters with `functools.partial`.

    Returns
    -------
    A rule (updates, f, *, return_weights=False); its weights say how much each client counted.

    Example: ``compose(nearest_neighbor_mixing, trimmed_mean)(updates, f)``.
    """
    if not steps or not all(callable(step) for step in steps):
        raise TypeError(f"compose needs functions, a rule last; got {steps!r}")

    def composed(updates, f, *, return_weights=False):
        matrices = []
        for step in steps:
            updates, matrix = apply_rule(step, updates, f, return_weights)
            matrices.append(matrix)
        if not return_weights:
            return updates
        weights = matrices.pop()
        for matrix in reversed(matrices):
            weights = (weights[..., None, :] @ matrix)[..., 0, :]
        return updates, weights / weights.sum(axis=-1, keepdims=True)

    composed.__name__ = " then ".join(getattr(step, "func", step).__name__ for step in steps)
    return composed
