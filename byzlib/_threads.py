"""Two threads for what NumPy computes without Python's lock.

The environment variable BYZLIB_THREADS says how many; 1 turns them off. Results do not depend on
it: the work is cut in the same pieces either way.
"""

import functools
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

THREADS = max(1, int(os.environ.get("BYZLIB_THREADS", min(2, os.cpu_count() or 1))))
NAME = "byzlib-worker"
SMALL_BYTES = 1 << 21  # below, handing work to threads costs more than it saves


def each(work, pieces, n_bytes):
    """[work(*piece) for piece in pieces], shared by the threads when it is worth it."""
    inside = threading.current_thread().name.startswith(NAME)  # a thread must not wait for itself
    if inside or THREADS == 1 or n_bytes < SMALL_BYTES or len(pieces) == 1:
        return [work(*piece) for piece in pieces]
    return list(_pool().map(lambda piece: work(*piece), pieces))


def share(worker, pieces, n_bytes):
    """Let each thread make itself a `work = worker()`, and call work(*piece) on its next piece."""
    queue = iter(pieces)  # to take from it is one step under Python's lock

    def run():
        work = worker()
        for piece in queue:
            work(*piece)

    each(run, [()] * min(THREADS, len(pieces)), n_bytes)


class Scratch:
    """Memory that one thread uses again for piece after piece: fresh memory costs page faults."""

    def __init__(self):
        self._flat = {}

    def __call__(self, name, shape, dtype):
        """An array of that shape and type; what it held under this name is lost."""
        size, flat = math.prod(shape), self._flat.get(name)
        if flat is None or flat.size < size or flat.dtype != dtype:
            flat = self._flat[name] = np.empty(size, dtype)
        return flat[:size].reshape(shape)


@functools.cache
def _pool():
    return ThreadPoolExecutor(THREADS, thread_name_prefix=NAME)
