"""What chapter 19 keeps: reports on two worlds, who is seen, a price.

Everything here is simulated. `make_results report` and `make_results liars`
run it.
"""

from dataclasses import replace
from functools import cache, partial

import numpy as np

from byzlib.aggregators import median
from byzlib.attacks import ATTACKS, label_flip
from byzlib.experiments import robustness_report
from byzlib.federated import (
    ByzantineFL,
    Client,
    SimpleModel,
    split_dirichlet,
)
from byzlib.market import planted_signal
from byzlib.risk import extreme_pair_score, fewest_liars, mean_gap_score

# --- Two worlds --------------------------------------------------------------

DESKS, LIARS = 9, 2
ROWS, LATER = 400, 600  # to train on, and to test on, of each desk
WORLDS = ["one market", "books of their own"]
ROUNDS = 60


def desks_of(world):
    """X (9, 1000, 9) and y: nine desks in one market, or each with a book.

    In the second world the signal of a desk is one feature, which is zero for
    everybody else, as its others are for the desk.
    """
    rng = np.random.default_rng(19)
    own = np.eye(DESKS) if world == WORLDS[1] else None
    X, y = planted_signal(
        ROWS + LATER, 0.955, 1 / 3, rng, DESKS, (DESKS,), direction=own
    )
    return (X if own is None else X * own[:, None]), y


def clients_of(world):
    """(clients, tests): the first rows of each desk, and the later ones."""
    X, y = desks_of(world)
    return tuple(
        [Client(X[i, rows], y[i, rows], f"desk {i}") for i in range(DESKS)]
        for rows in (slice(ROWS), slice(ROWS, None))
    )


def report_on(world, **options):
    """The report on one of the worlds; a model without hidden units."""
    clients, tests = clients_of(world)
    model = SimpleModel(DESKS, n_hidden=0)
    return robustness_report(
        clients, model, LIARS, tests=tests, rounds=ROUNDS, **options
    )


# --- Who is seen -------------------------------------------------------------

SCORES = {
    "pair distances": extreme_pair_score,
    "gap to the median": partial(mean_gap_score, rule=median, scaled=True),
}
CALM, WATCHED = 60, 30  # rounds known to be clean, and rounds to judge


def seen(seed, score, attack, manner, crowd, calm, n=17, f=3):
    """What `fewest_liars` says of watched rounds: alarms, counts, f or more.

    manner : "together": liars send what the library's attack sends, one row
    for all; "apart": each adds to its own honest row what the attack adds to
    the honest mean. calm : whose clean rounds it has seen, "own" or "alike".
    """
    rounds = recorded(seed, crowd, n, f, flipped=attack == "label flip")
    watched = rounds[-WATCHED:]
    honest, own = watched[:, : n - f], watched[:, n - f :]
    if attack not in ("none", "label flip"):
        lies = ATTACKS[attack](honest, f)
        if manner == "apart":
            lies = own + lies - honest.mean(axis=1, keepdims=True)
        watched = np.concatenate([honest, lies], axis=1)
    quiet = recorded(seed, crowd if calm == "own" else np.inf, n, f)
    counts = fewest_liars(
        watched, quiet[-WATCHED - CALM : -WATCHED], SCORES[score]
    )
    return {
        "alarm": (counts > 0).mean(),
        "count": counts.mean(),
        "all": (counts >= f).mean(),
        "too many": (counts > f).mean(),
    }


@cache  # of a process; a recording serves all scores and attacks
def recorded(seed, alpha, n, f, flipped=False):
    """The rounds (T, n, d) of a training that the first n - f clients steer.

    So its path is the same, whatever the last f send.
    """
    rounds = []

    def steered(updates):
        rounds.append(updates.copy())
        return updates[..., : n - f, :].mean(axis=-2)

    def flip(X, y):
        return X, label_flip(y)

    rng = np.random.default_rng([seed, 1])
    X, y = planted_signal(200 * n, 0.955, 1 / 3, rng)
    clients = split_dirichlet(X, y, n, alpha, rng)
    if flipped:
        for i in range(n - f, n):
            clients[i] = replace(clients[i], poison=flip)
    fl = ByzantineFL(
        SimpleModel(8, 16, activation="tanh"),
        clients,
        steered,
        0,
        learning_rate=0.5,
        batch_size=32,
    )
    fl.run(50 + CALM + WATCHED, seed, trust=False)
    return np.stack(rounds).reshape(-1, n, rounds[0].shape[-1])


SEEN = [
    {"attack": ["none", "label flip"], "manner": "apart"},
    {
        "attack": ["sign flip", "loud sign flip", "a little is enough"],
        "manner": ["together", "apart"],
    },
]
CROWDS = [
    {"crowd": np.inf, "calm": "own"},
    {"crowd": 0.3, "calm": ["own", "alike"]},
]
SEEN_GRID = [
    {"score": list(SCORES), **one, **crowd} for crowd in CROWDS for one in SEEN
]

# --- What a wrong f costs: experiments.planted, three of 17 lie --------------

DECLARED_GRID = [
    {
        "rule": ["trimmed mean", "Krum"],
        "pre": "none",
        "declared": list(range(8)),
        **(
            shared := {
                "attack": ["none", "sign flip", "loud sign flip"],
                "alpha": [np.inf, 0.3],
                "f": 3,
                "n": 17,
                "momentum": 0.9,
                "rounds": 150,
            }
        ),
    },
    {
        "rule": "trimmed mean",
        "pre": "mixing",
        "declared": list(range(8)),
        **shared,
    },
]
