"""The lies: what Byzantine clients may send, and what they may train on.

Model poisoning takes the honest updates (..., h, d) and returns the f lies (..., f, d). Each attack
says in `.knowledge` what a liar must know: "none", its "own" update, or all of them ("omniscient").
Data poisoning takes a client's labels and returns poisoned ones; the client then trains honestly.
"""

import numpy as np

from byzlib._contract import as_count, as_generator, as_updates


def attack(knowledge):
    """Mark a function as a model-poisoning attack that needs this much knowledge."""

    def mark(function):
        function.knowledge = knowledge
        return function

    return mark


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
    honest, shape = _lies(honest, f, "gaussian_noise")
    if not scale >= 0:
        raise ValueError(f"gaussian_noise needs scale >= 0; got {scale}")
    rng = as_generator(rng, "gaussian_noise")
    return (scale * rng.standard_normal(shape)).astype(honest.dtype, copy=False)


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
    scale : float
        How loudly they shout.

    Returns
    -------
    (..., f, d) array of the floating type of `honest`.

    Source: for scale <= 1 the inner product manipulation of Xie et al., UAI 2019.
    """
    honest, shape = _lies(honest, f, "sign_flip")
    if not np.isfinite(scale):
        raise ValueError(f"sign_flip needs a finite scale; got {scale}")
    lie = -scale * honest.mean(axis=-2, keepdims=True, dtype=np.float64)
    return np.broadcast_to(lie, shape).astype(honest.dtype)


def label_flip(y, mapping=None):
    """Labels under a false name: y -> mapping[y]. Down and Up change places by default.

    Parameters
    ----------
    y : (...,) integer array_like
    mapping : dict, optional
        From true to false label; labels it does not name stay. {0: 2, 2: 0} by default.

    Returns
    -------
    A new integer array of the shape of y.
    """
    y = _labels(y, "label_flip")
    flipped = y.copy()
    for true, false in ({0: 2, 2: 0} if mapping is None else mapping).items():
        flipped[y == true] = false
    return flipped


def targeted_label_flip(y, source, target):
    """Only one class lies: every label `source` becomes `target`, say Down becomes Up.

    Parameters
    ----------
    y : (...,) integer array_like
    source, target : int

    Returns
    -------
    A new integer array of the shape of y.
    """
    source = as_count(source, "source", "targeted_label_flip")
    target = as_count(target, "target", "targeted_label_flip")
    return label_flip(y, {source: target})


def _lies(honest, f, caller):
    """The honest updates as an array, and the shape (..., f, d) of what the liars send."""
    honest = as_updates(honest, caller)
    f = as_count(f, "f", caller)
    if f < 0:
        raise ValueError(f"{caller} needs f >= 0; got f = {f}")
    return honest, (*honest.shape[:-2], f, honest.shape[-1])


def _labels(y, caller):
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{caller} needs integer labels; got dtype {y.dtype}")
    return y
