"""What the rules can promise, in closed form; and what every room asks of its arguments.

closed_forms   kappa, breakdown, eta, z_max, borders, convergence radii
arguments      one validator for all rooms: the `as_...` and `refuse_...` functions
tensors        arrays of other libraries than NumPy, and the way there and back
"""

from byzlib.theory.arguments import (
    LAYERS,
    NEEDS,
    as_count,
    as_generator,
    as_labels,
    as_number,
    as_numbers,
    as_reals,
    as_updates,
    free_parameters,
    is_constant,
    refuse_masked,
    refuse_unpaired,
    to_unit_scale,
)
from byzlib.theory.closed_forms import (
    EXACT,
    LEGAL,
    PRE,
    alie_z_max,
    asymptotic_variance,
    breakdown,
    breakdown_fraction,
    eta,
    gradient_floor,
    kappa,
    kappa_bound,
    kappa_lower_bound,
    kappa_published,
    krum_clique_distance,
    measured_kappa,
    oversampled,
    radius_strongly_convex,
    sign_flip_border,
    worst_case_bias,
    worst_case_instance,
)
from byzlib.theory.tensors import (
    as_computed,
    has_float64,
    in_one,
    is_elsewhere,
    is_of,
    is_tensor,
    like,
    namespace,
    to_numpy,
    widened,
)

__all__ = [
    "EXACT", "LAYERS", "LEGAL", "NEEDS", "PRE", "alie_z_max", "as_computed", "as_count",
    "as_generator", "as_labels", "as_number", "as_numbers", "as_reals", "as_updates",
    "asymptotic_variance", "breakdown", "breakdown_fraction", "eta", "free_parameters",
    "gradient_floor", "has_float64", "in_one", "is_constant", "is_elsewhere", "is_of",
    "is_tensor", "kappa", "kappa_bound", "kappa_lower_bound", "kappa_published",
    "krum_clique_distance", "like", "measured_kappa", "namespace", "oversampled",
    "radius_strongly_convex", "refuse_masked", "refuse_unpaired", "sign_flip_border", "to_numpy",
    "to_unit_scale", "widened", "worst_case_bias", "worst_case_instance",
]  # fmt: skip
