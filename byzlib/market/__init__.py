"""Candles: Bybit's and simulated ones, and the learning tasks that are made of them.

bybit, cache     candles of Bybit's public market data, straight or through one file
__main__         the same from the command line: python -m byzlib.market BTCUSDT
read_candles     a CSV of candles, the command's or the exchange's
features         features, labels, splits that respect time
simulation       a simulated market: symbols, venues, regimes, a crash
sample           ninety days of it, with a card: CARD.md
sources          `load_candles` from the exchange, a file or the sample; `describe`: what they are
stylized_facts   what a simulated market must share with a real one, measured
planted          a task whose best possible accuracy is known
"""

import importlib

from byzlib.market._candles import read_candles
from byzlib.market._clock import usual_step
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
    walk_forward,
)
from byzlib.market.planted import planted_signal, planted_signal_accuracy
from byzlib.market.sample import load_sample
from byzlib.market.simulation import REGIMES, SYMBOLS, Regime, simulate
from byzlib.market.sources import describe, load_candles

# The client is imported when it is asked for: no chapter needs `requests`.
_ERRORS = ["BybitError", "BadRequest", "UnknownSymbol", "RateLimited", "RegionBlocked"]
_ERRORS += ["BadResponse", "Unreachable"]
_LOADER = dict.fromkeys(["fetch_klines", *_ERRORS], "bybit")
_LOADER |= dict.fromkeys(["load_klines", "cache_path"], "cache")
_LOADER["main"] = "__main__"

__all__ = ["BadRequest", "BadResponse", "BybitError", "cache_path", "CLASSES", "dataset",
           "describe", "engineer", "EXTENDED", "FEATURES", "fetch_klines", "Fold", "labels",
           "load_candles", "load_klines", "load_sample", "main", "next_returns", "planted_signal",
           "planted_signal_accuracy", "RateLimited", "read_candles", "Regime", "REGIMES",
           "RegionBlocked", "simulate", "standardize", "SYMBOLS", "TASKS", "UnknownSymbol",
           "Unreachable", "usual_step", "walk_forward"]  # fmt: skip


def __getattr__(name):
    if name in _LOADER:
        return getattr(importlib.import_module(f"byzlib.market.{_LOADER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
