"""The geometric median on n numbers instead of d: every iterate is a weighted mean of the rows.

With z = sum_i w_i x_i and the products K_ij = (x_i - c).(x_j - c) around one of the rows, all
distances from z follow from w and K. So the parameters are touched twice, for K and for the answer.
"""

import warnings

import numpy as np

SAME = 1e-15  # rows this much nearer than most stand in one place, but for rounding
SHRINKS = 0.01  # a step of Newton's this much shorter than the last: the next shrinks by more
SHARES = 0.25, 1 / 16, 1 / 64, 1 / 256  # of Newton's step that are tried
FAR = 1e20  # a row this much farther than most pulls as from infinity


def median_weights(products, length, tol, max_iter):
    """Weights of the geometric median of each trial.

    Parameters
    ----------
    products : (trials, n, n) float64 array
        K, inner products of the rows around one of them.
    length : (trials, n, n) float64 array
        Distances between the rows, zero for equal ones.
    tol : float
        Stop when a step, or the next one by how fast they shrink, moves the answer by less than tol
        times the median distance to a row.
    max_iter : int

    Returns
    -------
    (trials, n) array, summing to 1. Warns if a trial did not converge.
    """
    trials, n, _ = products.shape
    result, descend = np.empty((trials, n)), []
    for t in range(trials):
        held = _between_two_rows(products[t], length[t]) if n % 2 == 0 else None
        if held is None:
            held = _at_a_row(products[t], length[t])
        if held is None:
            descend.append(t)
        else:
            result[t] = held
    if descend:
        length = length[descend]
        size = _middle(length.min(axis=-1, where=length > 0, initial=np.inf))
        # From among the crowd: rows with many others near.
        typical = _middle(length)
        start = 1 / np.maximum(typical, 1e-3 * size[:, None])
        start /= start.sum(axis=-1, keepdims=True)
        # Rows that are equal up to rounding make a size that no step could get below.
        rounding = 4 * np.finfo(np.float64).eps / tol * _middle(typical)
        size = np.maximum(size, rounding)
        result[descend] = _descend(products[descend], start, size, tol, max_iter)
    return result


def drawn_near(products, shrunk):
    """Rows farther than `FAR` times most others drawn towards the origin of K, on their line to it.

    The pull of such a row has the same direction from everywhere in the crowd, and K keeps within
    the digits of a float. Returns the new K and the factors, multiplied with those before.
    """
    far = np.sqrt(np.diagonal(products, axis1=-1, axis2=-2))
    typical = _middle(far)[:, None]
    # Where most rows stand in one place, any distance that has a square will do.
    limit = np.where(typical > 0, FAR * np.minimum(typical, 1e100), 1e100)
    beyond = far > limit
    if not beyond.any():
        return products, shrunk
    factor = np.where(beyond, limit / np.where(beyond, far, 1.0), 1.0)
    return products * factor[:, :, None] * factor[:, None, :], shrunk * factor


def lengths_between(products, table, drawn_near):
    """Distances between rows: from the table, but from K for rows drawn near in K: (trials, n, n).

    Such a row is so far from all others that K tells the distance to the last digit.
    """
    if not drawn_near.any():
        return np.sqrt(table)
    squares = np.diagonal(products, axis1=-1, axis2=-2)
    with np.errstate(over="ignore", invalid="ignore"):
        seen_in_K = squares[:, :, None] + squares[:, None, :] - 2 * products
    either = drawn_near[:, :, None] | drawn_near[:, None, :]
    return np.sqrt(np.where(either, np.maximum(seen_in_K, 0.0), table))


def _middle(values):
    """np.median over the last axis, for short rows: (..., n) -> (...)."""
    ordered, n = np.sort(values, axis=-1), values.shape[-1]
    return ordered[..., (n - 1) // 2] / 2 + ordered[..., n // 2] / 2


def _between_two_rows(products, length):
    """Half of each of the middle two, if they differ and all rows lie on one line; else None.

    On a line the inequality of Cauchy and Schwarz is an equality for every pair of rows.
    """
    far = np.sqrt(np.diagonal(products))
    if (np.abs(products) < (1 - 1e-11) * np.multiply.outer(far, far)).any():
        return None
    ordered = np.argsort(products[far.argmax()], kind="stable")
    below, above = ordered[len(ordered) // 2 - 1 : len(ordered) // 2 + 1]
    if length[below, above] == 0:
        return None
    equal = np.stack([length[below] == 0, length[above] == 0])
    return (equal / equal.sum(axis=1, keepdims=True)).mean(axis=0)


def _at_a_row(products, length):
    """Weights when a row is the median, equal rows sharing it; else None.

    Such a row has the smallest sum of distances. Far-away rows drown that sum in rounding, so all
    whose sums are close are tried.
    """
    total = length.sum(axis=1)
    for i in np.flatnonzero(total <= (1 + 1e-6) * total.min()):
        equal = length[i] <= SAME * _middle(length[i])
        if _optimal_at(products, length[i], i, ~equal):
            return equal / equal.sum()
    return None


def _optimal_at(products, length, i, away):
    """Is row i itself the median? The others' unit pulls must not outweigh the rows standing there.

    Vardi and Zhang, PNAS 2000: |sum_{x_j != x_i} (x_j - x_i) / |x_j - x_i|| <= number at x_i.
    """
    from_i = products - products[i] - products[:, i : i + 1] + products[i, i]
    pull = np.divide(1.0, length, out=np.zeros(len(length)), where=away)
    # A pull that exceeds the limit by so little moves the median by as little of its size.
    return pull @ from_i @ pull <= (1 + 1e-12) * np.count_nonzero(~away) ** 2


def _descend(products, w, size, tol, max_iter):
    """Newton's method on F(z) = sum_i |z - x_i|, in parts or Weiszfeld's step where that fails."""
    result, active, K = w.copy(), np.arange(len(w)), products
    squares = np.diagonal(K, axis1=-1, axis2=-2)
    last = np.zeros(len(w))  # how far the step before moved, 0 if it was not Newton's
    for _ in range(max_iter):
        distance, a = _distances(K, squares, w)
        pull = 1 / distance
        newton = new = _moved(w, pull, _newton(K, a, pull))
        moved, gain = _progress(K, w, new, distance)
        worse = _uphill(gain)
        whole = ~worse
        # Where a whole step of Newton's leads uphill, a part of it does not; else Weiszfeld's.
        for share in (*SHARES, None) if worse.any() else ():
            t, new = np.flatnonzero(worse), new.copy()
            if share is None:
                new[t] = _moved(w[t], pull[t], 1.0)
            else:
                new[t] = (1 - share) * w[t] + share * newton[t]
            moved[t], gain = _progress(K[t], w[t], new[t], distance[t])
            worse[t] = _uphill(gain)
        w = new
        # Newton's steps shrink faster and faster: the next one by more than this one has.
        fast = whole & (moved < SHRINKS * last)
        rest = np.where(fast, moved**2 / np.where(fast, last, 1.0), moved)
        last = np.where(whole, moved, 0.0)
        going = ~(rest <= tol * size)
        if going.all():
            continue
        result[active[~going]] = w[~going]
        if not going.any():
            return result
        state = active, K, squares, w, last, size, moved
        active, K, squares, w, last, size, moved = (array[going] for array in state)
    warnings.warn(
        f"geometric_median: after {max_iter} steps, max_iter, {len(active)} trials still moved "
        f"by more than {tol:g} of their size, by up to {(moved / size).max():.1e}",
        RuntimeWarning,
        stacklevel=10,  # the line that called the rule
    )
    result[active] = w
    return result


def _uphill(gain):
    """Does F grow? Near the end all is rounding, and a step of Newton's is still the better."""
    return ~(gain.sum(axis=-1) <= 1e-13 * np.abs(gain).sum(axis=-1))


def _distances(K, squares, w):
    """|z - x_i| for z = sum w_i x_i, and a_i = z.x_i - |z|^2 / 2: (trials, n) each.

    Around the origin of K, |z - x_i|^2 = |x_i|^2 - 2 a_i.
    """
    inner = (K @ w[..., None])[..., 0]
    zz = (w * inner).sum(axis=-1, keepdims=True)
    floor = 1e-30 * (squares + np.abs(zz)) + np.finfo(np.float64).tiny
    a = inner - zz / 2
    return np.sqrt(np.maximum(squares - 2 * a, floor)), a


def _progress(K, w, new, distance):
    """How far z moves, and by how much each distance from it grows.

    |z + s - x|^2 - |z - x|^2 = 2 s.(z - x) + |s|^2, so that no large distances are subtracted.
    """
    step = new - w
    along = (K @ step[..., None])[..., 0]
    square = np.maximum((step * along).sum(axis=-1, keepdims=True), 0.0)
    growth = 2 * ((w * along).sum(axis=-1, keepdims=True) - along) + square
    return np.sqrt(square)[:, 0], growth / (
        distance + np.sqrt(np.maximum(distance**2 + growth, 0.0))
    )


def _moved(w, pull, y):
    """Weights after z moves by -(1/A) sum_i y_i (z - x_i) / |z - x_i|.

    A is the sum of all `pull`, which is 1 / |z - x_i|. With y = 1 this is Weiszfeld's step, and w
    becomes pull / A. Weights are not subtracted from each other, so that the small one of a far
    row is exact.
    """
    share = y * pull / pull.sum(axis=-1, keepdims=True)
    return w * (1 - share.sum(axis=-1, keepdims=True)) + share


def _newton(K, a, pull):
    """The y of `_moved` that makes it Newton's: y = 1 + (A diag(r) - S)^-1 S 1.

    r_i = |z - x_i| = 1 / pull_i, and S holds the inner products of the unit vectors
    u_i = (z - x_i) / r_i. It is the Hessian A I - sum_i u_i u_i^T / r_i, inverted by Woodbury's
    identity.
    """
    S = K - a[:, :, None] - a[:, None, :]
    S *= pull[:, :, None]
    S *= pull[:, None, :]
    M, n = -S, K.shape[-1]
    M.reshape(len(M), n * n)[:, :: n + 1] += (1 + 1e-14) * pull.sum(axis=-1, keepdims=True) / pull
    return 1 + np.linalg.solve(M, S.sum(axis=-1, keepdims=True))[..., 0]
