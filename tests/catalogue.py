"""All rules and pre-aggregations under one kind of call, with the laws that each obeys."""

from functools import partial
from typing import NamedTuple

from byzlib import aggregators as ag


class Rule(NamedTuple):
    """`call(updates, f, **k)`; `least(f)` clients are needed; `laws` hold for all inputs.

    Laws, as the table of the theory has them: T translation, S scaling, R reflection, O orthogonal,
    D units of each coordinate; and U: n - f equal rows are the answer, B: the answer stays in the
    honest box of each coordinate, W: it is weights @ updates. Random groups are drawn for the
    sorted rows, so that a reflection or a rotation draws others.
    """

    call: object
    least: object
    laws: str
    takes_f: bool = True


def _no_f(rule, **parameters):
    def call(updates, f, **k):
        return rule(updates, **parameters, **k)

    return call


def majority(f):
    return 2 * f + 1


def at_least_two(f):
    return max(2, majority(f))


def krum_range(f):
    return 2 * f + 3


def bulyan_range(f):
    return 4 * f + 3


RULES = {
    "krum": Rule(ag.krum, krum_range, "TSROUW"),
    "multi_krum": Rule(ag.multi_krum, krum_range, "TSROUW"),
    "trimmed_mean": Rule(ag.trimmed_mean, majority, "TSRDUB"),
    "median": Rule(_no_f(ag.median), majority, "TSRDUB", False),
    "geometric_median": Rule(_no_f(ag.geometric_median), majority, "TSROUW", False),
    "geometric_median_of_means": Rule(
        _no_f(ag.geometric_median_of_means, n_groups=5, rng=3), lambda f: 5, "TSW", False
    ),
    "bulyan": Rule(ag.bulyan, bulyan_range, "TSRU"),
    "mean_around_median": Rule(ag.mean_around_median, majority, "TSRDU"),
    "minimum_diameter_average": Rule(ag.minimum_diameter_average, majority, "TSROUW"),
    "centered_clipping": Rule(_no_f(ag.centered_clipping, radius=1.5), majority, "RO", False),
}

PREAGGREGATIONS = {
    "nearest_neighbor_mixing": Rule(ag.nearest_neighbor_mixing, majority, "TSRO"),
    "bucketing": Rule(_no_f(ag.bucketing, s=2, rng=3), at_least_two, "TSD", False),
    "adaptive_clipping": Rule(ag.adaptive_clipping, majority, "SRO"),
}

# Bucketing draws again at every call of a Generator, so that its seed is fixed here.
PIPELINES = {
    "mixing then trimmed mean": Rule(
        ag.compose(ag.nearest_neighbor_mixing, ag.trimmed_mean), majority, "TSRU"
    ),
    "mixing then krum": Rule(ag.compose(ag.nearest_neighbor_mixing, ag.krum), krum_range, "TSROUW"),
    "clipping then trimmed mean": Rule(
        ag.compose(ag.adaptive_clipping, ag.trimmed_mean), majority, "SRU"
    ),
    "buckets then geometric median": Rule(
        ag.compose(partial(ag.bucketing, s=2, rng=3), ag.geometric_median), at_least_two, "TSW"
    ),
}

DEFENDED = {**RULES, **PIPELINES}
EVERYTHING = {**RULES, **PREAGGREGATIONS, **PIPELINES}
