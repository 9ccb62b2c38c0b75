"""attacks"""

from byzlib.attacks.data_poisoning import (
    backdoor,
    label_flip,
    shooting_star,
    spoofed_book,
    targeted_label_flip,
    wash_trading,
)
from byzlib.attacks.optimized import (
    centered,
    fang,
    mimic,
    mimic_victim,
    min_max,
    min_sum,
)
from byzlib.attacks.schedules import (
    alternating,
    during,
    with_own_knowledge,
)
from byzlib.attacks.search import (
    WorstCase,
    against,
    worst_case,
)
from byzlib.attacks.simple import (
    ATTACKS,
    a_little_is_enough,
    constant,
    gaussian_noise,
    inner_product_manipulation,
    local_sign_flip,
    model_replacement,
    non_finite,
    sign_flip,
    stale,
    zero,
)

__all__ = [
    "ATTACKS",
    "WorstCase",
    "a_little_is_enough",
    "against",
    "alternating",
    "backdoor",
    "centered",
    "constant",
    "during",
    "fang",
    "gaussian_noise",
    "inner_product_manipulation",
    "label_flip",
    "local_sign_flip",
    "mimic",
    "mimic_victim",
    "min_max",
    "min_sum",
    "model_replacement",
    "non_finite",
    "shooting_star",
    "sign_flip",
    "spoofed_book",
    "stale",
    "targeted_label_flip",
    "wash_trading",
    "with_own_knowledge",
    "worst_case",
    "zero",
]
