"""Candles: Bybit's and simulated ones, and the learning tasks that are made of them.

bybit, cache     candles of Bybit's public market data, straight or through one file
features         features, labels, splits that respect time
simulation       a simulated market: symbols, venues, regimes, a crash
sample           ninety days of it, with a card: CARD.md
stylized_facts   what a simulated market must share with a real one, measured
planted          a task whose best possible accuracy is known
"""

import importlib

from byzlib.market._bybit_errors import (
    BadRequest,
    BadResponse,
    BybitError,
    RateLimited,
    RegionBlocked,
    UnknownSymbol,
    Unreachable,
)
from byzlib.market.cache import (
    CandleStore,
    cache_path,
    default_cache,
)
from byzlib.market.features import (
    CLASSES,
    EXTENDED,
    FEATURES,
    TASKS,
    Fold,
    dataset,
    engineer,
    labels,
    next_returns,
    standardize,
    tercile_labels,
    volatility_labels,
    walk_forward,
)
from byzlib.market.planted import planted_signal, planted_signal_accuracy
from byzlib.market.sample import load_sample
from byzlib.market.simulation import REGIMES, SYMBOLS, Regime, simulate

CLIENT = ["fetch_klines", "load_klines", "main"]

__all__ = [
    "BadRequest",
    "BadResponse",
    "BybitError",
    "CLASSES",
    "CandleStore",
    "EXTENDED",
    "FEATURES",
    "Fold",
    "REGIMES",
    "RateLimited",
    "Regime",
    "RegionBlocked",
    "SYMBOLS",
    "TASKS",
    "UnknownSymbol",
    "Unreachable",
    "cache_path",
    "dataset",
    "default_cache",
    "engineer",
    "fetch_klines",
    "labels",
    "load_klines",
    "load_sample",
    "main",
    "next_returns",
    "planted_signal",
    "planted_signal_accuracy",
    "simulate",
    "standardize",
    "tercile_labels",
    "volatility_labels",
    "walk_forward",
]


def __getattr__(name):
    """The client is imported when it is asked for: no chapter needs `requests`."""
    if name in CLIENT:
        return getattr(importlib.import_module("byzlib.market.bybit"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
