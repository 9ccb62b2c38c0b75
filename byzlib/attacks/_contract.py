"""What every attack promises about its input and its output, written once.

The body of an attack is a formula over finite float64 rows `honest` (..., h, d). The decorator
checks the arguments, hides the rows that a liar cannot know, and gives the answer its shape and
type.
"""

import functools

import numpy as np

from byzlib.theory import (
    as_count,
    as_generator,
    as_reals,
    as_updates,
    in_one,
    is_tensor,
    like,
    namespace,
    widened,
)

KNOWLEDGE = ("none", "own", "omniscient")


def attack(knowledge, on_device=False):
    """Make an attack of a function `body(honest, f, rng, **parameters)`.

    Parameters
    ----------
    knowledge : {"none", "own", "omniscient"}
        What a liar must know. Unless it is "omniscient" the body gets NaN in the place of every
        honest number, so that it cannot read them: it learns their shape alone.
    on_device : bool
        The body can read tensors of another device where they are.

    The body is called for f >= 1, and returns anything that broadcasts to (..., f, d). Where it has
    a parameter `own`, None reaches it as None, and rows as float64 (..., f, d).
    """

    def decorate(body):
        caller = body.__name__

        @functools.wraps(body)
        def checked(honest, f, rng=None, **parameters):
            given, f = in_one(honest), as_count(f, "f", caller, least=0)
            blind = knowledge != "omniscient"
            honest = as_updates(given, caller, tensors=blind or on_device)
            given = given if is_tensor(given) else honest
            shape = (*honest.shape[:-2], f, honest.shape[-1])
            if f == 0:
                return like(np.empty(shape), given)
            if parameters.get("own") is not None:
                parameters["own"] = as_rows(parameters["own"], shape, "own", caller)
            seen = np.broadcast_to(np.nan, honest.shape) if blind else widened(honest)
            with np.errstate(over="ignore", invalid="ignore"):
                lies = body(seen, f, rng, **parameters)
                xp = namespace(lies)
                return like(xp.asarray(xp.broadcast_to(lies, shape), copy=True), given)

        checked.knowledge = knowledge
        return checked

    return decorate


def preset(function, **parameters):
    """The attack with some parameters set; it says of its knowledge what the attack says."""
    bound = functools.partial(function, **parameters)
    bound.knowledge = knowledge_of(function)
    return bound


def knowledge_of(function):
    """What an attack must know, also inside a partial; a stranger is taken to know all."""
    while isinstance(function, functools.partial) and not hasattr(function, "knowledge"):
        function = function.func
    return getattr(function, "knowledge", "omniscient")


def as_rows(rows, shape, name, caller):
    """Rows of the liars as float64 of one shape; TypeError where there are none."""
    if rows is None:
        raise TypeError(f"{caller} speaks from the liars' {name} rows: pass {name}, {shape}")
    rows = as_reals(rows, f"{name} of {caller}")
    if rows.shape != shape:
        raise ValueError(f"{caller} needs {name} of shape {shape}; got {rows.shape}")
    return rows


def drawn(draw, rng, shape, caller):
    """Random numbers `draw(generator, shape)`; a tuple of generators draws a trial each.

    A stack of runs has a generator for each place on its first axis.
    """
    if not isinstance(rng, list | tuple):
        return draw(as_generator(rng, caller), shape)
    if len(rng) != shape[0]:
        raise ValueError(f"{caller} needs a generator a trial, {shape[0]}; got {len(rng)}")
    return np.stack([draw(as_generator(one, caller), shape[1:]) for one in rng])


def center(rows):
    """The mean of the rows, (..., 1, d)."""
    return namespace(rows).mean(rows, axis=-2, keepdims=True)


def centered(rows):
    """The mean, the rows around it in units of their largest entry, and that unit.

    In these units no square overflows, and none that matters underflows.
    """
    xp, mean = namespace(rows), center(rows)
    rows = rows - mean
    unit = xp.max(xp.abs(rows), axis=(-2, -1), keepdims=True)
    return mean, ratio(rows, unit), unit


def deviation(rows):
    """The standard deviation of each coordinate (ddof = 0), (..., 1, d); no square overflows."""
    _, rows, unit = centered(rows)
    return unit * namespace(rows).std(rows, axis=-2, keepdims=True)


def ratio(top, bottom):
    """top / bottom, and 0 where the bottom is 0."""
    xp, none = namespace(bottom), bottom == 0
    return xp.where(none, 0.0, top / xp.where(none, 1.0, bottom))
