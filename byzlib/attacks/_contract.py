"""What every attack promises about its input and its output, written once.

A body computes in float64 from what its knowledge allows it to see; the decorator here checks the
arguments, hides the rows that a liar cannot know, and gives the lies their shape and type.
"""

import functools
import inspect

import numpy as np

from byzlib.theory import as_count, as_updates

KNOWLEDGE = ("none", "own", "omniscient")
_WISHES = ("own", "history", "round")


def attack(knowledge, needs=()):
    """Make an attack of a function `body(honest, f, rng, **parameters)`.

    Parameters
    ----------
    knowledge : {"none", "own", "omniscient"}
        What a liar must know. Unless it is "omniscient" the body gets NaN in the place of every
        honest number, so that it cannot read them: it learns their shape alone.
    needs : sequence of {"own", "history", "round"}
        Keywords that a training loop has to pass; told by the attributes `needs_own`,
        `needs_history` and `needs_round`.

    The body returns anything that broadcasts to (..., f, d).
    """

    def decorate(body):
        caller = body.__name__
        takes_own = "own" in inspect.signature(body).parameters

        @functools.wraps(body)
        def wrapped(honest, f, rng=None, **parameters):
            honest, f = as_updates(honest, caller), as_liars(f, caller)
            shape = (*honest.shape[:-2], f, honest.shape[-1])
            if takes_own:
                parameters["own"] = own_rows(parameters.get("own"), shape, caller)
            if knowledge == "omniscient":
                seen = honest.astype(np.float64, copy=False)
            else:
                seen = np.broadcast_to(np.nan, honest.shape)
            with np.errstate(over="ignore", invalid="ignore"):
                lies = np.broadcast_to(body(seen, f, rng, **parameters), shape)
                return lies.astype(honest.dtype)  # a copy, always

        return marked(wrapped, knowledge, needs)

    return decorate


def marked(function, knowledge, needs=()):
    """Write down on an attack what it must know and what a loop has to pass."""
    function.knowledge = knowledge
    for wish in _WISHES:
        setattr(function, f"needs_{wish}", wish in needs)
    return function


def preset(function, **parameters):
    """The attack with some parameters set; it says of itself what the attack says."""
    return marked(
        functools.partial(function, **parameters), knowledge_of(function), needs(function)
    )


def knowledge_of(function):
    """What an attack must know, also inside a partial; a stranger is taken to know all."""
    return getattr(_inner(function), "knowledge", "omniscient")


def needs(function):
    """The keywords that a loop has to pass to an attack, also inside a partial."""
    return tuple(w for w in _WISHES if getattr(_inner(function), f"needs_{w}", False))


def as_liars(f, caller):
    """A number of liars, >= 0."""
    f = as_count(f, "f", caller)
    if f < 0:
        raise ValueError(f"{caller} needs f >= 0; got f = {f}")
    return f


def own_rows(own, shape, caller):
    """The rows of the liars themselves as float64 (..., f, d); None stays None where f > 0."""
    if own is None:
        return np.empty(shape) if shape[-2] == 0 else None
    own = np.asarray(own)
    if own.dtype.kind not in "fiu":
        raise TypeError(f"{caller} needs real numbers in own; got an array of dtype {own.dtype}")
    if own.shape != shape:
        raise ValueError(f"{caller} needs own rows of shape {shape}; got {own.shape}")
    return own.astype(np.float64, copy=False)


def required(own, caller):
    """`own`, or one sentence that says what is missing."""
    if own is None:
        raise TypeError(f"{caller} speaks from the liars' own rows: pass own, of shape (..., f, d)")
    return own


def as_finite(value, name, caller):
    """A finite real number as a float."""
    number = np.asarray(value)
    if number.ndim != 0 or number.dtype.kind not in "fiu":
        raise TypeError(f"{caller} needs a number {name}; got {value!r}")
    if not np.isfinite(number):
        raise ValueError(f"{caller} needs a finite {name}; got {value}")
    return float(number)


def center(rows):
    """The mean of the rows, (..., 1, d)."""
    return rows.mean(axis=-2, keepdims=True)


def deviation(rows):
    """The standard deviation of each coordinate (ddof = 0), (..., 1, d); no square overflows."""
    rows = rows - center(rows)
    unit = np.abs(rows).max(axis=(-2, -1), keepdims=True)
    return unit * np.divide(rows, unit, out=np.zeros_like(rows), where=unit > 0).std(
        axis=-2, keepdims=True
    )


def _inner(function):
    """What a partial holds, unless the partial itself is marked."""
    while isinstance(function, functools.partial) and not hasattr(function, "knowledge"):
        function = function.func
    return function
