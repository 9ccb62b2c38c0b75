"""Clients, models, and the training loop: by hand, by slow loops, and many runs in one call."""

import subprocess
import sys
from functools import partial
from itertools import zip_longest

import numpy as np
import pandas as pd
import pytest

from byzlib import theory
from byzlib.aggregators import bucketing, centered_clipping, krum, mean, median, trimmed_mean
from byzlib.attacks import (
    during,
    gaussian_noise,
    label_flip,
    local_sign_flip,
    non_finite,
    sign_flip,
    stale,
)
from byzlib.federated import (
    ByzantineFL,
    Client,
    Quadratic,
    SimpleModel,
    label_shares,
    one_by_one,
    overclaim,
    split_by,
    split_dirichlet,
    split_iid,
    stack,
)
from byzlib.metrics import (
    accuracy,
    attack_success,
    balanced_accuracy,
    majority_share,
)

# Clients

deal = np.random.default_rng(13)
SAMPLES = np.arange(600.0).reshape(300, 2)  # every row is recognisable
LABELS = deal.integers(0, 3, 300)


def rows_of(clients):
    return sorted(int(x) for client in clients for x in client.X[:, 0])


@pytest.mark.parametrize(
    "split",
    [
        lambda: split_iid(SAMPLES, LABELS, 7, 1),
        lambda: split_dirichlet(SAMPLES, LABELS, 7, 0.5, 1),
        lambda: split_by(SAMPLES, LABELS, list("gfedcba") * 42 + list("gfedcb")),
    ],
)
def test_every_sample_goes_to_exactly_one_client(split):
    clients = split()
    assert len(clients) == 7
    assert rows_of(clients) == list(range(0, 600, 2))
    for client in clients:
        np.testing.assert_array_equal(client.y, LABELS[(client.X[:, 0] // 2).astype(int)])
    assert [client.name for client in clients] == sorted(client.name for client in clients)
    again = split()
    for one, other in zip(clients, again, strict=True):
        np.testing.assert_array_equal(one.X, other.X)


def test_an_infinite_alpha_deals_every_class_evenly():
    """And so does one whose sum is infinite: no warning, no client without samples."""
    for alpha in (np.inf, 1e308):
        clients = split_dirichlet(SAMPLES, LABELS, 7, alpha, 1)
        assert rows_of(clients) == list(range(0, 600, 2))
        assert {len(client) for client in clients} == {42, 43}
        for label in range(3):
            counts = [(client.y == label).sum() for client in clients]
            assert max(counts) - min(counts) <= 1
        assert any((np.diff(client.y) < 0).any() for client in clients)  # shuffled
    four = split_dirichlet(SAMPLES[:4], np.array([0, 0, 1, 1]), 4, np.inf, 1)
    assert [len(client) for client in four] == [1] * 4


def test_iid_clients_are_equal_in_size_and_shuffled():
    clients = split_iid(SAMPLES, LABELS, 7, 1)
    assert {len(client) for client in clients} == {42, 43}
    assert not (np.diff(clients[0].X[:, 0]) > 0).all()


def test_alpha_is_a_knob_for_skew():
    big_X, big_y = np.zeros((6000, 1)), np.arange(6000) % 3
    skew = [
        np.mean(
            [label_shares(split_dirichlet(big_X, big_y, 10, a, s))["skew"].mean() for s in range(5)]
        )
        for a in (0.1, 1.0, 100.0)
    ]
    assert skew[0] > 0.4 > skew[1] > 0.1 > 0.05 > skew[2]


def test_label_shares_by_hand():
    clients = [
        Client(np.zeros((4, 1)), np.array([0, 0, 0, 1]), "a"),
        Client(np.zeros((4, 1)), np.array([1, 1, 1, 0]), "b"),
    ]
    table = label_shares(clients)
    assert table.loc["a", 0] == 0.75 and table.loc["b", 0] == 0.25
    assert table["samples"].tolist() == [4, 4]
    assert table["skew"].tolist() == [0.25, 0.25]


def test_poison_acts_on_training_only():
    honest = Client(SAMPLES[:10], LABELS[:10], "desk")
    liar = Client(SAMPLES[:10], LABELS[:10], "liar", poison=lambda X, y: (X, label_flip(y)))
    assert honest.training_data[1] is honest.y
    np.testing.assert_array_equal(liar.training_data[1], 2 - LABELS[:10])
    np.testing.assert_array_equal(liar.y, LABELS[:10])
    assert "poisoned" in repr(liar) and "poisoned" not in repr(honest)


def test_stack_pads_with_zero_weight():
    one = [Client(SAMPLES[:3], LABELS[:3]), Client(SAMPLES[3:8], LABELS[3:8])]
    block, labels, weight = stack([one, [Client(SAMPLES[:1], LABELS[:1])] * 2])
    assert block.shape == (2, 2, 5, 2) and labels.shape == weight.shape == (2, 2, 5)
    assert weight.sum(axis=-1).tolist() == [[3, 5], [1, 1]]
    for stacked, alone in zip((block, labels, weight), stack(one), strict=True):
        np.testing.assert_array_equal(stacked[0], alone)
    assert weight[0].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    np.testing.assert_array_equal(block[0, 0, :3], SAMPLES[:3])
    np.testing.assert_array_equal(labels[0, 1], LABELS[3:8])


def test_overclaiming():
    """The liar has what it had, and says that it has ten times as much."""
    clients = [Client(SAMPLES[:3], LABELS[:3]), Client(SAMPLES[3:8], LABELS[3:8])]
    liars = overclaim(clients, [1])
    assert [client.claimed for client in clients] == [3, 5]
    assert [client.claimed for client in liars] == [3, 50]
    assert len(liars[1]) == 5 and liars[0] is clients[0]


# Models

drawing = np.random.default_rng(11)
ROWS = drawing.standard_normal((10, 30, 4))
MARKS = drawing.integers(0, 3, (10, 30))
for given in (ROWS, MARKS):
    given.flags.writeable = False  # nobody may change what it is given


def one_sample_at_a_time(model, theta, X, y, weight):
    """Loss and gradient by the chain rule, written out for one sample after the other."""
    p, H, C = model.n_features, model.n_hidden, model.n_classes
    if not H:  # logistic regression
        odds = np.exp(X @ theta[: p * C].reshape(p, C) + theta[p * C :])
        probability = odds / odds.sum(axis=-1, keepdims=True)
        error = weight[:, None] * (probability - np.eye(C)[y])
        gradient = np.concatenate([(X.T @ error).ravel(), error.sum(axis=0)])
        loss = -(weight * np.log(probability[np.arange(len(y)), y])).sum()
        return loss / weight.sum(), gradient / weight.sum()
    W1, b1 = theta[: p * H].reshape(p, H), theta[p * H : (p + 1) * H]
    W2, b2 = theta[(p + 1) * H : -C].reshape(H, C), theta[-C:]
    loss, total = 0.0, np.zeros(model.n_parameters)
    for x, label, w in zip(X, y, weight, strict=True):
        inner = x @ W1 + b1
        hidden = np.maximum(inner, 0) if model.activation == "relu" else np.tanh(inner)
        odds = np.exp(hidden @ W2 + b2)
        probability = odds / odds.sum()
        loss -= w * np.log(probability[label])
        error = probability - np.eye(C)[label]
        slope = inner > 0 if model.activation == "relu" else 1 - hidden**2
        back = W2 @ error * slope
        parts = np.outer(x, back), back, np.outer(hidden, error), error
        total += w * np.concatenate([part.ravel() for part in parts])
    return loss / weight.sum(), total / weight.sum()


@pytest.mark.parametrize(("n_hidden", "activation"), [(6, "relu"), (6, "tanh"), (0, "relu")])
def test_against_one_sample_at_a_time(n_hidden, activation):
    model = SimpleModel(4, n_hidden, 3, activation)
    assert model.n_parameters == {6: 4 * 6 + 6 + 6 * 3 + 3, 0: 5 * 3}[n_hidden]
    theta = np.stack([model.init(seed) for seed in range(3)])
    theta += 0.1 * drawing.standard_normal(theta.shape)
    weight = drawing.integers(0, 3, (10, 30)).astype(float)
    loss = model.loss(theta[:, None], ROWS, MARKS, weight)
    gradient = model.gradient(theta[:, None], ROWS, MARKS, weight)
    for s in range(3):
        for i in range(10):
            slow = one_sample_at_a_time(model, theta[s], ROWS[i], MARKS[i], weight[i])
            np.testing.assert_allclose(loss[s, i], slow[0], rtol=1e-12)
            np.testing.assert_allclose(gradient[s, i], slow[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("block_bytes", [1, 1 << 19])
@pytest.mark.parametrize("n_hidden", [0, 6])
@pytest.mark.parametrize(
    ("theta_lead", "x_lead", "y_lead"),
    [
        ((), (10,), (10,)),  # ten clients, one model
        ((10,), (10,), (10,)),  # a model each
        ((3, 1), (10,), (10,)),  # seeds of clients that share the samples
        ((3, 1), (1, 10), (3, 10)),
        ((3, 1), (3, 1), (10,)),  # trials that differ in labels
        ((), (), (10,)),
        ((), (), ()),
    ],
)
def test_many_trials_are_one_call(theta_lead, x_lead, y_lead, n_hidden, block_bytes, monkeypatch):
    """Every trial of a stack is what it is alone, whatever leads and however it is cut."""
    monkeypatch.setattr("byzlib.federated.model.BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(3)
    model = SimpleModel(4, n_hidden)
    theta = rng.standard_normal((*theta_lead, model.n_parameters))
    X, y = rng.standard_normal((*x_lead, 30, 4)), rng.integers(0, 3, (*y_lead, 30))
    lead = np.broadcast_shapes(theta_lead, x_lead, y_lead)
    gradient, loss = model.gradient(theta, X, y), model.loss(theta, X, y)
    assert gradient.shape == (*lead, model.n_parameters) and np.shape(loss) == lead
    of_models = np.broadcast_shapes(theta_lead, x_lead)
    classes, shares = model.predict(theta, X), model.predict_proba(theta, X)
    assert classes.shape == (*of_models, 30) and shares.shape == (*of_models, 30, 3)
    for place in np.ndindex(lead):
        one = [
            np.broadcast_to(array, (*lead, *array.shape[array.ndim - own :]))[place]
            for array, own in [(theta, 1), (X, 2), (y, 1)]
        ]
        np.testing.assert_allclose(gradient[place], model.gradient(*one), rtol=0, atol=1e-14)
        np.testing.assert_allclose(loss[place], model.loss(*one), rtol=1e-14)
    for place in np.ndindex(of_models):
        one = [
            np.broadcast_to(array, (*of_models, *array.shape[array.ndim - own :]))[place]
            for array, own in [(theta, 1), (X, 2)]
        ]
        np.testing.assert_array_equal(classes[place], model.predict(*one))
        np.testing.assert_allclose(shares[place], model.predict_proba(*one), atol=1e-15)


def test_a_model_of_float32_stays_one():
    model, single = SimpleModel(4, 6, 3, dtype=np.float32), np.float32(ROWS)
    theta = model.init(1)
    assert model.predict_proba(theta, single).dtype == np.float32
    for weight in (None, np.ones((10, 30))):
        for call in (model.gradient, model.loss):
            assert call(theta, single, MARKS, weight).dtype == np.float32


def test_a_quadratic_by_hand():
    """Samples 1 and 3, theta 5: mean of 16/2 and 4/2 is 5, slope 5 - 2."""
    model = Quadratic()
    samples = np.array([[1.0], [3.0]])
    assert model.loss(np.array([5.0]), samples) == 5
    assert model.gradient(np.array([5.0]), samples) == [3]
    assert model.gradient(np.array([5.0]), samples, weight=[0, 2]) == [2]
    steep = Quadratic([1.0, 2.0], curvature=[1.0, 10.0])
    assert steep.init().tolist() == [1, 2] and steep.n_parameters == 2
    theta, points = drawing.standard_normal(2), drawing.standard_normal((4, 5, 2))
    away = theta - points
    slopes, losses = (away * [1, 10]).mean(axis=1), (away**2 @ [1, 10] / 2).mean(axis=1)
    np.testing.assert_allclose(steep.gradient(theta, points), slopes)
    np.testing.assert_allclose(steep.loss(theta, points), losses)
    assert Quadratic(curvature=[1, 1, 2]).init().tolist() == [0, 0, 0]


def test_only_the_shares_of_weights_count():
    """Padding has none; equal weights are none at all, though their sum is past any float."""
    model = SimpleModel(4, 6, 3)
    theta, padding = model.init(3), np.r_[np.ones(20), np.zeros(10)]
    for weight, m in [(padding, 20), (1e308 * padding, 20), (np.full(30, 1e308), 30)]:
        for call in (model.gradient, model.loss):
            np.testing.assert_allclose(
                call(theta, ROWS[0], MARKS[0], weight),
                call(theta, ROWS[0, :m], MARKS[0, :m]),
                atol=1e-15,
            )


def test_probabilities():
    model = SimpleModel(4, 6, 3)
    theta = 1000 * model.init(4)  # scores far beyond exp's range
    p = model.predict_proba(theta, ROWS)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    assert (model.predict(theta, ROWS) == p.argmax(axis=-1)).all()
    assert np.isfinite(model.loss(theta, ROWS, MARKS)).all()
    zero = np.zeros(model.n_parameters)
    assert np.allclose(model.loss(zero, ROWS, MARKS), np.log(3))


# The loop

SEEDS = [3, 1, 4, 15, 9]
rng = np.random.default_rng(31)
X = rng.standard_normal((400, 3))
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


# By hand: the loss of client i is (theta - c_i)^2 / 2, so that its gradient is theta - c_i


def desks(*centres, claims=()):
    return [
        Client(np.array([[c]]), np.array([0]), f"desk {c}", claims=claim)
        for c, claim in zip_longest(centres, claims)
    ]


def train(rule, attack=None, rounds=60, centres=(0, 1, 2, 7), liars=1, **settings):
    """The honest centres 0, 1, 2, 7 and one liar: the worked example of the convergence theory."""
    clients = desks(*centres, *([0] * liars))
    settings = {"learning_rate": 0.5} | settings
    return ByzantineFL(Quadratic(10.0), clients, rule, liars, attack, **settings).run(rounds, 0)


def saying(value):
    return lambda honest, f: np.full((f, honest.shape[-1]), value)


def recursion(of_liar, rounds):
    """theta if the mean hears four honest desks, and of_liar(t, [theta_0, ..., theta_t-1])."""
    theta = [10.0]
    for t in range(1, rounds + 1):
        theta.append(theta[-1] - 0.5 * (4 * (theta[-1] - 2.5) + of_liar(t, theta)) / 5)
    return theta[-1]


@pytest.mark.parametrize(
    ("rule", "attack", "settings", "expected"),
    [
        # Without liars it is gradient descent; with momentum m_1 = 0.1 g_1, theta_1 = 10 - m_1 / 2.
        (mean, None, {"liars": 0}, 2.5),
        (mean, None, {"liars": 0, "rounds": 3}, 2.5 + 7.5 / 8),
        (mean, None, {"liars": 0, "rounds": 1, "momentum": 0.9}, 9.625),
        (mean, None, {"liars": 0, "rounds": 2, "momentum": 0.9}, 9.625 - (0.675 + 0.7125) / 2),
        (mean, None, {"liars": 0, "rounds": 400, "momentum": 0.9}, 2.5),
        # Under a gross lie the mean of the three smallest centres; more of it in chapter 10.
        (trimmed_mean, saying(1e6), {}, 1.0),
        (trimmed_mean, saying(np.nan), {}, 2.5),
        # rho = (h - c f) / n is 0.6 at c = 1.
        (mean, sign_flip, {"rounds": 5}, 2.5 + 0.7**5 * 7.5),
        # Three local steps contract each client to its centre by 1/8; a tenth of it with momentum.
        (mean, None, {"rounds": 1, "liars": 0, "local_steps": 3}, 2.5 + 7.5 / 8),
        (mean, None, {"rounds": 1, "liars": 0, "local_steps": 3, "momentum": 0.9}, 9.34375),
        # theta <- theta - (theta - 2.5) / (t + 1): 10, 6.25, 5
        (mean, None, {"rounds": 2, "liars": 0, "learning_rate": lambda t: 1 / (t + 1)}, 5.0),
        # Honest for two rounds, then silent; and answers to a model two rounds old.
        (mean, during(saying(0.0), 3), {"rounds": 4},
         recursion(lambda t, theta: theta[-1] if t < 3 else 0.0, 4)),
        (mean, partial(stale, delay=2), {"rounds": 5},
         recursion(lambda t, theta: theta[max(t - 3, 0)], 5)),
    ],
)  # fmt: skip
def test_by_hand(rule, attack, settings, expected):
    np.testing.assert_allclose(train(rule, attack, **settings).theta, expected, atol=1e-12)


# Runs that end early


def test_a_diverged_run_says_so():
    run = train(mean, saying(1e308), rounds=50, learning_rate=100.0)
    assert run.diverged_at is not None and run.diverged_at <= 3
    assert not np.isfinite(run.theta).all()
    assert np.isnan(run.final("distance to honest mean"))
    assert (run.table["round"] < run.diverged_at).all()
    assert train(median, saying(1e308)).diverged_at is None
    assert train(mean, saying(np.nan)).diverged_at == 1
    loud = training(rule=mean, attack=saying(1e200), model=SimpleModel(3, 6)).run(3, 0, (X, y))
    assert loud.reason == "the loss" and np.isfinite(loud.theta).all()


def test_a_rule_without_an_answer_ends_the_run():
    """More broken rows than f: the rule refuses, and its sentence is the reason."""

    def saying_nothing(honest, f):
        return np.zeros((*honest.shape[:-2], f, honest.shape[-1]))

    def broken(honest, f, round):  # in the first run of a stack, in the first round
        lies = saying_nothing(honest, f)
        if round == 1:
            (lies if lies.ndim == 2 else lies[0])[:] = np.nan
        return lies

    rules = [trimmed_mean, one_by_one(lambda u, f, rng: trimmed_mean(u + rng.normal(), f))]
    for rule in rules:
        fl = training(rule=rule, attack=broken, byzantine=[6, 7, 8])
        stacked = fl.run(4, seeds=3)
        assert stacked.diverged_at == [1, None, None]
        for run in (fl.run(4, 0), stacked[0]):
            assert run.diverged_at == 1
            assert run.reason.startswith("trimmed_mean tolerates 2 faulty of n = 9 clients; got 3")
            np.testing.assert_array_equal(run.theta, fl.model.init(0))
        whole = training(rule=rule, attack=saying_nothing, byzantine=[6, 7, 8]).run(4, seeds=3)
        np.testing.assert_allclose(stacked.theta[1:], whole.theta[1:], rtol=0, atol=1e-12)


def test_no_attack_and_no_rule_meets_an_answer_that_is_no_number():
    """One run's data overflow; the others go on, and the attack sees numbers only."""

    def attack(honest, f):
        assert np.isfinite(honest).all()
        return sign_flip(honest, f)

    huge = [Client(np.full((1, 1), 1e308), np.array([0])) for _ in range(3)]
    lists = [desks(1, 2, 3), huge, desks(1, 2, 3)]
    model = Quadratic(10.0, curvature=9.0)
    run = ByzantineFL(model, lists, median, 1, attack, learning_rate=0.1).run(5, seeds=3)
    assert run.diverged_at == [None, 1, None] and run.reason[1] == "an honest answer"
    assert run.theta[1] == 10 and np.isnan(run.trust[1]).all() and np.isfinite(run.trust[0]).all()


def test_an_illegal_rule_is_an_error_and_no_divergence():
    for seeds in (0, [0, 1]):
        with pytest.raises(ValueError, match="krum needs n >= 2f"):
            training(rule=krum, f=4).run(2, seeds)


# What is reported


def test_history():
    fl = ByzantineFL(Quadratic(10.0), desks(0, 1, 2, 7, 0), krum, 1, saying(1e6), learning_rate=0.5)
    run = fl.run(12, rng=0, evaluate=lambda theta: {"theta": theta[0]}, every=5)
    assert run.curve("theta").index.tolist() == [5, 10, 12]
    assert len(run.curve("distance to honest mean")) == 12
    assert list(run.table.columns) == ["round", "metric", "value"]
    assert run.final("theta") == run.theta[0]
    assert run.trust.shape == (12, 5) and (run.trust.sum(axis=1) == 1).all()
    assert (run.trust[:, 4] == 0).all()  # the liar is never chosen
    with pytest.raises(KeyError, match="no metric 'loss'; there are"):
        run.curve("loss")


def test_tables_and_curves_of_a_stack():
    run = training().run(6, SEEDS, (X, y), every=2)
    assert list(run.table.columns) == ["round", "metric", "value", "seed"]
    assert run.curve("loss").shape == (3, 5) and run.curve("loss").columns.tolist() == SEEDS
    np.testing.assert_array_equal(run.final("loss"), run.curve("loss").iloc[-1])
    assert run.trust.shape == (5, 6, 9)
    np.testing.assert_array_equal(run[2].curve("loss"), run.curve("loss")[4])
    with pytest.raises(TypeError, match="a single run cannot be indexed"):
        run[0][0]


def test_nobody_says_who_was_trusted():
    run = train(lambda updates: updates.mean(axis=-2), liars=0)
    np.testing.assert_allclose(run.theta, 2.5)
    assert np.isnan(run.trust).all()
    fl = training()
    quiet = fl.run(4, SEEDS, trust=False)
    np.testing.assert_allclose(quiet.theta, fl.run(4, SEEDS).theta, rtol=0, atol=1e-13)
    assert np.isnan(quiet.trust).all()


def test_who_lies():
    clients = desks(0, 1, 2, 7, 0)
    default = ByzantineFL(Quadratic(10.0), clients, krum, 1, saying(1e6), learning_rate=0.5)
    assert default.byzantine.tolist() == [4]
    # The server expects one, nobody lies:
    honest = ByzantineFL(
        Quadratic(10.0), clients, krum, 1, saying(1e6), byzantine=[], learning_rate=0.5
    )
    assert (honest.run(3, 0).curve("distance to honest mean") < 10).all()
    # Liars in the middle do what liars at the end do:
    order = [0, 1, 8, 2, 3, 7, 4, 5, 6]
    mixed = training(clients=[nine_parts()[i] for i in order], byzantine=[2, 5]).run(6, SEEDS)
    plain = training().run(6, SEEDS)
    np.testing.assert_allclose(mixed.theta, plain.theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mixed.trust, plain.trust[..., order], rtol=0, atol=1e-12)


# A network


def network(rule, attack=None, clients=None, **settings):
    clients = split_iid(X, y, 8, 1) if clients is None else clients
    settings = {"learning_rate": 0.5, "f": 2} | settings
    return ByzantineFL(SimpleModel(3, 8), clients, rule, attack=attack, **settings)


def test_a_real_network_learns_and_reports():
    fl = network(median, sign_flip)
    run = fl.run(150, rng=3, evaluate=(X, y), every=50, success=(0, 2))
    predicted = fl.model.predict(run.theta, X)
    for name, value in {
        "loss": fl.model.loss(run.theta, X, y),
        "accuracy": accuracy(y, predicted),
        "balanced accuracy": balanced_accuracy(y, predicted),
        "majority share": majority_share(y),
        "attack success": attack_success(y, predicted, 0, 2),
    }.items():
        assert run.final(name) == pytest.approx(value)
    assert run.final("accuracy") > 0.85 and run.curve("loss").is_monotonic_decreasing


def test_a_run_is_a_function_of_its_seed():
    fl = network(krum, lambda h, f, rng: gaussian_noise(h, f, rng, scale=5), batch_size=16)
    one, same, other = fl.run(20, rng=4), fl.run(20, rng=np.random.default_rng(4)), fl.run(20, 5)
    np.testing.assert_array_equal(one.theta, same.theta)
    np.testing.assert_array_equal(one.trust, same.trust)
    assert not np.array_equal(one.theta, other.theta)


def test_going_on_from_where_a_run_ended():
    fl = network(median, sign_flip)
    whole, half = fl.run(10, 3), fl.run(5, 3)
    np.testing.assert_array_equal(fl.run(5, 3, start=half.theta).theta, whole.theta)
    stacked = fl.run(5, seeds=2, start=half.theta)
    np.testing.assert_allclose(stacked.theta, [whole.theta] * 2, atol=1e-13)
    single = np.float32(half.theta)
    assert fl.run(1, 3, start=single).theta.dtype == np.float32


def test_batches_come_from_the_clients_own_samples():
    seen = []

    class Spy(Quadratic):
        def gradient(self, theta, X, y, weight=None):
            seen.append(X[..., 0])
            return super().gradient(theta, X, y, weight)

    clients = [Client(np.full((m, 1), m), np.zeros(m, int)) for m in (2, 5, 9)]
    ByzantineFL(Spy(), clients, mean, 0, learning_rate=0.1, batch_size=4).run(30, 1)
    for batch in seen:
        assert batch.shape == (1, 3, 4)
        np.testing.assert_array_equal(batch[0], np.repeat([[2], [5], [9]], 4, axis=1))


def test_the_draws_do_not_depend_on_who_lies_and_how():
    """All attacks meet the same honest batches."""
    seen = []

    def spy(updates):
        seen.append(updates[:6])
        return updates.mean(axis=-2) * 0

    for attack in (None, sign_flip, local_sign_flip):
        network(spy, attack, batch_size=5).run(3, 4)
    for t in range(3):
        np.testing.assert_array_equal(seen[t], seen[3 + t])
        np.testing.assert_array_equal(seen[t], seen[6 + t])


# Ten seeds in one run: each gets what it gets on its own, whatever the settings


def nine_parts(seed=1):
    """Nine clients of unequal size, the last of which poisons its labels."""
    nine = split_dirichlet(X[:300], y[:300], 9, 2.0, seed)
    return [*nine[:8], Client(nine[8].X, nine[8].y, poison=lambda X, y: (X, label_flip(y)))]


def training(**settings):
    settings = {
        "rule": trimmed_mean,
        "clients": nine_parts(),
        "model": SimpleModel(3, 6, activation="tanh"),
        "attack": sign_flip,
        "learning_rate": 0.5,
        "f": 2,
    } | settings
    return ByzantineFL(**settings)


def from_the_past(honest, f, history):
    return history[-2] if len(history) > 1 else np.zeros((*honest.shape[:-2], f, honest.shape[-1]))


@one_by_one
def every_other_round(honest, f, rng, round):
    return honest[:f] if round % 2 else gaussian_noise(honest, f, rng, scale=0.3)


@one_by_one
def enormous_now_and_then(honest, f, rng, history):
    size = np.inf if rng.random() < 0.15 else 1.0
    return size * rng.standard_normal((f, honest.shape[-1])) + sum(history)


def one_run_only(honest, f, own, history):
    return np.tile(-honest.mean(axis=0), (f, 1)) + own + sum(history)


SETTINGS = {
    "plain": {},
    "nobody lies": {"attack": None},
    "batches": {"batch_size": 7},
    "local steps": {"batch_size": 7, "local_steps": 3},
    "momentum": {"momentum": 0.9, "batch_size": 5},
    "noise": {"attack": partial(gaussian_noise, scale=2.0)},
    "own": {"attack": partial(local_sign_flip, scale=3), "batch_size": 5, "momentum": 0.5},
    "past": {"attack": from_the_past},
    "by round": {"attack": every_other_round},
    "for a time": {"attack": during(sign_flip, 3, 6)},
    "an attack on single runs": {"attack": one_by_one(one_run_only)},
    "bound round": {"attack": partial(partial(every_other_round, round=2))},
    "mean by claims": {"rule": mean, "weighted": True},
    "claims, run by run": {"rule": one_by_one(mean), "weighted": True},
    "krum": {"rule": krum},
    "a bound f": {"rule": partial(krum, f=1)},
    "a rule for single runs": {"rule": one_by_one(lambda updates: np.mean(updates, axis=0))},
    "a rule that draws": {"rule": one_by_one(lambda u, f, rng: median(bucketing(u, 2, rng)))},
    "a rule that remembers": {"rule": one_by_one(partial(centered_clipping, radius=0.2))},
    "decaying steps": {"learning_rate": lambda t: 0.5 / t},
    "some runs diverge": {
        "rule": mean, "attack": enormous_now_and_then, "batch_size": 9, "late": 0.3, "delay": 2,
    },
    "some asked, some late": {
        "participation": 0.8, "late": 0.2, "delay": 3, "momentum": 0.5, "batch_size": 8,
        "local_steps": 2, "rule": one_by_one(partial(centered_clipping, radius=5.0)),
    },
}  # fmt: skip


def assert_same(stacked, single):
    np.testing.assert_allclose(stacked.theta, single.theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(stacked.trust, single.trust, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(stacked.age, single.age)
    assert stacked.diverged_at == single.diverged_at and stacked.reason == single.reason
    assert stacked.table[["round", "metric"]].equals(single.table[["round", "metric"]])
    np.testing.assert_allclose(stacked.table["value"], single.table["value"], atol=1e-10)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_stack_is_its_runs(name):
    fl = training(**SETTINGS[name])
    test = {"evaluate": (X[300:], y[300:]), "every": 3, "success": (0, 2)}
    stacked = fl.run(8, SEEDS, **test)
    assert len(stacked) == len(SEEDS) and stacked.seeds == tuple(SEEDS)
    ended = {t is not None for t in stacked.diverged_at}
    assert ended == ({True, False} if name == "some runs diverge" else {False})
    for k, seed in enumerate(SEEDS):
        assert_same(stacked[k], fl.run(8, seed, **test))


@pytest.mark.parametrize("settings", [{}, {"batch_size": 4}])
def test_each_seed_may_have_its_own_data(settings):
    """Clients of other sizes, and other test samples; the generator that made them goes on."""

    def drawn(seed):
        rng = np.random.default_rng(seed)
        test = rng.permutation(360)[:50]
        return rng, split_dirichlet(X, y, 9, 1.0, rng), (X[test], y[test])

    rngs, lists, tests = zip(*[drawn(seed) for seed in SEEDS], strict=True)
    fl = training(clients=list(lists), **settings)
    stacked = fl.run(6, rngs, tuple(map(np.stack, zip(*tests, strict=True))))
    assert stacked.seeds == (0, 1, 2, 3, 4)
    for k, seed in enumerate(SEEDS):
        rng, own, test = drawn(seed)
        assert_same(stacked[k], training(clients=own, **settings).run(6, rng, test))


@pytest.mark.parametrize("lie", [sign_flip, non_finite])
def test_one_call_of_rule_and_attack_a_round(lie):
    shapes = []

    def rule(updates, f):
        shapes.append(updates.shape)
        return trimmed_mean(updates, f)

    def attack(honest, f):
        shapes.append(honest.shape)
        return lie(honest, f)

    run = training(rule=rule, attack=attack).run(3, SEEDS)
    assert shapes == [(5, 1, 7, 45), (5, 1, 9, 45)] * 3 and run.diverged_at == [None] * 5
    assert len(np.unique(run.theta[:, 0])) == len(SEEDS)  # they differ


def test_ten_seeds_and_ten_clients_are_not_confused():
    """A rule that averages the first axis would give (10, d) for ten runs of ten clients."""

    def average(updates):
        return np.mean(updates, axis=0)

    fl = training(rule=average, clients=split_iid(X, y, 10, 1))
    fl.run(3, 7)
    with pytest.raises(TypeError, match=r"one row a run.*\(10, 1, 45\); got .*needs one_by_one"):
        fl.run(3, seeds=10)


def test_claims_are_the_weights():
    """FedAvg by hand: what a client claims is how much it counts, past any float if it likes."""
    six = split_dirichlet(X, y, 6, 1.0, 2)
    sizes = np.array([len(part) for part in six])
    model = SimpleModel(3, 6, activation="tanh")
    rows = [model.gradient(model.init(0), part.X, part.y) for part in six]
    loud = int(1.5e308)
    for claimed, counts in [
        ([None] * 6, sizes),
        ([None] * 5 + [10 * sizes[5]], sizes * [1, 1, 1, 1, 1, 10]),
        ([None] * 4 + [loud, loud], [0, 0, 0, 0, 1, 1]),
        ([None] * 5 + [3 * 10**400], [0, 0, 0, 0, 0, 1]),
    ]:
        clients = [Client(c.X, c.y, claims=n) for c, n in zip(six, claimed, strict=True)]
        settings = {"clients": clients, "rule": mean, "weighted": True, "f": 1, "attack": None}
        run = training(**settings).run(1, seeds=2)
        np.testing.assert_allclose(run.trust[:, 0], [counts / np.sum(counts)] * 2, atol=1e-300)
        expected = model.init(0) - 0.5 * np.average(rows, axis=0, weights=counts)
        np.testing.assert_allclose(run.theta[0], expected, atol=1e-14)
        assert training(**settings).run(20, 0).diverged_at is None


# Clients who are not asked, come late, or do not come: f of n becomes f of those who answered

CENTRES = np.array([0.0, 1, 2, 3, 4, 6, 9, -5, -7])  # the last two lie


def slow_run(rule, f, seed, *, participation=1.0, late=0.0, delay=None, momentum=0.0, attack=None,
         rounds=25, rate=0.3):  # fmt: skip
    """One run of desks on a line, in plain Python: the model, ages, and the skipped rounds."""
    rng, theta, n = np.random.default_rng(seed), 10.0, len(CENTRES)
    asked, memory, past = max(round(participation * n), 1), np.zeros(n), []
    ages, skipped = np.full((rounds, n), np.nan), []
    for t in range(rounds):
        who = rng.permutation(n) < asked if asked < n else np.ones(n, bool)
        slow_ones = rng.random(n) < late if late else np.zeros(n, bool)
        slow_ones[-2:] = False
        fresh = momentum * memory + (1 - momentum) * (theta - CENTRES)
        memory[who] = fresh[who]
        past.append(fresh)
        sent, age = fresh.copy(), np.zeros(n)
        for i in np.flatnonzero(slow_ones):
            if delay is None:
                age[i] = np.nan
            else:
                age[i] = min(delay, t)
                sent[i] = past[t - int(age[i])][i]
        if attack:
            sent[-2:] = attack(sent[:-2, None], 2)[:, 0]
        age[~who] = np.nan
        ages[t] = age
        heard = ~np.isnan(age)
        try:
            step = rule(sent[heard, None], f)[0] if heard.any() else None
        except ValueError:
            step = None
        skipped.append(step is None)
        theta = theta if step is None else theta - rate * step
    return theta, ages, skipped


def plain_mean(updates, f):
    return mean(updates)


ABSENCES = [
    {},
    {"participation": 0.6},
    {"participation": 0.7, "momentum": 0.8},
    {"late": 0.4, "delay": 1},
    {"late": 0.4, "delay": 3, "momentum": 0.5},
    {"late": 0.4},
    {"participation": 0.8, "late": 0.3},
    {"participation": 0.8, "late": 0.3, "delay": 2, "momentum": 0.9},
]


def nine(rule=plain_mean, f=0, attack=None, byzantine=(), **settings):
    settings = {"learning_rate": 0.3} | settings
    return ByzantineFL(Quadratic(10.0), desks(*CENTRES), rule, f, attack, byzantine, **settings)


@pytest.mark.parametrize("setting", ABSENCES)
@pytest.mark.parametrize(("rule", "f"), [(plain_mean, 0), (trimmed_mean, 1), (trimmed_mean, 2)])
@pytest.mark.parametrize("attack", [None, sign_flip])
def test_against_a_slow_loop(setting, rule, f, attack):
    learning = nine(rule, f, attack, [7, 8], **setting)
    stack = learning.run(25, range(3))
    for seed in range(3):
        theta, ages, skipped = slow_run(rule, f, seed, attack=attack, **setting)
        for run in (learning.run(25, seed), stack[seed]):
            assert run.theta == pytest.approx(theta, rel=1e-9)
            assert np.array_equal(run.age, ages, equal_nan=True)
            assert run.skipped.tolist() == skipped
            heard = ~np.isnan(ages) & ~np.array(skipped)[:, None]
            assert np.isnan(run.trust[run.skipped]).all()
            assert rule is plain_mean or (run.trust[~run.skipped] * ~heard[~run.skipped] == 0).all()
            assert len(run.curve("distance to honest mean")) == (~run.skipped).sum()


def test_everyone_is_asked_equally_often_and_liars_come_as_the_law_says():
    rounds = 2000
    heard = ~np.isnan(nine(participation=1 / 3).run(rounds, 5, trust=False).age)
    assert (heard.sum(axis=1) == 3).all()
    error = np.sqrt(1 / 3 * 2 / 3 / rounds)
    assert np.abs(heard.mean(axis=0) - 1 / 3).max() < 4.5 * error
    chance = theory.oversampled(9, 2, 3, 1)
    error = np.sqrt(chance * (1 - chance) / rounds)
    assert abs((heard[:, 7:].sum(axis=1) > 1).mean() - chance) < 4.5 * error


def test_who_comes_does_not_depend_on_who_lies():
    setting = {"participation": 0.5, "late": 0.3, "batch_size": 1}
    honest, lying = (
        ~np.isnan(nine(byzantine=who, **setting).run(30, 3).age) for who in ([], [0, 4])
    )
    others = np.setdiff1d(np.arange(9), [0, 4])
    assert np.array_equal(honest[:, others], lying[:, others])
    assert (lying[:, [0, 4]] >= honest[:, [0, 4]]).all() and (lying != honest).any()


def test_weights_and_centres_are_those_of_who_answers():
    seen = []

    def rule(updates, weights, center):
        seen.append((weights.ravel(), center.ravel()))
        return mean(updates, weights=weights)

    learning = ByzantineFL(
        Quadratic(10.0), desks(*CENTRES, claims=range(1, 10)), one_by_one(rule), 0, byzantine=[],
        weighted=True, learning_rate=0.1, participation=0.5, late=0.7,
    )  # fmt: skip
    run = learning.run(20, 0)
    held = run.age[~run.skipped]
    assert 0 < run.skipped[:-1].sum() < 19  # the center is kept over a round that is not held
    for (weights, _), age in zip(seen, held, strict=True):
        assert np.allclose(weights, (np.flatnonzero(~np.isnan(age)) + 1) / 9)
    assert len({len(weights) for weights, _ in seen}) > 2
    theta = 10.0
    for (_, center), (weights, _), age in zip(seen[1:], seen, held, strict=False):
        assert np.allclose(
            center, step := weights @ (theta - CENTRES[~np.isnan(age)]) / sum(weights)
        )
        theta -= 0.1 * step


def test_too_few_answers_skip_a_round_and_the_run_goes_on():
    """Krum with f = 2 needs seven of nine; two liars who send NaN spoil a full crowd, too."""
    run = nine(krum, 2, sign_flip, [7, 8], late=0.4).run(40, 2)
    answered = (~np.isnan(run.age)).sum(axis=1)
    assert np.array_equal(run.skipped, answered < 7) and 0 < run.skipped.sum() < 40
    assert run.diverged_at is None and np.isfinite(run.theta).all()
    broken = nine(trimmed_mean, 1, non_finite, [7, 8], late=0.4).run(40, 2)
    assert broken.diverged_at is not None  # all answer, and no rule can do with that
    assert broken.skipped[: broken.diverged_at - 1].all()


def test_nobody_answers():
    learning = ByzantineFL(
        Quadratic(10.0), desks(1, 2), mean, 0, byzantine=[], learning_rate=0.5, late=0.9
    )
    run = learning.run(50, 0)
    alone = np.isnan(run.age).all(axis=1)
    assert np.array_equal(run.skipped, alone) and 20 < alone.sum() < 50


# Illegal use

TABLE, SERIES = pd.DataFrame(SAMPLES), pd.Series(LABELS)
NET = SimpleModel(4, 6, 3)
THETA = NET.init(1)
DESK = Client(SAMPLES, LABELS)


def run(**settings):
    return training().run(**{"rounds": 2, "rng": 1} | settings)


ILLEGAL = [
    (lambda: split_iid(SAMPLES, LABELS, 0, 1), ValueError, "number of samples; got n = 0"),
    (lambda: split_iid(SAMPLES, LABELS, 301, 1), ValueError, "got n = 301, m = 300"),
    (lambda: split_iid(SAMPLES, LABELS[:5], 2, 1), ValueError, r"got \(300, 2\) and \(5,\)"),
    (lambda: split_iid(SAMPLES, LABELS * 0.5, 2, 1), TypeError, "integer labels"),
    (lambda: split_iid(SAMPLES, LABELS, 2, None), TypeError, "pass rng"),
    (lambda: split_iid(TABLE, SERIES[::-1], 2, 1), ValueError, "pairs X and y one by one"),
    (lambda: split_dirichlet(SAMPLES, LABELS, 2, 0, 1), ValueError, "alpha > 0; got alpha = 0"),
    (lambda: split_dirichlet(X[:30], y[:30], 29, 0.01, 1), ValueError, "raise alpha or lower n"),
    (lambda: split_by(SAMPLES, LABELS, [1, 2]), ValueError, "one key a sample"),
    (lambda: Client(SAMPLES, LABELS[:3]), ValueError, "needs X of shape"),
    (lambda: Client(SAMPLES[:0], LABELS[:0]), ValueError, "at least one sample"),
    (lambda: Client(SAMPLES[:2], [2.9, 1]), TypeError, "'client' needs integer labels"),
    (lambda: Client(SAMPLES[:2], [True, False]), TypeError, "got dtype bool"),
    (lambda: Client(np.ma.masked_less(SAMPLES, 9), LABELS), TypeError, "no masked arrays"),
    (lambda: Client(TABLE, SERIES.iloc[::-1]), ValueError, "pairs X and y one by one"),
    (lambda: Client(SAMPLES, LABELS, claims=0), ValueError, "claims >= 1; got claims = 0"),
    (lambda: overclaim([DESK], [1]), ValueError, r"clients 0 .. 0; got \[1\]"),
    (lambda: stack([Client(SAMPLES, LABELS, "E", lambda X, y: (X, y * 0.5))]), TypeError,
     "poison of client 'E' needs integer labels"),
    (lambda: stack([DESK, Client(SAMPLES[:, :1], LABELS)]), ValueError, r"features; got \[1, 2\]"),
    (lambda: NET.loss(np.zeros(5), ROWS, MARKS), ValueError, r"theta \(..., 51\); got \(5,\)"),
    (lambda: NET.loss(THETA + 1j, ROWS, MARKS), TypeError, "real numbers theta"),
    (lambda: NET.loss(THETA, ROWS[..., :3], MARKS), ValueError, r"\(..., m, 4\)"),
    (lambda: NET.loss(THETA, ROWS[:, :0], MARKS[:, :0]), ValueError, "m >= 1"),
    (lambda: NET.loss(THETA, ROWS, MARKS + 1), ValueError, r"labels 0 .. 2; got 1 .. 3"),
    (lambda: NET.loss(THETA, ROWS, MARKS - 0.5), TypeError, "integer labels"),
    (lambda: NET.loss(THETA, ROWS, MARKS[:, :5]), ValueError, r"a label a sample, \(..., 30\)"),
    (lambda: NET.loss(THETA, ROWS, MARKS[:3]), ValueError, r"fit together; got .*\(3,\)"),
    (lambda: NET.loss(THETA, ROWS, MARKS, np.ones(5)), ValueError, "a weight a sample"),
    (lambda: NET.loss(THETA, ROWS, MARKS, np.zeros(30)), ValueError, "some of them > 0"),
    (lambda: NET.loss(THETA, ROWS, MARKS, np.full(30, -1)), ValueError, "weights >= 0"),
    (lambda: NET.loss(THETA, ROWS, MARKS, np.full(30, np.inf)), ValueError, "finite sample"),
    (lambda: NET.predict(THETA, np.ma.masked_less(ROWS, 0)), TypeError, "no masked arrays"),
    (lambda: NET.init(None), TypeError, "pass rng"),
    (lambda: SimpleModel(0), ValueError, "n_features >= 1; got n_features = 0"),
    (lambda: SimpleModel(4, -1), ValueError, "n_hidden >= 0; got n_hidden = -1"),
    (lambda: SimpleModel(4, dtype=np.int64), ValueError, "float32 or float64; got int64"),
    (lambda: SimpleModel(4, activation="gelu"), ValueError, "relu and tanh; got 'gelu'"),
    (lambda: Quadratic(curvature=0), ValueError, "curvature > 0; got 0"),
    (lambda: Quadratic([1, 2], [1, 2, 3]), ValueError, "fit together"),
    (lambda: Quadratic([[1, 2]]), ValueError, r"of shape \(d,\); got \(1, 2\)"),
    (lambda: Quadratic().loss(np.zeros(1), ROWS), ValueError, r"X \(..., m, 1\)"),
    (lambda: training(f=9), ValueError, "0 <= f < n; got f = 9, n = 9"),
    (lambda: training(byzantine=[9]), ValueError, r"clients 0 .. 8; got \[9\]"),
    (lambda: training(byzantine=range(9)), ValueError, "at least one honest client"),
    (lambda: training(learning_rate=0), ValueError, "learning_rate finite and > 0; got"),
    (lambda: training(local_steps=0), ValueError, "local_steps >= 1"),
    (lambda: training(batch_size=0), ValueError, "batch_size >= 1"),
    (lambda: training(momentum=1.0), ValueError, r"momentum in \[0, 1\)"),
    (lambda: training(rule=krum, participation=0.5).run(3, 0), ValueError, "got n = 4, f = 2"),
    (lambda: training(participation=0.2), ValueError, "f < the clients asked in a round; got"),
    (lambda: training(participation=0), ValueError, r"in \(0, 1\]; got participation = 0"),
    (lambda: training(participation=1.5), ValueError, r"participation in \(0, 1\]"),
    (lambda: training(late=1.0), ValueError, r"late in \[0, 1\); got late = 1.0"),
    (lambda: training(late=0.1, delay=0), ValueError, "delay >= 1; got delay = 0"),
    (lambda: training(delay=1.5), TypeError, "integer delay"),
    (lambda: training(weighted=True), ValueError, "takes weights; got trimmed_mean"),
    (lambda: training(clients=[]), ValueError, "needs clients"),
    (lambda: training(clients=[nine_parts(), 3]), TypeError, "list of such"),
    (lambda: training(clients=[1, 2, 3]), TypeError, "list of Client"),
    (lambda: training(clients=[nine_parts(), nine_parts()[:8]]), ValueError, r"got \[8, 9\]"),
    (lambda: training(clients=[nine_parts()] * 2).run(2, seeds=3), ValueError, "3 seeds; got 2"),
    (lambda: training(learning_rate=lambda t: 1 - t).run(2, 1), ValueError, "finite and > 0"),
    (lambda: run(rng=None), TypeError, "pass rng"),
    (lambda: run(seeds=3), ValueError, "either rng or seeds, not both"),
    (lambda: run(rng=None, seeds=0), ValueError, "seeds >= 1; got seeds = 0"),
    (lambda: run(rng=[]), ValueError, "seeds that differ, at least one"),
    (lambda: run(rng=[1, 1]), ValueError, r"differ, at least one; got \[1, 1\]"),
    (lambda: run(rng=[rng, rng]), ValueError, "seeds that differ"),
    (lambda: run(rounds=-1), ValueError, "rounds >= 0"),
    (lambda: run(every=0), ValueError, "every >= 1; got every = 0"),
    (lambda: run(start=np.zeros(3)), ValueError, r"\(45,\) or \(1, 45\)"),
    (lambda: run(start=np.full(45, np.nan)), ValueError, "finite parameters"),
    (lambda: run(evaluate=(X, np.ma.array(y))), TypeError, "no masked arrays"),
    (lambda: run(evaluate=(pd.DataFrame(X), pd.Series(y)[::-1])), ValueError, "pairs X and y"),
    (lambda: run(evaluate=(X, y[:5])), ValueError, "evaluate needs X"),
    (lambda: run(rng=[1, 2], evaluate=(np.stack([X] * 3), np.stack([y] * 3))), ValueError,
     "2 seeds"),
    (lambda: run(success=(0, 1)), ValueError, "success needs two labels"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "sentence"), ILLEGAL)
def test_illegal_use(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_without_flower_one_sentence_says_how_to_install_it():
    code = "import sys; sys.modules['flwr'] = None; import byzlib.federated.flower"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last == (
        "ImportError: byzlib.federated.flower needs Flower 1.41 or newer: "
        'pip install "byzlib[flower]"'
    )


def test_illegal_parts_of_a_run():
    for seeds, shape in [
        (1, r"\(2, 45\); got \(7, 45\)$"),
        ([1, 2], r"\(2, 1, 2, 45\); .*one_by_one"),
    ]:
        with pytest.raises(TypeError, match="one row a liar, of shape " + shape):
            training(attack=lambda honest, f: honest).run(2, seeds)

    class Flat(SimpleModel):
        def gradient(self, theta, X, y, weight=None):
            return theta

    with pytest.raises(ValueError, match="gradient must keep leading axes"):
        training(model=Flat(3, 6)).run(1, 0)
