"""A search for the updates and the lies that hurt a rule most, measured as kappa measures it.

It knows nothing of the rule but its answers: it starts from random crowds, changes them a little
or copies one client onto another, and keeps whatever hurts more.
"""

import numpy as np

from byzlib.aggregators import apply_rule
from byzlib.theory import measured_kappa


def search_kappa(rule, n, f, *, declared=None, d=1, trials=64, steps=600, seed=0):
    """The largest squared error over honest variance that was found, and where.

    Parameters
    ----------
    rule : callable (updates, f) or (updates)
    n, f : int
        The last f of the n clients lie.
    declared : int, optional
        The f that the rule is told; the true one by default.
    d, trials, steps, seed : int
        `trials` searches run side by side, each of that many steps.

    Returns
    -------
    ratio : float, a lower bound on the true kappa
    updates : (n, d) array
    """
    rng = np.random.default_rng(seed)
    declared = f if declared is None else declared
    honest = np.arange(n) < n - f

    def hurt(crowds):
        return measured_kappa(
            apply_rule(rule, crowds, declared, return_weights=False)[0], crowds, honest
        )

    crowds = rng.integers(-2, 3, (trials, n, d)) + rng.choice([0, 1e-3, 1], (trials, 1, 1)) * (
        rng.standard_normal((trials, n, d))
    )
    crowds[:, honest] += np.eye(n, d)[honest]  # no crowd without any spread
    best = hurt(crowds)
    for _ in range(steps):
        tried = moved(crowds, rng)
        found = np.where(spread(tried[:, honest]) > 1e-6, hurt(tried), -np.inf)
        better = found > best
        crowds[better], best[better] = tried[better], found[better]
    return best.max(), crowds[best.argmax()]


def moved(crowds, rng):
    """Each crowd with one client moved towards another (or onto it), or with all of them shaken."""
    trials, n, d = crowds.shape
    every, who, whom = np.arange(trials), *rng.integers(n, size=(2, trials))
    tried = crowds.copy()
    way = rng.choice([0, 1, rng.uniform(-1, 2)], trials)[:, None]
    tried[every, who] += way * (crowds[every, whom] - crowds[every, who])
    size = 10.0 ** rng.uniform(-7, 0.5, (trials, 1)) * rng.integers(2, size=(trials, 1))
    tried[every, who] += size * rng.standard_normal((trials, d))
    shaken = rng.integers(8, size=trials) == 0
    tried[shaken] += 0.1 * size[shaken, :, None] * rng.standard_normal((shaken.sum(), n, d))
    return tried


def spread(honest):
    return honest.var(axis=-2).sum(axis=-1)
