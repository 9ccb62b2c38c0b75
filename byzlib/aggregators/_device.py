"""What the rules do with all d coordinates, for rows that stay on another device than the host.

By the array API, and in one piece: a GPU takes large arrays at once. Each function stands in for
the one of the same name that NumPy's arrays go through; its answer is a tensor where it has d
coordinates, and an array of NumPy, such as a table of pairs of clients, where it has none.
"""

import numpy as np
from array_api_compat import array_namespace, device

from byzlib.theory import has_float64, to_numpy

# Up to so many rows, and from so many columns on, a network sorts. It starts 50 passes for ten
# rows, so that few columns are not worth it; how many are is an estimate, not timed on a GPU.
NETWORK_ROWS = 24
NETWORK_COLUMNS = 1 << 18


def all_finite(x):
    xp = array_namespace(x)
    return bool(xp.all(xp.isfinite(x)))


def between_ranks(x, low, high, pairs):
    """The order statistics low+1 .. high of x (trials, n, d): all, the lowest, the highest."""
    xp, (trials, n, d) = array_namespace(x), x.shape
    if n > NETWORK_ROWS or trials * d < NETWORK_COLUMNS:
        kept = xp.permute_dims(_sorted(x)[:, low:high, :], (1, 0, 2))
        return kept, kept[0, ...], kept[-1, ...]
    rows = [x[:, i, :] for i in range(n)]
    for i, j, smaller, larger in pairs:
        a, b = rows[i], rows[j]
        if smaller:
            rows[i] = xp.minimum(a, b)
        if larger:
            rows[j] = xp.maximum(a, b)
    return xp.stack(rows[low:high]), rows[low], rows[high - 1]


def near_median(x, count):
    """The values nearest the median; of equally near ones the smaller."""
    xp, n = array_namespace(x), x.shape[1]
    x = _sorted(x)
    median = 0.5 * x[:, (n - 1) // 2, :] + 0.5 * x[:, n // 2, :]
    kept = [x[:, r, :] for r in range(count)]
    for i in range(n - count):
        nearer = 0.5 * x[:, i, :] + 0.5 * x[:, i + count, :] < median
        kept[i % count] = xp.where(nearer, x[:, i + count, :], kept[i % count])
    kept = xp.stack(kept)
    return kept, xp.min(kept, axis=0), xp.max(kept, axis=0)


def _sorted(x):
    return array_namespace(x).sort(x, axis=1, stable=False)  # equal numbers have no order to keep


def mean(kept, lowest, highest):
    """Their mean, never outside of them. What is divided first cannot overflow."""
    xp, count = array_namespace(kept), kept.shape[0]
    dtype = xp.float64 if has_float64(kept) else kept.dtype
    mean = xp.astype(xp.sum(kept / count, axis=0, dtype=dtype), kept.dtype)
    return xp.minimum(xp.maximum(mean, lowest), highest)


def products(x):
    """The rows' products around the first of them in float64, and the bound on their error."""
    xp = array_namespace(x)
    rows = xp.astype(x, xp.float64) if has_float64(x) else to_numpy(x).astype(np.float64)
    rows = rows - rows[:, :1, :]
    bound = (x.shape[2] + 4) * float(np.finfo(np.float64).eps)
    return to_numpy(rows @ array_namespace(rows).matrix_transpose(rows)).copy(), bound


def squared_lengths(x):
    return to_numpy(array_namespace(x).vecdot(x, x)).astype(np.float64)


def picked(x, chosen):
    """The rows of x (trials, n, d) that a mask (trials, n) has chosen, one below the other."""
    xp = array_namespace(x)
    places = xp.asarray(np.flatnonzero(chosen), device=device(x))
    return xp.take(xp.reshape(x, (-1, x.shape[2])), places, axis=0)
