"""The two kernels by themselves: order statistics at every rank, distances at every size."""

import numpy as np
import pytest

from byzlib.aggregators import _contract, _order
from byzlib.aggregators._distances import squared_distances
from byzlib.aggregators._order import between_ranks, mean_of, near_median, share_of
from tests import reference

DTYPES = [np.float32, np.float64]


def slow_mean_of_ranks(x, low, high):
    return np.sort(x, axis=-2)[..., low:high, :].mean(axis=-2, dtype=np.longdouble)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", [True, False])
@pytest.mark.parametrize("n", [*range(1, 26), 31, 32, 33, 48, 49, 64])
def test_every_pair_of_ranks(n, network, dtype, monkeypatch):
    """Whole numbers with ties: all sums are exact, whichever way the ranks were found."""
    monkeypatch.setattr(_order, "NETWORK_BYTES", 10**9 if network else 0)
    monkeypatch.setattr(_order, "CALL_COLUMNS", 0)
    x = np.random.default_rng(n).integers(-20, 21, (2, n, 7)).astype(dtype)
    if n <= 10:  # all zeros and ones: what sorts those sorts everything (Knuth)
        x = ((np.arange(2**n) >> np.arange(n)[:, None]) & 1).astype(dtype)[None]
    pairs = [(low, high) for low in range(n) for high in range(low + 1, n + 1)]
    for low, high in pairs[:: 1 + len(pairs) // 150]:
        np.testing.assert_allclose(
            mean_of(between_ranks(n, low, high), x),
            slow_mean_of_ranks(x, low, high).astype(dtype),
            rtol=np.finfo(dtype).eps,
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 9, 30_000), (1, 60, 9_001), (700, 7, 13), (3, 40, 5_000)])
def test_blocks_cover_every_column_of_every_trial(shape, dtype, monkeypatch):
    """In blocks or in one piece, and each trial by itself."""
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    n, some = shape[1], slice(None, None, 1 + shape[0] // 5)
    keeps = between_ranks(n, n // 3, n - n // 3), between_ranks(n, 0, 1), near_median(n - n // 4)
    alone = [[f(keep, x[t : t + 1])[0] for t in range(len(x))[some]] for keep in keeps
             for f in (mean_of, share_of)]  # fmt: skip
    monkeypatch.setattr(_order, "BLOCK", 1 << 14)
    in_blocks = [f(keep, x)[some] for keep in keeps for f in (mean_of, share_of)]
    for ours, expected in zip(in_blocks, alone, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_of_ranks_lies_between_its_extremes(dtype):
    """Rounding in the mean of equal or nearly equal values must not lead out of them."""
    rng, big = np.random.default_rng(2), np.finfo(dtype).max
    for n in (5, 9, 40):
        x = np.full((1, n, 300), 0.17, dtype)
        x[0, : n // 3] = rng.choice([-big, big, 0, 1e-40], (n // 3, 300))
        low, high = n // 3, n - n // 3
        ordered = np.sort(x, axis=1)
        with np.errstate(over="ignore"):
            result = mean_of(between_ranks(n, low, high), x)
            assert (result >= ordered[:, low]).all() and (result <= ordered[:, high - 1]).all()
            for value in (big, -big, np.finfo(dtype).smallest_subnormal, dtype(0.1)):
                same = np.full((1, n, 3), value, dtype)
                for keep in (between_ranks(n, low, high), near_median(n - 1)):
                    assert (mean_of(keep, same) == value).all()


def test_who_is_nearest_the_median():
    tie = np.array([-1, 0, 0, 1.0])[None, :, None]  # -1 and 1 are equally near: the smaller first
    np.testing.assert_allclose(share_of(near_median(3), tie), [[1 / 3, 1 / 3, 1 / 3, 0]])
    np.testing.assert_allclose(share_of(near_median(1), tie), [[0, 0.5, 0.5, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_nearest_values_where_sums_overflow(dtype):
    x = np.finfo(dtype).max * np.random.default_rng(0).uniform(0.6, 1, (6, 300)).astype(dtype)
    with np.errstate(over="ignore"):
        ours = mean_of(near_median(4), x[None])[0]
    wanted = reference.mean_near_median(x.tolist(), 4)
    np.testing.assert_allclose(ours, wanted, rtol=4 * np.finfo(dtype).eps)


# Distances


def check_within_their_bound(distances, x):
    for t in range(len(x)):
        rows = x[t].astype(np.longdouble)
        exact = ((rows[:, None] - rows) ** 2).sum(axis=-1)
        error = np.abs(distances.table[t] - exact)
        assert (error <= (distances.error[t] + 1e-13) * exact).all()
        assert distances.error[t] <= 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 511, 512, 513, 2049, 9000])
@pytest.mark.parametrize("offset", [0, 1, 1e3, 1e6])
def test_distances_of_every_length(d, dtype, offset):
    """Pieces of columns and their rests; near and far from the origin."""
    x = (np.random.default_rng(d).standard_normal((2, 6, d)) + offset).astype(dtype)
    x[1, 3] = x[1, 4]
    distances = squared_distances(x)
    check_within_their_bound(distances, x)
    assert distances.table[1, 3, 4] == 0 and (np.diagonal(distances.table[0]) == 0).all()


def test_float32_rows_that_repeat_themselves():
    """Constant rows round the same way in every piece: errors add up, they do not cancel."""
    rng = np.random.default_rng(3)
    for pattern in (np.ones(100_000), np.tile([1.0, -0.7, 0.3, 0.9], 25_000)):
        x = (rng.uniform(0.5, 1, (1, 8, 1)) * pattern).astype(np.float32)
        check_within_their_bound(squared_distances(x), x)


def test_one_hard_trial_does_not_spoil_the_others():
    x = np.random.default_rng(4).standard_normal((3, 7, 20))
    x[1] += 1e9
    x[2] *= 1e-180
    together = squared_distances(x)
    for t in range(3):
        alone = squared_distances(x[t : t + 1])
        np.testing.assert_allclose(together.table[t], alone.table[0], rtol=1e-8)
    assert together.error[0] < 1e-10


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_broken_number_is_found_wherever_it_stands(dtype):
    big = np.full((2, 30, 40), np.finfo(dtype).max)
    assert _contract.all_finite(big) and _contract.all_finite(-big.T)  # sums and squares overflow
    for value in (np.nan, np.inf, -np.inf):
        for place in (0, big.size - 1, big.size // 2):
            broken = big.copy()
            broken.flat[place] = value
            for layout in (broken, np.asfortranarray(broken), broken[:, ::-1]):
                assert not _contract.all_finite(layout)
