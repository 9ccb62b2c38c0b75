"""Value at risk, back-tests, scenarios, detectors, counts of liars: definitions, known values."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from byzlib import risk
from byzlib.attacks import sign_flip

RETURNS = arrays(float, st.integers(1, 60), elements=st.integers(-50, 50).map(float))
SHARES = st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.25, 0.5, 0.9])


def mean(rows):
    return rows.mean(axis=-2)


def middle(rows):
    return np.median(rows, axis=-2)


def sends(value):
    return lambda honest, f, rng: np.full((*honest.shape[:-2], f, honest.shape[-1]), value)


# --- value at risk and expected shortfall ---------------------------------------------------


@given(RETURNS, SHARES)
def test_var_is_the_mildest_loss_of_the_worst_share(x, q):
    var, m = risk.value_at_risk(x, q), len(x)
    assert (x <= -var).sum() >= q * m - 1e-9
    assert (x < -var).sum() <= max(q * m - 1e-9, 0)
    best = risk.pinball_loss(-var, x, q)
    assert all(best <= risk.pinball_loss(theta, x, q) + 1e-9 for theta in np.unique(x))


@given(RETURNS, SHARES)
def test_the_pinball_gradient_is_the_slope_and_stays_in_its_range(x, q):
    theta, step = 0.5, 0.25  # between the integer returns the loss is linear
    slope = (risk.pinball_loss(theta + step, x, q) - risk.pinball_loss(theta, x, q)) / step
    assert np.isclose(risk.pinball_gradient(theta, x, q), slope)
    assert -q <= slope + 1e-12 and slope - 1e-12 <= 1 - q


@given(RETURNS, SHARES)
def test_shortfall_is_the_mean_quantile_below_q(x, q):
    # The definition, -(1/q) times the integral of the quantile function over (0, q).
    m, ordered = len(x), np.sort(x)
    parts = np.clip(q * m - np.arange(m), 0, 1)
    assert np.isclose(risk.expected_shortfall(x, q), -(parts * ordered).sum() / (q * m))
    assert risk.expected_shortfall(x, q) >= risk.value_at_risk(x, q) - 1e-9


def test_a_share_that_floats_miss_counts_exactly():
    assert 0.07 * 100 > 7  # the trap
    x = np.arange(100.0)
    assert risk.value_at_risk(x, 0.07) == -6
    assert risk.expected_shortfall(x, 0.07) == pytest.approx(-3)


def test_exceedances_of_one_figure_and_of_one_a_day():
    x = np.array([[-1.0, -2, -3], [-1, -2, -3]])
    assert risk.exceedances(x, [1, 2]).tolist() == [[False, True, True], [False, False, True]]
    assert risk.exceedances(x[0], [0.5, 2, 9]).tolist() == [True, False, False]
    assert risk.exceedances(x[0], 2.0).tolist() == [False, False, True]


# --- back-tests -----------------------------------------------------------------------------


def year(x, T=250):
    return np.arange(T) < np.asarray(x)[..., None]


@given(st.integers(1, 60), st.data(), SHARES)
def test_kupiec_is_twice_the_gain_in_log_likelihood(T, data, p):
    x = data.draw(st.integers(0, T))
    logs = [stats.binom.logpmf(x, T, share) for share in (x / T, p)]
    statistic, p_value = risk.kupiec(year(x, T), p)
    assert np.isclose(statistic, 2 * (logs[0] - logs[1]), atol=1e-8)
    assert np.isclose(p_value, stats.chi2.sf(statistic, 1))


@settings(max_examples=40)
@given(st.integers(1, 80), SHARES)
def test_the_exact_test_keeps_its_word_and_its_definition(T, p):
    x = np.arange(T + 1)
    ratio, p_value = risk.kupiec(year(x, T), p, exact=True)
    chance = stats.binom.pmf(x, T, p)
    for k in (0, T // 3, T):
        slow = chance[ratio >= ratio[k] - 1e-9].sum()
        assert p_value[k] == pytest.approx(min(slow, 1), abs=1e-9)
    for level in (0.01, 0.05, 0.2):
        assert chance[p_value <= level].sum() <= level + 1e-9


def slow_independence(hits):
    """Equation by equation, in Python, from the counts."""
    count = np.zeros((2, 2))
    for a, b in zip(hits[:-1], hits[1:], strict=True):
        count[int(a), int(b)] += 1

    def likelihood(misses, got, share):
        return (misses * np.log(1 - share) if misses else 0) + (got * np.log(share) if got else 0)

    pi = count[:, 1].sum() / count.sum()
    split = sum(likelihood(*row, row[1] / row.sum()) for row in count if row.sum())
    return 2 * (split - likelihood(*count.sum(axis=0), pi))


@given(arrays(bool, st.integers(2, 40)))
def test_independence_by_its_definition(hits):
    statistic, p_value = risk.independence(hits)
    assert np.isclose(statistic, slow_independence(hits), atol=1e-9)
    assert np.isclose(p_value, stats.chi2.sf(statistic, 1))
    both = risk.christoffersen(hits, 0.1)
    assert np.isclose(both.statistic, statistic + risk.kupiec(hits, 0.1).statistic)
    assert np.isclose(both.p_value, stats.chi2.sf(both.statistic, 2))


# What others say of one row of days, 120 of them with nine exceedances.
HOURS = np.isin(np.arange(120), [3, 5, 8, 50, 52, 53, 54, 90, 110])
ALTERNATE = np.isin(np.arange(120), np.arange(40, 60, 2))
FAR_APART = np.isin(np.arange(120), [1, 30, 77])
OTHERS = [  # statsmodels 0.15.0, stats.diagnostic.acorr_ljungbox
    (HOURS, 1, 3.09002599, 0.07877355),
    (HOURS, 5, 16.27651653, 0.0060973881),
    (HOURS, 10, 18.89731566, 0.041586481),
    (ALTERNATE, 1, 1.0337535, 0.30927871),
    (ALTERNATE, 5, 177.94794683, 1.4677548e-36),
    (FAR_APART, 5, 0.24233609, 0.99858924),
]


@pytest.mark.parametrize(("hits", "lags", "statistic", "p_value"), OTHERS)
def test_memory_beyond_neighbours_as_statsmodels_has_it(hits, lags, statistic, p_value):
    found = risk.ljung_box(hits, lags)
    assert found.statistic == pytest.approx(statistic, rel=1e-6)
    assert found.p_value == pytest.approx(p_value, rel=1e-5)


def test_it_sees_what_the_test_of_neighbours_does_not():
    assert risk.independence(ALTERNATE).p_value > 0.1
    assert risk.ljung_box(ALTERNATE, 5, rng=0).p_value == pytest.approx(1 / 1000)
    assert risk.ljung_box(FAR_APART, 10, rng=0).p_value > 0.2
    for days in (np.zeros(40, bool), np.ones(40, bool)):
        assert risk.ljung_box(days, 5) == risk.ljung_box(days, 5, rng=0) == (0, 1)


@pytest.mark.parametrize(("T", "p"), [(250, 0.01), (250, 0.025), (1000, 0.01)])
def test_the_zones_come_from_the_binomial_law(T, p):
    zones = risk.traffic_light(year(np.arange(T + 1), T), p)
    under = stats.binom.cdf(np.arange(T + 1), T, p)
    yellow, red = (int(np.argmax(under >= level)) for level in (0.95, 0.9999))
    wanted = ["green"] * yellow + ["yellow"] * (red - yellow) + ["red"] * (T + 1 - red)
    assert zones.tolist() == wanted
    if (T, p) == (250, 0.01):  # as the committee prints them, 1996, table 2
        assert (yellow, red) == (5, 10)
    assert risk.traffic_light(year(yellow, T), p) == "yellow"


# --- back-tests of expected shortfall -------------------------------------------------------


def normal_tail(p):
    z = stats.norm.ppf(p)
    return -z, stats.norm.pdf(z) / p


def student_tail(p, nu):
    t = stats.t.ppf(p, nu)
    return -t, stats.t.pdf(t, nu) / p * (nu + t**2) / (nu - 1)


def slow_shortfall(x, var, es, p):
    hits = [(r, e) for r, v, e in zip(x, var, es, strict=True) if r < -v]
    total = sum(r / e for r, e in hits)
    return (1 + total / len(hits) if hits else np.nan), 1 + total / (p * len(x))


@pytest.mark.parametrize("seed", range(4))
def test_shortfall_tests_by_their_definition(seed):
    rng = np.random.default_rng(seed)
    x, scale = rng.standard_normal((3, 60)), rng.uniform(0.5, 2, 60)
    var, es = scale * 1.2, scale * 1.7

    def model(rng, shape):
        return scale * rng.standard_normal(shape)

    found = risk.acerbi_szekely(
        x, np.tile(var, (3, 1)), np.tile(es, (3, 1)), 0.1, model=model, rng=seed, draws=30
    )
    for k, row in enumerate(x):
        assert np.allclose([t.statistic[k] for t in found], slow_shortfall(row, var, es, 0.1))
    again, drawn = np.random.default_rng(seed), []
    for _ in range(30):
        drawn.append([slow_shortfall(row, var, es, 0.1) for row in model(again, x.shape)])
    lower = (np.array(drawn) <= np.transpose([t.statistic for t in found])).sum(axis=0)
    known = (~np.isnan(drawn)).sum(axis=0)
    assert np.allclose(np.transpose([t.p_value for t in found]), (1 + lower) / (1 + known))


# The level, the days, the law's tail, and the critical value that is printed for Z_2.
CRITICAL = [
    (0.05, 250, normal_tail, -0.70),  # Acerbi and Szekely 2014: -0.7 at 5 %
    (0.01, 1966, normal_tail, -0.34639),  # MATLAB's documentation, esbacktest.unconditionalNormal
    (0.01, 1966, partial(student_tail, nu=3), -0.42986),  # and esbacktest.unconditionalT
]


@pytest.mark.parametrize(("level", "T", "tail", "critical"), CRITICAL)
def test_critical_values_as_others_print_them(level, T, tail, critical):
    """Years whose Z_2 is the printed critical value have that level as their p-value."""
    p, law = 0.025, stats.norm if tail is normal_tail else stats.t(3)
    var, es = tail(p)
    x = np.zeros(T)
    x[0] = (critical - 1) * p * T * es  # one day bad enough

    def model(rng, shape):
        """As `law` draws, for the tail alone: the other days do not count."""
        days = np.zeros(shape)
        hit = rng.random(shape) < p
        days[hit] = law.ppf(p * rng.random(hit.sum()))
        return days

    draws = 4000
    found = risk.acerbi_szekely(x, var, es, p, model=model, rng=1, draws=draws).overall
    assert found.statistic == pytest.approx(critical)
    # Four standard errors, and what the printed digits and the others' own simulation leave open.
    assert abs(found.p_value - level) < 4 * np.sqrt(level / draws) + 0.1 * level


def test_days_without_an_exceedance_tell_nothing_of_their_size():
    def model(rng, shape):
        return rng.standard_normal(shape)

    found = risk.acerbi_szekely(np.zeros(20), 1.0, 2.0, 0.1, model=model, rng=1, draws=50)
    assert found.beyond == (0, 1) and found.overall.statistic == 1
    calm = risk.acerbi_szekely(
        -np.ones(20) * 3, 1.0, 2.0, 0.1, model=lambda rng, shape: np.zeros(shape), rng=1, draws=50
    )
    assert calm.beyond == (-0.5, 1) and calm.overall.p_value == pytest.approx(1 / 51)


# --- margin in money ------------------------------------------------------------------------


def test_what_a_margin_does_not_cover():
    x = np.array([[-3.0, 1, -1, 2], [-5, -5, 0, 0]])
    assert risk.uncovered_loss(x, 2.0).tolist() == [0.25, 1.5]
    assert risk.uncovered_loss(x, [2.0, 4.0]).tolist() == [0.25, 0.5]
    assert risk.uncovered_loss(x[0], [3.0, 0, 0.5, 0]) == 0.125


# --- rounds over a rule ---------------------------------------------------------------------


@pytest.mark.parametrize(("f", "b"), [(1, -0.05), (3, -0.05), (3, -1e9), (1, 0.1), (2, 0.1)])
def test_the_mean_rests_where_the_formula_says(f, b):
    q, h, law = 0.05, 10 - f, stats.norm
    x = law.ppf((np.arange(4000) + 0.5) / 4000) + np.zeros((h, 1))
    path = risk.federated_var(
        x, mean, q, learning_rate=3, rounds=300, start=-1.0, f=f, attack=sends(b)
    )
    share = q - f / h * np.clip(b, -q, 1 - q)
    assert law.cdf(-path[-1]) == pytest.approx(share, abs=2e-3)


def test_no_number_counts_as_no_wish_and_lies_repeat_with_their_seed():
    def noise(honest, f, rng):
        return rng.normal(size=(*honest.shape[:-2], f, 1))

    x = np.random.default_rng(7).normal(size=(9, 500))
    run = partial(risk.federated_var, x, mean, 0.05, learning_rate=1, rounds=5, f=2)
    assert np.array_equal(run(attack=sends(np.nan)), run(attack=sends(0.0)))
    assert np.array_equal(run(attack=sends(9.0)), run(attack=sends(0.95)))  # no slope is larger
    assert risk.federated_var(x, mean, 0.05, learning_rate=1, rounds=1)[0] == 0
    one, again, other = (run(attack=noise, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


# --- scenarios ------------------------------------------------------------------------------


def test_the_union_keeps_what_one_desk_alone_has_seen():
    pool = risk.pool_scenarios([[[0.0, 1.0], [0.5, 0.5]], [[0.0, 1.0], [-0.9, 2.0]]], -1, 3)
    assert pool.shocks.tolist() == [[0, 1], [0.5, 0.5], [-0.9, 2]]
    assert pool.desk.tolist() == [0, 0, 1] and pool.refused == []
    assert risk.stress_losses([1, 1], pool.shocks) == pytest.approx([-1, -1, -1.1])
    books = np.array([[1.0, 0], [0, -2]])
    assert np.allclose(risk.stress_losses(books, pool.shocks), [[0, -0.5, 0.9], [2, 1, 4]])


def test_the_impossible_is_refused_by_name_and_loses_nothing():
    pool = risk.pool_scenarios([[[0.1]], [[-1.2], [np.nan], [0.2]], np.zeros((0, 1))], -1, 1)
    assert pool.shocks.tolist() == [[0.1], [0.2]]
    assert [desk for desk, _ in pool.refused] == [1, 1] and pool.refused[0][1] == -1.2
    assert len(risk.pool_scenarios([[[0.0]], [[-0.0]]], -1, 1).shocks) == 1  # zero has one sign
    assert risk.pool_scenarios([[[7.0, 7.0]]], -1, 1).shocks.shape == (0, 2)


# --- detectors ------------------------------------------------------------------------------

SCORES = [risk.extreme_pair_score, risk.spectral_score,
          partial(risk.mean_gap_score, rule=middle, scaled=True)]  # fmt: skip


def crowd(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def slow_scores(rows):
    n = len(rows)
    far = [np.sqrt(((rows[i] - rows[j]) ** 2).sum()) for i in range(n) for j in range(i)]
    values = np.linalg.eigvalsh(np.cov(rows.T))
    close = np.log(np.median(far) / min(far))
    wide = np.log(max(far) / np.median(far))
    gap = np.linalg.norm(middle(rows) - rows.mean(axis=0))
    typical = np.median(np.linalg.norm(rows - middle(rows), axis=1))
    return max(close, wide), values.max() / values.sum(), gap / typical


@pytest.mark.parametrize("seed", range(5))
def test_scores_by_their_definitions(seed):
    rows = crowd(7, 4, seed=seed)
    assert np.allclose([score(rows) for score in SCORES], slow_scores(rows))


@pytest.mark.parametrize("score", SCORES)
def test_scores_have_no_unit_no_origin_and_no_order(score):
    rows = crowd(3, 8, 5)
    before, plain = rows.copy(), score(rows)
    assert plain.shape == (3,)
    assert np.allclose([score(row) for row in rows], plain)
    assert np.allclose(score(rows * 1e150), plain) and np.allclose(score(rows * 1e-150), plain)
    assert np.allclose(score(rows[:, ::-1]), plain)
    assert np.allclose(score(rows + 100.0), plain, atol=1e-6)
    assert np.array_equal(rows, before)


def test_the_gap_itself_keeps_its_unit():
    rows = crowd(6, 3)
    gap = np.linalg.norm(middle(rows) - rows.mean(axis=0))
    assert np.isclose(risk.mean_gap_score(rows, middle), gap)
    assert np.isclose(risk.mean_gap_score(rows * 1e200, middle), gap * 1e200)


def test_copies_and_crowds_of_one_mind():
    rows = crowd(6, 3)
    rows[1] = rows[0]
    assert risk.extreme_pair_score(rows) == np.inf
    for n in (6, 7):  # the mean of seven times 0.1 is not 0.1
        assert [score(np.full((n, 3), 0.1)) for score in SCORES] == [0, 0, 0]
    one_off = np.vstack([np.ones((5, 3)), np.zeros(3)])
    assert [score(one_off) for score in SCORES] == [np.inf, pytest.approx(1), np.inf]


# --- how many lie ---------------------------------------------------------------------------

N, F, D, CALM = 11, 3, 60, 99
GAP = SCORES[-1]


def calm(rounds, rng, n=N):
    return 1 + rng.standard_t(5, size=(rounds, n, D))


def lying(rounds, rng, scale=30.0):
    rows = calm(rounds, rng, N - F)
    return np.concatenate([rows, sign_flip(rows, F, scale=scale)], axis=1)


@pytest.mark.parametrize("score", SCORES)
def test_false_alarms_are_as_many_as_allowed(score):
    """Each round is called with 99 clean ones of its own: shares of at most 5 in 100, exactly."""
    alarms = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rounds = calm(CALM + 12, rng)
        alarms.append((risk.fewest_liars(rounds[CALM:], rounds[:CALM], score) > 0).mean())
    share, error = np.mean(alarms), np.std(alarms, ddof=1) / np.sqrt(len(alarms))
    assert abs(share - 0.05) < 4 * error and error < 0.015


def test_loud_liars_are_counted_and_seldom_more():
    rng = np.random.default_rng(0)
    clean, rounds = calm(CALM, rng), lying(60, rng)
    for score in SCORES:
        counts = risk.fewest_liars(rounds, clean, score)
        assert np.mean(counts > F) < 0.25 and np.mean(counts >= 1) > 0.95
    assert np.mean(risk.fewest_liars(rounds, clean, risk.spectral_score) == F) > 0.7


def test_the_count_by_a_slow_definition():
    rng = np.random.default_rng(2)
    clean = calm(39, rng)
    for rows in [*lying(4, rng, 3.0), *calm(4, rng)]:
        far = [np.linalg.norm(row - np.median(rows, axis=0)) for row in rows]
        near = [min(np.linalg.norm(row - other) for other in rows if other is not row)
                for row in list(rows)]  # fmt: skip
        orders = [np.argsort(far)[::-1], np.argsort(near)]
        for j in range((N - 1) // 2):
            usual = sorted(GAP(one[j:]) for one in clean)[38 - 1]  # the 95 % of 39 + 1
            if min(GAP(np.delete(rows, order[:j], axis=0)) for order in orders) <= usual:
                break
        else:
            j = (N - 1) // 2
        assert risk.fewest_liars(rows, clean, GAP) == j


def test_far_liars_are_not_taken_for_more_than_they_are():
    """Three clients far away, each in a direction of its own."""
    rng = np.random.default_rng(6)
    clean, rounds = calm(CALM, rng), calm(100, rng)
    rounds[:, -F:] += 40 * rng.normal(size=(100, F, D))
    for score in SCORES:
        counts = risk.fewest_liars(rounds, clean, score)
        assert (counts > 0).mean() > 0.95 and (counts > F).mean() < 0.2


@pytest.mark.parametrize("score", SCORES)
def test_neither_order_nor_place_nor_unit_matters(score):
    rng = np.random.default_rng(3)
    clean, rounds = calm(CALM, rng), lying(12, rng, 4.0)
    want = risk.fewest_liars(rounds, clean, score)
    assert 0 < want.max() <= (N - 1) // 2
    order = rng.permutation(N)
    for same in (rounds[:, order], 8 * rounds, 2.0**900 * rounds, rounds.reshape(3, 4, N, D)):
        got = risk.fewest_liars(same, clean, score)
        assert np.array_equal(np.ravel(got), want)
    assert np.array_equal(risk.fewest_liars(rounds + 0.5, clean + 0.5, score), want)


def test_equal_rows_are_taken_for_each_other():
    """All distances between the liars are 0, whichever of them goes; no honest row goes first."""
    rng = np.random.default_rng(4)
    clean, rounds = calm(CALM, rng), calm(20, rng)
    rounds[:, -3:] = rounds[:, -3:-2]
    counts = risk.fewest_liars(rounds, clean)
    assert np.mean(counts == 2) > 0.7  # the third then looks like anybody
    assert (counts >= 2).all()
    rounds[:, :-1] = rounds[:, :1]  # all but one agree: nothing is left to measure with
    assert (risk.fewest_liars(rounds, clean) >= 0).all()


# --- how good a detector is -----------------------------------------------------------------

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


def test_a_perfect_detector_is_not_certain():
    one = risk.auc(np.arange(10.0) + 20, np.arange(10.0))
    assert one.area == 1 and one.high == 1 and 0.6 < one.low < 0.95
    assert risk.auc(np.arange(400.0) + 500, np.arange(400.0)).low > 0.98
    assert f"{one:.2f}".startswith("1.00 [0.") and f"{one}".endswith("1.00]")
    assert risk.auc([np.inf, np.inf], [0.0, np.inf]).area == 0.75


def test_cusum_and_delay_by_their_definitions():
    for row, path in zip(crowd(4, 30), risk.cusum(crowd(4, 30), 0.2), strict=True):
        total = 0.0
        for value, found in zip(row, path, strict=True):
            total = max(0.0, total + value - 0.2)
            assert np.isclose(found, total)
    assert risk.detection_delay([[0, 3, 1], [5, 0, 0], [0, 0, 0]], 3).tolist() == [2, 1, np.inf]


# --- stacks, and bad input ------------------------------------------------------------------

TRIALS = crowd(3, 1, 60)
STACKS = {
    "value_at_risk": lambda x: risk.value_at_risk(x, 0.1),
    "expected_shortfall": lambda x: risk.expected_shortfall(x, 0.1),
    "kupiec": lambda x: risk.kupiec(x > 1, 0.1).p_value,
    "exact kupiec": lambda x: risk.kupiec(x > 1, 0.1, exact=True).p_value,
    "independence": lambda x: risk.independence(x > 1).p_value,
    "christoffersen": lambda x: risk.christoffersen(x > 1, 0.1).p_value,
    "ljung_box": lambda x: risk.ljung_box(x > 1, 3).p_value,
    "uncovered_loss": lambda x: risk.uncovered_loss(x, 1.0),
    "auc": lambda x: risk.auc(x + 1, crowd(15, seed=4)).high,
    "detection_delay": lambda x: risk.detection_delay(x, 1),
}


@pytest.mark.parametrize("name", STACKS)
def test_trials_stack(name):
    found = STACKS[name](TRIALS)
    assert found.shape == (3, 1)
    assert np.allclose(found, [[STACKS[name](row) for row in trial] for trial in TRIALS])


def test_tables_are_not_paired_by_position():
    """Days by day, desks by desk, coins by coin."""
    days = pd.date_range("2025-01-01", periods=3)
    seen, var = pd.Series([-1.0, -2, -3], days), pd.Series([2.0, 1, 4], days)
    assert risk.exceedances(seen, var).tolist() == [False, True, False]
    desks = pd.DataFrame([[-1.0, -2, -3]] * 2, ["a", "b"], days)
    assert risk.exceedances(desks, pd.Series([1, 2], ["a", "b"])).sum() == 3
    coins = pd.DataFrame([[-0.1, 0.2]], columns=["BTC", "ETH"])
    book = pd.Series([100.0, 10], ["BTC", "ETH"])
    assert risk.stress_losses(book, coins) == pytest.approx(8)
    for call in (
        lambda: risk.exceedances(seen[1:], var[:-1]),
        lambda: risk.exceedances(desks, pd.Series([1, 2], ["b", "a"])),
        lambda: risk.pinball_loss(pd.Series([1, 2], ["b", "a"]), desks),
        lambda: risk.pinball_gradient(pd.Series([1, 2], ["b", "a"]), desks),
        lambda: risk.stress_losses(book[::-1], coins),
        lambda: risk.pool_scenarios([coins, coins.iloc[:, ::-1]], -1, 1),
        lambda: risk.pool_scenarios([coins], book[::-1] * 0 - 1, 1),
    ):
        with pytest.raises(ValueError, match="their indexes differ"):
            call()


MASKED = np.ma.masked_less([0.01, -9.0, 0.02], 0)


DAYS = np.zeros((3, 5))
federated = partial(risk.federated_var, DAYS, mean, learning_rate=1)


def uncounted(shape, clean, **options):
    return risk.fewest_liars(np.ones(shape), np.ones(clean), **options)


def shortfall(**given):
    usual = {"var": 1.0, "es": 2.0, "model": lambda rng, shape: np.zeros(shape), "rng": 0}
    return risk.acerbi_szekely(DAYS, **(usual | given))


BAD = [
    (lambda: risk.value_at_risk([]), ValueError, r"value_at_risk needs .*\(0,\)"),
    (lambda: risk.value_at_risk(3.0), ValueError, r"value_at_risk needs"),
    (lambda: risk.value_at_risk(["a"]), TypeError, "real numbers"),
    (lambda: risk.value_at_risk([1, np.nan]), ValueError, "value_at_risk needs finite returns"),
    (lambda: risk.value_at_risk([1], 1.0), ValueError, r"q in \(0, 1\); got q = 1.0"),
    (lambda: risk.expected_shortfall([1], 0), ValueError, r"q in \(0, 1\); got q = 0"),
    (lambda: risk.expected_shortfall([1], "a"), TypeError, "needs a number q"),
    (lambda: risk.kupiec(MASKED), TypeError, "takes no masked arrays"),
    (lambda: risk.value_at_risk(MASKED), TypeError, "takes no masked arrays"),
    (lambda: risk.kupiec([0, 2]), ValueError, "True or False for each day"),
    (lambda: risk.kupiec([]), ValueError, "T >= 1"),
    (lambda: risk.kupiec([True], 1), ValueError, r"p in \(0, 1\)"),
    (lambda: risk.independence([True]), ValueError, "independence needs .* T >= 2"),
    (lambda: risk.christoffersen(True), ValueError, "T >= 1"),
    (lambda: risk.ljung_box([True, False], 2), ValueError, r"ljung_box needs .* T >= 3; got \(2,"),
    (lambda: risk.ljung_box([True], 0), ValueError, "lags >= 1"),
    (lambda: risk.traffic_light([0.5]), ValueError, "True or False for each day"),
    (lambda: shortfall(var=0.0), ValueError, "var finite and > 0; got var = 0"),
    (lambda: shortfall(es=np.nan), ValueError, "es finite and > 0; got es = nan"),
    (lambda: shortfall(rng=None), TypeError, "acerbi_szekely draws random numbers"),
    (lambda: shortfall(draws=0), ValueError, "draws >= 1"),
    (lambda: shortfall(model=lambda rng, shape: [0.0]), ValueError, r"shape \(3, 5\); got \(1,\)"),
    (lambda: shortfall(model=lambda rng, shape: np.nan), ValueError, "model of acerbi_szekely"),
    (lambda: risk.uncovered_loss([], 1), ValueError, "uncovered_loss needs returns"),
    (lambda: federated(learning_rate=0), ValueError, "learning_rate > 0"),
    (lambda: federated(f=1), ValueError, "an attack where"),
    (lambda: federated(f=1.5), TypeError, "integer f"),
    (lambda: federated(rounds=0), ValueError, "rounds >= 1; got rounds = 0"),
    (lambda: risk.federated_var(DAYS[0], mean, learning_rate=1), ValueError, r"h, m\).*\(5,\)"),
    (lambda: risk.pool_scenarios([[1.0]], -1, 1), ValueError, r"desk 0 sent \(1,\)"),
    (lambda: risk.pool_scenarios([[[1]], [[1, 2]]], -1, 1), ValueError, r"desk 1 sent \(1, 2\)"),
    (lambda: risk.pool_scenarios([[[1]]], 1, -1), ValueError, "low <= high"),
    (lambda: risk.stress_losses([1, 2], [[1]]), ValueError, r"got \(2,\) and \(1, 1\)"),
    (lambda: risk.extreme_pair_score(np.zeros((2, 3))), ValueError, "pair_score needs n >= 3"),
    (lambda: risk.spectral_score(np.zeros((2, 3))), ValueError, "spectral_score needs n >= 3"),
    (lambda: risk.extreme_pair_score(np.zeros(3)), ValueError, r"pair_score needs .*\(3,\)"),
    (lambda: risk.mean_gap_score([[np.nan]], middle), ValueError, "score needs finite updates"),
    (lambda: uncounted((N, D), (18, N, D)), ValueError, r"k >= 19 clean rounds .* got n = 11 and"),
    (lambda: uncounted((N, D), (99, N - 1, D)), ValueError, "clean rounds"),
    (lambda: uncounted((N, D), (N, D)), ValueError, "clean rounds"),
    (lambda: uncounted((3, D), (99, 3, D)), ValueError, "needs n >= 4"),
    (lambda: uncounted((N, D), (99, N, D), level=1.0), ValueError, r"level in \(0, 1\)"),
    (lambda: risk.auc([], [1]), ValueError, "auc needs at least one score"),
    (lambda: risk.auc([np.nan], [1]), ValueError, "got NaN"),
    (lambda: risk.roc([[1]], [1]), ValueError, "two rows of scores"),
    (lambda: risk.cusum(3.0, 1), ValueError, "cusum needs at least one score"),
    (lambda: risk.detection_delay([np.nan], 1), ValueError, "detection_delay needs .* NaN"),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
