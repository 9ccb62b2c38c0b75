"""The search for the worst finds at least what every attack does, and what theory says is worst."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib import theory
from byzlib.aggregators import (
    RULES,
    compose,
    krum,
    mean,
    median,
    nearest_neighbor_mixing,
    trimmed_mean,
)
from byzlib.attacks import ATTACKS, WorstCase, adaptive, worst_case

CROWDS = np.random.default_rng(2).standard_normal((2, 9, 4)) + [0.5, 0, -1, 0.1]
LIARS = {name: 1 if name == "Bulyan" else 2 for name in RULES}  # Bulyan needs n >= 4f + 3


def answer(rule, rows, f):
    return rule(rows) if rule in (mean, median, RULES["geometric median"]) else rule(rows, f)


def displacement(rule, honest, lies, f):
    moved = answer(rule, np.concatenate([honest, lies], axis=-2), f) - honest.mean(axis=-2)
    return np.linalg.norm(moved, axis=-1)


@pytest.fixture(scope="module")
def found():
    return {name: worst_case(rule, CROWDS, LIARS[name], 0) for name, rule in RULES.items()}


@pytest.mark.parametrize("name", RULES)
def test_what_is_reported_is_what_the_rows_do(name, found):
    rows, moved, family = found[name]
    assert rows.shape == (2, LIARS[name], 4) and moved.shape == family.shape == (2,)
    again = displacement(RULES[name], CROWDS, rows, LIARS[name])
    np.testing.assert_allclose(moved, again, rtol=1e-9)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", RULES)
def test_no_attack_of_the_book_does_more(name, attack, found):
    f = LIARS[name]
    lies = ATTACKS[attack](CROWDS, f, rng=99)
    with np.errstate(invalid="ignore"):
        moved = displacement(RULES[name], CROWDS, lies, f)
    if np.isnan(moved).any():
        assert name == "mean" and attack == "non-finite"  # it hands NaN on: there is no length
        return
    assert (found[name].displacement >= moved * (1 - 1e-9)).all()


@pytest.mark.parametrize("rule", ["trimmed mean", "median"])
@pytest.mark.parametrize("n, f", [(5, 1), (7, 2), (10, 1), (10, 3), (21, 6)])
def test_the_exact_constants_are_reached(rule, n, f):
    updates, honest = theory.worst_case_instance(rule, n, f)
    moved = worst_case(RULES[rule], updates[honest], f).displacement
    assert moved**2 / updates[honest].var() == pytest.approx(theory.kappa(rule, n, f), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    f=st.integers(1, 4),
    more=st.integers(1, 5),
    d=st.integers(1, 6),
)
def test_coordinate_wise_rules_are_worst_at_their_order_statistics(seed, f, more, d):
    """Liars at one end of each coordinate leave the mean of the other honest values."""
    h = f + more
    honest = np.random.default_rng(seed).standard_normal((h, d))
    ordered = np.sort(honest, axis=0) - honest.mean(axis=0)
    up, down = ordered[f:].mean(axis=0), ordered[: h - f].mean(axis=0)
    exact = np.linalg.norm(np.maximum(np.abs(up), np.abs(down)))
    assert worst_case(trimmed_mean, honest, f, steps=0).displacement == pytest.approx(exact)
    low, high = (h + f - 1) // 2, (h + f) // 2  # the middle of n values
    up = (ordered[low] + ordered[high]) / 2
    down = (ordered[low - f] + ordered[high - f]) / 2
    exact = np.linalg.norm(np.maximum(np.abs(up), np.abs(down)))
    assert worst_case(median, honest, f, steps=0).displacement == pytest.approx(exact)


def test_the_mean_goes_as_far_as_it_is_allowed():
    spread = np.sqrt(((CROWDS - CROWDS.mean(1, keepdims=True)) ** 2).sum(-1).mean(-1))
    for reach in (0.5, 3.0, 1e3, 1e9):
        found = worst_case(mean, CROWDS, 2, reach=reach)
        np.testing.assert_allclose(found.displacement, 2 / 11 * reach * spread, rtol=1e-6)
        away = np.linalg.norm(found.rows - CROWDS.mean(1, keepdims=True), axis=-1)
        assert (away <= reach * spread[:, None] * (1 + 1e-9)).all()


def test_krum_follows_a_clique_farther_where_honest_noise_points():
    """Beyond the distance of the theory, whose direction no client's noise shares.

    Along the first principal direction of the very crowd, some honest clients stand nearer to the
    clique, and Krum follows it farther.
    """
    n, f, d = 10, 3, 1000
    honest = np.random.default_rng(1).standard_normal((n - f, d))
    found = worst_case(krum, honest, f)
    border = theory.krum_clique_distance(n, f) * np.sqrt(d)
    assert found.family == "principal direction"
    assert found.displacement > 1.2 * border
    assert np.array_equal(krum(np.concatenate([honest, found.rows]), f), found.rows[0])


def test_each_stage_finds_what_the_others_miss():
    """Rules that fall for one kind of lie only, and one whose worst liars differ."""

    def falls_for(lie):
        def rule(updates):
            fallen = (updates == lie).all(axis=-1).sum(axis=-1) >= 2
            return np.where(fallen[..., None], 1e9, updates.mean(axis=-2) * 0)

        return rule

    honest = CROWDS[0]
    for lie, family in [(np.zeros(4), "zero"), (-10 * honest.mean(axis=0), "sign flip")]:
        found = worst_case(falls_for(lie), honest, 2)
        assert found.family == family and found.displacement > 1e9
    still, moving = (worst_case(RULES["multi-Krum"], CROWDS, 2, steps=k) for k in (0, 20))
    assert (moving.displacement > still.displacement).all()
    assert set(moving.family) == {"direct search"}


def test_stacked_trials_do_not_meet():
    """Each trial of a stack is searched on its own, with the same draws."""
    stacked = worst_case(trimmed_mean, CROWDS, 2, 3, steps=0)
    for t in range(2):
        alone = worst_case(trimmed_mean, CROWDS[t], 2, 3, steps=0)
        assert isinstance(alone, WorstCase) and isinstance(alone.displacement, float)
        assert isinstance(alone.family, str) and alone.rows.shape == (2, 4)
        assert alone.displacement == pytest.approx(stacked.displacement[t], rel=0.05)


def test_the_same_seed_finds_the_same():
    one, two = (worst_case(krum, CROWDS, 2, 5, steps=9) for _ in range(2))
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.family, two.family)
    generator = worst_case(krum, CROWDS, 2, np.random.default_rng(5), steps=9)
    np.testing.assert_array_equal(one.rows, generator.rows)


def test_types_and_inputs_are_kept():
    honest = np.float32(CROWDS)
    before = honest.copy()
    found = worst_case(median, honest, 2)
    assert found.rows.dtype == np.float32 and np.isfinite(found.rows).all()
    found.rows[:] = 0
    np.testing.assert_array_equal(honest, before)


def test_huge_and_tiny_crowds():
    near = worst_case(trimmed_mean, CROWDS, 2, reach=100.0).displacement
    for size in (1e-150, 1e150):
        far = worst_case(trimmed_mean, CROWDS * size, 2, reach=100.0).displacement / size
        np.testing.assert_allclose(far, near, rtol=1e-6)
    huge = worst_case(krum, CROWDS * 1e200, 2, reach=100.0, steps=0)
    assert np.isfinite(huge.rows).all() and (huge.displacement > 1e200).all()
    equal = worst_case(median, np.ones((5, 3)), 2)
    assert equal.displacement == 0
    assert worst_case(mean, np.ones((5, 3)), 2, reach=7).displacement == pytest.approx(2)


def test_without_liars_there_is_nothing_to_send():
    rows, moved, family = worst_case(median, CROWDS, 0)
    assert rows.shape == (2, 0, 4) and family.tolist() == ["none", "none"]
    gap = np.linalg.norm(median(CROWDS) - CROWDS.mean(axis=1), axis=-1)
    np.testing.assert_allclose(moved, gap)


def test_as_an_attack_in_a_loop():
    attack = adaptive(compose(nearest_neighbor_mixing, trimmed_mean), steps=2, reach=10)
    lies = attack(CROWDS, 2, 1)
    assert lies.shape == (2, 2, 4)
    np.testing.assert_array_equal(attack(CROWDS, 2, 1), lies)
    assert adaptive(mean)(CROWDS, 0).shape == (2, 0, 4)


ILLEGAL = [
    (lambda: worst_case(krum, CROWDS, 7), ValueError, "krum needs n >= 2f [+] 3; got n = 16"),
    (lambda: worst_case(mean, CROWDS * np.nan, 1), ValueError, "finite honest rows"),
    (lambda: worst_case(mean, CROWDS, -1), ValueError, "f >= 0; got f = -1"),
    (lambda: worst_case(mean, CROWDS, 1, "a"), TypeError, "integer rng"),
    (lambda: worst_case(mean, CROWDS, 1, reach=0), ValueError, "reach > 0; got reach = 0"),
    (lambda: worst_case(mean, CROWDS, 1, steps=-1), ValueError, "steps >= 0; got steps = -1"),
    (lambda: worst_case(mean, CROWDS, 1, steps=0.5), TypeError, "integer steps"),
    (lambda: worst_case(lambda updates: updates[..., 0, :] * np.nan, CROWDS, 1), ValueError,
     "no finite answer"),
    (lambda: worst_case(mean, [1.0], 1), ValueError, "shape"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, words", ILLEGAL, ids=[words for _, _, words in ILLEGAL])
def test_bad_input_gets_one_sentence(call, error, words):
    with pytest.raises(error, match=words):
        call()
