"""Answers to the exercises of chapter 09: right ones, and wrong ones with their hint."""

import numpy as np

from byzlib import checks
from byzlib.aggregators import mean, median
from byzlib.federated import ByzantineFL, SimpleModel
from tests.answers.experiment import answers


def overtaken_by_cases(shares):
    down, flat, up = shares
    if flat > max(down, up):
        return 1
    if down > up:
        down, up = up, down
    return min(0.5, (up - flat) / (up - down))


def overtaken_by_order(shares):
    low, high = sorted((shares[0], shares[2]))
    return np.minimum(0.5, (high - shares[1]) / (high - low)) if shares[1] < high else np.float64(1)


def overtaken_by_search(shares):
    """Where the likeliest class stops being it, halved thirty times."""
    first, low, high = np.argmax(shares), 0.0, 1.0
    if first == 1:
        return 1.0
    for _ in range(40):
        alpha = (low + high) / 2
        pooled = (1 - alpha) * shares + alpha * shares[::-1]
        low, high = (alpha, high) if pooled.argmax() == first else (low, alpha)
    return low


def success(crowds, bars, batch, rule=median):
    network = SimpleModel(3, 8, 2)
    learning = ByzantineFL(network, list(crowds), rule, 2, learning_rate=0.5, batch_size=batch)
    theta = learning.run(40, seeds=len(crowds), trust=False).theta
    return (network.predict(theta, bars) == 0).mean(axis=-1)


def opened(crowds, bars, batch):
    return success(crowds, bars, batch), success(crowds, bars, None)


def opened_under_the_mean(crowds, bars, batch):
    return success(crowds, bars, batch, mean), success(crowds, bars, None, mean)


DOOR = answers(opened, ("batches", "all bars"))

RIGHT = [
    (checks.overtaken, overtaken_by_cases),
    (checks.overtaken, overtaken_by_order),
    (checks.overtaken, overtaken_by_search),
    *[(checks.door_trial, answer) for answer in DOOR[0]],
]


def unless_flat(border):
    """1 where Flat is the likeliest, else border(likelier, flat, other)."""

    def wrong(shares):
        down, flat, up = shares
        likely, other = max(down, up), min(down, up)
        return 1.0 if flat > likely else border(likely, flat, other)

    return wrong


def up_for_granted(shares):
    down, flat, up = shares
    return 1.0 if flat > max(down, up) else min(0.5, (up - flat) / (up - down))


def flat_forgotten(shares):
    down, flat, up = shares
    return min(0.5, (max(down, up) - flat) / abs(up - down))


def in_per_cent(shares):
    return 100 * overtaken_by_cases(shares)


def spoiled(shares):
    value = overtaken_by_cases(shares)
    shares.sort()
    return value


WRONG = [
    (checks.overtaken, lambda p: p, "One number, please"),
    (checks.overtaken, spoiled, "changed what it was given"),
    (checks.overtaken, unless_flat(lambda a, b, c: 0.5), "Flat may overtake"),
    (checks.overtaken, unless_flat(lambda a, b, c: (a - b) / (a - c)), "at one half, if Flat"),
    (checks.overtaken, unless_flat(lambda a, b, c: max(0.5, (a - b) / (a - c))), "the smaller"),
    (checks.overtaken, up_for_granted, "if Down is the likeliest"),
    (checks.overtaken, flat_forgotten, "nobody touches Flat"),
    (checks.overtaken, lambda p: 1 - overtaken_by_cases(p), "stays honest"),
    (checks.overtaken, unless_flat(lambda a, b, c: min(0.5, (a - b) / a)), "p_U - p_D"),
    (checks.overtaken, unless_flat(lambda a, b, c: min(0.5, a - b)), "p_U - p_D"),
    (checks.overtaken, in_per_cent, "not per cent"),
    (checks.overtaken, lambda p: overtaken_by_cases(p) + 0.01, "0.4 is wanted; yours is 0.41"),
    *[(checks.door_trial, answer, hint) for answer, hint in DOOR[1]],
    (
        checks.door_trial,
        answers(opened_under_the_mean, ("batches", "all bars"))[0][0],
        "is wanted at place",
    ),
]
