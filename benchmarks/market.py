"""What a simulated market costs, as a ratio: ``python -m benchmarks.market``.

A year of one symbol's five-minute candles beside the drawing of the random numbers in it: those of
the symbol and those of the market that it shares. The goal is a ratio of at most 5. The two are
timed in turns, processor time, and the median of the ratios is told with its range.
"""

import sys
import time

import numpy as np

from byzlib import market
from byzlib.market import _candle_process as process

DAYS, TURNS, GOAL = 365, 15, 5.0


def draw(seed, n):
    """The random numbers of one symbol's candles, and nothing else."""
    return [process.shocks(seed, source, n) for source in ("market", "BTCUSDT")]


def seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


def ratios(days=DAYS, turns=TURNS):
    """Cost of a simulation over the cost of its random numbers, (turns,)."""
    n = days * 288

    def one(seed):
        simulated = seconds(lambda: market.simulate("BTCUSDT", days, seed))
        return simulated / seconds(lambda: draw(seed, n))

    one(0)  # warm up
    return np.array([one(seed) for seed in range(turns)])


def main():
    """Print the ratio; 1 when the goal is missed."""
    found = ratios()
    middle = np.median(found)
    print(
        f"A simulated year costs {middle:.2f} times the drawing of its random numbers "
        f"({found.min():.2f} to {found.max():.2f} in {len(found)} turns); goal: {GOAL:g}."
    )
    return int(middle > GOAL)


if __name__ == "__main__":
    sys.exit(main())
