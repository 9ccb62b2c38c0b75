"""The geometric median on n numbers instead of d: every iterate is a weighted mean of the rows.

With z = sum_i w_i x_i and the products K_ij = (x_i - c).(x_j - c) around one of the rows, all
distances from z follow from w and K. So the parameters are touched twice, for K and for the answer.
"""

import warnings

import numpy as np


def median_weights(products, length, tol, max_iter):
    """Weights of the geometric median of each trial.

    Parameters
    ----------
    products : (trials, n, n) float64 array
        K, inner products of the rows around one of them.
    length : (trials, n, n) float64 array
        Distances between the rows, zero for equal ones.
    tol : float
        Stop when a step moves the answer by less than tol times the median distance to a row.
    max_iter : int

    Returns
    -------
    (trials, n) array, summing to 1. Warns if a trial did not converge.
    """
    trials, n, _ = products.shape
    result = np.full((trials, n), 1.0 / n)
    descend = []
    for t in range(trials):
        medoid = length[t].sum(axis=1).argmin()
        if (held := _on_a_line(length[t])) is not None:
            result[t] = held
        elif _optimal_at(products[t], length[t], medoid):
            equal = length[t, medoid] == 0
            result[t] = equal / equal.sum()
        else:
            descend.append(t)
    if descend:
        size = np.median(
            length[descend].min(axis=-1, where=length[descend] > 0, initial=np.inf), -1
        )
        result[descend] = _descend(products[descend], size, tol, max_iter)
    return result


def _on_a_line(length):
    """Weights when all rows lie on one line: the middle one, or half of each of the middle two."""
    n = len(length)
    a, b = np.unravel_index(length.argmax(), length.shape)
    place = length[a]
    if not np.allclose(place + length[b], length[a, b], rtol=1e-12, atol=0):
        return None
    order = np.argsort(place, kind="stable")
    held = np.zeros(n)
    held[order[(n - 1) // 2]] += 0.5
    held[order[n // 2]] += 0.5
    return held


def _optimal_at(products, length, i):
    """Is row i itself the median? The others' unit pulls must not outweigh the rows standing there.

    Vardi and Zhang, PNAS 2000: |sum_{x_j != x_i} (x_j - x_i) / |x_j - x_i|| <= number at x_i.
    """
    away = length[i] > 0
    from_i = products - products[i] - products[:, i : i + 1] + products[i, i]
    pull = 1.0 / length[i, away]
    return pull @ from_i[np.ix_(away, away)] @ pull <= (~away).sum() ** 2


def _descend(products, size, tol, max_iter):
    """Newton's method on F(z) = sum_i |z - x_i|, with Weiszfeld's step where that is better."""
    trials, n, _ = products.shape
    squares = np.diagonal(products, axis1=-1, axis2=-2)
    w = np.full((trials, n), 1.0 / n)
    active = np.arange(trials)
    for iteration in range(max_iter):
        K, sq = products[active], squares[active]
        distance, inner = _distances(K, sq, w[active])
        slow = _step(w[active], distance, np.ones_like(distance))
        step = slow
        if iteration >= 3:
            fast = _step(w[active], distance, _newton(K, sq, w[active], distance, inner))
            # Near the end the two sums agree to the last digit, and Newton's step is the better.
            good = _sum(K, sq, w[active] + fast) <= (1 + 1e-13) * _sum(K, sq, w[active] + slow)
            step = np.where(good[:, None], fast, slow)
        w[active] += step
        moved = np.sqrt(np.maximum(np.einsum("ti,tij,tj->t", step, K, step), 0.0))
        active = active[~(moved <= tol * size[active])]
        if not len(active):
            return w
    warnings.warn(
        f"geometric_median: {len(active)} of {trials} trials moved by more than {tol:g} of their "
        f"size ({(moved[moved > 0] / size[active].max()).max():.1e}) after {max_iter} steps",
        RuntimeWarning,
        stacklevel=5,
    )
    return w


def _distances(K, squares, w):
    """|z - x_i| for z = sum w_i x_i, and z.x_i around the origin of K: (trials, n) each."""
    inner = np.einsum("tij,tj->ti", K, w)
    square = squares - 2 * inner + np.einsum("ti,ti->t", w, inner)[:, None]
    floor = 1e-30 * squares.max(axis=-1, keepdims=True)
    return np.sqrt(np.maximum(square, floor)), inner


def _sum(K, squares, w):
    return _distances(K, squares, w)[0].sum(axis=-1)


def _step(w, distance, y):
    """Change of the weights when z moves by -(1/A) sum_i y_i (z - x_i) / |z - x_i|.

    A = sum_i 1 / |z - x_i|. With y = 1 this is Weiszfeld's step.
    """
    pull = y / distance
    return (pull - pull.sum(axis=-1, keepdims=True) * w) / (1 / distance).sum(-1, keepdims=True)


def _newton(K, squares, w, distance, inner):
    """The y of `_step` that makes it Newton's: y = 1 + (A diag(r) - S)^-1 S 1.

    r_i = |z - x_i|, and S holds the inner products of the unit vectors (z - x_i) / r_i; this is
    the Hessian A I - sum_i u_i u_i^T / r_i inverted by Woodbury's identity.
    """
    zz = np.einsum("ti,ti->t", w, inner)[:, None, None]
    S = (K - inner[:, :, None] - inner[:, None, :] + zz) / distance[:, :, None] / distance[:, None]
    A = (1 / distance).sum(axis=-1)
    M = A[:, None, None] * distance[:, :, None] * np.eye(K.shape[-1]) - S
    M += 1e-14 * np.trace(M, axis1=-1, axis2=-2)[:, None, None] * np.eye(K.shape[-1])
    return 1 + np.linalg.solve(M, S.sum(axis=-1)[..., None])[..., 0]
