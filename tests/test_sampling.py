"""Clients who are not asked, come late, or do not come: f of n becomes f of those who answered."""

from functools import partial
from itertools import combinations
from math import comb

import numpy as np
import pytest

from byzlib import theory
from byzlib.aggregators import centered_clipping, krum, mean, median, trimmed_mean
from byzlib.attacks import non_finite, sign_flip, stale
from byzlib.federated import ByzantineFL, Client, Quadratic, SimpleModel, one_by_one

CENTRES = np.array([0.0, 1, 2, 3, 4, 6, 9, -5, -7])  # the last two lie


def desks(centres=CENTRES, claims=None):
    claims = claims or [None] * len(centres)
    return [
        Client(np.array([[c]]), np.array([0]), f"desk {c}", claims=claim)
        for c, claim in zip(centres, claims, strict=True)
    ]


# --- the probability of a bad sample ---


@pytest.mark.parametrize(("n", "f"), [(7, 0), (7, 3), (6, 6), (8, 1)])
def test_oversampled_by_counting_all_samples(n, f):
    for sampled in range(1, n + 1):
        liars = [sum(i < f for i in who) for who in combinations(range(n), sampled)]
        for bear in range(4):
            chance = sum(x > bear for x in liars) / comb(n, sampled)
            assert theory.oversampled(n, f, sampled, bear) == pytest.approx(chance, abs=1e-12)


def test_oversampled_broadcasts_and_keeps_small_chances():
    sizes = np.array([[10], [20]])
    found = theory.oversampled(100, [10, 20], sizes, theory.breakdown("trimmed mean", sizes))
    assert found.shape == (2, 2) and (np.diff(found, axis=1) > 0).all()
    assert isinstance(theory.oversampled(100, 20, 10, 4), float)
    assert theory.oversampled(1000, 100, 100, 49) == pytest.approx(
        sum(comb(100, x) * comb(900, 100 - x) for x in range(50, 101)) / comb(1000, 100), rel=1e-9
    )


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ((10, 11, 3, 1), ValueError, "oversampled needs f <= n; got f = 11, n = 10"),
        ((10, 2, 11, 1), ValueError, "oversampled needs sampled <= n; got sampled = 11, n = 10"),
        ((10, 2, 0, 1), ValueError, "sampled >= 1"),
        ((10, 2, 3, -1), ValueError, "bear >= 0"),
        ((10, 2.0, 3, 1), TypeError, "integer f"),
    ],
)
def test_oversampled_refuses(given, error, words):
    with pytest.raises(error, match=words):
        theory.oversampled(*given)


# --- the loop against one that can be read ---


def slow(rule, f, seed, *, participation=1.0, late=0.0, delay=None, momentum=0.0, attack=None,
         rounds=25, rate=0.3):  # fmt: skip
    """One run of desks on a line, in plain Python: the model, ages, and the skipped rounds."""
    rng, theta, n = np.random.default_rng(seed), 10.0, len(CENTRES)
    asked, memory, past = max(round(participation * n), 1), np.zeros(n), []
    ages, skipped = np.full((rounds, n), np.nan), []
    for t in range(rounds):
        who = rng.permutation(n) < asked if asked < n else np.ones(n, bool)
        slow_ones = rng.random(n) < late if late else np.zeros(n, bool)
        slow_ones[-2:] = False
        fresh = momentum * memory + (1 - momentum) * (theta - CENTRES)
        memory[who] = fresh[who]
        past.append(fresh)
        sent, age = fresh.copy(), np.zeros(n)
        for i in np.flatnonzero(slow_ones):
            if delay is None:
                age[i] = np.nan
            else:
                age[i] = min(delay, t)
                sent[i] = past[t - int(age[i])][i]
        if attack:
            sent[-2:] = attack(sent[:-2, None], 2)[:, 0]
        age[~who] = np.nan
        ages[t] = age
        heard = ~np.isnan(age)
        try:
            step = rule(sent[heard, None], f)[0] if heard.any() else None
        except ValueError:
            step = None
        skipped.append(step is None)
        theta = theta if step is None else theta - rate * step
    return theta, ages, skipped


def plain_mean(updates, f):
    return mean(updates)


SETTINGS = [
    {"participation": 0.6},
    {"participation": 0.7, "momentum": 0.8},
    {"late": 0.4, "delay": 1},
    {"late": 0.4, "delay": 3, "momentum": 0.5},
    {"late": 0.4},
    {"participation": 0.8, "late": 0.3},
    {"participation": 0.8, "late": 0.3, "delay": 2, "momentum": 0.9},
]


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("rule", "f"), [(plain_mean, 0), (trimmed_mean, 1), (trimmed_mean, 2)])
@pytest.mark.parametrize("attack", [None, sign_flip])
def test_against_a_slow_loop(setting, rule, f, attack):
    learning = ByzantineFL(
        Quadratic(10.0), desks(), rule, f, attack, [7, 8], learning_rate=0.3, **setting
    )
    stack = learning.run(25, range(3))
    for seed in range(3):
        theta, ages, skipped = slow(rule, f, seed, attack=attack, **setting)
        for run in (learning.run(25, seed), stack[seed]):
            assert run.theta == pytest.approx(theta, rel=1e-9)
            assert np.array_equal(run.age, ages, equal_nan=True)
            assert run.skipped.tolist() == skipped
            heard = ~np.isnan(ages) & ~np.array(skipped)[:, None]
            assert np.isnan(run.trust[run.skipped]).all()
            assert rule is plain_mean or (run.trust[~run.skipped] * ~heard[~run.skipped] == 0).all()
            told = run.curve("distance to honest mean") if heard.any() else []
            assert len(told) == (~run.skipped).sum()


def test_whoever_is_always_asked_and_never_late_is_as_before():
    run = ByzantineFL(Quadratic(10.0), desks(), median, 2, learning_rate=0.3).run(5, 1)
    assert (run.age == 0).all() and not run.skipped.any()
    assert run.age.shape == (5, 9) and run.skipped.shape == (5,)
    stack = ByzantineFL(Quadratic(10.0), desks(), median, 2, learning_rate=0.3).run(5, seeds=3)
    assert stack.age.shape == (3, 5, 9) and stack.skipped.shape == (3, 5)
    assert stack[1].age.shape == (5, 9) and stack[1].skipped.shape == (5,)


def test_everyone_is_asked_equally_often_and_liars_come_as_the_law_says():
    rounds = 4000
    learning = ByzantineFL(
        Quadratic(0.0), desks(), plain_mean, 0, byzantine=[7, 8], learning_rate=1e-3,
        participation=1 / 3,
    )  # fmt: skip
    heard = ~np.isnan(learning.run(rounds, 5, trust=False).age)
    assert (heard.sum(axis=1) == 3).all()
    error = np.sqrt(1 / 3 * 2 / 3 / rounds)
    assert np.abs(heard.mean(axis=0) - 1 / 3).max() < 4.5 * error
    liars = heard[:, 7:].sum(axis=1)
    for bear in (0, 1):
        chance = theory.oversampled(9, 2, 3, bear)
        error = np.sqrt(chance * (1 - chance) / rounds)
        assert abs((liars > bear).mean() - chance) < 4.5 * error


def test_the_draws_of_a_round_do_not_depend_on_who_lies():
    runs = [
        ByzantineFL(
            Quadratic(0.0), desks(), plain_mean, 0, byzantine=who, learning_rate=0.1,
            participation=0.5, late=0.3, batch_size=1,
        ).run(30, 3)
        for who in ([], [0, 4])
    ]  # fmt: skip
    honest, lying = (~np.isnan(run.age) for run in runs)
    others = np.setdiff1d(np.arange(9), [0, 4])
    assert np.array_equal(honest[:, others], lying[:, others])
    assert (lying[:, [0, 4]] >= honest[:, [0, 4]]).all() and (lying != honest).any()


# --- what the rule is given, and what it refuses ---


def test_weights_and_centres_are_those_of_who_answers():
    seen = []

    def rule(updates, weights, center):
        seen.append((weights.copy(), center.copy(), updates.copy()))
        return mean(updates, weights=weights)

    claims = list(range(1, 10))
    learning = ByzantineFL(
        Quadratic(0.0), desks(claims=claims), one_by_one(rule), 0, byzantine=[], weighted=True,
        learning_rate=0.1, participation=0.5, late=0.5,
    )  # fmt: skip
    run = learning.run(20, 0)
    for (weights, _, updates), age in zip(seen, run.age[~run.skipped], strict=True):
        who = np.flatnonzero(~np.isnan(age))
        assert np.allclose(np.ravel(weights), (who + 1) / 9)
        assert updates.shape[-2] == len(who)
    assert {len(np.ravel(w)) for w, _, _ in seen} > {2, 3}
    steps = [mean(u, weights=w) for w, _, u in seen]
    for (_, center, _), before in zip(seen[1:], steps, strict=False):
        assert np.allclose(np.ravel(center), np.ravel(before))


def test_too_few_answers_skip_a_round_and_the_run_goes_on():
    """Krum with f = 2 needs seven of nine; three liars who send NaN spoil a full crowd, too."""
    learning = ByzantineFL(
        Quadratic(10.0), desks(), krum, 2, sign_flip, learning_rate=0.3, late=0.4
    )
    run = learning.run(40, 2)
    answered = (~np.isnan(run.age)).sum(axis=1)
    assert np.array_equal(run.skipped, answered < 7) and 0 < run.skipped.sum() < 40
    assert run.diverged_at is None and np.isfinite(run.theta).all()
    # A round before any is held leaves the model where it was.
    first = int(np.argmin(run.skipped))
    early = learning.run(first, 2) if first else None
    assert early is None or early.theta[0] == 10
    broken = ByzantineFL(
        Quadratic(10.0), desks(), trimmed_mean, 1, non_finite, [7, 8], learning_rate=0.3, late=0.4
    ).run(40, 2)
    assert broken.diverged_at is not None  # all answer, and no rule can do with that
    assert broken.skipped[: broken.diverged_at - 1].all()


def test_nobody_answers():
    run = ByzantineFL(
        Quadratic(10.0), desks([1.0, 2.0]), mean, 0, byzantine=[], learning_rate=0.5, late=0.9
    ).run(50, 0)
    alone = np.isnan(run.age).all(axis=1)
    assert np.array_equal(run.skipped, alone) and 20 < alone.sum() < 50


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"participation": 0.5}, "krum needs n >= 2f \\+ 3; got n = 4, f = 2"),
        ({"participation": 0.2}, "f < the clients asked in a round; got f = 2, and 2 of 9 asked"),
        ({"participation": 0}, r"participation in \(0, 1\]; got participation = 0"),
        ({"participation": 1.5}, r"participation in \(0, 1\]"),
        ({"late": 1.0}, r"late in \[0, 1\); got late = 1.0"),
        ({"late": 0.1, "delay": 0}, "delay >= 1; got delay = 0"),
    ],
)
def test_what_can_never_work_is_refused_in_a_sentence(setting, words):
    with pytest.raises(ValueError, match=words):
        ByzantineFL(Quadratic(), desks(), krum, 2, learning_rate=0.1, **setting).run(3, 0)


def test_a_delay_of_half_a_round_is_a_type_error():
    with pytest.raises(TypeError, match="integer delay"):
        ByzantineFL(Quadratic(), desks(), krum, 2, learning_rate=0.1, delay=1.5)


def test_a_client_that_is_always_late_is_the_stale_attack():
    """With all seven honest desks on time, liars that are stale send what late desks would."""
    late = ByzantineFL(
        Quadratic(10.0), desks(), mean, 0, byzantine=[], learning_rate=0.3, late=1 - 1e-12, delay=2
    ).run(20, 0)
    everyone = ByzantineFL(
        Quadratic(10.0), desks([0.0, *CENTRES]), partial(_all_but_first), 9, one_by_one(
            partial(stale, delay=2)), range(1, 10), learning_rate=0.3,
    ).run(20, 0)  # fmt: skip
    assert late.theta == pytest.approx(everyone.theta, rel=1e-9)
    assert np.array_equal(late.age[:, 0], np.minimum(np.arange(20), 2))


def _all_but_first(updates):
    return updates[..., 1:, :].mean(axis=-2)


def test_a_network_learns_from_samples_of_its_clients_and_stacks_agree():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((600, 3))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    clients = [Client(X[i::20], y[i::20]) for i in range(20)]
    learning = ByzantineFL(
        SimpleModel(3, 4), clients, one_by_one(partial(centered_clipping, radius=5.0)), 3,
        sign_flip,
        learning_rate=0.5, batch_size=8, participation=0.4, late=0.2, delay=3, momentum=0.5,
        local_steps=2,
    )  # fmt: skip
    stack = learning.run(60, range(4), evaluate=(X, y))
    assert (stack.final("accuracy") > stack.final("majority share") + 0.1).all()
    for seed in range(4):
        one = learning.run(60, seed, evaluate=(X, y))
        assert np.allclose(one.theta, stack.theta[seed])
        assert np.array_equal(one.age, stack.age[seed], equal_nan=True)
