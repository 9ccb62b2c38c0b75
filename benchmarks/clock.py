"""The clock: who is timed, in which order, and what comes out of it."""

import gc
import time
import tracemalloc
from dataclasses import dataclass, field

import numpy as np

LONG = 2.0  # a call of so many seconds is measured once
SHORT = 0.05  # a shorter one is also called before its turn, off the clock
WARM, ENOUGH = 0.05, 0.004  # seconds off the clock before a turn of short calls, and on it


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


def take_turns(runners):
    """A B C, B C A, C A B ...: everyone follows everyone, none is always first."""
    gc.collect()
    gc.disable()
    try:
        for turn in range(max(runner.turns for runner in runners)):
            k = turn % len(runners)
            for runner in runners[k:] + runners[:k]:
                if turn < runner.turns:
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
