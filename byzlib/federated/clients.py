"""Clients and their data: who holds which samples, and how different the clients are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from byzlib.theory import (
    as_count,
    as_generator,
    as_labels,
    as_number,
    refuse_masked,
    refuse_unpaired,
)

DRAWS = 1000  # of shares, until no client is left with nothing


@dataclass(frozen=True)
class Client:
    """One participant and its private samples.

    Parameters
    ----------
    X : (m, p) float array
    y : (m,) integer array
        TypeError for other labels, which would be cut to integers.
    name : str
    poison : callable (X, y) -> (X, y), optional
        What a dishonest client does to its data before training on them; it never changes X or y
        in place. Honest clients have none.
    claims : int, optional
        How many samples it says it has, >= 1; the truth by default. It is what a server that
        weighs clients by their samples goes by, and nobody can check it.
    """

    X: np.ndarray
    y: np.ndarray
    name: str = "client"
    poison: Callable | None = None
    claims: int | None = None

    def __post_init__(self):
        _, y = as_samples(self.X, self.y, f"Client {self.name!r}")
        if len(y) == 0:
            raise ValueError(f"Client {self.name!r} needs at least one sample; got none")
        if self.claims is not None:
            as_count(self.claims, "claims", "Client", least=1)

    def __len__(self):
        return len(self.y)

    def __repr__(self):
        suffix = ", poisoned" if self.poison else ""
        return f"Client({self.name!r}, {len(self)} samples{suffix})"

    @property
    def claimed(self):
        """The number of samples that the server is told."""
        return len(self) if self.claims is None else int(self.claims)

    @property
    def training_data(self):
        """(X, y) as this client trains on them: poisoned where it poisons."""
        if not self.poison:
            return self.X, self.y
        return as_samples(*self.poison(self.X, self.y), f"the poison of client {self.name!r}")


def split_iid(X, y, n, rng):
    """Deal shuffled samples to n clients, as evenly as possible.

    Parameters
    ----------
    X : (m, p) float array
    y : (m,) integer array
    n : int, 1 <= n <= m
    rng : numpy.random.Generator or int

    Returns
    -------
    list of n `Client`; every sample goes to exactly one of them.
    """
    X, y, n = _checked(X, y, n, "split_iid")
    order = as_generator(rng, "split_iid").permutation(len(y))
    return _dealt(X, y, np.array_split(order, n))


def split_dirichlet(X, y, n, alpha, rng):
    """Deal samples so that the clients' class shares differ: label skew with one knob.

    Each class is divided among the clients in proportions drawn from Dirichlet(alpha, ..., alpha).
    A large alpha gives equal clients, a small one gives each client few classes.

    Parameters
    ----------
    X, y, n, rng : as in `split_iid`
    alpha : float
        Concentration, > 0. Infinity is even, 100 nearly so, 1 uneven, 0.1 extreme.

    Returns as `split_iid`; no client is empty. ValueError where a thousand draws left one so.

    Source: Hsu, Qi and Brown, 2019, arXiv 1909.06335; the per-class form is Yurochkin et al., 2019.
    """
    X, y, n = _checked(X, y, n, "split_dirichlet")
    alpha = as_number(alpha, "alpha", "split_dirichlet")
    rng = as_generator(rng, "split_dirichlet")
    members = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    if np.isinf(n * alpha):  # each class is dealt like cards
        order = np.concatenate(members)
        return _dealt(X, y, [rng.permutation(order[i::n]) for i in range(n)])
    for _ in range(DRAWS):
        shares = rng.dirichlet(np.full(n, alpha), size=len(members))
        hands = [
            np.split(who, np.round(np.cumsum(share)[:-1] * len(who)).astype(int))
            for who, share in zip(members, shares, strict=True)
        ]
        parts = [np.concatenate(part) for part in zip(*hands, strict=True)]
        if min(len(part) for part in parts) > 0:
            return _dealt(X, y, [rng.permutation(part) for part in parts])
    raise ValueError(
        f"split_dirichlet left a client without samples in {DRAWS} draws; "
        f"got alpha = {alpha}, n = {n}, {len(y)} samples: raise alpha or lower n"
    )


def split_by(X, y, key):
    """One client for each value of `key` (m,): the venue, symbol, regime or desk of each sample.

    Its values name the clients, in sorted order.
    """
    X, y, _ = _checked(X, y, 1, "split_by")
    key = np.asarray(key)
    if key.shape != y.shape:
        raise ValueError(f"split_by needs one key a sample, {y.shape}; got {key.shape}")
    return [Client(X[key == k], y[key == k], name=str(k)) for k in np.unique(key)]


def label_shares(clients):
    """Measured heterogeneity of labels: one row a client.

    Returns
    -------
    DataFrame indexed by client name: `samples`, one column per class with its share, and `skew`,
    the total variation distance between the client's shares and those of all samples together
    (0 for equal shares, toward 1 for a client that holds only what nobody else does).
    """
    import pandas as pd  # training does not need it

    classes = np.unique(np.concatenate([client.y for client in clients]))
    counts = np.array([[(client.y == k).sum() for k in classes] for client in clients])
    shares = counts / counts.sum(axis=1, keepdims=True)
    pooled = counts.sum(axis=0) / counts.sum()
    table = pd.DataFrame(shares, columns=classes, index=[client.name for client in clients])
    table.insert(0, "samples", counts.sum(axis=1))
    return table.assign(skew=np.abs(shares - pooled).sum(axis=1) / 2)


def overclaim(clients, who, factor=10):
    """An attack on weights: the clients in `who` claim `factor` times the samples they have.

    Returns a new list of clients, whose samples are the same.
    """
    factor, liars = as_count(factor, "factor", "overclaim"), {as_count(i, "i", "who") for i in who}
    if not liars <= set(range(len(clients))):
        raise ValueError(f"overclaim names clients 0 .. {len(clients) - 1}; got {sorted(liars)}")
    return [
        replace(client, claims=factor * len(client)) if i in liars else client
        for i, client in enumerate(clients)
    ]


def stack(clients):
    """All clients' training data as one padded block, for one stacked call of the model.

    Parameters
    ----------
    clients : list of n Client, or a list of S such lists, one for each seed

    Returns
    -------
    X : (n, m, p) float array, zero where padded; m is the largest client's sample count
    y : (n, m) integer array
    weight : (n, m) float array, 1 for a sample and 0 for padding

    All with a leading axis of length S for a list of S lists.
    """
    if is_nested(clients):
        flat = stack([client for own in clients for client in own])
        return tuple(part.reshape(len(clients), -1, *part.shape[1:]) for part in flat)
    data = [client.training_data for client in clients]
    widths = sorted({np.shape(X)[1] for X, _ in data})
    if len(widths) > 1:
        raise ValueError(f"stack needs clients with equally many features; got {widths}")
    longest = max(len(y) for _, y in data)
    floating = np.result_type(np.float32, *{np.asarray(X).dtype for X, _ in data})
    X = np.zeros((len(data), longest, *widths), floating)
    y = np.zeros((len(data), longest), dtype=np.int64)
    weight = np.zeros((len(data), longest))
    for i, (X_i, y_i) in enumerate(data):
        X[i, : len(y_i)], y[i, : len(y_i)], weight[i, : len(y_i)] = X_i, y_i, 1.0
    return X, y, weight


def is_nested(clients):
    """Is it a list of lists of clients, one for each seed?"""
    return isinstance(clients, list | tuple) and any(isinstance(c, list | tuple) for c in clients)


def as_samples(X, y, caller):
    """X (m, p) and integer labels y (m,) as arrays; pandas objects are paired by their index."""
    refuse_masked(X, caller)
    refuse_unpaired(caller, X=getattr(X, "T", X), y=y)
    X, y = np.asarray(X), as_labels(y, caller)
    if X.ndim != 2 or y.shape != X.shape[:1]:
        raise ValueError(
            f"{caller} needs X of shape (m, p) and y of shape (m,); got {X.shape} and {y.shape}"
        )
    return X, y


def _dealt(X, y, parts):
    return [Client(X[part], y[part], name=f"client {i}") for i, part in enumerate(parts)]


def _checked(X, y, n, caller):
    X, y = as_samples(X, y, caller)
    if not 1 <= as_count(n, "n", caller) <= len(y):
        raise ValueError(f"{caller} needs 1 <= n <= number of samples; got n = {n}, m = {len(y)}")
    return X, y, int(n)
