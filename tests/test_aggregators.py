"""Each rule against its slow definition, ties and all, and others' numbers; whole models."""

import itertools
import json
from collections import OrderedDict, defaultdict, namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib import aggregators as ag
from byzlib.aggregators import (
    _subsets,
    aggregate,
    krum,
    krum_scores,
    mean,
    median,
    multi_krum,
    trimmed_mean,
)
from tests import reference

SMALL = st.integers(-3, 3).map(float)
EIGHTHS = st.integers(-800, 800).map(lambda k: k / 8)  # no ties to speak of, and no rounding


@st.composite
def crowds(draw, least, most_f=2, more=5, most_d=3):
    """Updates (n, d), n >= least(f): small whole numbers, full of ties, or eighths."""
    f = draw(st.integers(0, most_f))
    n = draw(st.integers(least(f), least(f) + more))
    d = draw(st.integers(1, most_d))
    return draw(arrays(np.float64, (n, d), elements=draw(st.sampled_from([SMALL, EIGHTHS])))), f


def close(ours, slow):
    np.testing.assert_allclose(ours, slow, rtol=1e-13, atol=1e-13)


# Other libraries' numbers

BOOK = json.loads((Path(__file__).parent / "vectors.json").read_text())


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
    }[vector["rule"]]


@pytest.mark.parametrize("vector", BOOK["vectors"], ids=lambda v: v["id"])
def test_reference_vectors(vector):
    ours = vector_rule(vector)(np.array(BOOK["inputs"][vector["input"]]))
    tolerance = 1e-6 if vector["rule"] == "geometric_median" else 1e-12
    if vector["id"] == "112-bulyan-flwr-G":  # a tie, which the peer leaves to the place in the list
        rows = BOOK["inputs"][vector["input"]]
        by_place = reference.bulyan(rows, vector["params"]["f"], by_value=False)
        np.testing.assert_allclose(by_place, vector["output"], rtol=1e-12)
        vector = {**vector, "output": reference.bulyan(rows, vector["params"]["f"])}
    np.testing.assert_allclose(ours.ravel(), vector["output"], rtol=tolerance, atol=1e-12)


# Slow definitions


@pytest.mark.parametrize(
    ("rule", "least"),
    [
        (krum, lambda f: 2 * f + 3),
        (ag.trimmed_mean, lambda f: 2 * f + 1),
        (ag.mean_around_median, lambda f: 2 * f + 1),
        (ag.minimum_diameter_average, lambda f: 2 * f + 1),
        (ag.bulyan, lambda f: 4 * f + 3),
        (ag.nearest_neighbor_mixing, lambda f: f + 1),
        (ag.adaptive_clipping, lambda f: 2 * f + 1),
    ],
    ids=lambda one: one.__name__.strip("<>"),
)
@settings(max_examples=50)
@given(data=st.data())
def test_slow_definitions(rule, least, data):
    x, f = data.draw(crowds(least, most_f=2 if rule is ag.bulyan else 3))
    close(rule(x, f), getattr(reference, rule.__name__)(x.tolist(), f))


@settings(max_examples=40)
@given(crowds(lambda f: 2 * f + 3))
def test_scores_and_the_best_few(crowd):
    x, f = crowd
    assert krum_scores(x, f).tolist() == reference.krum_scores(x.tolist(), f)
    close(multi_krum(x, f), reference.multi_krum(x.tolist(), f, len(x) - f))
    for m in range(1, len(x) - f + 1):
        close(multi_krum(x, f, m), reference.multi_krum(x.tolist(), f, m))


@settings(max_examples=30)
@given(crowds(lambda f: 1, more=8))
def test_medians(crowd):
    x, _ = crowd
    close(median(x), reference.median(x.tolist()))
    centre = ag.geometric_median(x)
    if np.linalg.matrix_rank(x - x[0]) > 1 or len(x) % 2:
        slow = reference.geometric_median(x.tolist())
        np.testing.assert_allclose(centre, slow, rtol=1e-9, atol=1e-9)
    assert (x.min(axis=0) <= centre).all() and (centre <= x.max(axis=0)).all()


@settings(max_examples=30, deadline=None)
@given(crowds(lambda f: 1, more=4))
def test_weights_of_the_coordinate_rules(crowd):
    x, n = crowd[0], len(crowd[0])
    _, weights = median(x, return_weights=True)
    close(weights, reference.kept_share(x.tolist(), (n - 1) // 2, n // 2 + 1))
    for f in range((n + 1) // 2):
        _, weights = trimmed_mean(x, f, return_weights=True)
        close(weights, reference.kept_share(x.tolist(), f, n - f))


@settings(max_examples=40)
@given(crowds(lambda f: 2 * f + 1))
def test_matrices_of_what_comes_before_a_rule(crowd):
    x, f = crowd
    for rule in (ag.adaptive_clipping, ag.nearest_neighbor_mixing):
        rows, matrix = rule(x, f, return_weights=True)
        close(matrix @ x, rows)
    assert (np.diagonal(matrix) > 0).all()
    assert ((matrix > 0).sum(axis=1) == len(x) - f).all()


@settings(max_examples=60)
@given(
    crowds(lambda f: 1),
    st.sampled_from([0.25, 2.0, 1e3, np.inf]),
    st.integers(1, 4),
    st.lists(EIGHTHS, min_size=3, max_size=3),
)
def test_centered_clipping(crowd, radius, n_iter, center):
    x, center = crowd[0], center[: crowd[0].shape[1]]
    slow = reference.centered_clipping(x.tolist(), radius, center, n_iter)
    ours = ag.centered_clipping(x, radius, center, n_iter)
    np.testing.assert_allclose(ours, slow, rtol=1e-12, atol=1e-12)


def test_weights_of_the_geometric_median_are_inverse_distances():
    x = np.random.default_rng(9).standard_normal((11, 5))
    centre, weights = ag.geometric_median(x, return_weights=True)
    pull = 1 / np.linalg.norm(x - centre, axis=1)
    np.testing.assert_allclose(weights, pull / pull.sum(), rtol=1e-9)


# The smallest of many subsets


def test_minimum_diameter_average_of_twenty_clients():
    """38,760 subsets: all of them, in one array, against the search."""
    rng = np.random.default_rng(20)
    crowds = [rng.standard_normal((20, 3)), rng.integers(-2, 3, (20, 3)) * 1.0]
    crowds.append(np.concatenate([rng.standard_normal((14, 3)), np.full((6, 3), 1.5)]))
    left_out = np.array(list(itertools.combinations(range(20), 6)))
    for x in crowds:
        square = ((x[:, None] - x) ** 2).sum(axis=-1)
        _, weights = ag.minimum_diameter_average(x, 6, return_weights=True)
        inside = square[np.ix_(weights > 0, weights > 0)]
        kept = np.ones((len(left_out), 20), dtype=bool)
        np.put_along_axis(kept, left_out, False, axis=1)
        pairs = kept[:, :, None] & kept[:, None, :]
        diameter = np.where(pairs, square, 0).max(axis=(1, 2))
        assert inside.max() == diameter.min()
        total = np.where(pairs, square, 0).sum(axis=(1, 2))[diameter == diameter.min()]
        np.testing.assert_allclose(inside.sum(), total.min(), rtol=1e-13)


def test_minimum_diameter_average_of_clients_all_equally_far_apart():
    """Every subset ties; the first rows in lexicographic order, those with a late one, stay."""
    _, weights = ag.minimum_diameter_average(np.eye(40), 15, return_weights=True)
    np.testing.assert_array_equal(weights, np.repeat([0, 1 / 25], [15, 25]))


def test_minimum_diameter_average_of_many_clients(monkeypatch):
    """Quick where the search is short; else it says that it gave up, also half-way."""
    crowd = np.random.default_rng(4).standard_normal((60, 400))
    assert np.isfinite(ag.minimum_diameter_average(crowd, 25)).all()
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)[:, None]
    ring = np.hstack([np.cos(angle), np.sin(angle)])  # every subset has a rival just beside it
    for patience in (5, 2000):
        monkeypatch.setattr(_subsets, "PATIENCE", patience)
        with pytest.raises(
            ValueError, match=r"gave up its search; n = 40, f = 15 has 4.0e\+10 sub"
        ):
            ag.minimum_diameter_average(ring, 15)


# Rules that draw


@settings(max_examples=40)
@given(crowds(lambda f: 2, more=7), st.integers(1, 4), st.integers(0, 99))
def test_bucketing_is_the_mean_of_its_buckets(crowd, s, seed):
    x, n = crowd[0], len(crowd[0])
    assume(s <= n)
    rows, matrix = ag.bucketing(x, s, seed, return_weights=True)
    buckets = -(-n // s)
    assert rows.shape == (buckets, x.shape[1]) and matrix.shape == (buckets, n)
    members = (matrix > 0).sum(axis=1)
    assert (members[:-1] == s).all() and members[-1] == n - s * (buckets - 1)
    assert ((matrix > 0).sum(axis=0) == 1).all()
    for row, mixing in zip(rows, matrix, strict=True):
        close(row, reference.mean(x[mixing > 0].tolist()))


def test_bucketing_draws_every_division_equally_often():
    """Four clients in pairs: three divisions, and 3,000 trials; a fair draw stays within 150."""
    x = np.broadcast_to(np.arange(4.0)[:, None], (3000, 4, 1))
    rows = ag.bucketing(x, 2, 0)
    partner_of_0 = np.abs(rows - 1.5).max(axis=(1, 2))  # 1, 0.5, 0 with partner 1, 2, 3
    counts = [(partner_of_0 == distance).sum() for distance in (1, 0.5, 0)]
    assert sum(counts) == 3000 and max(abs(count - 1000) for count in counts) < 150


@pytest.mark.parametrize("n_groups", [1, 3, 4, 10])
def test_geometric_median_of_means(n_groups):
    x = np.random.default_rng(6).standard_normal((10, 3))
    result, weights = ag.geometric_median_of_means(x, n_groups, 1, return_weights=True)
    close(weights @ x, result)
    if n_groups == 1:
        close(result, x.mean(axis=0))
    elif n_groups == 10:
        close(result, ag.geometric_median(x))
    else:
        # Groups of 3, 3, 2, 2 share a weight, so there are at most four of them.
        assert len(np.unique(weights.round(12))) <= 4
        assert not np.allclose(result, ag.geometric_median_of_means(x, n_groups, 2))


def test_a_generator_goes_on_and_a_seed_starts_again():
    x = np.random.default_rng(7).standard_normal((10, 3))
    for rule in (
        lambda rng: ag.bucketing(x, 2, rng),
        lambda rng: ag.geometric_median_of_means(x, 5, rng),
    ):
        np.testing.assert_array_equal(rule(4), rule(np.random.default_rng(4)))
        generator = np.random.default_rng(4)
        assert not np.array_equal(rule(generator), rule(generator))
    stacked = ag.bucketing(np.stack([x, x]), 2, 4)
    assert not np.array_equal(stacked[0], stacked[1])  # anew in each trial


# Weights that are given


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


# Whole models: layers, state dicts and tensors in, the same structure out

Layer = namedtuple("Layer", "weight bias")
rng = np.random.default_rng(17)


def models(make, n=9):
    """The same model n times with other numbers, and its flat rows: (n, 6), (n, 4), (n, 1)."""
    rows = rng.integers(-100, 100, (n, 11)) / 4
    return [make(row[:6].reshape(2, 3), row[6:10], row[10]) for row in rows], rows


MAKE = {
    "layers": lambda a, b, c: [a, b, np.float32(c)],
    "layers of float32": lambda a, b, c: [np.float32(a), np.float32(b), float(c)],
    "tuple": lambda a, b, c: (a, (b, c)),
    "named": lambda a, b, c: Layer(a.astype(np.float16), {"b": b, "c": c}),
    "state dict": lambda a, b, c: OrderedDict(a=a, b=np.float32(b), c=np.array(c)),
    "defaultdict": lambda a, b, c: defaultdict(list, a=[a, b], c=c),
    "numbers": lambda a, b, c: [*map(float, a.ravel()), *map(float, b), float(c)],
    "transposed": lambda a, b, c: [np.asfortranarray(a), b[::-1][::-1], c],
}


def leaves_of(model):
    """All leaves, and the kinds of all containers, in order."""
    if isinstance(model, dict | list | tuple):
        inside = model.values() if isinstance(model, dict) else model
        found = [leaves_of(part) for part in inside]
        return [leaf for leaves, _ in found for leaf in leaves], (
            type(model),
            *(k for _, k in found),
        )
    return [model], type(model)


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("rule", [krum, trimmed_mean, median, ag.mean])
def test_the_answer_is_that_of_the_flat_rows(make, rule):
    clients, rows = models(make)
    result, weights = aggregate(rule, clients, 3, return_weights=True)
    expected, expected_weights = ag.apply_rule(rule, rows, 3)
    leaves, kinds = leaves_of(result)
    wanted, wanted_kinds = leaves_of(clients[0])
    assert kinds == wanted_kinds
    for leaf, example in zip(leaves, wanted, strict=True):
        assert np.shape(leaf) == np.shape(example) and type(leaf) is type(example)
        assert np.asarray(leaf).dtype == np.asarray(example).dtype
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    np.testing.assert_allclose(flat, expected, rtol=1e-3)  # float16 of some
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6)


def test_a_stack_of_matrices_is_one_matrix_for_each_client():
    """Ten clients with a layer of 12 x 3, one of them lying: not ten trials of twelve clients."""
    layers = rng.standard_normal((10, 12, 3))
    layers[4] = 1e9
    result = aggregate(median, layers)
    assert result.shape == (12, 3) and np.abs(result).max() < 3
    np.testing.assert_array_equal(result, np.median(layers, axis=0))


def test_what_is_returned_is_new_and_nothing_is_changed():
    clients, _ = models(MAKE["state dict"])
    clients[0]._metadata = {"version": 1}  # as PyTorch's state dicts have
    before = [np.copy(leaf) for leaf in leaves_of(clients)[0]]
    result = aggregate(krum, clients, 3)
    assert result._metadata == {"version": 1} and isinstance(result, OrderedDict)
    for leaf in leaves_of(result)[0]:
        leaf += 1
    for leaf, copy in zip(leaves_of(clients)[0], before, strict=True):
        np.testing.assert_array_equal(leaf, copy)


def test_keys_decide_and_not_their_order():
    rows = [{"a": np.array([i, 0.0]), "b": float(-i)} for i in range(5)]
    rows[2] = dict(reversed(rows[2].items()))
    assert aggregate(median, rows)["b"] == -2 and aggregate(median, rows)["a"][0] == 2


def test_whole_numbers_are_rounded():
    counts = [{"steps": np.array([k, k + 1], np.uint8)} for k in (1, 2, 4, 250)]
    result = aggregate(median, counts)["steps"]
    assert result.dtype == np.uint8 and result.tolist() == [3, 4]
    assert aggregate(ag.mean, [np.array(1), np.array(2), np.array(2)]).tolist() == 2


def test_broken_models_are_dropped_and_options_are_bound():
    clients, rows = models(MAKE["layers"])
    clients[2][0][1, 1] = np.nan
    result = aggregate(partial(ag.multi_krum, m=1), clients, 2)
    np.testing.assert_array_equal(result[1], krum(np.delete(rows, 2, 0), 1)[6:10])
    same = aggregate(partial(krum, f=2), clients)
    np.testing.assert_array_equal(same[0], aggregate(krum, clients, 2)[0])
    assert aggregate(lambda rows: rows[3], clients, return_weights=True)[1] is None


GOOD = {"w": np.zeros((3, 4)), "b": [np.zeros(4), 1.0]}


@pytest.mark.parametrize(
    ("other", "error", "sentence"),
    [
        ({"w": GOOD["w"]}, ValueError, r"clients alike; client 2 lacks \['b'\]\[0\]$"),
        ({**GOOD, "z": 1.0}, ValueError, r"client 2 has \['z'\]$"),
        ({**GOOD, "b": [np.zeros(4)]}, ValueError, r"client 2 lacks \['b'\]\[1\]$"),
        (
            {**GOOD, "w": np.zeros((4, 3))},
            ValueError,
            r"client 2 at \['w'\] has shape \(4, 3\), client 0 has \(3, 4\)$",
        ),
        (
            {**GOOD, "w": np.zeros((3, 4), np.float32)},
            ValueError,
            r"client 2 at \['w'\] has dtype float32, client 0 has float64$",
        ),
        ({**GOOD, "w": np.float32(0)}, ValueError, r"has shape \(\), client 0 has"),
        (np.zeros(16), ValueError, r"client 2 lacks \['w'\]$"),
        ({**GOOD, "w": None}, TypeError, r"client 2 at \['w'\] has NoneType$"),
        ({**GOOD, "w": "x"}, TypeError, r"client 2 at \['w'\] has str$"),
        ({**GOOD, "w": True}, TypeError, r"client 2 at \['w'\] has bool$"),
        ({**GOOD, "w": np.ones((3, 4), bool)}, TypeError, r"client 2 at \['w'\] has dtype bool$"),
        ({**GOOD, "w": np.ma.ones((3, 4))}, TypeError, "^aggregate takes no masked arrays"),
    ],
)
def test_clients_that_differ_are_named(other, error, sentence):
    with pytest.raises(error, match=sentence) as failure:
        aggregate(median, [GOOD, GOOD, other])
    assert str(failure.value).startswith("aggregate ")


@pytest.mark.parametrize("clients", [[], [{}, {}], [[], []], np.zeros((0, 3))])
def test_no_clients_or_nothing_in_them(clients):
    with pytest.raises(ValueError, match="aggregate needs at least one client, and numbers in it"):
        aggregate(median, clients)


def test_what_is_no_rule_for_models():
    with pytest.raises(ValueError, match=r"answers with one vector of 17 numbers; got shape \(5, "):
        aggregate(ag.nearest_neighbor_mixing, [GOOD] * 5, 1)
    with pytest.raises(TypeError, match="krum needs an integer f; got None"):
        aggregate(krum, [GOOD] * 5)
    for models in ([GOOD] * 5, [[np.zeros((2, 2)), np.zeros(2)]] * 5, [np.zeros(3), np.zeros(4)]):
        with pytest.raises((TypeError, ValueError), match="see aggregators.aggregate$"):
            median(models)
