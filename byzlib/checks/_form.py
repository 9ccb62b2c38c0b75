"""What every checker does: ask the answer, find the mistake behind a wrong one, say where to look.

A checker is a function of the reader's answer under `@exercise`. It poses cases with `ask`, which
sees to the shape and to untouched inputs, and hands what came back to `judge`, beside the right
value and the values that likely mistakes give. `require` is for all that has no such value.
"""

import copy
import functools

import numpy as np


class NotYet(AssertionError):
    """The answer is not right yet; the message is a hint."""


def exercise(number, where):
    """Make a checker of a function that tests an answer; it keeps the two as attributes.

    Parameters
    ----------
    number : str
        The exercise, as its chapter counts it.
    where : str
        What to read again when it does not work out.
    """

    def decorate(test):
        @functools.wraps(test)
        def check(answer):
            if not callable(answer):
                raise NotYet(f"{number}: hand over the function itself; got {answer!r}")
            try:
                test(answer)
            except NotImplementedError:
                raise NotYet(f"{number} is still to do. Where to look: {where}") from None
            except NotYet as hint:
                raise NotYet(f"{number}: {hint} Where to look: {where}") from None
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise NotYet(f"{number}: your function stopped with {what}. {where}") from error
            print(f"{number}: right.")

        check.number, check.where = number, where
        return check

    return decorate


def require(condition, hint):
    """Raise `NotYet` with the hint unless the condition holds."""
    if not condition:
        raise NotYet(hint)


def ask(answer, *given, shape=(), wanted="One number, please."):
    """What the answer makes of copies of `given`, as a float array of that shape.

    A shape of None leaves it as it comes. Arrays and lists must come back as they were given.
    """
    handed = copy.deepcopy(given)
    with np.errstate(all="ignore"):
        value = answer(*handed)
    for before, after in zip(given, handed, strict=True):
        if isinstance(before, np.ndarray | list):
            same = np.array_equal(before, after, equal_nan=True)
            require(same, "your function changed what it was given; work on a copy.")
    return value if shape is None else array(value, shape, wanted)


def array(value, shape, hint):
    """`value` as a float array, if it has that shape and can be one."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{hint} Your function returned {value!r}.") from None
    require(array.shape == shape, f"{hint} Yours has shape {array.shape}, not {shape}.")
    return array


def whole(value):
    """`value` if it is a whole number."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    require(number, f"a whole number is wanted; got {value!r}.")
    return value


def shape_of(value):
    """The shape of an answer, or None where it has none."""
    try:
        return np.shape(value)
    except ValueError:
        return None


def judge(found, right, mistakes, otherwise="", where="", rtol=1e-5, atol=1e-8):
    """Nothing if `found` is right; else the hint of the mistake that gives the same.

    Parameters
    ----------
    found, right : float arrays of one shape
    mistakes : dict of hint -> value
        What likely mistakes give; a tuple holds several values of one mistake. A mistake that
        makes no difference in this case does no harm.
    otherwise : str
        What to say of an unknown mistake; by default the first wrong number and the right one.
    where : str
        The case, put before the hint.
    rtol, atol : float
        Of `numpy.allclose`.
    """
    found = np.asarray(found)
    if np.allclose(found, right, rtol, atol):
        return
    case = f"{where}: " if where else ""
    finite = np.isfinite(found)
    if not finite.all():
        raise NotYet(f"{case}a finite number is wanted; yours holds {found[~finite][0]}.")
    for hint, values in mistakes.items():
        for wrong in values if isinstance(values, tuple) else (values,):
            require(not np.allclose(found, wrong, rtol, atol), case + hint)
    raise NotYet(case + (otherwise or _first_difference(found, np.asarray(right))))


def _first_difference(found, right):
    """The first number that is not right, and what it should be."""
    places = np.argwhere(~np.isclose(found, right, rtol=1e-9))
    place = tuple(places[0].tolist()) if len(places) else (0,) * found.ndim
    at = f" at place {place[0] if len(place) == 1 else place}" if place else ""
    return f"{right[place]:.6g} is wanted{at}; yours is {found[place]:.6g}."
