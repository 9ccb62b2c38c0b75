"""What every rule promises about its input and its output, written once.

A rule of `byzlib.aggregators` is an equation over finite float arrays of shape (trials, n, d).
The decorator here does the rest: it checks types, shapes and the range of f, drops rows that hold
NaN or infinity, keeps float32 as float32, and hands back weights when they are asked for.
"""

import functools
import inspect
import math
import operator

import numpy as np


def as_updates(updates, caller):
    """`updates` as a float array (..., n, d); a clear sentence when that is impossible."""
    try:
        array = np.asarray(updates)
    except ValueError:
        raise ValueError(
            f"{caller} needs updates of shape (..., n, d); got rows of different lengths"
        ) from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{caller} needs real numbers; got an array of dtype {array.dtype}")
    if array.ndim < 2 or 0 in array.shape[-2:]:
        raise ValueError(
            f"{caller} needs updates of shape (..., n, d) with n >= 1 and d >= 1; got {array.shape}"
        )
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def as_count(value, name, caller):
    """`value` as a plain int; bools, floats and strings are refused by name."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{caller} needs an integer {name}; got {value}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{caller} needs an integer {name}; got {value!r}") from None


def as_positive(value, name, caller):
    """`value` as a float above zero (infinity allowed, NaN refused)."""
    if isinstance(value, (bool, np.bool_, str)) or np.ndim(value) != 0:
        raise TypeError(f"{caller} needs a number {name}; got {value!r}")
    if not value > 0:
        raise ValueError(f"{caller} needs {name} > 0; got {name} = {value}")
    return float(value)


def as_generator(rng, caller):
    """A `numpy.random.Generator`, from a Generator or an int seed."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        raise TypeError(f"{caller} draws random numbers: pass rng, a Generator or an int seed")
    return np.random.default_rng(as_count(rng, "rng", caller))


def rule(condition, holds, name=None):
    """Make a defended rule of a function `body(updates, f, ...) -> (result, weights)`.

    Parameters
    ----------
    condition : str
        The legal range as the error message prints it, such as "n >= 2f + 3".
    holds : callable (n, f) -> bool
        The same range as code. A body without a parameter f is asked with f = 0.
    name : str, optional
        What error messages call the rule; the name of the body by default.

    The body sees finite float updates of shape (trials, n, d) and a legal f. `weights` is its
    (trials, n) array, or a function that computes it, called only with `return_weights=True`.
    """

    def decorate(body):
        caller = name or body.__name__
        takes_f = "f" in inspect.signature(body).parameters

        def run(updates, f, call, return_weights):
            updates = as_updates(updates, caller)
            *lead, n, d = updates.shape
            if f < 0:
                raise ValueError(f"{caller} needs f >= 0; got f = {f}")
            if not holds(n, f):
                given = f"n = {n}, f = {f}" if takes_f else f"n = {n}"
                raise ValueError(f"{caller} needs {condition}; got {given}")
            # Without an f, a rule tolerates any minority of broken rows.
            spare = f if takes_f else (n - 1) // 2
            trials = updates.reshape(math.prod(lead), n, d)
            result, weights = _without_broken_rows(call, trials, spare, caller, return_weights)
            result = result.astype(updates.dtype, copy=False).reshape(*lead, d)
            return (result, weights.reshape(*lead, n)) if return_weights else result

        if takes_f:

            @functools.wraps(body)
            def wrapped(updates, f, *args, return_weights=False, **parameters):
                f = as_count(f, "f", caller)

                def call(trials, dropped=0):
                    return body(trials, max(f - dropped, 0), *args, **parameters)

                return run(updates, f, call, return_weights)

        else:

            @functools.wraps(body)
            def wrapped(updates, *args, return_weights=False, **parameters):
                def call(trials, dropped=0):
                    return body(trials, *args, **parameters)

                return run(updates, 0, call, return_weights)

        wrapped.__signature__ = _signature_with_weights(body)
        return wrapped

    return decorate


def apply_rule(rule, updates, f):
    """Call a rule whether or not it takes an f, and ask whom it trusted.

    Parameters
    ----------
    rule : callable
        Any function of (updates) or (updates, f), such as those of `byzlib.aggregators`.
    updates : (..., n, d) array_like
    f : int

    Returns
    -------
    result : (..., d) array
    weights : (..., n) array, or None when the rule does not report them
    """
    parameters = inspect.signature(rule).parameters
    arguments = (updates, f) if "f" in parameters else (updates,)
    if "return_weights" in parameters:
        return rule(*arguments, return_weights=True)
    return rule(*arguments), None


def _without_broken_rows(call, trials, spare, name, return_weights):
    """Run `call` on the finite rows of each trial, trials with equally many of them together."""
    finite = np.isfinite(trials).all(axis=-1)
    if finite.all():
        result, weights = call(trials)
        return result, _evaluated(weights) if return_weights else None
    n = trials.shape[1]
    broken = n - finite.sum(axis=-1)
    if broken.max() > spare:
        raise ValueError(
            f"{name} tolerates {spare} faulty of n = {n} clients; "
            f"got {broken.max()} rows with NaN or infinity"
        )
    result = np.empty((len(trials), trials.shape[2]), trials.dtype)
    all_weights = np.zeros((len(trials), n)) if return_weights else None
    for k in np.unique(broken):
        which = np.flatnonzero(broken == k)
        rows = np.argsort(~finite[which], axis=-1, kind="stable")[:, : n - k]
        result[which], weights = call(
            np.take_along_axis(trials[which], rows[..., None], axis=1), dropped=int(k)
        )
        if return_weights:
            all_weights[which[:, None], rows] = _evaluated(weights)
    return result, all_weights


def _evaluated(weights):
    return weights() if callable(weights) else weights


def _signature_with_weights(body):
    signature = inspect.signature(body)
    weights = inspect.Parameter("return_weights", inspect.Parameter.KEYWORD_ONLY, default=False)
    return signature.replace(parameters=[*signature.parameters.values(), weights])
