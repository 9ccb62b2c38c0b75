"""The ready-made cells: pairing, refusals, and facts of the theory on small instances.

All data are simulated with a planted signal. A fact that takes an interval has ten paired seeds.
"""

import numpy as np
import pytest

from byzlib.experiments import Refused, _market, planted, run_grid
from byzlib.metrics import paired_difference, t_interval

TEN = range(10)
SMALL = {"rounds": 150, "test": 1000}


def accuracy(**setting):
    return planted(TEN, **SMALL | setting)["accuracy"]


# --- the cell -----------------------------------------------------------------------------------


def test_a_stack_is_its_single_runs():
    setting = {"rule": "Krum", "attack": "sign flip", "f": 2, "rounds": 40, "test": 500}
    many = planted([3, 8], **setting)
    for k, seed in enumerate([3, 8]):
        one = planted([seed], **setting)
        for name, value in many.items():
            np.testing.assert_allclose(value[k], one[name][0], atol=1e-9, err_msg=name)


def test_the_seed_alone_decides_the_market():
    one, two = (_market(4, 10, 50, 0.9, 0.5, 0.5, 100) for _ in range(2))
    for (X, y), (X2, y2) in zip(one[0], two[0], strict=True):
        assert np.array_equal(X, X2) and np.array_equal(y, y2)
    other = _market(5, 10, 50, 0.9, 0.5, 0.5, 100)
    assert not np.array_equal(one[1][0], other[1][0])


def test_label_skew():
    """Shares of a Dirichlet(alpha, alpha, alpha) vary by 2 / (9 (3 alpha + 1)) each."""
    for alpha in (0.3, 3.0):
        clients, _ = _market(1, 400, 60, 0.9, 0.5, alpha, 10)
        assert all(len(y) == 60 and len(X) == 60 for X, y in clients)
        shares = np.array([[(y == k).mean() for k in range(3)] for _, y in clients])
        expected = 2 / 9 / (3 * alpha + 1)
        sampling = (2 / 9 - expected) / 60
        assert abs(shares.var(axis=0).mean() / (expected + sampling) - 1) < 0.15
        rows = np.concatenate([X for X, _ in clients])
        assert len(np.unique(rows, axis=0)) == len(rows)  # no bar is given twice


def test_refusals_speak_the_rules_sentence():
    with pytest.raises(Refused, match=r"bulyan needs n >= 4f \+ 3; got n = 10, f = 3"):
        planted([0], "Bulyan", f=3)
    with pytest.raises(Refused, match=r"krum needs n >= 2f \+ 3; got n = 5, f = 3"):
        planted([0], "Krum", f=3, pre="bucketing")


def test_divergence_is_reported_and_not_raised():
    found = run_grid(
        planted, {"attack": "non-finite", "f": 1, "rule": ["mean", "median"], "rounds": 5},
        2, n_jobs=1, progress=False,
    )  # fmt: skip
    status = found.groupby("rule")["status"].unique().map(list)
    assert status["mean"] == ["diverged"] and status["median"] == ["ok"]
    assert set(found.loc[found["rule"] == "mean", "note"]) == {"in round 1"}


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"rule": "Krumm"}, "no rule 'Krumm'; there are mean, Krum"),
        ({"attack": "sign flop"}, "no attack 'sign flop'; there are"),
        ({"pre": "mixin"}, "no pre-aggregation 'mixin'; there are none, mixing, bucketing"),
        ({"attack": "mimic", "strength": 2.0}, "mimic has no strength to set"),
    ],
)
def test_illegal_names(setting, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        planted([0], **setting)
    assert not isinstance(caught.value, Refused)


# --- the facts ----------------------------------------------------------------------------------


def test_mixing_repairs_krum_under_skew():
    """Nobody lies: Krum follows one client, and each client has few classes."""
    setting = {"rule": "Krum", "attack": "none", "f": 3, "alpha": 0.3, "n": 17}
    plain, mixed = accuracy(**setting), accuracy(**setting, pre="mixing")
    assert paired_difference(mixed, plain).interval.low > 0.02
    mean = accuracy(**setting | {"rule": "mean"})
    assert t_interval(mixed - mean).low > -0.03
