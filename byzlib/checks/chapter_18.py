"""Checkers of chapter 18: which replies a server takes, and whether asking more loses fewer."""

import numpy as np

from byzlib.aggregators import trimmed_mean
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge, refusal, require

NAN = [np.nan, 1.0]
# Who was asked, what came, and f.
ROUNDS = [
    ("abcde", [("e", [9, 0]), ("a", [1, 5]), ("d", [4, 1]), ("b", [2, 7]), ("c", [3, 3])], 1),
    ("abcdefg", [("a", [1, 5]), ("b", [2, 7]), ("c", [3, 3]), ("d", [4, 1]), ("g", [90, -90]),
                 ("f", NAN)], 2),
    ("abcdef", [("b", [0, 8]), ("a", [1, 5]), ("f", [50, 60]), ("c", [3, 3]), ("d", [7, 1]),
                ("f", [50, 60]), ("f", [55, 66]), ("e", [2, 2])], 2),
    ("abcde", [("a", [1, 5]), ("z", [70, 80]), ("b", [2, 7]), ("c", [3, 3]), ("d", [5, 0])], 1),
    ("abcdef", [("a", [1, 5, 6]), ("b", [2, 7]), ("c", [3, 3]), ("d", [5, 0]), ("e", [30, 31])], 2),
    ("abcdef", [*[("f", NAN)] * 4, ("a", [1, 5]), ("b", [2, 7]), ("c", [4, 4]), ("e", [8, 0])], 2),
]  # fmt: skip
LOST = [
    ("abcde", [("a", NAN), ("b", [2, 7]), ("c", NAN), ("d", [4, 1]), ("e", [3, 3])], 1),
    ("abcde", [("a", [1, 5]), ("b", [2, 7])], 1),
]


@exercise("Exercise 18.3 a", "the function `server_round`, and what follows it.")
def sort_replies(answer):
    """`answer(asked, replies, f)` is the trimmed mean of the replies that may be taken."""
    for asked, replies, f in ROUNDS:
        replies = [(node, np.array(row, float)) for node, row in replies]
        value = ask(answer, asked, tuple(replies), f, shape=(2,), wanted="Two numbers are wanted.")
        judge(value, _update(asked, replies, f), _mistakes(asked, replies, f))
    for asked, replies, f in LOST:
        replies = [(node, np.array(row, float)) for node, row in replies]
        value = refusal(answer, asked, tuple(replies), f)
        require(
            value is None,
            f"no such round may change the model: raise ValueError, not {value!r}. More than f "
            "were refused, or too few are left for the trimmed mean.",
        )


def _fine(row):
    return row.shape == (2,) and np.isfinite(row).all()


def _sorted(asked, replies, keep):
    """The rows of those whose replies `keep` lets in, and how many were refused."""
    own = {node: [row for who, row in replies if who == node] for node in asked}
    rows = {node: keep(found) for node, found in own.items() if found}
    return [row for row in rows.values() if row is not None], sum(
        row is None for row in rows.values()
    )


def _strict(found):
    return found[0] if len(found) == 1 and _fine(found[0]) else None


def _update(asked, replies, f):
    taken, refused = _sorted(asked, replies, _strict)
    return trimmed_mean(taken, f - refused)


def _mistakes(asked, replies, f):
    taken, refused = _sorted(asked, replies, _strict)
    silent = len(asked) - len(taken) - refused
    good = [row for _, row in replies if _fine(row)]
    known = [row for who, row in replies if who in asked and _fine(row)]
    broken = sum(not _fine(row) for _, row in replies)
    strangers = [row for who, row in replies if who not in asked and _fine(row)]

    def of(rows, trim):
        trim = max(trim, 0)
        legal = len(rows) > 2 * trim and len({row.shape for row in rows}) == 1
        return trimmed_mean(rows, trim) if legal else np.full(2, np.pi)

    def first(found):
        return found[0] if _fine(found[0]) else None

    def last(found):
        return found[-1] if _fine(found[-1]) else None

    return {
        "a refused node uses up one of the f liars; you still expect them all.": of(taken, f),
        "silence is no proof: a silent node leaves f as it is.":
            (of(taken, f - refused - silent), of(taken, f - silent)),
        "a node that answers twice is refused; you keep one of its answers.":
            tuple(of(*_counted(asked, replies, f, keep)) for keep in (first, last)),
        "a node that answers twice is refused; you count each of its answers as a client.":
            (of(known, f - broken), of(known, f - refused)),
        "count refused nodes, not messages: one of them sends several.": of(taken, f - broken),
        "you take an answer of somebody who was not asked.":
            (of(taken + strangers, f - refused), of(good, f - refused)),
        "you average what is left; the trimmed mean is wanted.": of(taken, 0),
    }  # fmt: skip


def _counted(asked, replies, f, keep):
    rows, refused = _sorted(asked, replies, keep)
    return rows, f - refused


@exercise("Exercise 18.3 b", "equation (18.2), and the table of samples below it.")
def asking_more(answer):
    """`answer(lost, k, seeds)` is (low end, high end, word): rounds lost with k, less with 2 k."""
    for gain, k, seeds in [(0.05, 5, [*range(10)]), (-0.04, 8, [*range(7)]), (0, 6, [*range(6)])]:

        def lost(asked, seed, gain=gain, k=k):
            luck = np.random.default_rng([seed, asked]).normal(0, 0.01)
            return 0.2 - gain * (asked > k) + luck

        once, twice = ([lost(size, seed) for seed in seeds] for size in (k, 2 * k))
        found = ask(answer, lost, k, seeds, shape=None)
        judge_experiment(found, once, twice, ("fewer", "more"), f"from k = {k}")
