"""Answers to the exercises of chapter 17: right ones, and wrong ones with their hint."""

import math

import numpy as np

from byzlib import checks
from tests.answers.experiment import answers


def network_by_minimum(x, pairs):
    rows = x.copy()
    for i, j in pairs:
        rows[i], rows[j] = np.minimum(rows[i], rows[j]), np.maximum(rows[i], rows[j])
    return rows


def network_by_where(x, pairs):
    rows = list(x)
    for i, j in pairs:
        larger = rows[i] > rows[j]
        rows[i], rows[j] = (
            np.where(larger, rows[j], rows[i]),
            np.where(larger, rows[i], rows[j]),
        )
    return rows


def network_by_reading(x, pairs):
    rows = dict(enumerate(x))
    for i, j in pairs:
        pair = np.stack([rows[i], rows[j]])
        rows[i], rows[j] = pair.min(axis=0), pair.max(axis=0)
    return [rows[i] for i in range(len(x))]


def network_by_comprehension(x, pairs):
    rows = x.copy()
    for i, j in pairs:
        rows[i], rows[j] = zip(*[(min(a, b), max(a, b)) for a, b in rows[[i, j]].T])
    return rows


def network_by_sort(x, pairs):
    rows = x.copy()
    for i, j in pairs:
        rows[[i, j]] = np.sort(rows[[i, j]], axis=0)
    return rows


def network_by_sort_in_place(x, pairs):
    rows = x.copy()
    for i, j in pairs:
        pair = rows[[i, j]]
        pair.sort(axis=0)
        rows[[i, j]] = pair
    return rows


def network_by_loop(x, pairs):
    table = x.tolist()
    for i, j in pairs:
        for k in range(len(table[0])):
            if table[i][k] > table[j][k]:
                table[i][k], table[j][k] = table[j][k], table[i][k]
    return table


def distances_by_gram(blocks):
    G = sum(b.astype(float) @ b.astype(float).T for b in blocks)
    return np.diagonal(G)[:, None] + np.diagonal(G) - 2 * G


def distances_by_subtraction(blocks):
    total = 0
    for block in blocks:
        wide = np.asarray(block, float)
        total = total + ((wide[:, None] - wide) ** 2).sum(axis=-1)
    return total


def distances_one_pair_at_a_time(blocks):
    total = None
    for block in blocks:
        n = len(block)
        total = np.zeros((n, n)) if total is None else total
        for i in range(n):
            for j in range(n):
                total[i, j] += np.sum((block[i].astype(float) - block[j]) ** 2)
    return total


def distances_of_list(blocks):
    return distances_by_gram([block.astype(float) for block in blocks])


def distances_of_all(blocks):
    rows = np.concatenate(list(blocks), axis=1).astype(float)
    return [[((a - b) ** 2).sum() for b in rows] for a in rows]


def doubled(cost, n, seeds):
    """Logarithm of the cost of twice as much, less one, and of the cost, seed by seed."""
    return [
        [math.log2(cost(2 * n, seed)) - 1 for seed in seeds],
        [math.log2(cost(n, seed)) for seed in seeds],
    ]


def no_logarithm(cost, n, seeds):
    return [cost(2 * n, seed) / cost(n, seed) for seed in seeds], [1] * len(seeds)


STEEPER = answers(doubled, ("steeper", "flatter"))


RIGHT = [
    *[(checks.steeper, answer) for answer in STEEPER[0]],
    (checks.run_network, network_by_minimum),
    (checks.run_network, network_by_where),
    (checks.run_network, network_by_reading),
    (checks.distances_from_blocks, distances_by_gram),
    (checks.distances_from_blocks, distances_by_subtraction),
    (checks.distances_from_blocks, distances_one_pair_at_a_time),
]


def network(step):
    """Run a network with a wrong step on two rows."""

    def run(x, pairs):
        rows = x.copy()
        for i, j in pairs:
            step(rows, i, j)
        return rows

    return run


def smaller_first(rows, i, j):
    rows[i] = np.minimum(rows[i], rows[j])
    rows[j] = np.maximum(rows[i], rows[j])


def larger_first(rows, i, j):
    rows[j] = np.maximum(rows[i], rows[j])
    rows[i] = np.minimum(rows[i], rows[j])


def turned(rows, i, j):
    rows[[i, j]] = np.sort(rows[[i, j]], axis=0)[::-1]


def by_first_number(rows, i, j):
    if rows[i, 0] > rows[j, 0]:
        rows[[i, j]] = rows[[j, i]]


def by_sum(rows, i, j):
    if rows[i].sum() > rows[j].sum():
        rows[[i, j]] = rows[[j, i]]


def in_place(x, pairs):
    for i, j in pairs:
        x[[i, j]] = np.sort(x[[i, j]], axis=0)
    return x


def as_given(x, pairs):
    rows = x.copy()
    for i, j in pairs:
        rows[[i, j]] = np.sort(x[[i, j]], axis=0)
    return rows


def gram(blocks):
    return sum(b.astype(float) @ b.astype(float).T for b in blocks)


def apart(rows):
    return ((rows[:, None] - rows) ** 2).sum(axis=-1)


def combined(a, b):
    def run(blocks):
        G = gram(blocks)
        return a * np.add.outer(np.diagonal(G), np.diagonal(G)) + b * G

    return run


def spoiled(blocks):
    total = 0
    for block in blocks:
        total = total + apart(block.astype(float))
        block += 1
    return total


def averaged(blocks):
    parts = [apart(block.astype(float)) for block in blocks]
    return sum(parts) / len(parts)


def in_single(blocks):
    G = sum(b @ b.T for b in blocks)
    return np.diagonal(G)[:, None] + np.diagonal(G) - 2 * G


WRONG = [
    *[(checks.steeper, answer, hint) for answer, hint in STEEPER[1]],
    (checks.steeper, answers(no_logarithm, ("steeper", "flatter"))[0][0], "is wanted at place"),
    (checks.run_network, network_by_loop, r"no loop over the columns: 6 .*, 60 "),
    (checks.run_network, network_by_comprehension, "no loop over the columns"),
    (checks.run_network, network_by_sort, "no sort: you called sort"),
    (checks.run_network, network_by_sort_in_place, "no sort: you called sort"),
    (checks.distances_from_blocks, distances_of_all, "keep all blocks until the last"),
    (checks.distances_from_blocks, distances_of_list, "keep all blocks until the last"),
    (checks.run_network, lambda x, p: None, "returns None"),
    (checks.run_network, lambda x, p: "rows", "4 rows of 6"),
    (checks.run_network, lambda x, p: x[0], r"shape \(6,\), not \(4, 6\)"),
    (checks.run_network, lambda x, p: np.full(x.shape, np.nan), "finite number is wanted"),
    (checks.run_network, in_place, "work on a copy"),
    (checks.run_network, network(smaller_first), "the smaller row before the larger"),
    (checks.run_network, network(larger_first), "the larger row before the smaller"),
    (checks.run_network, network(turned), "the larger one first"),
    (checks.run_network, network(by_first_number), "by their first number"),
    (checks.run_network, network(by_sum), "by their sums"),
    (checks.run_network, lambda x, p: np.sort(x, axis=0), "do what the pairs say"),
    (checks.run_network, lambda x, p: network_by_minimum(x, p[::-1]), "from the last to the first"),
    (checks.run_network, lambda x, p: network_by_minimum(x, p[:1]), "after the first pair"),
    (checks.run_network, as_given, "what the last one left"),
    (checks.run_network, lambda x, p: x.copy(), "as they were"),
    (checks.distances_from_blocks, lambda b: [][1], "stopped with IndexError"),
    (checks.distances_from_blocks, lambda b: 3 + "x", "stopped with TypeError"),
    (checks.distances_from_blocks, lambda b: distances_by_gram([b[0]]), "in a for loop"),
    (checks.distances_from_blocks, lambda b: len(b), "in a for loop"),
    (checks.distances_from_blocks, lambda b: {"a": 1}, "3 by 3 squared distances"),
    (checks.distances_from_blocks, lambda b: np.concatenate(list(b), axis=1), "Yours has shape"),
    (checks.distances_from_blocks, lambda b: 0 * gram(b) + np.nan, "finite number is wanted"),
    (checks.distances_from_blocks, spoiled, "changed a block"),
    (checks.distances_from_blocks, gram, "that is the Gram matrix"),
    (checks.distances_from_blocks, lambda b: apart(list(b)[-1]), "only the last block"),
    (checks.distances_from_blocks, lambda b: apart(next(b)), "only the first block"),
    (checks.distances_from_blocks, lambda b: np.sqrt(distances_by_subtraction(b)), "took a root"),
    (checks.distances_from_blocks, lambda b: sum(np.sqrt(apart(x)) for x in b), "distances do not"),
    (checks.distances_from_blocks, averaged, "average over the blocks"),
    (checks.distances_from_blocks, combined(1, -1), "takes it twice"),
    (checks.distances_from_blocks, combined(1, 2), "you add the product"),
    (checks.distances_from_blocks, combined(-1, 2), "turned round"),
    (checks.distances_from_blocks, combined(1, -1.5), "is wanted at place"),
    (checks.distances_from_blocks, in_single, "widen each block"),
]
