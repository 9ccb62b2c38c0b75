"""Types of the public names; the docstrings stand with the functions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.floating[Any]]
Rng = np.random.Generator | int | tuple[np.random.Generator, ...] | None
Attack = Callable[..., Rows]
Direction = Literal["std", "unit", "sign"] | ArrayLike

ATTACKS: dict[str, Attack]

class WorstCase(NamedTuple):
    rows: Rows
    displacement: Any
    family: Any

def gaussian_noise(honest: ArrayLike, f: int, rng: Rng = None, *, scale: float = 1.0) -> Rows: ...
def constant(honest: ArrayLike, f: int, rng: Rng = None, *, value: ArrayLike = 100.0) -> Rows: ...
def zero(honest: ArrayLike, f: int, rng: Rng = None) -> Rows: ...
def non_finite(honest: ArrayLike, f: int, rng: Rng = None, *, value: float = ...) -> Rows: ...
def sign_flip(honest: ArrayLike, f: int, rng: Rng = None, *, scale: float = 1.0) -> Rows: ...
def local_sign_flip(
    honest: ArrayLike, f: int, rng: Rng = None, *, own: ArrayLike | None = None, scale: float = 1.0
) -> Rows: ...
def inner_product_manipulation(
    honest: ArrayLike, f: int, rng: Rng = None, *, epsilon: float = 0.1
) -> Rows: ...
def a_little_is_enough(
    honest: ArrayLike, f: int, rng: Rng = None, *, z: float | None = None
) -> Rows: ...
def model_replacement(
    honest: ArrayLike,
    f: int,
    rng: Rng = None,
    *,
    own: ArrayLike | None = None,
    target: ArrayLike | None = None,
    boost: float | None = None,
) -> Rows: ...
def stale(
    honest: ArrayLike,
    f: int,
    rng: Rng = None,
    *,
    own: ArrayLike | None = None,
    history: Sequence[ArrayLike] = (),
    delay: int = 1,
) -> Rows: ...
def min_max(
    honest: ArrayLike, f: int, rng: Rng = None, *, direction: Direction = "std"
) -> Rows: ...
def min_sum(
    honest: ArrayLike, f: int, rng: Rng = None, *, direction: Direction = "std"
) -> Rows: ...
def mimic(honest: ArrayLike, f: int, rng: Rng = None, *, victim: int | None = None) -> Rows: ...
def fang(
    honest: ArrayLike, f: int, rng: Rng = None, *, against: str = "trimmed mean", b: float = 2.0
) -> Rows: ...
def adaptive(rule: Callable[..., Any], **options: Any) -> Attack: ...
def during(attack: Attack, start: int, stop: int | None = None) -> Attack: ...
def knowledge_of(function: Attack) -> str: ...
def worst_case(
    rule: Callable[..., Any],
    honest: ArrayLike,
    f: int,
    rng: np.random.Generator | int = 0,
    *,
    reach: float | None = None,
    steps: int | None = None,
) -> WorstCase: ...
def label_flip(y: ArrayLike, mapping: dict[Any, Any] | None = None) -> NDArray[Any]: ...
def targeted_label_flip(y: ArrayLike, source: Any, target: Any) -> NDArray[Any]: ...
def backdoor(
    X: ArrayLike,
    y: ArrayLike,
    trigger: Callable[..., Any],
    target: Any,
    *,
    share: float = 1.0,
    rng: np.random.Generator | int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...
def shooting_star(
    X: ArrayLike, upper_shadow: float = 0.8, volume_change: float = 8.0
) -> NDArray[Any]: ...
def spoofed_book(
    candles: pd.DataFrame, rng: np.random.Generator | int, *, share: float = 0.1
) -> pd.DataFrame: ...
def wash_trading(
    candles: pd.DataFrame,
    rng: np.random.Generator | int,
    *,
    share: float = 0.3,
    factor: tuple[float, float] = (3.0, 10.0),
) -> pd.DataFrame: ...
