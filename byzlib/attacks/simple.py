"""The lies: what Byzantine clients may send, and what they may train on.

Model poisoning takes the honest updates (..., h, d) and returns the f lies (..., f, d) in the same
floating type; leading axes are independent trials, f = 0 gives an empty array, and nothing is
modified or aliased. An update is what the server averages and then subtracts from the model, so
that a lie that points against the honest mean takes the model uphill.

Each attack says in `.knowledge` what a liar must know: "none", its "own" update, or all of them
("omniscient"); the first two never see the others' rows. Attacks with `.needs_own` want the
keyword own (..., f, d), what the liars would have sent had they answered honestly from their own
data; `.needs_round` wants round, counted from 1; `.needs_history` wants history, the list of `own`
of the rounds before, the latest last. A training loop passes what is asked for.

Data poisoning takes a client's samples or candles and returns poisoned ones; the client then trains
honestly on them.
"""

import math
import warnings

import numpy as np
from scipy.special import ndtri

from byzlib.attacks._contract import (
    as_finite,
    attack,
    center,
    deviation,
    preset,
    required,
)
from byzlib.attacks.data_poisoning import (
    backdoor,
    label_flip,
    shooting_star,
    spoofed_book,
    targeted_label_flip,
    wash_trading,
)
from byzlib.attacks.optimized import (
    fang,
    mimic,
    mimic_victim,
    min_max,
    min_sum,
)
from byzlib.attacks.schedules import alternating, during, with_own_knowledge
from byzlib.attacks.search import WorstCase, against, worst_case
from byzlib.theory import as_count, as_generator, as_number

# fmt: off
__all__ = [
    "ATTACKS", "WorstCase", "a_little_is_enough", "against", "alternating", "backdoor",
    "constant", "during", "fang", "gaussian_noise", "inner_product_manipulation", "label_flip",
    "local_sign_flip", "mimic", "mimic_victim", "min_max", "min_sum", "model_replacement",
    "non_finite", "shooting_star", "sign_flip", "spoofed_book", "stale", "targeted_label_flip",
    "wash_trading", "with_own_knowledge", "worst_case", "zero",
]
# fmt: on


@attack("none")
def gaussian_noise(honest, f, rng=None, *, scale=1.0):
    """Noise around zero, drawn anew for each liar: x_b ~ N(0, scale^2 I).

    Parameters
    ----------
    honest : (..., h, d) array_like
        Only its shape and floating type are used.
    f : int
        How many liars there are.
    rng : numpy.random.Generator or int
    scale : float
        Standard deviation of each coordinate, >= 0.

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.

    Source: Blanchard et al., NeurIPS 2017, section 6.
    """
    if not as_finite(scale, "scale", "gaussian_noise") >= 0:
        raise ValueError(f"gaussian_noise needs scale >= 0; got {scale}")
    rng = as_generator(rng, "gaussian_noise")
    return scale * rng.standard_normal((*honest.shape[:-2], f, honest.shape[-1]))


@attack("none")
def constant(honest, f, rng=None, *, value=100.0):
    """The same number everywhere: x_b = value * (1, ..., 1).

    Parameters
    ----------
    honest, f, rng : as in `gaussian_noise`; rng is not used
    value : float or (d,) array_like, finite
        One number, or one for each coordinate.

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.
    """
    vector = np.asarray(value)
    if vector.dtype.kind not in "fiu":
        raise TypeError(f"constant needs a real value; got {value!r}")
    if vector.shape not in ((), honest.shape[-1:]):
        raise ValueError(f"constant needs one value or d = {honest.shape[-1]}; got {vector.shape}")
    if not np.isfinite(vector).all():
        raise ValueError("constant needs finite values; non_finite sends the others")
    return vector


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

    Parameters
    ----------
    honest, f, rng : as in `gaussian_noise`; rng is not used
    value : float, one of nan, inf, -inf

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.
    """
    number = np.asarray(value)
    if number.ndim != 0 or number.dtype.kind not in "fiu":
        raise TypeError(f"non_finite needs a number value; got {value!r}")
    if np.isfinite(number):
        raise ValueError(f"non_finite needs value nan, inf or -inf; got {value}")
    return number


@attack("omniscient")
def sign_flip(honest, f, rng=None, *, scale=1.0):
    """The honest average, turned round and scaled: x_b = -scale * mean(honest).

    The mean of all n updates becomes (h - scale f) / n times the honest mean: it points the right
    way as long as scale < h / f, and the wrong way beyond.

    Parameters
    ----------
    honest : (..., h, d) array_like
    f : int
        How many liars there are; all send the same vector.
    rng : not used
    scale : float
        How loudly they shout.

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.

    Source: for scale <= 1 the inner product manipulation of Xie et al., UAI 2019.
    """
    return -as_finite(scale, "scale", "sign_flip") * center(honest)


@attack("own", needs=("own",))
def local_sign_flip(honest, f, rng=None, *, own=None, scale=1.0):
    """Each liar turns its own update round: x_b = -scale * own_b.

    What a liar can do that sees nobody else; the liars differ as honest clients do.

    Parameters
    ----------
    honest, f : as in `sign_flip`; only the shape and type of `honest` are used
    rng : not used
    own : (..., f, d) array_like
        What the liars would have sent honestly.
    scale : float

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.
    """
    own = required(own, "local_sign_flip")
    return -as_finite(scale, "scale", "local_sign_flip") * own


@attack("omniscient")
def inner_product_manipulation(honest, f, rng=None, *, epsilon=0.1):
    """IPM: a small step backward, x_b = -epsilon * mean(honest).

    The formula of `sign_flip` with small epsilon: near enough to be kept by a rule that looks for
    outliers, while the inner product of its answer with the honest mean turns negative. The mean
    survives any epsilon < h / f. The median gives up every coordinate whose mean is less than
    `theory.worst_case_bias("median", f / n)` times its noise.

    Parameters
    ----------
    honest, f : as in `sign_flip`
    rng : not used
    epsilon : float, > 0

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.

    Source: Xie, Koyejo and Gupta, UAI 2019, section 4.
    """
    epsilon = as_number(epsilon, "epsilon", "inner_product_manipulation")
    return -as_finite(epsilon, "epsilon", "inner_product_manipulation") * center(honest)


@attack("omniscient")
def a_little_is_enough(honest, f, rng=None, *, z=None, own=None):
    """ALIE: a shift inside the honest spread, x_b = mean - z * std, in every coordinate.

    By default z = Q((h - s) / h), Q the normal quantile and s = n // 2 + 1 - f the honest clients
    the liars need on their side for a majority. In small crowds this is zero or negative (n = 10:
    f = 1 gives -0.14, f = 2 gives 0): then z = 0, the lie is the honest mean, and a RuntimeWarning
    says so. Set z yourself there; 0.25 to 1.5 is usual.

    Parameters
    ----------
    honest, f : as in `sign_flip`
    rng : not used
    z : float, optional
        How many standard deviations (of the population, ddof = 0) to shift; negative shifts up.
        The default asks for n > 2f.
    own : (..., f, d) array_like, optional
        The liars' own honest updates, of which mean and std are taken then instead of those of
        all honest clients, as in the paper. See `with_own_knowledge`.

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.

    Source: Baruch, Baruch and Goldberg, NeurIPS 2019, Algorithm 3.
    """
    z = _unseen_shift(honest.shape[-2], f) if z is None else as_finite(z, "z", "a_little_is_enough")
    known = honest if own is None or f == 0 else own
    return center(known) - z * deviation(known)


def _unseen_shift(h, f):
    """The z of Baruch et al., at least 0."""
    n = h + f
    if n <= 2 * f:
        raise ValueError(f"a_little_is_enough needs n > 2f, or a z; got n = {n}, f = {f}")
    z = ndtri((n - (n // 2 + 1)) / h)
    if z <= 0 < f:
        warnings.warn(
            f"a_little_is_enough: z = {z:.2f} at n = {n}, f = {f} is not positive; "
            "z = 0 sends the honest mean, set z to attack",
            RuntimeWarning,
            stacklevel=4,
        )
    return max(z, 0.0)


@attack("own", needs=("own",))
def model_replacement(honest, f, rng=None, *, own=None, target=None, boost=None):
    """A wish, shouted so loudly that the mean fulfils it: x_b = boost * target.

    With the default boost n / f the mean of all n updates is h / n mean(honest) + target: where
    training has converged and honest updates are small, the server takes the step the liars want.
    The step from model theta to model theta' at learning rate r is target = (theta - theta') / r.

    Parameters
    ----------
    honest, f : as in `sign_flip`; only the shape and type of `honest` are used
    rng : not used
    own : (..., f, d) array_like, optional
        What the liars computed from their own data, poisoned perhaps: the target by default.
    target : (d,) or (..., f, d) array_like, optional
        The update that the liars wish the server to apply.
    boost : float, optional
        n / f by default.

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.

    Source: Bagdasaryan et al., AISTATS 2020, section 3.2.
    """
    *lead, h, d = honest.shape
    if target is None and own is None:
        raise TypeError("model_replacement needs a target, or own, of shape (..., f, d)")
    wish = own if target is None else np.asarray(target)
    if wish.dtype.kind not in "fiu":
        raise TypeError(f"model_replacement needs a real target; got dtype {wish.dtype}")
    if wish.shape not in ((d,), (*lead, f, d)):
        raise ValueError(
            f"model_replacement needs a target of shape {(d,)} or {(*lead, f, d)}; got {wish.shape}"
        )
    if boost is None:
        boost = (h + f) / max(f, 1)
    return as_finite(boost, "boost", "model_replacement") * np.asarray(wish, np.float64)


@attack("own", needs=("own", "history"))
def stale(honest, f, rng=None, *, own=None, history=(), delay=1):
    """An old answer: x_b is what the liar itself would have sent `delay` rounds ago.

    It needs no bad will; a slow line does it. Until there is a history that long the oldest answer
    is repeated, so that delay = infinity is a client that froze in the first round.

    Parameters
    ----------
    honest, f : as in `sign_flip`; only the shape and type of `honest` are used
    rng : not used
    own : (..., f, d) array_like
        The answer of this round, sent while there is no older one.
    history : sequence of (..., f, d) array_like
        `own` of the rounds before this one, the latest last.
    delay : int >= 1, or infinity

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.
    """
    if delay != math.inf:
        delay = as_count(delay, "delay", "stale")
    if delay < 1:
        raise ValueError(f"stale needs delay >= 1; got {delay}")
    if len(history) == 0:
        return required(own, "stale")
    answer = np.asarray(history[max(len(history) - delay, 0) if delay < math.inf else 0])
    shape = (*honest.shape[:-2], f, honest.shape[-1])
    if answer.shape != shape:
        raise ValueError(f"stale needs a history of arrays {shape}; got {answer.shape}")
    return answer


ATTACKS = {
    "zero": zero,
    "Gaussian noise": preset(gaussian_noise, scale=10.0),
    "constant": constant,
    "non-finite": non_finite,
    "sign flip": sign_flip,
    "loud sign flip": preset(sign_flip, scale=10.0),
    "inner product": inner_product_manipulation,
    "a little is enough": preset(a_little_is_enough, z=1.0),
    "min-max": min_max,
    "min-sum": min_sum,
    "mimic": mimic,
    "Fang": fang,
}
