"""Checkers of chapter 14: a sorting network over rows, distances from blocks of columns."""

import numpy as np

from byzlib.checks._form import NotYet, array, exercise, require

FOUR = ((0, 2), (1, 3), (0, 1), (2, 3), (1, 2))
NETWORKS = (FOUR, ((0, 1),), ((1, 2), (0, 1)), ((0, 3), (0, 1)), ())


@exercise("Exercise 14.3 a", "the function `exchange` in the section on sorting without looking.")
def run_network(answer):
    """`answer(updates, pairs)` puts the pairs of rows in order, one after the other."""
    rng = np.random.default_rng(14)
    for pairs in NETWORKS:
        updates = rng.integers(-9, 10, (4, 6)).astype(float)
        given = updates.copy()
        value = answer(updates, list(pairs))
        require(
            np.array_equal(updates, given),
            "your function changed the rows that it was given; work on a copy.",
        )
        require(value is not None, "your function returns nothing; return the rows.")
        value = array(value, (4, 6), "four rows of six numbers are wanted.")
        right = _exchanged(updates, pairs)
        if np.array_equal(value, right):
            continue
        for wrong, hint in _network_mistakes(updates, pairs):
            require(not np.array_equal(value, wrong), hint)
        require(False, f"after the pairs {list(pairs)} row 0 is {value[0]}, not {right[0]}.")


def _exchanged(updates, pairs, swap=None):
    rows = updates.copy()
    for i, j in pairs:
        rows[[i, j]] = swap(rows[i], rows[j]) if swap else np.sort(rows[[i, j]], axis=0)
    return rows


def _network_mistakes(updates, pairs):
    yield (
        _exchanged(
            updates, pairs, lambda a, b: (np.minimum(a, b), np.maximum(np.minimum(a, b), b))
        ),
        "you write the smaller row before the larger one is taken, so a row is lost; "
        "compute both first.",
    )
    yield (
        _exchanged(
            updates, pairs, lambda a, b: (np.minimum(a, np.maximum(a, b)), np.maximum(a, b))
        ),
        "you write the larger row before the smaller one is taken, so a row is lost; "
        "compute both first.",
    )
    yield (
        _exchanged(updates, pairs, lambda a, b: (np.maximum(a, b), np.minimum(a, b))),
        "you put the larger one first; row i gets the smaller of the two.",
    )
    yield (
        _exchanged(updates, pairs, lambda a, b: (a, b) if a[0] <= b[0] else (b, a)),
        "you exchange whole rows by their first number; each column decides for itself.",
    )
    yield (
        _exchanged(updates, pairs, lambda a, b: (a, b) if a.sum() <= b.sum() else (b, a)),
        "you exchange whole rows by their sums; each column decides for itself.",
    )
    if len(pairs) < len(FOUR):
        yield np.sort(updates, axis=0), "you sorted the columns; do what the pairs say, no more."
    yield _exchanged(updates, pairs[::-1]), "you go through the pairs from the last to the first."
    if len(pairs) > 1:
        yield _exchanged(updates, pairs[:1]), "you stop after the first pair; go through them all."
        at_once = updates.copy()
        for i, j in pairs:
            at_once[[i, j]] = np.sort(updates[[i, j]], axis=0)
        yield at_once, "you compare the rows as given; each pair works on what the last one left."
    yield updates, "your rows came back as they were."


@exercise("Exercise 14.3 b", "equations (14.1) and (14.7).")
def distances_from_blocks(answer):
    """`answer(blocks)` gives squared distances of rows that come in blocks of columns."""
    rng = np.random.default_rng(41)
    for n, widths in [(3, (2, 5, 1)), (5, (4,)), (4, (1, 1, 8)), (2, (3, 3))]:
        blocks = [rng.integers(-9, 10, (n, width)).astype(float) for width in widths]
        given = [block.copy() for block in blocks]
        value = _from(answer, blocks)
        require(
            all(np.array_equal(a, b) for a, b in zip(blocks, given, strict=True)),
            "your function changed a block.",
        )
        value = array(value, (n, n), f"a table of {n} by {n} squared distances is wanted.")
        right = _apart(np.concatenate(blocks, axis=1))
        if np.allclose(value, right, atol=1e-8):
            continue
        for wrong, hint in _distance_mistakes(blocks, right):
            require(not np.allclose(value, wrong, atol=1e-8), hint)
        require(False, f"the distance of the first two rows came to {value[0, 1]}, "
                f"not {right[0, 1]}.")  # fmt: skip
    single = [rng.integers(-9, 10, (3, 4)).astype(np.float32) + np.float32(4096) for _ in range(3)]
    value = array(_from(answer, single), (3, 3), "a table of 3 by 3 is wanted.")
    require(
        np.allclose(value, _apart(np.concatenate(single, axis=1).astype(float)), atol=1e-3),
        "float32 blocks with an offset of 4096 lose their distances; widen each block before you "
        "multiply.",
    )


def _from(answer, blocks):
    """The answer from an iterator: blocks cannot be asked for twice."""
    try:
        return answer(block for block in blocks)
    except TypeError as error:
        if "generator" in str(error):
            raise NotYet(
                "blocks come one by one from an iterator, which has no length and no places; "
                "take them in a for loop."
            ) from None
        raise


def _apart(rows):
    return ((rows[:, None] - rows) ** 2).sum(axis=-1)


def _distance_mistakes(blocks, right):
    rows = np.concatenate(blocks, axis=1)
    gram = rows @ rows.T
    norms = np.diagonal(gram)
    yield gram, "that is the Gram matrix; (14.1) makes distances of it."
    if len(blocks) > 1:
        yield _apart(blocks[-1]), "only the last block counts in your table; add the blocks up."
        yield _apart(blocks[0]), "only the first block counts in your table; add the blocks up."
    yield np.sqrt(right), "you took a root; the squared distances are wanted."
    if len(blocks) > 1:
        yield (
            sum(np.sqrt(_apart(block)) for block in blocks),
            "you add up distances of blocks; squared distances add up, distances do not.",
        )
        yield right / len(blocks), "you average over the blocks; their products add up."
    yield norms[:, None] + norms - gram, "you subtract the product once; (14.1) takes it twice."
    yield norms[:, None] + norms + 2 * gram, "you add the product; (14.1) subtracts it twice."
    yield -right, "your signs are turned round: a squared distance is not negative."
