"""Types of the public names; the docstrings stand with the functions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, DTypeLike, NDArray

Floats = NDArray[np.floating[Any]]
Seed = np.random.Generator | int

class SimpleModel:
    n_features: int
    n_parameters: int
    def __init__(
        self,
        n_features: int,
        n_hidden: int = 16,
        n_classes: int = 3,
        activation: str = "relu",
        dtype: DTypeLike = ...,
    ) -> None: ...
    def init(self, rng: Any) -> Floats: ...
    def predict_proba(self, theta: ArrayLike, X: ArrayLike) -> Floats: ...
    def predict(self, theta: ArrayLike, X: ArrayLike) -> NDArray[np.integer[Any]]: ...
    def loss(
        self, theta: ArrayLike, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
    ) -> Any: ...
    def gradient(
        self, theta: ArrayLike, X: ArrayLike, y: ArrayLike, weight: ArrayLike | None = None
    ) -> Floats: ...

class Quadratic:
    def __init__(self, start: ArrayLike = 0.0, curvature: ArrayLike = 1.0) -> None: ...
    def init(self, rng: Any = None) -> Floats: ...
    def loss(
        self, theta: ArrayLike, X: ArrayLike, y: Any = None, weight: ArrayLike | None = None
    ) -> Any: ...
    def gradient(
        self, theta: ArrayLike, X: ArrayLike, y: Any = None, weight: ArrayLike | None = None
    ) -> Floats: ...

class Client:
    X: Floats
    y: NDArray[Any]
    name: str
    poison: Callable[..., Any] | None
    claims: int | None
    def __init__(
        self,
        X: ArrayLike,
        y: ArrayLike,
        name: str = "client",
        poison: Callable[..., Any] | None = None,
        claims: int | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def claimed(self) -> int: ...
    @property
    def training_data(self) -> tuple[Floats, NDArray[Any]]: ...

class History:
    theta: Floats
    trust: Floats
    diverged_at: Any
    reason: Any
    seeds: tuple[int, ...] | None
    @property
    def table(self) -> pd.DataFrame: ...
    def curve(self, metric: str) -> Any: ...
    def final(self, metric: str) -> Any: ...

class ByzantineFL:
    def __init__(
        self,
        model: Any,
        clients: Sequence[Any],
        rule: Callable[..., Any],
        f: int,
        attack: Callable[..., Any] | None = None,
        byzantine: Any = None,
        batch_size: int | None = None,
        local_steps: int = 1,
        momentum: float = 0.0,
        weighted: bool = False,
        participation: float = 1.0,
        late: float = 0.0,
        delay: int | None = None,
        *,
        learning_rate: Any,
    ) -> None: ...
    def run(
        self,
        rounds: int,
        rng: Seed | None = None,
        evaluate: tuple[ArrayLike, ArrayLike] | None = None,
        every: int = 1,
        *,
        seeds: Any = None,
        start: ArrayLike | None = None,
        success: Any = None,
        trust: bool = True,
    ) -> History: ...

def split_iid(X: ArrayLike, y: ArrayLike, n: int, rng: Seed) -> list[Client]: ...
def split_dirichlet(
    X: ArrayLike, y: ArrayLike, n: int, alpha: float, rng: Seed
) -> list[Client]: ...
def split_by(X: ArrayLike, y: ArrayLike, key: ArrayLike) -> list[Client]: ...
def label_shares(clients: Sequence[Client]) -> pd.DataFrame: ...
def overclaim(clients: Sequence[Client], who: Any, factor: float = 10) -> list[Client]: ...
def stack(clients: Sequence[Client]) -> tuple[Floats, NDArray[Any], Floats]: ...
def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]: ...
