"""Arrays of PyTorch, CuPy and JAX, by the array API; none of the three is imported."""

import array_api_compat
import numpy as np
from array_api_compat import array_namespace, device


def is_tensor(x):
    """Is this an array of another library than NumPy?"""
    if isinstance(x, np.ndarray) or isinstance(x, np.generic | list | tuple):
        return False
    return hasattr(x, "__array_namespace__") or array_api_compat.is_torch_array(x)


def is_elsewhere(x):
    """Is this a tensor that NumPy cannot see without copying it from its device?"""
    place = device(x) if is_tensor(x) else None
    # PyTorch tells the type of a device, JAX its platform; CuPy has no other than GPUs.
    return is_tensor(x) and "cpu" not in (getattr(place, "type", 0), getattr(place, "platform", 0))


def namespace(x):
    """The library that x is an array of; NumPy for numbers and lists."""
    return array_namespace(x) if is_tensor(x) else np


def in_one(rows):
    """A list of tensors alike as one tensor; all else as it is."""
    if not (isinstance(rows, list | tuple) and rows and all(map(is_tensor, rows))):
        return rows
    kinds = {(array_namespace(row), tuple(row.shape), row.dtype, device(row)) for row in rows}
    return array_namespace(rows[0]).stack(rows) if len(kinds) == 1 else rows


def to_numpy(values):
    """np.asarray; of a tensor its numbers on the host, without gradient, 16 bits as 32."""
    if not is_tensor(values):
        return np.asarray(values)
    x = as_computed(values) if is_of(values, "real floating") else values
    if array_api_compat.is_cupy_array(x):
        return x.get()
    if array_api_compat.is_torch_array(x):
        x = x.cpu()
    return np.asarray(x) if array_api_compat.is_jax_array(x) else np.from_dlpack(x)


def like(values, x):
    """Numbers in the library, on the device and with the dtype of x.

    Where x are whole numbers of a tensor, the dtype stays their own.
    """
    if isinstance(x, np.ndarray):
        return values.astype(x.dtype, copy=False)
    xp = array_namespace(x)
    if isinstance(values, np.ndarray):
        values = xp.asarray(values, device=device(x))
    return xp.astype(values, x.dtype, copy=False) if is_of(x, "real floating") else values


def has_float64(x):
    """Are there 64 bits where x is? In JAX only if somebody has switched them on."""
    dtypes = array_namespace(x).__array_namespace_info__().dtypes
    return "float64" in dtypes(device=device(x), kind="real floating")


def widened(x):
    """As float64, where there is that."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64, copy=False)
    return array_namespace(x).astype(x, array_namespace(x).float64) if has_float64(x) else x


def is_of(x, kind):
    """Has a tensor a dtype of this kind, as the array API names it?"""
    return array_namespace(x).isdtype(x.dtype, kind)


def as_computed(x):
    """A tensor cut off from its gradient, of 32 or 64 bits."""
    xp, x = array_namespace(x), x.detach() if hasattr(x, "detach") else x
    if not is_of(x, "real floating"):
        return xp.astype(x, xp.float64 if has_float64(x) else xp.float32)
    return xp.astype(x, xp.float32) if xp.finfo(x.dtype).bits < 32 else x
