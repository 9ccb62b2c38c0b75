"""Squared distances between clients, exact under any offset, at the speed of one matrix product.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y turns all pairs into one product, and loses digits where x and y
are long and close. So each entry of the table carries a bound on its own rounding; where the bound
is too large for the entry, the rows are moved next to the origin and multiplied again, and what
then is still in doubt is subtracted and squared. A choice between clients whose scores lie closer
than the bound is settled by subtraction too: the rules choose what exact arithmetic chooses.
"""

from typing import NamedTuple

import numpy as np

from byzlib.aggregators._contract import BrokenRows
from byzlib.aggregators._threads import OFTEN, each, lanes, scratch

PIECE = 512  # columns whose float32 products are summed in float32; the sums go on in float64
LONG_PIECE = 1024  # columns of float64 for few rows, and enough of them to free Python's lock
PRODUCTS = 1 << 20  # numbers that the products of several pieces may take
FEW = 32  # rows up to which BLAS is slower with a matrix and itself than with two matrices
BLOCK = 1 << 17  # numbers that the slow paths hold at a time: they stay in a core's cache
SIGMAS = 6  # of a random walk of rounding errors, for float32
ENOUGH = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-8}  # relative error of an entry
SAFE = {np.dtype(np.float32): (1e-20, 1e20), np.dtype(np.float64): (1e-180, 1e180)}
OVERFLOW = np.sqrt(np.finfo(np.float64).max)
NEARBY = 1e4  # a row this much longer than its distance to others is moved to the origin first
REACH = 1e100  # a row this much longer than most pulls as from infinity


class Distances(NamedTuple):
    """Squared distances of each trial, in units of `unit` squared.

    table : (trials, n, n) float64, symmetric, zero on the diagonal, infinite beyond range
    margins : (trials, n) bound on the relative error of the entries of each row
    unit : (trials,) power of two, 1 unless the squares of the updates would leave a float's range
    updates : (trials, n, d) the rows in that unit
    gram : (trials, n, n) their inner products
    subtracted : (trials, n) rows whose entries were subtracted first
    """

    table: np.ndarray
    margins: np.ndarray
    unit: np.ndarray
    updates: np.ndarray
    gram: np.ndarray
    subtracted: np.ndarray


def squared_distances(updates):
    """All pairwise squared distances.

    Parameters
    ----------
    updates : (trials, n, d) float array

    Returns
    -------
    Distances. NaN or infinity raises `BrokenRows`.
    """
    unit, subtracted = np.ones(len(updates)), np.zeros(updates.shape[:2], dtype=bool)
    enough, (low, _) = ENOUGH[updates.dtype], SAFE[updates.dtype]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        gram, bound = _products(updates)
        table, margins = _expand(gram, bound)
        if margins.max() <= enough and _diagonal(gram).min() > low:
            return Distances(table, margins, unit, updates, gram, subtracted)
        if not np.isfinite(updates).all():
            raise BrokenRows
        which = _out_of_range(updates, gram)
        if len(which):
            unit[which] = _unit(updates[which])
            updates = updates / unit[:, None, None].astype(updates.dtype)
            gram, bound = _products(updates)
            table, margins = _expand(gram, bound)
        _settle_equal_rows(updates, table, margins, gram, bound)
        for t in np.flatnonzero(~(margins.max(axis=1) <= enough)):
            error = bound * np.add.outer(_diagonal(gram[t]), _diagonal(gram[t]))
            margins[t] = _mend(updates[t], table[t], error, enough)
    return Distances(table, margins, unit, updates, gram, subtracted)


def _settle_equal_rows(updates, table, margins, gram, bound):
    """Distance zero, in place, for pairs of equal rows: liars who say the same, in every trial."""
    norms = _diagonal(gram)
    error = _with_diagonal(bound * (norms[:, :, None] + norms[:, None, :]), 0.0)
    # Equal rows have products that agree but for rounding, so only doubtful pairs can be equal.
    doubt, d = np.triu(_in_doubt(table, error, ENOUGH[updates.dtype])), updates.shape[2]
    few = np.count_nonzero(doubt, axis=(1, 2)) * d <= BLOCK  # many are quicker by products
    which, i, j = np.nonzero(doubt & few[:, None, None])
    step = max(1, BLOCK // d)
    for k in range(0, len(which), step):
        t, a, b = which[k : k + step], i[k : k + step], j[k : k + step]
        equal = (updates[t, a] == updates[t, b]).all(axis=-1)
        t, a, b = t[equal], a[equal], b[equal]
        for pair in table, error:
            pair[t, a, b] = pair[t, b, a] = 0.0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        settled = np.isfinite(error).all(axis=(1, 2)) & (table >= 0).all(axis=(1, 2))
        margins[settled] = np.where(error > 0, error / table, 0.0)[settled].max(axis=-1)


def _out_of_range(updates, gram):
    """Trials in which most clients' squared lengths leave the range of a float's squares."""
    low, high = SAFE[updates.dtype]
    typical = np.median(_diagonal(gram), axis=-1)
    return np.flatnonzero(~((typical > low) & (typical < high)) & updates.any(axis=(-1, -2)))


def _unit(updates):
    """Power of two that brings the rows of most clients to a size near 1: (trials,)."""
    size = np.abs(updates).max(axis=-1).astype(np.float64)
    typical = np.median(size, axis=-1)
    smallest = np.where(size > 0, size, np.inf).min(axis=-1)
    return np.exp2(np.floor(np.log2(np.where(typical > 0, typical, smallest))))


def _products(updates):
    """X X^T of each trial in float64, and b: |x_i - x_j|^2 from it is off by b (|x_i|^2 + |x_j|^2).

    float64: the d additions of a product round by eps/2 each, and three products meet in a
    distance, so b = d eps. float32: the columns are multiplied in pieces, and within a piece the
    errors walk at random (Higham and Mary, SIAM J. Sci. Comput. 2019), so b = 6 sqrt(PIECE) eps.
    """
    _, n, d = updates.shape
    eps = np.finfo(updates.dtype).eps
    if updates.dtype == np.float64:
        piece, bound = (LONG_PIECE if n <= FEW else d), (d + 4) * eps
    else:
        piece, bound = PIECE, SIGMAS * np.sqrt(min(d, 2 * PIECE)) * eps
    columns = lanes(d, updates.nbytes, uses=n)
    first, *rest = each(lambda part: _product(updates[..., part], piece), columns, updates.nbytes)
    return sum(rest, start=first), bound


def _product(rows, piece):
    """X X^T in float64, the sum of products of so many columns in the rows' own precision."""
    trials, n, d = rows.shape
    if d <= 2 * piece:
        return _with_itself(rows).astype(np.float64, copy=False)
    gram, step = np.zeros((trials, n, n)), piece * max(1, PRODUCTS // (trials * n * n))
    for c in range(0, d, step):
        block = rows[..., c : c + step]
        whole = block.shape[-1] - block.shape[-1] % piece
        # Pieces of columns as a further axis, without a copy.
        pieces = block[..., :whole].reshape(trials, n, -1, piece).swapaxes(1, 2)
        gram += _with_itself(pieces).sum(axis=1, dtype=np.float64)
        if whole < block.shape[-1]:
            gram += _with_itself(block[..., whole:])
    return gram


def _with_itself(rows):
    """X X^T in the rows' own precision; of few rows as products of either half with all.

    Where BLAS is given a matrix and itself it computes one triangle, which saves half of the
    operations and, for few rows, costs two to three times the time. The two products may round
    x_i.x_j and x_j.x_i differently.
    """
    n, turned = rows.shape[-2], rows.swapaxes(-1, -2)
    if n > FEW:
        return rows @ turned
    gram = np.empty((*rows.shape[:-1], n), rows.dtype)
    for part in slice(n // 2), slice(n // 2, n):
        np.matmul(rows[..., part, :], turned, out=gram[..., part, :])
    return gram


def _expand(gram, bound):
    """|x|^2 + |y|^2 - 2 x.y, and a bound on the relative error of each row's entries."""
    norms = _diagonal(gram)
    share = norms[:, :, None] + norms[:, None, :]
    table = gram + gram.swapaxes(-1, -2)
    np.subtract(share, table, out=table)
    # An entry that rounding made negative is all error.
    share /= np.abs(_with_diagonal(table, np.inf))
    _with_diagonal(table, 0.0)
    return table, bound * share.max(axis=-1)


def _diagonal(table):
    return np.diagonal(table, axis1=-1, axis2=-2)


def _with_diagonal(table, value):
    """Fill the diagonals of (trials, n, n), in place."""
    trials, n, _ = table.shape
    table.reshape(trials, n * n)[:, :: n + 1] = value
    return table


def _in_doubt(table, error, enough):
    """Entries whose bound is too large for them, or not a number at all."""
    return ~(error <= enough * table) & ~((error == 0) & (table == 0)) | ~np.isfinite(error)


def _mend(rows, table, error, enough):
    """Replace the doubtful entries of one trial, in place; the margins that are left."""
    np.fill_diagonal(error, 0.0)
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
        part, bound = _moved_distances(rows, near, centre)
        square = np.ix_(near, near)
        better = ~(error[square] <= bound)
        table[square] = np.where(better, part, table[square])
        error[square] = np.where(better, bound, error[square])
    doubt = _in_doubt(table, error, enough)
    left = np.flatnonzero(doubt.any(axis=1))
    table[left] = np.where(doubt[left], by_subtraction(rows, left), table[left])
    error[doubt] = 0.0
    return np.where(table > 0, error / table, 0.0).max(axis=1)


def _moved_distances(rows, near, centre):
    """Table and error among some rows of one trial, with the centre row as the origin."""
    gram, step = _moved_products(rows[near], rows[centre]), _columns(len(near))
    step = min(step, rows.shape[1])
    bound = (step + rows.shape[1] / step + 4) * np.finfo(np.float64).eps
    table, _ = _expand(gram[None], bound)
    return table[0], bound * np.add.outer(_diagonal(gram), _diagonal(gram))


def _moved_products(rows, centre, factor=None):
    """(X - c)(X - c)^T in float64, a block of columns at a time; rows times `factor` if given."""
    gram, step = np.zeros((len(rows), len(rows))), _columns(len(rows))
    for c in range(0, rows.shape[1], step):
        block = np.subtract(rows[:, c : c + step], centre[c : c + step], dtype=np.float64)
        if factor is not None:
            block *= factor[:, None]
        gram += block @ block.T
    return gram


def _columns(n):
    """Columns of n rows in a block of the slow paths."""
    return max(64, BLOCK // n)


def by_subtraction(rows, which):
    """|x_i - x_j|^2 for i in `which` and all j, subtracted first: (n, d) -> (len(which), n)."""
    step = _columns(2 * len(rows))  # a block and its differences

    def work(columns):
        total = np.zeros((len(which), len(rows)))
        with np.errstate(over="ignore"):
            for c in range(columns.start, columns.stop, step):
                end = min(c + step, columns.stop)
                block = rows[:, c:end].astype(np.float64, copy=False)
                difference = scratch("difference", block.shape, np.float64)
                for line, i in zip(total, which, strict=True):
                    np.subtract(block, block[i], out=difference)
                    line += np.einsum("jk,jk->j", difference, difference)
        return total

    with np.errstate(over="ignore"):
        return sum(each(work, lanes(rows.shape[1], rows.nbytes, uses=OFTEN), rows.nbytes))


def products_around_a_row(distances):
    """Inner products (x_i - c).(x_j - c) around a row c in the crowd, for each trial.

    Returns
    -------
    products : (trials, n, n) float64 array
    shrunk : (trials, n) array, the factor by which rows beyond all range were drawn near, else 1
    """
    updates, gram = distances.updates, distances.gram
    trials, n, _ = updates.shape
    products, shrunk = np.empty((trials, n, n)), np.ones((trials, n))
    for t in range(trials):
        G, far = gram[t], np.sqrt(distances.table[t])
        # The row of the smallest sum of distances, far ones capped lest they drown the sum.
        cap = max(1e8 * np.sort(far, axis=1)[:, n // 2].min(), 1e-300)
        c = np.minimum(far, cap).sum(axis=1).argmin()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            others = np.count_nonzero(far[c] >= np.sqrt(G[c, c] / NEARBY))
            if others >= n - 1 and np.abs(G).max() < 1e200:
                products[t] = G - G[c] - G[:, c : c + 1] + G[c, c]
            else:
                size = np.abs(updates[t]).max(axis=1).astype(np.float64)
                reach = (np.median(size) or 1.0) / np.maximum(size, 1e-300)
                shrunk[t] = np.where(reach < 1 / REACH, reach * REACH, 1.0)
                # Also where half of the rows are huge, products keep within the range of a float.
                shrunk[t] = np.minimum(shrunk[t], 1e140 / np.maximum(size, 1e140))
                products[t] = _moved_products(updates[t], updates[t, c], shrunk[t])
    return products, shrunk


def nearest_sum(table, k):
    """Sum of each client's k smallest squared distances to others: (..., n, n) -> (..., n)."""
    # Nobody is nearer to a client than itself, at distance 0, which adds nothing.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sort(table, axis=-1)[..., : k + 1] @ np.ones(k + 1)


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
    # The true sum lies between lowest and highest.
    lowest, highest = scores * (1 - 1.5 * distances.margins), scores * (1 + 1.5 * distances.margins)
    chosen = lowest <= np.sort(highest, axis=-1)[:, m - 1 : m]
    if alive is not None:
        chosen &= alive
    if np.count_nonzero(chosen) == m * len(chosen):
        return chosen / m
    for t in np.flatnonzero(chosen.sum(axis=-1) > m):
        here = np.arange(len(scores[t])) if alive is None else np.flatnonzero(alive[t])
        sure = highest[t] < np.sort(lowest[t, here])[m]
        rows, near = distances.updates[t], here[(chosen[t] & ~sure)[here]]
        if (rows[near] == rows[near[0]]).all():  # so are their sums: the first of them
            chosen[t, near[m - chosen[t].sum() :]] = False
            continue
        order = dictionary_order(rows[None])[0]
        with np.errstate(over="ignore"):
            apart = _subtracted(distances, t, near)
            sums = np.sort(apart[:, here], axis=1)[:, : k + 1].sum(axis=1)
        exact = dict(zip(near, sums, strict=True))
        in_order = sorted(near, key=lambda i: (exact[i], order[i]))
        chosen[t, in_order[m - chosen[t].sum() :]] = False
    return chosen / m


def _subtracted(distances, t, which):
    """Distances from some rows of trial t, by subtraction; kept in the table for the next time."""
    new = which[~distances.subtracted[t, which]]
    if len(new):
        apart = by_subtraction(distances.updates[t], new)
        distances.table[t, new], distances.table[t, :, new] = apart, apart
        distances.subtracted[t, new] = True
    return distances.table[t, which]


def dictionary_order(updates):
    """Place of each client when the rows of a trial are sorted like words: (trials, n)."""
    first = updates[..., 0]
    order = np.argsort(first, axis=-1, kind="stable")
    ordered = np.take_along_axis(first, order, axis=-1)
    for t in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=-1)):
        order[t] = np.lexsort(updates[t].T[::-1])
    return np.argsort(order, axis=-1)
