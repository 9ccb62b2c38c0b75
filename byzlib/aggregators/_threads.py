"""Two threads for what NumPy computes without Python's lock.

The environment variable BYZLIB_THREADS says how many; 1 turns them off. Without it there are two,
or one where OMP_NUM_THREADS is 1, as in the workers of joblib, which fill the processors already.
Results do not depend on it: the work is cut in the same pieces either way.
"""

import functools
import math
import os
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext

import numpy as np
from threadpoolctl import ThreadpoolController


def _how_many(environment):
    """How many threads these environment variables ask for."""
    wanted = environment.get("BYZLIB_THREADS", "").strip()
    if wanted:
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(f"BYZLIB_THREADS needs a number of threads >= 1; got {wanted!r}")
        return int(wanted)
    outer = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return 1 if outer == "1" else min(2, os.cpu_count() or 1)


THREADS = _how_many(os.environ)
SMALL_BYTES = 1 << 20  # below, handing work to threads costs more than it saves
AWAKE = 5e-4  # seconds that a thread with nothing left to do stays awake for the others
KEPT_BYTES = 1 << 22  # of scratch memory under one name
LANES, LANE_BYTES = 8, 1 << 19  # products over many columns are cut in so many, of at least so much
SELDOM, OFTEN = 4, 64  # uses of a number, between which a lane must be the longer the fewer

_own = threading.local()
_limit, _lock = {"users": 0}, threading.Lock()


def each(work, pieces, n_bytes, products=True):
    """[work(*piece) for piece in pieces], shared by the threads when it is worth it.

    Where it is, matrix products keep to the thread that asks for them, also in a single piece: the
    threads of BLAS would go on spinning, and take a processor from ours. Work without `products`
    is spared what it takes to tell BLAS so.
    """
    results = [None] * len(pieces)
    queue = iter(enumerate(pieces))  # to take from it is one step under Python's lock

    def run():
        _own.inside = True
        try:
            for place, piece in queue:
                results[place] = work(*piece)
        finally:
            _own.inside = False
            deque(queue, maxlen=0)  # after an error there is nothing left to do

    inside = getattr(_own, "inside", False)  # a thread must not wait for itself
    if inside or THREADS == 1 or n_bytes < SMALL_BYTES:
        return [work(*piece) for piece in pieces]
    with _blas_on_one_thread() if products else nullcontext():
        # The calling thread works too: it is awake already, and the others get a processor each.
        others = [_pool().submit(run) for _ in range(min(THREADS, len(pieces)) - 1)]
        try:
            run()
        finally:
            # Who has not begun by now has nothing left to do.
            others = [other for other in others if not other.cancel()]
            _finish(others)
    for other in others:
        other.result()
    return results


def _finish(others):
    """Wait for the others, at first awake: to be woken takes longer than most of them need."""
    patience = time.perf_counter() + AWAKE
    while time.perf_counter() < patience and not all(other.done() for other in others):
        time.sleep(0)
    for other in others:
        other.exception()


def lanes(size, n_bytes, uses):
    """Slices (slice,) of 0 .. size, at most `LANES` of them, for `each` to work through.

    `uses` says how often each number is multiplied. From `OFTEN` on, `LANE_BYTES` are worth a lane;
    with fewer uses, down to `SELDOM`, memory takes the time, and a lane is longer in proportion.
    """
    worth = n_bytes * min(max(uses, SELDOM), OFTEN) // OFTEN
    count = max(1, min(LANES, worth // LANE_BYTES, size))
    edges = [size * k // count for k in range(count + 1)]
    return [(slice(a, b),) for a, b in zip(edges, edges[1:], strict=False)]


def scratch(name, shape, dtype):
    """An array to write on; what this thread held under this name is lost.

    The memory is kept for the thread's next call: fresh memory costs a page fault every 4096 bytes,
    which is more than the arithmetic on them. Large arrays are not kept.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    kept = _own.__dict__.get(name)
    if kept is None or kept.nbytes < n_bytes:
        kept = np.empty(n_bytes, np.uint8)
        if n_bytes <= KEPT_BYTES:
            setattr(_own, name, kept)
    return kept[:n_bytes].view(dtype).reshape(shape)


@functools.cache
def _pool():
    return ThreadPoolExecutor(THREADS, thread_name_prefix="byzlib-worker")


@contextmanager
def _blas_on_one_thread():
    """Matrix products on the thread that asks for them: BLAS's threads would wait for ours."""
    with _lock:
        _limit["users"] += 1
        if _limit["users"] == 1:
            _limit["held"] = ExitStack()
            _limit["held"].enter_context(_blas().limit(limits=1))
    try:
        yield
    finally:
        with _lock:
            _limit["users"] -= 1
            if not _limit["users"]:
                _limit["held"].close()


@functools.cache
def _blas():
    return ThreadpoolController().select(user_api="blas")


def _after_fork():
    """A child process has none of its parent's threads, and waits for none of their locks."""
    global _lock
    _lock = threading.Lock()
    _limit["users"] = 0
    _own.inside = False
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
