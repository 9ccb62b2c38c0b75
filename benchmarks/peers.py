"""The other libraries: for each one, the lines that call its rules on the same updates.

A peer is a function of (x, f) that prepares the input as that library wants it, outside the clock,
and returns {rule: call}. Where its rule is another one than byzlib's, DEFINITIONS says how.
"""

import importlib.util
import math

import numpy as np


def byzfl_numpy(x, f):
    """byzfl, on the array itself."""
    import byzfl

    # A new object each time: centered clipping starts where its last call ended.
    return {
        "median": lambda: byzfl.Median()(x),
        "trimmed_mean": lambda: byzfl.TrMean(f)(x),
        "krum": lambda: byzfl.Krum(f)(x),
        "multi_krum": lambda: byzfl.MultiKrum(f)(x),
        "geometric_median": lambda: byzfl.GeometricMedian()(x),
        "minimum_diameter_average": lambda: byzfl.MDA(f)(x),
        "nearest_neighbor_mixing": lambda: byzfl.NNM(f)(x),
        "centered_clipping": lambda: byzfl.CenteredClipping(tau=radius(x))(x),
        "mean_around_median": lambda: byzfl.Meamed(f)(x),
    }


def byzfl_torch(x, f):
    """byzfl on a tensor, which it turns into float32 whatever comes in."""
    import torch

    return byzfl_numpy(torch.as_tensor(x), f)


def flwr_functions(x, f):
    """Flower's functions over (list of layers, number of samples)."""
    from flwr.server.strategy import aggregate as flwr

    results = [([row], 1) for row in x]
    cut = (f + 0.5) / len(x)  # f / n times n can round down to f - 1
    return {
        "median": lambda: flwr.aggregate_median(results),
        "trimmed_mean": lambda: flwr.aggregate_trimmed_avg(results, cut),
        "krum": lambda: flwr.aggregate_krum(results, f, 0),
        "multi_krum": lambda: flwr.aggregate_krum(results, f, len(x) - f),
        # It takes the chosen rows out of the list that it is given.
        "bulyan": lambda: flwr.aggregate_bulyan(list(results), f, flwr.aggregate_krum, to_keep=0),
    }


def krum_library(x, f):
    """The library that is called krum."""
    import torch
    from krum.primitives.aggregators.brute import Brute
    from krum.primitives.aggregators.geometric_median import GeometricMedian
    from krum.primitives.aggregators.krum import Krum
    from krum.primitives.aggregators.median import Median
    from krum.primitives.aggregators.multikrum import MultiKrum
    from krum.primitives.aggregators.trimmed_mean import TrimmedMean

    t, n = torch.as_tensor(x), len(x)
    return {
        "median": lambda: Median.aggregate(t),
        "trimmed_mean": lambda: TrimmedMean.aggregate(t, f=f),
        "krum": lambda: Krum.aggregate(t, n=n, f=f),
        "multi_krum": lambda: MultiKrum.aggregate(t, n=n, f=f, m=n - f),
        "geometric_median": lambda: GeometricMedian.aggregate(t, n=n, f=f),
        "minimum_diameter_average": lambda: Brute.aggregate(t, n=n, f=f),
    }


def torchjd(x, f):
    """TorchJD: a Krum is made of a Gram matrix."""
    import torch
    from torchjd import aggregation

    t = torch.as_tensor(x)
    # A rule is a module, which is made once and then called.
    trimmed = aggregation.TrimmedMean(trim_number=f)
    one = aggregation.Krum(n_byzantine=f)
    many = aggregation.Krum(n_byzantine=f, n_selected=len(x) - f)
    return {
        "trimmed_mean": lambda: trimmed(t),
        "krum": lambda: one(t),
        "multi_krum": lambda: many(t),
    }


PEERS = {
    "byzfl": byzfl_numpy,
    "byzfl (torch)": byzfl_torch,
    "flwr": flwr_functions,
    "krum": krum_library,
    "torchjd": torchjd,
}
PACKAGES = ("byzfl", "flwr", "krum", "torchjd")

# What differs where a library means another rule by the name; "" is the definition of byzlib.
_BYZFL = {
    "median": "", "trimmed_mean": "", "minimum_diameter_average": "", "mean_around_median": "",
    "nearest_neighbor_mixing": "", "centered_clipping": "", "krum": "n - f - 1 neighbours",
    "multi_krum": "n - f - 1 neighbours", "geometric_median": "three steps from zero",
}  # fmt: skip
DEFINITIONS = {
    "byzfl": _BYZFL,
    # torch.median, its argument order apart, is a quantile here too: the mean of the middle two.
    "byzfl (torch)": _BYZFL,
    "flwr": dict.fromkeys(["median", "trimmed_mean", "krum", "multi_krum", "bulyan"], ""),
    "krum": {
        "median": "", "trimmed_mean": "", "krum": "", "multi_krum": "",
        "geometric_median": "smoothed, to 1e-6", "minimum_diameter_average": "",
    },
    "torchjd": {
        "trimmed_mean": "", "krum": "distances not squared", "multi_krum": "distances not squared",
    },
}  # fmt: skip


def radius(x):
    """The clipping radius of a run: it clips the liars and about half of the honest rows."""
    return float(np.sqrt(x.shape[-1]) * 1.4)


def package(peer):
    """The package that a peer lives in: "byzfl (torch)" -> "byzfl"."""
    return peer.split()[0]


def missing():
    """The packages that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def out_of_reach(peer, rule, n, f, d, itemsize):
    """Why a peer is not even tried at this size, or an empty string."""
    if rule == "minimum_diameter_average" and math.comb(n, f) > 1e6:
        return f"would try {math.comb(n, f):.1e} subsets"
    if rule == "nearest_neighbor_mixing" and package(peer) == "byzfl":
        needed = n * (n - f) * d * (4 if "torch" in peer else itemsize) / 1e9
        if needed > 6:
            return f"would need {needed:.1f} GB"
    return ""


def as_array(answer):
    """What a peer returned, as an array: tensors, and lists of one layer."""
    if isinstance(answer, list | tuple):
        (answer,) = answer
    return np.asarray(answer)
