"""Pairwise squared distances between clients: what the choosing and mixing rules are made of."""

import numpy as np


def squared_distances(updates):
    """Squared Euclidean distance between every two clients.

    Parameters
    ----------
    updates : (..., n, d) float array, finite

    Returns
    -------
    (..., n, n) float64 array, symmetric, zero on the diagonal. A distance too large for a float is
    infinity, never NaN: rows are subtracted first and squared afterwards, so equal rows are at
    distance zero however large they are, and a common offset costs no digits.
    """
    n = updates.shape[-2]
    table = np.zeros((*updates.shape[:-1], n))
    with np.errstate(over="ignore"):
        for i in range(n - 1):
            difference = np.subtract(
                updates[..., i + 1 :, :], updates[..., i : i + 1, :], dtype=np.float64
            )
            table[..., i, i + 1 :] = np.einsum("...d,...d->...", difference, difference)
    return table + table.swapaxes(-1, -2)


def nearest_sum(table, k):
    """Sum of each client's k smallest squared distances to others: (..., n, n) -> (..., n)."""
    n = table.shape[-1]
    others = np.where(np.eye(n, dtype=bool), np.inf, table)
    with np.errstate(over="ignore"):
        return np.sort(others, axis=-1)[..., :k].sum(axis=-1)


def share_of_lowest(scores, m, updates):
    """Weight 1/m on the m lowest scores of each trial: (trials, n).

    Equal scores are told apart by value, the vector that comes first in the dictionary first, so
    no client gains by its place in the list.
    """
    cut = np.partition(scores, m - 1, axis=-1)[:, m - 1 : m]
    chosen = scores <= cut
    for t in np.flatnonzero(chosen.sum(axis=-1) > m):
        tied = np.flatnonzero(scores[t] == cut[t])
        surplus = chosen[t].sum() - m
        in_order = sorted(tied, key=lambda i: tuple(updates[t, i]))
        chosen[t, in_order[len(tied) - surplus :]] = False
    return chosen / m
