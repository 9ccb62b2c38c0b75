"""The network: gradients against numerical ones, and many clients in one call."""

import numpy as np
import pytest

from byzlib.model import SimpleModel

rng = np.random.default_rng(11)
X = rng.standard_normal((10, 30, 4))
y = rng.integers(0, 3, (10, 30))


def numerical_gradient(model, theta, X, y, weight=None, step=1e-6):
    gradient = np.empty_like(theta)
    for j in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[j] += step
        down[j] -= step
        rise = model.loss(up, X, y, weight) - model.loss(down, X, y, weight)
        gradient[j] = rise / (2 * step)
    return gradient


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradient_is_the_slope_of_the_loss(activation):
    model = SimpleModel(4, 5, 3, activation)
    theta = model.init(1) + 0.1 * rng.standard_normal(model.n_parameters)
    np.testing.assert_allclose(
        model.gradient(theta, X[0], y[0]),
        numerical_gradient(model, theta, X[0], y[0]),
        atol=1e-8,
    )
    weight = rng.uniform(0, 2, 30)
    np.testing.assert_allclose(
        model.gradient(theta, X[0], y[0], weight),
        numerical_gradient(model, theta, X[0], y[0], weight),
        atol=1e-8,
    )


def test_ten_clients_are_one_call():
    model = SimpleModel(4, 6, 3)
    theta = model.init(2)
    together = model.gradient(theta, X, y)
    assert together.shape == (10, model.n_parameters)
    for i in range(10):
        np.testing.assert_allclose(together[i], model.gradient(theta, X[i], y[i]), atol=1e-15)
    own = theta + 0.1 * rng.standard_normal((10, model.n_parameters))
    together = model.gradient(own, X, y)
    for i in range(10):
        np.testing.assert_allclose(together[i], model.gradient(own[i], X[i], y[i]), atol=1e-15)
    assert model.loss(own, X, y).shape == (10,)
    assert model.predict(own, X).shape == (10, 30)


def test_seeds_times_clients_are_one_call():
    model = SimpleModel(4, 6, 3)
    theta = np.stack([model.init(seed) for seed in range(5)])[:, None]
    together = model.gradient(theta, X, y)
    assert together.shape == (5, 10, model.n_parameters)
    np.testing.assert_allclose(together[3, 7], model.gradient(theta[3, 0], X[7], y[7]), atol=1e-15)


def test_padding_has_no_weight():
    model = SimpleModel(4, 6, 3)
    theta = model.init(3)
    weight = np.r_[np.ones(20), np.zeros(10)]
    np.testing.assert_allclose(
        model.gradient(theta, X[0], y[0], weight), model.gradient(theta, X[0, :20], y[0, :20])
    )
    assert np.isclose(
        model.loss(theta, X[0], y[0], weight), model.loss(theta, X[0, :20], y[0, :20])
    )


def test_probabilities():
    model = SimpleModel(4, 6, 3)
    theta = 1000 * model.init(4)  # scores far beyond exp's range
    p = model.predict_proba(theta, X)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    assert (model.predict(theta, X) == p.argmax(axis=-1)).all()
    assert np.isfinite(model.loss(theta, X, y)).all()
    zero = np.zeros(model.n_parameters)
    assert np.allclose(model.loss(zero, X, y), np.log(3))


def test_it_learns():
    model = SimpleModel(2, 8, 3)
    points = rng.standard_normal((300, 2))
    labels = (points[:, 0] > 0).astype(int) + (points[:, 1] > 0)
    theta = model.init(5)
    for _ in range(300):
        theta = theta - 0.5 * model.gradient(theta, points, labels)
    assert (model.predict(theta, points) == labels).mean() > 0.95


def test_init_is_a_function_of_the_seed():
    model = SimpleModel(4, 6, 3)
    np.testing.assert_array_equal(model.init(6), model.init(np.random.default_rng(6)))
    assert not np.array_equal(model.init(6), model.init(7))
    assert model.n_parameters == 4 * 6 + 6 + 6 * 3 + 3 == len(model.init(6))
    assert "51 parameters" in repr(model)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda m: m.loss(np.zeros(5), X, y), ValueError, r"needs theta \(..., 51\); got \(5,\)"),
        (lambda m: m.loss(m.init(1), X[..., :3], y), ValueError, r"\(..., m, 4\)"),
        (lambda m: m.loss(m.init(1), X[:, :0], y[:, :0]), ValueError, "m >= 1"),
        (lambda m: m.loss(m.init(1), X, y + 1), ValueError, r"labels 0 .. 2; got 1 .. 3"),
        (lambda m: m.loss(m.init(1), X, y - 0.5), TypeError, "integer labels"),
        (lambda m: m.init(None), TypeError, "pass rng"),
        (lambda m: SimpleModel(0), ValueError, "n_features >= 1; got 0"),
        (lambda m: SimpleModel(4, 2.5), TypeError, "integer n_hidden"),
        (lambda m: SimpleModel(4, activation="gelu"), ValueError, "relu and tanh; got 'gelu'"),
    ],
)
def test_illegal_use(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(SimpleModel(4, 6, 3))
