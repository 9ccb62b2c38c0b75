"""The later rules and the pre-aggregations against their slow definitions, ties and all."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from byzlib import aggregators as ag
from byzlib.aggregators import _subsets
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


@settings(max_examples=60)
@given(crowds(lambda f: 4 * f + 3))
def test_bulyan(crowd):
    x, f = crowd
    close(ag.bulyan(x, f), reference.bulyan(x.tolist(), f))


@settings(max_examples=80)
@given(crowds(lambda f: 2 * f + 1, most_f=4))
def test_mean_around_median(crowd):
    x, f = crowd
    close(ag.mean_around_median(x, f), reference.mean_around_median(x.tolist(), f))


@settings(max_examples=80)
@given(crowds(lambda f: 2 * f + 1, most_f=3, more=3))
def test_minimum_diameter_average(crowd):
    x, f = crowd
    close(ag.minimum_diameter_average(x, f), reference.minimum_diameter_average(x.tolist(), f))


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
    expected = reference.minimum_diameter_average(np.eye(7).tolist(), 2)
    close(ag.minimum_diameter_average(np.eye(7), 2), expected)


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


@settings(max_examples=80)
@given(crowds(lambda f: f + 1, most_f=4))
def test_nearest_neighbor_mixing(crowd):
    x, f = crowd
    mixed, matrix = ag.nearest_neighbor_mixing(x, f, return_weights=True)
    close(mixed, reference.nearest_neighbor_mixing(x.tolist(), f))
    close(matrix @ x, mixed)
    assert (np.diagonal(matrix) > 0).all()
    assert ((matrix > 0).sum(axis=1) == len(x) - f).all()


@settings(max_examples=60)
@given(crowds(lambda f: 2 * f + 1, most_f=3))
def test_clipping(crowd):
    x, f = crowd
    clipped, matrix = ag.adaptive_clipping(x, f, return_weights=True)
    close(clipped, reference.adaptive_clipping(x.tolist(), f))
    close(matrix @ x, clipped)


@settings(max_examples=60)
@given(
    crowds(lambda f: 1),
    st.sampled_from([0.25, 2.0, 1e3, np.inf]),
    st.integers(1, 4),
    st.lists(EIGHTHS, min_size=3, max_size=3),
)
def test_centered_clipping(crowd, radius, n_iter, center):
    x, _ = crowd
    d = x.shape[1]
    ours = ag.centered_clipping(x, radius, center[:d], n_iter)
    np.testing.assert_allclose(
        ours,
        reference.centered_clipping(x.tolist(), radius, center[:d], n_iter),
        rtol=1e-12,
        atol=1e-12,
    )


@settings(max_examples=80)
@given(crowds(lambda f: 1, more=8))
def test_geometric_median_is_optimal(crowd):
    x, _ = crowd
    centre = ag.geometric_median(x)
    spread = x - x[0]
    if np.linalg.matrix_rank(spread) > 1 or len(x) % 2:
        np.testing.assert_allclose(
            centre, reference.geometric_median(x.tolist()), rtol=1e-9, atol=1e-9
        )
    assert (x.min(axis=0) <= centre).all() and (centre <= x.max(axis=0)).all()


@settings(max_examples=40)
@given(crowds(lambda f: 2, more=7), st.integers(1, 4), st.integers(0, 99))
def test_bucketing_is_the_mean_of_its_buckets(crowd, s, seed):
    x, _ = crowd
    n = len(x)
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
    if n_groups == 10:
        close(result, ag.geometric_median(x))
    if n_groups == 4:  # groups of 3, 3, 2, 2 share a weight, so there are at most four of them
        assert len(np.unique(weights.round(12))) <= 4
    assert not np.allclose(result, ag.geometric_median_of_means(x, n_groups, 2)) or n_groups in (
        1,
        10,
    )


def test_a_generator_goes_on_and_a_seed_starts_again():
    x = np.random.default_rng(7).standard_normal((10, 3))
    for rule in (
        lambda rng: ag.bucketing(x, 2, rng),
        lambda rng: ag.geometric_median_of_means(x, 5, rng),
    ):
        np.testing.assert_array_equal(rule(4), rule(np.int64(4)))
        np.testing.assert_array_equal(rule(4), rule(np.random.default_rng(4)))
        generator = np.random.default_rng(4)
        assert not np.array_equal(rule(generator), rule(generator))
    stacked = ag.bucketing(np.stack([x, x]), 2, 4)
    assert not np.array_equal(stacked[0], stacked[1])  # anew in each trial


THREE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9.0]])


def test_golden_values_of_three_rows():
    """Published examples; row 2 is equally near to both others, and goes to the dictionary."""
    close(ag.nearest_neighbor_mixing(THREE, 1), [[2.5, 3.5, 4.5], [2.5, 3.5, 4.5], [5.5, 6.5, 7.5]])
    third = np.sqrt(77 / 194) * THREE[2]  # as long as the second
    np.testing.assert_allclose(third, [4.410040, 5.040046, 5.670052], atol=1e-6)
    close(ag.adaptive_clipping(THREE, 1), [*THREE[:2], third])
    close(ag.geometric_median(THREE), [4, 5, 6])
