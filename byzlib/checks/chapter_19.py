"""Checkers of chapter 19: masks that cancel, the choice by worst regret, a test of it, a radius."""

import itertools
import operator

import numpy as np

from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import NotYet, ask, exercise, judge, require, shape_of
from byzlib.experiments import clipping_radius

WHOLE = 2**32
# Seven defences by case. The right row and those of six likely mistakes are seven different rows.
TELLING = (
    ((75, 70, 56, 70, 89, 46, 76), (26, 26, 64, 33, 19, 61, 21), (35, 21, 30, 32, 27, 18, 73)),
    ((63, 47, 35, 40, 64, 48, 49), (45, 19, 25, 36, 13, 24, 36), (33, 42, 67, 29, 10, 57, 36)),
    ((64, 60, 49, 88, 76, 35, 60), (51, 20, 44, 40, 34, 34, 67), (57, 32, 53, 39, 84, 62, 57)),
)


@exercise("Exercise 19.3 a", "equation (19.3), and the example with 5, 7 and 1 below it.")
def mask_rows(answer):
    """`answer(rows, rng)` hides integer rows behind masks that cancel in their sum."""
    for n, d in [(2, 400), (4, 3), (5, 2)]:
        rows = np.random.default_rng(n).integers(-1000, 1000, (n, d))

        def masks(rng, rows=rows):
            return _whole(ask(answer, rows, rng, shape=None), rows.shape) - rows

        mask, again, other = (masks(np.random.default_rng(seed)) for seed in (7, 7, 8))
        hidden = (mask % WHOLE != 0).any(axis=1)
        require(hidden.all(), f"row {hidden.argmin()} comes back unmasked; each must be hidden.")
        require(
            (mask % WHOLE != mask[:, :1] % WHOLE).any(axis=1).all(),
            "one mask serves all columns of a row, so differences between columns show; draw one "
            "number for each column.",
        )
        require(
            not (mask.sum(axis=0) % WHOLE).any(),
            "your masks do not cancel in the sum: what is added to one row of a pair must be "
            "subtracted from the other.",
        )
        require(np.array_equal(mask, again), "draw with the rng that you are given, nothing else.")
        require(not np.array_equal(mask, other), "your masks do not depend on the rng.")
        if n == 2:
            _refuse_small(mask % WHOLE)
        _refuse_gaps(masks, mask)


def _refuse_small(mask):
    """Each of the 32 bits of a secret is drawn, as often 1 as 0."""
    bits = (mask[..., None] >> np.arange(32)) & 1
    ones = bits.mean(axis=1).max(axis=0), bits.mean(axis=1).min(axis=0)
    size = np.median(np.minimum(mask, WHOLE - mask))
    drawn = np.min(ones) > 0.3 and np.max(ones) < 0.7
    require(
        drawn and size > WHOLE / 16,
        "your masks are too small: a secret ranges over all of 0 .. 2^32 - 1, and a mask that does "
        "not leaves bits of the row to see.",
    )


def _refuse_gaps(masks, mask):
    """Every pair of rows shares a secret: a number that moves these two and no others.

    Found by drawing all numbers again, and changing one of them.
    """
    n, k, pairs = len(mask), 0, set()
    while True:
        rng = Changed(k)
        moved = (masks(rng) - mask) % WHOLE
        if rng.drawn <= k:
            break
        rows = tuple(np.flatnonzero(moved.any(axis=1)).tolist())
        one_pair = len(rows) in (0, 2)
        require(one_pair, f"one number that you draw moves the rows {rows}; a secret is for two.")
        pairs, k = pairs | {rows}, k + 1
        if n == 2 and rows:
            break
    missing = [pair for pair in itertools.combinations(range(n), 2) if pair not in pairs]
    require(
        not missing,
        f"rows {missing[0] if missing else ()} share no secret: whoever learns the secrets of the "
        f"others unmasks them. {n} rows have {n * (n - 1) // 2} pairs, and each draws a secret "
        "from the rng.",
    )


class Changed(np.random.Generator):
    """The generator of seed 7, but for the k-th of the numbers that it gives."""

    def __init__(self, k):
        super().__init__(np.random.default_rng(7).bit_generator)
        self.k, self.drawn = k, 0

    def __deepcopy__(self, memo):  # whoever hands it on as a copy still sees what was drawn
        return self

    def _changed(self, numbers, change):
        numbers, place = np.array(numbers), self.k - self.drawn
        self.drawn += numbers.size
        if 0 <= place < numbers.size:
            numbers.flat[place] = change(numbers.flat[place])
        return numbers if numbers.ndim else numbers[()]

    def integers(self, *args, **kwargs):
        return self._changed(super().integers(*args, **kwargs), lambda number: number ^ 1)

    def choice(self, *args, **kwargs):
        return self._changed(super().choice(*args, **kwargs), lambda number: number ^ 1)

    def bytes(self, length):
        numbers = np.frombuffer(super().bytes(length), np.uint8)
        return self._changed(numbers, lambda number: number ^ 1).tobytes()

    def random(self, *args, **kwargs):
        return self._changed(super().random(*args, **kwargs), lambda number: 1 - number)


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


@exercise("Exercise 19.3 b", "equation (19.1), and the example with two defences below it.")
def least_worst_regret(answer):
    """`answer(table)` is the row of smallest worst regret; larger scores are better."""
    shapes = [[[86, 20, 85], [80, 79, 78], [84, 75, 70], [70, 81, 60]], [[3, -5], [-1, -2]]]
    for table in [*np.array(TELLING, float).swapaxes(1, 2), *map(np.array, shapes)]:
        value = ask(answer, table, shape=None)
        try:
            place = operator.index(value)
        except TypeError:
            raise NotYet(f"the place of a row, an integer, is wanted; got {value!r}.") from None
        require(0 <= place < len(table), f"there are rows 0 .. {len(table) - 1}; got {place}.")
        right, mistakes = choices(table)
        worst = (table.max(axis=0) - table).max(axis=1)
        off = f"the worst regrets of the rows are {worst.tolist()}: row {right} has the least, and "
        off += f"you take row {place}."
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


@exercise("Exercise 19.3 c", "the section that tests the guide on runs it has not seen.")
def held_out(answer):
    """`answer(scores, rival)` is (low end, high end, word): a guide's gain on unseen seeds."""
    words = "guide", "rival"
    for seed, shape, gain in [(0, (10, 4, 3), 6), (1, (8, 5, 2), 0), (2, (6, 3, 4), -8)]:
        rng = np.random.default_rng(seed)
        scores = 70 + 5 * rng.normal(size=shape[1:]) + 3 * rng.normal(size=shape)
        scores[:, 0] -= gain
        found = ask(answer, scores, 0, shape=None)
        judge_experiment(found, *held_out_scores(scores, 0), words, f"with {shape[0]} seeds")


def held_out_scores(scores, rival):
    """Worst scores, a seed each, of the choice made without it and of the rival: (seeds, ...)."""
    chosen = []
    for seed, unseen in enumerate(scores):
        known = np.delete(scores, seed, axis=0).mean(axis=0)
        place, _ = choices(known)
        chosen.append(unseen[place].min())
    return np.array(chosen), scores[:, rival].min(axis=1)


@exercise("Exercise 19.3 d", "the radius in the section on a report of your own.")
def radius_among_lies(answer):
    """`answer(lengths, f)` is (radius, low, high): the middle length, and its honest shares."""
    for n, f in [(5, 1), (17, 3), (10, 2), (9, 4), (6, 0)]:
        lengths = np.random.default_rng(n).permutation(np.arange(1.0, n + 1) ** 1.5)
        wanted = "return three numbers: the radius, the low share, the high share."
        found = ask(answer, lengths, f, shape=(3,), wanted=wanted)
        right = clipping_radius(lengths, f)
        h, j, ordered = n - f, -(-n // 2), np.sort(lengths)
        mistakes = {
            "that is the mean of the middle two; one length of the round is wanted, rank n / 2.":
                [np.median(lengths), *right[1:]],
            "sort the lengths first: the middle one by size is wanted.":
                [lengths[j - 1], *right[1:]],
            "ranks count from 1, places from 0: that is the next longer one.":
                [ordered[min(j, n - 1)], *right[1:]],
            "shares are of the n - f honest lengths, not of all n.":
                [right.radius, (j - f) / n, j / n],
            "if all liars are below the radius, f of the j lengths up to it are theirs.":
                [right.radius, j / h, j / h],
            "liars above the radius take no honest rank away: up to j honest ones are no longer.":
                [right.radius, (j - f) / h, (j - f) / h],
            "the low share comes before the high one.": [right.radius, right.high, right.low],
        }  # fmt: skip
        judge(found, right, mistakes)
