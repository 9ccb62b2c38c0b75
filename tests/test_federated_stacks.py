"""Ten seeds in one run: each gets what it gets on its own, whatever the settings."""

from functools import partial

import numpy as np
import pytest

from byzlib.aggregators import (
    bucketing,
    centered_clipping,
    krum,
    mean,
    median,
    trimmed_mean,
)
from byzlib.attacks import gaussian_noise, label_flip, sign_flip
from byzlib.federated import (
    ByzantineFL,
    Client,
    Quadratic,
    SimpleModel,
    overclaim,
    split_dirichlet,
    split_iid,
)

SEEDS = [3, 1, 4, 15, 9]
rng = np.random.default_rng(31)
X = rng.standard_normal((360, 3))
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def clients(seed=1):
    """Nine clients of unequal size, the last of which poisons its labels."""
    parts = split_dirichlet(X[:300], y[:300], 9, 2.0, seed)
    return [*parts[:8], Client(parts[8].X, parts[8].y, poison=lambda X, y: (X, label_flip(y)))]


def local_loudness(honest, f, rng, own):
    return 3 * own


def from_the_past(honest, f, rng, history):
    return history[-2] if len(history) > 1 else np.zeros((*honest.shape[:-2], f, honest.shape[-1]))


def every_other_round(honest, f, rng, round):
    return honest[..., :f, :] if round % 2 else gaussian_noise(honest, f, rng, scale=0.3)


def one_run_only(honest, f, rng):
    return np.tile(-honest.mean(axis=0), (f, 1))


local_loudness.needs_own = True
from_the_past.needs_history = True
every_other_round.needs_round = True

SETTINGS = {
    "plain": {},
    "batches": {"batch_size": 7},
    "local steps": {"batch_size": 7, "local_steps": 3},
    "momentum": {"momentum": 0.9, "batch_size": 5},
    "participation": {"participation": 0.6, "batch_size": 5},
    "participation, all samples, momentum": {"participation": 0.6, "momentum": 0.5},
    "delay": {"delay": [0, 1, 2, 0, 0, 5, 0, 0, 3], "momentum": 0.5},
    "delay, participation, local steps": {"delay": 2, "participation": 0.7, "local_steps": 2},
    "noise": {"attack": partial(gaussian_noise, scale=2.0)},
    "noise and participation": {"attack": gaussian_noise, "participation": 0.6},
    "own": {"attack": local_loudness, "participation": 0.6},
    "past": {"attack": from_the_past, "participation": 0.8},
    "by round": {"attack": every_other_round},
    "an attack on single runs": {"attack": one_run_only},
    "bound round": {"attack": partial(partial(every_other_round))},
    "mean by claims": {"rule": mean, "weighted": True, "participation": 0.6},
    "krum": {"rule": krum},
    "a rule for single runs": {"rule": lambda updates: np.mean(updates, axis=0)},
    "a rule that draws": {"rule": lambda u, f, rng: median(bucketing(u, 2, rng))},
    "a rule that remembers": {"rule": partial(centered_clipping, radius=0.2)},
    "decaying steps": {"learning_rate": lambda t: 0.5 / t},
}


def training(**settings):
    settings = {
        "rule": trimmed_mean,
        "clients": clients(),
        "model": SimpleModel(3, 6, activation="tanh"),
        "attack": sign_flip,
        "learning_rate": 0.5,
        "f": 2,
    } | settings
    return ByzantineFL(**settings)


def assert_same(stacked, single):
    np.testing.assert_allclose(stacked.theta, single.theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(stacked.trust, single.trust, rtol=0, atol=1e-12)
    assert stacked.diverged_at == single.diverged_at and stacked.reason == single.reason
    assert stacked.table[["round", "metric"]].equals(single.table[["round", "metric"]])
    np.testing.assert_allclose(stacked.table["value"], single.table["value"], atol=1e-10)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_stack_is_its_runs(settings):
    fl = training(**settings)
    test = {"evaluate": (X[300:], y[300:]), "every": 3, "success": (0, 2)}
    stacked = fl.run(8, SEEDS, **test)
    assert len(stacked) == len(SEEDS) and stacked.seeds == tuple(SEEDS)
    for k, seed in enumerate(SEEDS):
        assert_same(stacked[k], fl.run(8, seed, **test))


def test_the_runs_of_a_stack_differ():
    theta = training().run(5, SEEDS).theta
    assert len(np.unique(theta[:, 0])) == len(SEEDS)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 4, "participation": 0.6}, {"delay": 1}])
def test_each_seed_may_have_its_own_data(settings):
    """Clients of other sizes, and other test samples; the generator that made them goes on."""

    def parts(seed):
        rng = np.random.default_rng(seed)
        test = rng.permutation(360)[:50]
        return rng, split_dirichlet(X, y, 9, 1.0, rng), (X[test], y[test])

    rngs, lists, tests = zip(*[parts(seed) for seed in SEEDS], strict=True)
    fl = training(clients=list(lists), **settings)
    stacked = fl.run(6, rngs, tuple(map(np.stack, zip(*tests, strict=True))))
    assert stacked.seeds == (0, 1, 2, 3, 4)
    for k, seed in enumerate(SEEDS):
        rng, own, test = parts(seed)
        assert_same(stacked[k], training(clients=own, **settings).run(6, rng, test))


def test_one_call_of_the_rule_a_round():
    shapes = []

    def spy(updates, f):
        shapes.append(updates.shape)
        return trimmed_mean(updates, f)

    training(rule=spy).run(4, SEEDS)
    assert shapes == [(5, 9, 45), (9, 45), *[(5, 9, 45)] * 3]  # one look at a single run


def test_ten_seeds_and_ten_clients_are_not_confused():
    """A rule that averages the first axis gives (10, d) for a stack, and is seen through."""
    fl = training(rule=lambda updates: np.mean(updates, axis=0), clients=split_iid(X, y, 10, 1))
    stacked = fl.run(3, seeds=10)
    assert_same(stacked[7], fl.run(3, 7))


def test_nobody_has_to_ask_who_was_trusted():
    fl = training()
    quiet = fl.run(4, SEEDS, trust=False)
    np.testing.assert_allclose(quiet.theta, fl.run(4, SEEDS).theta, rtol=0, atol=1e-13)
    assert np.isnan(quiet.trust).all()


def test_liars_in_the_middle():
    """Whoever lies: honest rows that are not neighbours in memory give the same."""
    order = [0, 1, 8, 2, 3, 7, 4, 5, 6]
    mixed = training(clients=[clients()[i] for i in order], byzantine=[2, 5]).run(6, SEEDS)
    plain = training().run(6, SEEDS)
    np.testing.assert_allclose(mixed.theta, plain.theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mixed.trust, plain.trust[..., order], rtol=0, atol=1e-12)


def test_seeds_is_short_for_a_range():
    fl = training()
    np.testing.assert_array_equal(fl.run(2, seeds=3).theta, fl.run(2, range(3)).theta)
    assert fl.run(2, seeds=1).theta.shape == (1, 45) and fl.run(2, 0).theta.shape == (45,)


def test_tables_and_curves_of_a_stack():
    run = training().run(6, SEEDS, (X, y), every=2)
    assert list(run.table.columns) == ["round", "metric", "value", "seed"]
    assert run.curve("loss").shape == (3, 5) and run.curve("loss").columns.tolist() == SEEDS
    np.testing.assert_array_equal(run.final("loss"), run.curve("loss").iloc[-1])
    assert run.trust.shape == (5, 6, 9)
    np.testing.assert_array_equal(run[2].curve("loss"), run.curve("loss")[4])
    with pytest.raises(TypeError, match="a single run cannot be indexed"):
        run[0][0]
    with pytest.raises(KeyError, match="no metric 'profit'; there are"):
        run.curve("profit")


def test_one_run_diverges_and_the_others_go_on():
    """Noise that is enormous now and then: each seed leaves the stack when it is hit."""

    def noise(honest, f, rng):
        size = 1e308 if rng.random() < 0.08 else 1.0
        return size * rng.standard_normal((f, honest.shape[-1]))

    seeds = list(range(12))
    fl = training(rule=mean, attack=noise)
    stacked = fl.run(12, seeds, (X, y))
    ended = [t is not None for t in stacked.diverged_at]
    assert 0 < sum(ended) < len(seeds)
    for k in seeds:
        single = fl.run(12, k, (X, y))
        assert stacked.diverged_at[k] == single.diverged_at
        assert stacked.reason[k] == single.reason
        assert np.isnan(stacked.final("loss")[k]) == ended[k]
        last = stacked[k].table["round"].max()
        assert last == 12 if not ended[k] else not last >= stacked.diverged_at[k]
    assert np.isfinite(stacked.table["value"]).all()
    assert set(stacked.reason) - {None} <= {"an honest answer", "the parameters", "the loss"}


def test_a_run_of_which_all_seeds_diverge():
    fl = ByzantineFL(
        Quadratic(10.0), [Client(np.zeros((1, 1)), np.array([0]))] * 3, mean, 0, learning_rate=1e200
    )
    run = fl.run(50, seeds=4)
    assert run.diverged_at == [2] * 4 and run.reason == ["the parameters"] * 4
    assert run.theta.shape == (4, 1) and not np.isfinite(run.theta).any()
    assert (run.table["round"] == 1).all()


def test_a_rule_without_an_answer_ends_the_run():
    """More broken rows than f: the rule refuses, and its sentence is the reason."""

    def broken(honest, f, rng):
        return np.full((*honest.shape[:-2], f, honest.shape[-1]), np.nan)

    fl = training(attack=broken, byzantine=[6, 7, 8])
    for run in (fl.run(4, 0), fl.run(4, seeds=2)[1]):
        assert run.diverged_at == 1
        assert run.reason.startswith("trimmed_mean tolerates 2 faulty of n = 9 clients; got 3")


def test_an_illegal_rule_is_an_error_and_no_divergence():
    for seeds in (0, [0, 1]):
        with pytest.raises(ValueError, match="krum needs n >= 2f"):
            training(rule=krum, f=4).run(2, seeds)


def test_float32_stays():
    model = SimpleModel(3, 6, dtype=np.float32)
    run = training(model=model, momentum=0.5).run(20, seeds=2, evaluate=(X, y))
    assert run.theta.dtype == np.float32
    double = training(model=SimpleModel(3, 6), momentum=0.5).run(20, seeds=2, evaluate=(X, y))
    np.testing.assert_allclose(run.theta, double.theta, atol=1e-4)


def test_claims_are_the_weights():
    """FedAvg by hand: the liars' tenfold claim is how much they count."""
    parts = split_dirichlet(X, y, 6, 1.0, 2)
    sizes = np.array([len(part) for part in parts])
    honest = training(clients=parts, rule=mean, weighted=True, f=1, attack=None).run(3, seeds=2)
    np.testing.assert_allclose(honest.trust[1, 2], sizes / sizes.sum())
    liars = overclaim(parts, [5], factor=10)
    run = training(clients=liars, rule=mean, weighted=True, f=1, attack=None).run(3, seeds=2)
    claimed = sizes * np.where(np.arange(6) == 5, 10, 1)
    np.testing.assert_allclose(run.trust[0, 0], claimed / claimed.sum())
    theta = [SimpleModel(3, 6, activation="tanh").init(0)]
    model = SimpleModel(3, 6, activation="tanh")
    rows = [model.gradient(theta[0], part.X, part.y) for part in parts]
    one = training(clients=liars, rule=mean, weighted=True, f=1, attack=None).run(1, 0)
    expected = theta[0] - 0.5 * np.average(rows, axis=0, weights=claimed)
    np.testing.assert_allclose(one.theta, expected, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda fl: fl.run(2), TypeError, "pass rng"),
        (lambda fl: fl.run(2, 1, seeds=3), ValueError, "either rng or seeds, not both"),
        (lambda fl: fl.run(2, seeds=0), ValueError, "seeds >= 1; got 0"),
        (lambda fl: fl.run(2, []), ValueError, "seeds that differ, at least one"),
        (lambda fl: fl.run(2, [1, 1]), ValueError, r"differ, at least one; got \[1, 1\]"),
        (lambda fl: fl.run(2, [rng, rng]), ValueError, "seeds that differ"),
        (lambda fl: fl.run(-1, 1), ValueError, "rounds >= 0"),
        (lambda fl: fl.run(2, 1, every=0), ValueError, "every >= 1; got 2, 0"),
        (lambda fl: fl.run(2, 1, start=np.zeros(3)), ValueError, r"\(45,\) or \(1, 45\)"),
        (lambda fl: fl.run(2, 1, start=np.full(45, np.nan)), ValueError, "finite parameters"),
        (lambda fl: fl.run(2, 1, (X, y[:5])), ValueError, "evaluate needs X"),
        (
            lambda fl: fl.run(2, [1, 2], (np.stack([X] * 3), np.stack([y] * 3))),
            ValueError,
            "each of 2 seeds; got 3",
        ),
        (lambda fl: fl.run(2, 1, success=(0, 1)), ValueError, "success needs two labels"),
        (lambda fl: training(delay=-1), ValueError, "delay >= 0"),
        (lambda fl: training(delay=[1, 2]), ValueError, "one integer or 9"),
        (lambda fl: training(delay=0.5), ValueError, "delay >= 0"),
        (lambda fl: training(weighted=True), ValueError, "takes weights; got trimmed_mean"),
        (lambda fl: training(clients=[]), TypeError, "list of clients"),
        (lambda fl: training(clients=[clients(), 3]), TypeError, "list of such lists"),
        (lambda fl: training(clients=[1, 2, 3]), TypeError, "list of Client"),
        (
            lambda fl: training(clients=[clients(), clients()[:8]]),
            ValueError,
            r"equally many clients for each seed; got \[8, 9\]",
        ),
        (
            lambda fl: training(clients=[clients()] * 2).run(2, seeds=3),
            ValueError,
            "lists of clients for 3 seeds; got 2",
        ),
        (
            lambda fl: training(learning_rate=lambda t: 1 - t).run(2, 1),
            ValueError,
            "learning_rate > 0",
        ),
        (
            lambda fl: training(attack=lambda honest, f, rng: honest).run(2, 1),
            ValueError,
            r"one row a liar, of shape \(2, 45\); got \(7, 45\)",
        ),
        (
            lambda fl: training(attack=lambda honest, f, rng: honest).run(2, seeds=2),
            ValueError,
            r"one row a liar, of shape \(2, 45\); got \(7, 45\)",
        ),
    ],
)
def test_illegal_use(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(training())
