"""Laws that hold for every input, and where they end: symmetry, unanimity, boxes, breakdown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib import aggregators as ag
from byzlib.aggregators import krum, mean, median, multi_krum
from tests.catalogue import DEFENDED, EVERYTHING, PIPELINES, PREAGGREGATIONS, RULES, Rule

ALL = {"mean": Rule(lambda x, f, **k: mean(x, **k), lambda f: 1, "TSRODW", False), **EVERYTHING}
rng = np.random.default_rng(181)


@st.composite
def crowds(draw, name, elements=None, most_d=4):
    """Updates (n, d) with an f that is legal for the rule; whole numbers, full of ties."""
    least = ALL[name].least
    f = draw(st.integers(0, 2))
    n = draw(st.integers(least(f), least(f) + 4))
    d = draw(st.integers(1, most_d))
    numbers = st.integers(-4, 4).map(float) if elements is None else elements
    return draw(arrays(np.float64, (n, d), elements=numbers)), f


def law(test):
    """Run a test of (name, draw) for every rule."""
    return pytest.mark.parametrize("name", ALL)(settings(max_examples=25)(test))


@law
@given(data=st.data(), seed=st.integers(0, 999))
def test_permutation(name, data, seed):
    """Whole numbers are full of ties: no client may gain by its place in the list."""
    x, f = data.draw(crowds(name))
    order = np.random.default_rng(seed).permutation(len(x))
    result, weights = ALL[name].call(x, f, return_weights=True)
    shuffled, shuffled_weights = ALL[name].call(x[order], f, return_weights=True)
    if name in PREAGGREGATIONS and name != "bucketing":
        result, weights = result[order], weights[order]
    np.testing.assert_allclose(shuffled, result, rtol=1e-13, atol=1e-13)
    # A winner among equal rows is any of them: together they count the same.
    same = (x[:, None] == x).all(axis=-1).astype(float)
    np.testing.assert_allclose(
        shuffled_weights @ same[order], weights @ same, rtol=1e-12, atol=1e-12
    )


# The table of symmetries: each entry holds on a crowd without ties, or fails there.
TURN, _ = np.linalg.qr(rng.standard_normal((4, 4)))
UNITS = np.array([1.0, 8.0, 64.0, 512.0])
SYMMETRIES = {
    "T": lambda x: x + np.array([3.0, -20.0, 0.5, 7.0]),
    "S": lambda x: 0.37 * x,
    "R": lambda x: -x,
    "O": lambda x: x @ TURN,
    "D": lambda x: x * UNITS,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_table_of_symmetries(name, symmetry):
    """f = 3: the last rounds of Bulyan have a closest pair, and a tie, where f is 1 or 2."""
    x = np.random.default_rng(3).standard_normal((10, 16, 4))
    change, rule = SYMMETRIES[symmetry], ALL[name].call
    agree = np.allclose(rule(change(x), 3), change(rule(x, 3)), rtol=1e-9, atol=1e-9)
    assert agree == (symmetry in ALL[name].laws)


def test_an_even_crowd_has_a_median_without_a_side():
    """The lower of the two middle values would fail this."""
    x = rng.standard_normal((20, 10, 4))
    np.testing.assert_array_equal(median(-x), -median(x))


@pytest.mark.parametrize("name", DEFENDED)
@settings(max_examples=40)
@given(
    truth=arrays(np.float64, 3, elements=st.integers(-(10**9), 10**9).map(lambda k: k / 1000)),
    lies=arrays(np.float64, (3, 3), elements=st.floats(-1e300, 1e300)),
    more=st.integers(0, 3),
)
def test_unanimity_of_n_minus_f(name, truth, lies, more):
    """If n - f clients say the same, that is the answer, to the last bit."""
    least = ALL[name].least(3)
    x = np.concatenate([lies, np.tile(truth, (least + more - 3, 1))])
    result, weights = DEFENDED[name].call(x, 3, return_weights=True)
    if "U" in DEFENDED[name].laws:
        np.testing.assert_array_equal(result, truth)
        small = DEFENDED[name].call(x.clip(-1e38, 1e38).astype(np.float32), 3)
        np.testing.assert_array_equal(small, truth.astype(np.float32))
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("name", [name for name in ALL if "B" in ALL[name].laws])
@settings(max_examples=40)
@given(data=st.data(), sizes=st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2))
def test_the_honest_box(name, data, sizes):
    """Every coordinate stays between the honest extremes, whatever f clients send."""
    x, f = data.draw(crowds(name, st.floats(-1e9, 1e9)))
    honest = x[f:]
    x[:f] = np.array(sizes)[:f, None]
    result = ALL[name].call(x, f)
    assert (result >= honest.min(axis=0)).all() and (result <= honest.max(axis=0)).all()


# How many gross liars in one place a rule survives that was told to expect three of fifteen.
SURVIVES = {
    "mean": 0,
    "krum": 7,  # eight have fewer honest rows among their ten nearest than the honest have liars
    "multi_krum": 3,
    "trimmed_mean": 3,
    "median": 7,
    "geometric_median": 7,
    "bulyan": 6,
    "mean_around_median": 3,
    "minimum_diameter_average": 3,
    "centered_clipping": 15,  # never farther than its radius
    "mixing then trimmed mean": 3,
    "mixing then krum": 3,
    "clipping then trimmed mean": 4,  # it clips floor(2 * 3 / 15 * 12) = 4
}


@pytest.mark.parametrize("name", SURVIVES)
def test_breakdown(name):
    x = np.random.default_rng(5).standard_normal((40, 15, 3))
    bounded = []
    for liars in range(16):
        poisoned = x.copy()
        poisoned[:, :liars] = 1e6
        bounded.append(bool(np.abs(ALL[name].call(poisoned, 3)).max() < 100))
    assert bounded == [liars <= SURVIVES[name] for liars in range(16)]


def test_multi_krum_of_one_is_krum():
    x = rng.standard_normal((20, 9, 4))
    np.testing.assert_array_equal(multi_krum(x, 3, 1), krum(x, 3))


def test_every_rule_has_its_laws():
    """A rule that joins the library joins these tests."""
    named = set(ag.__all__) - {"RULES", "compose", "krum_scores", "mean", "apply_rule", "aggregate"}
    assert named == set(RULES) | set(PREAGGREGATIONS)
    assert set(SURVIVES) >= set(DEFENDED) - {
        "geometric_median_of_means",
        "buckets then geometric median",
    }
    assert set(PIPELINES) < set(EVERYTHING)
