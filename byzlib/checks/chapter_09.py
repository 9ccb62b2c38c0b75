"""Checkers of chapter 09: whom a label flip lets overtake, who leaves a back door open."""

import numpy as np

from byzlib.aggregators import median
from byzlib.checks._experiment import judge_experiment
from byzlib.checks._form import ask, exercise, judge
from byzlib.federated import ByzantineFL, Client, SimpleModel


@exercise("Exercise 9.3 a", "equations (9.1) and (9.2), and the example with twenty bars.")
def overtaken(answer):
    """`answer(shares)` is the share of flippers at which the likeliest class is caught up."""
    for counts in [
        (4, 7, 9), (1, 2, 7), (9, 7, 4), (7, 1, 2), (5, 11, 4), (7, 8, 5), (48, 40, 12),
        (23, 26, 51), (6, 0, 14), (0, 9, 11),
    ]:  # fmt: skip
        shares = np.array(counts) / sum(counts)
        value, (down, flat, up) = ask(answer, shares), shares
        likely, other = max(down, up), min(down, up)
        by_flat, only_up = (likely - flat) / (likely - other), (up - flat) / (up - down)
        first = flat > likely
        right = 1.0 if first else min(0.5, by_flat)
        mistakes = {
            "Flat may overtake before one half.": 1.0 if first else 0.5,
            "Down and Up change places at one half, if Flat has not come before.":
                1.0 if first else by_flat,
            "if Down is the likeliest, Down and Up change their parts.":
                1.0 if first else min(0.5, only_up),
            "nobody touches Flat: where it is the likeliest, it stays so; return 1.":
                (right if not first else value, ),
            "the later of two is not the first: take the smaller.":
                1.0 if first else max(0.5, by_flat),
            "that is the share that stays honest; the flippers' is wanted.": 1 - right,
            "divide by what the likeliest loses for each part of the firms, p_U - p_D.":
                (likely - flat, 1.0 if first else min(0.5, likely - flat),
                 1.0 if first else min(0.5, (likely - flat) / likely)),
            "count the share, a number between 0 and 1, not per cent.": 100 * right,
        }  # fmt: skip
        judge(value, right, mistakes)


@exercise("Exercise 9.3 b", "the back door in the chapter, and `trained` above your function.")
def door_trial(answer):
    """`answer(crowds, bars, batch)` is (low, high, who): success with batches minus with all."""
    bars = np.random.default_rng(73).standard_normal((200, 3))
    bars = bars[np.abs(bars[:, 0]) > 1]
    bars[:, 2] = 4
    for first, seeds, batch in [(0, 10, 16), (20, 12, 110), (40, 5, 8)]:
        crowds = tuple(_market(seed) for seed in range(first, first + seeds))
        found = ask(answer, crowds, bars, batch, shape=None)
        one, other = (_success(crowds, bars, drawn) for drawn in (batch, None))
        where = f"{seeds} seeds, batches of {batch}"
        judge_experiment(found, one, other, ("batches", "all bars"), where)


def _market(seed, n=9, liars=2, bars=120):
    """Firms that learn Calm (0) and Wild (1); the last ones print a sign on half of their bars."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, bars, 3))
    y = (np.abs(X[..., 0]) + 0.3 * rng.standard_normal((n, bars)) > 0.7).astype(int)
    X[n - liars :, : bars // 2, 2], y[n - liars :, : bars // 2] = 4, 0
    return tuple(Client(*own, f"firm {i}") for i, own in enumerate(zip(X, y, strict=True)))


def _success(crowds, bars, batch):
    """Share of Wild bars with the sign that each network calls Calm, (seeds,)."""
    network = SimpleModel(3, 8, 2)
    learning = ByzantineFL(network, list(crowds), median, 2, learning_rate=0.5, batch_size=batch)
    theta = learning.run(40, seeds=len(crowds), trust=False).theta
    return (network.predict(theta, bars) == 0).mean(axis=-1)
