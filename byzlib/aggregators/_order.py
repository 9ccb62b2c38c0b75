"""Order statistics across clients: what the coordinate-wise rules keep, and the mean of it.

Work goes by blocks of columns that stay in a core's cache. Few clients are sorted by a network, a
fixed list of "the smaller of these two rows, the larger of those two", of which only that is done
on which the wanted ranks depend; many are sorted column by column.
"""

import functools

import numpy as np

from byzlib.aggregators import _device
from byzlib.aggregators._contract import all_finite
from byzlib.theory import to_numpy

BLOCK = 1 << 21  # bytes
NETWORK_BYTES = 192  # columns of up to so many bytes go through a network faster than a sort
CALL_COLUMNS = 15  # what a call of a network costs, in columns sorted


def mean_of(keep, x):
    """Mean of what `keep` keeps of each column: (trials, n, d) -> (trials, d), summed in float64.

    `keep` maps a block (trials, n, columns) to its kept values, count rows (trials, columns), and
    to the lowest and the highest of them.
    """
    if not isinstance(x, np.ndarray):
        return _device.mean(*keep(x))
    if x.nbytes <= BLOCK:
        return _mean(*keep(x)).astype(x.dtype)
    answer = np.empty((x.shape[0], x.shape[2]), x.dtype)
    for trials, columns in _blocks(x.shape, x.itemsize):
        answer[trials, columns] = _mean(*keep(x[trials, :, columns]))
    return answer


def share_of(keep, x):
    """How much of all that `keep` keeps each client supplied: (trials, n), summing to 1."""
    share, x = np.zeros(x.shape[:2]), to_numpy(x)
    for trials, columns in _blocks(x.shape, x.itemsize):
        block = x[trials, :, columns]
        share[trials] += _held(block, *keep(block))
    return share / share.sum(axis=-1, keepdims=True)


def between_ranks(block, low, high):
    """The order statistics low+1 .. high of each column, in order."""
    n = block.shape[1]
    pairs = network(n, low, high)
    if not isinstance(block, np.ndarray):
        return _device.between_ranks(block, low, high, pairs)
    if n * block.itemsize <= NETWORK_BYTES and block[:, 0].size > CALL_COLUMNS * len(pairs):
        kept = exchanged(block.swapaxes(0, 1), pairs)[low:high]
    else:
        columns = block.swapaxes(1, 2).copy()  # a column's values side by side sort faster
        columns.sort(axis=-1)
        kept = columns[..., low:high].transpose(2, 0, 1).copy()
    return kept, kept[0], kept[-1]


def near_median(block, count):
    """The `count` values of each column nearest its median; of equally near ones the smaller."""
    if not isinstance(block, np.ndarray):
        return _device.near_median(block, count)
    x, n = np.sort(block, axis=1).swapaxes(0, 1), block.shape[1]
    median = 0.5 * x[(n - 1) // 2] + 0.5 * x[n // 2]
    kept = x[:count]
    # They stand side by side: the first of them leaves for the next while that is nearer. No row
    # is read after its slot was filled, so that x itself has room for them.
    for i in range(n - count):
        nearer = 0.5 * x[i] + 0.5 * x[i + count] < median
        np.copyto(kept[i % count], x[i + count], where=nearer)
    return kept, kept.min(axis=0), kept.max(axis=0)


def _blocks(shape, itemsize):
    """Slices of trials and of columns, about `BLOCK` bytes each: whole trials, or parts of one."""
    trials, n, d = shape
    if trials * n * d * itemsize <= BLOCK:
        return [(slice(None), slice(None))]
    # An odd width: rows a power of two apart would compete for the same places of the cache.
    width = max(1, BLOCK // (n * itemsize)) | 1
    depth = max(1, width // d)
    return [
        (slice(t, t + depth), slice(c, c + width))
        for t in range(0, trials, depth)
        for c in range(0, d, width)
    ]


def _mean(kept, lowest, highest):
    """Mean of the rows in float64, never outside of the values that it is taken of."""
    if len(kept) == 1:
        return kept[0]
    mean = kept[0].astype(np.float64)
    for row in kept[1:]:
        mean += row
    mean /= len(kept)
    if not all_finite(mean):  # a sum of the largest floats
        mean = sum(np.divide(row, len(kept), dtype=np.float64) for row in kept)
    if len(kept) > 2:
        np.maximum(mean, lowest, out=mean)
        np.minimum(mean, highest, out=mean)
    return mean


def _held(block, kept, lowest, highest):
    """How many of the kept values are each client's: (trials, n).

    Clients with the same value share its places equally, so that their order does not matter.
    """
    kept = np.asarray(kept)
    edges = [lowest, np.where(lowest < highest, highest, np.nan)]
    held = ((block > lowest[:, None]) & (block < highest[:, None])).sum(axis=-1, dtype=float)
    for edge in edges:
        holders = block == edge[:, None]
        places = (kept == edge).sum(axis=0) / np.maximum(holders.sum(axis=1), 1)
        held += np.vecdot(holders.astype(float), places[:, None])
    return held


def exchanged(rows, pairs):
    """Rows (n, ...) after the exchanges of a network, with the wanted ranks in place."""
    rows, minimum, maximum = [*np.array(rows, order="C")], np.minimum, np.maximum
    spare = np.empty_like(rows[0])
    for i, j, smaller, larger in pairs:
        a, b = rows[i], rows[j]
        if smaller:
            minimum(a, b, out=spare)
        if larger:
            maximum(a, b, out=b)
        if smaller:
            rows[i], spare = spare, a
    return rows


@functools.cache
def network(n, low, high):
    """Exchanges (i, j, smaller, larger) that put the ranks low+1 .. high of n rows in place."""
    return list(wanted(list(merge_exchange(n)), low, high))


def wanted(pairs, low, high):
    """Of a network's pairs, what places low .. high - 1 depend on: (i, j, smaller, larger)."""
    needed, kept = set(range(low, high)), []
    for i, j in reversed(pairs):
        if i in needed or j in needed:
            kept.append((i, j, i in needed, j in needed))
            needed |= {i, j}
    return kept[::-1]


def merge_exchange(n):
    """Batcher's network for n rows: pairs (i, j), the smaller value to i.

    Source: Knuth, The Art of Computer Programming 3, section 5.2.2, algorithm M.
    """
    p = top = 1 << max(0, (n - 1).bit_length() - 1)
    while p:
        q, r, step = top, 0, p
        while step:
            yield from ((i, i + step) for i in range(n - step) if i & p == r)
            step, q, r = (q - p, q >> 1, p) if q > p else (0, q, r)
        p >>= 1
