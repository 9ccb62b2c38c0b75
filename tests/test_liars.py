"""How many lie: what `fewest_liars` may say, how often it is wrong, and a declared f."""

from functools import partial

import numpy as np
import pytest

from byzlib import risk
from byzlib.attacks import sign_flip
from byzlib.experiments import Refused, planted

N, F, D, CALM = 11, 3, 60, 99
GAP = partial(risk.mean_gap_score, rule=partial(np.median, axis=-2), scaled=True)
SCORES = [risk.extreme_pair_score, risk.spectral_score, GAP]


def honest(rounds, rng, n=N):
    return 1 + rng.standard_t(5, size=(rounds, n, D))


def lying(rounds, rng, scale=30.0):
    rows = honest(rounds, rng, N - F)
    return np.concatenate([rows, sign_flip(rows, F, scale=scale)], axis=1)


@pytest.mark.parametrize("score", SCORES)
def test_false_alarms_are_as_many_as_allowed(score):
    """Each round is called with 99 clean ones of its own: shares of at most 5 in 100, exactly."""
    alarms = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        rounds = honest(CALM + 4, rng)
        alarms.append((risk.fewest_liars(rounds[CALM:], rounds[:CALM], score) > 0).mean())
    share, error = np.mean(alarms), np.std(alarms, ddof=1) / np.sqrt(len(alarms))
    assert abs(share - 0.05) < 4 * error and error < 0.015


def test_loud_liars_are_counted_and_seldom_more():
    rng = np.random.default_rng(0)
    clean, rounds = honest(CALM, rng), lying(60, rng)
    for score in SCORES:
        counts = risk.fewest_liars(rounds, clean, score)
        assert np.mean(counts > F) < 0.25 and np.mean(counts >= 1) > 0.95
    assert np.mean(risk.fewest_liars(rounds, clean, risk.spectral_score) == F) > 0.7


def test_who_sends_what_an_honest_client_might_have_sent_is_not_in_the_count():
    rng = np.random.default_rng(1)
    clean, rounds = honest(CALM, rng), honest(60, rng)  # the last F lie, and look like this
    for score in SCORES:
        assert np.mean(risk.fewest_liars(rounds, clean, score) > 0) < 0.25


def test_the_count_by_a_slow_definition():
    rng = np.random.default_rng(2)
    clean = honest(39, rng)
    for rows in [*lying(4, rng, 3.0), *honest(4, rng)]:
        far = [np.linalg.norm(row - np.median(rows, axis=0)) for row in rows]
        near = [min(np.linalg.norm(row - other) for other in rows if other is not row)
                for row in list(rows)]  # fmt: skip
        orders = [np.argsort(far)[::-1], np.argsort(near)]
        for j in range((N - 1) // 2):
            usual = sorted(GAP(one[j:]) for one in clean)[38 - 1]  # the 95 % of 39 + 1
            if min(GAP(np.delete(rows, order[:j], axis=0)) for order in orders) <= usual:
                break
        else:
            j = (N - 1) // 2
        assert risk.fewest_liars(rows, clean, GAP) == j


def test_far_liars_are_not_taken_for_more_than_they_are():
    """Three clients far away, each in a direction of its own."""
    rng = np.random.default_rng(6)
    clean, rounds = honest(CALM, rng), honest(100, rng)
    rounds[:, -F:] += 40 * rng.normal(size=(100, F, D))
    for score in SCORES:
        counts = risk.fewest_liars(rounds, clean, score)
        assert (counts > 0).mean() > 0.95 and (counts > F).mean() < 0.2


@pytest.mark.parametrize("score", SCORES)
def test_neither_order_nor_place_nor_unit_matters(score):
    rng = np.random.default_rng(3)
    clean, rounds = honest(CALM, rng), lying(12, rng, 4.0)
    want = risk.fewest_liars(rounds, clean, score)
    assert 0 < want.max() <= (N - 1) // 2
    order = rng.permutation(N)
    for same in (rounds[:, order], 8 * rounds, 2.0**900 * rounds, rounds.reshape(3, 4, N, D)):
        got = risk.fewest_liars(same, clean, score)
        assert np.array_equal(np.ravel(got), want)
    assert np.array_equal(risk.fewest_liars(rounds + 0.5, clean + 0.5, score), want)


def test_equal_rows_are_taken_for_each_other():
    """All distances between the liars are 0, whichever of them goes; no honest row goes first."""
    rng = np.random.default_rng(4)
    clean, rounds = honest(CALM, rng), honest(20, rng)
    rounds[:, -3:] = rounds[:, -3:-2]
    counts = risk.fewest_liars(rounds, clean)
    assert np.mean(counts == 2) > 0.7  # the third then looks like anybody
    assert (counts >= 2).all()
    rounds[:, :-1] = rounds[:, :1]  # all but one agree: nothing is left to measure with
    assert (risk.fewest_liars(rounds, clean) >= 0).all()


@pytest.mark.parametrize(
    "shape, clean, level, sentence",
    [
        ((N, D), (18, N, D), 0.05, r"k >= 19 clean rounds .* got n = 11 and \(18, 11, 60\)"),
        ((N, D), (99, N - 1, D), 0.05, "clean rounds"),
        ((N, D), (N, D), 0.05, "clean rounds"),
        ((3, D), (99, 3, D), 0.05, "needs n >= 4"),
        ((N, D), (99, N, D), np.nan, r"level in \(0, 1\)"),
        ((N, D), (99, N, D), 1.0, r"level in \(0, 1\)"),
    ],
)
def test_bad_input(shape, clean, level, sentence):
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match=sentence):
        risk.fewest_liars(rng.normal(size=shape), rng.normal(size=clean), level=level)


# --- A declared f -----------------------------------------------------------------------------


def test_what_the_server_is_told_is_not_who_lies():
    """Told of nobody, a trimmed mean is the mean, whoever lies; told of f it is what it was."""
    setting = {"attack": "sign flip", "f": 2, "strength": 3.0, "rounds": 40, "test": 500}
    run = partial(planted, range(3), **setting)
    told = run("trimmed mean", declared=2)
    np.testing.assert_array_equal(told["accuracy"], run("trimmed mean")["accuracy"])
    mean = run("mean")["accuracy"]
    np.testing.assert_allclose(run("trimmed mean", declared=0)["accuracy"], mean, atol=0.01)
    assert (np.abs(told["accuracy"] - mean) > 0.02).any()
    with pytest.raises(Refused, match="got n = 10, f = 5"):
        run("trimmed mean", declared=5)
