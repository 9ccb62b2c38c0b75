"""Look for a shorter sorting network, such as those in `byzlib/_networks.py`.

Usage: python -m benchmarks.networks ROWS LOW HIGH [--steps 1000000] [--seed 0] [--afresh]

Starts from the list of pairs that byzlib uses for the ranks LOW .. HIGH-1 of so many rows, or from
Batcher's, and changes it at random: a pair goes, comes, moves, or two change places. A change is
kept if the network still works and needs no more calls, early on also if it needs a few more. It
works if it puts every column of zeros and ones in order (Knuth's zero-one principle). There are
2^ROWS of them, and a row of all of them is one whole number, on which & is the smaller and | the
larger. A million steps with ten rows take about half a minute.
"""

import argparse
import functools
import math
import random

from tqdm import trange

from byzlib.aggregators import _networks

HOT, COLD = 1.2, 0.15  # calls by which a change may lengthen the network, at first and at last
SWEEPS = 8  # how often it is heated, each time from the best network so far


def works(pairs, n, low, high):
    """Do the pairs bring ranks low .. high-1 of n rows in place? Two of them in either order."""
    rows, ordered = _columns(n)
    rows = list(rows)
    for i, j in pairs:
        rows[i], rows[j] = rows[i] & rows[j], rows[i] | rows[j]
    if high - low == 2:
        rows[low], rows[low + 1] = rows[low] & rows[low + 1], rows[low] | rows[low + 1]
    return rows[low:high] == ordered[low:high]


@functools.cache
def _columns(n):
    """All columns of zeros and ones, a whole number a row; the same with each column in order."""
    columns = range(2**n)
    rows = [sum(1 << c for c in columns if c >> i & 1) for i in range(n)]
    ordered = [sum(1 << c for c in columns if c.bit_count() >= n - r) for r in range(n)]
    return rows, ordered


def without_idle(pairs, low, high):
    """The pairs on which the wanted ranks depend, and how many calls they are."""
    kept = _networks.wanted(pairs, low, high)
    return [(i, j) for i, j, *_ in kept], sum(smaller + larger for *_, smaller, larger in kept)


def changed(pairs, n, rng):
    """The pairs after one to three small changes."""
    pairs = list(pairs)
    for _ in range(rng.randint(1, 3)):
        new, place = tuple(sorted(rng.sample(range(n), 2))), rng.randrange(len(pairs) + 1)
        other = rng.randrange(len(pairs)) if pairs else 0
        match rng.randrange(4):
            case 0:
                del pairs[place : place + 1]
            case 1:
                pairs.insert(place, new)
            case 2:
                pairs[place : place + 1] = [new]
            case 3 if place < len(pairs):
                pairs[place], pairs[other] = pairs[other], pairs[place]
    return pairs


def search(n, low, high, steps, seed=0, pairs=None):
    """The shortest network met on the way, and its calls; starts from `pairs` or from byzlib's.

    The first layer is the same for all, every row of one half with one of the other: as good as
    any, and two calls of NumPy.
    """
    rng, half = random.Random(seed), n // 2
    first = [(i, i + half) for i in range(half)]
    start = _networks.network(n, low, high) if pairs is None else pairs
    if start[:half] != first:
        start = first + start
    best, fewest = without_idle(start, low, high)
    sweep = max(1, steps // SWEEPS)
    for step in trange(steps, disable=None, leave=False):
        if step % sweep == 0:
            pairs, calls = best, fewest
        heat = COLD + HOT * (1 - step % sweep / sweep)
        tried, needed = without_idle(first + changed(pairs[half:], n, rng), low, high)
        if tried[:half] != first:
            continue
        if needed > calls and rng.random() > math.exp((calls - needed) / heat):
            continue
        if works(tried, n, low, high):
            pairs, calls = tried, needed
            if calls < fewest:
                best, fewest = pairs, calls
    return best, fewest


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="benchmarks.networks", description=__doc__.split("\n")[0])
    parser.add_argument("rows", type=int, choices=range(2, 13), metavar="ROWS", help="2 to 12")
    parser.add_argument("low", type=int, help="the first wanted rank, from 0")
    parser.add_argument("high", type=int, help="one more than the last")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--afresh", action="store_true", help="start from Batcher's network")
    given = parser.parse_args(arguments)
    n, low, high = given.rows, given.low, given.high
    if not 0 <= low < high <= n:
        parser.error(f"ranks need 0 <= LOW < HIGH <= {n}; got {low} and {high}")
    start = list(_networks.merge_exchange(n)) if given.afresh else None
    before = without_idle(start or _networks.network(n, low, high), low, high)[1]
    pairs, calls = search(n, low, high, given.steps, given.seed, start)
    digits = "0123456789ab"
    print(" ".join(digits[i] + digits[j] for i, j in pairs))
    print(f"{calls} calls for ranks {low} to {high - 1} of {n} rows, where there were {before}")


if __name__ == "__main__":
    main()
