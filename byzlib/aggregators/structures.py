"""Updates as training frameworks hold them: layers, state dicts, tensors; to flat rows and back."""

import copy
import math

import numpy as np
from array_api_compat import array_namespace

from byzlib.aggregators._contract import apply_rule, in_shape
from byzlib.theory import as_computed, is_of, is_tensor, like, refuse_masked, to_numpy


def aggregate(rule, clients, f=None, *, return_weights=False):
    """Apply a rule to whole models: a list with one entry per client, each of the same structure.

    Every entry is laid out as one vector, the rule sees the rows (n, d), and its answer is put back
    into the shapes. So a client is one point in space, not one point for each layer.

    Parameters
    ----------
    rule : callable of (updates) or (updates, f)
        Such as those of `byzlib.aggregators`; fix further parameters with `functools.partial`.
    clients : sequence of n entries
        An entry is an array, a tensor, a number, or a list, tuple or dict of such, nested as you
        like: layers, a gradient, a state dict. Where all are tensors of one device, the rows stay
        there. The first axis of an array of entries is the clients'.
    f : int, optional
        How many clients may lie, for a rule that takes it.

    Returns
    -------
    One entry: containers, shapes, dtypes, kind and device as the first client's. Whole numbers are
    rounded; they count in distances as all others do, so leave counters out that should not. With
    `return_weights` also the weights (n,), or None where the rule does not report them.

    Raises
    ------
    ValueError, where a client's structure, a shape or a dtype differs; TypeError for other content.
    The message names the client and the place. Then as the rule.

    Example: ``aggregate(krum, [model.state_dict() for model in models], f=2)``.
    """
    clients = list(clients)
    entries = [dict(_leaves(entry, "")) for entry in clients]
    if not entries or not entries[0]:
        raise ValueError("aggregate needs at least one client, and numbers in it; got none")
    rows = [_row(entry, entries[0], f"client {i}") for i, entry in enumerate(entries)]
    answer, weights = apply_rule(rule, array_namespace(*rows).stack(rows), f, return_weights)
    if answer.shape != rows[0].shape:
        raise ValueError(
            f"aggregate needs a rule that answers with one vector of {rows[0].shape[0]} numbers; "
            f"got shape {tuple(answer.shape)}"
        )
    sizes = [math.prod(np.shape(leaf)) for leaf in entries[0].values()]
    pieces = (answer[end - size : end] for size, end in zip(sizes, np.cumsum(sizes), strict=True))
    result = _filled(clients[0], pieces)
    return (result, weights) if return_weights else result


def _leaves(entry, place):
    """The arrays, tensors and numbers of an entry, with their places in it, in order."""
    if isinstance(entry, dict):
        parts = entry.items()
    elif isinstance(entry, list | tuple):
        parts = enumerate(entry)
    else:
        yield place, entry
        return
    for key, part in parts:
        yield from _leaves(part, f"{place}[{key!r}]")


def _filled(entry, pieces):
    """A copy of the entry with its leaves, in the order of `_leaves`, filled from flat pieces."""
    if isinstance(entry, dict):
        filled = copy.copy(entry)  # an OrderedDict with its attributes, a defaultdict with its
        for key, part in entry.items():
            filled[key] = _filled(part, pieces)
        return filled
    if isinstance(entry, list | tuple):
        parts = [_filled(part, pieces) for part in entry]
        return type(entry)(*parts) if hasattr(entry, "_fields") else type(entry)(parts)
    return _as_leaf(next(pieces), entry)


def _row(leaves, first, client):
    """One flat row; a sentence about the client where its leaves differ from those of the first."""
    for place in [*first, *leaves]:
        if place not in leaves or place not in first:
            has = "lacks" if place in first else "has"
            raise ValueError(f"aggregate needs clients alike; {client} {has} {place or 'an array'}")
    parts = []
    for place, example in first.items():
        where = f"{client}{place and ' at '}{place}"
        array, wanted = _as_array(leaves[place], where), _as_array(example, "client 0")
        for name, got, due in (
            ("shape", array.shape, wanted.shape),
            ("dtype", _dtype(leaves[place]), _dtype(example)),
        ):
            if got != due:
                raise ValueError(
                    f"aggregate needs clients alike; {where} has {name} {got}, client 0 has {due}"
                )
        parts.append(array)
    # float32 holds float16 exactly, and the rules keep it; whole numbers need float64.
    if not all(is_tensor(part) for part in parts):
        parts = [to_numpy(part).ravel() for part in parts]
        return np.concatenate(parts, dtype=np.result_type(np.float32, *parts))
    xp = array_namespace(*parts)
    widest = max(parts, key=lambda part: xp.finfo(part.dtype).bits)
    return xp.concat([like(in_shape(part, (-1,)), widest) for part in parts])


def _as_array(leaf, where):
    """A leaf as an array or a tensor of real numbers."""
    refuse_masked(leaf, "aggregate")
    if is_tensor(leaf):
        if is_of(leaf, ("real floating", "integral")):
            return as_computed(leaf)
        raise TypeError(f"aggregate needs real numbers; {where} has dtype {leaf.dtype}")
    if not isinstance(leaf, np.ndarray | np.number | int | float) or isinstance(leaf, bool):
        raise TypeError(
            f"aggregate needs arrays, tensors or numbers, or lists, tuples and dicts of them; "
            f"{where} has {type(leaf).__name__}"
        )
    array = np.asarray(leaf)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"aggregate needs real numbers; {where} has dtype {array.dtype}")
    return array.astype(np.float64) if _dtype(leaf) == "number" else array


def _dtype(leaf):
    """What clients must agree on: a dtype of PyTorch or NumPy, of plain numbers that they are."""
    return str(getattr(leaf, "dtype", "number"))


def _as_leaf(values, example):
    """Flat values in the shape, dtype, kind and device of an example."""
    if _dtype(example) == "number":
        return float(values[0])
    values = in_shape(values, tuple(example.shape))
    if is_tensor(example):
        values, xp = like(values, example), array_namespace(example)
        if not is_of(example, "real floating"):
            values = xp.astype(xp.round(values), example.dtype)
        return values
    if not np.issubdtype(example.dtype, np.floating):
        values = np.rint(values)
    values = np.asarray(values).astype(example.dtype)
    return values if isinstance(example, np.ndarray) else values[()]
