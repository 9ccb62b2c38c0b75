"""Attacks in a line: noise, constants, turned and scaled averages, old answers."""

import math
import warnings

import numpy as np

from byzlib.attacks._contract import (
    KNOWLEDGE,
    as_rows,
    attack,
    center,
    deviation,
    drawn,
    knowledge_of,
)
from byzlib.theory import alie_z_max, as_count, as_number, as_reals, as_updates, free_parameters


@attack("none")
def gaussian_noise(honest, f, rng=None, *, scale=1.0):
    """Noise around zero, drawn anew for each liar: x_b ~ N(0, scale^2 I).

    Parameters
    ----------
    honest : (..., h, d) array_like
        Only its shape and floating type are used.
    f : int
        How many liars there are.
    rng : numpy.random.Generator or int, or a tuple of Generators for a stack
    scale : float
        Standard deviation of each coordinate, finite and >= 0.

    Returns (..., f, d) array of the floating type of `honest`.

    Source: Blanchard et al., NeurIPS 2017, section 6.
    """
    scale = as_number(scale, "scale", "gaussian_noise", "finite and >= 0")
    shape = (*honest.shape[:-2], f, honest.shape[-1])
    return scale * drawn(np.random.Generator.standard_normal, rng, shape, "gaussian_noise")


@attack("none")
def constant(honest, f, rng=None, *, value=100.0):
    """The same numbers from all: x_b = value, one for all coordinates or (d,); finite.

    Parameters and return as in `gaussian_noise`; rng is not used.
    """
    value = as_reals(value, "constant")
    if value.shape not in ((), honest.shape[-1:]):
        raise ValueError(f"constant needs one value or d = {honest.shape[-1]}; got {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError("constant needs finite values; non_finite sends the others")
    return value


@attack("none")
def zero(honest, f, rng=None):
    """Nothing at all: x_b = 0. A lazy client, or one that wants training to stop.

    The mean of all n updates shrinks by h / n: a shorter step. Rules that look for company may
    choose the zeros where the honest mean is small beside the noise.

    Parameters and return as in `gaussian_noise`; rng is not used.
    """
    return 0.0


@attack("none")
def non_finite(honest, f, rng=None, *, value=np.nan):
    """No numbers: x_b = NaN, infinity or -infinity everywhere.

    Rules that defend leave such rows out; the mean hands them on.

    Parameters and return as in `gaussian_noise`; rng is not used.
    """
    if np.ndim(value) or np.asarray(value).dtype.kind != "f" or np.isfinite(value):
        raise ValueError(f"non_finite needs value nan, inf or -inf; got {value!r}")
    return value


@attack("omniscient", on_device=True)
def sign_flip(honest, f, rng=None, *, scale=1.0):
    """The honest average, turned round and scaled: x_b = -scale * mean(honest).

    The mean of all n updates becomes (h - scale f) / n times the honest mean: it points the right
    way as long as scale < h / f, and the wrong way beyond. For scale <= 1 it is the inner product
    manipulation of Xie et al., UAI 2019.

    Parameters
    ----------
    honest : (..., h, d) array_like
    f : int
        How many liars there are; all send the same vector.
    rng : not used
    scale : float
        How loudly they shout.

    Returns (..., f, d) array of the floating type of `honest`.
    """
    return -as_number(scale, "scale", "sign_flip", "finite") * center(honest)


@attack("own")
def local_sign_flip(honest, f, rng=None, *, own=None, scale=1.0):
    """Each liar turns its own update round: x_b = -scale * own_b.

    What a liar can do that sees nobody else; the liars differ as honest clients do. `own`
    (..., f, d) is what they would have sent honestly. Other parameters and return as in
    `sign_flip`; only the shape and type of `honest` are used.
    """
    own = as_rows(own, (*honest.shape[:-2], f, honest.shape[-1]), "own", "local_sign_flip")
    return -as_number(scale, "scale", "local_sign_flip", "finite") * own


@attack("omniscient", on_device=True)
def inner_product_manipulation(honest, f, rng=None, *, epsilon=0.1):
    """IPM: a small step backward, x_b = -epsilon * mean(honest), epsilon > 0.

    The formula of `sign_flip` with small epsilon: near enough to be kept by a rule that looks for
    outliers, while the inner product of its answer with the honest mean turns negative. The mean
    survives any epsilon < h / f. The median gives up every coordinate whose mean is less than
    `theory.worst_case_bias("median", f / n)` times its noise.

    Parameters and return as in `sign_flip`. Source: Xie, Koyejo and Gupta, UAI 2019, section 4.
    """
    caller = "inner_product_manipulation"
    return -as_number(epsilon, "epsilon", caller, "finite and > 0") * center(honest)


@attack("omniscient", on_device=True)
def a_little_is_enough(honest, f, rng=None, *, z=None):
    """ALIE: a shift inside the honest spread, x_b = mean - z * std, in every coordinate.

    By default z = Q((h - s) / h), Q the normal quantile and s = n // 2 + 1 - f the honest clients
    the liars need on their side for a majority: `theory.alie_z_max`. In small crowds this is zero
    or negative (n = 10: f = 1 gives -0.14, f = 2 gives 0): then z = 0, the lie is the honest mean,
    and a RuntimeWarning says so. Set z yourself there; 0.25 to 1.5 is usual. The std is that of the
    population (ddof = 0), a negative z shifts up, and the default asks for n > 2f.

    Other parameters and return as in `sign_flip`.
    Source: Baruch, Baruch and Goldberg, NeurIPS 2019, Algorithm 3.
    """
    if z is None:
        n = honest.shape[-2] + f
        if n <= 2 * f:
            raise ValueError(f"a_little_is_enough needs n > 2f, or a z; got n = {n}, f = {f}")
        z = alie_z_max(n, f)
        if z <= 0:
            said = f"a_little_is_enough: z = {z:.2f} at n = {n}, f = {f} is not positive; z = 0 "
            said += "sends the honest mean, set z to attack"
            warnings.warn(said, RuntimeWarning, stacklevel=3)
            z = 0.0
    z = as_number(z, "z", "a_little_is_enough", "finite")
    return center(honest) - z * deviation(honest)


@attack("own")
def model_replacement(honest, f, rng=None, *, own=None, target=None, boost=None):
    """A wish, shouted so loudly that the mean fulfils it: x_b = boost * target.

    With the default boost n / f the mean of all n updates is h / n mean(honest) + target: where
    training has converged and honest updates are small, the server takes the step the liars want.
    The step from model theta to model theta' at learning rate r is target = (theta - theta') / r.

    Parameters
    ----------
    own : (..., f, d) array_like, optional
        What the liars computed from their own data, poisoned perhaps: the target by default.
    target : (d,) or (..., f, d) array_like, optional
        The update that the liars wish the server to apply.
    boost : float, optional
        n / f by default.
    Others and return as in `sign_flip`; only the shape and type of `honest` are used.

    Source: Bagdasaryan et al., AISTATS 2020, section 3.2.
    """
    *lead, h, d = honest.shape
    shape = (*lead, f, d)
    if np.shape(target) == (d,):
        target = np.broadcast_to(target, shape)
    name, wish = ("own", own) if target is None else ("target", target)
    boost = (h + f) / f if boost is None else boost
    boost = as_number(boost, "boost", "model_replacement", "finite")
    return boost * as_rows(wish, shape, name, "model_replacement")


@attack("own")
def stale(honest, f, rng=None, *, own=None, history=(), delay=1):
    """An old answer: x_b is what the liar itself would have sent `delay` rounds ago.

    It needs no bad will; a slow line does it. Until there is a history that long the oldest answer
    is repeated, so that delay = infinity is a client that froze in the first round.

    Parameters
    ----------
    own : (..., f, d) array_like
        The answer of this round, sent while there is no older one.
    history : sequence of (..., f, d) array_like
        `own` of the rounds before this one, the latest last.
    delay : int >= 1, or infinity
    Others and return as in `sign_flip`; only the shape and type of `honest` are used.
    """
    if delay != math.inf:
        as_count(delay, "delay", "stale", least=1)
    name, sent = "own", own
    if len(history):
        name, sent = "history", history[-min(delay, len(history))]
    return as_rows(sent, (*honest.shape[:-2], f, honest.shape[-1]), name, "stale")


def during(attack, start, stop=None):
    """The attack in rounds start <= t < stop; honest answers before and after.

    Parameters
    ----------
    attack : callable (honest, f), with rng, own, history, round where it has such a parameter
    start : int >= 1, the first round of the attack; rounds count from 1
    stop : int > start, optional, the first round of peace; never by default

    Returns
    -------
    An attack that takes the keywords round and own: in peace the liars send their own rows.
    """
    start = as_count(start, "start", "during", least=1)
    stop = np.inf if stop is None else as_count(stop, "stop", "during", least=start + 1)
    wanted = free_parameters(attack) & {"rng", "round", "own", "history"}

    def timed(honest, f, rng=None, *, round, own=None, history=()):
        round = as_count(round, "round", "during", least=1)
        if start <= round < stop:
            given = {"rng": rng, "round": round, "own": own, "history": history}
            return attack(honest, f, **{name: given[name] for name in wanted})
        honest = as_updates(honest, "during")
        f = as_count(f, "f", "during", least=0)
        own = as_rows(own, (*honest.shape[:-2], f, honest.shape[-1]), "own", "during")
        return own.astype(honest.dtype)

    timed.knowledge = max("own", knowledge_of(attack), key=KNOWLEDGE.index)
    return timed
