"""Types of the public names; the docstrings stand with the functions."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Seed = np.random.Generator | int
Time = datetime | int | str | None
Path = str | os.PathLike[str]

CLASSES: tuple[str, ...]
FEATURES: tuple[str, ...]
EXTENDED: tuple[str, ...]
TASKS: dict[str, tuple[str, ...]]
SYMBOLS: dict[str, Any]
REGIMES: dict[str, Regime]

class BybitError(Exception): ...
class BadRequest(BybitError): ...
class UnknownSymbol(BadRequest): ...
class RateLimited(BybitError): ...
class RegionBlocked(BybitError): ...
class BadResponse(BybitError): ...
class Unreachable(BybitError): ...

class Regime:
    volatility: float
    memory: float
    drift: float
    def __init__(
        self, volatility: float = 1.0, memory: float = 0.0, drift: float = 0.0
    ) -> None: ...

class Fold:
    train_start: pd.Timestamp
    train_end: pd.Timestamp
    test_start: pd.Timestamp
    test_end: pd.Timestamp
    def __init__(
        self,
        train_start: pd.Timestamp,
        train_end: pd.Timestamp,
        test_start: pd.Timestamp,
        test_end: pd.Timestamp,
    ) -> None: ...
    def train_mask(self, times: pd.DatetimeIndex) -> NDArray[np.bool_]: ...
    def test_mask(self, times: pd.DatetimeIndex) -> NDArray[np.bool_]: ...

def fetch_klines(
    symbol: str = "BTCUSDT",
    interval: str = "5",
    start: Time = None,
    end: Time = None,
    *,
    category: str = "linear",
    limit: int | None = None,
    base_url: str | None = None,
    deadline: float = 30.0,
    progress: bool = True,
) -> pd.DataFrame: ...
def load_klines(
    symbol: str = "BTCUSDT",
    interval: str = "5",
    start: Time = None,
    end: Time = None,
    *,
    category: str = "linear",
    limit: int | None = None,
    base_url: str | None = None,
    deadline: float = 30.0,
    progress: bool = True,
    cache: Path | None = None,
    refresh: bool = False,
) -> pd.DataFrame: ...
def cache_path(cache: Path | None = None) -> Any: ...
def read_candles(path: Path) -> pd.DataFrame: ...
def load_candles(
    source: Path | None = None,
    symbol: str | None = None,
    interval: str | None = None,
    limit: int | None = None,
    days: float | None = None,
) -> pd.DataFrame: ...
def describe(candles: pd.DataFrame) -> str: ...
def load_sample(name: str = "BTCUSDT") -> pd.DataFrame: ...
def engineer(candles: pd.DataFrame, extended: bool = False) -> pd.DataFrame: ...
def labels(candles: pd.DataFrame, threshold: float = 0.001) -> pd.Series[int]: ...
def next_returns(candles: pd.DataFrame) -> pd.Series[float]: ...
def dataset(
    candles: pd.DataFrame,
    threshold: float = 0.001,
    extended: bool = False,
    task: str = "direction",
    fold: Fold | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.integer[Any]], pd.DatetimeIndex]: ...
def standardize(train: ArrayLike, *others: ArrayLike, clip: float | None = 5.0) -> Any: ...
def usual_step(times: pd.DatetimeIndex) -> pd.Timedelta: ...
def walk_forward(
    times: pd.DatetimeIndex | Sequence[pd.DatetimeIndex],
    train: Any = None,
    test: Any = None,
    purge: Any = None,
    embargo: Any = "0min",
    folds: int = 2,
) -> list[Fold]: ...
def planted_signal(
    m: int,
    r2: float,
    p_flat: float,
    rng: Seed,
    n_features: int = 8,
    shape: tuple[int, ...] = (),
    direction: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.integer[Any]]]: ...
def planted_signal_accuracy(r2: float, p_flat: float, balanced: bool = False) -> float: ...
def simulate(
    symbols: str | Sequence[str] = "BTCUSDT",
    days: int = 30,
    rng: Seed = 0,
    *,
    start: Any = "2025-01-01",
    interval: int = 5,
    venues: str | Sequence[str] | None = None,
    regimes: Any = None,
    crash: Any = None,
) -> Any: ...
def main(arguments: Sequence[str] | None = None) -> Any: ...
