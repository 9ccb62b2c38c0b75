"""What every rule promises about its input and its output, written once.

A rule of `byzlib.aggregators` is an equation over finite float arrays of shape (trials, n, d).
The decorator here does the rest: it checks types, shapes and the range of f, drops rows that hold
NaN or infinity, keeps float32 as float32, and hands back weights when they are asked for.
"""

import functools
import inspect
import math

import numpy as np

from byzlib.aggregators._threads import each
from byzlib.theory import as_count, as_updates


def rule(condition, holds, name=None, split=True, watches=False):
    """Make a defended rule of a function `body(updates, f, ...) -> (result, weights)`.

    Parameters
    ----------
    condition : str
        The legal range as the error message prints it, such as "n >= 2f + 3".
    holds : callable (n, f) -> bool
        The same range as code. A body without a parameter f is asked with f = 0.
    name : str, optional
        What error messages call the rule; the name of the body by default.
    split : bool
        Whether a long stack of trials may be handed to the body in pieces; not so where it draws
        random numbers.
    watches : bool
        Whether the body raises `BrokenRows` itself where it meets NaN or infinity, at no cost on
        clean data; otherwise all numbers are looked at before.

    The body sees finite float updates of shape (trials, n, d) and a legal f. `weights` is its
    (trials, n) array, or a function that computes it, called only with `return_weights=True`.
    """

    def decorate(body):
        caller = name or body.__name__

        def run(updates, spare, call, return_weights):
            *lead, n, d = updates.shape
            trials = updates.reshape(math.prod(lead), n, d)
            call.watches = watches
            result, weights = _without_broken_rows(
                call, trials, spare, caller, return_weights, split
            )
            result = result.astype(updates.dtype, copy=False).reshape(*lead, d)
            return (result, weights.reshape(*lead, n)) if return_weights else result

        return _public(body, caller, condition, holds, run)

    return decorate


def preaggregation(condition, holds, rows_out=None, watches=False):
    """Make a pre-aggregation of `body(updates, f, ...) -> (rows, matrix)`, as `rule` makes rules.

    The body returns rows (trials, n', d) and the matrix (trials, n', n) of how much of each client
    went into each row, or a function that computes it. Clients with broken rows are left out, and
    their places in the result hold NaN, so that the rule that follows counts them against its f.

    `rows_out` (n, **parameters) -> n' says how many rows come out; n of them by default.
    """

    def decorate(body):
        caller = body.__name__

        def run(updates, spare, call, return_weights):
            *lead, n, d = updates.shape
            trials = updates.reshape(math.prod(lead), n, d)
            call.watches = watches
            rows, matrix = _mixed(call, trials, spare, caller, rows_out, return_weights)
            rows = rows.astype(updates.dtype, copy=False).reshape(*lead, rows.shape[1], d)
            return (rows, matrix.reshape(*lead, rows.shape[-2], n)) if return_weights else rows

        return _public(body, caller, condition, holds, run)

    return decorate


def _public(body, caller, condition, holds, run):
    """The function that readers call: checks its arguments, then `run`s the body."""
    takes_f = "f" in inspect.signature(body).parameters

    def checked(updates, f):
        updates = as_updates(updates, caller)
        n = updates.shape[-2]
        if f < 0:
            raise ValueError(f"{caller} needs f >= 0; got f = {f}")
        if not holds(n, f):
            given = f"n = {n}, f = {f}" if takes_f else f"n = {n}"
            raise ValueError(f"{caller} needs {condition}; got {given}")
        return updates

    if takes_f:

        @functools.wraps(body)
        def wrapped(updates, f, *args, return_weights=False, **parameters):
            f = as_count(f, "f", caller)

            def call(trials, dropped=0):
                return body(trials, max(f - dropped, 0), *args, **parameters)

            return run(checked(updates, f), f, call, return_weights)

    else:

        @functools.wraps(body)
        def wrapped(updates, *args, return_weights=False, **parameters):
            updates = checked(updates, 0)

            def call(trials, dropped=0):
                return body(trials, *args, **parameters)

            # Without an f, a rule tolerates any minority of broken rows.
            return run(updates, (updates.shape[-2] - 1) // 2, call, return_weights)

    wrapped.__signature__ = _signature_with_weights(body)
    return wrapped


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
    parameters = inspect.signature(rule).parameters
    arguments = (updates, f) if "f" in parameters else (updates,)
    if return_weights and "return_weights" in parameters:
        return rule(*arguments, return_weights=True)
    return rule(*arguments), None


class BrokenRows(Exception):
    """NaN or infinity, met by a rule that looks for itself."""


PIECE = 10_000  # a sum of squares of so many numbers is left to one thread by OpenBLAS


def all_finite(array):
    """Is there no NaN and no infinity? One pass without a copy when all is well."""
    # A sum of finite squares can overflow, so infinity is a suspicion only.
    return math.isfinite(sum_of_squares(array)) or bool(np.isfinite(array).all())


def sum_of_squares(array):
    """Sum of squares in the array's own precision; not finite where an entry is not, or is huge."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array
    *lead, d = flat.shape
    if not lead and d <= PIECE:
        return float(np.vdot(flat, flat))  # np.dot would warn where it overflows
    whole = d - d % PIECE
    with np.errstate(over="ignore", invalid="ignore"):
        rest = flat[..., whole:]
        total = float(np.vecdot(rest, rest).sum())
        if whole:
            pieces = flat[..., :whole].reshape(*lead, -1, PIECE)
            total += float(np.vecdot(pieces, pieces).sum())
    return total


STACK_BYTES = 1 << 22  # many small trials are worked through in stacks of this size


def _without_broken_rows(call, trials, spare, name, return_weights, split=True):
    """Run `call` on the finite rows of each trial; a long stack of small trials goes in pieces."""
    count, n, d = trials.shape
    depth = STACK_BYTES // max(1, n * d * trials.itemsize)
    if not split or depth < 2 or depth >= count:
        return _in_groups(call, trials, spare, name, return_weights)
    result = np.empty((count, d), trials.dtype)
    weights = np.zeros((count, n)) if return_weights else None

    def work(part):
        result[part], of_part = _in_groups(call, trials[part], spare, name, return_weights)
        if return_weights:
            weights[part] = of_part

    each(work, [(slice(t, t + depth),) for t in range(0, count, depth)], trials.nbytes)
    return result, weights


def _in_groups(call, trials, spare, name, return_weights):
    """Run `call` on trials with equally many broken rows together."""
    whole = _if_whole(call, trials)
    if whole:
        result, weights = whole
        return result, _evaluated(weights) if return_weights else None
    result = np.empty((len(trials), trials.shape[2]), trials.dtype)
    all_weights = np.zeros(trials.shape[:2]) if return_weights else None
    for k, which, rows in _finite_groups(trials, spare, name):
        result[which], weights = call(_finite_rows(trials, which, rows), dropped=k)
        if return_weights:
            all_weights[which[:, None], rows] = _evaluated(weights)
    return result, all_weights


def _if_whole(call, trials):
    """What `call` makes of the trials if no row is broken, else None."""
    if not len(trials) or not (call.watches or all_finite(trials)):
        return None
    try:
        return call(trials)
    except BrokenRows:
        return None


def _mixed(call, trials, spare, name, rows_out, return_weights):
    """`_without_broken_rows` for pre-aggregations."""
    whole = _if_whole(call, trials)
    if whole:
        rows, matrix = whole
        return rows, _evaluated(matrix) if return_weights else None
    parts = []
    for k, which, finite in _finite_groups(trials, spare, name):
        part, matrix = call(_finite_rows(trials, which, finite), dropped=k)
        parts.append((which, finite, part, _evaluated(matrix) if return_weights else None))
    n = trials.shape[1]
    n_out = rows_out(n) if rows_out else n
    rows = np.full((len(trials), n_out, trials.shape[2]), np.nan, trials.dtype)
    matrix = np.zeros((len(trials), n_out, n)) if return_weights else None
    for which, finite, part, mixing in parts:
        places = np.broadcast_to(np.arange(part.shape[1]), part.shape[:2]) if rows_out else finite
        rows[which[:, None], places] = part
        if return_weights:
            matrix[which[:, None, None], places[:, :, None], finite[:, None, :]] = mixing
    return rows, matrix


def _finite_groups(trials, spare, name):
    """Trials with equally many broken rows: (how many, which trials, their finite rows)."""
    finite = np.isfinite(trials).all(axis=-1)
    n = trials.shape[1]
    broken = n - finite.sum(axis=-1)
    if broken.max(initial=0) > spare:
        raise ValueError(
            f"{name} tolerates {spare} faulty of n = {n} clients; "
            f"got {broken.max()} rows with NaN or infinity"
        )
    for k in np.unique(broken):
        which = np.flatnonzero(broken == k)
        yield int(k), which, np.argsort(~finite[which], axis=-1, kind="stable")[:, : n - k]


def _finite_rows(trials, which, rows):
    return np.take_along_axis(trials[which], rows[..., None], axis=1)


def _evaluated(weights):
    return weights() if callable(weights) else weights


def _signature_with_weights(body):
    signature = inspect.signature(body)
    weights = inspect.Parameter("return_weights", inspect.Parameter.KEYWORD_ONLY, default=False)
    return signature.replace(parameters=[*signature.parameters.values(), weights])
