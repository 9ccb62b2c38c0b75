"""What may be done to the updates before a rule: mixing, bucketing, clipping.

Each takes (..., n, d) and returns (..., n', d), float32 of float32, else float64. A row with NaN or
infinity comes out as NaN, so that the rule that follows drops it and counts it against its f.
`return_weights=True` also returns (..., n', n): how much of each client went into each row.
"""

import numpy as np
from array_api_compat import array_namespace

from byzlib.aggregators._contract import apply_rule, rule
from byzlib.aggregators._distances import (
    TINY,
    lexicographic_rank,
    lost_squares,
    squared_distances,
    squared_lengths,
    squares_in_reach,
    weighted_means,
)
from byzlib.theory import (
    LEGAL,
    as_count,
    as_generator,
    as_updates,
    in_one,
    is_tensor,
    like,
    to_numpy,
)

BEYOND = 2.0**100  # unit of norms that are too large for a float


@rule(1, 1)
def nearest_neighbor_mixing(x, f):
    """Each update becomes the mean of the n - f updates nearest to it, itself included.

    y_i = 1 / (n - f) * sum of the n - f rows x_j with the smallest |x_i - x_j|. Of equal distances
    the first in lexicographic order. Of two that agree to rounding (three digits at least, mostly
    six, of float32 rows) rounding may choose.

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
    n = x.shape[1]
    # A client is its own nearest neighbour, also among others at distance zero.
    distances = squared_distances(x)
    table = distances.table
    apart = table - np.eye(n)
    for t in np.flatnonzero(lost_squares(table)):
        squares, _ = squares_in_reach(
            distances.rows[t], lambda far: np.sort(far, axis=1)[:, n - f - 1]
        )
        apart[t] = squares - np.eye(n)
    near = apart <= np.sort(apart, axis=-1)[..., n - f - 1 : n - f]
    if np.count_nonzero(near) > (n - f) * near[..., 0].size:
        rank = np.broadcast_to(lexicographic_rank(x)[:, None, :], apart.shape)
        near[:] = False
        np.put_along_axis(near, np.lexsort((rank, apart), axis=-1)[..., : n - f], True, axis=-1)
    # Weighted by a power of two first: sums of whole numbers are then exact in any order, and
    # equal means stay equal, so that the rule that follows sees the same ties.
    share = 2.0 ** -(n - f - 1).bit_length()
    rest = 1 / (share * (n - f))
    return weighted_means(near * share, x, table, rest), lambda: near / (n - f)


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
    s, rng = as_part(s, "s", updates, "bucketing"), as_generator(rng, "bucketing")

    def buckets(n):
        return -(-n // s)

    @rule(0, 1, rows=buckets)
    def bucketing(x):
        matrix = random_groups(x, np.arange(x.shape[1]) // s, rng)
        return like(matrix, x) @ x, matrix

    return bucketing(updates, return_weights=return_weights)


def as_part(value, name, updates, caller):
    """`value` as a count of some of the n clients, 1 .. n."""
    x = as_updates(in_one(updates), caller, tensors=True)
    count, n = as_count(value, name, caller), x.shape[-2]
    if not 1 <= count <= n:
        raise ValueError(f"{caller} needs 1 <= {name} <= n; got {name} = {count}, n = {n}")
    return count


def random_groups(x, member, rng):
    """Averaging matrix (trials, groups, n) of a random division into groups `member` (n,).

    Clients are shuffled as vectors, not as places in the list.
    """
    shuffled = rng.permuted(np.broadcast_to(member, x.shape[:2]), axis=-1)
    group = np.take_along_axis(shuffled, lexicographic_rank(x), axis=-1)
    matrix = (group[:, None, :] == np.arange(member.max() + 1)[:, None]).astype(float)
    return matrix / matrix.sum(axis=-1, keepdims=True)


@rule(*LEGAL["trimmed mean"])
def adaptive_clipping(x, f):
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
    n = x.shape[1]
    k = 2 * f * (n - f) // n
    length, _ = lengths(x)
    factor = clipping_factor(length, np.sort(length, axis=-1)[:, n - k - 1 : n - k])
    return x * like(factor[..., None], x), lambda: factor[..., None] * np.eye(n)


def clipping_factor(length, radius):
    """min(1, radius / length), 1 for length 0."""
    return np.where(length > radius, radius / length, 1.0)


def lengths(x, unit=1.0):
    """Euclidean norms of the rows in float64, right for every finite row.

    Returns
    -------
    length : (trials, n) array
    unit : float, in which they are counted; 1 unless a norm is too large for a float
    """
    square = squared_lengths(x)
    least = TINY[x.dtype] if isinstance(x, np.ndarray) else TINY[np.dtype(np.float32)]
    length, lost = np.sqrt(square), ~((square > least) & (square < np.inf))
    if not lost.any():
        return length, unit
    for t, i in np.argwhere(lost):
        row = to_numpy(x[int(t), int(i), :]).astype(np.float64)
        size = float(np.abs(row).max())
        if size > 0:
            length[t, i] = size * np.linalg.norm(row / size)
    return lengths(x / BEYOND, BEYOND) if np.isinf(length).any() else (length, unit)


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
        given, matrices = in_one(updates), []
        if is_tensor(given):  # 16 bits are for the answer, not for what lies between
            updates = as_updates(given, composed.__name__, tensors=True)
        for step in steps:
            updates, matrix = apply_rule(step, updates, f, return_weights)
            matrices.append(matrix)
        updates = like(updates, given) if is_tensor(given) else updates
        if not return_weights:
            return updates
        weights = matrices.pop()
        for matrix in reversed(matrices):
            weights = (weights[..., None, :] @ matrix)[..., 0, :]
        weights = weights / array_namespace(weights).sum(weights, axis=-1, keepdims=True)
        return updates, like(weights, given) if is_tensor(given) else weights

    composed.__name__ = " then ".join(getattr(step, "func", step).__name__ for step in steps)
    return composed
