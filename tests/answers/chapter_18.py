"""Answers to the exercises of chapter 18: right ones, and wrong ones with their hint."""

from collections import defaultdict

import numpy as np

from byzlib import checks
from byzlib.aggregators import trimmed_mean
from tests.answers.experiment import answers


def fine(row):
    return np.shape(row) == (2,) and bool(np.isfinite(row).all())


def by_node(asked, replies, f):
    taken, refused = [], 0
    for node in asked:
        own = [row for who, row in replies if who == node]
        if len(own) == 1 and fine(own[0]):
            taken.append(own[0])
        elif own:
            refused += 1
    if refused > f:
        raise ValueError("too many refused")
    return trimmed_mean(np.array(taken), f - refused)


def by_dictionary(asked, replies, f):
    heard = defaultdict(list)
    for node, row in replies:
        if node in set(asked):
            heard[node].append(row)
    good = {node: rows[0] for node, rows in heard.items() if len(rows) == 1 and fine(rows[0])}
    trim = f - (len(heard) - len(good))
    if trim < 0 or len(good) <= 2 * trim:
        raise ValueError("a round without an answer")
    ordered = np.sort(np.array(list(good.values())), axis=0)
    return ordered[trim : len(good) - trim].mean(axis=0).tolist()


def sort(keep=lambda own: own[0] if len(own) == 1 and fine(own[0]) else None,
         left=lambda f, refused, silent, broken: f - refused, among=None,
         rule=trimmed_mean):  # fmt: skip
    """A server with some of its parts changed."""

    def answer(asked, replies, f):
        own = {node: [row for who, row in replies if who == node] for node in asked}
        if among:
            own = {k: [row] for k, row in enumerate(among(asked, replies))}
        rows = {node: keep(found) for node, found in own.items() if found}
        taken = [row for row in rows.values() if row is not None]
        refused, silent = len(rows) - len(taken), len(asked) - len(rows)
        broken = sum(not fine(row) for _, row in replies)
        trim = left(f, refused, silent, broken)
        if trim < 0:
            raise ValueError("too many")
        return rule(np.array(taken), trim)

    return answer


def first(own):
    return own[0] if fine(own[0]) else None


def last(own):
    return own[-1] if fine(own[-1]) else None


def of_messages(asked, replies):
    return [row for who, row in replies if who in asked]


def by_sender(asked, replies, f):
    return by_node(dict.fromkeys(who for who, _ in replies), replies, f)


def counted(lost, k, seeds):
    """Rounds lost with k and with 2 k, seed by seed."""
    return [[lost(size, seed) for seed in seeds] for size in (k, 2 * k)]


MORE = answers(counted, ("fewer", "more"))

RIGHT = [
    *[(checks.asking_more, answer) for answer in MORE[0]],
    (checks.sort_replies, by_node),
    (checks.sort_replies, by_dictionary),
    (checks.sort_replies, sort()),
]

WRONG = [
    *[(checks.asking_more, answer, hint) for answer, hint in MORE[1]],
    (checks.sort_replies, lambda a, r, f: None, "returns None"),
    (checks.sort_replies, lambda a, r, f: 3.0, "Two numbers are wanted"),
    (checks.sort_replies, sort(left=lambda f, r, s, b: f), "you still expect them all"),
    (checks.sort_replies, sort(left=lambda f, r, s, b: max(f - r - s, 0)), "silence is no proof"),
    (checks.sort_replies, sort(keep=first), "you keep one of its answers"),
    (checks.sort_replies, sort(keep=last), "you keep one of its answers"),
    (checks.sort_replies, sort(keep=first, among=of_messages), "each of its answers as a client"),
    (checks.sort_replies, sort(left=lambda f, r, s, b: max(f - b, 0)), "not messages"),
    (checks.sort_replies, by_sender, "who was not asked"),
    (checks.sort_replies, sort(rule=lambda x, f: x.mean(axis=0)), "the trimmed mean is wanted"),
    (checks.sort_replies, lambda a, r, f: sort(left=lambda f, r, s, b: max(f - r, 0))(a, r, f),
     "may change the model"),
]  # fmt: skip
