"""Types of the public names; the docstrings stand with the functions."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd
from numpy.typing import ArrayLike

results: ModuleType
GUIDE: dict[Any, Any]

class Refused(Exception): ...

class Defence(NamedTuple):
    rule: str
    pre: str = "none"
    momentum: float = 0.0
    @property
    def name(self) -> str: ...

class RobustnessReport:
    results: pd.DataFrame
    matrix: pd.DataFrame
    difference: dict[str, Any]
    promises: pd.DataFrame
    radius: float
    advice: Any
    about: dict[str, Any]
    @property
    def regrets(self) -> pd.DataFrame: ...
    def markdown(self) -> str: ...
    def figure(self) -> Any: ...
    def write(self, folder: Any) -> Any: ...

def run_grid(
    cell: Callable[..., Any],
    grid: Any,
    seeds: int | Sequence[int] = 10,
    *,
    cache: Any = None,
    n_jobs: int = -1,
    stack: int = 10,
    progress: bool = True,
) -> pd.DataFrame: ...
def configurations_of(grid: Any) -> list[dict[str, Any]]: ...
def planted(
    seeds: Any,
    rule: str = "mean",
    attack: str = "none",
    f: int = 0,
    *,
    declared: int | None = None,
    strength: float | None = None,
    pre: str = "none",
    momentum: float = 0.0,
    n: int = 10,
    samples: int = 200,
    r2: float = 0.955,
    p_flat: float = ...,
    alpha: float = ...,
    rounds: int = 300,
    test: int = 4000,
) -> Any: ...
def rule_named(rule: str, pre: str = "none", radius: float = 1.0) -> Callable[..., Any]: ...
def attack_named(attack: str, strength: float | None = None) -> Any: ...
def summarize(results: pd.DataFrame, metric: str, level: float = 0.95) -> pd.DataFrame: ...
def compare(
    results: pd.DataFrame,
    metric: str,
    by: str,
    to: Any,
    level: float = 0.95,
    higher_is_better: bool = True,
) -> pd.DataFrame: ...
def wide(
    results: pd.DataFrame,
    metric: str,
    rows: Any,
    columns: Any,
    *,
    scale: float = 100,
    digits: int = 1,
    level: float = 0.95,
) -> pd.DataFrame: ...
def markdown(table: pd.DataFrame, caption: str | None = None) -> Any: ...
def score_table(found: Any, digits: int = 1) -> pd.DataFrame: ...
def worst_regret(table: Any) -> Any: ...
def guide(alike: bool, loud: bool = True, knows_f: bool = True) -> Any: ...
def defence_named(name: str, momentum: float = 0.0) -> Defence: ...
def bears(defence: Any, n: int) -> Any: ...
def promise(defence: Any, n: int, f: int, radius: float = 1.0) -> Any: ...
def clipping_radius(lengths: ArrayLike, f: int = 0, share: float = 0.5) -> Any: ...
def split_by_time(
    clients: Any,
    times: Any,
    *,
    folds: int = 2,
    train: Any = None,
    test: Any = None,
    purge: Any = None,
    least: int = 32,
    work: Any = None,
) -> Any: ...
def read_folder(
    folder: Any,
    label: str,
    time: str,
    features: Sequence[str] | None = None,
    *,
    folds: int = 2,
    train: Any = None,
    test: Any = None,
    purge: Any = None,
    least: int = 32,
    work: Any = None,
) -> Any: ...
def robustness_report(
    clients: Any,
    model: Any,
    f: int,
    rules: Any = ...,
    attacks: Any = ...,
    seeds: int | Sequence[int] = 10,
    *,
    tests: Any = None,
    rounds: int = 150,
    learning_rate: float = 0.5,
    batch_size: int = 32,
    momentum: float = 0.9,
    radius: float | None = None,
    metric: str = "accuracy",
    cache: Any = None,
    n_jobs: int = -1,
    progress: bool = True,
) -> RobustnessReport: ...
def main(arguments: Sequence[str] | None = None) -> Any: ...
