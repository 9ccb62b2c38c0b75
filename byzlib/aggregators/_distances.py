"""Squared distances between clients, at the speed of one matrix product and safe under any offset.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y turns all pairs into one product, and loses digits where x and y
are long and close. So every pair knows a bound on its own rounding. Where that is too large for the
distance, rows are moved next to the origin and multiplied again, or the pair is subtracted and
squared; and where it is too large for a choice between two clients, so are their distances.
"""

import functools
from dataclasses import dataclass, field

import numpy as np

from byzlib.aggregators import _device
from byzlib.theory import like, to_numpy

PIECE = 512  # columns whose products are summed in their own type; the sums go on in float64
TABLES = 1 << 20  # numbers that the products of several pieces may take
FEW = 32  # rows up to which BLAS is slower with a matrix and itself than with two matrices
BLOCK = 1 << 17  # numbers of a block of differences: they stay in a core's cache
SURE = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-8}  # relative error of an entry
TINY = {np.dtype(np.float32): 1e-20, np.dtype(np.float64): 1e-180}  # squares that lost digits
HUGE = 1e300  # squares beyond which a sum of them may overflow
SMALLEST = np.finfo(np.float64).smallest_subnormal


@dataclass
class Distances:
    """Squared distances between the rows of each trial.

    x : (trials, n, d) as they were given; `rows` are the same on the host, where a choice is close
    table : (trials, n, n) float64, symmetric, zero for equal rows only; infinity or the smallest
        float stands for a square that is no float (`lost_squares`)
    error : (trials,) bound on the relative error of the entries
    gram : (trials, n, n) products of the rows with each other; NaN in trials where some squares
        left the range of a float
    dtype : in which they were multiplied
    exact : dict of the pairs that were subtracted to settle a choice
    """

    x: object
    table: np.ndarray
    error: np.ndarray
    gram: np.ndarray
    dtype: np.dtype
    exact: dict = field(default_factory=dict)

    def __getitem__(self, some):
        """The same for some of the trials."""
        tables = self.table[some], self.error[some], self.gram[some]
        return Distances(self.rows[some], *tables, self.dtype)

    @functools.cached_property
    def rows(self):
        return to_numpy(self.x)


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def squared_distances(x):
    """All pairwise squared distances of finite x (trials, n, d), as `Distances`."""
    if isinstance(x, np.ndarray):
        (gram, bound), dtype = _products(x), x.dtype
    else:
        (gram, bound), dtype = _device.products(x), np.dtype(np.float64)
    table, reach = _expanded(gram)
    error = bound * _largest_ratio(reach, table)
    in_range = TINY[dtype] <= reach.min(initial=1.0) and reach.max(initial=1.0) <= HUGE
    if not (in_range and error.max(initial=0.0) <= SURE[dtype]):
        _mend(to_numpy(x), gram, table, reach, error, bound)
    return Distances(x, table, error, gram, dtype)


def _products(x):
    """X X^T in float64, and b: |x_i - x_j|^2 from it is off by at most b (|x_i|^2 + |x_j|^2).

    float64: the d additions of a product round by eps/2 each, and three products meet in a
    distance, so b = (d + 4) eps. float32: columns are multiplied in pieces, within which the
    errors walk at random (Higham and Mary, SIAM J. Sci. Comput. 2019), so b = 6 sqrt(PIECE) eps.
    """
    (trials, n, d), eps = x.shape, float(np.finfo(x.dtype).eps)
    exact = x.dtype == np.float64
    bound = (d + 4) * eps if exact else 6 * np.sqrt(min(d, 2 * PIECE)) * eps
    if d <= 2 * PIECE or (exact and n > FEW):
        return _with_itself(x).astype(np.float64, copy=False), bound
    gram, step = np.zeros((trials, n, n)), PIECE * max(1, TABLES // (trials * n * n))
    for c in range(0, d, step):
        some = x[..., c : c + step]
        whole = some.shape[-1] - some.shape[-1] % PIECE
        pieces = some[..., :whole].reshape(trials, n, -1, PIECE).swapaxes(1, 2)
        gram += _with_itself(pieces).sum(axis=1, dtype=np.float64)
        gram += _with_itself(some[..., whole:])
    return gram, bound


def squared_lengths(x):
    """|x|^2 of each row in float64, (..., n, d) -> (..., n), in pieces as `_products`."""
    *lead, d = x.shape
    if not isinstance(x, np.ndarray):
        return _device.squared_lengths(x)
    if d <= 2 * PIECE or x.dtype == np.float64:
        return np.vecdot(x, x).astype(np.float64, copy=False)
    whole = d - d % PIECE
    pieces, rest = x[..., :whole].reshape(*lead, -1, PIECE), x[..., whole:]
    return np.vecdot(pieces, pieces).sum(axis=-1, dtype=np.float64) + np.vecdot(rest, rest)


def _with_itself(x):
    """X X^T in the type of x; of few rows as products of either half of them with all."""
    n, turned = x.shape[-2], x.swapaxes(-1, -2)
    if n > FEW:
        return x @ turned
    gram = np.empty((*x.shape[:-1], n), x.dtype)
    for half in slice(n // 2), slice(n // 2, n):
        np.matmul(x[..., half, :], turned, out=gram[..., half, :])
    return gram


def _expanded(gram):
    """|x|^2 + |y|^2 - 2 x.y and |x|^2 + |y|^2 for all pairs; 0 and 1 for a row and itself."""
    trials, n, _ = gram.shape
    norms = gram.reshape(trials, n * n)[:, :: n + 1]
    reach = norms[:, :, None] + norms[:, None, :]
    # The two halves may have rounded x.y and y.x differently.
    table = reach - (gram + gram.swapaxes(1, 2))
    table.reshape(trials, n * n)[:, :: n + 1] = 0.0
    reach.reshape(trials, n * n)[:, :: n + 1] = 1.0
    return table, reach


def _largest_ratio(reach, table):
    """Largest reach / |distance| of two rows of each trial; NaN where squares are out of range."""
    trials, n, _ = table.shape
    ratio = reach / np.abs(table)
    ratio.reshape(trials, n * n)[:, :: n + 1] = 0.0
    return ratio.max(axis=(1, 2))


def _mend(x, gram, table, reach, error, bound):
    """Take doubtful pairs again, in place: from rows that were moved, or by subtraction."""

    def doubtful(table, reach):
        """Pairs whose bound is too large for their distance, or whose squares are out of range."""
        out = (reach < TINY[x.dtype]) | (reach > HUGE)
        if x.dtype == np.float64:  # subtracted, they would be infinite again
            out &= reach < np.inf
        return out | ~(bound * reach <= SURE[x.dtype] * table)

    n = x.shape[1]
    gram[((reach < TINY[x.dtype]) | (reach > HUGE)).any(axis=(1, 2))] = np.nan
    doubt = doubtful(table, reach) & ~np.eye(n, dtype=bool)
    rows_lost = doubt.any(axis=1)
    for t in np.flatnonzero(2 * rows_lost.sum(axis=1) > n):  # most rows, not some equal ones
        rows = x[t].astype(np.float64)
        rows -= rows[_central(rows)].copy()
        table[t : t + 1], reach[t : t + 1] = _expanded((rows @ rows.T)[None])
        doubt[t] = doubtful(table[t], reach[t])
    which, i, j = np.triu(doubt, 1).nonzero()
    step = max(1, BLOCK // x.shape[2])
    for k in range(0, len(which), step):
        t, a, b = which[k : k + step], i[k : k + step], j[k : k + step]
        apart = _subtracted(x[t, a], x[t, b])
        lost = apart == 0
        apart[lost] = SMALLEST * (x[t[lost], a[lost]] != x[t[lost], b[lost]]).any(axis=-1)
        table[t, a, b] = table[t, b, a] = reach[t, a, b] = reach[t, b, a] = apart
    ratio = np.where(np.isfinite(reach) & (table > 0), reach / table, 1.0)
    error[:] = bound * ratio.max(axis=(1, 2))


def _central(rows):
    """The row at the median distance from the first: an honest one where most are."""
    return np.argsort(np.abs(rows - rows[0]).max(axis=1), kind="stable")[len(rows) // 2]


def _subtracted(a, b, unit=1.0):
    """|a - b|^2 of rows (..., d), in units of `unit` squared."""
    # A large unit divides first, lest the difference overflow; a small one last, lest the rows do.
    large, small = max(unit, 1.0), min(unit, 1.0)
    apart = (a.astype(np.float64) / large - b / large) / small
    return np.vecdot(apart, apart)


def lost_squares(table):
    """Which trials have distances too different for all of their squares to be floats?"""
    smallest = table.min(axis=(1, 2), where=table > 0, initial=1.0)
    return (table.max(axis=(1, 2)) == np.inf) | (smallest < 1 / HUGE)


def plain_distances(rows):
    """Distances of the rows of one trial, not squared, (n, d) -> (n, n); and their unit's exponent.

    In the unit 2^exponent no distance is too large for a float or loses digits that rows have.
    """
    rows, exponent = scaled(rows)
    apart = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        _, apart[i, i + 1 :] = directions(rows[i + 1 :] - row)
    return apart + apart.T, exponent


def scaled(rows):
    """The rows in a unit 2^exponent in which the largest number is near 2^1000."""
    exponent = int(np.frexp(np.abs(rows).max())[1]) - 1000
    return np.ldexp(rows.astype(np.float64), -exponent), exponent


def directions(away):
    """Unit vectors along the rows, and their lengths, of numbers of any size; zero for zero."""
    size = np.maximum(np.abs(away).max(axis=1), SMALLEST)
    away = away / size[:, None]
    norm = np.sqrt(np.vecdot(away, away))
    return away / np.maximum(norm, 1.0)[:, None], size * norm


def squares_in_reach(rows, decisive):
    """Squared distances of one trial, (n, n), each row's in a unit of its own; and the units (n,).

    The unit is a power of two near decisive(distances), one number or one for each row. Squares
    that then are infinite or zero are as good as that for a decision at that distance.
    """
    apart, exponent = plain_distances(rows)
    at = np.broadcast_to(decisive(apart), len(rows))
    units = np.ldexp(1.0, np.clip(np.frexp(at)[1] + exponent, -1074, 1023))
    return np.stack([_subtracted(rows, *of) for of in zip(rows, units, strict=True)]), units


def nearest_sums(table, k):
    """Sum of each client's k smallest squared distances to others: (..., n, n) -> (..., n)."""
    # Nobody is nearer to a client than itself, at distance 0, which adds nothing.
    return np.sort(table, axis=-1)[..., : k + 1] @ np.ones(k + 1)


def lowest(distances, k, m, alive=None):
    """The m clients with the smallest sums of k nearest distances: a (trials, n) bool array.

    Sums that the table cannot tell apart are taken again by subtraction; equal ones go by value, in
    lexicographic order, so that no client gains by its place in the list. `alive` (trials, n)
    leaves clients out, as winners and as neighbours.
    """
    if alive is None:
        alive = np.ones(distances.table.shape[:2], dtype=bool)
        scores = nearest_sums(distances.table, k)
    else:
        scores = nearest_sums(np.where(alive[:, None, :], distances.table, np.inf), k)
        scores[~alive] = np.inf
    edge = np.sort(scores, axis=-1)[:, m - 1]
    error = 1.5 * distances.error + 1e-15 * k
    units = {}
    if not (1 / HUGE < edge.min(initial=1.0) and edge.max(initial=1.0) < HUGE):
        for t in np.flatnonzero((edge > HUGE) | (edge < 1 / HUGE) & (edge > 0)):
            scores[t, alive[t]], units[t] = _sums_in_reach(distances.rows[t, alive[t]], k, m)
            edge[t], error[t] = np.sort(scores[t])[m - 1], 1e-15 * (k + distances.rows.shape[2])
    least, most = scores * (1 - error[:, None]), scores * (1 + error[:, None])
    chosen = (least <= (edge * (1 + error))[:, None]) & alive
    if np.count_nonzero(chosen) > m * len(chosen):
        for t in np.flatnonzero(chosen.sum(axis=-1) > m):
            among = np.flatnonzero(alive[t])
            sure = most[t] < np.sort(least[t, among])[m]
            contested = np.flatnonzero(chosen[t] & ~sure)
            settled = _settled(distances, t, units.get(t, 1.0), contested, among, k)
            chosen[t, settled[m - chosen[t].sum() :]] = False
    return chosen


def _sums_in_reach(rows, k, m):
    """The sums of one trial in a unit in which the m-th smallest is a float; and the unit."""

    def decisive(apart):
        return np.sort(np.sort(apart, axis=1)[:, k])[m - 1]

    squares, units = squares_in_reach(rows, decisive)
    return nearest_sums(squares, k), units[0]


def _settled(distances, t, unit, contested, among, k):
    """The contested clients of trial t, best first: by exact sums, then in lexicographic order."""
    rows, known = distances.rows[t], distances.exact
    order = _lexicographic(rows, contested)
    if (rows[contested] == rows[contested[0]]).all():
        return order

    def apart(i, j):
        pair = t, unit, min(i, j), max(i, j)
        if pair not in known:  # Bulyan asks again in its next round
            known[pair] = _subtracted(rows[i], rows[j], unit)
        return known[pair]

    exact = {i: np.sort([apart(i, j) for j in among])[: k + 1].sum() for i in contested}
    return sorted(order, key=exact.get)


def lexicographic_rank(x):
    """Place of each client when the rows of a trial are sorted like words: (trials, n)."""
    first = to_numpy(x[..., 0])
    order = np.argsort(first, axis=-1, kind="stable")
    ordered = np.take_along_axis(first, order, axis=-1)
    for t in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=-1)):
        order[t] = _lexicographic(to_numpy(x[int(t), ...]), order[t])
    return np.argsort(order, axis=-1)


def _lexicographic(rows, which):
    """Some rows' numbers, in lexicographic order of the rows."""

    def compare(i, j):
        first = (rows[i] != rows[j]).argmax()
        return int(rows[i, first] > rows[j, first]) - int(rows[i, first] < rows[j, first])

    return sorted(which, key=functools.cmp_to_key(compare))


def weighted_means(matrix, x, table, rest=None):
    """sum_j w_ij x_j for weights that sum to 1: (trials, k, n), (trials, n, d) -> (trials, k, d).

    The weights are the matrix times `rest`, by which the sums are multiplied afterwards.

    Rounding would move the mean of equal rows by a last digit; by their squared distances `table`
    they are known, and average to themselves.
    """
    trials, n, _ = table.shape
    if np.count_nonzero(table) < trials * n * (n - 1):  # some rows are equal
        some = matrix.argmax(axis=-1)
        apart = (matrix > 0) & (np.take_along_axis(table, some[..., None], axis=1) > 0)
        equal = ~apart.any(axis=-1, keepdims=True)
        matrix = np.where(equal, np.arange(n) == some[..., None], matrix)
        rest = None if rest is None else like(np.where(equal, 1.0, rest), x)
    means = like(matrix, x) @ x
    if rest is not None:
        means *= rest
    return means


def picked(x, chosen):
    """The rows of x (trials, n, d) that a mask (trials, n) has chosen, one below the other."""
    return x[chosen] if isinstance(x, np.ndarray) else _device.picked(x, chosen)
