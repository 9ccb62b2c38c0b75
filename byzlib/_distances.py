"""Squared distances between clients, exact under any offset, at the speed of one matrix product.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y turns all pairs into one product, and loses digits where x and y
are long and close. So each entry of the table carries a bound on its own rounding; where the bound
is too large for the entry, the rows are moved next to the origin and multiplied again, and what
then is still in doubt is subtracted and squared. A choice between clients whose scores lie closer
than the bound is settled by subtraction too: the rules choose what exact arithmetic chooses.
"""

from typing import NamedTuple

import numpy as np

PIECE = 512  # columns whose float32 products are summed in float32; the sums go on in float64
BLOCK = 4096  # columns that the slow paths hold at a time
ENOUGH = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-8}  # relative error of an entry
SAFE = {np.dtype(np.float32): (1e-20, 1e20), np.dtype(np.float64): (1e-180, 1e180)}
OVERFLOW = np.sqrt(np.finfo(np.float64).max)
NEARBY = 1e4  # a row this much longer than its distance to others is moved to the origin first
REACH = 1e100  # a row this much longer than most pulls as from infinity


class Distances(NamedTuple):
    """Squared distances of each trial, in units of `unit` squared.

    table : (trials, n, n) float64, symmetric, zero on the diagonal, infinite beyond range
    margin : (trials,) bound on the relative error of all entries
    unit : (trials,) power of two, 1 unless the squares of the updates would leave a float's range
    updates : (trials, n, d) the rows in that unit
    gram : (trials, n, n) their inner products
    """

    table: np.ndarray
    margin: np.ndarray
    unit: np.ndarray
    updates: np.ndarray
    gram: np.ndarray


def squared_distances(updates):
    """All pairwise squared distances.

    Parameters
    ----------
    updates : (trials, n, d) float array, finite

    Returns
    -------
    Distances
    """
    unit = np.ones(len(updates))
    gram, table, error = _by_product(updates)
    low, high = SAFE[updates.dtype]
    norms = np.diagonal(gram, axis1=-1, axis2=-2)
    typical = np.median(norms, axis=-1)
    strange = np.flatnonzero(~((typical > low) & (typical < high)) & (norms > 0).any(axis=-1))
    if len(strange):
        unit[strange] = _unit(updates[strange])
        with np.errstate(over="ignore"):
            updates = updates / unit[:, None, None].astype(updates.dtype)
        gram[strange], table[strange], error[strange] = _by_product(updates[strange])
    enough = ENOUGH[updates.dtype]
    for t in np.flatnonzero(_in_doubt(table, error, enough).any(axis=(-1, -2))):
        _mend(updates[t], table[t], error[t], enough)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(table > 0, error / table, 0.0)
    return Distances(table, relative.max(axis=(-1, -2)), unit, updates, gram)


def _unit(updates):
    """Power of two that brings the rows of most clients to a size near 1: (trials,)."""
    size = np.abs(updates).max(axis=-1).astype(np.float64)
    typical = np.median(size, axis=-1)
    smallest = np.where(size > 0, size, np.inf).min(axis=-1)
    return np.exp2(np.floor(np.log2(np.where(typical > 0, typical, smallest))))


def _by_product(updates):
    """Inner products, squared distances and the rounding bound of each, from one product."""
    with np.errstate(over="ignore", invalid="ignore"):
        if updates.dtype == np.float64:
            return _expand(updates @ updates.swapaxes(-1, -2), updates.shape[-1], np.float64)
        # Pieces of columns as a further axis in front, without a copy.
        trials, n, d = updates.shape
        whole = d - d % PIECE
        pieces = updates[..., :whole].reshape(trials, n, -1, PIECE).swapaxes(1, 2)
        gram = (pieces @ pieces.swapaxes(-1, -2)).sum(axis=1, dtype=np.float64)
        if whole < d:
            rest = updates[..., whole:]
            gram += rest @ rest.swapaxes(-1, -2)
        return _expand(gram, min(d, PIECE), np.float32)


def _expand(gram, steps, dtype):
    """|x|^2 + |y|^2 - 2 x.y from a table of products whose sums were rounded `steps` times."""
    norms = np.diagonal(gram, axis1=-1, axis2=-2)
    both = norms[..., :, None] + norms[..., None, :]
    table = both - (gram + gram.swapaxes(-1, -2))
    # Each product of rows is off by at most steps * eps/2 * |x||y|, and 2|x||y| <= |x|^2 + |y|^2.
    error = (steps + 4) * np.finfo(dtype).eps * both
    diagonal = np.arange(gram.shape[-1])
    table[..., diagonal, diagonal] = error[..., diagonal, diagonal] = 0.0
    return gram, table, error


def _in_doubt(table, error, enough):
    """Entries whose bound is too large for them, or not a number at all."""
    with np.errstate(over="ignore", invalid="ignore"):
        return ~(error <= enough * table) & ~((error == 0) & (table == 0)) | ~np.isfinite(error)


def _mend(rows, table, error, enough):
    """Replace the doubtful entries of one trial, in place."""
    size = np.abs(rows).max(axis=1).astype(np.float64)
    large, small = np.maximum.outer(size, size), np.minimum.outer(size, size)
    beyond = (large / 2 > OVERFLOW) & (small <= large / 2)
    table[beyond], error[beyond] = np.inf, 0.0
    for _ in range(4):
        doubt = _in_doubt(table, error, enough)
        near = np.flatnonzero(doubt.any(axis=1))
        if len(near) < 3:
            break
        # A row of median size is not one that liars have put far away.
        centre = near[np.argsort(size[near], kind="stable")[len(near) // 2]]
        near = np.union1d(np.flatnonzero(doubt[centre]), centre)
        _, part, bound = _moved_product(rows, near, centre)
        square = np.ix_(near, near)
        better = ~(error[square] <= bound)
        table[square] = np.where(better, part, table[square])
        error[square] = np.where(better, bound, error[square])
    doubt = _in_doubt(table, error, enough)
    for i in np.flatnonzero(doubt.any(axis=1)):
        others = np.flatnonzero(doubt[i])
        table[i, others] = table[others, i] = by_subtraction(rows, i, others)
        error[i, others] = error[others, i] = doubt[others, i] = 0.0


def _moved_product(rows, near, centre, shrink=None):
    """`_by_product` of some rows of one trial in float64, with the centre row as the origin."""
    gram = np.zeros((len(near), len(near)))
    shrink = np.ones(len(near)) if shrink is None else shrink
    with np.errstate(over="ignore", invalid="ignore"):
        for c in range(0, rows.shape[1], BLOCK):
            block = rows[near, c : c + BLOCK].astype(np.float64, copy=False)
            block = (block - rows[centre, c : c + BLOCK]) * shrink[:, None]
            gram += block @ block.T
        return _expand(gram, BLOCK + rows.shape[1] // BLOCK, np.float64)


def by_subtraction(rows, i, others):
    """|x_i - x_j|^2 for j in others, subtracted first: (n, d) -> (len(others),) float64."""
    total = np.zeros(len(others))
    with np.errstate(over="ignore"):
        for c in range(0, rows.shape[1], BLOCK):
            part = slice(c, c + BLOCK)
            difference = np.subtract(rows[others, part], rows[i, part], dtype=np.float64)
            total += np.einsum("jk,jk->j", difference, difference)
    return total


def products_around_a_row(distances):
    """Inner products (x_i - c).(x_j - c) around a row c of middling length, for each trial.

    Returns
    -------
    products : (trials, n, n) float64 array
    shrunk : (trials, n) array, the factor by which rows beyond all range were drawn near, else 1
    """
    updates, gram = distances.updates, distances.gram
    trials, n, _ = updates.shape
    products, shrunk = np.empty((trials, n, n)), np.ones((trials, n))
    for t in range(trials):
        G, norms = gram[t], np.diagonal(gram[t])
        c = np.argsort(norms, kind="stable")[n // 2]
        if (
            np.isfinite(norms).all()
            and (norms[c] <= NEARBY * np.delete(distances.table[t, c], c)).all()
        ):
            products[t] = G - G[c] - G[:, c : c + 1] + G[c, c]
        else:
            size = np.abs(updates[t]).max(axis=1).astype(np.float64)
            with np.errstate(over="ignore"):
                shrunk[t] = np.minimum(1.0, REACH * np.median(size) / np.maximum(size, 1e-300))
            products[t], _, _ = _moved_product(updates[t], np.arange(n), c, shrunk[t])
    return products, shrunk


def nearest_sum(table, k):
    """Sum of each client's k smallest squared distances to others: (..., n, n) -> (..., n)."""
    n = table.shape[-1]
    others = np.where(np.eye(n, dtype=bool), np.inf, table)
    with np.errstate(over="ignore"):
        return np.sort(others, axis=-1)[..., :k].sum(axis=-1)


def share_of_lowest(distances, k, m, alive=None):
    """Weight 1/m on the m clients with the smallest sums of k nearest distances: (trials, n).

    Sums that the table cannot tell apart are computed again by subtraction; equal ones are told
    apart by value, the vector that comes first in the dictionary first, so that no client gains by
    its place in the list. `alive` (trials, n) leaves clients out, as winners and as neighbours.
    """
    table = distances.table
    if alive is not None:
        table = np.where(alive[:, None, :], table, np.inf)
    scores = nearest_sum(table, k)
    if alive is not None:
        scores[~alive] = np.inf
    cut = np.partition(scores, m - 1, axis=-1)[:, m - 1 : m]
    slack = 3 * distances.margin[:, None] * np.where(np.isfinite(cut), cut, 0.0)
    chosen = scores <= cut + slack
    for t in np.flatnonzero(chosen.sum(axis=-1) > m):
        here = np.arange(len(scores[t])) if alive is None else np.flatnonzero(alive[t])
        rows, near = (
            distances.updates[t],
            here[(chosen[t] & (scores[t] >= cut[t] - slack[t]))[here]],
        )
        order = dictionary_order(rows[None])[0]
        exact = {i: _exact_score(rows, i, here, k) for i in near}
        in_order = sorted(near, key=lambda i: (exact[i], order[i]))
        chosen[t, in_order[m - chosen[t].sum() :]] = False
    return chosen / m


def _exact_score(rows, i, here, k):
    with np.errstate(over="ignore"):
        return np.sort(by_subtraction(rows, i, here[here != i]))[:k].sum()


def dictionary_order(updates):
    """Place of each client when the rows of a trial are sorted like words: (trials, n)."""
    first = updates[..., 0]
    order = np.argsort(first, axis=-1, kind="stable")
    ordered = np.take_along_axis(first, order, axis=-1)
    for t in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=-1)):
        order[t] = np.lexsort(updates[t].T[::-1])
    return np.argsort(order, axis=-1)
