"""Sorting networks: fixed lists of "the smaller of these two rows, the larger of those two".

Any ranks of any number of rows are found by Batcher's merge exchange, from which everything is
left out that no wanted rank depends on. For up to twelve rows and ranks that lie in the middle,
shorter lists are known; those kept here were found by `python -m benchmarks.networks`.
"""

import functools

import numpy as np

# (rows, low, high): pairs of places, the smaller value to the first, for the ranks low .. high - 1.
# Two ranks may come out in either order.
FOUND = {
    (5, 2, 3): "03 24 34 02 13 12 23",
    (6, 2, 4): "15 34 01 24 15 23 35 03 14 12",
    (7, 3, 4): "45 06 26 34 46 02 45 23 35 04 13 34 13",
    (8, 2, 6): "46 02 13 36 57 27 14 05 25 34 03 47 12 56 35 24 45 23",
    (9, 1, 8): "08 15 34 67 23 57 34 01 26 78 57 02 47 16 78 12 24 35 13 56 45 23 34 67 56",
    (9, 2, 7): "14 25 08 12 67 57 06 48 01 26 78 67 45 35 14 36 23 57 34 12 56 45 23",
    (9, 3, 6): "13 67 24 58 07 56 38 03 12 78 34 02 37 01 26 23 15 67 46 35 23 45",
    (9, 4, 5): "07 23 46 15 12 26 35 67 24 56 34 01 58 35 12 48 25 45 24",
    (10, 1, 9): (
        "08 29 35 16 13 56 47 14 02 01 78 24 57 89 38 78 69 25 46 13 35 68 47 12 67 23 56 45 34"
    ),
    (10, 2, 8): (
        "38 24 15 14 39 13 78 48 06 59 27 57 05 45 59 36 23 67 89 12 56 34 78 45 67 56 02 23 34"
    ),
    (10, 3, 7): "26 18 59 37 69 04 47 03 36 79 15 67 25 02 78 34 45 67 13 23 57 46 36 56 24 34",
    (10, 4, 6): "09 49 56 47 13 67 23 89 39 37 45 18 58 24 04 46 14 68 05 36 45 56 34",
    (11, 1, 10): (
        "18 7a 58 26 04 46 02 39 45 9a 37 17 01 34 03 27 59 68 8a 68 79 12 67 45 14 56 26 "
        "25 89 13 78 23 45 67 34"
    ),
    (11, 2, 9): (
        "46 19 2a 47 05 29 5a 79 38 68 17 9a 8a 07 02 26 34 03 67 45 12 56 34 13 67 24 89 "
        "48 23 45 79 68 78 56 34"
    ),
    (11, 3, 8): (
        "2a 15 12 5a 47 04 46 89 69 27 08 24 8a 23 34 01 18 56 38 12 67 23 46 25 9a 69 68 "
        "78 45 34 56 67 45"
    ),
    (11, 4, 7): (
        "59 28 1a 46 14 6a 25 36 89 68 05 03 45 12 46 9a 36 79 89 27 67 36 03 24 78 57 56 34 45"
    ),
    (11, 5, 6): "37 25 46 8a 56 1a 35 24 58 6a 69 14 56 67 26 89 06 35 47 48 15 45 46 68 05 56",
    (12, 1, 11): (
        "4b 68 0a 13 3a 59 27 78 45 9b 01 26 ab 19 35 23 04 46 89 02 9b 17 5a 67 7a 56 14 "
        "34 68 12 46 9a 45 89 67 23 78 34 56"
    ),
    (12, 2, 10): (
        "79 6b 3a 36 04 28 5a 14 9b 59 48 12 ab 29 07 8b 03 67 4a 79 8a 01 9a 15 46 23 24 "
        "12 45 24 78 56 37 89 67 35 78 56 34"
    ),
    (12, 3, 9): (
        "16 0a 34 78 25 9b 17 09 ab 68 01 6a 26 8b 13 4a ab 39 47 79 58 67 8a 78 12 59 26 "
        "89 45 35 04 34 57 23 46 34 78 56"
    ),
    (12, 4, 8): (
        "06 89 24 04 08 7a 69 15 38 48 5a 17 01 5b 13 56 47 6b 24 7b 79 8a 78 25 15 46 36 "
        "68 69 34 57 47 67 35 7b 45"
    ),
    (12, 5, 7): (
        "09 4b 9b 38 1a 8a 04 27 56 13 ab 48 01 67 6a 25 46 39 8a 23 78 56 15 69 56 45 37 67 35"
    ),
}


@functools.lru_cache(maxsize=256)
def program(n, low, high):
    """The network for ranks low .. high-1 of n rows as calls on numbered rows.

    Rows 0 .. n-1 are the input and are only read; the others are scratch, used again as soon as
    nothing depends on them.

    Returns
    -------
    steps : list of (np.minimum or np.maximum, row, row, row written)
    places : rows that hold the wanted ranks in the end, in ascending order; two of them in any
    extra : how many rows of scratch the steps need
    """
    where, free, rows, steps = list(range(n)), [], n, []

    def take():
        nonlocal rows
        if not free:
            free.append(rows)
            rows += 1
        return free.pop()

    for i, j, smaller, larger in wanted(network(n, low, high), low, high):
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
