"""Value at risk, back-tests, federated rounds, scenarios: definitions, known values, sizes."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from byzlib import risk

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
    var = risk.value_at_risk(x, q)
    m = len(x)
    assert (x <= -var).sum() >= q * m - 1e-9
    assert (x < -var).sum() <= max(q * m - 1e-9, 0)


@given(RETURNS, SHARES)
def test_var_minimises_the_pinball_loss(x, q):
    best = risk.pinball_loss(-risk.value_at_risk(x, q), x, q)
    for theta in np.unique(x):
        assert best <= risk.pinball_loss(theta, x, q) + 1e-9


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


@given(arrays(float, (2, 40), elements=st.integers(-50, 50).map(float)))
def test_shortfall_is_subadditive(books):
    together = risk.expected_shortfall(books.sum(axis=0), 0.1)
    assert together <= risk.expected_shortfall(books, 0.1).sum() + 1e-9


def test_a_share_that_floats_miss_counts_exactly():
    assert 0.07 * 100 > 7  # the trap
    x = np.arange(100.0)
    assert risk.value_at_risk(x, 0.07) == -6
    assert risk.expected_shortfall(x, 0.07) == pytest.approx(-3)


def test_few_returns_give_the_worst():
    assert risk.value_at_risk([3, -2, 1]) == risk.expected_shortfall([3, -2, 1]) == 2


def test_trials_stack_and_input_stays():
    x = np.random.default_rng(0).normal(size=(3, 4, 50))
    before = x.copy()
    for f in (risk.value_at_risk, risk.expected_shortfall):
        one_by_one = [[f(row, 0.1) for row in trial] for trial in x]
        assert np.allclose(f(x, 0.1), one_by_one)
    assert np.array_equal(x, before)


def test_chance_of_an_exceedance_does_not_depend_on_the_law():
    rng = np.random.default_rng(1)
    for draw in (rng.standard_normal, rng.standard_exponential, rng.standard_cauchy):
        hits = risk.exceedances(draw((20_000, 1)), risk.value_at_risk(draw((20_000, 99)), 0.05))
        assert abs(hits.mean() - 5 / 100) < 4 * np.sqrt(0.05 * 0.95 / 20_000)


def test_exceedances_of_one_figure_and_of_one_a_day():
    x = np.array([[-1.0, -2, -3], [-1, -2, -3]])
    assert risk.exceedances(x, [1, 2]).tolist() == [[False, True, True], [False, False, True]]
    assert risk.exceedances(x[0], [0.5, 2, 9]).tolist() == [True, False, False]
    assert risk.exceedances(x[0], 2.0).tolist() == [False, False, True]


# --- back-tests -----------------------------------------------------------------------------


def year(x, T=250):
    return np.arange(T) < np.asarray(x)[..., None]


def test_kupiec_known_values():
    # Kupiec's regions of acceptance and the sizes they have under the binomial law.
    for T, p, low, high, size in [
        (250, 0.01, 1, 6, 0.0948),
        (500, 0.01, 2, 9, 0.0709),
        (1000, 0.01, 5, 16, 0.0551),
        (1000, 0.05, 38, 64, 0.0514),
    ]:
        x = np.arange(T + 1)
        passes = x[risk.kupiec(year(x, T), p).p_value >= 0.05]
        assert (passes.min(), passes.max()) == (low, high)
        assert 1 - stats.binom.pmf(passes, T, p).sum() == pytest.approx(size, abs=5e-5)
    assert risk.kupiec(year(0), 0.01).statistic == pytest.approx(-500 * np.log(0.99))
    assert risk.kupiec(year(5, 100), 0.05).statistic == pytest.approx(0, abs=1e-12)


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


def test_sizes_are_nominal_for_independent_days():
    hits = np.random.default_rng(2).random((4000, 4000)) < 0.1
    margin = 4 * np.sqrt(0.05 * 0.95 / 4000)
    for test in (
        risk.independence,
        partial(risk.kupiec, p=0.1),
        partial(risk.christoffersen, p=0.1),
    ):
        assert abs((test(hits).p_value < 0.05).mean() - 0.05) < margin


def test_power_goes_to_the_fault_that_is_there():
    rng = np.random.default_rng(3)
    state = np.zeros((300, 1000), dtype=bool)  # clustered, with a share of 0.1 in the long run
    for t in range(1, 1000):
        state[:, t] = rng.random(300) < np.where(state[:, t - 1], 0.4, 0.6 / 9)
    assert (risk.independence(state).p_value < 0.05).mean() > 0.95
    often = rng.random((300, 1000)) < 0.15
    assert (risk.kupiec(often, 0.1).p_value < 0.05).mean() > 0.95
    assert (risk.independence(often).p_value < 0.05).mean() < 0.12
    for hits in (state, often):
        assert (risk.christoffersen(hits, 0.1).p_value < 0.05).mean() > 0.9


def test_days_without_or_with_only_exceedances():
    for hits in (np.zeros(9, bool), np.ones(9, bool)):
        assert risk.independence(hits) == (0, 1)
        assert np.isfinite(risk.christoffersen(hits).statistic)


def test_back_tests_stack():
    hits = np.random.default_rng(4).random((3, 5, 60)) < 0.2
    for test in (
        risk.independence,
        risk.kupiec,
        risk.christoffersen,
        partial(risk.kupiec, exact=True),
    ):
        stacked = test(hits)
        assert stacked.p_value.shape == (3, 5)
        assert np.isclose(stacked.p_value[1, 2], test(hits[1, 2]).p_value)


# --- rounds over a rule ---------------------------------------------------------------------


def test_rounds_find_the_pooled_quantile():
    x = np.random.default_rng(5).normal(size=(4, 8, 500)) * np.repeat([1, 3], 4)[:, None]
    path = risk.federated_var(x, mean, 0.05, learning_rate=3, rounds=150)
    assert path.shape == (4, 151) and (path[:, 0] == 0).all()
    assert np.allclose(path[:, -1], risk.value_at_risk(x.reshape(4, -1), 0.05), atol=0.05)
    one = risk.federated_var(x[2], mean, 0.05, learning_rate=3, rounds=150)
    assert np.allclose(one, path[2])


@pytest.mark.parametrize(("f", "b"), [(1, -0.05), (3, -0.05), (3, -1e9), (1, 0.1), (2, 0.1)])
def test_the_mean_rests_where_the_formula_says(f, b):
    q, h, law = 0.05, 10 - f, stats.norm
    x = law.ppf((np.arange(4000) + 0.5) / 4000) + np.zeros((h, 1))
    path = risk.federated_var(
        x, mean, q, learning_rate=3, rounds=300, start=-1.0, f=f, attack=sends(b)
    )
    share = q - f / h * np.clip(b, -q, 1 - q)
    assert law.cdf(-path[-1]) == pytest.approx(share, abs=2e-3)


def test_a_large_lie_drives_the_mean_away_and_not_the_median():
    x = np.random.default_rng(6).normal(size=(9, 500))
    run = partial(risk.federated_var, x, q=0.05, learning_rate=3, f=1, attack=sends(np.inf))
    assert run(rule=mean, rounds=100)[-1] > 10
    assert abs(run(rule=middle, rounds=100)[-1] - 1.645) < 0.3


def test_no_number_counts_as_no_wish():
    x = np.random.default_rng(7).normal(size=(9, 500))
    run = partial(risk.federated_var, x, mean, 0.05, learning_rate=3, rounds=50, f=1)
    assert np.array_equal(run(attack=sends(np.nan)), run(attack=sends(0.0)))


def test_random_lies_repeat_with_their_seed():
    def noise(honest, f, rng):
        return rng.normal(size=(*honest.shape[:-2], f, 1))

    x = np.random.default_rng(8).normal(size=(9, 50))
    run = partial(risk.federated_var, x, mean, 0.05, learning_rate=1, rounds=5, f=2, attack=noise)
    assert np.array_equal(run(rng=1), run(rng=1)) and not np.array_equal(run(rng=1), run(rng=2))


# --- scenarios ------------------------------------------------------------------------------


def test_the_union_keeps_what_one_desk_alone_has_seen():
    pool = risk.pool_scenarios([[[0.0, 1.0], [0.5, 0.5]], [[0.0, 1.0], [-0.9, 2.0]]], -1, 3)
    assert pool.shocks.tolist() == [[0, 1], [0.5, 0.5], [-0.9, 2]]
    assert pool.desk.tolist() == [0, 0, 1] and pool.refused == []
    assert risk.stress_losses([1, 1], pool.shocks) == pytest.approx([-1, -1, -1.1])


def test_the_impossible_is_refused_by_name_and_loses_nothing():
    pool = risk.pool_scenarios([[[0.1]], [[-1.2], [np.nan], [0.2]], np.zeros((0, 1))], -1, 1)
    assert pool.shocks.tolist() == [[0.1], [0.2]]
    assert [desk for desk, _ in pool.refused] == [1, 1] and pool.refused[0][1] == -1.2


def test_zero_has_one_sign_and_an_empty_pool_a_shape():
    assert len(risk.pool_scenarios([[[0.0]], [[-0.0]]], -1, 1).shocks) == 1
    assert risk.pool_scenarios([[[7.0, 7.0]]], -1, 1).shocks.shape == (0, 2)


def test_losses_of_many_books():
    books, shocks = np.array([[1.0, 0], [0, -2]]), np.array([[-0.1, 0.3], [0.2, 0.5], [0, 0]])
    losses = risk.stress_losses(books, shocks)
    assert losses.shape == (2, 3)
    assert np.allclose(losses, [[0.1, -0.2, 0], [0.6, 1.0, 0]])


# --- bad input ------------------------------------------------------------------------------

DAYS = np.zeros((3, 5))
BAD = [
    (lambda: risk.value_at_risk([]), ValueError, r"value_at_risk needs .*\(0,\)"),
    (lambda: risk.value_at_risk(3.0), ValueError, r"value_at_risk needs"),
    (lambda: risk.value_at_risk(["a"]), TypeError, "real returns"),
    (lambda: risk.value_at_risk([1, np.nan]), ValueError, "value_at_risk needs finite returns"),
    (lambda: risk.value_at_risk([1], 1.0), ValueError, "0 < q < 1; got q = 1.0"),
    (lambda: risk.expected_shortfall([1], 0), ValueError, "needs q > 0; got q = 0"),
    (lambda: risk.expected_shortfall([1], "a"), TypeError, "needs a number q"),
    (lambda: risk.kupiec([0, 2]), ValueError, "True or False for each day"),
    (lambda: risk.kupiec([]), ValueError, "T >= 1"),
    (lambda: risk.kupiec([True], 1), ValueError, "0 < p < 1"),
    (lambda: risk.independence([True]), ValueError, "independence needs .* T >= 2"),
    (lambda: risk.christoffersen(True), ValueError, "T >= 1"),
    (
        lambda: risk.federated_var(np.zeros(5), mean, learning_rate=1),
        ValueError,
        r"\(\.\.\., h, m\).*got \(5,\)",
    ),
    (lambda: risk.federated_var(DAYS, mean, learning_rate=0), ValueError, "learning_rate > 0"),
    (lambda: risk.federated_var(DAYS, mean, learning_rate=1, f=1), ValueError, "an attack where"),
    (
        lambda: risk.federated_var(DAYS, mean, learning_rate=1, rounds=0),
        ValueError,
        "rounds >= 1.*rounds = 0",
    ),
    (lambda: risk.federated_var(DAYS, mean, learning_rate=1, f=1.5), TypeError, "integer f"),
    (lambda: risk.pool_scenarios([[1.0]], -1, 1), ValueError, r"desk 0 sent \(1,\)"),
    (lambda: risk.pool_scenarios([[[1]], [[1, 2]]], -1, 1), ValueError, r"desk 1 sent \(1, 2\)"),
    (lambda: risk.pool_scenarios([[[1]]], 1, -1), ValueError, "low <= high"),
    (lambda: risk.stress_losses([1, 2], [[1]]), ValueError, r"got \(2,\) and \(1, 1\)"),
]


@pytest.mark.parametrize(("call", "error", "words"), BAD)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
