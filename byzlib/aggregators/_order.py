"""Order statistics across clients, at memory speed: what the coordinate-wise rules are made of.

Few clients are sorted by a network: a fixed list of "the smaller of these two rows, the larger of
those two", each one vectorised call over a block of columns, and only such as the wanted ranks
depend on. Many clients are turned, a block of columns at a time, so that each column lies in one
piece, and sorted there. Blocks stay in the cache and are shared by two threads.
"""

import math

import numpy as np

from byzlib.aggregators._contract import BrokenRows, sum_of_squares
from byzlib.aggregators._networks import program
from byzlib.aggregators._threads import each, scratch

NETWORK_BYTES = 192  # columns of up to so many bytes go through a network faster than a sort
CALL_COLUMNS = 15  # what a call of a network costs, in columns sorted
SORT_BLOCK = 1 << 20  # bytes: they stay in a core's cache
LIGHT_BLOCK = 1 << 17  # at least, for work that needs several times as much beside its block
NETWORK_BLOCK = 1 << 21  # rows so long that two threads seldom wait for Python's lock
ALONE_BYTES = 1 << 25  # below, one thread is faster: two would often wait for Python's lock


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
    trials, _, d = updates.shape
    result = np.empty((trials, d), updates.dtype)
    network = _network_pays(updates, low, high)
    middle = _by_network if network else _by_sort

    def work(block, which, columns):
        result[which, columns] = middle(block, low, high)

    for_each_block(work, updates, network)
    return result


def _network_pays(updates, low, high):
    """Are these ranks found faster by a network than by a sort?"""
    trials, n, d = updates.shape
    return n * updates.itemsize <= NETWORK_BYTES and (
        trials * d > CALL_COLUMNS * len(program(n, low, high)[1])
    )


def for_each_block(work, updates, network=False, most=None):
    """Call work(updates[which, :, columns], which, columns) on slices that cover updates.

    The work is a network's, or a sort on blocks of at most so many bytes.
    """
    trials, n, d = updates.shape
    alone = network and updates.nbytes < ALONE_BYTES
    block = NETWORK_BLOCK if network else min(most or SORT_BLOCK, SORT_BLOCK)
    if updates.nbytes <= block:
        work(updates, slice(trials), slice(d))
        return
    width = max(1, block // (n * updates.itemsize))
    depth = max(1, width // d)
    count = 2 * -(-d // (2 * width)) if width < d else 1  # even, so that two threads end together
    width = -(-d // count)
    blocks = [
        (slice(t, t + depth), slice(c, c + width))
        for t in range(0, trials, depth)
        for c in range(0, d, width)
    ]

    def on_slices(which, columns):
        work(updates[which, :, columns], which, columns)

    each(on_slices, blocks, 0 if alone else updates.nbytes, products=False)


def _tame(block):
    """Are the numbers so small that no sum of them overflows? NaN and infinity are refused."""
    if math.isfinite(sum_of_squares(block)):
        return True
    if np.isfinite(block).all():
        return False
    raise BrokenRows


def _sorted_columns(block):
    """Columns of a block (trials, n, columns) in order: (trials, columns, n); and are they tame?

    What is not finite stands at an end of its column, so `_tame` can be answered by the ends.
    """
    trials, n, columns = block.shape
    ordered = scratch("columns", (trials, columns, n), block.dtype)
    np.copyto(ordered, block.swapaxes(-1, -2))
    ordered.sort(axis=-1)
    largest = np.maximum(-ordered[..., 0], ordered[..., -1]).max()
    if not np.isfinite(largest):
        raise BrokenRows
    return ordered, largest <= np.finfo(np.float64).max / n


def _by_sort(block, low, high):
    """`mean_of_ranks` of a block (trials, n, columns), by sorting columns that lie in one piece."""
    ordered, tame = _sorted_columns(block)
    kept = ordered[..., low:high]

    def add():
        if high - low == 2:
            return np.add(kept[..., 0], kept[..., 1], dtype=np.float64)
        return kept.astype(np.float64, copy=False) @ np.ones(high - low)

    return _mean(
        add, lambda: np.moveaxis(kept, -1, 0), high - low, kept[..., 0], kept[..., -1], tame
    )


def _ranks_by_network(block, low, high):
    """Rows (trials, columns) that hold the order statistics low+1 .. high; two in either order."""
    trials, _, columns = block.shape
    layer, steps, places, extra = program(block.shape[1], low, high)
    given, work = block.swapaxes(0, 1), scratch("rows", (extra, trials, columns), block.dtype)
    if layer:
        first, second = given[:layer], given[layer : 2 * layer]
        np.minimum(first, second, out=work[:layer])
        np.maximum(first, second, out=work[layer : 2 * layer])
    rows = [*work, *given[2 * layer :]]
    for extreme, a, b, out in steps:
        extreme(rows[a], rows[b], out=rows[out])
    return [rows[place] for place in places]


def _by_network(block, low, high):
    """`mean_of_ranks` of a block (trials, n, columns), by a sorting network over its rows."""
    tame, kept = _tame(block), _ranks_by_network(block, low, high)
    if len(kept) == 1:
        return kept[0]

    def add():
        total = np.add(kept[0], kept[1], dtype=np.float64)
        for row in kept[2:]:
            total += row
        return total

    return _mean(add, lambda: kept, high - low, kept[0], kept[-1], tame)


def _mean(add, values, count, lowest, highest, tame):
    """add() / count, kept between the extremes, which rounding or overflow could leave."""
    if tame:
        total = add()
        total /= count
    else:
        with np.errstate(over="ignore"):
            total = sum(np.divide(value, count, dtype=np.float64) for value in values())
    if count > 2:
        np.maximum(total, lowest, out=total)
        np.minimum(total, highest, out=total)
    return total


def mean_near_median(updates, count, rows=None):
    """Mean of the `count` values nearest the median of each coordinate: (trials, d).

    Nearest in |x - median|, the smaller value first where two are equally near. `rows` (trials, m)
    picks m clients of each trial, all by default.
    """
    result = np.empty((updates.shape[0], updates.shape[2]), updates.dtype)

    def work(block, which, columns):
        ordered, start, tame = _near_median(_picked(block, rows, which), count)
        flat, n = ordered.reshape(-1), ordered.shape[-1]
        first = np.arange(0, flat.size, n) + start.reshape(-1)
        edges = np.column_stack([first, first + count]).reshape(-1)
        mean = _mean(
            lambda: np.add.reduceat(flat, edges[edges < flat.size], dtype=np.float64)[::2],
            lambda: (flat[first + r] for r in range(count)),
            count,
            flat[first],
            flat[first + count - 1],
            tame,
        )
        result[which, columns] = mean.reshape(start.shape)

    for_each_block(work, updates, most=max(LIGHT_BLOCK, updates.nbytes // 11))
    return result


def _picked(block, rows, which):
    return block if rows is None else np.take_along_axis(block, rows[which][..., None], axis=1)


def _near_median(block, count):
    """Sorted columns (trials, columns, n), where the values nearest the median start, and tame?"""
    ordered, tame = _sorted_columns(block)
    n = ordered.shape[-1]
    middle = ordered[..., (n - 1) // 2, None], ordered[..., n // 2, None]
    # They stand side by side. The window moves right while its first value is farther from the
    # median than the first one behind it, that is, while these add up to less than the middle two.
    nearer = _sum_is_less((ordered[..., : n - count], ordered[..., count:]), middle)
    return ordered, nearer.sum(axis=-1), tame


def _sum_is_less(pair, other):
    """Is a + b < c + d, as exact arithmetic has it? Arrays that broadcast.

    Rounding can make two sums equal, but cannot turn them round; of equal ones, what the rounding
    took away decides. Those that overflow are added again by halves.
    """
    with np.errstate(over="ignore"):
        left, right = pair[0] + pair[1], other[0] + other[1]
    less, equal = left < right, np.nonzero(left == right)
    if equal[0].size:
        scale = np.where(np.isinf(left[equal]), 0.5, 1.0).astype(left.dtype)

        def exact(terms):
            return _two_sum(*(np.broadcast_to(x, less.shape)[equal] * scale for x in terms))

        (left, lost), (right, also_lost) = exact(pair), exact(other)
        less[equal] = (left < right) | (left == right) & (lost < also_lost)
    return less


def _two_sum(a, b):
    """a + b as rounded, and what the rounding took away, exactly.

    Source: Knuth, The Art of Computer Programming 2, section 4.2.2, theorem B.
    """
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def share_of_ranks(updates, low, high):
    """How much of `mean_of_ranks` each client supplied: (trials, n), summing to 1."""
    network = _network_pays(updates, low, high)

    def kept(block):
        if network:
            return np.stack(_ranks_by_network(block, low, high), axis=1)
        return _sorted_columns(block)[0][..., low:high].swapaxes(1, 2)

    return _share(updates, kept, network)


def share_near_median(updates, count):
    """How much of `mean_near_median` each client supplied: (trials, n), summing to 1."""

    def kept(block):
        ordered, start, _ = _near_median(block, count)
        window = start[..., None] + np.arange(count)
        return np.take_along_axis(ordered, window, axis=-1).swapaxes(1, 2)

    return _share(updates, kept)


def _share(updates, kept_of, network=False):
    """Share of the kept places of all coordinates that each client holds: (trials, n).

    A client counts in a coordinate when its value is among those kept. Clients that hold the same
    value share its places equally, so the answer does not depend on the order of the rows.
    """
    parts = []

    def work(block, which, columns):
        kept = np.ascontiguousarray(kept_of(block))
        parts.append((which.start, columns.start, which, _held(block, kept)))

    for_each_block(work, updates, network)
    share = np.zeros(updates.shape[:2])
    for _, _, which, part in sorted(parts, key=lambda entry: entry[:2]):
        share[which] += part
    return share / share.sum(axis=-1, keepdims=True)


def _held(block, kept):
    """Places of `kept` (trials, count, columns), in order, that each client of the block holds."""
    # Two may be in either order.
    lowest = np.minimum(kept[:, :1], kept[:, -1:])
    highest = np.maximum(kept[:, :1], kept[:, -1:])
    held = np.count_nonzero((block > lowest) & (block < highest), axis=-1).astype(np.float64)
    for value, once in (lowest, True), (highest, lowest < highest):
        holders = block == value
        # Those who say the same share its places.
        share = once * (_count(kept == value) / _count(holders))
        held += (holders.astype(np.float64) @ share.swapaxes(1, 2))[..., 0]
    return held


def _count(mask):
    """How many rows are true, in the smallest integers that hold it: (trials, 1, columns)."""
    return mask.sum(axis=1, dtype=np.min_scalar_type(mask.shape[1]), keepdims=True)
