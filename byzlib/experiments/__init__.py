"""experiments"""

from byzlib.experiments.cells import (
    ROUNDS,
    _market,
    attack_named,
    check_legal,
    last_figures,
    planted,
    rule_named,
)
from byzlib.experiments.grid import (
    Refused,
    configurations_of,
    describe,
    run_grid,
)
from byzlib.experiments.results import (
    configuration_columns,
    read,
    write,
)
from byzlib.experiments.tables import (
    compare,
    curves,
    heatmap,
    markdown,
    summarize,
    wide,
)

__all__ = [
    "ROUNDS",
    "Refused",
    "_market",
    "attack_named",
    "check_legal",
    "compare",
    "configuration_columns",
    "configurations_of",
    "curves",
    "describe",
    "heatmap",
    "last_figures",
    "markdown",
    "planted",
    "read",
    "rule_named",
    "run_grid",
    "summarize",
    "wide",
    "write",
]
