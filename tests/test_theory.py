"""Closed forms against the rules themselves: attained where exact, never exceeded where a bound."""

import re
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest

from byzlib import theory
from byzlib.aggregators import RULES, mean, median
from byzlib.attacks import sign_flip

CROWDS = [(5, 1), (7, 2), (10, 1), (10, 3)]
UNTOLD = ("mean", "median", "geometric median")


def answer(name, updates, f):
    return RULES[name](updates, *([] if name in UNTOLD else [f]))


def ratio(name, updates, honest, told):
    return theory.measured_kappa(answer(name, updates, told), updates, honest)


# What counts and numbers may be, for all rooms


@pytest.mark.parametrize(
    ("needs", "right", "wrong"),
    [
        ("> 0", [1e-300, 1, np.inf], [0, -1, np.nan]),
        (">= 0", [0, np.inf], [-1e-300, np.nan]),
        ("finite", [-1e300, 0], [np.inf, -np.inf, np.nan]),
        ("finite and >= 0", [0, 1e300], [-1e-300, np.inf, np.nan]),
        ("in (0, 1)", [1e-300, 0.999], [0, 1, np.nan]),
        ("in [0, 1)", [0, 0.999], [-0.001, 1, np.nan]),
        ("in (0, 1]", [1e-300, 1], [0, 1.001, np.nan]),
        ("in [0, 1]", [0, 1], [-0.001, 1.001, np.nan]),
        ("in [0, 1/2)", [0, 0.499], [-0.001, 0.5, np.nan]),
    ],
)
def test_numbers_meet_what_they_need(needs, right, wrong):
    np.testing.assert_array_equal(theory.as_numbers(right, "x", "rule", needs), right)
    for value in wrong:
        for call, given in ((theory.as_number, value), (theory.as_numbers, [right[0], value])):
            with pytest.raises(ValueError, match=f"rule needs x {re.escape(needs)}; got x = "):
                call(given, "x", "rule", needs)
    for value in (True, "1", None, 1j, [1.0]):
        with pytest.raises(TypeError, match="rule needs a number x; got"):
            theory.as_number(value, "x", "rule", needs)


def test_counts_are_integers_of_any_type():
    for value in (3, np.int8(3), np.uint64(3), np.array(3)):
        assert type(theory.as_count(value, "f", "rule", least=3)) is int
    for value in (True, np.True_, 3.0, "3", None, [3]):
        with pytest.raises(TypeError, match="rule needs an integer f; got"):
            theory.as_count(value, "f", "rule")
    with pytest.raises(ValueError, match="rule needs f >= 3; got f = 2"):
        theory.as_count(2, "f", "rule", least=3)


def test_generators_come_from_seeds():
    rng = np.random.default_rng(0)
    assert theory.as_generator(rng, "rule") is rng
    assert theory.as_generator(5, "rule").random() == np.random.default_rng(5).random()
    for value, error in [(None, TypeError), (1.5, TypeError), (True, TypeError), (-1, ValueError)]:
        with pytest.raises(error, match="rule .*rng"):
            theory.as_generator(value, "rule")


def test_masked_arrays_are_refused():
    masked = np.ma.masked_less([0.01, -9.0, 0.02], 0)
    ask = {
        "as_updates": lambda: theory.as_updates(masked[:, None], "rule"),
        "a list of rows": lambda: theory.as_updates([masked, masked], "rule"),
        "as_reals": lambda: theory.as_reals(masked, "rule"),
        "as_numbers": lambda: theory.as_numbers(masked, "x", "rule"),
        "counts": lambda: theory.breakdown("median", np.ma.array([9, 10])),
        "measured_kappa": lambda: theory.measured_kappa([0.0], masked[:, None], [1, 1, 0]),
    }
    for call in ask.values():
        with pytest.raises(TypeError, match="takes no masked arrays"):
            call()


def test_real_numbers_of_any_shape_become_float64():
    for given in ([1, 2], [[True]], np.float16(3), pd.Series([1.5])):
        found = theory.as_reals(given, "rule")
        assert found.dtype == np.float64 and found.tolist() == np.asarray(given).tolist()
    for given in (["a"], [1j], None, [{}]):
        with pytest.raises(TypeError, match="rule needs real numbers; got an array of dtype"):
            theory.as_reals(given, "rule")


def test_labelled_tables_are_paired_by_their_labels():
    times = pd.date_range("2025-01-01", periods=3, tz="UTC")
    a, rows = pd.Series(1.0, times), pd.DataFrame(np.zeros((2, 3)), columns=times)
    b = pd.Series(2.0, times.as_unit("ms"))  # the same times
    for right in ([a, b], [a, np.zeros(3)], [[1, 2], b], [a, rows], [a, [b, a]]):
        theory.refuse_unpaired("rule", x=right[0], y=right[1])
    for wrong in (a[:2], a[::-1], a.shift(freq="D"), a.tz_localize(None), [b, a[::-1]], rows.T):
        with pytest.raises(ValueError, match="rule pairs x and y one by one, but their indexes"):
            theory.refuse_unpaired("rule", x=a, y=wrong)


# kappa: the worst case


def test_measured_kappa_is_the_definition():
    x = np.random.default_rng(1).standard_normal((4, 7, 3))
    honest = np.array([True, False, True, True, True, False, True])
    measured = theory.measured_kappa(median(x), x, honest)
    for t in range(4):
        rows = [x[t, i] for i in range(7) if honest[i]]
        center = sum(rows) / 5
        error = sum((np.median(x[t], axis=0) - center) ** 2)
        assert measured[t] == pytest.approx(error / (sum(sum((r - center) ** 2) for r in rows) / 5))
    same = np.zeros((3, 1))
    assert theory.measured_kappa([1.0], same, [1, 1, 0]) == np.inf
    assert theory.measured_kappa([0.0], same, [1, 1, 0]) == 0
    for size in (1e-200, 1e200):
        assert theory.measured_kappa(size * median(x), size * x, honest) == pytest.approx(measured)
    agreed = np.full((9, 1), 0.1)  # the mean of the first seven is not 0.1
    assert theory.measured_kappa([0.1], agreed, np.arange(9) < 7) == 0


def test_kappa_of_small_crowds():
    n, f = np.array(CROWDS).T
    lowest, middle = [1 / 3, 2 / 3, 0.125, 0.75], [1, 1.5, 0.8, 4 / 3]
    np.testing.assert_allclose(theory.kappa_lower_bound(n, f), lowest)
    np.testing.assert_allclose(theory.kappa("trimmed mean", n, f), lowest)
    np.testing.assert_allclose(theory.kappa("median", n, f), middle)
    np.testing.assert_allclose(theory.kappa("trimmed mean", n, f, (n - 1) // 2), middle)
    assert (theory.kappa("trimmed mean", n, f, f - 1) == np.inf).all()
    n, f = np.array([[9], [10]]), np.array([0, 1, 4])
    expected = [[8 / 10, 8 / 8, 8 / 2], [8 / 12, 8 / 10, 8 / 4]]
    np.testing.assert_allclose(theory.kappa("median", n, f), expected)
    assert theory.kappa("mean", n, f).tolist() == [[0, np.inf, np.inf]] * 2
    assert theory.kappa("trimmed mean", 10, 1, declared=[1, 2]) == pytest.approx([1 / 8, 2 / 7])


@pytest.mark.parametrize("name", theory.EXACT)
@pytest.mark.parametrize("n", [1, 2, 3, 6, 9, 10, 25])
def test_the_worst_case_is_attained(name, n):
    for f in range((n + 1) // 2):
        for told in range((n + 1) // 2):
            x, honest = theory.worst_case_instance(name, n, f, told)
            exact = theory.kappa(name, n, f, told)
            assert x.shape == (n, 1) and honest.sum() == n - f
            assert ratio(name, x, honest, told) == pytest.approx(exact, abs=1e-9)
            assert ratio(name, 5 - 3 * x, honest, told) == pytest.approx(exact, abs=1e-9)


# Nothing is known of the rule but its answers: random crowds are changed a little, or one client is
# copied onto another, and whatever hurts more is kept.


def search_kappa(name, n, f, told, d, trials, steps):
    """The largest squared error over honest variance that a search found; the last f lie."""
    rng, honest = np.random.default_rng(0), np.arange(n) < n - f

    def hurt(crowds):
        return ratio(name, crowds, honest, told)

    crowds = rng.integers(-2, 3, (trials, n, d)) + rng.choice([0, 1e-3, 1], (trials, 1, 1)) * (
        rng.standard_normal((trials, n, d))
    )
    crowds[:, honest] += np.eye(n, d)[honest]  # no crowd without any spread
    best = hurt(crowds)
    for _ in range(steps):
        tried = moved(crowds, rng)
        found = np.where(tried[:, honest].var(axis=1).sum(axis=1) > 1e-6, hurt(tried), -np.inf)
        better = found > best
        crowds[better], best[better] = tried[better], found[better]
    return best.max()


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


@pytest.mark.parametrize(("n", "f"), CROWDS)
@pytest.mark.parametrize("name", ["trimmed mean", "median"])
def test_a_search_reaches_the_worst_case_and_no_more(name, n, f):
    told = {f, f + 1, (n - 1) // 2} if name == "trimmed mean" else {f}
    for declared in sorted(b for b in told if 2 * b < n):
        exact = theory.kappa(name, n, f, declared)
        for d in (1, 2):
            found = search_kappa(name, n, f, declared, d, trials=32, steps=250)
            assert exact * (1 - 1e-4) < found <= exact * (1 + 1e-9)


def test_published_bounds():
    """Printed for ten clients, three of them liars; all above the exact constants."""
    published = {"trimmed mean": 7.875, "Krum": 10.5, "median": 12.25, "geometric median": 12.25}
    for name, bound in published.items():
        assert theory.kappa_published(name, 10, 3) == pytest.approx(bound)
        assert theory.kappa_published(name, 20, 4) < bound
    n, f = np.array([5, 7, 10, 10, 51]), np.array([1, 2, 1, 3, 24])
    for name, times in [("trimmed mean", 6), ("median", 4)]:
        assert (theory.kappa_published(name, n, f) > times * theory.kappa(name, n, f)).all()


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("Krum", [6.9327, 9.9934, 4.1393, 9.7764]),
        ("multi-Krum", [1.9474, 4.6098, 0.5858, 5.0204]),
        ("minimum diameter average", [1.8264, 4.9460, 0.7124, 6.9136]),
        ("mean around median", [2.25, 5.0387, 0.7490, 5.2856]),
        ("geometric median", [7.1111, 11.1111, 5.0625, 12.25]),
    ],
)
def test_proved_bounds(name, bounds):
    """Worked out by hand from the inequalities that the docstring gives."""
    n, f = np.array(CROWDS).T
    np.testing.assert_allclose(theory.kappa_bound(name, n, f), bounds, atol=5e-5)
    if name not in ("Krum", "geometric median"):
        assert theory.kappa_bound(name, 11, 0) == 0
    bulyan = [0, (2**0.5 + (6 / 4 * 3) ** 0.5) ** 2, 22.2489]
    assert theory.kappa_bound("Bulyan", [7, 7, 11], [0, 1, 2]) == pytest.approx(bulyan, 1e-5)


EFFORT = {"geometric median": 15, "Bulyan": 40, "minimum diameter average": 40}


@pytest.mark.filterwarnings("ignore:geometric_median")
@pytest.mark.parametrize("name", [name for name in RULES if name not in theory.EXACT])
def test_a_search_stays_below_the_bounds(name):
    for n, f in [*CROWDS, (11, 2)] if name == "Bulyan" else CROWDS:
        if n >= theory.LEGAL[name][0] * f + theory.LEGAL[name][1]:
            steps = EFFORT.get(name, 100)
            found = search_kappa(name, n, f, f, d=2, trials=16, steps=steps)
            assert theory.kappa_lower_bound(n, f) < found < theory.kappa_bound(name, n, f)
            if name in ("Krum", "geometric median"):
                assert found < theory.kappa_published(name, n, f)


# How many liars


def test_breakdown_of_ten():
    counts = {name: theory.breakdown(name, 10) for name in theory.LEGAL}
    assert counts.pop("mean") == 0 and counts.pop("Bulyan") == 1
    assert counts.pop("Krum") == counts.pop("multi-Krum") == 3
    assert set(counts.values()) == {4}
    assert theory.breakdown("Bulyan", [14, 15]).tolist() == [2, 3]
    assert theory.breakdown("median", np.arange(1, 7)).tolist() == [0, 0, 1, 1, 2, 2]
    assert theory.breakdown("trimmed mean", 10, declared=2) == 2
    assert theory.breakdown("median", 10, declared=2) == 4


# Krum, attacks, samples of the clients


@pytest.mark.parametrize(
    ("form", "n", "f", "table"),
    [
        (theory.eta, [5, 10, 10, 20, 51], [0, 1, 3, 4, 24], [3.162, 4.796, 9.110, 9.550, 176.652]),
        (theory.alie_z_max, [10, 10, 25, 51], [1, 3, 5, 24], [-0.1397, 0.180, 0.2533, 1.446]),
        # Chapter 3 sees Krum follow a clique just within this distance and none just beyond.
        (
            theory.krum_clique_distance,
            [10, 10, 20, 25],
            [1, 3, 6, 5],
            np.sqrt([1, 7 / 3, 17 / 7, 22 / 14]),
        ),
    ],
)
def test_printed_tables(form, n, f, table):
    np.testing.assert_allclose(form(n, f), table, atol=6e-4)


def test_the_mean_turns_at_the_border():
    assert theory.sign_flip_border(10, [1, 3]).tolist() == pytest.approx([9, 7 / 3])
    assert theory.sign_flip_border(10, 0) == np.inf
    honest = np.random.default_rng(4).normal(1, 0.3, (7, 5))
    for factor, turned in [(0.99, False), (1.01, True)]:
        lies = sign_flip(honest, 3, scale=factor * theory.sign_flip_border(10, 3))
        assert (mean(np.concatenate([honest, lies])) @ honest.mean(axis=0) < 0) == turned


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
    assert theory.oversampled(1000, 100, 100, 49) == pytest.approx(
        sum(comb(100, x) * comb(900, 100 - x) for x in range(50, 101)) / comb(1000, 100), rel=1e-9
    )


# Many clients


ALPHAS = np.array([0.01, 0.05, 0.1, 0.2, 0.3, 0.4])


def test_worst_case_bias():
    table = [0.0127, 0.0660, 0.1397, 0.3186, 0.5659, 0.9674]
    np.testing.assert_allclose(theory.worst_case_bias("median", ALPHAS), table, atol=6e-5)
    table = [0.0272, 0.1134, 0.2131, 0.4237, 0.6869, 1.0908]
    np.testing.assert_allclose(theory.worst_case_bias("trimmed mean", ALPHAS), table, atol=6e-5)
    assert theory.worst_case_bias("mean", [0, 0.1]).tolist() == [0, np.inf]
    every = np.linspace(0.001, 0.499, 200)
    bias = {name: theory.worst_case_bias(name, every) for name in ("median", "trimmed mean")}
    assert (bias["median"] < bias["trimmed mean"]).all()
    kappa = {name: theory.kappa(name, 1000, [1, 100, 400]) for name in bias}
    assert (kappa["median"] > kappa["trimmed mean"]).all()


def test_asymptotic_variance():
    trims = [0.05, 0.1, 0.2, 0.25, 0.3, 0.4]
    table = [1.0263, 1.0604, 1.1447, 1.1952, 1.2521, 1.3898]
    ours = theory.asymptotic_variance("trimmed mean", trim=trims)
    np.testing.assert_allclose(ours, table, atol=6e-5)
    assert theory.asymptotic_variance("mean") == 1
    assert theory.asymptotic_variance("trimmed mean", trim=0) == pytest.approx(1)
    middle = theory.asymptotic_variance("trimmed mean", trim=0.499999)
    assert middle == pytest.approx(theory.asymptotic_variance("median"), abs=1e-4)
    efficiency = 1 / theory.asymptotic_variance("geometric median", d=[1, 2, 3, 5, 10, 100])
    np.testing.assert_allclose(efficiency, [0.637, 0.785, 0.849, 0.905, 0.951, 0.995], atol=6e-4)
    assert theory.asymptotic_variance("geometric median", d=1) == pytest.approx(np.pi / 2)
    assert theory.asymptotic_variance("geometric median", d=10**6) == pytest.approx(1, abs=1e-5)


# Training


def descend(centers, honest, name, told, lie, steps=200, step=0.5, start=10.0):
    """Gradient descent on (theta - c_i)^2 / 2 with liars; theta after each step."""
    path = [start]
    for _ in range(steps):
        gradients = np.where(honest, path[-1] - centers, lie)[:, None]
        path.append(path[-1] - step * answer(name, gradients, told)[0])
    return np.array(path)


def test_gradient_floor():
    """With step 1 / L the squared gradients average to at most 2 L (loss - best) / T + floor^2."""
    rng = np.random.default_rng(9)
    for n, f in CROWDS:
        centers, honest = rng.standard_normal(n), np.arange(n) < n - f
        optimum, spread = centers[honest].mean(), centers[honest].std()
        floor = theory.gradient_floor(theory.kappa("median", n, f), spread)
        path = descend(centers, honest, "median", f, lie=1e9, steps=30, step=1.0)
        squares = (path[:-1] - optimum) ** 2
        assert squares.mean() <= 2 * squares[0] / 2 / 30 + floor**2
    assert theory.gradient_floor(0.25, 2.0) == 1
    assert theory.gradient_floor(np.inf, 0.0) == np.inf
    assert theory.gradient_floor(0.5, 1.0, B=[1, 1.5]).tolist() == [1, np.inf]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_gradient_floor_where_steep_losses_differ_more(share):
    """A gradient at which the liars stop the descent: the answer is 0, spread G^2 + B^2 g^2."""
    n, f = 10, 3
    x, honest = theory.worst_case_instance("trimmed mean", n, f)
    gradients = 2 * (x - 1)
    assert answer("trimmed mean", gradients, f) == 0
    g, spread = abs(gradients[honest].mean()), gradients[honest].var()
    B = np.sqrt(share * spread) / g
    G = np.sqrt((1 - share) * spread)
    kappa = theory.kappa("trimmed mean", n, f)
    assert theory.gradient_floor(kappa, G, B) == pytest.approx(g)
    assert theory.radius_strongly_convex(kappa, G, 2.0, B) == pytest.approx(g / 2)


# Illegal questions


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: theory.kappa("Krum", 9, 2), ValueError, "kappa knows mean, .*; got 'Krum'"),
        (lambda: theory.kappa("median", [9, 4], 2), ValueError, "n > 2f; got n = 4, f = 2"),
        (lambda: theory.kappa("median", 9, True), TypeError, "integer f; got True"),
        (lambda: theory.kappa("trimmed mean", 8, 1, 4), ValueError, "as declared, needs n > 2f"),
        (lambda: theory.kappa_published("Bulyan", 9, 1), ValueError, "knows .*; got 'Bulyan'"),
        (lambda: theory.kappa_published("Krum", 6, 2), ValueError, r"n >= 2f \+ 3 for Krum; got n"),
        (lambda: theory.kappa_bound("Bulyan", 10, 2), ValueError, r"n >= 4f \+ 3 for Bulyan"),
        (lambda: theory.kappa_bound("average", 10, 2), ValueError, "knows .*; got 'average'"),
        (lambda: theory.breakdown("Krums", 9), ValueError, "knows .*; got 'Krums'"),
        (lambda: theory.breakdown_fraction(-1), ValueError, "B >= 0; got B = -1"),
        (lambda: theory.eta(6, 2), ValueError, r"eta needs n >= 2f \+ 3 for Krum; got n = 6"),
        (lambda: theory.alie_z_max(9, 0), ValueError, "f >= 1; got f = 0"),
        (lambda: theory.sign_flip_border(6, 3), ValueError, "n > 2f; got n = 6, f = 3"),
        (lambda: theory.worst_case_bias("median", 0.5), ValueError, r"in \[0, 1/2\); got alpha ="),
        (lambda: theory.asymptotic_variance("Krum"), ValueError, "knows .*; got 'Krum'"),
        (lambda: theory.asymptotic_variance("geometric median", d=0), ValueError, "d >= 1"),
        (lambda: theory.radius_strongly_convex(1, 1, 0), ValueError, "mu > 0; got mu = 0"),
        (lambda: theory.oversampled(10, 11, 3, 1), ValueError, "f <= n; got f = 11, n = 10"),
        (lambda: theory.oversampled(10, 2, 11, 1), ValueError, "sampled <= n; got sampled = 11"),
        (lambda: theory.oversampled(10, 2, 0, 1), ValueError, "sampled >= 1"),
        (lambda: theory.oversampled(10, 2, 3, -1), ValueError, "bear >= 0"),
    ],
)
def test_illegal_questions(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
