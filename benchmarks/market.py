"""A simulated year of candles beside the drawing of as many random numbers, processor time.

``python -m benchmarks.market`` prints the median of the ratios; the goal is at most 5. A candle
takes 32 numbers of the symbol, and 32 of the market that it shares.
"""

import time

import numpy as np

from byzlib.market import simulate

DAYS, TURNS, GOAL = 365, 15, 5.0


def draw(seed, n):
    """As many random numbers as one symbol's candles need, and nothing else."""
    rng = np.random.default_rng(seed)
    for _ in ("symbol", "market"):
        rng.standard_normal((n, 14)), rng.standard_exponential((n, 17)), rng.chisquare(11, n)


def ratio(seed, days=DAYS):
    """Cost of a simulation over the cost of its random numbers."""
    start = time.process_time()
    simulate("BTCUSDT", days, seed)
    between = time.process_time()
    draw(seed, 288 * days)
    return (between - start) / (time.process_time() - between)


def main(days=DAYS):
    """Print the ratio and its range."""
    found = [ratio(seed, days) for seed in [0, *range(TURNS)]][1:]  # the first one warms up
    print(
        f"A simulated year costs {np.median(found):.2f} times the drawing of its random numbers "
        f"({min(found):.2f} to {max(found):.2f} in {len(found)} turns); goal: at most {GOAL:g}."
    )


if __name__ == "__main__":
    main()
