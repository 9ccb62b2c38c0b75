"""The clock: who is timed, in which order, and what comes out of it."""

import functools
import gc
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

LONG = 2.0  # a call of so many seconds is measured once
SHORT = 0.05  # a shorter one is also called before its turn, off the clock
WARM, ENOUGH = 0.05, 0.004  # seconds off the clock before a turn of short calls, and on it
SLOW = 1.3  # times as long as at its best, and the machine is busy elsewhere
PATIENCE = 5.0  # seconds that all turns of a cell together wait for it


@dataclass
class Runner:
    """Someone who is timed: byzlib, a peer or a yardstick."""

    name: str
    kind: str
    call: object
    definition: str = ""
    threads: int = 0  # of torch; 0 leaves them alone
    seconds: list = field(default_factory=list)
    turns: int = 0
    once: float = 0.0

    def first(self):
        """One call, which also warms up; its answer and how long it took."""
        self.set_threads()
        start = time.perf_counter()
        answer = self.call()
        return answer, time.perf_counter() - start

    def turn(self):
        """Seconds a call, over enough calls to fill a few milliseconds."""
        self.set_threads()
        settle()
        if self.once < SHORT:  # the caches hold what whoever ran before has left
            for _ in range(1 + int(WARM / self.once)):
                self.call()
        repeats = max(1, int(ENOUGH / self.once))
        start = time.perf_counter()
        for _ in range(repeats):
            self.call()
        self.seconds.append((time.perf_counter() - start) / repeats)

    def set_threads(self):
        if self.threads:
            import torch

            torch.set_num_threads(self.threads)

    def plan(self, first, share):
        """How often to run it, after a first call of so many seconds."""
        if first > LONG:
            self.seconds, self.turns = [first], 0
            return
        self.once = min(first, self.first()[1])
        self.turns = min(self.turns, max(3, int(share / self.once)))


def settle():
    """Wait until the threads of whoever ran before have fallen asleep: after a matrix product
    those of OpenBLAS spin for a tenth of a second, and would be timed with the next one."""
    spinning = True
    while spinning:
        before = time.process_time()
        time.sleep(0.005)
        spinning = time.process_time() - before > 0.001


class Steady:
    """Waits for moments in which the machine is as fast as it has been.

    On a shared processor a neighbour can slow everybody down, but not all by the same factor. The
    yardstick is nobody's: a sort of the same numbers over and over, on one thread and on two.
    """

    def __init__(self):
        self.best = [float("inf")] * 2
        self.waited = 0.0

    def wait(self, patience):
        """Seconds of patience that are left when the machine is steady, 0 if it never was."""
        start = time.perf_counter()
        left = patience
        while not self.is_steady() and left > 0:
            left = patience - (time.perf_counter() - start)
        self.waited += patience - max(left, 0.0)
        return max(left, 0.0)

    def is_steady(self):
        now = [min(yardstick(threads) for _ in range(3)) for threads in (1, 2)]
        self.best = [min(pair) for pair in zip(self.best, now)]
        return all(seconds <= SLOW * best for seconds, best in zip(now, self.best))


steady = Steady()


def yardstick(threads):
    """Seconds that so many threads take for a sort each."""
    start = time.perf_counter()
    list(_pool().map(_sort, range(threads))) if threads > 1 else _sort(0)
    return time.perf_counter() - start


@functools.cache
def _pool():
    return ThreadPoolExecutor(2)


def _sort(thread):
    numbers, columns = _numbers(thread)
    for _ in range(4):
        np.copyto(columns, numbers)
        columns.sort(axis=-1)


@functools.cache
def _numbers(thread):
    numbers = np.random.default_rng(thread).standard_normal((1000, 100))
    return numbers, np.empty_like(numbers)


def take_turns(runners):
    """A B C, B C A, C A B ...: everyone follows everyone, none is always first."""
    gc.collect()
    gc.disable()
    patience = PATIENCE
    try:
        for turn in range(max(runner.turns for runner in runners)):
            k = turn % len(runners)
            for runner in runners[k:] + runners[:k]:
                if turn < runner.turns:
                    patience = steady.wait(patience)
                    runner.turn()
    finally:
        gc.enable()


def row(runner, ours):
    """Milliseconds, and how many times as long as byzlib: medians and quartiles over turns."""
    named = {"who": runner.name, "kind": runner.kind, "definition": runner.definition}
    if not runner.seconds:
        return named
    base = ours.seconds if len(runner.seconds) > 1 else [np.median(ours.seconds)]
    ratios = [theirs / mine for theirs, mine in zip(runner.seconds, base)]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return named | {
        "threads": runner.threads or None,
        "turns": len(runner.seconds),
        "ms": 1e3 * np.median(runner.seconds),
        "ratio": middle,
        "ratio_low": low,
        "ratio_high": high,
    }


def best_threads(runner):
    """First answer and time; with two threads of torch or one, whichever is faster."""
    tried = {}
    for threads in (2, 1):
        runner.threads = threads
        answer, tried[threads] = runner.first()
        if tried[threads] > LONG:
            break
        again = 5 if tried[threads] < SHORT else 1  # a first call also loads code
        tried[threads] = min(runner.first()[1] for _ in range(again))
    runner.threads = min(tried, key=tried.get)
    return answer, tried[runner.threads]


def peak_memory(call):
    """Bytes at the highest point of a call beyond what was there, its result included."""
    gc.collect()
    tracemalloc.start()
    try:
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    del result
    return peak
