"""aggregators"""

from byzlib.aggregators._contract import apply_rule
from byzlib.aggregators.geometric import (
    centered_clipping,
    geometric_median,
    geometric_median_of_means,
)
from byzlib.aggregators.preaggregation import (
    adaptive_clipping,
    bucketing,
    clip_norms,
    compose,
    nearest_neighbor_mixing,
)
from byzlib.aggregators.rules import (
    RULES,
    bulyan,
    krum,
    krum_scores,
    mean,
    mean_around_median,
    median,
    minimum_diameter_average,
    multi_krum,
    trimmed_mean,
)

__all__ = [
    "RULES",
    "adaptive_clipping",
    "apply_rule",
    "bucketing",
    "bulyan",
    "centered_clipping",
    "clip_norms",
    "compose",
    "geometric_median",
    "geometric_median_of_means",
    "krum",
    "krum_scores",
    "mean",
    "mean_around_median",
    "median",
    "minimum_diameter_average",
    "multi_krum",
    "nearest_neighbor_mixing",
    "trimmed_mean",
]
