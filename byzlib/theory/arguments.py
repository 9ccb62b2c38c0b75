"""What arguments may be: one validator for all rooms.

A wrong type raises TypeError, a value out of range ValueError, in one sentence that names the
caller, what was given and what is needed.
"""

import functools
import inspect
import operator

import numpy as np

from byzlib.theory.tensors import as_computed, is_elsewhere, is_of, to_numpy

# What the messages about shape end with.
LAYERS = "; for layers or state dicts see aggregators.aggregate"


def refuse_masked(values, caller):
    """TypeError for a masked array, or a list of them: NumPy would count what the mask hides."""
    parts = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(f"{caller} takes no masked arrays: pass only the numbers that count")


def refuse_unpaired(caller, **tables):
    """ValueError where pandas objects are labelled differently along the axis that pairs them.

    NumPy would pair the first with the first, whatever they are called. tables : by name; Series,
    DataFrames (the last axis counts) or lists of them; arrays carry no labels and pass.
    """
    labels = [
        (name, part.axes[-1])
        for name, table in tables.items()
        for part in (table if isinstance(table, list | tuple) else [table])
        if hasattr(part, "iloc")
    ]
    for name, other in labels[1:]:
        first, index = labels[0]
        same = index.equals(other) or (len(index) == len(other) and (index == other).all())
        if not same:  # by value: times in ms and in ns are the same times
            raise ValueError(
                f"{caller} pairs {first} and {name} one by one, but their indexes differ: "
                f"pass only the labels that both have, in one order, or plain arrays"
            )


def as_reals(values, caller):
    """`values` as a float64 array of any shape; other types and masked arrays are refused."""
    refuse_masked(values, caller)
    array = to_numpy(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{caller} needs real numbers; got an array of dtype {array.dtype}")
    return array.astype(np.float64)


def to_unit_scale(x, axis=-1):
    """x / 2^e, exact and below 1 in size, and e along axis: no square overflows or is lost."""
    exponent = np.frexp(np.abs(x).max(axis=axis, keepdims=True))[1]
    return np.ldexp(x, -exponent), exponent


def is_constant(values, axis=-1):
    """Where numbers along axis, which is kept, change by no more than 1e-8 of the largest."""
    size = np.abs(values).max(axis=axis, keepdims=True)
    return np.ptp(values, axis=axis, keepdims=True) <= 1e-8 * size


def as_updates(updates, caller, tensors=False):
    """`updates` as an array (..., n, d), float32 or else float64; or a sentence why not.

    Tensors become arrays, unless they are asked for: then those of another device stay there.
    """
    array = updates
    if type(updates) is not np.ndarray:
        refuse_masked(updates, caller)
        try:
            array = updates if tensors and is_elsewhere(updates) else to_numpy(updates)
        except ValueError:
            lengths = f"got rows of different lengths{LAYERS}"
            raise ValueError(f"{caller} needs updates of shape (..., n, d); {lengths}") from None
        except (TypeError, RuntimeError, BufferError) as error:  # what libraries raise
            raise TypeError(
                f"{caller} needs one dense tensor, or a list of rows alike, of one dtype on one "
                f"device; NumPy cannot read these: {str(error).splitlines()[0]}"
            ) from None
    is_array = isinstance(array, np.ndarray)
    if not (array.dtype.kind in "fiu" if is_array else is_of(array, ("real floating", "integral"))):
        hint = LAYERS if is_array and array.dtype == object else ""
        raise TypeError(f"{caller} needs real numbers; got an array of dtype {array.dtype}{hint}")
    if array.ndim < 2 or 0 in array.shape[-2:]:
        raise ValueError(
            f"{caller} needs updates of shape (..., n, d) with n >= 1 and d >= 1; "
            f"got {tuple(array.shape)}{LAYERS}"
        )
    if not is_array:
        return as_computed(array)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


# Arrays of PyTorch, CuPy, JAX, and of what else keeps to the array API are called tensors here.


def as_count(value, name, caller, least=None):
    """`value` as a plain int, at least `least`; bools, floats and strings are refused by name."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{caller} needs an integer {name}; got {value}")
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{caller} needs an integer {name}; got {value!r}") from None
    if least is not None and count < least:
        raise ValueError(f"{caller} needs {name} >= {least}; got {name} = {count}")
    return count


# What numbers must be, as the error message prints it. NaN meets none of them.
NEEDS = {
    "> 0": lambda x: x > 0,  # infinity is a number that some radii want
    ">= 0": lambda x: x >= 0,
    "finite": np.isfinite,
    "finite and > 0": lambda x: (x > 0) & np.isfinite(x),
    "finite and >= 0": lambda x: (x >= 0) & np.isfinite(x),
    "in (0, 1)": lambda x: (0 < x) & (x < 1),
    "in [0, 1)": lambda x: (0 <= x) & (x < 1),
    "in (0, 1]": lambda x: (0 < x) & (x <= 1),
    "in [0, 1]": lambda x: (0 <= x) & (x <= 1),
    "in [0, 1/2)": lambda x: (0 <= x) & (x < 0.5),
}


def as_numbers(values, name, caller, needs="> 0"):
    """`values` as floats that all meet `needs`, one of `NEEDS`; bools and strings are refused."""
    refuse_masked(values, caller)
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{caller} needs a number {name}; got {values!r}")
    if not np.all(NEEDS[needs](array)):
        raise ValueError(f"{caller} needs {name} {needs}; got {name} = {values}")
    return array.astype(np.float64)[()]


def as_number(value, name, caller, needs="> 0"):
    """As `as_numbers`, for a single one: a float."""
    if np.ndim(value) != 0:
        raise TypeError(f"{caller} needs a number {name}; got {value!r}")
    return float(as_numbers(value, name, caller, needs))


def as_labels(y, caller):
    """`y` as an integer array; others are refused, for a cast would cut 2.9 to class 2."""
    refuse_masked(y, caller)
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise TypeError(f"{caller} needs integer labels; got dtype {y.dtype}")
    return y


def as_generator(rng, caller):
    """A `numpy.random.Generator`, from a Generator or an int seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        raise TypeError(f"{caller} draws random numbers: pass rng, a Generator or an int seed")
    return np.random.default_rng(as_count(rng, "rng", caller, least=0))


def free_parameters(function):
    """Names of the parameters of a function that `functools.partial` has not bound."""
    try:
        names = set(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some built-in functions have no signature
        return set()
    while True:
        if isinstance(function, functools.partial):
            names -= set(function.keywords)
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            return names
