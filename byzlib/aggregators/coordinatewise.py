"""Rules that look at each coordinate by itself: mean, trimmed mean, median, mean around median."""

from functools import partial

import numpy as np

from byzlib.aggregators._contract import all_finite, rule
from byzlib.aggregators._order import between_ranks, mean_of, near_median, share_of
from byzlib.theory import LEGAL, as_updates, in_one, is_tensor, like, refuse_masked, to_numpy


def mean(updates, weights=None, *, return_weights=False):
    """Average of the updates: FedSGD with equal weights, FedAvg with sample counts as weights.

    F(x) = sum_i w_i x_i / sum_i w_i.

    It does not defend: one client moves it anywhere, and NaN in is NaN out.

    Parameters
    ----------
    updates : (..., n, d) array_like
    weights : (..., n) array_like, optional
        Finite, >= 0, with a positive sum; all equal by default.

    Returns
    -------
    (..., d) array; with `return_weights` also the normalised weights (..., n).

    Source: McMahan et al., AISTATS 2017.
    """
    given = in_one(updates)
    updates = as_updates(given, "mean", tensors=True)
    with np.errstate(invalid="ignore", over="ignore"):
        if weights is None:
            share = np.full(updates.shape[:-1], 1.0 / updates.shape[-2])
        else:
            share = _normalised(weights, tuple(updates.shape[:-1]))
        if is_tensor(updates):
            share, result = like(share, updates), None  # on its device
        elif weights is None:
            result = updates.mean(axis=-2, dtype=np.float64)
        else:
            result = None
        if result is None or not all_finite(result):  # or a sum of the largest floats
            result = (share[..., None, :] @ updates)[..., 0, :]
    if is_tensor(given):
        result, share = like(result, given), like(share, given)
    else:
        result = like(result, updates)
    return (result, share) if return_weights else result


@rule(*LEGAL["trimmed mean"])
def trimmed_mean(x, f):
    """Coordinate-wise trimmed mean: drop the f smallest and f largest values, average the rest.

    F(x)_j = 1 / (n - 2f) * sum of the order statistics x_(f+1),j .. x_(n-f),j.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many values to drop at each end; n > 2f.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client was kept, scaled to sum to 1.

    Source: Yin et al., ICML 2018, Definition 2 (where the trimmed share is beta = f / n).
    """
    keep = partial(between_ranks, low=f, high=x.shape[1] - f)
    return mean_of(keep, x), lambda: share_of(keep, x)


@rule(0, 1)
def median(x):
    """Coordinate-wise median; an even n averages the middle two.

    F(x)_j = x_((n+1)/2),j for odd n, the mean of x_(n/2),j and x_(n/2+1),j for even n.

    Parameters
    ----------
    updates : (..., n, d) array_like

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client stood in the middle.

    Source: Yin et al., ICML 2018, Definition 1.
    """
    n = x.shape[1]
    keep = partial(between_ranks, low=(n - 1) // 2, high=n // 2 + 1)
    return mean_of(keep, x), lambda: share_of(keep, x)


@rule(*LEGAL["mean around median"])
def mean_around_median(x, f):
    """MeaMed: in each coordinate the mean of the n - f values nearest the median.

    Equally near values: the smaller first. Where two distances to the median differ by less than
    their last digit, rounding may choose.

    Parameters
    ----------
    updates : (..., n, d) array_like
    f : int
        How many clients may lie; n > 2f.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n): the share of coordinates in which each
    client was averaged.

    Source: Xie, Koyejo and Gupta, 2018, arXiv 1802.10116, Definition 3.
    """
    keep = partial(near_median, count=x.shape[1] - f)
    return mean_of(keep, x), lambda: share_of(keep, x)


def _normalised(weights, shape):
    """FedAvg weights as shares of 1, (..., n)."""
    refuse_masked(weights, "mean")
    weights = to_numpy(weights)
    if weights.dtype.kind not in "fiu":
        raise TypeError(f"mean needs real weights; got dtype {weights.dtype}")
    if weights.shape not in (shape, shape[-1:]):
        raise ValueError(f"mean needs weights of shape {shape}; got {weights.shape}")
    weights = weights.astype(np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError("mean needs finite weights >= 0")
    largest = weights.max(axis=-1, keepdims=True)
    if not (largest > 0).all():
        raise ValueError("mean needs weights with a positive sum; they are all zero")
    weights /= largest  # so that no sum overflows
    return np.broadcast_to(weights / weights.sum(axis=-1, keepdims=True), shape).copy()
