"""Order statistics across clients, at memory speed: what the coordinate-wise rules are made of.

Few clients are sorted by a network: a fixed list of "the smaller of these two rows, the larger of
those two", each one vectorised call over a block of columns, and only such as the wanted ranks
depend on. Many clients are turned, a block of columns at a time, so that each column lies in one
piece, and sorted there. Blocks stay in the cache and are shared by two threads.
"""

import functools
import math

import numpy as np

from byzlib._contract import BrokenRows, sum_of_squares
from byzlib._threads import Scratch, share

NETWORK_BYTES = 192  # columns of up to so many bytes go through a network faster than a sort
BLOCK_BYTES = 1 << 20  # large against the cost of a call, small against a third-level cache


def mean_of_ranks(updates, low, high):
    """Mean of the order statistics low+1 .. high of each coordinate.

    Parameters
    ----------
    updates : (trials, n, d) float array, finite
    low, high : int
        Ranks as a slice of the sorted column: 0 <= low < high <= n.

    Returns
    -------
    (trials, d) array: sum over r = low+1 .. high of x_(r), divided by high - low, accumulated in
    float64. It lies between x_(low+1) and x_(high), so equal values average to themselves.
    """
    trials, n, d = updates.shape
    result = np.empty((trials, d), updates.dtype)
    middle = _by_network if n * updates.itemsize <= NETWORK_BYTES else _by_sort

    def worker():
        scratch = Scratch()

        def work(block, which, columns):
            result[which, columns] = middle(block, low, high, _tame(block), scratch)

        return work

    # A network's calls are so short that two threads only wait for each other.
    for_each_block(worker, updates, alone=middle is _by_network)
    return result


def for_each_block(worker, updates, alone=False):
    """Let each thread make itself a `work = worker()`, and call it on blocks.

    work(updates[which, :, columns], which, columns) is called on slices which, columns that
    together cover updates.
    """
    trials, n, d = updates.shape
    if updates.nbytes <= BLOCK_BYTES:
        worker()(updates, slice(trials), slice(d))
        return
    width = max(1, BLOCK_BYTES // (n * updates.itemsize))
    depth = max(1, width // d)
    blocks = [
        (slice(t, t + depth), slice(c, c + width))
        for t in range(0, trials, depth)
        for c in range(0, d, width)
    ]

    def work_on_slices():
        work = worker()
        return lambda which, columns: work(updates[which, :, columns], which, columns)

    share(work_on_slices, blocks, 0 if alone else updates.nbytes)


def _tame(block):
    """Are the numbers so small that no sum of them overflows? NaN and infinity are refused."""
    if math.isfinite(sum_of_squares(block)):
        return True
    if np.isfinite(block).all():
        return False
    raise BrokenRows


def _by_sort(block, low, high, tame, scratch):
    """`mean_of_ranks` of a block (trials, n, columns), by sorting columns that lie in one piece."""
    trials, n, columns = block.shape
    turned = scratch("columns", (trials, columns, n), block.dtype)
    np.copyto(turned, block.swapaxes(-1, -2))
    turned.sort(axis=-1)
    kept = turned[..., low:high]
    with np.errstate(over="ignore", invalid="ignore"):
        if high - low == 2:
            total = np.add(kept[..., 0], kept[..., 1], dtype=np.float64)
        else:
            total = kept.astype(np.float64, copy=False) @ np.ones(high - low)
    first, last = kept[..., 0], kept[..., -1]
    return _mean(total, high - low, first, last, lambda: np.moveaxis(kept, -1, 0), tame)


def _by_network(block, low, high, tame, scratch):
    """`mean_of_ranks` of a block (trials, n, columns), by a sorting network over its rows."""
    steps, places, extra = _program(block.shape[1], low, high)
    rows = [block[:, i] for i in range(block.shape[1])]
    rows += list(scratch("rows", (extra, *rows[0].shape), block.dtype))
    for extreme, a, b, out in steps:
        extreme(rows[a], rows[b], out=rows[out])
    kept = [rows[place] for place in places]
    if len(kept) == 1:
        return kept[0]
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.add(kept[0], kept[1], dtype=np.float64)
        for row in kept[2:]:
            total += row
    return _mean(total, high - low, kept[0], kept[-1], lambda: kept, tame)


def _mean(total, count, lowest, highest, values, tame):
    """total / count, kept between the extremes, which rounding or overflow could leave."""
    total /= count
    if not tame:
        with np.errstate(over="ignore"):
            total = sum(np.divide(value, count, dtype=np.float64) for value in values())
    if count > 2:
        np.maximum(total, lowest, out=total)
        np.minimum(total, highest, out=total)
    return total


@functools.lru_cache(maxsize=256)
def _program(n, low, high):
    """The network for ranks low .. high-1 as calls on numbered rows.

    Rows 0 .. n-1 are the input and are only read; the others are scratch, used again as soon as
    nothing depends on them.

    Returns
    -------
    steps : list of (np.minimum or np.maximum, row, row, row written)
    places : rows that hold the wanted ranks in the end, in ascending order
    extra : how many rows of scratch the steps need
    """
    where, free, rows, steps = list(range(n)), [], n, []

    def take():
        nonlocal rows
        if not free:
            free.append(rows)
            rows += 1
        return free.pop()

    for i, j, smaller, larger in _comparators(n, low, high):
        a, b = where[i], where[j]
        if smaller and larger:
            where[i] = take()
            steps.append((np.minimum, a, b, where[i]))
            # The last reader of a and b may write over one of them.
            free += [row for row in (a, b) if row >= n]
            where[j] = take()
            steps.append((np.maximum, a, b, where[j]))
        else:
            free += [row for row in (a, b) if row >= n]
            kept = i if smaller else j
            where[kept] = take()
            steps.append((np.minimum if smaller else np.maximum, a, b, where[kept]))
    return steps, where[low:high], rows - n


def _comparators(n, low, high):
    """Pairs (i, j, smaller wanted, larger wanted) that bring ranks low .. high-1 in place.

    Batcher's merge exchange (Knuth, The Art of Computer Programming, section 5.2.2, Algorithm M),
    read backwards from the wanted ranks: what none of them depends on is not computed.
    """
    wanted, kept = set(range(low, high)), []
    for i, j in reversed(list(_merge_exchange(n))):
        if i in wanted or j in wanted:
            kept.append((i, j, i in wanted, j in wanted))
            wanted |= {i, j}
    return kept[::-1]


def _merge_exchange(n):
    """Pairs (i, j), i < j, that sort any n numbers when compared and exchanged in this order."""
    p = top = 1 << max(0, (n - 1).bit_length() - 1)
    while p > 0:
        q, r, d = top, 0, p
        while True:
            yield from ((i, i + d) for i in range(n - d) if i & p == r)
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1


def mean_near_median(updates, count, rows=None):
    """Mean of the `count` values nearest the median of each coordinate: (trials, d).

    Nearest in |x - median|, the smaller value first where two are equally near. `rows` (trials, m)
    picks m clients of each trial, all by default.
    """
    result = np.empty((updates.shape[0], updates.shape[2]), updates.dtype)

    def worker():
        scratch = Scratch()

        def work(block, which, columns):
            tame = _tame(block)
            ordered, start = _near_median(_picked(block, rows, which), count, scratch)
            flat, n = ordered.reshape(-1), ordered.shape[-1]
            first = np.arange(0, flat.size, n) + start.reshape(-1)
            edges = np.column_stack([first, first + count]).reshape(-1)
            with np.errstate(over="ignore", invalid="ignore"):
                total = np.add.reduceat(flat, edges[edges < flat.size], dtype=np.float64)[::2]
            windows = (flat[first + r] for r in range(count))
            mean = _mean(total, count, flat[first], flat[first + count - 1], lambda: windows, tame)
            result[which, columns] = mean.reshape(start.shape)

        return work

    for_each_block(worker, updates)
    return result


def _picked(block, rows, which):
    return block if rows is None else np.take_along_axis(block, rows[which][..., None], axis=1)


def _near_median(block, count, scratch):
    """Sorted columns (trials, columns, n), and where the values nearest the median start."""
    trials, n, columns = block.shape
    ordered = scratch("columns", (trials, columns, n), block.dtype)
    np.copyto(ordered, block.swapaxes(-1, -2))
    ordered.sort(axis=-1)
    with np.errstate(over="ignore"):
        middle = (ordered[..., (n - 1) // 2] / 2 + ordered[..., n // 2] / 2)[..., None]
        # They stand side by side; the window moves right while that brings it nearer.
        return ordered, (middle - ordered[..., : n - count] > ordered[..., count:] - middle).sum(
            axis=-1
        )


def share_of_ranks(updates, low, high):
    """How much of `mean_of_ranks` each client supplied: (trials, n), summing to 1."""
    return _share(updates, lambda block: np.sort(block, axis=1)[:, low:high])


def share_near_median(updates, count):
    """How much of `mean_near_median` each client supplied: (trials, n), summing to 1."""

    def kept(block):
        ordered, start = _near_median(block, count, Scratch())
        window = start[..., None] + np.arange(count)
        return np.take_along_axis(ordered, window, axis=-1).swapaxes(-1, -2)

    return _share(updates, kept)


def _share(updates, kept_of):
    """Share of the kept places of all coordinates that each client holds: (trials, n).

    A client counts in a coordinate when its value is among those kept. Clients that hold the same
    value share its places equally, so the answer does not depend on the order of the rows.
    """
    parts = []

    def work(block, which, columns):
        parts.append((which.start, columns.start, which, _held(block, kept_of(block))))

    for_each_block(lambda: work, updates)
    share = np.zeros(updates.shape[:2])
    for _, _, which, part in sorted(parts, key=lambda entry: entry[:2]):
        share[which] += part
    return share / share.sum(axis=-1, keepdims=True)


def _held(block, kept):
    """Places of `kept` (trials, count, columns) that each client of the block holds, summed."""
    lowest, highest = kept[:, :1], kept[:, -1:]

    def share_at(value):
        holders = block == value
        places = (kept == value).sum(axis=1, keepdims=True)
        return holders * places / holders.sum(axis=1, keepdims=True)

    held = ((block > lowest) & (block < highest)).astype(np.float64)
    held += share_at(lowest) + np.where(lowest < highest, share_at(highest), 0.0)
    return held.sum(axis=-1)
