"""Detectors and the measures of detectors: definitions, invariances, coverage, edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from byzlib import risk

SCORES = [risk.clone_score, risk.shout_score, risk.pair_score, risk.line_score]


def middle(rows):
    return np.median(rows, axis=-2)


def scaled_gap(rows):
    return risk.gap_score(rows, middle, scaled=True)


def crowd(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def slow_scores(rows):
    n = len(rows)
    far = [np.sqrt(((rows[i] - rows[j]) ** 2).sum()) for i in range(n) for j in range(i)]
    values = np.linalg.eigvalsh(np.cov(rows.T))
    clone = np.log(np.median(far) / min(far))
    shout = np.log(max(far) / np.median(far))
    return clone, shout, max(clone, shout), values.max() / values.sum()


def test_scores_by_their_definitions():
    for seed in range(5):
        rows = crowd(7, 4, seed=seed)
        assert np.allclose([score(rows) for score in SCORES], slow_scores(rows))
        gap = np.linalg.norm(middle(rows) - rows.mean(axis=0))
        assert np.isclose(risk.gap_score(rows, middle), gap)
        typical = np.median(np.linalg.norm(rows - middle(rows), axis=1))
        assert np.isclose(scaled_gap(rows), gap / typical)


@pytest.mark.parametrize("score", [*SCORES, scaled_gap])
def test_scores_have_no_unit_no_origin_and_no_order(score):
    rows = crowd(3, 8, 5)
    plain = score(rows)
    assert plain.shape == (3,)
    assert np.allclose([score(row) for row in rows], plain)
    assert np.allclose(score(rows * 1e150), plain) and np.allclose(score(rows * 1e-150), plain)
    assert np.allclose(score(rows[:, ::-1]), plain)
    assert np.allclose(score(rows + 100.0), plain, atol=1e-6)


def test_gap_keeps_its_unit():
    rows = crowd(6, 3)
    assert np.isclose(risk.gap_score(rows * 1e200, middle), risk.gap_score(rows, middle) * 1e200)


def test_copies_and_crowds_of_one_mind():
    rows = crowd(6, 3)
    rows[1] = rows[0]
    assert risk.clone_score(rows) == np.inf == risk.pair_score(rows)
    same = np.ones((6, 3))
    assert [score(same) for score in SCORES] == [0, 0, 0, 0]
    assert scaled_gap(same) == 0
    one_off = np.vstack([np.ones((5, 3)), np.zeros(3)])
    assert risk.shout_score(one_off) == np.inf == scaled_gap(one_off)
    assert risk.clone_score(one_off) == 0 and risk.line_score(one_off) == pytest.approx(1)


def test_input_stays():
    rows = crowd(6, 3)
    before = rows.copy()
    for score in [*SCORES, scaled_gap]:
        score(rows)
    assert np.array_equal(rows, before)


FEW = arrays(float, st.integers(1, 12), elements=st.integers(0, 5).map(float))


@given(FEW, FEW)
def test_area_by_counting_pairs(attacked, clean):
    difference = attacked[:, None] - clean
    slow = np.mean((difference > 0) + (difference == 0) / 2)
    area, low, high = risk.auc(attacked, clean)
    assert np.isclose(area, slow)
    assert 0 <= low <= area + 1e-12 and area - 1e-12 <= high <= 1
    other = risk.auc(clean, attacked)
    assert np.allclose(other, (1 - area, 1 - high, 1 - low), atol=1e-9)
    false, hits, thresholds = risk.roc(attacked, clean)
    assert np.isclose(np.trapezoid(hits, false), slow)
    for f, h, threshold in zip(false, hits, thresholds, strict=True):
        assert np.isclose(f, (clean >= threshold).mean())
        assert np.isclose(h, (attacked >= threshold).mean())


def test_the_interval_solves_its_equation():
    k, m, z = 30, 50, stats.norm.ppf(0.975)
    rng = np.random.default_rng(1)
    area, low, high = risk.auc(rng.normal(1, 1, k), rng.normal(0, 1, m))
    for edge in (low, high):
        tail = (1 - edge) / (2 - edge) + edge / (1 + edge)
        variance = edge * (1 - edge) * (1 + ((k + m) / 2 - 1) * tail) / (k * m)
        assert abs(edge - area) == pytest.approx(z * np.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_covers_the_true_area(shift):
    rng = np.random.default_rng(2)
    found = risk.auc(rng.normal(shift, 1, (2000, 40)), rng.normal(0, 1, (2000, 40)))
    truth = stats.norm.cdf(shift / np.sqrt(2))
    covered = ((found.low <= truth) & (truth <= found.high)).mean()
    assert 0.95 - 4 * np.sqrt(0.05 * 0.95 / 2000) < covered < 0.985


def test_a_perfect_detector_is_not_certain():
    one = risk.auc(np.arange(10.0) + 20, np.arange(10.0))
    assert one.area == 1 and one.high == 1 and 0.6 < one.low < 0.95
    many = risk.auc(np.arange(400.0) + 500, np.arange(400.0))
    assert many.low > 0.98
    assert f"{one:.2f}".startswith("1.00 [0.") and f"{one}".endswith("1.00]")
    assert risk.auc([np.inf, np.inf], [0.0, np.inf]).area == 0.75


def test_areas_broadcast_over_trials():
    attacked, clean = crowd(3, 20) + 1, crowd(15, seed=4)
    found = risk.auc(attacked, clean)
    assert found.area.shape == found.low.shape == (3,)
    assert np.allclose(found.area[1], risk.auc(attacked[1], clean).area)


def test_cusum_by_its_definition():
    scores = crowd(4, 30)
    path = risk.cusum(scores, 0.2)
    for row, found in zip(scores, path, strict=True):
        total = 0.0
        for value, here in zip(row, found, strict=True):
            total = max(0.0, total + value - 0.2)
            assert np.isclose(here, total)


def test_delay_counts_from_one_and_may_be_endless():
    assert risk.detection_delay([[0, 3, 1], [5, 0, 0], [0, 0, 0]], 3).tolist() == [2, 1, np.inf]
    assert risk.detection_delay([0, 0, 3.0], 3) == 3


BAD = [
    (lambda: risk.pair_score(np.zeros((2, 3))), ValueError, "clone_score needs n >= 3"),
    (lambda: risk.line_score(np.zeros((2, 3))), ValueError, "line_score needs n >= 3"),
    (lambda: risk.shout_score(np.zeros(3)), ValueError, r"shout_score needs .*\(3,\)"),
    (lambda: risk.gap_score([[np.nan]], middle), ValueError, "gap_score needs finite updates"),
    (lambda: risk.auc([], [1]), ValueError, "auc needs at least one score"),
    (lambda: risk.auc([np.nan], [1]), ValueError, "got NaN"),
    (lambda: risk.auc([1], [1], level=1), ValueError, "0 < level < 1"),
    (lambda: risk.roc([[1]], [1]), ValueError, "two rows of scores"),
    (lambda: risk.cusum(3.0, 1), ValueError, "cusum needs at least one score"),
    (lambda: risk.detection_delay([np.nan], 1), ValueError, "detection_delay needs .* NaN"),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
