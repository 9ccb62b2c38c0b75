"""Answers to the exercises of chapter 19: right ones, and wrong ones with their hint."""

import itertools

import numpy as np

from byzlib import checks
from tests.answers.experiment import answers

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


def mask_by_signs(rows, rng):
    """A table of secrets of all ordered pairs, from floats."""
    n, d = rows.shape
    secrets = (rng.random((n, n, d)) * WHOLE).astype(np.int64)
    return (rows + secrets.sum(axis=1) - secrets.sum(axis=0)) % WHOLE


def mask_with(draw):
    def run(rows, rng):
        masked = rows.astype(np.uint32)
        for i, j in itertools.combinations(range(len(rows)), 2):
            secret = draw(rng, rows.shape[1]).astype(np.uint32)
            masked[i] += secret
            masked[j] -= secret
        return masked

    return run


def unseen(scores, rival):
    """Worst scores of the choice on the other seeds, and of the rival."""
    chosen = []
    for seed in range(len(scores)):
        others = np.mean([s for i, s in enumerate(scores) if i != seed], axis=0)
        chosen.append(scores[seed, regret(others).max(axis=1).argmin()].min())
    return chosen, scores[:, rival].min(axis=1)


def seen(scores, rival):
    place = regret(scores.mean(axis=0)).max(axis=1).argmin()
    return scores[:, place].min(axis=1), scores[:, rival].min(axis=1)


HELD_OUT = answers(unseen, ("guide", "rival"))


def radius_by_rank(lengths, f):
    ranks = [sum(other <= x for other in lengths) for x in lengths]
    j = (len(lengths) + 1) // 2
    honest = len(lengths) - f
    return [lengths[ranks.index(j)], (j - f) / honest, j / honest]


def radius_of(radius=None, low=None, high=None):
    """The answer with one thing changed: functions of (lengths, j, f, n)."""

    def run(lengths, f):
        n, ordered = len(lengths), np.sort(lengths)
        j = -(-n // 2)
        parts = ordered[j - 1], (j - f) / (n - f), j / (n - f)
        changed = [change and change(lengths, j, f, n) for change in (radius, low, high)]
        return [part if new is None else new for part, new in zip(parts, changed, strict=True)]

    return run


RIGHT = [
    (checks.radius_among_lies, radius_by_rank),
    (checks.radius_among_lies, radius_of()),
    *[(checks.held_out, answer) for answer in HELD_OUT[0]],
    (checks.mask_rows, mask_by_signs),
    (checks.mask_rows, mask_with(lambda rng, d: rng.choice(WHOLE, d))),
    (checks.mask_rows, mask_with(lambda rng, d: np.frombuffer(rng.bytes(4 * d), np.uint32))),
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


def a_chain(n):
    return zip(range(n - 1), range(1, n), strict=True)


def a_ring(n):
    return a_chain(n) if n == 2 else [(i, (i + 1) % n) for i in range(n)]


def a_star(n):
    return [(0, i) for i in range(1, n)]


def last_takes_the_rest(rows, rng):
    mask = rng.integers(WHOLE, size=rows.shape)
    mask[-1] = -mask[:-1].sum(axis=0)
    return (rows + mask) % WHOLE


def one_for_all(rows, rng):
    """A number of one row is taken from all the others, in parts."""
    n, secret = len(rows), rng.integers(WHOLE, size=rows.shape)
    return (rows + (n - 1) * secret - (secret.sum(axis=0) - secret)) % WHOLE


WRONG = [
    (checks.radius_among_lies, radius_of(lambda x, j, f, n: np.median(x)), "the middle two"),
    (checks.radius_among_lies, radius_of(lambda x, j, f, n: x[j - 1]), "sort the lengths"),
    (checks.radius_among_lies, radius_of(lambda x, j, f, n: np.sort(x)[j]), "places from 0"),
    (
        checks.radius_among_lies,
        radius_of(low=lambda x, j, f, n: (j - f) / n, high=lambda x, j, f, n: j / n),
        "not of all n",
    ),
    (
        checks.radius_among_lies,
        radius_of(low=lambda x, j, f, n: j / (n - f)),
        "all liars are below",
    ),
    (
        checks.radius_among_lies,
        radius_of(high=lambda x, j, f, n: (j - f) / (n - f)),
        "take no honest rank away",
    ),
    (checks.radius_among_lies, lambda x, f: radius_of()(x, f)[:1], "return three numbers"),
    (
        checks.radius_among_lies,
        lambda x, f: [radius_of()(x, f)[k] for k in (0, 2, 1)],
        "low share comes before",
    ),
    *[(checks.held_out, answer, hint) for answer, hint in HELD_OUT[1]],
    (checks.held_out, answers(seen, ("guide", "rival"))[0][0], "is wanted at place"),
    *(
        (checks.mask_rows, masked(full, pairs), r"rows \(., .\) share no secret.*draws a secret")
        for pairs in (a_chain, a_ring, a_star)
    ),
    (checks.mask_rows, last_takes_the_rest, r"rows \(., .\) share no secret"),
    (checks.mask_rows, one_for_all, r"moves the rows \(0, 1, 2, 3\); a secret is for two"),
    (checks.mask_rows, masked(lambda rng, d: rng.integers(WHOLE // 2, size=d)), "too small"),
    (checks.mask_rows, masked(lambda rng, d: 2 * rng.integers(WHOLE // 2, size=d)), "leaves bits"),
    (checks.mask_rows, masked(lambda rng, d: rng.integers(-500, 500, size=d)), "too small"),
    (checks.least_worst_regret, lambda t: choose_by_array(t) + 1, r"you take row .\.\n.*table = "),
    (
        checks.least_worst_regret,
        lambda t: choose_by_array(np.resize(t, (7, 3))),
        r"there are rows 0 .. 1; got 2[^$]*table = ",
    ),
    (checks.mask_rows, lambda x, rng: [][0], "stopped with IndexError"),
    (checks.mask_rows, lambda x, rng: None, "returns None"),
    (checks.mask_rows, lambda x, rng: [[1], [1, 2]], r"yours has shape (None|\(\))"),
    (checks.mask_rows, lambda x, rng: x[0], r"shape \(2, 400\) are wanted"),
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
    (
        checks.mask_rows,
        masked(full, in_couples),
        r"rows \(0, 2\) share no secret.*4 rows have 6 pairs",
    ),
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
    (checks.least_worst_regret, second, "19.3 b"),
    (checks.least_worst_regret, sorted_in_place, "changed what it was given"),
]
