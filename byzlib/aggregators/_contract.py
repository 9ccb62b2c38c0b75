"""What every rule promises about its input and its output, written once.

The body of a rule is an equation over finite floats x of shape (trials, n, d). The decorator does
the rest: types, shapes and the legal range of f, rows with NaN or infinity, float32 that stays
float32, and weights for who asks for them.
"""

import functools
import inspect
import math

import numpy as np
from array_api_compat import array_namespace

from byzlib.aggregators import _device
from byzlib.theory import (
    as_count,
    as_updates,
    free_parameters,
    in_one,
    is_tensor,
    like,
    to_numpy,
)


def rule(slope, start, rows=None, name=None):
    """Make a rule, or a pre-aggregation, of `body(x, f, ...) -> (answer, weights)`.

    Parameters
    ----------
    slope, start : int
        f is legal if n >= slope * f + start. A body without an f is asked with f = 0.
    rows : callable n -> n', optional
        How many rows a pre-aggregation returns, if not n.
    name : str, optional
        What error messages call the rule; the name of the body by default.

    The body sees finite x (trials, n, d), an array or a tensor, and answers with (trials, d), or
    (trials, n', d) where it is a pre-aggregation, and with the weights (trials, n) or
    (trials, n', n), an array or a function that computes it.
    """

    def decorate(body):
        caller = name or body.__name__
        takes_f = "f" in inspect.signature(body).parameters

        @functools.wraps(body)
        def checked(updates, *args, return_weights=False, **options):
            if type(updates) is not np.ndarray:
                updates = in_one(updates)
            x, f = as_updates(updates, caller, tensors=True), 0
            *lead, n, d = x.shape
            if takes_f:
                f, *args = (options.pop("f"), *args) if "f" in options else args or [None]
                f = as_count(f, "f", caller, least=0)
            if n < slope * f + start:
                given = f"n = {n}, f = {f}" if takes_f else f"n = {n}"
                raise ValueError(f"{caller} needs {_range(slope, start)}; got {given}")

            x = in_shape(x, (math.prod(lead), n, d))
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                if all_finite(x):
                    result, weights = body(x, *([f] if takes_f else []), *args, **options)
                else:
                    # Without an f, a rule tolerates any minority of broken rows.
                    spare = f if takes_f else (n - 1) // 2

                    def answer(rows, broken):
                        count = [max(f - broken, 0)] if takes_f else []
                        return body(rows, *count, *args, **options)

                    result, weights = _without_broken_rows(answer, to_numpy(x), spare, caller, rows)
                result = _in_kind(result, lead, updates)
                if not return_weights:
                    return result
                return result, _in_kind(_evaluated(weights), lead, updates)

        checked.__signature__ = _shown(inspect.signature(body))
        return checked

    return decorate


def all_finite(x):
    """Is there no NaN and no infinity? One pass without a copy when all is well."""
    if not isinstance(x, np.ndarray):
        return _device.all_finite(x)
    # Squares can overflow where all is finite, so infinity is a suspicion only.
    return math.isfinite(np.vdot(x, x)) or bool(np.isfinite(x).all())


def _without_broken_rows(answer, x, spare, caller, rows):
    """Each trial by itself, without the k rows that hold NaN or infinity and with f - k.

    Of a pre-aggregation, the places of the broken rows hold NaN, so that the rule that follows
    counts them against its f.
    """
    fine, n = np.isfinite(x).all(axis=-1), x.shape[1]
    most = n - fine.sum(axis=-1).min()
    if most > spare:
        raise ValueError(
            f"{caller} tolerates {spare} faulty of n = {n} clients; "
            f"got {most} rows with NaN or infinity"
        )
    parts = [answer(trial[ok][None], int(n - ok.sum())) for trial, ok in zip(x, fine, strict=True)]
    first, _ = parts[0]
    if first.ndim == 2:

        def weights():
            share = np.zeros(fine.shape)
            for t, (_, part) in enumerate(parts):
                share[t, fine[t]] = _evaluated(part)[0]
            return share

        return np.concatenate([part for part, _ in parts]), weights

    result = np.full((len(x), rows(n) if rows else n, x.shape[2]), np.nan, first.dtype)
    places = [np.arange(part.shape[1]) if rows else ok.nonzero()[0] for ok, (part, _) in
              zip(fine, parts, strict=True)]  # fmt: skip
    for t, (part, _) in enumerate(parts):
        result[t, places[t]] = part[0]

    def matrix():
        share = np.zeros((*result.shape[:2], n))
        for t, (_, part) in enumerate(parts):
            share[t, places[t][:, None], fine[t].nonzero()[0]] = _evaluated(part)[0]
        return share

    return result, matrix


def in_shape(x, shape):
    """x.reshape, which not all tensors have."""
    return x.reshape(shape) if isinstance(x, np.ndarray) else array_namespace(x).reshape(x, shape)


def _in_kind(values, lead, updates):
    """A result or weights (trials, ...) in the leading axes, and of the kind, of the updates."""
    if type(updates) is not np.ndarray and is_tensor(updates):
        values = like(values, updates)
    return in_shape(values, (*lead, *values.shape[1:]))


def _evaluated(weights):
    return weights() if callable(weights) else weights


def _range(slope, start):
    """The legal range as a sentence has it: "n >= 2f + 3"."""
    if slope == 0:
        return f"n >= {start}"
    times = "" if slope == 1 else slope
    return f"n > {times}f" if start == 1 else f"n >= {times}f + {start}"


def _shown(signature):
    """What a caller may write: x is called updates, and weights can be asked for."""
    x, *rest = signature.parameters.values()
    weights = inspect.Parameter("return_weights", inspect.Parameter.KEYWORD_ONLY, default=False)
    return signature.replace(parameters=[x.replace(name="updates"), *rest, weights])


def apply_rule(rule, updates, f, return_weights=True):
    """Call a rule whether or not it takes an f, and ask whom it trusted.

    Parameters
    ----------
    rule : callable
        Any function of (updates) or (updates, f), such as those of `byzlib.aggregators`.
    updates : (..., n, d) array_like
    f : int
    return_weights : bool
        Asking costs a coordinate-wise rule a second pass.

    Returns
    -------
    result : (..., d) array
    weights : (..., n) array, or None when not asked for or when the rule does not report them
    """
    parameters = free_parameters(rule)
    arguments = (updates, f) if "f" in parameters else (updates,)
    if return_weights and "return_weights" in parameters:
        return rule(*arguments, return_weights=True)
    return rule(*arguments), None
