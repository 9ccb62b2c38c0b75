"""Lies made to measure: as far out as the honest spread, one honest client, or one rule allows."""

import numpy as np

from byzlib.aggregators import krum, krum_scores
from byzlib.attacks._contract import attack, center, centered, drawn, ratio
from byzlib.theory import as_number

DIRECTIONS = ("std", "unit", "sign")
HALVINGS = 30  # of Fang's step against Krum, a billionth of the first in the end


@attack("omniscient")
def min_max(honest, f, rng=None, *, direction="std"):
    """Min-Max: as far out as no honest client is from some other honest one.

    x_b = mean + g p with the largest g such that max_i |x_b - x_i| <= max_ij |x_i - x_j|. With
    a_i = |x_i - mean|^2, b_i = <x_i - mean, p> and D the honest diameter, client i allows
    g^2 |p|^2 - 2 g b_i + a_i <= D^2, so

        g = min_i (b_i + sqrt(b_i^2 + |p|^2 (D^2 - a_i))) / |p|^2.

    Parameters
    ----------
    honest : (..., h, d) array_like
    f : int
        How many liars there are; all send the same vector.
    rng : not used
    direction : {"std", "unit", "sign"}
        p is minus the standard deviation of each coordinate, minus the unit vector of the mean, or
        minus the signs of the mean. Where p = 0 the lie is the mean.

    Returns (..., f, d) array of the floating type of `honest`.

    Source: Shejwalkar and Houmansadr, NDSS 2021, section IV-C, who find g by bisection.
    """
    mean, rows, unit = centered(honest)
    p = _direction(mean, rows, direction, "min_max")
    products = rows @ rows.swapaxes(-1, -2)
    a = np.diagonal(products, axis1=-2, axis2=-1)
    diameter = (a[..., None] + a[..., None, :] - 2 * products).max(axis=(-2, -1))[..., None]
    b, q = (rows * p).sum(axis=-1), (p**2).sum(axis=-1)
    # b < 0 cancels in b + sqrt(...): the other form of the root keeps its digits.
    room = np.maximum(diameter - a, 0)
    root = np.sqrt(b**2 + q * room)
    g = np.where(b > 0, ratio(b + root, q), ratio(room, root - b)).min(axis=-1)
    return mean + unit * g[..., None, None] * p


@attack("omniscient")
def min_sum(honest, f, rng=None, *, direction="std"):
    """Min-Sum: as far out, in sum of squares to all honest clients, as the loneliest honest one.

    x_b = mean + g p with the largest g such that sum_i |x_b - x_i|^2 <= max_i sum_j |x_i - x_j|^2.
    Both sides are sum_j |x_j - mean|^2 plus h times the squared distance to the mean, so

        g = max_i |x_i - mean| / |p|.

    Parameters, return and source as in `min_max`.
    """
    mean, rows, unit = centered(honest)
    p = _direction(mean, rows, direction, "min_sum")
    g = ratio(np.linalg.norm(rows, axis=-1).max(axis=-1), np.linalg.norm(p, axis=-1)[..., 0])
    return mean + unit * g[..., None, None] * p


@attack("omniscient")
def mimic(honest, f, rng=None, *, victim=None):
    """Mimic: all liars copy one honest client, who so counts f + 1 times.

    No lie is an outlier, for it is a true update. Harmless where clients hold the same kind of
    data; elsewhere the victim is best chosen as the one that differs most.

    Parameters
    ----------
    honest : (..., h, d) array_like
    f : int
    rng : not used
    victim : int, or integer array (...), optional
        Which honest row to copy, 0 <= victim < h; by default the one farthest out along the
        direction in which honest rows differ most, argmax_i |<z, x_i - mean>| for the first
        principal direction z.

    Returns (..., f, d) array of the floating type of `honest`.

    Source: Karimireddy, He and Jaggi, ICLR 2022, section 3.2, who find z over some rounds.
    """
    *lead, h, _ = honest.shape
    victim = np.asarray(_farthest_along(honest) if victim is None else victim)
    if victim.dtype.kind not in "iu":
        raise TypeError(f"mimic needs an integer victim; got {victim.dtype}")
    if np.any((victim < 0) | (victim >= h)):
        raise ValueError(f"mimic needs 0 <= victim < h = {h}; got {victim}")
    if victim.shape not in ((), tuple(lead)):
        raise ValueError(f"mimic needs one victim or {tuple(lead)}; got {victim.shape}")
    place = np.broadcast_to(victim, lead)[..., None, None]
    return np.take_along_axis(honest, place, axis=-2)


def _farthest_along(rows):
    """argmax_i |<z, x_i - mean>|, z the first principal direction of the rows; (...)."""
    _, rows, _ = centered(rows)
    # <z, x_i - mean> is, up to a factor, the first eigenvector of the rows' inner products.
    along = np.linalg.eigh(np.nan_to_num(rows @ rows.swapaxes(-1, -2)))[1][..., -1]
    return np.abs(along).argmax(axis=-1)


@attack("omniscient")
def fang(honest, f, rng=None, *, against="trimmed mean", b=2.0):
    """Fang's attacks: against the direction of training, as far as one rule lets them.

    Let s_j be the sign of the honest mean in coordinate j.

    *Trimmed mean, median*: each liar draws x_bj beyond the honest values on the far side of s_j:
    below the smallest one, m, if s_j >= 0, uniform between m and b m (m / b if m > 0), else above
    the largest, M, uniform between M and b M (M / b if M < 0).

    *Krum*: all liars send -lambda s. Lambda starts where no vector can be Krum's choice any more
    and is halved until Krum chooses a lie; where the honest mean is so clear that even zero would
    not be chosen, it ends at a billionth.

    Parameters
    ----------
    honest : (..., h, d) array_like
    f : int
    rng : numpy.random.Generator or int, or a tuple of Generators for a stack
        Not needed against Krum.
    against : {"trimmed mean", "median", "Krum"}
        Krum needs n >= 2f + 3.
    b : float > 1

    Returns (..., f, d) array of the floating type of `honest`.

    Source: Fang et al., USENIX Security 2020, sections 4.2 and 4.3. The bound on lambda is our own,
    in squared distances as Krum has them: a vector longer than max_i |x_i| + sqrt(S / (n - 2f - 1))
    scores more than the best honest score S.
    """
    if against not in ("trimmed mean", "median", "Krum"):
        raise ValueError(f"fang knows trimmed mean, median and Krum; got against = {against!r}")
    if not as_number(b, "b", "fang", "finite and > 0") > 1:
        raise ValueError(f"fang needs b > 1; got b = {b}")
    if against == "Krum":
        return _against_krum(honest, f)
    shape = (*honest.shape[:-2], f, honest.shape[-1])
    share = drawn(np.random.Generator.random, rng, shape, "fang")
    low, high = honest.min(axis=-2, keepdims=True), honest.max(axis=-2, keepdims=True)
    downward = center(honest) >= 0
    edge = np.where(downward, low, high)
    outward = np.where(downward, low < 0, high > 0)  # away from zero as well
    return edge * (1 + share * (np.where(outward, b, 1 / b) - 1))


def _against_krum(honest, f):
    """-lambda s with the largest of the halved lambdas that makes Krum choose a lie."""
    *_, h, d = honest.shape
    n = h + f
    if n < 2 * f + 3:
        raise ValueError(f"fang against Krum needs n >= 2f + 3; got n = {n}, f = {f}")
    against = -np.sign(center(honest))
    unit = np.abs(honest).max(axis=(-2, -1), keepdims=True)  # in which no square overflows
    honest = ratio(honest, unit)
    longest = np.linalg.norm(honest, axis=-1).max(axis=-1)
    best = krum_scores(honest, 0).min(axis=-1)  # each with its h - 2 = n - f - 2 nearest others
    start = (longest + np.sqrt(best / (n - 2 * f - 1))) / np.sqrt(d)
    steps = np.ldexp(start, -np.arange(HALVINGS + 1).reshape(-1, *[1] * start.ndim))
    chosen = steps[-1]
    for step in steps[-2::-1]:
        lies = np.broadcast_to(step[..., None, None] * against, (*honest.shape[:-2], f, d))
        _, weights = krum(np.concatenate([honest, lies], axis=-2), f, return_weights=True)
        chosen = np.where(weights[..., h:].sum(axis=-1) > 0, step, chosen)
    return unit * chosen[..., None, None] * against


def _direction(mean, rows, name, caller):
    """p of Shejwalkar and Houmansadr as (..., 1, d); its length is of no consequence."""
    if name not in DIRECTIONS:
        raise ValueError(f"{caller} knows the directions std, unit and sign; got {name!r}")
    if name == "std":
        return -rows.std(axis=-2, keepdims=True)
    if name == "sign":
        return -np.sign(mean)
    size = np.abs(mean).max(axis=-1, keepdims=True)
    return -ratio(mean, size)
