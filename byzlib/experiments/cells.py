"""Ready-made cells for `experiments.run_grid`: federated training under attack.

The task of `planted` is simulated and its best possible accuracy is known. A seed decides market,
clients, test samples, first parameters and batches; rule, attack and f change none of them.
"""

import inspect
from functools import partial

import numpy as np

from byzlib import attacks
from byzlib.aggregators import (
    RULES,
    apply_rule,
    bucketing,
    centered_clipping,
    nearest_neighbor_mixing,
)
from byzlib.experiments.grid import Refused
from byzlib.federated import ByzantineFL, Client, SimpleModel, one_by_one
from byzlib.market import planted_signal
from byzlib.theory import PRE, as_number

ROUNDS = 300
METRICS = ("accuracy", "balanced accuracy", "majority share", "attack success", "loss")
DOWN, UP = 0, 2

# What the liars train on, for attacks on data; they answer honestly from it.
POISONS = {
    "label flip": lambda X, y: (X, attacks.label_flip(y)),
    "targeted": lambda X, y: (X, np.full_like(y, UP)),
}
# The one number that sets each attack's strength.
STRENGTHS = {
    "sign flip": (attacks.sign_flip, "scale"),
    "Gaussian noise": (attacks.gaussian_noise, "scale"),
    "inner product": (attacks.inner_product_manipulation, "epsilon"),
    "a little is enough": (attacks.a_little_is_enough, "z"),
    "targeted": (attacks.model_replacement, "boost"),
}


def planted(
    seeds, rule="mean", attack="none", f=0, *, declared=None, strength=None, pre="none",
    momentum=0.0, n=10, samples=200, r2=0.955, p_flat=1 / 3, alpha=np.inf, rounds=ROUNDS, test=4000,
):  # fmt: skip
    """Federated training on `market.planted_signal`, one stacked run for all seeds.

    FedSGD of a tanh network with 8 inputs and 16 hidden units: batches of 32, learning rate 0.5.

    Parameters
    ----------
    seeds : sequence of int
    rule : str
        A key of `aggregators.RULES`, or "centered clipping" (radius 1).
    attack : str
        A key of `attacks.ATTACKS`; "label flip" (Down and Up change places); "targeted" (liars
        label every bar Up and send `strength` times their gradient); or "none": the f last clients
        are honest too, though the server still expects f liars.
    f : int
        How many clients lie, the last ones; and how many the server expects.
    declared : int, optional
        How many the server expects, if not f.
    strength : float, optional
        The scale of sign flip and noise, the epsilon of inner product, the z of a little is enough,
        the boost of targeted; by default that of `ATTACKS`, 1 for targeted.
    pre : "none", "mixing" (nearest neighbor mixing) or "bucketing" (by two)
    momentum : float
        Of the clients.
    n, samples : int
        Clients, and training samples of each.
    r2, p_flat : float
        Signal and share of Flat bars, see `planted_signal`.
    alpha : float
        Label skew: each client draws its class shares from Dirichlet(alpha, alpha, alpha), and its
        samples of each class from the market. Infinity: all clients see the market as it is.
    rounds, test : int
        Rounds, and test samples, which are never skewed.

    Returns
    -------
    dict of (k,) arrays
        accuracy, balanced accuracy, majority share (of the test samples), attack success (Down
        predicted as Up), loss (nats), diverged_at.

    Raises
    ------
    Refused
        When the rule does not allow n and f. ValueError for names that there are not.
    """
    lie, poison = attack_named(attack, strength)
    served = rule_named(rule, pre)
    expected = f if declared is None else declared
    refuse_illegal(served, n, expected)
    draws = [_market(seed, n, samples, r2, p_flat, alpha, test) for seed in seeds]
    clients = [
        [
            Client(X, y, f"client {i}", poison if i >= n - f else None)
            for i, (X, y) in enumerate(own)
        ]
        for own, _ in draws
    ]
    tests = [np.stack(part) for part in zip(*(held_out for _, held_out in draws), strict=True)]
    network = SimpleModel(8, 16, activation="tanh")
    fl = ByzantineFL(
        network, clients, served, expected, lie, range(n - f, n), learning_rate=0.5, batch_size=32,
        momentum=momentum,
    )  # fmt: skip
    history = fl.run(rounds, list(seeds), tests, every=rounds, success=(DOWN, UP))
    ends = [np.nan if end is None else end for end in history.diverged_at]
    return {name: history.final(name) for name in METRICS} | {"diverged_at": ends}


def rule_named(rule, pre="none", radius=1.0):
    """The server's rule, a function of (updates, f) or (updates, f, rng): see `planted`."""
    rules = RULES | {"centered clipping": partial(centered_clipping, radius=radius)}
    if rule not in rules:
        raise ValueError(f"no rule {rule!r}; there are {', '.join(rules)}")
    if pre not in PRE:
        raise ValueError(f"no pre-aggregation {pre!r}; there are {', '.join(PRE)}")

    def answer(updates, f):  # asks nobody whom the rule trusted: that is a second pass
        return apply_rule(rules[rule], updates, f, return_weights=False)[0]

    def mixed(updates, f):
        return answer(nearest_neighbor_mixing(updates, f), f)

    @one_by_one  # each run draws its buckets from its own generator
    def bucketed(updates, f, rng):
        return answer(bucketing(updates, 2, rng), f)

    return {"none": answer, "mixing": mixed, "bucketing": bucketed}[pre]


def attack_named(attack, strength=None):
    """(what the liars send, what they do to their data), None where they do nothing of the kind.

    attack, strength : see `planted`; what they do to their data is a `Client`'s poison.
    """
    known = {*attacks.ATTACKS, *STRENGTHS, *POISONS, "none"}
    if attack not in known:
        raise ValueError(f"no attack {attack!r}; there are {', '.join(sorted(known))}")
    if strength is not None and attack not in STRENGTHS:
        raise ValueError(f"{attack} has no strength to set; these have: {', '.join(STRENGTHS)}")
    lie = attacks.ATTACKS.get(attack)
    if strength is not None:
        function, name = STRENGTHS[attack]
        lie = partial(function, **{name: as_number(strength, "strength", attack, "finite and > 0")})
    return lie, POISONS.get(attack)


def refuse_illegal(rule, n, f):
    """Raise Refused, with the rule's own sentence, where it does not allow n and f."""
    more = {"rng": 0} if "rng" in inspect.signature(rule).parameters else {}
    try:
        rule(np.zeros((n, 1)), f, **more)
    except ValueError as error:
        raise Refused(str(error)) from None


def _market(seed, n, samples, r2, p_flat, alpha, test):
    """The clients' (X, y) and the test's, whatever is done with them."""
    rng = np.random.default_rng([seed, 1])  # not the stream of the training, which is [seed]
    tests = planted_signal(test, r2, p_flat, rng)
    if np.isinf(alpha):
        X, y = planted_signal(samples, r2, p_flat, rng, shape=(n,))
        return list(zip(X, y, strict=True)), tests
    return _skewed(rng, n, samples, r2, p_flat, alpha), tests


def _skewed(rng, n, samples, r2, p_flat, alpha):
    """Clients with class shares of their own; no sample is given twice."""
    rarest = min(p_flat, (1 - p_flat) / 2)
    X, y = planted_signal(int(1.5 * n * samples / rarest), r2, p_flat, rng)
    counts = np.stack([rng.multinomial(samples, rng.dirichlet([alpha] * 3)) for _ in range(n)])
    ends = np.cumsum(counts, axis=0)
    members = [np.flatnonzero(y == label) for label in range(3)]
    picks = [
        np.concatenate([members[k][ends[i, k] - counts[i, k] : ends[i, k]] for k in range(3)])
        for i in range(n)
    ]
    return [(X[pick], y[pick]) for pick in picks]
