"""A learning task whose best possible accuracy is known."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from byzlib.theory import as_count, as_generator, as_number, as_reals, to_unit_scale


def planted_signal(m, r2, p_flat, rng, n_features=8, shape=(), direction=None):
    """A three-class task whose best possible accuracy is known.

    x ~ N(0, I), s = <a, x>, z = sqrt(r2) s + sqrt(1 - r2) e with e ~ N(0, 1); the class is
    0 (Down) if z < -tau, 2 (Up) if z > tau, else 1 (Flat), and P(Flat) = p_flat fixes tau.

    Parameters
    ----------
    m : int, samples
    r2 : float in [0, 1]
        Share of the variance of z that the features explain. Real five-minute returns: below .01.
    p_flat : float in (0, 1)
    rng : int or numpy.random.Generator
    shape : tuple of int
        Leading axes: (10,) draws for ten clients.
    direction : array, (..., n_features), optional
        a; scaled to length 1; its leading axes broadcast to `shape`, so that clients may differ.
        By default (2, -1, 2, 0, ..., 0) / 3, cut to n_features.

    Returns X, (*shape, m, n_features), and y of int, (*shape, m).
    """
    tau = _threshold(r2, p_flat, "planted_signal")
    rng = as_generator(rng, "planted_signal")
    p = as_count(n_features, "n_features", "planted_signal", least=1)
    m = as_count(m, "m", "planted_signal", least=1)
    a = np.resize([2.0, -1.0, 2.0], p) * (np.arange(p) < 3) if direction is None else direction
    a = as_reals(a, "planted_signal")
    if a.ndim < 1 or a.shape[-1] != p or not (np.isfinite(a).all() and a.any(axis=-1).all()):
        raise ValueError(f"direction must be (..., {p}), finite, not zero; got shape {a.shape}")
    a, _ = to_unit_scale(a)
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    X = rng.standard_normal((*shape, m, p))
    noise = rng.standard_normal((*shape, m))
    signal = np.squeeze(X @ a[..., None], -1)
    z = np.sqrt(r2) * signal + np.sqrt(1 - r2) * noise
    return X, 1 + (z > tau).astype(int) - (z < -tau)


def planted_signal_accuracy(r2, p_flat, balanced=False):
    """Accuracy of the best classifier of `planted_signal`, which picks the likeliest class.

    That is Flat while |s| is below some b, Up above b, Down below -b. Since s and z are standard
    normal with correlation sqrt(r2)::

        accuracy = P(|s| < b, |z| < tau) + 2 P(s > b, z > tau)

    With `balanced`, the mean of that classifier's three recalls instead.
    """
    from scipy.optimize import brentq  # the two take half a second to import
    from scipy.stats import multivariate_normal

    tau = _threshold(r2, p_flat, "planted_signal_accuracy")
    rho, rest = np.sqrt(r2), np.sqrt(1 - r2)

    def p_up(s):
        return ndtr((rho * s - tau) / rest) if rest else float(s > tau)

    def lead_of_flat(s):
        return 1 - p_up(-s) - 2 * p_up(s)

    far = 40.0  # standard deviations: nothing lies beyond
    if lead_of_flat(far) > 0:
        b = far
    elif lead_of_flat(0.0) <= 0:
        b = 0.0
    else:
        b = tau if r2 == 1 else brentq(lead_of_flat, 0.0, far)
    both = multivariate_normal(cov=[[1, rho], [rho, 1]], allow_singular=True)
    flat, up = both.cdf([b, tau], lower_limit=[-b, -tau]), both.cdf([-b, -tau])
    if balanced:
        return float(flat / p_flat + 4 * up / (1 - p_flat)) / 3
    return float(flat + 2 * up)


def _threshold(r2, p_flat, caller):
    """tau with P(|z| <= tau) = p_flat."""
    as_number(r2, "r2", caller, "in [0, 1]")
    return float(ndtri((1 + as_number(p_flat, "p_flat", caller, "in (0, 1)")) / 2))
