"""Order statistics across clients: what the coordinate-wise rules are made of."""

import numpy as np


def mean_of_ranks(updates, low, high):
    """Mean of the order statistics low+1 .. high of each coordinate.

    Parameters
    ----------
    updates : (..., n, d) float array, finite
    low, high : int
        Ranks as a slice of the sorted column: 0 <= low < high <= n.

    Returns
    -------
    (..., d) float64 array: sum over r = low+1 .. high of x_(r), divided by high - low.
    """
    kept = np.sort(updates, axis=-2)[..., low:high, :]
    with np.errstate(over="ignore", invalid="ignore"):
        average = kept.sum(axis=-2, dtype=np.float64) / (high - low)
    if not np.isfinite(average).all():
        average = (kept / (high - low)).sum(axis=-2, dtype=np.float64)
    # Rounding must not leave the range of the values: equal values average to exactly themselves.
    return np.clip(average, kept[..., 0, :], kept[..., -1, :])


def share_of_ranks(updates, low, high):
    """How much of that mean each client supplied: (..., n), summing to 1 over the clients.

    A client counts in a coordinate when its value is among the ranks kept. Clients that hold the
    same value share its places equally, so the answer does not depend on the order of the rows.
    """
    kept = np.sort(updates, axis=-2)[..., low:high, :]
    lowest, highest = kept[..., :1, :], kept[..., -1:, :]

    def share_at(value):
        holders = updates == value
        places = (kept == value).sum(axis=-2, keepdims=True)
        return holders * places / holders.sum(axis=-2, keepdims=True)

    share = ((updates > lowest) & (updates < highest)).astype(np.float64)
    share += share_at(lowest) + np.where(lowest < highest, share_at(highest), 0.0)
    return share.mean(axis=-1) / (high - low)
