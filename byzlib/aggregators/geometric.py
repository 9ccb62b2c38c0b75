"""Rules that look for a centre: the geometric median, of rows or of group means, and clipping.

Every iterate of the geometric median is a weighted mean of the rows, z = sum_i w_i x_i. With the
products K_ij = (x_i - c).(x_j - c) around one of the rows, all distances from z follow from w and
K: the d coordinates are touched twice, for K and for the answer.
"""

import warnings

import numpy as np

from byzlib.aggregators._contract import rule
from byzlib.aggregators._distances import (
    directions,
    lost_squares,
    plain_distances,
    scaled,
    squared_distances,
    weighted_means,
)
from byzlib.aggregators.preaggregation import as_part, clipping_factor, lengths, random_groups
from byzlib.theory import (
    as_count,
    as_generator,
    as_number,
    like,
    refuse_masked,
    to_numpy,
)

SAME = 1e-14  # rows this much nearer than most stand in one place, but for rounding
PARTS = 0.25, 1 / 16, 1 / 64, 1 / 256  # of Newton's step that are tried
FAR = 1e20  # a row this much farther than most pulls as from infinity
TINY = np.finfo(np.float64).tiny
NEARBY = 1e4  # products around the origin serve if c is no more than this longer than distances


@rule(0, 1)
def geometric_median(x, tol=1e-10, max_iter=1000):
    """Geometric median: the point with the smallest sum of distances to the updates.

    F(x) = argmin_z sum_i |z - x_i|. With an even number of rows on one line, where all points
    between the middle two are equally good, the midpoint.

    Parameters
    ----------
    updates : (..., n, d) array_like
    tol : float
        Relative to the length of the rows around the median row, > 0.
    max_iter : int
        Steps of n^2 operations each, >= 1; a RuntimeWarning with numbers tells if they ran out.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n), proportional to 1 / |F(x) - x_i|.

    Source: Weiszfeld, 1937; Vardi and Zhang, PNAS 2000, for medians at a row; as a rule, Chen, Su
    and Xu, POMACS 2017.
    """
    tol = as_number(tol, "tol", "geometric_median")
    max_iter = as_count(max_iter, "max_iter", "geometric_median", least=1)
    distances = squared_distances(x)
    weights, done = _held_by_a_majority(distances.table)
    left = np.flatnonzero(~done)
    if len(left):
        K, apart, shrunk = _around_a_row(distances if left.size == done.size else distances[left])
        found = np.empty(apart.shape[:2])
        descend = []
        for t in range(len(left)):
            held = _between_two_rows(K[t], apart[t])
            if held is None:
                held = _at_a_row(K[t], apart[t])
            if held is None:
                descend.append(t)
            else:
                found[t] = held
        if descend:
            found[descend] = _descend(K[descend], apart[descend], tol, max_iter)
        found *= shrunk
        weights[left] = found / found.sum(axis=-1, keepdims=True)
    return weighted_means(weights[:, None], x, distances.table)[:, 0, :], weights


def geometric_median_of_means(updates, n_groups, rng, *, return_weights=False):
    """Geometric median of the means of random groups of clients.

    Parameters
    ----------
    updates : (..., n, d) array_like
    n_groups : int
        1 <= n_groups <= n; 1 is the mean, n the geometric median. f liars spoil at most f groups,
        so the guarantee needs more than 2f of them.
    rng : numpy.random.Generator or int
        Draws who goes with whom; the draw does not depend on the order of the clients.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n).

    Source: Chen, Su and Xu, POMACS 2017, Algorithm 2.
    """
    groups = as_part(n_groups, "n_groups", updates, "geometric_median_of_means")
    rng = as_generator(rng, "geometric_median_of_means")

    @rule(0, 1)
    def geometric_median_of_means(x):
        n = x.shape[1]
        matrix = random_groups(x, np.arange(n) * min(groups, n) // n, rng)
        result, weights = geometric_median(like(matrix, x) @ x, return_weights=True)
        return result, (to_numpy(weights)[:, None, :] @ matrix)[:, 0, :]

    return geometric_median_of_means(updates, return_weights=return_weights)


@rule(0, 1)
def centered_clipping(x, radius, center=None, n_iter=1):
    """Centered clipping: from a centre, follow each update for at most `radius`, on average.

    v <- v + 1/n sum_i (x_i - v) min(1, radius / |x_i - v|), n_iter times.

    Parameters
    ----------
    updates : (..., n, d) array_like
    radius : float
        In units of the updates, > 0; infinity gives the mean. One client moves v by at most
        2 radius / n.
    center : (d,) array_like, optional
        Where v starts: the last answer in a training, zero by default.
    n_iter : int
        >= 1.

    Returns
    -------
    (..., d) array; with `return_weights` also (..., n), proportional to the last clipping factors.

    Source: Karimireddy, He and Jaggi, ICML 2021, Algorithm 2.
    """
    radius = as_number(radius, "radius", "centered_clipping")
    v = _center(center, x)
    for _ in range(as_count(n_iter, "n_iter", "centered_clipping", least=1)):
        moved = x if v is None else x - v
        length, unit = lengths(moved)
        factor = clipping_factor(length, radius / unit)
        step = like(factor[:, None, :] / x.shape[1], moved) @ moved
        v = step if v is None else v + step
    return like(v[:, 0, :], x), lambda: factor / factor.sum(axis=-1, keepdims=True)


def _center(center, x):
    """The centre (d,) beside x, None for the origin."""
    if center is None:
        return None
    d = x.shape[2]
    refuse_masked(center, "centered_clipping")
    needed = f"centered_clipping needs a finite center of shape ({d},)"
    try:
        center = to_numpy(center)
    except ValueError:
        raise ValueError(f"{needed}; got rows of different lengths") from None
    if center.dtype.kind not in "fiu":
        raise TypeError(f"{needed}; got dtype {center.dtype}")
    if center.shape != (d,):
        raise ValueError(f"{needed}; got shape {center.shape}")
    if not np.isfinite(center).all():
        raise ValueError(f"{needed}; got NaN or infinity")
    if not center.any():
        return None
    center = center.astype(np.float64)
    return center if isinstance(x, np.ndarray) else like(center, x)


# The geometric median on n weights. K and `apart` are (trials, n, n) from here on.


def _held_by_a_majority(table):
    """Equal weights on rows that are the same, if they are more than half of all; and who has them.

    No pull of the others can move the median from there, however far away they are.
    """
    same = table == 0
    count = same.sum(axis=-1)
    of_most = np.take_along_axis(same, count.argmax(axis=-1)[:, None, None], axis=1)[:, 0]
    done = 2 * count.max(axis=-1) > table.shape[-1]
    return of_most * done[:, None] / of_most.sum(axis=-1, keepdims=True), done


def _around_a_row(distances):
    """Products K and distances of the rows around one in the crowd, in a unit of the crowd's size.

    Rows farther than `FAR` are drawn to there, on their line to the origin: their pull is the same,
    and K keeps within the digits of a float. Returns K, the distances and the factors.
    """
    G, lost, exact = distances.gram, lost_squares(distances.table), distances.dtype == np.float64
    trials, n, _ = G.shape
    K, apart, shrunk = np.empty((trials, n, n)), np.sqrt(distances.table), np.ones((trials, n))
    for t, far in enumerate(apart):
        if lost[t]:
            far[:], _ = plain_distances(distances.rows[t])
        # The row of the smallest sum of distances, far ones capped lest they drown the sum.
        cap = max(1e8 * np.sort(far, axis=1)[:, n // 2].min(), 1e-300)
        c = np.minimum(far, cap).sum(axis=1).argmin()
        typical = _typical(far[c])
        far /= typical
        near = np.partition(far[c], 1)[1] if n > 1 else 1.0
        plain = not lost[t] and far[c].max() < FAR
        if plain and G[t, c, c] <= NEARBY * (typical * near) ** 2:
            K[t] = (G[t] - G[t, c] - G[t, :, c : c + 1] + G[t, c, c]) / typical**2
            # Products of float32 rows cannot tell a line from nearly one; those below can.
            if exact or not _on_a_line(K[t], 0.1):
                continue
        rows, _ = scaled(distances.rows[t])
        along, length = directions(rows - rows[c])
        length /= _typical(length)
        shrunk[t] = np.minimum(1.0, FAR / np.maximum(length, TINY))
        rows = along * np.minimum(length, FAR)[:, None]
        K[t] = rows @ rows.T
        drawn = length > FAR
        if drawn.any():  # such rows are so far from all others that K tells the distance
            square = np.diagonal(K[t])[:, None] + np.diagonal(K[t]) - 2 * K[t]
            either = drawn[:, None] | drawn
            far[either] = np.sqrt(np.maximum(square[either], 0.0))
    return K, apart, shrunk


def _typical(far):
    """The median distance, or the smallest of the others where that is zero."""
    return _middle(far) or far[far > 0].min(initial=1e100)


def _middle(values):
    """np.median over the last axis, for short rows: (..., n) -> (...)."""
    ordered, n = np.sort(values, axis=-1), values.shape[-1]
    return ordered[..., (n - 1) // 2] / 2 + ordered[..., n // 2] / 2


def _between_two_rows(K, apart):
    """Half of each of the middle two, if n is even, they differ and all rows lie on one line."""
    if len(K) % 2 or not _on_a_line(K, 1e-11):
        return None
    ordered = np.argsort(K[np.diagonal(K).argmax()], kind="stable")
    below, above = ordered[len(K) // 2 - 1 : len(K) // 2 + 1]
    if apart[below, above] == 0:
        return None
    equal = np.stack([apart[below] == 0, apart[above] == 0])
    return (equal / equal.sum(axis=1, keepdims=True)).mean(axis=0)


def _on_a_line(K, slack):
    """Is the inequality of Cauchy and Schwarz an equality for every pair of rows?"""
    length = np.sqrt(np.maximum(np.diagonal(K), 0.0))
    return bool((np.abs(K) >= (1 - slack) * np.multiply.outer(length, length)).all())


def _at_a_row(K, apart):
    """Weights when a row is the median, equal rows sharing it; else None.

    Such a row has the smallest sum of distances. Far-away rows drown that sum in rounding, so all
    whose sums are close are tried.
    """
    total = apart.sum(axis=1)
    for i in np.flatnonzero(total <= (1 + 1e-6) * total.min()):
        equal = apart[i] <= SAME * _middle(apart[i])
        # In a far pair K has lost the pull of one on the other; the middle is as good as they.
        told = K[i, i] <= 1e8 * apart[i, ~equal].min() ** 2
        if told and _optimal_at(K, apart[i], i, ~equal):
            return equal / equal.sum()
    return None


def _optimal_at(K, apart, i, away):
    """Is row i itself the median? The others' unit pulls must not outweigh the rows standing there.

    Vardi and Zhang, PNAS 2000: |sum_{x_j != x_i} (x_j - x_i) / |x_j - x_i|| <= number at x_i.
    """
    from_i = K - K[i] - K[:, i : i + 1] + K[i, i]
    pull = np.divide(1.0, apart, out=np.zeros(len(apart)), where=away)
    # A pull that exceeds the limit by so little moves the median by as little of its size.
    return pull @ from_i @ pull <= (1 + 1e-12) * np.count_nonzero(~away) ** 2


def _descend(K, apart, tol, max_iter):
    """Weights of the minimum of F(z) = sum_i |z - x_i|.

    A step is Newton's; where that leads uphill, the best of it, parts of it, and Weiszfeld's, which
    always leads downhill.
    """
    size = _middle(apart.min(axis=-1, where=apart > 0, initial=np.inf))
    typical = _middle(apart)
    w = 1 / np.maximum(typical, 1e-3 * size[:, None])  # from among the crowd
    w /= w.sum(axis=-1, keepdims=True)
    # Rows that are equal up to rounding make a size that no step could get below.
    goal = np.maximum(tol * size, 4 * np.finfo(np.float64).eps * _middle(typical))
    going = np.ones(len(w), dtype=bool)
    for _ in range(max_iter):
        r, a = _distances_from(K, w)
        newton = _moved(w, r, _newton(K, a, r))
        moved, gain = _progress(K, w, newton, r)
        total, terms = gain.sum(axis=-1), np.abs(gain).sum(axis=-1)
        # Near the end all is rounding, and Newton's step is still the better.
        uphill = going & ~(total <= 1e-13 * terms)
        w, before = np.where(going[:, None], newton, w), w
        for t in np.flatnonzero(uphill):
            parts = [(1 - share) * before[t] + share * newton[t] for share in PARTS]
            steps = np.stack([*parts, _moved(before[t], r[t], 1.0)])
            w[t] = steps[_progress(K[t], before[t], steps, r[t])[1].sum(axis=-1).argmin()]
        going &= uphill | ~((moved <= goal) | (np.abs(total) <= 1e-14 * terms))
        if not going.any():
            return w
    warnings.warn(
        f"geometric_median: after {max_iter} steps, max_iter, {going.sum()} trials still moved "
        f"by more than {tol:g} of their size, by up to {(moved / size)[going].max():.1e}",
        RuntimeWarning,
        stacklevel=4,  # the line that called the rule
    )
    return w


def _distances_from(K, w):
    """r_i = |z - x_i| for z = sum w_i x_i, and a_i = z.x_i - |z|^2 / 2: (trials, n) each.

    Around the origin of K, |z - x_i|^2 = |x_i|^2 - 2 a_i.
    """
    squares, inner = np.diagonal(K, axis1=1, axis2=2), np.vecdot(K, w[:, None])
    zz = np.vecdot(w, inner)[:, None]
    floor = 1e-30 * (squares + np.abs(zz)) + TINY
    a = inner - zz / 2
    return np.sqrt(np.maximum(squares - 2 * a, floor)), a


def _moved(w, r, y):
    """Weights after z moves by -(1/A) sum_i y_i (z - x_i) / r_i, A the sum of 1 / r_i.

    With y = 1 this is Weiszfeld's step, and w becomes (1 / r) / A. Weights are not subtracted from
    each other, so that the small one of a far row is exact.
    """
    share = y / r / (1 / r).sum(axis=-1, keepdims=True)
    return w * (1 - share.sum(axis=-1, keepdims=True)) + share


def _newton(K, a, r):
    """The y of `_moved` that makes it Newton's: y = 1 + (A diag(r) - S)^-1 S 1.

    S holds the inner products of the unit vectors u_i = (z - x_i) / r_i. It is the Hessian
    A I - sum_i u_i u_i^T / r_i, inverted by Woodbury's identity.
    """
    S = (K - a[:, :, None] - a[:, None, :]) / (r[:, :, None] * r[:, None, :])
    A = (1 / r).sum(axis=-1, keepdims=True)
    M = -S
    M.reshape(len(M), -1)[:, :: r.shape[-1] + 1] += (1 + 1e-14) * A * r
    return 1 + np.linalg.solve(M, S.sum(axis=-1, keepdims=True))[..., 0]


def _progress(K, w, steps, r):
    """How far each step moves z, and by how much each distance from it grows.

    |z + s - x|^2 - |z - x|^2 = 2 s.(z - x) + |s|^2, so that no large distances are subtracted.
    """
    step = steps - w
    along = np.vecdot(K, step[..., None, :])
    square = np.maximum(np.vecdot(step, along), 0.0)[..., None]
    growth = 2 * (np.vecdot(w, along)[..., None] - along) + square
    return np.sqrt(square)[..., 0], growth / (r + np.sqrt(np.maximum(r**2 + growth, 0.0)))
