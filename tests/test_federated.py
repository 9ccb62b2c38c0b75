"""The training loop against arithmetic that can be done by hand, and against its own promises."""

import numpy as np
import pytest

from byzlib.aggregators import krum, mean, median, trimmed_mean
from byzlib.attacks import gaussian_noise, label_flip, sign_flip
from byzlib.federated import ByzantineFL, Client, SimpleModel, split_iid
from byzlib.metrics import majority_share


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


def test_everybody_is_asked_equally_often():
    """Each of 10 clients is asked in a share 0.3 of 1000 rounds, in pairs as chance has it."""
    run = train(mean, liars=0, centres=range(10), rounds=1000, participation=0.3, learning_rate=0.1)
    asked = np.isfinite(run.trust)
    se = np.sqrt(0.3 * 0.7 / 1000)
    assert (np.abs(asked.mean(axis=0) - 0.3) < 4 * se).all()
    together = (asked[:, :, None] & asked[:, None, :]).mean(axis=0)[np.triu_indices(10, 1)]
    share = 3 / 10 * 2 / 9
    assert (np.abs(together - share) < 4.5 * np.sqrt(share * (1 - share) / 1000)).all()


def test_a_round_in_which_only_liars_are_asked():
    """Nobody honest to copy: they answer from their own data, and no distance is reported."""
    run = train(mean, big(1), centres=(0,), rounds=40, participation=0.5)
    lonely = np.isfinite(run.trust[:, 1])
    assert 0 < lonely.sum() < 40
    assert len(run.curve("distance to honest mean")) == 40 - lonely.sum()


def test_late_clients_answer_to_an_older_model():
    """Round by round with plain numbers; those later than the beginning answer to the first."""
    centres, delays, eta = np.array([0.0, 1, 2, 7, 0]), np.array([0, 1, 3, 0, 10]), 0.3
    path = [10.0]
    for t in range(8):
        seen = np.array([path[max(0, t - delay)] for delay in delays])
        path.append(path[-1] - eta * np.mean(seen - centres))
    for t in range(1, 9):
        run = train(mean, liars=0, centres=centres, rounds=t, delay=delays, learning_rate=eta)
        np.testing.assert_allclose(run.theta, path[t], rtol=1e-13)


def test_late_clients_can_make_a_stable_step_size_unstable():
    """theta_{t+1} = theta_t - eta theta_{t-1} converges for eta < 1 only, on time for eta < 2."""
    on_time = train(mean, liars=0, centres=(0,), rounds=60, learning_rate=1.2)
    late = train(mean, liars=0, centres=(0,), rounds=60, learning_rate=1.2, delay=1)
    assert abs(on_time.theta[0]) < 1e-12 < 1e2 < abs(late.theta[0])


def slow_training(clients, rounds, rate, steps, beta, seed):
    """FedAvg with momentum by loops over clients and steps; theta by round."""
    model = SimpleModel(3, 8)
    path = [model.init(seed)]
    momentum = [np.zeros(model.n_parameters) for _ in clients]
    for _ in range(rounds):
        for i, client in enumerate(clients):
            local = path[-1]
            for _ in range(steps):
                local = local - rate * model.gradient(local, client.X, client.y)
            delta = local - path[-1]  # of the model, downhill: the other sign of an update
            momentum[i] = beta * momentum[i] + (1 - beta) * -delta / rate
        path.append(path[-1] - rate * np.mean(momentum, axis=0))
    return path


@pytest.mark.parametrize(("steps", "beta"), [(1, 0.0), (1, 0.9), (4, 0.0), (3, 0.6)])
def test_against_loops(steps, beta):
    parts = [
        Client(c.X[: 9 + 4 * i], c.y[: 9 + 4 * i]) for i, c in enumerate(split_iid(X, y, 8, 1))
    ]
    path = slow_training(parts, 6, 0.4, steps, beta, seed=5)
    settings = {"clients": parts, "f": 0, "learning_rate": 0.4}
    fl = network(mean, local_steps=steps, momentum=beta, **settings)
    for t in (1, 2, 6):
        np.testing.assert_allclose(fl.run(t, 5).theta, path[t], rtol=0, atol=1e-13)


def test_fedavg_averages_the_local_models():
    """The step that the mean of the answers makes ends at the mean of the local models."""
    parts = split_iid(X, y, 8, 1)
    model, rate = SimpleModel(3, 8), 0.4
    theta = model.init(5)
    local = np.repeat(theta[None], 8, axis=0)
    for _ in range(5):
        steps = [model.gradient(w, c.X, c.y) for w, c in zip(local, parts, strict=True)]
        local = local - rate * np.array(steps)
    run = network(mean, clients=parts, f=0, learning_rate=rate, local_steps=5).run(1, 5)
    np.testing.assert_allclose(run.theta, local.mean(axis=0), atol=1e-14)


def test_going_on_from_where_a_run_ended():
    fl = network(median, sign_flip)
    whole, half = fl.run(10, 3), fl.run(5, 3)
    np.testing.assert_array_equal(fl.run(5, 3, start=half.theta).theta, whole.theta)
    stacked = fl.run(5, seeds=2, start=half.theta)
    np.testing.assert_allclose(stacked.theta, [whole.theta] * 2, atol=1e-13)


def test_success_of_a_targeted_attack():
    """Every liar trains on Down called Up, and shouts; the share of Down taken for Up rises."""
    parts = split_iid(X, y, 8, 1)
    liars = [Client(c.X, c.y, poison=lambda X, y: (X, label_flip(y, {0: 2}))) for c in parts[6:]]

    def shout(honest, f, rng, own):
        return 10 * own

    shout.needs_own = True
    fooled = network(mean, shout, clients=parts[:6] + liars)
    clean = network(mean, clients=parts, f=0)
    test = {"rng": 3, "evaluate": (X, y), "every": 100, "success": (0, 2)}
    assert fooled.run(100, **test).final("attack success") > 0.9
    assert clean.run(100, **test).final("attack success") < 0.1


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
        "majority share",
    }
    assert run.final("majority share") == majority_share(y) < 0.55
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
        assert batch.shape == (1, 3, 4)
        np.testing.assert_array_equal(batch[0], np.repeat([[2], [5], [9]], 4, axis=1))


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
