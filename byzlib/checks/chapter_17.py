"""Checkers of chapter 17: a sorting network over rows, distances from blocks of columns."""

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import (
    NotYet,
    array,
    ask,
    calls_of,
    exercise,
    judge,
    memory_of,
    require,
    steps_of,
)

FOUR = [(0, 2), (1, 3), (0, 1), (2, 3), (1, 2)]
NETWORKS = [
    (4, 6, FOUR), (4, 6, [(0, 1)]), (4, 6, [(1, 2), (0, 1)]), (4, 6, [(0, 3), (0, 1)]), (4, 6, []),
    (6, 1, [(2, 5), (0, 2), (0, 4)]), (2, 9, [(0, 1)]),
]  # fmt: skip
SORTS = {"sort", "sorted", "argsort", "lexsort", "partition", "argpartition"}


@exercise("Exercise 17.3 a", "the function `exchange` in the section on sorting without looking.")
def run_network(answer):
    """`answer(updates, pairs)` puts the pairs of rows in order, one after the other."""
    rng = np.random.default_rng(14)
    for n, d, pairs in NETWORKS:
        updates = rng.integers(-9, 10, (n, d)).astype(float)
        wanted = f"{n} rows of {d} numbers are wanted."
        value = ask(answer, updates, pairs, shape=(n, d), wanted=wanted)
        judge(value, _exchanged(updates, pairs), _network_mistakes(updates, pairs))
    few, many = (rng.integers(-99, 99, (4, columns)) for columns in (6, 60))
    sorts = sorted({name for _, name in calls_of(answer, few, FOUR)} & SORTS)
    require(not sorts, f"no sort: you called {''.join(sorts[:1])}. A pair needs a smaller and a "
                       "larger row, which NumPy makes of all columns at once.")  # fmt: skip
    short, long = (steps_of(answer, rows, FOUR) for rows in (few, many))
    require(long < short + 20, f"no loop over the columns: {few.shape[1]} columns take {short} "
                               f"steps of Python, {many.shape[1]} take {long}.")  # fmt: skip


def _in_order(a, b):
    return np.minimum(a, b), np.maximum(a, b)


def _exchanged(updates, pairs, swap=_in_order):
    rows = updates.copy()
    for i, j in pairs:
        rows[[i, j]] = swap(rows[i], rows[j])
    return rows


def _network_mistakes(updates, pairs):
    def with_swap(swap):
        return _exchanged(updates, pairs, swap)

    at_once = updates.copy()
    for i, j in pairs:
        at_once[[i, j]] = _in_order(updates[i], updates[j])
    return {
        "you write the smaller row before the larger one is taken, so a row is lost; compute both "
        "first.": with_swap(lambda a, b: (np.minimum(a, b), b)),
        "you write the larger row before the smaller one is taken, so a row is lost; compute both "
        "first.": with_swap(lambda a, b: (a, np.maximum(a, b))),
        "you put the larger one first; row i gets the smaller of the two.":
            with_swap(lambda a, b: _in_order(a, b)[::-1]),
        "you exchange whole rows by their first number; each column decides for itself.":
            with_swap(lambda a, b: (a, b) if a[0] <= b[0] else (b, a)),
        "you exchange whole rows by their sums; each column decides for itself.":
            with_swap(lambda a, b: (a, b) if a.sum() <= b.sum() else (b, a)),
        "you sorted the columns; do what the pairs say, no more.": np.sort(updates, axis=0),
        "you go through the pairs from the last to the first.": _exchanged(updates, pairs[::-1]),
        "you stop after the first pair; go through them all.": _exchanged(updates, pairs[:1]),
        "you compare the rows as given; each pair works on what the last one left.": at_once,
        "your rows came back as they were.": updates,
    }  # fmt: skip


@exercise("Exercise 17.3 b", "equations (17.1) and (17.7).")
def distances_from_blocks(answer):
    """`answer(blocks)` gives squared distances of rows that come in blocks of columns."""
    rng = np.random.default_rng(41)
    for n, widths in [(3, (2, 5, 1)), (5, (4,)), (4, (1, 1, 8)), (2, (3, 3))]:
        blocks = [rng.integers(-9, 10, (n, width)).astype(float) for width in widths]
        value = _from_iterator(answer, blocks)
        rows = np.concatenate(blocks, axis=1)
        gram, right = rows @ rows.T, _apart(rows)
        norms = np.diagonal(gram)
        mistakes = {
            "that is the Gram matrix; (17.1) makes distances of it.": gram,
            "only the last block counts in your table; add the blocks up.": _apart(blocks[-1]),
            "only the first block counts in your table; add the blocks up.": _apart(blocks[0]),
            "you took a root; the squared distances are wanted.": np.sqrt(right),
            "you add up distances of blocks; squared distances add up, distances do not.":
                sum(np.sqrt(_apart(block)) for block in blocks),
            "you average over the blocks; their products add up.": right / len(blocks),
            "you subtract the product once; (17.1) takes it twice.": norms[:, None] + norms - gram,
            "you add the product; (17.1) subtracts it twice.": norms[:, None] + norms + 2 * gram,
            "your signs are turned round: a squared distance is not negative.": -right,
        }  # fmt: skip
        judge(value, right, mistakes)
    single = [rng.integers(-9, 10, (3, 4)).astype(np.float32) + np.float32(4096) for _ in range(3)]
    right = _apart(np.concatenate(single, axis=1).astype(float))
    require(
        np.allclose(_from_iterator(answer, single), right, atol=1e-3),
        "float32 blocks with an offset of 4096 lose their distances; widen each block before you "
        "multiply.",
    )
    few, many = (_memory(answer, blocks) for blocks in (4, 40))
    require(
        many < 2 * few,
        "the rows are too long for memory, and you keep all blocks until the last has come: make "
        f"a table of each and let it go. 4 blocks take {few >> 10} KB, 40 take {many >> 10} KB.",
    )


def _from_iterator(answer, blocks):
    """The table of an answer that gets the blocks from an iterator, once."""
    n, handed, answer.given = len(blocks[0]), [block.copy() for block in blocks], (blocks,)
    try:
        value = answer.function(block for block in handed)
    except TypeError as error:
        if "generator" not in str(error):
            raise
        raise NotYet(
            "blocks come one by one from an iterator, which has no length and no places; "
            "take them in a for loop."
        ) from None
    require(all(map(np.array_equal, handed, blocks)), "your function changed a block.")
    require(value is not None, "your function returns None: it must end with `return`.")
    return array(value, (n, n), f"a table of {n} by {n} squared distances is wanted.")


def _memory(answer, blocks):
    """The most bytes that an answer holds at a time, while this many blocks come."""
    return memory_of(answer, (np.full((3, 3000), float(k)) for k in range(blocks)))


def _apart(rows):
    return ((rows[:, None] - rows) ** 2).sum(axis=-1)


@exercise("Exercise 17.3 c", "the section on slopes: the logarithm of a ratio over that of sizes.")
def steeper(answer):
    """`answer(cost, n, seeds)` is (low end, high end, word): the slope of a cost, minus one."""
    for power, n, seeds in [(1.3, 8, [*range(10)]), (0.8, 50, [*range(7)]), (1, 20, [*range(6)])]:

        def cost(n, seed, power=power):
            luck = np.random.default_rng([seed, n]).normal(0, 0.05)
            return 3 * n**power * 2**luck

        twice, once = (np.log2([cost(size, seed) for seed in seeds]) for size in (2 * n, n))
        found = ask(answer, cost, n, seeds, shape=None)
        judge_experiment(found, twice - 1, once, ("steeper", "flatter"), f"from n = {n}")
