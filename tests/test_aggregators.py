"""Each rule against its slow definition, other libraries' numbers, and its contract."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib.aggregators import RULES, krum, krum_scores, mean, median, multi_krum, trimmed_mean
from tests import reference

BOOK = json.loads((Path(__file__).parent / "vectors.json").read_text())
SEVEN = np.array([0, 1, 4, 7, 8, 12, 14.0])[:, None]
DEFENDED = {
    "krum": lambda x, **k: krum(x, 2, **k),
    "multi_krum": lambda x, **k: multi_krum(x, 2, **k),
    "trimmed_mean": lambda x, **k: trimmed_mean(x, 2, **k),
    "median": median,
}


def values(n, d, whole=False):
    numbers = st.integers(-3, 3) if whole else st.floats(-1e3, 1e3, width=32)
    return arrays(np.float64, (n, d), elements=numbers.map(float))


def vector_rule(vector):
    p = vector["params"]
    return {
        "mean": lambda x: mean(x),
        "weighted_mean": lambda x: mean(x, p["weights"]),
        "median": lambda x: median(x),
        "trimmed_mean": lambda x: trimmed_mean(x, p["f"]),
        "krum": lambda x: krum(x, p["f"]),
        "multi_krum": lambda x: multi_krum(x, p["f"], p["m"]),
    }.get(vector["rule"])


@pytest.mark.parametrize(
    "vector", [v for v in BOOK["vectors"] if vector_rule(v)], ids=lambda v: v["id"]
)
def test_reference_vectors(vector):
    ours = vector_rule(vector)(np.array(BOOK["inputs"][vector["input"]]))
    np.testing.assert_allclose(ours, vector["output"], rtol=1e-12, atol=1e-12)


def test_other_definitions_differ():
    """The vectors of other definitions are not ours by accident: at least one of each disagrees."""
    ours = {
        "krum_nf1": lambda x, p: krum(x, p["f"]),
        "median_lower": lambda x, p: median(x),
    }
    for name, rule in ours.items():
        others = [v for v in BOOK["vectors"] if v["rule"] == name]
        assert others
        assert any(
            not np.allclose(rule(np.array(BOOK["inputs"][v["input"]]), v["params"]), v["output"])
            for v in others
        ), name


def test_krum_by_hand():
    """Scores of the seven numbers: 8 has 1 + 16 + 16 = 33; the runner-up 4 has 9 + 9 + 16 = 34."""
    assert krum(SEVEN, 2) == 8
    assert krum_scores(SEVEN, 2).tolist() == [66, 46, 34, 35, 33, 45, 89]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_equal_to_the_slow_definitions(data, n, d, whole):
    x = data.draw(values(n, d, whole))
    rows = x.tolist()
    np.testing.assert_allclose(median(x), reference.median(rows), rtol=1e-12, atol=1e-9)
    for f in range((n + 1) // 2):
        expected = reference.trimmed_mean(rows, f)
        np.testing.assert_allclose(trimmed_mean(x, f), expected, rtol=1e-12, atol=1e-9)
    if whole:  # integer scores are exact, so even ties must fall alike
        for f in range((n - 3) // 2 + 1 if n >= 3 else 0):
            assert krum_scores(x, f).tolist() == reference.krum_scores(rows, f)
            assert krum(x, f).tolist() == reference.krum(rows, f)
            for m in range(1, n - f + 1):
                expected = reference.multi_krum(rows, f, m)
                np.testing.assert_allclose(multi_krum(x, f, m), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 3))
def test_weights_of_the_coordinate_rules(data, n, d):
    x = data.draw(values(n, d, whole=True))
    _, weights = median(x, return_weights=True)
    np.testing.assert_allclose(
        weights, reference.kept_share(x.tolist(), (n - 1) // 2, n // 2 + 1), atol=1e-12
    )
    for f in range((n + 1) // 2):
        _, weights = trimmed_mean(x, f, return_weights=True)
        np.testing.assert_allclose(weights, reference.kept_share(x.tolist(), f, n - f), atol=1e-12)


@pytest.mark.parametrize("name", DEFENDED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stacked_trials_equal_the_loop(name, dtype):
    x = np.random.default_rng(1).standard_normal((2, 3, 9, 5)).astype(dtype)
    x[0, 1, 4] = np.nan
    x[1, 2, 0, 3] = np.inf
    rule = DEFENDED[name]
    result, weights = rule(x, return_weights=True)
    assert result.shape == (2, 3, 5) and result.dtype == dtype
    assert weights.shape == (2, 3, 9)
    np.testing.assert_allclose(weights.sum(-1), 1)
    for index in np.ndindex(2, 3):
        alone, alone_weights = rule(x[index], return_weights=True)
        np.testing.assert_array_equal(result[index], alone)
        np.testing.assert_array_equal(weights[index], alone_weights)


@pytest.mark.parametrize("name", DEFENDED)
def test_broken_rows_are_dropped_with_their_share_of_f(name):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((9, 4))
    x[3, 1], x[7] = np.nan, -np.inf
    clean = np.delete(x, [3, 7], axis=0)
    expected = {
        "krum": lambda: krum(clean, 0),
        "multi_krum": lambda: multi_krum(clean, 0),
        "trimmed_mean": lambda: trimmed_mean(clean, 0),
        "median": lambda: median(clean),
    }[name]()
    result, weights = DEFENDED[name](x, return_weights=True)
    np.testing.assert_array_equal(result, expected)
    assert weights[3] == weights[7] == 0
    limit = 4 if name == "median" else 2
    x[[0, 1, 2]] = np.nan
    with pytest.raises(ValueError, match=f"{name} tolerates {limit} faulty of n = 9 .* got 5 rows"):
        DEFENDED[name](x)


def test_krum_scores_of_a_broken_row_are_infinite():
    x = SEVEN.copy()
    x[3] = np.nan
    scores = krum_scores(x, 2)
    assert np.isinf(scores[3]) and np.isfinite(np.delete(scores, 3)).all()


def test_the_mean_does_not_defend():
    x = np.ones((4, 2))
    x[0, 0] = np.nan
    result = mean(x)
    assert np.isnan(result[0]) and result[1] == 1
    assert np.isinf(mean([[np.inf], [1.0]]))
    assert np.isnan(mean([[np.inf], [-np.inf]]))


def test_weighted_mean():
    x = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(mean(x, [1, 0, 3]), (x[0] + 3 * x[2]) / 4)
    _, share = mean(x, [1, 0, 3], return_weights=True)
    assert share.tolist() == [0.25, 0, 0.75]
    stacked = np.stack([x, 2 * x])
    np.testing.assert_allclose(mean(stacked, [[1, 0, 3], [0, 1, 0]])[1], 2 * x[1])
    assert mean(np.float32(x), [1, 1, 1]).dtype == np.float32


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1, 2], r"weights of shape \(3,\); got \(2,\)"),
        ([1, -1, 1], "finite weights >= 0"),
        ([1, np.nan, 1], "finite weights >= 0"),
        ([0, 0, 0], "positive sum"),
    ],
)
def test_illegal_weights(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        mean(np.ones((3, 2)), weights)


@pytest.mark.parametrize("rule", [krum, multi_krum, krum_scores, trimmed_mean])
@pytest.mark.parametrize(
    ("f", "error", "sentence"),
    [
        (-1, ValueError, "f >= 0; got f = -1"),
        (5, ValueError, "got n = 9, f = 5"),
        (1.0, TypeError, "integer f; got 1.0"),
        (True, TypeError, "integer f; got True"),
        (np.True_, TypeError, "integer f; got True"),
        ("1", TypeError, "integer f; got '1'"),
        (None, TypeError, "integer f; got None"),
    ],
)
def test_illegal_f(rule, f, error, sentence):
    with pytest.raises(error, match=f"{rule.__name__} needs .*{sentence}"):
        rule(np.zeros((9, 2)), f)


@pytest.mark.parametrize("rule", [krum, multi_krum, krum_scores])
def test_krum_needs_2f_plus_3(rule):
    rule(np.zeros((7, 2)), 2)
    with pytest.raises(ValueError, match=r"needs n >= 2f \+ 3; got n = 6, f = 2"):
        rule(np.zeros((6, 2)), 2)


def test_trimmed_mean_needs_more_than_2f():
    trimmed_mean(np.zeros((5, 2)), 2)
    with pytest.raises(ValueError, match="needs n > 2f; got n = 4, f = 2"):
        trimmed_mean(np.zeros((4, 2)), 2)


@pytest.mark.parametrize("m", [0, 8, -1])
def test_multi_krum_never_averages_more_than_n_minus_f(m):
    with pytest.raises(ValueError, match=f"1 <= m <= n - f; got m = {m}, n = 9, f = 2"):
        multi_krum(np.zeros((9, 2)), 2, m)
    with pytest.raises(TypeError, match="integer m; got 1.5"):
        multi_krum(np.zeros((9, 2)), 2, 1.5)


@pytest.mark.parametrize("name", [*DEFENDED, "mean"])
@pytest.mark.parametrize(
    ("updates", "error", "sentence"),
    [
        ([], ValueError, "n >= 1 and d >= 1"),
        ([[], [], []], ValueError, "n >= 1 and d >= 1"),
        ([1.0, 2.0], ValueError, r"shape \(..., n, d\)"),
        (3.0, ValueError, r"shape \(..., n, d\)"),
        ([[1.0, 2.0], [3.0]], ValueError, "rows of different lengths"),
        ([["a"], ["b"]], TypeError, "real numbers"),
        ([[1j], [2]], TypeError, "real numbers"),
        ([[None], [1]], TypeError, "real numbers"),
        ([[True], [False]], TypeError, "real numbers"),
    ],
)
def test_illegal_updates(name, updates, error, sentence):
    rule = {**DEFENDED, "mean": mean}[name]
    with pytest.raises(error, match=f"{name} needs .*{sentence}"):
        rule(updates)


@pytest.mark.parametrize("name", [*DEFENDED, "mean"])
def test_types_and_aliasing(name):
    rule = {**DEFENDED, "mean": mean}[name]
    x = np.random.default_rng(3).standard_normal((9, 3))
    x.flags.writeable = False
    before = x.copy()
    result = rule(x)
    result += 1  # ours to change
    np.testing.assert_array_equal(x, before)
    assert rule(np.float32(x)).dtype == np.float32
    assert rule(np.arange(27).reshape(9, 3)).dtype == np.float64
    assert rule(x.tolist()).shape == (3,)
    assert rule(np.zeros((0, 9, 3))).shape == (0, 3)
    strided = np.asfortranarray(np.repeat(x, 2, axis=1))[::-1, ::2]
    np.testing.assert_allclose(rule(strided), rule(x), rtol=1e-13)


def test_f_may_be_any_integral_type():
    x = np.random.default_rng(4).standard_normal((9, 3))
    for f in (np.int64(2), np.uint8(2)):
        np.testing.assert_array_equal(krum(x, f), krum(x, 2))
        np.testing.assert_array_equal(trimmed_mean(x, f), trimmed_mean(x, 2))


def test_krum_returns_one_of_the_rows_and_its_weights_say_which():
    x = np.random.default_rng(5).standard_normal((50, 9, 3))
    result, weights = krum(x, 3, return_weights=True)
    assert ((weights == 1).sum(-1) == 1).all() and ((weights == 0).sum(-1) == 8).all()
    np.testing.assert_array_equal(result, x[np.arange(50), weights.argmax(-1)])


def test_one_client_is_heard():
    for rule in (mean, median, lambda x: trimmed_mean(x, 0)):
        assert rule([[3.0, 4.0]]).tolist() == [3.0, 4.0]


def test_huge_values_do_not_overflow():
    x = np.full((5, 2), 1.5e308)
    assert (trimmed_mean(x, 1) == 1.5e308).all()
    assert (median(x[:4]) == 1.5e308).all()
    crowd = np.random.default_rng(6).standard_normal((9, 3))
    crowd[:3] = [[1e200] * 3, [1e308] * 3, [-1e308] * 3]
    assert np.abs(krum(crowd, 3)).max() < 10


def test_rules_table_names_the_functions():
    assert list(RULES)[:5] == ["mean", "Krum", "multi-Krum", "trimmed mean", "median"]
    assert RULES["Krum"] is krum
