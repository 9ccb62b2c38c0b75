"""The two kernels by themselves: order statistics at every rank, distances at every size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib.aggregators import _contract, _order
from byzlib.aggregators._distances import (
    lexicographic_rank,
    lowest,
    squared_distances,
)
from byzlib.aggregators._order import between_ranks, mean_of, near_median, share_of
from tests import reference

DTYPES = [np.float32, np.float64]


def mean_of_ranks(x, low, high):
    with np.errstate(over="ignore"):
        return mean_of(between_ranks(x.shape[1], low, high), x)


def share_of_ranks(x, low, high):
    return share_of(between_ranks(x.shape[1], low, high), x)


def mean_near_median(x, count):
    with np.errstate(over="ignore"):
        return mean_of(near_median(count), x)


def share_near_median(x, count):
    return share_of(near_median(count), x)


def slow_mean_of_ranks(x, low, high):
    return np.sort(x, axis=-2)[..., low:high, :].mean(axis=-2, dtype=np.longdouble)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*range(1, 26), 31, 32, 33, 48, 49, 64, 100])
def test_every_pair_of_ranks(n, dtype):
    """Whole numbers with ties: all sums are exact, whichever way the ranks were found."""
    x = np.random.default_rng(n).integers(-20, 21, (2, n, 7)).astype(dtype)
    pairs = [(low, high) for low in range(n) for high in range(low + 1, n + 1)]
    for low, high in pairs[:: 1 + len(pairs) // 150]:
        expected = slow_mean_of_ranks(x, low, high)
        np.testing.assert_allclose(
            mean_of_ranks(x, low, high), expected.astype(dtype), rtol=np.finfo(dtype).eps
        )
    middle = (n - 1) // 2, n // 2 + 1
    np.testing.assert_array_equal(mean_of_ranks(x, *middle), np.median(x, axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_sorts_all_zeros_and_ones(dtype):
    """Knuth's principle: what sorts every column of zeros and ones sorts everything."""
    for n in range(1, 13):
        bits = ((np.arange(2**n) >> np.arange(n)[:, None]) & 1).astype(dtype)[None]
        ordered = np.sort(bits, axis=1)
        for low in range(n):
            np.testing.assert_array_equal(mean_of_ranks(bits, low, low + 1), ordered[:, low])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 9, 30_000), (1, 60, 9_001), (700, 7, 13), (3, 40, 5_000)])
def test_blocks_cover_every_column_of_every_trial(shape, dtype, monkeypatch):
    monkeypatch.setattr(_order, "BLOCK", 1 << 14)
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    n = shape[1]
    rounding = 4 * np.finfo(dtype).eps
    for low, high in ((0, 1), (n // 3, n - n // 3), ((n - 1) // 2, n // 2 + 1)):
        expected = slow_mean_of_ranks(x, low, high)
        np.testing.assert_allclose(mean_of_ranks(x, low, high), expected, rtol=rounding, atol=1e-7)
    count = n - n // 4
    nearest = mean_near_median(x, count)
    weights = share_near_median(x, count)
    ranks = share_of_ranks(x, n // 3, n - n // 3)
    for t in range(0, len(x), 1 + len(x) // 5):
        alone = x[t : t + 1]
        np.testing.assert_allclose(nearest[t], mean_near_median(alone, count)[0], rtol=rounding)
        np.testing.assert_allclose(weights[t], share_near_median(alone, count)[0])
        np.testing.assert_allclose(ranks[t], share_of_ranks(alone, n // 3, n - n // 3)[0])
        ordered = np.sort(x[t], axis=0)[n // 3 : n - n // 3]
        inside = (x[t] >= ordered[0]) & (x[t] <= ordered[-1])
        share = inside.mean(axis=1) / inside.mean(axis=1).sum()
        np.testing.assert_allclose(ranks[t], share, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_of_ranks_lies_between_its_extremes(dtype):
    """Rounding in the mean of equal or nearly equal values must not lead out of them."""
    rng = np.random.default_rng(2)
    big = np.finfo(dtype).max
    for n in (5, 9, 40):
        x = np.full((1, n, 300), 0.1, dtype) * np.ones(300, dtype) * dtype(1.7)
        x[0, : n // 3] = rng.choice([-big, big, 0, 1e-40], (n // 3, 300))
        low, high = n // 3, n - n // 3
        ordered = np.sort(x, axis=1)
        result = mean_of_ranks(x, low, high)
        assert (result >= ordered[:, low]).all() and (result <= ordered[:, high - 1]).all()
        for value in (big, -big, np.finfo(dtype).smallest_subnormal, dtype(0.1)):
            same = np.full((1, n, 3), value, dtype)
            assert (mean_of_ranks(same, low, high) == value).all()
            assert (mean_near_median(same, n - 1) == value).all()
        halves = np.full((1, 4, 1), big, dtype)
        halves[0, :2] = -big
        assert mean_of_ranks(halves, 1, 3) == 0


def test_the_values_nearest_the_median():
    column = np.array([0, 1, 2, 10, 11.0])[None, :, None]  # median 2; distances 2 1 0 8 9
    assert mean_near_median(column, 3) == 1
    assert mean_near_median(column, 4) == 13 / 4
    tie = np.array([-1, 0, 0, 1.0])[None, :, None]  # -1 and 1 are equally near: the smaller first
    assert mean_near_median(tie, 3) == -1 / 3
    np.testing.assert_allclose(share_near_median(tie, 3), [[1 / 3, 1 / 3, 1 / 3, 0]])
    even = np.array([0, 1, 3, 9.0])[None, :, None]  # median 2
    assert mean_near_median(even, 2) == 2
    assert mean_near_median(even, 1) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_nearest_values_where_sums_overflow(dtype):
    x = np.finfo(dtype).max * np.random.default_rng(0).uniform(0.6, 1, (6, 300)).astype(dtype)
    wanted = reference.mean_near_median(x.tolist(), 4)
    np.testing.assert_allclose(
        mean_near_median(x[None], 4)[0], wanted, rtol=4 * np.finfo(dtype).eps
    )


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_shares_of_equal_values_are_equal(seed, n):
    """Clients with the same value share its places, wherever they stand in the list."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (1, n, 1)) * 1.0
    low = int(rng.integers(0, n))
    high = int(rng.integers(low + 1, n + 1))
    share = share_of_ranks(x, low, high)[0]
    kept = np.sort(x[0, :, 0])[low:high]
    for value in range(3):
        holders = x[0, :, 0] == value
        np.testing.assert_allclose(share[holders].sum(), (kept == value).mean(), atol=1e-14)
        assert len(set(share[holders])) <= 1


# Distances


def slow_table(x):
    x = x.astype(np.longdouble)
    return ((x[:, None] - x) ** 2).sum(axis=-1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 511, 512, 513, 2048, 2049, 4096, 4097, 9000])
@pytest.mark.parametrize("offset", [0, 1, 1e3, 1e6])
def test_distances_of_every_length(d, dtype, offset):
    """Pieces of columns, blocks of columns, and their rests; near and far from the origin."""
    rng = np.random.default_rng(d)
    x = (rng.standard_normal((2, 6, d)) + offset).astype(dtype)
    x[1, 3] = x[1, 4]
    distances = squared_distances(x)
    assert distances.table.dtype == np.float64 and distances.table.shape == (2, 6, 6)
    for t in range(2):
        exact = slow_table(x[t])
        error = np.abs(distances.table[t] * distances.unit[t] ** 2 - exact)
        assert (error <= (distances.error[t] + 1e-13) * exact).all()
        assert distances.error[t] <= 1e-3
        assert (np.diagonal(distances.table[t]) == 0).all()
    assert distances.table[1, 3, 4] == 0


def test_float32_rows_that_repeat_themselves():
    """Constant rows round the same way in every piece: errors add up, they do not cancel."""
    rng = np.random.default_rng(3)
    for pattern in (np.ones(100_000), np.tile([1.0, -0.7, 0.3, 0.9], 25_000)):
        x = (rng.uniform(0.5, 1, (8, 1)) * pattern).astype(np.float32)
        distances = squared_distances(x[None])
        exact = slow_table(x)
        error = np.abs(distances.table[0] * float(distances.unit[0]) ** 2 - exact)
        assert (error <= (distances.error[0] + 1e-13) * exact).all()


def test_one_hard_trial_does_not_spoil_the_others():
    x = np.random.default_rng(4).standard_normal((3, 7, 20))
    x[1] += 1e9
    x[2] *= 1e-180
    together = squared_distances(x)
    for t in range(3):
        alone = squared_distances(x[t : t + 1])
        np.testing.assert_allclose(
            together.table[t] * together.unit[t], alone.table[0] * alone.unit[0], rtol=1e-8
        )
    assert together.error[0] < 1e-10
    assert together.unit[0] == 1


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_the_lowest_scores_among_the_living(seed):
    """Whole numbers, so that sums are exact: a sort by (score, row) says who is chosen."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 10))
    x = rng.integers(-3, 4, (1, n, 2)) * 1.0
    alive = rng.random((1, n)) < 0.7
    alive[0, :3] = True
    here = np.flatnonzero(alive[0])
    k = int(rng.integers(1, len(here)))
    m = int(rng.integers(1, len(here) + 1))
    share = lowest(squared_distances(x), k, m, alive)[0] / m
    table = slow_table(x[0])
    score = {i: np.sort(table[i, here[here != i]])[:k].sum() for i in here}
    ranked = sorted(here, key=lambda i: (score[i], tuple(x[0, i])))[:m]
    np.testing.assert_allclose(share.sum(), 1)
    assert set(np.unique(share)) <= {0, 1 / m} and (share[~alive[0]] == 0).all()
    chosen = sorted(tuple(row) for row in x[0, share > 0])
    assert chosen == sorted(tuple(x[0, i]) for i in ranked)


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_lexicographic_rank(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2, (2, 7, 3)) * 1.0
    for trial, place in zip(x, lexicographic_rank(x), strict=True):
        assert sorted(place) == list(range(7))
        ordered = [tuple(row) for row in trial[np.argsort(place)]]
        assert ordered == sorted(ordered)


# Is all of it finite?


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_broken_number_is_found_wherever_it_stands(dtype, value):
    for shape in ((1, 1, 1), (3, 5, 7), (1, 2, 5000), (2, 3, 1031)):
        x = np.ones(shape, dtype)
        assert _contract.all_finite(x)
        for place in (0, x.size - 1, x.size // 2):
            broken = x.copy()
            broken.flat[place] = value
            assert not _contract.all_finite(broken)
            assert not _contract.all_finite(np.asfortranarray(broken))
            assert not _contract.all_finite(broken[:, ::-1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_whose_sum_overflows_are_finite(dtype):
    big = np.finfo(dtype).max
    x = np.full((2, 30, 40), big)
    assert _contract.all_finite(x) and _contract.all_finite(-x) and _contract.all_finite(x.T)
    x[0, 0, ::2] *= -1
    assert _contract.all_finite(x) and _contract.all_finite(x[:, :, ::2])
