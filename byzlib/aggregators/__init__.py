"""The rules: what a server may do with n updates of which f may be lies.

    coordinatewise   mean, trimmed_mean, median, mean_around_median
    selection        krum, krum_scores, multi_krum, bulyan, minimum_diameter_average
    geometric        geometric_median, geometric_median_of_means, centered_clipping
    preaggregation   nearest_neighbor_mixing, bucketing, adaptive_clipping, compose
    structures       aggregate: layers, state dicts or tensors of each client, through any rule

Every rule takes updates of shape (..., n, d) and returns (..., d). The last axis but one is the
clients', the last one each client's parameters; axes before them are independent trials, so a
layer of shape (12, 3) is flattened first, or handed to `aggregate`. float32 is answered in float32,
all other real numbers in float64. `return_weights=True` also returns (..., n): how much each client
counted. An illegal f, m, n or shape raises ValueError with one sentence, a wrong type TypeError.
Rows with NaN or infinity can only be faulty: the defended rules drop k of them and go on with n - k
clients, max(f - k, 0) of them Byzantine. Inputs are never modified.

Tensors of PyTorch, CuPy, JAX, or of what else keeps to the array API are answered in kind, and so
are lists of them, one a client: on their device, in their dtype, 16 bits computed in 32, weights
too. No gradient flows, nothing is traced. The rows stay on the device; tables of pairs (n, n) and
lengths (n) come to the host, where choices are made. All rows come there if some are broken, if
sums of distances are too alike to choose (as in Bulyan's last rounds), if there is no float64 for
distances (JAX as it starts), and for the weights of the coordinate-wise rules.

`RULES` maps the names of tables and figures to the rules; `apply_rule` calls one with or without f.
"""

from byzlib.aggregators._contract import apply_rule
from byzlib.aggregators.coordinatewise import mean, mean_around_median, median, trimmed_mean
from byzlib.aggregators.geometric import (
    centered_clipping,
    geometric_median,
    geometric_median_of_means,
)
from byzlib.aggregators.preaggregation import (
    adaptive_clipping,
    bucketing,
    compose,
    nearest_neighbor_mixing,
)
from byzlib.aggregators.selection import (
    bulyan,
    krum,
    krum_scores,
    minimum_diameter_average,
    multi_krum,
)
from byzlib.aggregators.structures import aggregate

# fmt: off
__all__ = [
    "RULES", "adaptive_clipping", "aggregate", "apply_rule", "bucketing", "bulyan",
    "centered_clipping", "compose", "geometric_median", "geometric_median_of_means", "krum",
    "krum_scores", "mean", "mean_around_median", "median", "minimum_diameter_average",
    "multi_krum", "nearest_neighbor_mixing", "trimmed_mean",
]
# fmt: on

RULES = {
    "mean": mean,
    "Krum": krum,
    "multi-Krum": multi_krum,
    "trimmed mean": trimmed_mean,
    "median": median,
    "geometric median": geometric_median,
    "Bulyan": bulyan,
    "mean around median": mean_around_median,
    "minimum diameter average": minimum_diameter_average,
}
