"""The clock: everyone is called in turns in one process, and ratios are taken within a turn."""

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
    """Someone who is timed: byzlib, a peer, a yardstick or a loop."""

    name: str
    kind: str
    call: object = None
    definition: str = ""
    agrees: str = ""
    note: str = ""  # why there is no time
    copies: float = np.nan
    seconds: list = field(default_factory=list)
    turns: int = 0
    once: float = np.inf  # seconds of its shortest call

    def timed(self, repeats=1):
        """(answer, seconds a call)."""
        start = time.perf_counter()
        for _ in range(repeats):
            answer = self.call()
        return answer, (time.perf_counter() - start) / repeats

    def first(self):
        """The answer of a first call, which also loads code: a short one is tried again."""
        answer, self.once = self.timed()
        if self.once <= LONG:
            self.once = min(self.once, self.timed()[1])
        return answer

    def plan(self, turns, share):
        """Up to so many turns in a share of seconds; a long call keeps its first measurement."""
        if self.once > LONG:
            self.seconds, self.turns = [self.once], 0
        else:
            self.turns = min(turns, max(3, int(share / self.once)))

    def turn(self):
        """Measure seconds a call, over enough calls to fill a few milliseconds."""
        if self.once < SHORT:  # the caches hold what whoever ran before has left
            self.timed(1 + int(WARM / self.once))
        self.seconds.append(self.timed(max(1, int(ENOUGH / self.once)))[1])

    def row(self, ours):
        """What is reported: milliseconds, and how many times as long as `ours` in the same turn."""
        row = {"who": self.name, "kind": self.kind, "definition": self.definition}
        row |= {"agrees": self.agrees, "note": self.note, "copies": self.copies}
        if not self.seconds:
            return row
        base = ours.seconds if len(self.seconds) > 1 else [np.median(ours.seconds)]
        ratios = [theirs / mine for theirs, mine in zip(self.seconds, base)]
        low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        row |= {"ratio_low": low, "ratio": ratio, "ratio_high": high}
        return row | {"turns": len(self.seconds), "ms": 1e3 * np.median(self.seconds)}


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
