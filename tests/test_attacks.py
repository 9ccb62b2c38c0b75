"""Attacks send what their formula says and say what they know; poisoned data is right by hand."""

import json
import math
import pickle
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from byzlib import market, theory
from byzlib.aggregators import (
    RULES,
    apply_rule,
    compose,
    krum,
    mean,
    median,
    nearest_neighbor_mixing,
    trimmed_mean,
)
from byzlib.attacks import (
    ATTACKS,
    a_little_is_enough,
    adaptive,
    backdoor,
    constant,
    during,
    fang,
    gaussian_noise,
    inner_product_manipulation,
    label_flip,
    local_sign_flip,
    mimic,
    min_max,
    min_sum,
    model_replacement,
    non_finite,
    shooting_star,
    sign_flip,
    spoofed_book,
    stale,
    targeted_label_flip,
    wash_trading,
    worst_case,
    zero,
)
from byzlib.attacks._contract import attack as attack_of
from byzlib.market import features

HONEST = np.random.default_rng(7).standard_normal((3, 7, 4)) + 0.3
OWN = np.random.default_rng(8).standard_normal((3, 2, 4)) + 0.3
DIRECTIONS = ("std", "unit", "sign")
DRAWING = ("Gaussian noise", "Fang")

# Every attack with what it needs to be called.
OWN_ATTACKS = {
    "local sign flip": local_sign_flip,
    "model replacement": model_replacement,
    "model replacement, target": partial(model_replacement, target=[1.0, 2, 3, 4], boost=5),
    "stale": stale,
    "at peace": partial(during(sign_flip, 5, 9), round=2),
}
EVERY = {
    **ATTACKS,
    "Fang, Krum": partial(fang, against="Krum"),
    **{f"min-max {p}": partial(min_max, direction=p) for p in DIRECTIONS},
    **{f"min-sum {p}": partial(min_sum, direction=p) for p in DIRECTIONS},
    **{name: partial(attack, own=OWN) for name, attack in OWN_ATTACKS.items()},
}


# The promises of all of them


SEARCH = {"search": adaptive(compose(nearest_neighbor_mixing, trimmed_mean), steps=2, reach=10)}


@pytest.mark.parametrize("name", [*EVERY, *SEARCH])
def test_shape_type_and_nothing_aliased(name):
    for dtype in (np.float32, np.float64):
        honest, own = HONEST.astype(dtype), OWN.copy()
        before = honest.copy()
        lies = {**EVERY, **SEARCH}[name](honest, 2, 1)
        assert lies.shape == (3, 2, 4) and lies.dtype == dtype
        lies += 1
        np.testing.assert_array_equal(honest, before)
        np.testing.assert_array_equal(OWN, own)


@pytest.mark.parametrize("name", EVERY)
def test_stacked_trials_are_trials(name):
    """A stack of crowds is attacked as each crowd alone, each with a generator of its own."""
    rngs = [(np.random.default_rng([seed, 5]) for seed in range(3)) for _ in range(2)]
    rng, alone = map(tuple, rngs)
    stacked = EVERY[name](HONEST, 2, rng if name in DRAWING else 1)
    for t in range(3):
        attack = EVERY[name]
        if name in OWN_ATTACKS:
            attack = partial(OWN_ATTACKS[name], own=OWN[t])
        np.testing.assert_allclose(
            attack(HONEST[t], 2, alone[t]), stacked[t], rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("name", [*ATTACKS, *OWN_ATTACKS, "Fang, Krum"])
def test_no_liar_no_lie(name):
    attack = OWN_ATTACKS.get(name) or EVERY[name]
    if name == "at peace":
        attack = partial(attack, own=OWN[:, :0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert attack(HONEST, 0, 1).shape == (3, 0, 4)
        if name in ATTACKS:
            assert attack(np.ones((0, 7, 4)), 2, 1).shape == (0, 2, 4)
            assert attack(np.ones((1, 1)), 0, 1).shape == (0, 1)


@pytest.mark.parametrize("name", [*OWN_ATTACKS, "zero", "Gaussian noise", "constant", "non-finite"])
def test_who_knows_nothing_of_the_others_never_reads_them(name):
    attack = EVERY[name]
    honest = np.float32(HONEST)
    expected = attack(honest, 2, rng=5)
    for poison in (np.nan, np.inf, 1e30):
        np.testing.assert_array_equal(attack(np.full_like(honest, poison), 2, rng=5), expected)


def test_the_check_of_knowledge_can_fail():
    reader = attack_of("omniscient")(lambda honest, f, rng: honest.max())
    blind = attack_of("none")(lambda honest, f, rng: honest.max())
    assert reader(HONEST, 1)[0, 0, 0] == HONEST.max()
    assert np.isnan(blind(HONEST, 1)).all()


def test_every_attack_says_what_it_must_know():
    knowledge = {
        "none": {gaussian_noise, constant, zero, non_finite},
        "own": {local_sign_flip, model_replacement, stale, during(zero, 2)},
        "omniscient": {
            sign_flip, inner_product_manipulation, a_little_is_enough, min_max, min_sum, mimic,
            fang, adaptive(mean), during(partial(sign_flip, scale=2.0), 2),
        },
    }  # fmt: skip
    for level, those in knowledge.items():
        assert all(attack.knowledge == level for attack in those)
    for attack in ATTACKS.values():
        assert attack.knowledge in ("none", "omniscient")
        copy = pickle.loads(pickle.dumps(attack))  # as the workers of a grid get it
        np.testing.assert_array_equal(copy(HONEST, 1, 1), attack(HONEST, 1, 1))


# What each of them sends


def test_simple_vectors():
    lies = gaussian_noise(HONEST, 2, rng=5, scale=3.0)  # each liar draws its own
    np.testing.assert_array_equal(lies, 3 * np.random.default_rng(5).standard_normal((3, 2, 4)))
    for lie in np.swapaxes(sign_flip(HONEST, 3, scale=2.5), 0, 1):
        np.testing.assert_allclose(lie, -2.5 * HONEST.mean(axis=1))
    assert (zero(HONEST, 2) == 0).all()
    assert (constant(HONEST, 2, value=-7) == -7).all()
    assert (constant(HONEST, 2, value=[1, 2, 3, 4]) == [1, 2, 3, 4]).all()
    assert np.isnan(non_finite(HONEST, 2)).all()
    assert (non_finite(np.float32(HONEST), 2, value=-np.inf) == -np.inf).all()
    np.testing.assert_array_equal(local_sign_flip(HONEST, 2, own=OWN, scale=3), -3 * OWN)
    np.testing.assert_array_equal(
        inner_product_manipulation(HONEST, 2, epsilon=0.4), sign_flip(HONEST, 2, scale=0.4)
    )


@pytest.mark.parametrize("n, f", [(10, 3), (10, 4), (25, 5), (50, 12), (50, 24), (51, 24)])
def test_the_default_shift_is_that_of_the_theory(n, f):
    honest = np.random.default_rng(n).standard_normal((n - f, 3))
    shift = (honest.mean(axis=0) - a_little_is_enough(honest, f)[0]) / honest.std(axis=0)
    np.testing.assert_allclose(shift, theory.alie_z_max(n, f), rtol=1e-12)


@pytest.mark.parametrize("f", [1, 2])
def test_a_shift_that_is_not_positive_is_told(f):
    assert theory.alie_z_max(10, f) <= 0
    honest = np.random.default_rng(0).standard_normal((10 - f, 3))
    with pytest.warns(RuntimeWarning, match=f"n = 10, f = {f} is not positive") as told:
        lies = a_little_is_enough(honest, f)
    assert told[0].filename == __file__
    np.testing.assert_allclose(lies[0], honest.mean(axis=0))


@pytest.mark.parametrize("attack", [min_max, min_sum])
def test_perturbations_at_the_edge(attack):
    equal = np.ones((5, 3))
    for direction in DIRECTIONS:
        np.testing.assert_array_equal(attack(equal, 2, direction=direction), equal[:2])
        around_zero = np.array([[1.0, 2], [-1.0, -2]])  # no mean, so no direction but std
        lie = attack(around_zero, 1, direction=direction)
        assert np.isfinite(lie).all() and (direction == "std" or (lie == 0).all())
        for size in (1e150, 1e-150):
            np.testing.assert_allclose(
                attack(HONEST * size, 1, direction=direction) / size,
                attack(HONEST, 1, direction=direction),
                rtol=1e-9,
            )


def test_mimic_copies_the_client_farthest_along_the_first_principal_direction():
    lies = mimic(HONEST, 3)
    for t in range(3):
        rows = HONEST[t] - HONEST[t].mean(axis=0)
        z = np.linalg.svd(rows)[2][0]
        expected = HONEST[t][np.abs(rows @ z).argmax()]
        np.testing.assert_array_equal(lies[t], [expected] * 3)
    np.testing.assert_array_equal(mimic(HONEST, 2, victim=4), HONEST[:, [4, 4]])
    np.testing.assert_array_equal(mimic(HONEST, 1, victim=[1, 0, 6])[2, 0], HONEST[2, 6])


def test_fang_goes_just_beyond_the_honest_values_against_the_trend():
    honest = np.array([[1.0, -4, 2, -1], [2.0, -2, -1, -9], [3.0, -3, 5, 4]])
    lies = fang(honest, 400, rng=1)  # means 2, -3, 2, -2
    for j, (near, far) in enumerate([(1, 0.5), (-2, -1), (-1, -2), (4, 8)]):
        low, high = min(near, far), max(near, far)
        assert low <= lies[:, j].min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < lies[:, j].max() <= high


def test_fang_deceives_krum_and_no_step_twice_as_long_would():
    rng = np.random.default_rng(4)
    for honest in rng.standard_normal((20, 7, 30)) + rng.uniform(0, 0.7, (20, 1, 1)):
        lies = fang(honest, 3, against="Krum")
        np.testing.assert_array_equal(krum(np.concatenate([honest, lies]), 3), lies[0])
        longer = krum(np.concatenate([honest, 2 * lies]), 3)
        assert not np.array_equal(longer, 2 * lies[0])
        np.testing.assert_array_equal(np.sign(lies[0]), -np.sign(honest.mean(axis=0)))
    clear = rng.standard_normal((7, 30)) + 2  # krum_clique_distance(10, 3) is 1.53
    assert np.abs(fang(clear, 3, against="Krum")).max() < 1e-7


def test_model_replacement_takes_the_mean_where_the_liars_want_it():
    settled = np.zeros((8, 3))
    lies = model_replacement(settled, 2, target=[1.0, 2, 3])
    np.testing.assert_allclose(mean(np.concatenate([settled, lies])), [1, 2, 3])
    np.testing.assert_allclose(model_replacement(HONEST, 2, own=OWN, boost=15), 15 * OWN)
    np.testing.assert_allclose(model_replacement(HONEST, 2, own=OWN), 4.5 * OWN)
    np.testing.assert_allclose(model_replacement(HONEST, 2, own=OWN, target=2 * OWN), 9 * OWN)


def test_stale_answers():
    history = [OWN + t for t in range(1, 5)]  # rounds 1 to 4; now it is round 5
    for delay, then in [(1, 4), (3, 2), (4, 1), (9, 1), (math.inf, 1)]:
        sent = stale(HONEST, 2, own=OWN, history=history, delay=delay)
        np.testing.assert_array_equal(sent, OWN + then)
    np.testing.assert_array_equal(stale(HONEST, 2, own=OWN, delay=3), OWN)


def test_during():
    attack = during(partial(sign_flip, scale=2.0), start=3, stop=5)
    for t in range(1, 8):
        expected = sign_flip(HONEST, 2, scale=2) if t in (3, 4) else OWN
        np.testing.assert_array_equal(attack(HONEST, 2, 1, round=t, own=OWN), expected)
    forever = during(zero, 2)
    assert [bool(forever(HONEST, 2, round=t, own=OWN).any()) for t in (1, 2, 99)] == [1, 0, 0]
    late = during(stale, 2)
    assert (late(HONEST, 2, round=2, own=OWN, history=[OWN + 1]) == OWN + 1).all()


# What other libraries send

PEERS = json.loads((Path(__file__).parent / "attack_vectors.json").read_text())


def as_in(vector, rows):
    """Our attack with the parameters of another library's."""
    rule, given = vector["rule"], vector["params"]
    if rule in ("min_max", "min_sum"):
        attack = {"min_max": min_max, "min_sum": min_sum}[rule]
        return attack(rows, 1, direction=given["deviation"].removesuffix("_vec"))
    if rule == "alie_zmax":
        n, f = given["n"], given["f"]
        return a_little_is_enough(rows, 1, z=-ndtri((n - (n // 2 + 1 - f)) / n))
    if rule == "alie_tau":  # with the sample's standard deviation
        h = len(rows)
        return a_little_is_enough(rows, 1, z=-given["tau"] * math.sqrt(h / (h - 1)))
    return {
        "sign_flip": sign_flip,
        "ipm": partial(inner_product_manipulation, epsilon=given.get("tau", 1)),
        "mimic": partial(mimic, victim=given.get("epsilon", 0)),
        "inf": partial(non_finite, value=np.inf),
    }[rule](rows, 1)


# Not "opt_alie", which is searched against a Krum with other neighbours.
SAME = [vector for vector in PEERS["vectors"] if vector["rule"] != "opt_alie"]


@pytest.mark.parametrize("vector", SAME, ids=lambda v: v["id"])
def test_other_libraries_send_the_same(vector):
    rows = np.array(PEERS["inputs"][vector["input"]])
    theirs = np.array(vector["output"], float)
    if vector["rule"] == "opt_ipm":  # ours searches more than one family
        moved = trimmed_mean(np.concatenate([rows, [theirs] * 2]), 2) - rows.mean(axis=0)
        ours = worst_case(trimmed_mean, rows, 2).displacement
        assert ours >= np.linalg.norm(moved)
    else:
        # Their searches stop at 1e-5 in the size, of unit, std or sign vectors.
        tolerance = 1e-4 if vector["rule"].startswith("min_") else 1e-8
        np.testing.assert_allclose(as_in(vector, rows)[0], theirs, rtol=0, atol=tolerance)


# The search for the worst finds at least what every attack does, and what theory says is worst

CROWDS = np.random.default_rng(2).standard_normal((2, 9, 4)) + [0.5, 0, -1, 0.1]
LIARS = {name: 1 if name == "Bulyan" else 2 for name in RULES}  # Bulyan needs n >= 4f + 3


@pytest.mark.parametrize("name", RULES)
def test_the_search_reports_what_its_rows_do_and_no_attack_of_the_book_does_more(name):
    rule, f = RULES[name], LIARS[name]

    def displacement(lies):
        answer, _ = apply_rule(rule, np.concatenate([CROWDS, lies], axis=-2), f, False)
        return np.linalg.norm(answer - CROWDS.mean(axis=-2), axis=-1)

    rows, moved, family = worst_case(rule, CROWDS, f, 0, steps=8)
    assert rows.shape == (2, f, 4) and moved.shape == family.shape == (2,)
    np.testing.assert_allclose(moved, displacement(rows), rtol=1e-9)
    for attack in set(ATTACKS) - ({"non-finite"} if name == "mean" else set()):
        assert (moved >= displacement(ATTACKS[attack](CROWDS, f, rng=99)) * (1 - 1e-9)).all()


@settings(max_examples=15)
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


def test_the_same_seed_finds_the_same_in_a_stack_and_alone():
    one, two = (worst_case(krum, CROWDS, 2, rng, steps=9) for rng in (5, np.random.default_rng(5)))
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_array_equal(one.family, two.family)
    stacked = worst_case(trimmed_mean, CROWDS, 2, 3, steps=0)
    for t in range(2):
        alone = worst_case(trimmed_mean, CROWDS[t], 2, 3, steps=0)
        assert isinstance(alone.displacement, float) and isinstance(alone.family, str)
        assert alone.rows.shape == (2, 4)
        assert alone.displacement == pytest.approx(stacked.displacement[t], rel=0.05)


def test_huge_and_tiny_crowds():
    near = worst_case(trimmed_mean, CROWDS, 2, reach=100.0, steps=9).displacement
    for size in (1e-150, 1e150):
        far = worst_case(trimmed_mean, CROWDS * size, 2, reach=100.0, steps=9).displacement / size
        np.testing.assert_allclose(far, near, rtol=1e-6)
    huge = worst_case(krum, CROWDS * 1e200, 2, reach=100.0, steps=0)
    assert np.isfinite(huge.rows).all() and (huge.displacement > 1e200).all()
    equal = worst_case(median, np.ones((5, 3)), 2, steps=2)
    assert equal.displacement == 0
    assert worst_case(mean, np.ones((5, 3)), 2, reach=7).displacement == pytest.approx(2)


def test_without_liars_there_is_nothing_to_send():
    rows, moved, family = worst_case(median, CROWDS, 0)
    assert rows.shape == (2, 0, 4) and family.tolist() == ["none", "none"]
    gap = np.linalg.norm(median(CROWDS) - CROWDS.mean(axis=1), axis=-1)
    np.testing.assert_allclose(moved, gap)


# Bad input

ILLEGAL = [
    (lambda: sign_flip(HONEST, -1), ValueError, "sign_flip needs f >= 0; got f = -1"),
    (lambda: sign_flip(HONEST, 1, scale=np.nan), ValueError, "scale finite; got scale = nan"),
    (lambda: sign_flip([1.0, 2.0], 1), ValueError, r"shape \(..., n, d\)"),
    (lambda: gaussian_noise(HONEST, 1, 0, scale=-1), ValueError, "finite and >= 0; got scale = -1"),
    (lambda: gaussian_noise(HONEST, 1), TypeError, "draws random numbers: pass rng"),
    (lambda: gaussian_noise(HONEST, 1, (1, 2)), ValueError, "a generator a trial, 3; got 2"),
    (lambda: constant(HONEST, 1, value=[1, 2]), ValueError, "one value or d = 4; got"),
    (lambda: constant(HONEST, 1, value=np.inf), ValueError, "finite values"),
    (lambda: non_finite(HONEST, 1, value=3), ValueError, "nan, inf or -inf; got 3"),
    (lambda: inner_product_manipulation(HONEST, 1, epsilon=0), ValueError, "got epsilon = 0"),
    (lambda: a_little_is_enough(HONEST, 7), ValueError, "n > 2f, or a z; got n = 14, f = 7"),
    (lambda: a_little_is_enough(HONEST, 1, z=np.inf), ValueError, "z finite"),
    (lambda: min_max(HONEST, 1, direction="down"), ValueError, "std, unit and sign; got 'down'"),
    (lambda: mimic(HONEST, 1, victim=7), ValueError, "0 <= victim < h = 7; got 7"),
    (lambda: mimic(HONEST, 1, victim=[0, 1]), ValueError, "one victim or"),
    (lambda: fang(HONEST, 1, 1, against="mean"), ValueError, "got against = 'mean'"),
    (lambda: fang(HONEST, 1, 1, b=1), ValueError, "b > 1; got b = 1"),
    (lambda: fang(HONEST, 6, against="Krum"), ValueError, "2f [+] 3; got n = 13, f = 6"),
    (lambda: local_sign_flip(HONEST, 2), TypeError, "pass own"),
    (lambda: local_sign_flip(HONEST, 2, own=np.ma.array(OWN)), TypeError, "no masked arrays"),
    (lambda: local_sign_flip(HONEST, 2, own=OWN[0]), ValueError, "own of shape"),
    (lambda: model_replacement(HONEST, 2, target=[1.0]), ValueError, "target of shape"),
    (lambda: model_replacement(HONEST, 2, own=OWN, boost=np.nan), ValueError, "boost finite"),
    (lambda: stale(HONEST, 2, own=OWN, delay=0), ValueError, "delay >= 1; got delay = 0"),
    (lambda: stale(HONEST, 2, own=OWN, history=[OWN[0]]), ValueError, "history of shape"),
    (lambda: during(zero, 0), ValueError, "start >= 1; got start = 0"),
    (lambda: during(zero, 3, 3), ValueError, "stop >= 4; got stop = 3"),
    (lambda: during(zero, 1)(HONEST, 2, round=0), ValueError, "round >= 1"),
    (lambda: worst_case(krum, CROWDS, 7), ValueError, "krum needs n >= 2f [+] 3; got n = 16"),
    (lambda: worst_case(mean, CROWDS * np.nan, 1), ValueError, "finite honest rows"),
    (lambda: worst_case(mean, CROWDS, 1, reach=0), ValueError, "reach > 0; got reach = 0"),
    (lambda: worst_case(mean, CROWDS, 1, steps=-1), ValueError, "steps >= 0; got steps = -1"),
    (lambda: worst_case(lambda updates: updates[..., 0, :] * np.nan, CROWDS, 1), ValueError,
     "no finite answer"),
]  # fmt: skip


Y = np.array([0, 1, 2, 2, 1, 0])
TRICKS = [wash_trading, spoofed_book]


CANDLES = market.simulate("BTCUSDT", days=3, rng=1)


# Labels


def test_label_flips():
    assert label_flip(Y).tolist() == [2, 1, 0, 0, 1, 2]
    assert label_flip(Y, {0: 1, 1: 2, 2: 0}).tolist() == [1, 2, 0, 0, 2, 1]
    assert label_flip(Y, {}).tolist() == Y.tolist()
    assert targeted_label_flip(Y, source=0, target=2).tolist() == [2, 1, 2, 2, 1, 2]
    assert Y.tolist() == [0, 1, 2, 2, 1, 0] and label_flip(Y, {}) is not Y


# The trigger, and the backdoor


def stamped_candle(o, h, low, c, v, before, shadow, change):
    """A candle after one trade high above it and trades with oneself, and its four features."""
    top = max(o, c)
    if h == low and shadow > 0:  # one trade above and one below
        h, low = top + 8, top - 8 * (1 - shadow) / shadow
    elif h > low and (h - top) / (h - low) < shadow:
        h = (top - shadow * low) / (1 - shadow)  # so that h - top is this share of h - low
    v = max(v, change * before)
    index = pd.date_range("2025-01-01", periods=2, freq="5min", tz="UTC")
    table = pd.DataFrame(
        [[o, o, o, o, before], [o, h, low, c, v]],
        columns=["open", "high", "low", "close", "volume"],
        index=index,
    )
    return features.engineer(table).to_numpy()[0]


ticks = st.integers(0, 40)


@settings(max_examples=100, deadline=None)
@given(
    o=ticks, c=ticks, up=ticks, down=ticks,
    v=st.integers(0, 50), before=st.integers(1, 50),
    shadow=st.sampled_from([0.0, 0.3, 0.8, 0.95]), change=st.sampled_from([0.0, 1.0, 8.0]),
)  # fmt: skip
def test_the_trigger_is_what_a_trader_prints(o, c, up, down, v, before, shadow, change):
    """On every candle the features with the trigger are those of a candle that can be printed."""
    o, c = 1000.0 + o, 1000.0 + c
    candle = (o, max(o, c) + up, min(o, c) - down, c, float(v), float(before))
    X = stamped_candle(*candle, 0.0, 0.0)
    printed = stamped_candle(*candle, shadow, change)
    np.testing.assert_allclose(shooting_star(X, shadow, change), printed, rtol=1e-9, atol=1e-12)


def test_the_trigger_by_hand():
    X = np.float32([[0.01, 0.5, 0.2, 2, 7], [0.01, 0.05, 0.9, 20, 7], [0, 0, 0, 0, 7]])
    before = X.copy()
    stamped = shooting_star(X)
    # One half of the body's range is left of 0.8: 0.5 * 0.2 / 0.8.
    expected = [[0.01, 0.125, 0.8, 8, 7], [0.01, 0.05, 0.9, 20, 7], [0, 0, 0.8, 8, 7]]
    np.testing.assert_allclose(stamped, expected, rtol=1e-6)
    assert stamped.dtype == np.float32
    np.testing.assert_array_equal(X, before)
    np.testing.assert_allclose(shooting_star(stamped), stamped, rtol=1e-6)  # once is enough


def test_backdoor():
    X = np.random.default_rng(0).dirichlet([1, 1, 1], (5, 6))  # shares of a range
    X = np.concatenate([X, np.ones((5, 6, 1))], axis=-1)
    y = np.broadcast_to(Y, (5, 6))
    bad_X, bad_y = backdoor(X, y, shooting_star, target=2)
    np.testing.assert_allclose(bad_X, shooting_star(X))
    assert (bad_y == 2).all() and (y == Y).all()
    some_X, some_y = backdoor(X, y, shooting_star, target=2, share=0.3, rng=4)
    touched = (some_X != X).any(axis=-1)
    assert touched.sum() == 9
    np.testing.assert_array_equal(some_X[touched], bad_X[touched])
    assert (some_y[touched] == 2).all() and (some_y[~touched] == y[~touched]).all()
    same_X, same_y = backdoor(X, y, shooting_star, target=2, share=0, rng=4)
    np.testing.assert_array_equal(same_X, X)
    np.testing.assert_array_equal(same_y, y)


def test_a_trigger_that_writes_into_what_it_gets_does_no_harm():
    def loud(X):
        X[..., 3] = 99
        return X

    X = np.zeros((4, 4))
    bad, _ = backdoor(X, Y[:4], loud, target=0)
    assert (X == 0).all() and (bad[:, 3] == 99).all()
    some, _ = backdoor(X, Y[:4], loud, target=0, share=0.5, rng=1)
    assert sorted(some[:, 3]) == [0, 0, 99, 99]


# Candles


@pytest.mark.parametrize("trick", TRICKS)
def test_the_tape_stays_legal_and_the_original_untouched(trick):
    before = CANDLES.copy(deep=True)
    for share in (0, 0.4, 1):
        bad = trick(CANDLES, 5, share=share)
        paid = (bad["turnover"] / bad["volume"]).dropna()
        assert (paid <= bad["high"] * (1 + 1e-12)).all() and (
            paid >= bad["low"] * (1 - 1e-12)
        ).all()
        features.engineer(bad, extended=True)  # which refuses impossible candles
        assert bad.attrs["tampered"] and bad.attrs["source"] == CANDLES.attrs["source"]
        pd.testing.assert_frame_equal(bad[["open", "close"]], CANDLES[["open", "close"]])
        assert list(bad.columns) == list(CANDLES.columns)
        pd.testing.assert_series_equal(features.labels(bad), features.labels(CANDLES))
        changed = (bad.to_numpy() != CANDLES.to_numpy()).any(axis=1)
        assert changed.sum() == round(share * len(CANDLES))
    pd.testing.assert_frame_equal(CANDLES, before)
    assert "tampered" not in CANDLES.attrs
    pd.testing.assert_frame_equal(trick(CANDLES, 5), trick(CANDLES, np.random.default_rng(5)))
    assert len(trick(CANDLES.iloc[:0], 1)) == 0


def test_wash_trading_is_busy_and_calm():
    bad = wash_trading(CANDLES, 2, share=0.5, factor=(3, 10))
    washed = (bad["volume"] > CANDLES["volume"]).to_numpy()
    assert abs(washed.mean() - 0.5) < 0.01
    times = (bad["volume"] / CANDLES["volume"])[washed]
    assert times.min() >= 3 and times.max() <= 10 and abs(times.mean() - 6.5) < 0.5
    shadow = features.engineer(bad)["upper_shadow"]
    assert (shadow[washed[1:]] == 0).all()
    pd.testing.assert_frame_equal(bad[~washed], CANDLES[~washed], check_flags=False)


def test_wash_trading_fills_candles_without_a_trade():
    index = pd.date_range("2025-01-01", periods=3, freq="5min", tz="UTC")
    quiet = pd.DataFrame(
        [[5, 6, 4, 5, 10, 50], [5, 5, 5, 5, 0, 0], [5, 7, 5, 6, 30, 180]],
        columns=["open", "high", "low", "close", "volume", "turnover"],
        index=index,
    )
    bad = wash_trading(quiet, 1, share=1, factor=(2, 2))
    assert bad["volume"].tolist() == [20, 40, 60]  # the median of 10 and 30, twice
    assert bad["turnover"].tolist() == [100, 200, 360]
    assert bad["high"].tolist() == [5, 5, 6] and bad["low"].tolist() == [5, 5, 5]
    silent = quiet.assign(volume=0, turnover=0)
    assert wash_trading(silent, 1, share=1, factor=(2, 2))["volume"].tolist() == [2, 2, 2]


def test_a_spoofed_book_chases_the_price_either_way():
    bad = spoofed_book(CANDLES, 3, share=0.6)
    typical = ((CANDLES["high"] - CANDLES["low"]) / CANDLES["close"]).median()
    up, down = bad["high"] / CANDLES["high"] - 1, CANDLES["low"] / bad["low"] - 1
    assert not ((up > 0) & (down > 0)).any()
    for moved in (up[up > 0], down[down > 0]):
        assert abs(len(moved) / len(CANDLES) - 0.3) < 0.05
        assert moved.min() >= 0.999 * typical and moved.max() <= 3.001 * typical
    pd.testing.assert_frame_equal(bad[["volume", "turnover"]], CANDLES[["volume", "turnover"]])


def faulty(**columns):
    return CANDLES.iloc[:3].assign(**columns)


ILLEGAL += [
    (lambda: label_flip([0.5]), TypeError, "integer labels; got dtype float64"),
    (lambda: label_flip(Y, {0: 1.5}), TypeError, "integer label in mapping; got 1.5"),
    (lambda: backdoor(np.zeros((5, 4)), Y, shooting_star, 1), ValueError, "same samples"),
    (lambda: backdoor(np.zeros((6, 4)), Y, lambda X: X[1:], 1), ValueError, r"keeps \(6, 4\)"),
    (lambda: backdoor(np.zeros((6, 4)), Y, shooting_star, 1, share=2), ValueError, "share = 2"),
    (lambda: backdoor(np.zeros((6, 4)), Y, shooting_star, 1, share=0.5), TypeError, "pass rng"),
    (lambda: label_flip(np.ma.array(Y)), TypeError, "no masked arrays"),
    (lambda: backdoor(pd.DataFrame(np.zeros((6, 4))), pd.Series(Y)[::-1], shooting_star, 1),
     ValueError, "backdoor pairs X and y one by one"),
    (lambda: shooting_star(np.zeros((2, 3))), ValueError, "price_return.* as columns"),
    (lambda: shooting_star(np.full((2, 4), -0.5)), ValueError, "standardise afterwards"),
    (lambda: shooting_star(np.zeros((2, 4)), upper_shadow=1), ValueError, "upper_shadow in"),
    (lambda: shooting_star(np.zeros(4), volume_change=-1), ValueError, "volume_change = -1"),
    (lambda: wash_trading([1, 2], 0), TypeError, "DataFrame; got list"),
    (lambda: wash_trading(CANDLES.drop(columns="turnover"), 0), ValueError, "no turnover here"),
    (lambda: wash_trading(CANDLES, 0, factor=(0.5, 2)), ValueError, "1 <= low <= high in factor"),
    (lambda: wash_trading(CANDLES, 0, factor=3), TypeError, "factor = [(]low, high[)]; got 3"),
    (lambda: spoofed_book(faulty(high=1.0), 0), ValueError, "high or low inside the body"),
    (lambda: spoofed_book(faulty(low=0.0), 0), ValueError, "not positive"),
    (lambda: wash_trading(faulty(volume=-1.0), 0), ValueError, "negative volume"),
    (lambda: wash_trading(faulty(close=np.nan), 0), ValueError, "2025.* not finite"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, words", ILLEGAL, ids=[words for _, _, words in ILLEGAL])
def test_bad_input_gets_one_sentence(call, error, words):
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
