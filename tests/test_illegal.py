"""Everything that may be given and should not: one clear sentence each.

The cases of bad input under which other libraries of the field returned NaN, answered silently,
or failed deep inside; every rule and every pre-aggregation meets each of them here.
"""

import numpy as np
import pytest

from byzlib import aggregators as ag
from tests.catalogue import PREAGGREGATIONS, RULES

NAMED = {name: rule.call for name, rule in {**RULES, **PREAGGREGATIONS}.items()}
NAMED |= {"mean": lambda updates, f: ag.mean(updates), "krum_scores": ag.krum_scores}
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
MASKED = np.ma.masked_greater(CROWD, 1)


def illegal(call, error, sentence):
    """It raises one line, not too long, in words of this library."""
    with pytest.raises(error, match=sentence) as failure:
        call()
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 170


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize(
    ("updates", "error", "sentence"),
    [
        ([], ValueError, r"needs .* n >= 1 and d >= 1; got \(0,\)"),
        (np.zeros((0, 4)), ValueError, r"needs .* n >= 1 and d >= 1; got \(0, 4\)"),
        (np.zeros((3, 0, 4)), ValueError, r"needs .* n >= 1 and d >= 1; got \(3, 0, 4\)"),
        ([[], [], []], ValueError, r"needs .* n >= 1 and d >= 1; got \(3, 0\)"),
        ([1.0, 2.0], ValueError, r"needs .* shape \(..., n, d\) .* got \(2,\)"),
        (3.0, ValueError, r"needs .* shape \(..., n, d\) .* got \(\); for layers .* see aggreg"),
        (
            [[1.0, 2.0], [3.0]],
            ValueError,
            "needs .* rows of different lengths; for layers .* see aggreg",
        ),
        ([["a"], ["b"]], TypeError, "needs real numbers; got .* <U1"),
        ([[1j], [2]], TypeError, "needs real numbers; got .* complex128"),
        ([[None], [1]], TypeError, "needs real numbers; got .* object; for layers .* see aggreg"),
        ({"a": 1}, TypeError, "needs real numbers; got .* object; for layers .* see aggreg"),
        ([[True], [False]], TypeError, "needs real numbers; got .* bool"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), TypeError, "needs real numbers"),
        (MASKED, TypeError, "takes no masked arrays"),
        (list(MASKED), TypeError, "takes no masked arrays"),
    ],
)
def test_updates(name, updates, error, sentence):
    illegal(lambda: NAMED[name](updates, 1), error, f"^{name} {sentence}")


@pytest.mark.parametrize("name", NEEDS)
@pytest.mark.parametrize(
    ("f", "error", "sentence"),
    [
        (-1, ValueError, "f >= 0; got f = -1"),
        (1.0, TypeError, "integer f; got 1.0"),
        (True, TypeError, "integer f; got True"),
        (None, TypeError, "integer f; got None"),
        (np.uint8(255), ValueError, "got n = 11, f = 255"),  # 2f + 3 must not wrap around
    ],
)
def test_f(name, f, error, sentence):
    illegal(lambda: NAMED[name](CROWD, f), error, f"^{name} needs .*{sentence}")


@pytest.mark.parametrize("name", NEEDS)
def test_every_n_and_f(name):
    """Legal exactly where the definition is; the sentence has the condition and the numbers."""
    condition, legal = NEEDS[name]
    for n in range(1, 13):
        for f in range(14):
            x = CROWD[np.arange(n) % 11] + np.arange(n)[:, None]
            if legal(n, f):
                assert np.isfinite(NAMED[name](x, f)).all()
            else:
                sentence = f"^{name} needs {condition}; got n = {n}, f = {f}$"
                illegal(lambda x=x, f=f: NAMED[name](x, f), ValueError, sentence)


COUNTS = {
    "multi_krum needs an integer m": lambda value: ag.multi_krum(CROWD, 2, value),
    "bucketing needs an integer s": lambda value: ag.bucketing(CROWD, value, 0),
    "geometric_median_of_means needs an integer n_groups": (
        lambda value: ag.geometric_median_of_means(CROWD, value, 0)
    ),
    "geometric_median needs an integer max_iter": (
        lambda value: ag.geometric_median(CROWD, max_iter=value)
    ),
    "centered_clipping needs an integer n_iter": (
        lambda value: ag.centered_clipping(CROWD, 1.0, n_iter=value)
    ),
}
LENGTHS = {
    "centered_clipping needs a number radius": lambda value: ag.centered_clipping(CROWD, value),
    "geometric_median needs a number tol": lambda value: ag.geometric_median(CROWD, tol=value),
}


@pytest.mark.parametrize("sentence", [*COUNTS, *LENGTHS])
@pytest.mark.parametrize("value", [True, "3", [1], 1.5, float("nan"), 0, -1, 1j])
def test_counts_and_lengths(sentence, value):
    """Counts are integers >= 1, lengths real numbers > 0."""
    call, name = {**COUNTS, **LENGTHS}[sentence], sentence.split()[-1]
    number = int if sentence in COUNTS else (int, float)
    if isinstance(value, number) and value is not True:
        if not value > 0:
            needs = f"({name} >= 1|1 <= {name} <= n.*|{name} > 0); got {name} = {value}"
            illegal(lambda: call(value), ValueError, f"^{sentence.split()[0]} needs {needs}")
    else:
        illegal(lambda: call(value), TypeError, f"^{sentence}; got ")


CENTER = r"^centered_clipping needs a finite center of shape \(4,\)"
OPTIONS = [
    (lambda: ag.multi_krum(CROWD, 2, 10), "^multi_krum needs 1 <= m <= n - f; got m = 10, n = 11"),
    (lambda: ag.bucketing(CROWD, 12, 0), "^bucketing needs 1 <= s <= n; got s = 12, n = 11"),
    (
        lambda: ag.geometric_median_of_means(CROWD, 12, 0),
        "^geometric_median_of_means needs 1 <= n_groups <= n; got n_groups = 12, n = 11",
    ),
    *((lambda c=c: ag.centered_clipping(CROWD, 1, c), CENTER) for c in (np.zeros((1, 4)), 0.0)),
    *(
        (lambda c=c: ag.centered_clipping(CROWD, 1, c), CENTER)
        for c in ([0, 0, 0, np.nan], [[1], [2, 3]])
    ),
    *((lambda c=c: ag.centered_clipping(CROWD, 1, c), CENTER) for c in ("abcd", [1j] * 4)),
    (lambda: ag.centered_clipping(CROWD, 1, MASKED[0]), "^centered_clipping takes no masked"),
    (lambda: ag.mean(np.ones((3, 2)), [1, 2]), r"^mean needs weights of shape \(3,\); got \(2,\)"),
    *(
        (lambda w=w: ag.mean(np.ones((3, 2)), w), "^mean needs finite weights >= 0")
        for w in ([1, -1, 1], [1, np.nan, 1], np.array(["2e400", 1, 1], np.longdouble))
    ),
    (lambda: ag.mean(np.ones((3, 2)), [0, 0, 0]), "^mean needs weights with a positive sum"),
    (lambda: ag.mean(np.ones((3, 2)), [3 * 10**400, 1, 1]), "^mean needs real weights; got dtype"),
    (lambda: ag.mean(CROWD[:, :2], MASKED[:, 0]), "^mean takes no masked arrays"),
    *(
        (lambda steps=steps: ag.compose(*steps), "^compose needs functions, a rule last; got ")
        for steps in ((), (3,), (ag.krum, None), ("krum",))
    ),
    *(
        (lambda call=call, rng=rng: call(CROWD, 2, rng), f"^{call.__name__} (needs|draws) .*rng")
        for call in (ag.bucketing, ag.geometric_median_of_means)
        for rng in (None, "x", 1.5, True, np.random.RandomState(0), -1)
    ),
]


@pytest.mark.parametrize(("call", "sentence"), OPTIONS)
def test_options(call, sentence):
    illegal(call, (TypeError, ValueError), sentence)


def test_nothing_is_drawn_before_the_arguments_are_checked():
    rng = np.random.default_rng(5)
    for call in (lambda: ag.bucketing(CROWD, 12, rng), lambda: ag.bucketing(CROWD[0], 2, rng)):
        illegal(call, ValueError, "bucketing needs")
    assert rng.random() == np.random.default_rng(5).random()


def test_a_pipeline_names_the_step_that_failed():
    pipeline = ag.compose(ag.nearest_neighbor_mixing, ag.krum)
    illegal(lambda: pipeline(CROWD, 5), ValueError, r"^krum needs n >= 2f \+ 3; got n = 11, f = 5")
    illegal(lambda: pipeline(CROWD, 11), ValueError, "^nearest_neighbor_mixing needs n > f; got")
    illegal(lambda: pipeline(CROWD, "1"), TypeError, "^nearest_neighbor_mixing needs an integer f")
    assert pipeline.__name__ == "nearest_neighbor_mixing then krum"
