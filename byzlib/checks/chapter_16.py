"""Checkers of chapter 16: masks that cancel in the sum, the choice by worst regret."""

import itertools
import operator

import numpy as np

from byzlib.checks._form import NotYet, ask, exercise, judge, require, shape_of

WHOLE = 2**32
# Seven defences by case. The right row and those of six likely mistakes are seven different rows.
TELLING = (
    ((75, 70, 56, 70, 89, 46, 76), (26, 26, 64, 33, 19, 61, 21), (35, 21, 30, 32, 27, 18, 73)),
    ((63, 47, 35, 40, 64, 48, 49), (45, 19, 25, 36, 13, 24, 36), (33, 42, 67, 29, 10, 57, 36)),
    ((64, 60, 49, 88, 76, 35, 60), (51, 20, 44, 40, 34, 34, 67), (57, 32, 53, 39, 84, 62, 57)),
)


@exercise("Exercise 16.3 a", "equation (16.3), and the example with 5, 7 and 1 below it.")
def mask_rows(answer):
    """`answer(rows, rng)` hides integer rows behind masks that cancel in their sum."""
    for n, d in [(2, 50), (4, 200), (5, 60)]:
        rows = np.random.default_rng(n).integers(-1000, 1000, (n, d))
        value, again, other = (
            _whole(ask(answer, rows, np.random.default_rng(seed), shape=None), (n, d))
            for seed in (7, 7, 8)
        )
        mask = (value - rows) % WHOLE
        hidden = (mask != 0).any(axis=1).all()
        require(hidden, "some row comes back unmasked; each must be hidden.")
        require(
            (mask != mask[:, :1]).any(axis=1).all(),
            "one mask serves all columns of a row, so differences between columns show; draw one "
            "number for each column.",
        )
        require(
            not (mask.sum(axis=0) % WHOLE).any(),
            "your masks do not cancel in the sum: what is added to one row of a pair must be "
            "subtracted from the other.",
        )
        require(np.array_equal(value, again), "draw with the rng that you are given, nothing else.")
        require(not np.array_equal(value, other), "your masks do not depend on the rng.")
        size = np.median(np.minimum(mask, WHOLE - mask))
        require(
            0.3 < (mask >= WHOLE // 2).mean() < 0.7 and size > WHOLE / 16,
            "your masks are too small: a secret ranges over all of 0 .. 2^32 - 1.",
        )
        for k in range(2, n):
            for part in itertools.combinations(range(n), k):
                require(
                    (mask[list(part)].sum(axis=0) % WHOLE).any(),
                    f"the masks of rows {part} cancel among themselves, so their sum shows; every "
                    "pair of rows shares a secret.",
                )


def _whole(value, shape):
    """The answer as int64, if it holds integers below 2^32."""
    got = shape_of(value)
    require(got == shape, f"masked rows of shape {shape} are wanted; yours has shape {got}.")
    table = np.asarray(value)
    require(
        table.dtype.kind in "iu",
        f"masked rows are integers; yours are of type {table.dtype}. Floats lose digits.",
    )
    require(
        int(table.min()) >= 0 and int(table.max()) < WHOLE,
        "some number lies outside 0 .. 2^32 - 1; take all modulo 2^32.",
    )
    return table.astype(np.int64)


@exercise("Exercise 16.3 b", "equation (16.1), and the example with two defences below it.")
def least_worst_regret(answer):
    """`answer(table)` is the row of smallest worst regret; larger scores are better."""
    for table in np.array(TELLING, float).swapaxes(1, 2):
        value = ask(answer, table, shape=None)
        try:
            place = operator.index(value)
        except TypeError:
            raise NotYet(f"the place of a row, an integer, is wanted; got {value!r}.") from None
        require(0 <= place < len(table), f"there are rows 0 .. {len(table) - 1}; got {place}.")
        right, mistakes = choices(table)
        off = f"of {table.tolist()} you take row {place}; row {right} is wanted."
        judge(place, right, mistakes, off)


def choices(table):
    """The right row, and those that likely mistakes take: hint -> row."""
    regret = table.max(axis=0) - table
    own = table.max(axis=1, keepdims=True) - table
    return regret.max(axis=1).argmin(), {
        "you take the best average; liars choose the worst case.": table.mean(axis=1).argmax(),
        "you take the highest score of all; regret looks at the lag.": table.max(axis=1).argmax(),
        "you take the best worst score; regret is what a defence lags behind the best of a "
        "case, and a case may be hard for everybody.": table.min(axis=1).argmax(),
        "you take the largest worst regret; the smallest is wanted.": regret.max(axis=1).argmax(),
        "you compare with the best case of the same defence; compare with the best defence of "
        "the same case: columns, not rows.": own.max(axis=1).argmin(),
        "you take the smallest regret of each row; take the worst.": regret.min(axis=1).argmax(),
    }
