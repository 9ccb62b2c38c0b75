"""risk"""

from byzlib.risk.backtests import (
    Backtest,
    as_share,
    christoffersen,
    independence,
    kupiec,
)
from byzlib.risk.detection import (
    AUC,
    auc,
    clone_score,
    cusum,
    detection_delay,
    gap_score,
    line_score,
    pair_score,
    roc,
    shout_score,
)
from byzlib.risk.value_at_risk import (
    Scenarios,
    exceedances,
    expected_shortfall,
    federated_var,
    pinball_gradient,
    pinball_loss,
    pool_scenarios,
    stress_losses,
    value_at_risk,
)

__all__ = [
    "AUC",
    "Backtest",
    "Scenarios",
    "as_share",
    "auc",
    "christoffersen",
    "clone_score",
    "cusum",
    "detection_delay",
    "exceedances",
    "expected_shortfall",
    "federated_var",
    "gap_score",
    "independence",
    "kupiec",
    "line_score",
    "pair_score",
    "pinball_gradient",
    "pinball_loss",
    "pool_scenarios",
    "roc",
    "shout_score",
    "stress_losses",
    "value_at_risk",
]
