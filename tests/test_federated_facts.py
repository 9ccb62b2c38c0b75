"""What theory says of training under attack, on small planted-signal instances of 10 paired seeds.

Simulated data: x ~ N(0, I_8), the label is Down, Flat or Up with a third each, and a share 0.955 of
the variance of the next move is in the features, so that the best accuracy is 87.5 %.
"""

from functools import lru_cache, partial

import numpy as np
import pytest

from byzlib.aggregators import krum, mean, median, trimmed_mean
from byzlib.attacks import a_little_is_enough, sign_flip
from byzlib.federated import ByzantineFL, Client, SimpleModel
from byzlib.market import planted_signal
from byzlib.metrics import paired_difference, t_interval

SEEDS = range(10)
N = 10


@lru_cache
def task():
    """Ten clients of 200 samples for each seed, and 1000 test samples."""
    lists, tests = [], []
    for seed in SEEDS:
        X, y = planted_signal(200 * N + 1000, 0.955, 1 / 3, 1000 + seed)
        parts = zip(np.split(X[:2000], N), np.split(y[:2000], N), strict=True)
        lists.append([Client(*part) for part in parts])
        tests.append((X[2000:], y[2000:]))
    return lists, tuple(map(np.stack, zip(*tests, strict=True)))


@lru_cache
def accuracies(rule, attack, f, scale, momentum=0.0, rounds=150):
    """Test accuracy in per cent at the end, one for each seed."""
    lists, test = task()
    fl = ByzantineFL(
        SimpleModel(8, 16, activation="tanh"),
        lists,
        rule,
        f,
        partial(attack, **{"z" if attack is a_little_is_enough else "scale": scale}),
        learning_rate=0.5,
        batch_size=32,
        momentum=momentum,
    )
    return 100 * fl.run(rounds, SEEDS, test, every=rounds).final("accuracy")


@pytest.mark.parametrize(("f", "below", "above"), [(1, 7.0, 11.0), (3, 1.5, 3.0)])
def test_fedavg_and_the_sign_flip(f, below, above):
    """Indifferent below c = (n - f) / f, inverted above: worse than the third that chance gives."""
    assert below < (N - f) / f < above
    clean = accuracies(mean, sign_flip, 0, 0.0)
    mild = paired_difference(clean, accuracies(mean, sign_flip, f, below)).interval
    assert mild.high < 5
    assert t_interval(accuracies(mean, sign_flip, f, above)).high < 100 / 3 - 10


def test_krum_does_worse_than_no_defence_under_a_small_sign_flip():
    """n = 10, f = 3, c = 1: the liars stand closer together than honest clients do."""
    undefended = accuracies(mean, sign_flip, 3, 1.0)
    assert paired_difference(undefended, accuracies(krum, sign_flip, 3, 1.0)).interval.low > 5


@pytest.mark.parametrize("rule", [krum, trimmed_mean, median])
def test_momentum_repairs_a_little_is_enough_in_iid_data(rule):
    """f = 3, z = 1: momentum shrinks the honest spread in which the lie hides."""
    without = accuracies(rule, a_little_is_enough, 3, 1.0)
    repaired = accuracies(rule, a_little_is_enough, 3, 1.0, momentum=0.9)
    assert paired_difference(repaired, without).is_better
