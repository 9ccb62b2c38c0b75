"""Types of the public names; the docstrings stand with the functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

LOOK: dict[str, tuple[str, str, Any]]
CLASSES: dict[str, str]
HONEST: dict[str, Any]
LIAR: dict[str, Any]
PRICE: str
STYLE: dict[str, Any]

def style() -> None: ...
def look(rule: str) -> dict[str, Any]: ...
def name_line(ax: Any, rule: str, x: float, y: float, **text: Any) -> Any: ...
def draw_scores(found: Mapping[tuple[str, str], Mapping[str, Any]], title: str = "") -> Any: ...
def show(fig: Any, name: str, alt: str) -> None: ...
def slider(
    draw: Callable[[Any], Any],
    values: Sequence[Any],
    label: Callable[[Any], str],
    alt: Callable[[Any], str],
    title: str,
    start: int = 0,
) -> None: ...
