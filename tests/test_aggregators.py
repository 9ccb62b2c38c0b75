"""Each rule against its slow definition, other libraries' numbers, and its contract."""

import inspect
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib import aggregators as ag
from byzlib.aggregators import (
    RULES,
    apply_rule,
    krum,
    krum_scores,
    mean,
    median,
    multi_krum,
    trimmed_mean,
)
from tests import reference
from tests.catalogue import DEFENDED, EVERYTHING, PREAGGREGATIONS

BOOK = json.loads((Path(__file__).parent / "vectors.json").read_text())
SEVEN = np.array([0, 1, 4, 7, 8, 12, 14.0])[:, None]
WITH_MEAN = {**EVERYTHING, "mean": None}


def call(name, x, f=2, **k):
    return mean(x, **k) if name == "mean" else EVERYTHING[name].call(x, f, **k)


def values(n, d, whole=False):
    numbers = st.integers(-3, 3) if whole else st.floats(-1e3, 1e3, width=32)
    return arrays(np.float64, (n, d), elements=numbers.map(float))


def vector_rule(vector):
    p = vector["params"]
    f = p.get("f")
    return {
        "mean": lambda x: mean(x),
        "weighted_mean": lambda x: mean(x, p["weights"]),
        "median": lambda x: median(x),
        "trimmed_mean": lambda x: trimmed_mean(x, f),
        "krum": lambda x: krum(x, f),
        "multi_krum": lambda x: multi_krum(x, f, p["m"]),
        "geometric_median": lambda x: ag.geometric_median(x),
        "bulyan": lambda x: ag.bulyan(x, f),
        "mda": lambda x: ag.minimum_diameter_average(x, f),
        "meamed": lambda x: ag.mean_around_median(x, f),
        "nnm": lambda x: ag.nearest_neighbor_mixing(x, f),
        "arc": lambda x: ag.adaptive_clipping(x, f),
        "centered_clipping": lambda x: ag.centered_clipping(x, p["tau"], n_iter=p["iterations"]),
        "nnm+trimmed_mean": lambda x: ag.compose(ag.nearest_neighbor_mixing, trimmed_mean)(x, f),
    }.get(vector["rule"])


@pytest.mark.parametrize(
    "vector", [v for v in BOOK["vectors"] if vector_rule(v)], ids=lambda v: v["id"]
)
def test_reference_vectors(vector):
    ours = vector_rule(vector)(np.array(BOOK["inputs"][vector["input"]]))
    tolerance = 1e-6 if vector["rule"] == "geometric_median" else 1e-12
    if vector["id"] == "112-bulyan-flwr-G":  # a tie, which the peer leaves to the place in the list
        rows = BOOK["inputs"][vector["input"]]
        by_place = reference.bulyan(rows, vector["params"]["f"], by_value=False)
        np.testing.assert_allclose(by_place, vector["output"], rtol=1e-12)
        vector = {**vector, "output": reference.bulyan(rows, vector["params"]["f"])}
    np.testing.assert_allclose(ours.ravel(), vector["output"], rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("krum_nf1", lambda x, p: krum(x, p["f"])),
        ("krum_unsquared", lambda x, p: krum(x, p["f"])),
        ("median_lower", lambda x, p: median(x)),
        ("bulyan_oneshot", lambda x, p: ag.bulyan(x, p["f"])),
        ("bulyan_krumlib", lambda x, p: ag.bulyan(x, p["f"])),
        ("geometric_median_smoothed", lambda x, p: ag.geometric_median(x)),
    ],
)
def test_other_definitions_differ(name, rule):
    """The vectors of other definitions are not ours by accident: at least one disagrees.

    Plain distances choose the same rows in all stored vectors; the seven numbers tell them apart.
    """
    others = [v for v in BOOK["vectors"] if v["rule"] == name]
    assert others
    differ = [
        not np.allclose(rule(np.array(BOOK["inputs"][v["input"]]), v["params"]), v["output"])
        for v in others
    ]
    assert any(differ) == (name != "krum_unsquared")


def test_one_input_tells_three_krums_apart():
    rows = SEVEN.tolist()
    assert krum(SEVEN, 2) == reference.krum(rows, 2) == [8]
    assert reference.krum(rows, 2, neighbours=4) == [4]
    assert reference.krum(rows, 2, power=Fraction(1, 2)) == [7]


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


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lead", [(), (0,), (1,), (2, 3), (40,)])
def test_stacked_trials_equal_the_loop(name, dtype, lead):
    if "buck" in name or "of_means" in name:
        pytest.skip("draws anew in each trial")
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


def test_weights_of_the_median_are_inverse_distances():
    x = np.random.default_rng(9).standard_normal((11, 5))
    centre, weights = ag.geometric_median(x, return_weights=True)
    pull = 1 / np.linalg.norm(x - centre, axis=1)
    np.testing.assert_allclose(weights, pull / pull.sum(), rtol=1e-9)


@pytest.mark.parametrize("name", DEFENDED)
def test_broken_rows_are_dropped_with_their_share_of_f(name):
    if "buck" in name or "of_means" in name:
        pytest.skip("draws other groups from fewer rows")
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
    ("weights", "expected"),
    [
        ([2**63 - 1, 2**63 - 1, 4], 0.5),
        (np.array([2**64 - 1, 0, 2**64 - 1], np.uint64), 1),
        (np.array([200, 0, 200], np.uint8), 1),
        (np.array([6e4, 6e4, 6e4], np.float16), 1),
        ([1e308, 1e308, 1e308], 1),
        ([0, 5e-324, 5e-324], 1.5),
        ([1e-320, 0, 1e308], 2),
    ],
)
def test_weights_are_summed_as_float64(weights, expected):
    result, share = mean([[0.0], [1.0], [2.0]], weights, return_weights=True)
    np.testing.assert_allclose(result, [expected], rtol=1e-15)
    np.testing.assert_allclose(share.sum(), 1, rtol=1e-15)
    assert np.abs(mean(1.5e308 * np.ones((3, 1)), weights) / 1.5e308 - 1) < 1e-15
    assert (mean(1.5e308 * np.ones((3, 1))) == 1.5e308).all()


@pytest.mark.parametrize("name", WITH_MEAN)
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


@pytest.mark.parametrize("name", WITH_MEAN)
def test_one_client(name):
    if name in ("krum", "multi_krum", "bulyan", "mixing then krum"):
        pytest.skip("needs three")
    one = [[0.3, 0.4]]
    if name in ("bucketing", "buckets then geometric median", "geometric_median_of_means"):
        with pytest.raises(ValueError, match="n = 1"):
            call(name, one, 0)
    else:
        assert np.array(call(name, one, 0)).ravel().tolist() == [0.3, 0.4]


def test_rules_table_names_the_functions():
    assert list(RULES)[:5] == ["mean", "Krum", "multi-Krum", "trimmed mean", "median"]
    assert RULES["Krum"] is krum
    x = np.random.default_rng(7).standard_normal((11, 3))
    for rule in RULES.values():
        assert apply_rule(rule, x, 2)[0].shape == (3,)
        assert rule.__name__ in ag.__all__


def test_every_public_name_is_a_documented_function():
    for name in set(ag.__all__) - {"RULES"}:
        function = getattr(ag, name)
        assert function.__doc__ and function.__name__ == name
        assert "return_weights" in inspect.signature(function).parameters or name in (
            "compose",
            "krum_scores",
        )
