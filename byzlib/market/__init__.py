"""market"""

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
from byzlib.market._splits import (
    Fold,
    standardize,
    walk_forward,
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
    LOOK_BACK,
    TASKS,
    dataset,
    engineer,
    labels,
    next_returns,
    tercile_labels,
    volatility_labels,
)
from byzlib.market.planted import (
    planted_signal,
    planted_signal_accuracy,
)
from byzlib.market.sample import (
    load_sample,
)
from byzlib.market.simulation import (
    AFTERMATH,
    INTERVALS,
    REGIMES,
    SYMBOLS,
    Regime,
    Symbol,
    simulate,
)

CLIENT = ["fetch_klines", "load_klines", "main"]

__all__ = [
    "AFTERMATH",
    "Symbol",
    "BadRequest",
    "BadResponse",
    "BybitError",
    "CLASSES",
    "CandleStore",
    "EXTENDED",
    "FEATURES",
    "Fold",
    "INTERVALS",
    "LOOK_BACK",
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
