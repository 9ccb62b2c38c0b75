"""What every checker does: call the answer, pass on a hint, say where to look."""

import functools

import numpy as np


class NotYet(AssertionError):
    """The answer is not right yet; the message is a hint."""


def exercise(number, where):
    """Make a checker of a function that tests an answer with `require`.

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

        return check

    return decorate


def require(condition, hint):
    """Raise `NotYet` with the hint unless the condition holds."""
    if not condition:
        raise NotYet(hint)


def array(value, shape, hint):
    """`value` as a float array, if it has that shape and can be one."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{hint} Your function returned {value!r}.") from None
    require(array.shape == shape, f"{hint} Yours has shape {array.shape}, not {shape}.")
    return array


def shape_of(value):
    """The shape of an answer, or None where it has none."""
    try:
        return np.shape(value)
    except ValueError:
        return None
