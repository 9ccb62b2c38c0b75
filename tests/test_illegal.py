"""Everything that may be given and should not: one clear sentence each, or the right answer.

The cases of bad input under which other libraries of the field returned NaN, answered silently,
or failed deep inside; every rule and every pre-aggregation meets each of them here.
"""

import re

import numpy as np
import pytest

from byzlib import aggregators as ag
from byzlib.aggregators._contract import apply_rule
from tests.catalogue import DEFENDED, EVERYTHING, PREAGGREGATIONS, RULES

NAMED = {**RULES, **PREAGGREGATIONS}
WITH_F = [name for name, rule in NAMED.items() if rule.takes_f]
NEEDS = {
    "krum": (r"n >= 2f \+ 3", lambda n, f: n >= 2 * f + 3),
    "multi_krum": (r"n >= 2f \+ 3", lambda n, f: n >= 2 * f + 3),
    "krum_scores": (r"n >= 2f \+ 3", lambda n, f: n >= 2 * f + 3),
    "bulyan": (r"n >= 4f \+ 3", lambda n, f: n >= 4 * f + 3),
    "trimmed_mean": ("n > 2f", lambda n, f: n > 2 * f),
    "mean_around_median": ("n > 2f", lambda n, f: n > 2 * f),
    "minimum_diameter_average": ("n > 2f", lambda n, f: n > 2 * f),
    "adaptive_clipping": ("n > 2f", lambda n, f: n > 2 * f),
    "nearest_neighbor_mixing": ("n > f", lambda n, f: n > f),
}
CROWD = np.random.default_rng(0).standard_normal((11, 4))


def said(error):
    """The sentence: one line, not too long, and from this library."""
    sentence = str(error.value)
    assert "\n" not in sentence and len(sentence) < 160
    return sentence


@pytest.mark.parametrize("name", [*NAMED, "mean", "krum_scores"])
@pytest.mark.parametrize(
    ("updates", "error", "sentence"),
    [
        ([], ValueError, r"n >= 1 and d >= 1; got \(0,\)"),
        (np.zeros((0, 4)), ValueError, r"n >= 1 and d >= 1; got \(0, 4\)"),
        (np.zeros((3, 0, 4)), ValueError, r"n >= 1 and d >= 1; got \(3, 0, 4\)"),
        ([[], [], []], ValueError, r"n >= 1 and d >= 1; got \(3, 0\)"),
        ([1.0, 2.0], ValueError, r"shape \(..., n, d\) .* got \(2,\)"),
        (3.0, ValueError, r"shape \(..., n, d\) .* got \(\)"),
        ([[1.0, 2.0], [3.0]], ValueError, "rows of different lengths"),
        ([["a"], ["b"]], TypeError, "real numbers; got .* <U1"),
        ([[1j], [2]], TypeError, "real numbers; got .* complex128"),
        ([[None], [1]], TypeError, "real numbers; got .* object"),
        (None, TypeError, "real numbers; got .* object"),
        ({"a": 1}, TypeError, "real numbers; got .* object"),
        ([[True], [False]], TypeError, "real numbers; got .* bool"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), TypeError, "real numbers"),
    ],
)
def test_updates(name, updates, error, sentence):
    rule = {"mean": lambda x, f: ag.mean(x), "krum_scores": ag.krum_scores}.get(name)
    with pytest.raises(error, match=f"^{name} needs .*{sentence}") as failure:
        (rule or NAMED[name].call)(updates, 1)
    said(failure)


@pytest.mark.parametrize("name", [*NAMED, "mean", "krum_scores"])
def test_masked_arrays(name):
    """NumPy would drop the mask, and what it hides would count."""
    rule = {"mean": lambda x, f: ag.mean(x), "krum_scores": ag.krum_scores}.get(name)
    for masked in (np.ma.masked_greater(CROWD, 1), list(np.ma.masked_greater(CROWD, 1))):
        illegal(
            lambda updates=masked: (rule or NAMED[name].call)(updates, 1),
            TypeError,
            f"^{name} takes no masked arrays",
        )


@pytest.mark.parametrize("name", [*WITH_F, "krum_scores"])
@pytest.mark.parametrize(
    ("f", "error", "sentence"),
    [
        (-1, ValueError, "f >= 0; got f = -1"),
        (np.int64(-3), ValueError, "f >= 0; got f = -3"),
        (1.0, TypeError, "integer f; got 1.0"),
        (np.float64(1), TypeError, r"integer f; got (np\.float64\()?1.0"),
        (True, TypeError, "integer f; got True"),
        (np.True_, TypeError, "integer f; got True"),
        ("1", TypeError, "integer f; got '1'"),
        (None, TypeError, "integer f; got None"),
        ([1], TypeError, r"integer f; got \[1\]"),
        (float("nan"), TypeError, "integer f; got nan"),
    ],
)
def test_f(name, f, error, sentence):
    rule = NAMED[name].call if name in NAMED else ag.krum_scores
    with pytest.raises(error, match=f"^{name} needs .*{sentence}") as failure:
        rule(CROWD, f)
    said(failure)


@pytest.mark.parametrize("name", [*WITH_F, "krum_scores"])
def test_every_n_and_f(name):
    """Legal exactly where the definition is; the sentence has the condition and the numbers."""
    rule = NAMED[name].call if name in NAMED else ag.krum_scores
    condition, legal = NEEDS[name]
    for n in range(1, 13):
        for f in range(14):
            x = CROWD[np.arange(n) % 11] + np.arange(n)[:, None]
            if legal(n, f):
                assert np.isfinite(rule(x, f)).all()
            else:
                with pytest.raises(
                    ValueError, match=f"^{name} needs {condition}; got n = {n}, f = {f}$"
                ):
                    rule(x, f)


@pytest.mark.parametrize("name", WITH_F)
def test_f_of_any_integral_type(name):
    rule = NAMED[name].call
    for f in (np.int64(2), np.uint8(2), np.array(2)):
        np.testing.assert_array_equal(rule(CROWD, f), rule(CROWD, 2))
    assert rule(CROWD, np.uint8(0)).shape[-1] == 4
    with pytest.raises(ValueError, match="got n = 11, f = 255"):
        rule(CROWD, np.uint8(255))  # 2f + 3 must not wrap around


@pytest.mark.parametrize("name", DEFENDED)
def test_identical_rows(name):
    """All clients agree: that is the answer (clipping answers with its own length)."""
    x = np.tile([0.1, 0.2, 0.3, 0.4], (11, 1))
    result, weights = DEFENDED[name].call(x, 2, return_weights=True)
    np.testing.assert_allclose(result, x[0], rtol=1e-15)
    assert np.isfinite(weights).all()
    zeros, weights = DEFENDED[name].call(np.zeros((11, 4)), 2, return_weights=True)
    assert (zeros == 0).all() and np.isfinite(weights).all()


@pytest.mark.parametrize("name", EVERYTHING)
def test_three_axes_are_trials_of_clients(name):
    """(3, 11, 4) is three crowds of eleven; other libraries took the norm over the wrong axis."""
    x = np.stack([CROWD, 2 * CROWD, -CROWD])
    result = EVERYTHING[name].call(x, 2)
    assert result.shape[0] == 3 and result.shape[-1] == 4
    if "buck" not in name and "means" not in name:
        np.testing.assert_allclose(result[1], EVERYTHING[name].call(2 * CROWD, 2), rtol=1e-12)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_clients(name, value):
    x = CROWD.copy()
    x[[2, 5]] = value
    result = np.atleast_2d(EVERYTHING[name].call(x, 2))
    if name in PREAGGREGATIONS:
        assert np.isnan(result).all(axis=-1).sum() == (1 if name == "bucketing" else 2)
    else:
        assert np.isfinite(result).all()
    x[:] = value
    with pytest.raises(ValueError, match="tolerates . faulty of n = 11 clients; got 11 rows"):
        EVERYTHING[name].call(x, 2)


@pytest.mark.parametrize("name", DEFENDED)
def test_float32_outliers(name):
    x = CROWD.astype(np.float32)
    x[:2] = 1e6
    result = DEFENDED[name].call(x, 2)
    assert result.dtype == np.float32
    if "buck" not in name and "means" not in name:
        assert np.abs(result).max() < 3


def illegal(call, error, sentence):
    with pytest.raises(error, match=sentence) as failure:
        call()
    said(failure)


@pytest.mark.parametrize("m", [0, -1, 10, 10**9])
def test_multi_krum_never_averages_more_than_n_minus_f(m):
    illegal(
        lambda: ag.multi_krum(CROWD, 2, m),
        ValueError,
        f"multi_krum needs 1 <= m <= n - f; got m = {m}, n = 11, f = 2",
    )


@pytest.mark.parametrize("value", [1.5, True, "3", [1], float("nan")])
def test_counts_are_integers(value):
    shown = re.escape(repr(value))
    for rule, count in (
        (lambda: ag.multi_krum(CROWD, 2, value), "multi_krum needs an integer m"),
        (lambda: ag.bucketing(CROWD, value, 0), "bucketing needs an integer s"),
        (
            lambda: ag.geometric_median_of_means(CROWD, value, 0),
            "geometric_median_of_means needs an integer n_groups",
        ),
        (
            lambda: ag.geometric_median(CROWD, max_iter=value),
            "geometric_median needs an integer max_iter",
        ),
        (
            lambda: ag.centered_clipping(CROWD, 1.0, n_iter=value),
            "centered_clipping needs an integer n_iter",
        ),
    ):
        illegal(rule, TypeError, f"^{count}; got {shown}$")


@pytest.mark.parametrize("value", [0, -1])
def test_counts_are_positive(value):
    for rule, count in (
        (lambda: ag.bucketing(CROWD, value, 0), f"bucketing needs 1 <= s <= n.*s = {value}"),
        (
            lambda: ag.geometric_median_of_means(CROWD, value, 0),
            f"geometric_median_of_means needs 1 <= n_groups <= n.*n_groups = {value}",
        ),
        (
            lambda: ag.geometric_median(CROWD, max_iter=value),
            f"geometric_median needs max_iter >= 1; got .*{value}",
        ),
        (
            lambda: ag.centered_clipping(CROWD, 1.0, n_iter=value),
            f"centered_clipping needs n_iter >= 1; got .*{value}",
        ),
    ):
        illegal(rule, ValueError, f"^{count}")


def test_no_more_groups_than_clients():
    illegal(
        lambda: ag.bucketing(CROWD, 12, 0),
        ValueError,
        "bucketing needs 1 <= s <= n; got s = 12, n = 11",
    )
    illegal(
        lambda: ag.geometric_median_of_means(CROWD, 12, 0),
        ValueError,
        "geometric_median_of_means needs 1 <= n_groups <= n; got n_groups = 12, n = 11",
    )


LENGTHS = {
    "centered_clipping": (lambda value: ag.centered_clipping(CROWD, value), "radius"),
    "geometric_median": (lambda value: ag.geometric_median(CROWD, tol=value), "tol"),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("value", [0, 0.0, -1.5, -np.inf, np.nan])
def test_lengths_are_positive(name, value):
    call, what = LENGTHS[name]
    illegal(lambda: call(value), ValueError, f"^{name} needs {what} > 0; got {what} = ")


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("value", ["x", True, None, [1.0], np.array([1.0, 2.0]), 1j])
def test_lengths_are_numbers(name, value):
    call, what = LENGTHS[name]
    illegal(lambda: call(value), TypeError, f"^{name} needs a number {what}; got ")


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_of_any_numeric_type(name):
    call, _ = LENGTHS[name]
    for value in (2, np.float32(2), np.int64(2), np.array(2.0), np.inf):
        assert np.isfinite(call(value)).all()
    np.testing.assert_array_equal(call(2), call(np.float32(2)))


@pytest.mark.parametrize(
    ("center", "error"),
    [
        (np.zeros(3), ValueError),
        (np.zeros((1, 4)), ValueError),
        (0.0, ValueError),
        ([0, 0, 0, np.nan], ValueError),
        ([0, 0, 0, np.inf], ValueError),
        ("abcd", TypeError),
        ([1j] * 4, TypeError),
        ([[1], [2, 3]], ValueError),
        (np.ma.zeros(4), TypeError),
    ],
)
def test_center(center, error):
    illegal(
        lambda: ag.centered_clipping(CROWD, 1.0, center),
        error,
        r"^centered_clipping (needs a finite center of shape \(4,\)|takes no masked arrays)",
    )


@pytest.mark.parametrize("rng", [None, "x", 1.5, True, np.random.RandomState(0)])
def test_rng(rng):
    for name, rule in (
        ("bucketing", lambda: ag.bucketing(CROWD, 2, rng)),
        ("geometric_median_of_means", lambda: ag.geometric_median_of_means(CROWD, 5, rng)),
    ):
        illegal(rule, TypeError, f"^{name} (needs an integer rng|draws random numbers: pass rng)")


def test_a_negative_seed():
    for name, rule in (
        ("bucketing", lambda: ag.bucketing(CROWD, 2, -1)),
        ("geometric_median_of_means", lambda: ag.geometric_median_of_means(CROWD, 5, -1)),
    ):
        illegal(rule, ValueError, f"^{name} needs .*rng.* -1")


def test_nothing_is_drawn_before_the_arguments_are_checked():
    rng = np.random.default_rng(5)
    for call in (lambda: ag.bucketing(CROWD, 12, rng), lambda: ag.bucketing(CROWD[0], 2, rng)):
        with pytest.raises(ValueError, match="bucketing needs"):
            call()
    assert rng.random() == np.random.default_rng(5).random()


@pytest.mark.parametrize("steps", [(), (3,), (ag.krum, None), ("krum",)])
def test_compose_needs_functions(steps):
    illegal(lambda: ag.compose(*steps), TypeError, "^compose needs functions, a rule last; got ")


def test_a_pipeline_names_the_step_that_failed():
    pipeline = ag.compose(ag.nearest_neighbor_mixing, ag.krum)
    illegal(lambda: pipeline(CROWD, 5), ValueError, r"^krum needs n >= 2f \+ 3; got n = 11, f = 5")
    illegal(lambda: pipeline(CROWD, 11), ValueError, "^nearest_neighbor_mixing needs n > f; got")
    illegal(lambda: pipeline(CROWD, "1"), TypeError, "^nearest_neighbor_mixing needs an integer f")
    assert pipeline.__name__ == "nearest_neighbor_mixing then krum"


def test_unknown_arguments_are_refused():
    for name, rule in NAMED.items():
        with pytest.raises(TypeError, match="unexpected keyword|multiple values|positional"):
            rule.call(CROWD, 2, neighbours=3)
        assert name in ag.__all__


def test_rules_of_others_may_take_part():
    """Any function of (updates) or (updates, f) can be asked, with weights or without."""
    own = ag.compose(ag.nearest_neighbor_mixing, lambda updates: updates.max(axis=-2))
    assert own(CROWD, 2).shape == (4,)
    result, weights = apply_rule(lambda updates: updates[0], CROWD, 2)
    assert result.tolist() == CROWD[0].tolist() and weights is None
