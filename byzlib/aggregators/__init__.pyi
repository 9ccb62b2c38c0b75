"""Types of the public names; the docstrings stand with the functions."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rows = NDArray[np.floating[Any]]
Seed = np.random.Generator | int

class Rule(Protocol):
    """What needs no f: `median`, `geometric_median`."""

    @overload
    def __call__(self, updates: ArrayLike, *, return_weights: Literal[False] = False) -> Rows: ...
    @overload
    def __call__(
        self, updates: ArrayLike, *, return_weights: Literal[True]
    ) -> tuple[Rows, Rows]: ...

class RuleWithF(Protocol):
    """What is told how many may lie: `krum`, `trimmed_mean`, a pre-aggregation."""

    @overload
    def __call__(
        self, updates: ArrayLike, f: int, *, return_weights: Literal[False] = False
    ) -> Rows: ...
    @overload
    def __call__(
        self, updates: ArrayLike, f: int, *, return_weights: Literal[True]
    ) -> tuple[Rows, Rows]: ...

AnyRule = Rule | RuleWithF | Callable[..., Any]
RULES: dict[str, Callable[..., Any]]

median: Rule
krum: RuleWithF
trimmed_mean: RuleWithF
bulyan: RuleWithF
mean_around_median: RuleWithF
minimum_diameter_average: RuleWithF
nearest_neighbor_mixing: RuleWithF
adaptive_clipping: RuleWithF

def krum_scores(updates: ArrayLike, f: int) -> Rows: ...
@overload
def mean(
    updates: ArrayLike, weights: ArrayLike | None = None, *, return_weights: Literal[False] = False
) -> Rows: ...
@overload
def mean(
    updates: ArrayLike, weights: ArrayLike | None = None, *, return_weights: Literal[True]
) -> tuple[Rows, Rows]: ...
@overload
def multi_krum(
    updates: ArrayLike, f: int, m: int | None = None, *, return_weights: Literal[False] = False
) -> Rows: ...
@overload
def multi_krum(
    updates: ArrayLike, f: int, m: int | None = None, *, return_weights: Literal[True]
) -> tuple[Rows, Rows]: ...
@overload
def geometric_median(
    updates: ArrayLike,
    tol: float = 1e-10,
    max_iter: int = 1000,
    *,
    return_weights: Literal[False] = False,
) -> Rows: ...
@overload
def geometric_median(
    updates: ArrayLike, tol: float = 1e-10, max_iter: int = 1000, *, return_weights: Literal[True]
) -> tuple[Rows, Rows]: ...
@overload
def geometric_median_of_means(
    updates: ArrayLike, n_groups: int, rng: Seed, *, return_weights: Literal[False] = False
) -> Rows: ...
@overload
def geometric_median_of_means(
    updates: ArrayLike, n_groups: int, rng: Seed, *, return_weights: Literal[True]
) -> tuple[Rows, Rows]: ...
@overload
def centered_clipping(
    updates: ArrayLike,
    radius: float,
    center: ArrayLike | None = None,
    n_iter: int = 1,
    *,
    return_weights: Literal[False] = False,
) -> Rows: ...
@overload
def centered_clipping(
    updates: ArrayLike,
    radius: float,
    center: ArrayLike | None = None,
    n_iter: int = 1,
    *,
    return_weights: Literal[True],
) -> tuple[Rows, Rows]: ...
@overload
def bucketing(
    updates: ArrayLike, s: int, rng: Seed, *, return_weights: Literal[False] = False
) -> Rows: ...
@overload
def bucketing(
    updates: ArrayLike, s: int, rng: Seed, *, return_weights: Literal[True]
) -> tuple[Rows, Rows]: ...
def compose(*steps: AnyRule) -> Callable[..., Any]: ...
def apply_rule(
    rule: AnyRule, updates: ArrayLike, f: int, return_weights: bool = True
) -> tuple[Rows, Rows | None]: ...
def aggregate(
    rule: AnyRule, clients: Sequence[Any], f: int | None = None, *, return_weights: bool = False
) -> Any: ...
