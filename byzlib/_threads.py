"""Two threads for what NumPy computes without Python's lock.

The environment variable BYZLIB_THREADS says how many; 1 turns them off. Results do not depend on
it: the work is cut in the same pieces either way.
"""

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

THREADS = max(1, int(os.environ.get("BYZLIB_THREADS", min(2, os.cpu_count() or 1))))
NAME = "byzlib-worker"
SMALL_BYTES = 1 << 21  # below, handing work to threads costs more than it saves


def each(work, pieces, n_bytes):
    """[work(*piece) for piece in pieces], shared by the threads when it is worth it."""
    inside = threading.current_thread().name.startswith(NAME)  # a thread must not wait for itself
    if inside or THREADS == 1 or n_bytes < SMALL_BYTES or len(pieces) == 1:
        return [work(*piece) for piece in pieces]
    return list(_pool().map(lambda piece: work(*piece), pieces))


@functools.cache
def _pool():
    return ThreadPoolExecutor(THREADS, thread_name_prefix=NAME)
