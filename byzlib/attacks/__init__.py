"""The lies: what Byzantine clients may send, and what they may train on.

simple           noise, constants, turned and scaled averages, old answers; `during`, for a time
optimized        as far out as the honest spread, one honest client, or one rule allows
worst_case       a search for the lies that move a given rule most
data_poisoning   labels, samples and candles under a false name

Model poisoning takes the honest updates (..., h, d) and returns the f lies (..., f, d) in the same
floating type; leading axes are independent trials, f = 0 gives an empty array, and nothing is
modified or aliased. An update is what the server averages and then subtracts from the model, so
that a lie that points against the honest mean takes the model uphill. Honest tensors, of any
library, get lies of their kind on their device. Their rows stay there for what is one equation, a
scaled average or a shift by the spread, and come to the host for `optimized`.

Each attack says in `.knowledge` what a liar must know: "none", its "own" update, or all of them
("omniscient"); the first two never see the others' rows. Some take keywords that a training loop
passes to whoever has them: own (..., f, d), what the liars would have sent had they answered
honestly from their own data; history, the list of `own` of the rounds before, the latest last;
round, counted from 1. What draws random numbers takes rng, a Generator or an int, or for a stack a
tuple of Generators, one for each trial of the first axis.

Data poisoning takes a client's samples or candles and returns poisoned ones; the client then trains
honestly on them. It and the search of `worst_case` are NumPy only.
"""

from byzlib.attacks._contract import knowledge_of, preset
from byzlib.attacks.data_poisoning import (
    backdoor,
    label_flip,
    shooting_star,
    spoofed_book,
    targeted_label_flip,
    wash_trading,
)
from byzlib.attacks.optimized import fang, mimic, min_max, min_sum
from byzlib.attacks.simple import (
    a_little_is_enough,
    constant,
    during,
    gaussian_noise,
    inner_product_manipulation,
    local_sign_flip,
    model_replacement,
    non_finite,
    sign_flip,
    stale,
    zero,
)
from byzlib.attacks.worst_case import WorstCase, adaptive, worst_case

__all__ = [
    "ATTACKS", "WorstCase", "a_little_is_enough", "adaptive", "backdoor", "constant", "during",
    "fang", "gaussian_noise", "inner_product_manipulation", "knowledge_of", "label_flip",
    "local_sign_flip", "mimic", "min_max", "min_sum", "model_replacement", "non_finite",
    "shooting_star", "sign_flip", "spoofed_book", "stale", "targeted_label_flip", "wash_trading",
    "worst_case", "zero",
]  # fmt: skip

ATTACKS = {
    "zero": zero,
    "Gaussian noise": preset(gaussian_noise, scale=10.0),
    "constant": constant,
    "non-finite": non_finite,
    "sign flip": sign_flip,
    "loud sign flip": preset(sign_flip, scale=10.0),
    "inner product": inner_product_manipulation,
    "a little is enough": preset(a_little_is_enough, z=1.0),
    "min-max": min_max,
    "min-sum": min_sum,
    "mimic": mimic,
    "Fang": fang,
}
