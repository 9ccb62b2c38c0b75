"""Laws that hold for every input: symmetry, unanimity, the honest box, breakdown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib.aggregators import krum, mean, median, multi_krum, trimmed_mean

ALL = {
    "mean": lambda x, f: mean(x),
    "krum": krum,
    "multi_krum": multi_krum,
    "trimmed_mean": trimmed_mean,
    "median": lambda x, f: median(x),
}
DEFENDED = {name: rule for name, rule in ALL.items() if name != "mean"}
CHOOSING = ("krum", "multi_krum")
rng = np.random.default_rng(181)


@st.composite
def crowds(draw, elements=None):
    """Updates (n, d) with an f that is legal for every rule: n >= 2f + 3."""
    f = draw(st.integers(0, 3))
    n = draw(st.integers(2 * f + 3, 2 * f + 8))
    d = draw(st.integers(1, 5))
    numbers = st.integers(-4, 4).map(float) if elements is None else elements
    return draw(arrays(np.float64, (n, d), elements=numbers)), f


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=60, deadline=None)
@given(crowd=crowds(), seed=st.integers(0, 999))
def test_permutation(name, crowd, seed):
    """Whole numbers are full of ties: no client may gain by its place in the list."""
    x, f = crowd
    shuffled = x[np.random.default_rng(seed).permutation(len(x))]
    np.testing.assert_allclose(ALL[name](shuffled, f), ALL[name](x, f), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=40, deadline=None)
@given(crowd=crowds(), shift=st.integers(-1000, 1000), scale=st.sampled_from([0.25, 2.0, 1024.0]))
def test_translation_and_scaling(name, crowd, shift, scale):
    """F(a X + b) = a F(X) + b. Powers of two and whole numbers keep the arithmetic exact."""
    x, f = crowd
    moved = ALL[name](scale * x + shift, f)
    np.testing.assert_allclose(moved, scale * ALL[name](x, f) + shift, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_reflection(name):
    """F(-X) = -F(X); the lower of two middle values would fail this for even n."""
    for n in (9, 10):
        x = rng.standard_normal((20, n, 4))
        np.testing.assert_allclose(ALL[name](-x, 3), -ALL[name](x, 3), rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_rotation(name):
    """Rules that use distances turn with the space; of the coordinate-wise only the mean does."""
    x = rng.standard_normal((20, 11, 4))
    turn, _ = np.linalg.qr(rng.standard_normal((4, 4)))
    agree = np.allclose(ALL[name](x @ turn, 3), ALL[name](x, 3) @ turn)
    assert agree == (name in ("mean", *CHOOSING))


@pytest.mark.parametrize("name", ALL)
def test_units_of_each_coordinate(name):
    """Coordinate-wise rules do not care in which unit a parameter is counted; distances do."""
    x = rng.standard_normal((20, 11, 4))
    units = np.array([1.0, 8.0, 64.0, 512.0])
    agree = np.allclose(ALL[name](x * units, 3), ALL[name](x, 3) * units)
    assert agree == (name not in CHOOSING)


@pytest.mark.parametrize("name", DEFENDED)
@settings(max_examples=60, deadline=None)
@given(
    truth=arrays(np.float64, 3, elements=st.integers(-(10**9), 10**9).map(lambda k: k / 1000)),
    lies=arrays(np.float64, (3, 3), elements=st.floats(-1e300, 1e300)),
)
def test_unanimity_of_n_minus_f(name, truth, lies):
    """If n - f clients say the same, that is the answer, to the last bit."""
    x = np.concatenate([np.tile(truth, (7, 1)), lies])
    result = DEFENDED[name](x, 3)
    if name == "multi_krum":  # (v + v + ...) / m rounds
        np.testing.assert_allclose(result, truth, rtol=1e-15)
    else:
        np.testing.assert_array_equal(result, truth)


def test_the_mean_is_not_unanimous():
    assert mean([[1.0], [1.0], [7.0]]) != 1.0


@pytest.mark.parametrize("name", ("trimmed_mean", "median"))
@settings(max_examples=60, deadline=None)
@given(crowd=crowds(st.floats(-1e9, 1e9)), size=st.floats(-1e300, 1e300))
def test_coordinate_rules_stay_in_the_honest_box(name, crowd, size):
    x, f = crowd
    honest = x[f:]
    x[:f] = size
    result = DEFENDED[name](x, f)
    assert (result >= honest.min(axis=0)).all() and (result <= honest.max(axis=0)).all()


@pytest.mark.parametrize(
    ("name", "survives"), [("mean", 0), ("krum", 4), ("trimmed_mean", 3), ("median", 4)]
)
def test_breakdown_of_ten_clients_told_to_expect_three(name, survives):
    """Gross liars at 1e4. Krum is promised three; a fourth far-away liar lacks near neighbours."""
    x = rng.standard_normal((200, 10, 3))
    bounded = []
    for liars in range(7):
        poisoned = x.copy()
        poisoned[:, :liars] = 1e4
        bounded.append(bool(np.abs(ALL[name](poisoned, 3)).max() < 100))
    assert bounded == [liars <= survives for liars in range(7)]


def test_without_liars_trimming_nothing_is_the_mean():
    x = rng.standard_normal((9, 4))
    np.testing.assert_allclose(trimmed_mean(x, 0), mean(x), rtol=1e-14)
    assert not np.allclose(krum(x, 0), mean(x))


def test_full_trimming_is_the_median():
    for n in range(1, 12):
        x = rng.standard_normal((n, 4))
        np.testing.assert_array_equal(trimmed_mean(x, (n - 1) // 2), median(x))


def test_a_common_offset_costs_no_choice():
    """Krum picks the same client when all updates sit at 1e6, in float32 too."""
    x = rng.standard_normal((200, 10, 6)).astype(np.float32)
    offset = np.float32(2.0**20)
    near = (x + offset) - offset  # what float32 keeps of x at that offset
    _, here = krum(near, 3, return_weights=True)
    _, there = krum(x + offset, 3, return_weights=True)
    np.testing.assert_array_equal(here, there)
