"""Two threads at work: order, errors, memory used again, matrix products and child processes."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from byzlib.aggregators import _threads
from byzlib.aggregators._threads import each, lanes, scratch

LARGE = _threads.SMALL_BYTES


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(_threads, "THREADS", 2)


@pytest.mark.parametrize(
    "environment, threads",
    [
        ({"BYZLIB_THREADS": "1"}, 1),
        ({"BYZLIB_THREADS": "3", "OMP_NUM_THREADS": "1"}, 3),
        ({"BYZLIB_THREADS": "", "OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": "1"}, 1),
        ({"OMP_NUM_THREADS": " 1 , 4"}, 1),
        ({"OMP_NUM_THREADS": "8"}, min(2, os.cpu_count())),
        ({"OMP_NUM_THREADS": "many"}, min(2, os.cpu_count())),
        ({}, min(2, os.cpu_count())),
    ],
)
def test_how_many(environment, threads):
    assert _threads._how_many(environment) == threads


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5"])
def test_no_number_of_threads(wanted):
    with pytest.raises(ValueError, match=f"BYZLIB_THREADS needs .* got '{wanted}'"):
        _threads._how_many({"BYZLIB_THREADS": wanted})


def test_answers_stand_in_the_order_of_the_pieces():
    both = threading.Barrier(2, timeout=30)  # passed only when two threads are at work

    def work(k):
        if k < 2:
            both.wait()
        return k * k

    assert each(work, [(k,) for k in range(50)], LARGE) == [k * k for k in range(50)]
    assert each(work, [], LARGE) == []


def test_small_work_stays_on_its_thread():
    names = each(lambda _: threading.current_thread().name, [(0,), (1,)], LARGE - 1)
    assert set(names) == {threading.current_thread().name}


def test_an_error_reaches_the_caller_and_the_next_call_works():
    def work(k):
        if k == 7:
            raise KeyError("seven")
        return k

    for _ in range(3):
        with pytest.raises(KeyError, match="seven"):
            each(work, [(k,) for k in range(20)], LARGE)
    assert each(work, [(1,), (2,)], LARGE) == [1, 2]


@pytest.mark.parametrize("awake", [0.0, 10.0])
def test_after_an_error_the_other_thread_is_waited_for(awake, monkeypatch):
    monkeypatch.setattr(_threads, "AWAKE", awake)
    caller, started, done = threading.get_ident(), threading.Event(), []

    def work(k):
        if threading.get_ident() == caller:
            assert started.wait(30)
            raise KeyError("mine")
        started.set()
        time.sleep(0.05)
        done.append(k)

    with pytest.raises(KeyError, match="mine"):
        each(work, [(1,), (2,)], LARGE)
    assert len(done) == 1


def test_nobody_waits_for_a_thread_that_has_not_begun():
    free = threading.Event()
    rescue = threading.Timer(20, free.set)
    rescue.start()
    busy = [_threads._pool().submit(free.wait) for _ in range(_threads.THREADS)]
    try:
        assert each(abs, [(-1,), (-2,)], LARGE) == [1, 2]
        assert not free.is_set()
    finally:
        rescue.cancel()
        free.set()
        for work in busy:
            work.result(30)


def test_work_without_products_leaves_blas_alone(monkeypatch):
    def refuse():
        raise AssertionError("BLAS was told")

    monkeypatch.setattr(_threads, "_blas_on_one_thread", refuse)
    assert each(abs, [(-1,), (-2,)], LARGE, products=False) == [1, 2]
    with pytest.raises(AssertionError, match="BLAS was told"):
        each(abs, [(-1,), (-2,)], LARGE)


def test_a_thread_does_not_wait_for_itself():
    def inner(k):
        return k

    def outer(k):
        return sum(each(inner, [(j,) for j in range(k)], LARGE))

    assert each(outer, [(5,)] * 8, LARGE) == [10] * 8


@pytest.mark.parametrize("size, n_bytes", [(1, 1), (7, 1 << 30), (1000, 1 << 20), (100, 100)])
@pytest.mark.parametrize("uses", [1, 10, 1000])
def test_lanes_cover_everything_once(size, n_bytes, uses):
    parts = [part for (part,) in lanes(size, n_bytes, uses)]
    assert np.concatenate([np.arange(size)[part] for part in parts]).tolist() == list(range(size))
    assert len(parts) <= _threads.LANES


def test_seldom_used_numbers_get_fewer_lanes():
    counts = [len(lanes(10**6, 1 << 23, uses)) for uses in (1, 10, 64, 1000)]
    assert counts == [1, 2, 8, 8]


def test_scratch_memory_is_used_again_by_its_own_thread_only():
    first = scratch("here", (3, 5), np.float32)
    assert first.shape == (3, 5) and first.dtype == np.float32
    assert np.shares_memory(scratch("here", (15,), np.float32), first)
    assert not np.shares_memory(scratch("there", (15,), np.float32), first)
    large = _threads.KEPT_BYTES // 8 + 1
    assert not np.shares_memory(scratch("x", (large,), float), scratch("x", (large,), float))
    others = []
    thread = threading.Thread(target=lambda: others.append(scratch("here", (15,), np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(others[0], first)


def test_blas_gets_its_threads_back():
    def used():
        return {library["num_threads"] for library in _threads._blas().info()}

    with _threads._blas().limit(limits=2):
        if used() != {2}:
            pytest.skip("this BLAS does not let its threads be counted")
        assert each(lambda _: used(), [(k,) for k in range(4)], LARGE) == [{1}] * 4
        assert used() == {2}


FORK = """
import multiprocessing
import numpy as np
from byzlib.aggregators import median

x = np.random.default_rng(0).standard_normal((40, 60_000))
here = median(x)

def work(queue):
    queue.put(bool((median(x) == here).all()))

fork = multiprocessing.get_context("fork")
queue = fork.Queue()
fork.Process(target=work, args=(queue,), daemon=True).start()
print(queue.get(timeout=60))
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    threads = {**os.environ, "BYZLIB_THREADS": "2"}
    run = subprocess.run(
        command, env=threads, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.stdout.strip() == "True", run.stderr
