"""Random numbers that are moved a little, or drawn from other seeds.

`install` changes what `numpy.random.default_rng` hands out in this process.

A stored digit may depend on the experiment alone: moving every float by a rounding error shows
numbers that hang on rounding, shifting every seed shows claims that hang on luck.
"""

import numpy as np

SEEDED = np.random.default_rng
FLOATS = [
    "random", "standard_normal", "normal", "uniform", "standard_t", "exponential",
    "standard_exponential", "gamma", "standard_gamma", "beta", "chisquare", "dirichlet", "laplace",
    "logistic", "lognormal", "multivariate_normal", "pareto", "rayleigh", "standard_cauchy",
    "triangular", "vonmises", "weibull", "f", "gumbel", "power", "wald", "noncentral_chisquare",
    "noncentral_f",
]  # fmt: skip


class Jittered(np.random.Generator):
    """A generator whose floats are moved by at most `relative`, each by a function of itself."""

    relative = 0.0

    def __reduce__(self):
        return type(self), (self.bit_generator,)


def moved(x, relative):
    """x (1 + relative u), with u in [-1, 1] a function of x that no neighbour shares."""
    if isinstance(x, np.ndarray):
        return x * (1 + relative * np.sin(1e9 * x.astype(float))).astype(x.dtype)
    return float(x * (1 + relative * np.sin(1e9 * x)))


def _jittered(name):
    draw = getattr(np.random.Generator, name)

    def method(self, *args, out=None, **kwargs):
        found = moved(draw(self, *args, **kwargs), self.relative)
        if out is None:
            return found
        out[...] = found
        return out

    return method


for _name in FLOATS:
    setattr(Jittered, _name, _jittered(_name))


def shifted(seed, shift):
    """Every whole number of a seed, moved."""
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return int(seed) + shift
    if isinstance(seed, (list, tuple, np.ndarray)):
        return [shifted(one, shift) for one in seed]
    return seed


def install(jitter=0.0, shift=0):
    """From now on generators have their floats moved, or their seeds shifted, in this process."""
    Jittered.relative = jitter

    def default_rng(seed=None):
        rng = SEEDED(shifted(seed, shift))
        return Jittered(rng.bit_generator) if jitter and not isinstance(rng, Jittered) else rng

    np.random.default_rng = default_rng
