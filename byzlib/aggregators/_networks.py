"""Sorting networks: fixed lists of "the smaller of these two rows, the larger of those two".

Any ranks of any number of rows are found by Batcher's merge exchange, from which everything is
left out that no wanted rank depends on. For the middle ranks of up to twelve rows shorter lists
are kept here. They were found by millions of changes at random, as `benchmarks/networks.py` makes
them, and are checked with all columns of zeros and ones.
"""

import functools

import numpy as np

# (rows, low, high): pairs of places, the smaller value to the first, for the ranks low .. high - 1.
# Two ranks may come out in either order.
FOUND = {
    (5, 2, 3): "03 24 34 02 13 12 23",
    (6, 2, 4): "03 14 25 15 35 02 04 23 34 12",
    (7, 3, 4): "03 14 25 26 56 12 36 45 04 35 24 23 34",
    (8, 2, 6): "46 02 13 36 57 27 14 05 25 34 03 47 12 56 35 24 45 23",
    (9, 1, 8): "08 15 34 67 23 57 34 01 26 78 57 02 47 16 78 12 24 35 13 56 45 23 34 67 56",
    (9, 2, 7): "14 25 08 12 67 57 06 48 01 26 78 67 45 35 14 36 23 57 34 12 56 45 23",
    (9, 3, 6): "13 67 24 58 07 56 38 03 12 78 34 02 37 01 26 23 15 67 46 35 23 45",
    (9, 4, 5): "07 23 46 15 12 26 35 67 24 56 34 01 58 35 12 48 25 45 24",
    (10, 1, 9): (
        "08 29 35 16 13 56 47 14 02 01 78 24 57 89 38 78 69 25 46 13 35 68 47 12 67 23 56 45 34"
    ),
    (10, 2, 8): (
        "05 16 27 38 49 29 02 68 59 57 13 01 24 36 35 89 12 46 78 24 68 57 45 13 67 23 56 34"
    ),
    (10, 3, 7): "26 18 59 37 69 04 47 03 36 79 15 67 25 02 78 34 45 67 13 23 57 46 36 56 24 34",
    (10, 4, 6): "05 16 27 38 49 68 13 36 59 04 45 14 03 58 69 46 35 24 57 45 34 56",
    (11, 1, 10): (
        "18 7a 58 26 04 46 02 39 45 9a 37 17 01 34 03 27 59 68 8a 68 79 12 67 45 14 56 26 "
        "25 89 13 78 23 45 67 34"
    ),
    (11, 2, 9): (
        "05 16 27 38 49 04 59 12 23 12 68 7a 57 46 78 39 01 6a 67 89 12 45 25 36 23 14 24 "
        "8a 67 56 78 34 67 45"
    ),
    (11, 3, 8): (
        "05 16 27 38 49 02 13 48 57 14 68 25 3a 9a 34 03 78 39 79 12 24 56 35 6a 46 57 23 "
        "35 69 47 67 45"
    ),
    (11, 4, 7): (
        "05 16 27 38 49 23 59 67 35 68 89 04 5a 13 46 02 12 23 68 36 24 8a 78 45 57 35 67 34 56"
    ),
    (11, 5, 6): "05 16 27 38 49 68 57 13 59 34 02 47 4a 15 26 04 45 58 34 24 9a 69 56 46 45",
    (12, 1, 11): (
        "4b 68 0a 13 3a 59 27 78 45 9b 01 26 ab 19 35 23 04 46 89 02 9b 17 5a 67 7a 56 14 "
        "34 68 12 46 9a 45 89 67 23 78 34 56"
    ),
    (12, 2, 10): (
        "06 17 28 39 4a 5b 68 9a 15 02 34 7b 67 36 29 9b 7a 12 79 13 45 58 26 04 46 24 57 "
        "79 8b 8a 89 03 45 67 23 78 34 56"
    ),
    (12, 3, 9): (
        "16 0a 34 78 25 9b 17 09 ab 68 01 6a 26 8b 13 4a ab 39 47 79 58 67 8a 78 12 59 26 "
        "89 45 35 04 34 57 23 46 34 78 56"
    ),
    (12, 4, 8): (
        "06 17 28 39 4a 5b 25 1a 12 37 69 5a 46 35 04 6b 45 78 8b 03 67 9a 23 78 36 12 56 "
        "79 34 47 57 68 69 67 24 45"
    ),
    (12, 5, 7): (
        "09 4b 9b 38 1a 8a 04 27 56 13 ab 48 01 67 6a 25 46 39 8a 23 78 56 15 69 56 45 37 67 35"
    ),
}


@functools.lru_cache(maxsize=256)
def program(n, low, high):
    """The network for ranks low .. high-1 of n rows as calls on numbered rows.

    A network does not care which row stands at which place. So the rows are placed such that its
    first layer, k pairs that share no place, is one call on rows 0 .. k-1 and k .. 2k-1 for the
    smaller ones, and one for the larger ones: they become rows of scratch 0 .. k-1 and k .. 2k-1.

    Returns
    -------
    layer : k
    steps : list of (np.minimum or np.maximum, row, row, row written)
        What follows. Rows 0 .. extra-1 are scratch, used again as soon as nothing depends on them;
        negative ones count from the end of the input, whose rows 2k, 2k+1 ... are only read.
    places : rows that hold the wanted ranks in the end, in ascending order; two of them in any
    extra : how many rows of scratch there are
    """
    first, pairs = _split(wanted(network(n, low, high), low, high))
    ends = [i for i, _ in first] + [j for _, j in first]
    others = [place for place in range(n) if place not in ends]
    where = {place: row for row, place in enumerate(ends)}
    where |= {place: row - len(others) for row, place in enumerate(others)}
    free, rows, steps = [], len(ends), []

    def take():
        nonlocal rows
        if not free:
            free.append(rows)
            rows += 1
        return free.pop()

    for i, j, smaller, larger in pairs:
        a, b = where[i], where[j]
        scratch = [row for row in (a, b) if row >= 0]
        if smaller and larger:
            where[i] = take()
            steps.append((np.minimum, a, b, where[i]))
            free += scratch  # the last reader of a and b may write over one of them
            where[j] = take()
            steps.append((np.maximum, a, b, where[j]))
        else:
            free += scratch
            kept = i if smaller else j
            where[kept] = take()
            steps.append((np.minimum if smaller else np.maximum, a, b, where[kept]))
    return len(first), steps, [where[r] for r in range(low, high)], rows


def _split(pairs):
    """The first layer, pairs (i, j) that nothing precedes and that are wanted whole; the rest."""
    met, first, rest = set(), [], []
    for i, j, smaller, larger in pairs:
        if smaller and larger and not met & {i, j}:
            first.append((i, j))
        else:
            rest.append((i, j, smaller, larger))
        met |= {i, j}
    return first, rest


def network(n, low, high):
    """Pairs (i, j) that bring ranks low .. high-1 in place: the shortest list known here."""
    if (n, low, high) in FOUND:
        return [(int(i, 12), int(j, 12)) for i, j in FOUND[n, low, high].split()]
    return list(merge_exchange(n))


def wanted(pairs, low, high):
    """(i, j, smaller wanted, larger wanted) of the pairs on which ranks low .. high-1 depend.

    The pairs are read backwards from the wanted ranks. A last pair that puts the only two of them
    in order is left out too: a + b is b + a.
    """
    needed, kept = set(range(low, high)), []
    for i, j in reversed(pairs):
        if {i, j} == needed and not kept:
            continue
        if i in needed or j in needed:
            kept.append((i, j, i in needed, j in needed))
            needed |= {i, j}
    return kept[::-1]


def merge_exchange(n):
    """Pairs (i, j), i < j, that sort any n numbers when compared and exchanged in this order.

    Batcher's merge exchange (Knuth, The Art of Computer Programming, section 5.2.2, Algorithm M).
    """
    p = top = 1 << max(0, (n - 1).bit_length() - 1)
    while p > 0:
        q, r, d = top, 0, p
        while True:
            yield from ((i, i + d) for i in range(n - d) if i & p == r)
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
