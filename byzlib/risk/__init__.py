"""Risk that many desks measure together, with liars among them.

    value_at_risk   value at risk and expected shortfall, alone and federated; stress scenarios
    backtests       was it right? Kupiec, Christoffersen, Ljung and Box, the traffic light;
                    Acerbi and Szekely. For several desks at once see `metrics.holm`
    detection       scores of a round that tell of liars; ROC, AUC, CUSUM

A return is a share of capital, negative when money is lost; value at risk and expected shortfall
are losses, and positive when money is lost. Arrays of returns are (..., m): leading axes are
independent trials. A rule is any function from updates (..., n, d) to (..., d).
"""

from byzlib.risk.backtests import (
    Backtest,
    ShortfallBacktest,
    acerbi_szekely,
    christoffersen,
    independence,
    kupiec,
    ljung_box,
    traffic_light,
)
from byzlib.risk.detection import (
    AUC,
    auc,
    cusum,
    detection_delay,
    extreme_pair_score,
    fewest_liars,
    mean_gap_score,
    roc,
    spectral_score,
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
    uncovered_loss,
    value_at_risk,
)

__all__ = [
    "AUC", "Backtest", "Scenarios", "ShortfallBacktest", "acerbi_szekely", "auc",
    "christoffersen", "cusum", "detection_delay", "exceedances", "expected_shortfall",
    "extreme_pair_score", "federated_var", "fewest_liars", "independence", "kupiec", "ljung_box",
    "mean_gap_score", "pinball_gradient", "pinball_loss", "pool_scenarios", "roc",
    "spectral_score", "stress_losses", "traffic_light", "uncovered_loss", "value_at_risk",
]  # fmt: skip
