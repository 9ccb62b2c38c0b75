"""Byzantine-robust federated learning for trading: the small NumPy library under the book.

The rooms, from the ground up; each imports only rooms above it in this list.

    theory        closed forms: kappa, breakdown, eta, z_max, borders, convergence radii
    metrics       accuracies, intervals over seeds, paired differences, profit after costs
    plotting      one look for the whole book
    aggregators   the rules: mean, Krum, trimmed mean, medians, Bulyan, mixing, clipping
    attacks       the lies: in updates and in data, simple, optimized, and searched
    federated     learning together: models, clients, training and its history
    market        candles: Bybit's and simulated ones, features, labels, splits
    risk          value at risk and its back-tests, scenarios, detection of liars
    experiments   grids of runs, their tables, and the report on your own clients
    checks        the checkers of the exercises

`byzlib.aggregators.krum` works after `import byzlib`; a room is imported when it is named.
"""

import importlib

__version__ = "0.1.0"

ROOMS = ["theory", "metrics", "plotting", "aggregators", "attacks", "federated", "market", "risk"]
ROOMS += ["experiments", "checks"]


def __getattr__(name):
    if name in ROOMS:
        return importlib.import_module(f"byzlib.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*globals(), *ROOMS]
