"""The training loop against arithmetic that can be done by hand, and against its own promises."""

import numpy as np
import pytest

from byzlib.aggregators import krum, mean, median, trimmed_mean
from byzlib.attacks import gaussian_noise, label_flip, sign_flip
from byzlib.clients import Client, split_iid
from byzlib.federated import ByzantineFL
from byzlib.model import SimpleModel


class Quadratic:
    """One parameter; client i's loss is (theta - c_i)^2 / 2, so its gradient is theta - c_i."""

    n_parameters = 1

    def __init__(self, start=10.0):
        self.start = start

    def init(self, rng):
        return np.array([self.start])

    def gradient(self, theta, X, y, weight=None):
        centre = X[..., 0] if weight is None else np.where(weight > 0, X[..., 0], np.nan)
        return theta - np.nanmean(centre, axis=-1, keepdims=True)


def desks(*centres):
    return [Client(np.array([[c]]), np.array([0]), f"desk {c}") for c in centres]


def train(rule, attack=None, rounds=60, centres=(0, 1, 2, 7), liars=1, **settings):
    """The honest centres 0, 1, 2, 7 and one liar: the worked example of the convergence theory."""
    clients = desks(*centres, *([0] * liars))
    settings = {"learning_rate": 0.5} | settings
    fl = ByzantineFL(Quadratic(), clients, rule, liars, attack, **settings)
    return fl.run(rounds, rng=0)


def big(sign):
    return lambda honest, f, rng: np.full((f, honest.shape[-1]), sign * 1e6)


def test_without_liars_it_is_gradient_descent():
    theta = train(mean, liars=0).theta
    np.testing.assert_allclose(theta, 2.5)


@pytest.mark.parametrize(
    ("rule", "sign", "limit"),
    [
        (trimmed_mean, +1, 1.0),  # mean of the three smallest centres
        (trimmed_mean, -1, 10 / 3),  # mean of the three largest
        (median, +1, 1.0),
        (median, -1, 2.0),
        (krum, +1, 1.0),
        (krum, -1, 1.0),
    ],
)
def test_limits_under_a_gross_lie(rule, sign, limit):
    np.testing.assert_allclose(train(rule, big(sign)).theta, limit, atol=1e-12)


def test_iterates_of_the_trimmed_mean_are_geometric():
    """theta_t = 1 + (1 - eta)^t (theta_0 - 1): after five rounds from 10, 1.28125."""
    np.testing.assert_allclose(train(trimmed_mean, big(1), rounds=5).theta, 1.28125)


def test_sign_flip_slows_the_mean_without_bias():
    """rho = (h - c f) / n = 0.6: theta_5 = 2.5 + (1 - 0.5 * 0.6)^5 * 7.5."""
    run = train(mean, sign_flip, rounds=5)
    np.testing.assert_allclose(run.theta, 2.5 + 0.7**5 * 7.5)
    np.testing.assert_allclose(train(mean, sign_flip, rounds=200).theta, 2.5)


def test_a_loud_sign_flip_drives_the_mean_away():
    def loud(honest, f, rng):
        return sign_flip(honest, f, scale=10)

    run = train(mean, loud, rounds=20)
    np.testing.assert_allclose(run.theta - 2.5, 7.5 * (1 + 0.5 * 1.2) ** 20)


def test_a_diverged_run_says_so():
    def shout(honest, f, rng):
        return np.full((f, honest.shape[-1]), 1e308)

    run = train(mean, shout, rounds=50, learning_rate=100.0)
    assert run.diverged_at is not None and run.diverged_at <= 3
    assert not np.isfinite(run.theta).all()
    assert np.isnan(run.final("distance to honest mean"))
    assert (run.table["round"] < run.diverged_at).all()
    healthy = train(median, shout, rounds=50)
    assert healthy.diverged_at is None and np.isfinite(healthy.theta).all()


def test_non_finite_lies_break_the_mean_only():
    def broken(honest, f, rng):
        return np.full((f, honest.shape[-1]), np.nan)

    assert train(mean, broken).diverged_at == 1
    assert train(median, broken).diverged_at is None
    np.testing.assert_allclose(train(trimmed_mean, broken).theta, 2.5)


def test_history():
    fl = ByzantineFL(Quadratic(), desks(0, 1, 2, 7, 0), krum, 1, big(1), learning_rate=0.5)
    run = fl.run(12, rng=0, evaluate=lambda theta: {"theta": theta[0]}, every=5)
    assert run.curve("theta").index.tolist() == [5, 10, 12]
    assert len(run.curve("distance to honest mean")) == 12
    assert list(run.table.columns) == ["round", "metric", "value"]
    assert run.final("theta") == run.theta[0]
    assert run.trust.shape == (12, 5) and (run.trust.sum(axis=1) == 1).all()
    assert (run.trust[:, 4] == 0).all()  # the liar is never chosen
    with pytest.raises(KeyError, match="no metric 'loss'; there are"):
        run.curve("loss")


def test_a_rule_that_reports_no_weights():
    run = train(lambda updates: updates.mean(axis=-2), liars=0)
    np.testing.assert_allclose(run.theta, 2.5)
    assert np.isnan(run.trust).all()


def test_who_lies_is_by_default_the_last_f():
    clients = desks(0, 1, 2, 7, 0)
    default = ByzantineFL(Quadratic(), clients, krum, 1, big(1), learning_rate=0.5)
    assert default.byzantine.tolist() == [4]
    # The server expects one, nobody lies:
    honest = ByzantineFL(Quadratic(), clients, krum, 1, big(1), byzantine=[], learning_rate=0.5)
    assert (honest.run(3, 0).curve("distance to honest mean") < 10).all()


def test_local_steps_are_federated_averaging():
    """Two local steps with rate 0.5 contract each client to its centre by 0.25 in one round."""
    run = train(mean, liars=0, rounds=1, local_steps=2)
    np.testing.assert_allclose(run.theta, 2.5 + 0.25 * 7.5)


def test_momentum_by_hand():
    """m_1 = 0.1 g_1 and theta_1 = 10 - 0.5 * 0.1 * 7.5."""
    run = train(mean, liars=0, rounds=1, momentum=0.9)
    np.testing.assert_allclose(run.theta, 10 - 0.05 * 7.5)
    np.testing.assert_allclose(train(mean, liars=0, rounds=400, momentum=0.9).theta, 2.5)


def test_partial_participation_asks_some():
    run = train(mean, liars=0, centres=range(10), rounds=50, participation=0.3)
    asked = np.isfinite(run.trust)
    assert (asked.sum(axis=1) == 3).all()
    assert (asked.sum(axis=0) > 0).all()


rng = np.random.default_rng(29)
X = rng.standard_normal((400, 3))
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def network(rule, attack=None, clients=None, **settings):
    clients = split_iid(X, y, 8, 1) if clients is None else clients
    settings = {"learning_rate": 0.5, "f": 2} | settings
    return ByzantineFL(SimpleModel(3, 8), clients, rule, attack=attack, **settings)


def test_a_real_network_learns_and_reports():
    run = network(median, sign_flip).run(150, rng=3, evaluate=(X, y), every=50)
    assert set(run.table["metric"]) == {
        "distance to honest mean",
        "loss",
        "accuracy",
        "balanced accuracy",
    }
    assert run.final("accuracy") > 0.85
    assert run.curve("loss").is_monotonic_decreasing


def test_a_run_is_a_function_of_its_seed():
    fl = network(krum, lambda h, f, rng: gaussian_noise(h, f, rng, scale=5), batch_size=16)
    one, same, other = fl.run(20, rng=4), fl.run(20, rng=np.random.default_rng(4)), fl.run(20, 5)
    np.testing.assert_array_equal(one.theta, same.theta)
    np.testing.assert_array_equal(one.trust, same.trust)
    assert not np.array_equal(one.theta, other.theta)


def test_clients_of_unequal_size_and_poisoned_data():
    parts = split_iid(X, y, 8, 1)
    clients = [Client(c.X[: 10 + 5 * i], c.y[: 10 + 5 * i]) for i, c in enumerate(parts)]
    model = SimpleModel(3, 8)
    theta = model.init(6)
    clients[7] = Client(clients[7].X, clients[7].y, poison=lambda X, y: (X, label_flip(y)))
    fl = network(mean, clients=clients, f=1)
    expected = np.mean([model.gradient(theta, *c.training_data) for c in clients], axis=0)
    run = fl.run(1, rng=6)
    np.testing.assert_allclose(run.theta, theta - 0.5 * expected)


def test_batches_come_from_the_clients_own_samples():
    seen = []

    class Spy(Quadratic):
        def gradient(self, theta, X, y, weight=None):
            seen.append(X[..., 0])
            return super().gradient(theta, X, y, weight)

    clients = [Client(np.full((m, 1), m), np.zeros(m, int)) for m in (2, 5, 9)]
    ByzantineFL(Spy(), clients, mean, 0, learning_rate=0.1, batch_size=4).run(30, 1)
    for batch in seen:
        assert batch.shape == (3, 4)
        np.testing.assert_array_equal(batch, np.repeat([[2], [5], [9]], 4, axis=1))


@pytest.mark.parametrize(
    ("settings", "error", "sentence"),
    [
        ({"f": 8}, ValueError, "0 <= f < n; got f = 8, n = 8"),
        ({"f": 1.0}, TypeError, "integer f"),
        ({"byzantine": [8]}, ValueError, r"clients 0 .. 7; got \[8\]"),
        ({"byzantine": range(8)}, ValueError, "at least one honest client"),
        ({"learning_rate": 0}, ValueError, "learning_rate > 0"),
        ({"local_steps": 0}, ValueError, "local_steps >= 1"),
        ({"batch_size": 0}, ValueError, "batch_size >= 1"),
        ({"momentum": 1.0}, ValueError, "0 <= momentum < 1"),
        ({"participation": 0.0}, ValueError, "0 < participation <= 1"),
    ],
)
def test_illegal_settings(settings, error, sentence):
    with pytest.raises(error, match=sentence):
        network(mean, **settings)
