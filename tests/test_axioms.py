"""What all rules promise: symmetry, unanimity, boxes, breakdown; stacks, types, broken rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib import aggregators as ag
from byzlib.aggregators import mean
from tests.catalogue import DEFENDED, EVERYTHING, PIPELINES, PREAGGREGATIONS, RULES, Rule

ALL = {"mean": Rule(lambda x, f, **k: mean(x, **k), lambda f: 1, "TSRODW", False), **EVERYTHING}
DRAWING = [name for name in EVERYTHING if "buck" in name or "of_means" in name]
rng = np.random.default_rng(181)


def call(name, x, f=2, **k):
    return ALL[name].call(x, f, **k)


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


# What every rule is given and gives back


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name not in DRAWING])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lead", [(), (0,), (1,), (2, 3), (40,)])
def test_stacked_trials_equal_the_loop(name, dtype, lead):
    x = np.random.default_rng(1).standard_normal((*lead, 11, 5)).astype(dtype)
    for index in list(np.ndindex(lead))[1::3]:  # rows are broken in some of the trials only
        x[index][[4, 6], 2] = np.nan, np.inf
    result, weights = call(name, x, return_weights=True)
    assert result.shape[: len(lead)] == lead and result.shape[-1] == 5 and result.dtype == dtype
    assert weights.shape == (*result.shape[:-1], 11)
    for index in np.ndindex(lead):
        alone, alone_weights = call(name, x[index], return_weights=True)
        # Sums of another number of trials may be taken in another order.
        exact = 1e-6 if dtype == np.float32 else 1e-13
        np.testing.assert_allclose(result[index], alone, rtol=exact, atol=exact)
        np.testing.assert_allclose(weights[index], alone_weights, rtol=1e-5, atol=exact)


@pytest.mark.parametrize("name", DEFENDED)
def test_weights_sum_to_one(name):
    x = np.random.default_rng(8).standard_normal((6, 11, 5))
    x[3, 2], x[4], x[5] = np.inf, 0, x[5, 0]
    _, weights = DEFENDED[name].call(x, 2, return_weights=True)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in DEFENDED if "W" in DEFENDED[name].laws])
def test_answers_that_are_weights_times_updates(name):
    x = np.random.default_rng(9).standard_normal((20, 11, 5))
    result, weights = DEFENDED[name].call(x, 2, return_weights=True)
    np.testing.assert_allclose(result, np.einsum("tn,tnd->td", weights, x), atol=1e-13)


@pytest.mark.parametrize("name", [name for name in DEFENDED if name not in DRAWING])
def test_broken_rows_are_dropped_with_their_share_of_f(name):
    x = np.random.default_rng(2).standard_normal((11, 4))
    x[3, 1], x[7] = np.nan, -np.inf
    expected = DEFENDED[name].call(np.delete(x, [3, 7], axis=0), 0)
    result, weights = DEFENDED[name].call(x, 2, return_weights=True)
    np.testing.assert_allclose(result, expected, rtol=1e-13)
    assert weights[3] == weights[7] == 0
    np.testing.assert_array_equal(DEFENDED[name].call(x, 2), result)


@pytest.mark.parametrize("name", EVERYTHING)
def test_more_broken_rows_than_expected_are_refused(name):
    x = np.random.default_rng(2).standard_normal((4, 11, 4))
    rule = EVERYTHING[name]
    if name == "buckets then geometric median":
        pytest.skip("five broken rows may spoil three buckets of six")
    limit = 2 if rule.takes_f else 5
    x[2, :limit, 1] = np.nan
    answer = rule.call(x, 2)  # as many as expected are tolerated
    assert name in PREAGGREGATIONS or np.isfinite(answer).all()
    x[2, limit, 3] = np.inf
    caller = {"mixing": "nearest_neighbor_mixing", "clipping": "adaptive_clipping"}.get(
        name.split()[0], name
    )
    with pytest.raises(ValueError, match=f"{caller} tolerates {limit} faulty of n = 11 .* got "):
        rule.call(x, 2)


def test_krum_scores_of_a_broken_row_are_infinite():
    x = np.arange(7.0)[:, None]
    x[3] = np.nan
    scores = ag.krum_scores(x, 2)
    assert np.isinf(scores[3]) and np.isfinite(np.delete(scores, 3)).all()


def test_the_mean_does_not_defend():
    x = np.ones((4, 2))
    x[0, 0] = np.nan
    result = mean(x)
    assert np.isnan(result[0]) and result[1] == 1
    assert np.isinf(mean([[np.inf], [1.0]]))
    assert np.isnan(mean([[np.inf], [-np.inf]]))


@pytest.mark.parametrize("name", ALL)
def test_types_and_aliasing(name):
    x = np.random.default_rng(3).standard_normal((11, 6))
    x[4] = x[5] = x[6]  # the answer of some rules is then a row, and must still be a copy
    x.flags.writeable = False
    before = x.copy()
    result, weights = call(name, x, return_weights=True)
    assert not np.shares_memory(result, x) and not np.shares_memory(weights, x)
    result += 1
    weights += 1  # ours to change
    np.testing.assert_array_equal(x, before)
    result = call(name, x)
    assert call(name, x.astype(np.float32)).dtype == np.float32
    assert call(name, np.arange(66).reshape(11, 6)).dtype == np.float64
    assert call(name, x.astype(">f8")).dtype == np.float64
    half = call(name, x.astype(np.float16))
    assert half.dtype == np.float64
    np.testing.assert_array_equal(call(name, x.tolist()), result)
    np.testing.assert_array_equal(call(name, list(x)), result)
    assert call(name, np.zeros((0, 11, 6))).shape[0] == 0
    wide = np.asfortranarray(np.repeat(x, 2, axis=1))
    for other in (np.asfortranarray(x), wide[:, ::2], x[::-1][::-1], np.repeat(x, 2, axis=0)[::2]):
        np.testing.assert_allclose(call(name, other), result, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ALL)
def test_one_client(name):
    one = [[0.3, 0.4]]
    if name in DRAWING or ALL[name].least(0) > 1:
        with pytest.raises(ValueError, match="n = 1"):
            call(name, one, 0)
    else:
        assert np.array(call(name, one, 0)).ravel().tolist() == [0.3, 0.4]


def test_every_rule_has_its_laws():
    """A rule that joins the library joins these tests."""
    named = set(ag.__all__) - {"RULES", "compose", "krum_scores", "mean", "apply_rule", "aggregate"}
    lawless = named ^ (set(RULES) | set(PREAGGREGATIONS))
    assert not lawless, f"write the laws of {lawless} into RULES in tests/catalogue.py"
    random_groups = {"geometric_median_of_means", "buckets then geometric median"}
    untried = set(DEFENDED) - set(SURVIVES) - random_groups
    assert not untried, f"say what {untried} must survive, in SURVIVES in tests/test_axioms.py"
    assert set(PIPELINES) < set(EVERYTHING)
