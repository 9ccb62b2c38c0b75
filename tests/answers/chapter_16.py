"""Answers to the exercises of chapter 16: right ones, and wrong ones with their hint."""

import itertools

import numpy as np

from byzlib import checks

WHOLE = 2**32


def mask_by_pairs(rows, rng):
    masked = rows.astype(np.uint32)
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            secret = rng.integers(WHOLE, size=rows.shape[1], dtype=np.uint32)
            masked[i] += secret
            masked[j] -= secret
    return masked


def mask_by_table(rows, rng):
    n, d = rows.shape
    secrets = np.triu(rng.integers(WHOLE, size=(d, n, n)), 1)
    return ((rows.T + secrets.sum(axis=2) - secrets.sum(axis=1)) % WHOLE).T


def mask_in_plain_python(rows, rng):
    table = [[int(x) for x in row] for row in rows]
    for j in range(len(table)):
        for i in range(j):
            for k in range(len(table[0])):
                secret = int(rng.integers(WHOLE))
                table[i][k] = (table[i][k] + secret) % WHOLE
                table[j][k] = (table[j][k] - secret) % WHOLE
    return table


def choose_by_array(table):
    return (table.max(axis=0) - table).max(axis=1).argmin()


def choose_by_loop(table):
    best = [max(column) for column in zip(*table, strict=True)]
    worst = [max(b - x for b, x in zip(best, row, strict=True)) for row in table]
    return worst.index(min(worst))


RIGHT = [
    (checks.mask_rows, mask_by_pairs),
    (checks.mask_rows, mask_by_table),
    (checks.mask_rows, mask_in_plain_python),
    (checks.least_worst_regret, choose_by_array),
    (checks.least_worst_regret, choose_by_loop),
]


def every_pair(n):
    return itertools.combinations(range(n), 2)


def masked(secret_of, pairs_of=every_pair, sign=-1):
    """Masks of pairs with one thing wrong."""

    def run(rows, rng):
        n, d = rows.shape
        value = rows.copy()
        for i, j in pairs_of(n):
            secret = secret_of(rng, d)
            value[i] += secret
            value[j] += sign * secret
        return value % WHOLE

    return run


def full(rng, d):
    return rng.integers(WHOLE, size=d)


def spoiled(rows, rng):
    value = mask_by_pairs(rows, rng)
    rows += 1
    return value


def own_rng(rows, rng):
    return mask_by_pairs(rows, np.random.default_rng())


def fixed_rng(rows, rng):
    return mask_by_pairs(rows, np.random.default_rng(0))


def without_the_last(rows, rng):
    return np.vstack([mask_by_pairs(rows[:-1], rng), rows[-1:] % WHOLE]).astype(np.int64)


def in_couples(n):
    return [(i, i + 1) for i in range(0, n - 1, 2)] + ([(n - 2, n - 1)] if n % 2 else [])


def regret(table):
    return table.max(axis=0) - table


def sorted_in_place(table):
    value = choose_by_array(table)
    table.sort(axis=0)
    return value


def second(table):
    """The row whose worst regret is the second smallest."""
    return np.argsort(regret(table).max(axis=1))[1]


WRONG = [
    (checks.mask_rows, lambda x, rng: [][0], "stopped with IndexError"),
    (checks.mask_rows, lambda x, rng: None, r"yours has shape (None|\(\))"),
    (checks.mask_rows, lambda x, rng: [[1], [1, 2]], r"yours has shape (None|\(\))"),
    (checks.mask_rows, lambda x, rng: x[0], r"shape \(2, 50\) are wanted"),
    (checks.mask_rows, lambda x, rng: np.full(x.shape, np.nan), "Floats lose digits"),
    (checks.mask_rows, lambda x, rng: x + rng.normal(size=x.shape), "masked rows are integers"),
    (checks.mask_rows, lambda x, rng: x + full(rng, 1) + WHOLE, "modulo 2.32"),
    (checks.mask_rows, lambda x, rng: x.copy() - 5000, "modulo 2.32"),
    (checks.mask_rows, lambda x, rng: x % WHOLE, "unmasked"),
    (checks.mask_rows, without_the_last, "unmasked"),
    (checks.mask_rows, masked(lambda rng, d: rng.integers(WHOLE)), "one number for each column"),
    (checks.mask_rows, masked(full, sign=1), "do not cancel in the sum"),
    (checks.mask_rows, lambda x, rng: (x + rng.integers(WHOLE, size=x.shape)) % WHOLE, "cancel"),
    (checks.mask_rows, own_rng, "nothing else"),
    (checks.mask_rows, fixed_rng, "do not depend on the rng"),
    (checks.mask_rows, masked(lambda rng, d: rng.integers(1000, size=d)), "too small"),
    (checks.mask_rows, masked(full, in_couples), "cancel among themselves"),
    (checks.mask_rows, spoiled, "changed what it was given"),
    (checks.least_worst_regret, lambda t: np.nan, "an integer, is wanted; got nan"),
    (checks.least_worst_regret, lambda t: regret(t).max(axis=1), "an integer, is wanted"),
    (checks.least_worst_regret, lambda t: 70, r"there are rows 0 .. 6; got 70"),
    (checks.least_worst_regret, lambda t: t.mean(axis=1).argmax(), "the best average"),
    (checks.least_worst_regret, lambda t: t.max(axis=1).argmax(), "the highest score"),
    (checks.least_worst_regret, lambda t: t.min(axis=1).argmax(), "the best worst score"),
    (checks.least_worst_regret, lambda t: regret(t).max(axis=1).argmax(), "largest worst regret"),
    (
        checks.least_worst_regret,
        lambda t: (t.max(axis=1, keepdims=True) - t).max(axis=1).argmin(),
        "columns, not rows",
    ),
    (checks.least_worst_regret, lambda t: regret(t).min(axis=1).argmax(), "take the worst"),
    (checks.least_worst_regret, second, "16.3 b"),
    (checks.least_worst_regret, sorted_in_place, "changed what it was given"),
]
