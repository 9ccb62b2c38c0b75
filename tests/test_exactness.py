"""Order statistics, distances and medians of hard numbers: offsets, huge and tiny rows, near ties.

Sorted columns, extended precision and exact fractions are the judges.
"""

import itertools
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byzlib import aggregators as ag
from byzlib.aggregators import _order
from byzlib.aggregators._distances import squared_distances
from byzlib.aggregators._order import between_ranks, mean_of, near_median, share_of
from tests import reference
from tests.catalogue import DEFENDED, EVERYTHING, PREAGGREGATIONS

# Order statistics

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
            mean_of(partial(between_ranks, low=low, high=high), x),
            slow_mean_of_ranks(x, low, high).astype(dtype),
            rtol=np.finfo(dtype).eps,
        )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 9, 30_000), (1, 60, 9_001), (700, 7, 13), (3, 40, 5_000)])
def test_blocks_cover_every_column_of_every_trial(shape, dtype, monkeypatch):
    """In blocks or in one piece, and each trial by itself."""
    x = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    n, some = shape[1], slice(None, None, 1 + shape[0] // 5)
    ranks = [(n // 3, n - n // 3), (0, 1)]
    keeps = [partial(between_ranks, low=low, high=high) for low, high in ranks]
    keeps.append(partial(near_median, count=n - n // 4))
    alone = [[f(keep, x[t : t + 1])[0] for t in range(len(x))[some]] for keep in keeps
             for f in (mean_of, share_of)]  # fmt: skip
    monkeypatch.setattr(_order, "BLOCK", 1 << 14)
    in_blocks = [f(keep, x)[some] for keep in keeps for f in (mean_of, share_of)]
    for ours, expected in zip(in_blocks, alone, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=4 * np.finfo(dtype).eps)


def test_who_is_nearest_the_median():
    tie = np.array([-1, 0, 0, 1.0])[None, :, None]  # -1 and 1 are equally near: the smaller first
    np.testing.assert_allclose(
        share_of(partial(near_median, count=3), tie), [[1 / 3, 1 / 3, 1 / 3, 0]]
    )
    np.testing.assert_allclose(share_of(partial(near_median, count=1), tie), [[0, 0.5, 0.5, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_nearest_values_where_sums_overflow(dtype):
    x = np.finfo(dtype).max * np.random.default_rng(0).uniform(0.6, 1, (6, 300)).astype(dtype)
    with np.errstate(over="ignore"):
        ours = mean_of(partial(near_median, count=4), x[None])[0]
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


ROUNDING = Fraction(1, 10**14)  # of a sum of some squares, each right to the last digit
HUGE = float(np.sqrt(np.finfo(np.float64).max))


def hard_crowds(seed):
    """Crowds, by name, that cost a careless implementation its digits."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((11, 6))
    far, farthest, twins, minus = (x.copy() for _ in range(4))
    far[:2] = rng.standard_normal((2, 6)) * 1e200
    farthest[:3] = [[1e200] * 6, [1e308] * 6, [-1e308] * 6]
    twins[1] = twins[0]
    twins[4:6] = twins[3] * (1 + 1e-12)
    minus += 1e8
    minus[:3] = -minus[3:].mean(axis=0)
    long = rng.standard_normal((6, 1100)) * 1e-3 + rng.standard_normal(1100)  # pieces and a rest
    small = {
        "float32": x,
        "float32 offset": x + 1e6,
        "float32 huge": x * 1e30,
        "float32 tiny": x * 1e-30,
        "float32 subnormal": x * 1e-42,
        "float32 mixed": x * 10.0 ** rng.uniform(-18, 18, (11, 1)),
        "float32 long rows": long,
    }
    return {
        "plain": x,
        "offset": x + 1e8,
        "offset and tiny spread": 1e-7 * x + 1e3,
        "offset of some coordinates": x + [1e12, 0, 0, 1e6, 0, 0],
        "two clusters": x + 1e8 * (np.arange(11) % 2)[:, None],
        "many offsets": x + 10.0 ** np.array([0, 3, 3, 3, 6, 6, 6, 9, 9, 9, 9])[:, None],
        "a liar on the other side": minus,
        "two rows at 1e200": far,
        "rows at 1e308": farthest,
        "all rows tiny": x * 1e-200,
        "subnormal": x * 1e-310,
        "all rows huge": x * 1e200,
        "all rows at the end of the range": x * 1e307,
        "sizes mixed over clients": x * 10.0 ** rng.uniform(-12, 12, (11, 1)),
        "sizes mixed over coordinates": x * 10.0 ** rng.uniform(-8, 8, 6),
        "clients of all sizes": x * 10.0 ** rng.uniform(-300, 300, (11, 1)),
        "three sizes": x * 10.0 ** np.repeat([-200.0, 0, 200], [4, 3, 4])[:, None],
        "numbers of all sizes": x * 10.0 ** rng.uniform(-300, 300, (11, 6)),
        "twins": twins,
        "all equal": np.tile(x[0] + 1e8, (11, 1)),
        "integers": rng.integers(-2, 3, (11, 6)) * 1.0,
        "integers far away": rng.integers(-2, 3, (11, 6)) + 2.0**40,
        "long rows, close together": long,
        **{name: rows.astype(np.float32) for name, rows in small.items()},
    }


HARD = [pytest.param(x, id=name) for name, x in hard_crowds(1).items()]
SHORT = [p for p in HARD if p.values[0].shape[1] < 100]


def exact_table(x):
    n = len(x)
    table = [[Fraction(0)] * n for _ in range(n)]
    for i, j in itertools.combinations(range(n), 2):
        table[i][j] = table[j][i] = reference.squared_distance(x[i].tolist(), x[j].tolist())
    return table


@pytest.mark.parametrize("x", HARD)
def test_distances_within_their_own_bound(x):
    """Each entry is off by at most margin * entry, or infinite where its square has no float."""
    distances = squared_distances(x[None])
    table = distances.table[0]
    margin = Fraction(float(distances.error[0])) + 4 * Fraction(2) ** -53
    assert table.dtype == np.float64
    assert (table == table.T).all() and (np.diagonal(table) == 0).all()
    assert distances.error[0] <= 1e-2 if x.dtype == np.float32 else 1e-6
    for row, exact_row in zip(table.tolist(), exact_table(x), strict=True):
        for entry, exact in zip(row, exact_row, strict=True):
            if np.isinf(entry):
                assert exact > Fraction(HUGE) ** 2 / 4
            else:
                lost = Fraction(1, 10**300)  # squares below that vanish beside the crowd
                assert abs(Fraction(entry) - exact) <= margin * exact + lost


@pytest.mark.parametrize("x", HARD)
def test_equal_rows_are_at_distance_zero(x):
    x = np.concatenate([x, x[:2]])
    table = squared_distances(x[None]).table[0]
    n = len(x)
    assert table[0, n - 2] == table[1, n - 1] == 0
    different = [(i, j) for i in range(n) for j in range(n) if (x[i] != x[j]).any()]
    assert all(table[i, j] > 0 for i, j in different)


@pytest.mark.parametrize("x", HARD)
@pytest.mark.parametrize("f", [0, 3])
def test_krum_chooses_what_exact_arithmetic_chooses(x, f):
    f = min(f, (len(x) - 3) // 2)
    rows = x.astype(float).tolist()
    scores = reference.krum_scores(rows, f)
    ranked = sorted(range(len(x)), key=lambda i: (scores[i], tuple(rows[i])))
    for m in (1, 3):
        _, weights = ag.multi_krum(x, f, m, return_weights=True)
        chosen, best = sorted(np.flatnonzero(weights).tolist()), sorted(ranked[:m])
        near_tie = scores[ranked[m]] - scores[ranked[m - 1]] <= ROUNDING * scores[ranked[m]]
        equal = scores[ranked[m]] == scores[ranked[m - 1]]
        if near_tie and not equal:  # below the last digit of a sum of squares
            assert sum(scores[i] for i in chosen) <= sum(scores[i] for i in best) * (1 + ROUNDING)
        else:
            assert sorted(rows[i] for i in chosen) == sorted(rows[i] for i in best)
    assert ag.krum(x, f).tolist() == ag.multi_krum(x, f, 1).tolist()


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 1e8, -(2.0**30), 1e12]),
    st.sampled_from([0, 1e-12, 1e-11, 1e-9]),
    st.sampled_from([-1000, 0, 900]),
)
def test_krum_tells_near_ties_apart(seed, offset, nearness, power):
    """Whole numbers full of ties, each then moved by a trifle, at any size."""
    rng = np.random.default_rng(seed)
    n, d = rng.integers(7, 12), rng.integers(1, 4)
    x = rng.integers(-2, 3, (n, d)) + offset
    x += nearness * max(1, abs(offset)) * rng.integers(-50, 50, (n, d))
    x = np.ldexp(x, power)
    f = int(rng.integers(0, (n - 3) // 2 + 1))
    scores = reference.krum_scores(x.tolist(), f)
    first, second = sorted(scores)[:2]
    if first == second or second - first > ROUNDING * second:
        assert ag.krum(x, f).tolist() == reference.krum(x.tolist(), f)
    _, weights = ag.krum(x, f, return_weights=True)
    assert scores[weights.argmax()] <= first * (1 + ROUNDING)


@settings(max_examples=15)
@given(
    st.integers(0, 10**6), st.sampled_from([0.0, 1e8]), st.sampled_from([1e-200, 1.0, 1e200, None])
)
def test_the_other_choosing_rules_at_any_size(seed, offset, size):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((11, 3)) + offset
    x *= 10.0 ** rng.uniform(-300, 295, (11, 1)) if size is None else size
    if seed % 3 == 0:  # exact ties
        x = np.ldexp(rng.integers(-2, 3, (11, 3)), np.frexp(x[0, 0])[1])
    for rule, slow in (
        (ag.bulyan, reference.bulyan),
        (ag.minimum_diameter_average, reference.minimum_diameter_average),
        (ag.nearest_neighbor_mixing, reference.nearest_neighbor_mixing),
    ):
        np.testing.assert_allclose(rule(x, 2), slow(x.tolist(), 2), rtol=1e-11, err_msg=str(rule))


def test_scores_of_huge_and_tiny_rows():
    x = np.random.default_rng(2).standard_normal((9, 3))
    plain = ag.krum_scores(x, 2)
    for power in (-500, -100, 100, 500):
        np.testing.assert_allclose(
            np.ldexp(ag.krum_scores(np.ldexp(x, power), 2), -2 * power), plain, rtol=1e-7
        )


# Medians, means and clipping


@pytest.mark.parametrize("x", SHORT)
def test_geometric_median_of_hard_crowds(x):
    """Each answer as far from the true median as its own last digit, or 1e-10 of the crowd."""
    rows = x.astype(float)
    expected = reference.geometric_median(rows.tolist())
    ours = ag.geometric_median(x)
    near = np.median(np.abs(rows - expected).max(axis=1))
    largest = np.median(np.abs(x), axis=0) + near.astype(x.dtype)
    digit = 4 * np.spacing(largest).astype(float)
    assert (np.abs(ours - expected) <= 1e-10 * near + digit).all()


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e15, 1e30, 1e60, 1e100, 1e153, 1e155, 1e300])
@pytest.mark.parametrize("together", [False, True])
def test_far_liars_pull_the_geometric_median_no_more_than_others(distance, together):
    """The answer depends on their direction alone: it is that with the liars at 1e30."""
    rng = np.random.default_rng(4)
    for n, f in ((11, 5), (12, 5), (7, 3), (11, 2)):
        x = rng.standard_normal((n, 3))
        direction = rng.standard_normal((1 if together else f, 3))
        x[:f] = direction * distance
        pull = np.broadcast_to(direction, (f, 3))
        pull = (pull / np.linalg.norm(pull, axis=1, keepdims=True)).sum(axis=0)
        z = ag.geometric_median(x)
        away = z - x[f:]
        length = np.linalg.norm(away, axis=1)
        if length.min() == 0:
            unit = away[length > 0] / length[length > 0, None]
            assert np.linalg.norm(unit.sum(axis=0) - pull) <= 1 + 10 * f / distance
        else:
            unit = away / length[:, None]
            np.testing.assert_allclose(unit.sum(axis=0), pull, atol=1e-12 + 10 * f / distance)


def test_geometric_median_at_a_row():
    cross = np.array([[0, 0], [1, 0], [-1, 0], [0, 2], [0, -3.0]])
    assert ag.geometric_median(cross).tolist() == [0, 0]
    _, weights = ag.geometric_median(cross, return_weights=True)
    assert weights.tolist() == [1, 0, 0, 0, 0]
    _, weights = ag.geometric_median(np.vstack([cross, cross[:1]]), return_weights=True)
    assert weights.tolist() == [0.5, 0, 0, 0, 0, 0.5]
    # Just beyond the limit of Vardi and Zhang, the median leaves the row.
    corner = np.array([[0, 0], [1, 0], [-0.45, 0.9]])
    z = ag.geometric_median(corner)
    assert 0 < np.linalg.norm(z) < 0.1
    assert reference.gradient_of_distances(corner, z) < 1e-9


@pytest.mark.parametrize("n", range(1, 13))
@pytest.mark.parametrize("d", [1, 2, 5])
def test_geometric_median_on_a_line(n, d):
    rng = np.random.default_rng(n)
    for offset, size in ((0, 1), (1e8, 1), (0, 1e-30), (0, 1e15), (1e3, 1e-3), (30, 1)):
        start, along = offset * np.ones(d), rng.integers(1, 4, d) * size
        place = rng.permutation(rng.integers(-50, 50, n)) * 1.0
        x = start + place[:, None] * along
        expected = start + np.median(place) * along
        np.testing.assert_allclose(
            ag.geometric_median(x), expected, rtol=1e-15, atol=1e-12 * 50 * size
        )
    x = x.astype(np.float32)[:, :1]  # the last of them, of one number each
    np.testing.assert_allclose(ag.geometric_median(x), ag.median(x), rtol=2e-7)


def test_a_far_row_does_not_make_a_line():
    x = np.random.default_rng(5).standard_normal((12, 2))
    x[0] = 1e15
    z = ag.geometric_median(x)
    assert reference.gradient_of_distances(x, z) < 1e-12
    line = np.outer(np.append(np.arange(11.0), 1e15), [3, 4])
    np.testing.assert_allclose(ag.geometric_median(line), [16.5, 22], rtol=1e-12)


@pytest.mark.parametrize("width", [0.1, 1e-2, 1e-3, 1e-4])
def test_a_narrow_crowd_is_not_a_line(width):
    """An even crowd: on a line the midpoint of the middle two, near one a point beside it."""
    for seed in range(5):
        x = np.random.default_rng(seed).standard_normal((6, 2)) * [1, width]
        expected = reference.geometric_median(x.tolist())
        np.testing.assert_allclose(ag.geometric_median(x), expected, atol=1e-9)


def test_geometric_median_of_rows_nearly_on_a_line():
    rng = np.random.default_rng(0)
    gain, volume = rng.normal(0.1, 0.3, (200, 10)), rng.normal(5000, 1000, (200, 10))
    gain[:, 0] = 50
    x = np.stack([gain, volume], axis=-1)
    z = ag.geometric_median(x, max_iter=60)  # a warning is an error
    away = z[:, None] - x
    length = np.linalg.norm(away, axis=-1, keepdims=True)
    pull = np.linalg.norm((away / np.maximum(length, 1e-300)).sum(axis=1), axis=-1)
    at_a_row = length[..., 0].min(axis=1) < 1e-9
    assert (pull[~at_a_row] < 1e-4).all() and (pull[at_a_row] <= 1 + 1e-9).all()


def test_geometric_median_among_rows_equal_up_to_rounding():
    rng = np.random.default_rng(5)
    for n, equal in [(17, 8), (10, 5), (9, 4)]:
        x = rng.standard_normal((n, 30))
        x[:equal] = x[0]
        x[1:equal] *= 1 + 2e-16 * rng.integers(-1, 2, (equal - 1, 30))
        z = ag.geometric_median(x)  # a warning is an error
        pull = x[0] - x[equal:]
        pull = (pull / np.linalg.norm(pull, axis=1, keepdims=True)).sum(axis=0)
        at_the_heap = np.linalg.norm(z - x[0]) < 1e-12
        assert at_the_heap == (np.linalg.norm(pull) <= equal)


@pytest.mark.parametrize("distance", [1e3, 1e8, 1e12])
def test_geometric_median_of_two_far_pairs(distance):
    """All places between them are equally good to the last digit: any of them, and no warning."""
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal((4, 3))
        x[:2] += distance
        z = ag.geometric_median(x)
        total = [np.linalg.norm(x - point, axis=1).sum() for point in (z, x.mean(axis=0))]
        assert total[0] <= total[1] * (1 + 1e-15)


def test_geometric_median_warns_with_numbers():
    x = np.random.default_rng(6).standard_normal((3, 9, 4))
    x[1] = 1  # this one is done at once
    with pytest.warns(RuntimeWarning, match="geometric_median: after 1 steps.* 2 trials") as said:
        ag.geometric_median(x, max_iter=1)
    assert "1e-10" in str(said[0].message)
    assert said[0].filename == __file__
    loose = ag.geometric_median(x, tol=0.5)
    assert not np.array_equal(loose, ag.geometric_median(x))


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e-30, 1e30, 1e200, 1e307])
def test_clipping_at_any_size(size):
    x = np.random.default_rng(7).standard_normal((9, 4)) * size
    x[3] = 0
    np.testing.assert_allclose(
        ag.adaptive_clipping(x, 2), reference.adaptive_clipping(x.tolist(), 2), rtol=1e-12
    )
    centre = ag.centered_clipping(np.array([[1e308, 1e308], [0, 0]]), 2.0)
    np.testing.assert_allclose(centre, np.sqrt(0.5), rtol=1e-15)


@pytest.mark.parametrize("name", sorted(DEFENDED))
@pytest.mark.parametrize("lie", [1e100, 1e154, 1e200, 1e308, -1e308])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_huge_finite_liars_are_silent_and_harmless(name, lie, dtype):
    """No warning, no NaN, and an answer near the crowd."""
    lie = np.clip(lie, np.finfo(dtype).min, np.finfo(dtype).max)
    x = np.random.default_rng(8).standard_normal((3, 11, 4))
    x[1, :2] = lie
    x[2, 0], x[2, 1] = lie, -lie
    f = 2
    result = DEFENDED[name].call(x.astype(dtype), f)
    if "of_means" in name or "buckets" in name:
        assert np.isfinite(result).all()  # two liars can meet in most of the groups
    else:
        assert np.abs(result).max() < 5


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_the_largest_numbers_do_not_overflow(name):
    for dtype in (np.float32, np.float64):
        x = np.full((2, 11, 3), np.finfo(dtype).max)
        result = EVERYTHING[name].call(x, 2)
        assert np.isfinite(result).all()
        if "clip" not in name and "buck" not in name and "means" not in name:
            assert (result == np.finfo(dtype).max).all()


def test_preaggregations_leave_broken_rows_in_place():
    x = np.random.default_rng(11).standard_normal((3, 9, 4))
    x[1, [2, 5]], x[2, 0, 3] = np.nan, -np.inf
    for name, rule in PREAGGREGATIONS.items():
        rows, matrix = rule.call(x, 2, return_weights=True)
        broken = ~np.isfinite(x).all(axis=-1)
        if name == "bucketing":  # nine rows make five buckets, seven make four, eight make four
            assert np.isnan(rows).all(axis=-1).sum(axis=-1).tolist() == [0, 1, 1]
        else:
            np.testing.assert_array_equal(np.isnan(rows).all(axis=-1), broken)
            np.testing.assert_array_equal(np.isnan(rows).any(axis=-1), broken)
            assert (matrix[broken] == 0).all()
        assert (np.swapaxes(matrix, -1, -2)[broken] == 0).all()
