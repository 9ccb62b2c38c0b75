"""The network: gradients against numerical ones, and many clients in one call."""

import numpy as np
import pytest

from byzlib.federated import Quadratic, SimpleModel

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


def one_sample_at_a_time(model, theta, X, y, weight):
    """Loss and gradient by the chain rule, written out for one sample after the other."""
    p, H, C = model.n_features, model.n_hidden, model.n_classes
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


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_against_one_sample_at_a_time(activation):
    model = SimpleModel(4, 6, 3, activation)
    theta = np.stack([model.init(seed) for seed in range(3)])
    theta += 0.1 * rng.standard_normal(theta.shape)
    weight = rng.integers(0, 3, (10, 30)).astype(float)
    loss = model.loss(theta[:, None], X, y, weight)
    gradient = model.gradient(theta[:, None], X, y, weight)
    for s in range(3):
        for i in range(10):
            slow = one_sample_at_a_time(model, theta[s], X[i], y[i], weight[i])
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


def test_inputs_stay_as_they_are():
    model = SimpleModel(4, 6, 3)
    theta, given = model.init(1), X.copy()
    kept = theta.copy()
    for call in (model.gradient, model.loss):
        call(theta, given, y)
    model.predict_proba(theta, given)
    np.testing.assert_array_equal(theta, kept)
    np.testing.assert_array_equal(given, X)


def test_float32_stays_float32():
    model = SimpleModel(4, 6, 3, dtype=np.float32)
    theta, small = model.init(1), X.astype(np.float32)
    assert theta.dtype == model.gradient(theta, small, y).dtype == np.float32
    assert model.loss(theta, small, y).dtype == model.predict_proba(theta, small).dtype
    double = SimpleModel(4, 6, 3).gradient(theta.astype(float), X, y)
    np.testing.assert_allclose(model.gradient(theta, small, y), double, atol=1e-6)
    weight = np.ones((10, 30))
    assert model.gradient(theta, small, y, weight).dtype == np.float32


def test_without_hidden_units_the_loss_is_convex():
    """Logistic regression: any chord lies above the loss."""
    model = SimpleModel(4, 0, 3)
    assert model.n_parameters == 5 * 3 == len(model.init(1))
    for _ in range(50):
        a, b = 3 * rng.standard_normal((2, model.n_parameters))
        share = rng.random()
        chord = share * model.loss(a, X[0], y[0]) + (1 - share) * model.loss(b, X[0], y[0])
        assert model.loss(share * a + (1 - share) * b, X[0], y[0]) <= chord + 1e-12


def test_a_quadratic_by_hand():
    """Samples 1 and 3, theta 5: mean of 16/2 and 4/2 is 5, slope 5 - 2."""
    model = Quadratic()
    samples = np.array([[1.0], [3.0]])
    assert model.loss(np.array([5.0]), samples) == 5
    assert model.gradient(np.array([5.0]), samples) == [3]
    assert model.gradient(np.array([5.0]), samples, weight=[0, 2]) == [2]
    steep = Quadratic([1.0, 2.0], curvature=[1.0, 10.0])
    assert steep.init().tolist() == [1, 2] and steep.n_parameters == 2
    theta, points = rng.standard_normal(2), rng.standard_normal((4, 5, 2))
    slopes = steep.gradient(theta, points)
    assert slopes.shape == (4, 2) and steep.loss(theta, points).shape == (4,)
    for i in range(4):
        np.testing.assert_allclose(
            slopes[i], numerical_gradient(steep, theta, points[i], None), atol=1e-6
        )
    assert Quadratic(curvature=[1, 1, 2]).init().tolist() == [0, 0, 0]


@pytest.mark.parametrize(("n_hidden", "activation"), [(5, "relu"), (5, "tanh"), (0, "relu")])
def test_gradient_is_the_slope_of_the_loss(n_hidden, activation):
    model = SimpleModel(4, n_hidden, 3, activation)
    theta = model.init(1) + 0.1 * rng.standard_normal(model.n_parameters)
    for weight in (None, rng.uniform(0, 2, 30)):
        np.testing.assert_allclose(
            model.gradient(theta, X[0], y[0], weight),
            numerical_gradient(model, theta, X[0], y[0], weight),
            atol=1e-8,
        )


def test_only_the_shares_of_weights_count():
    """Padding has none; equal weights are none at all, though their sum is past any float."""
    model = SimpleModel(4, 6, 3)
    theta, padding = model.init(3), np.r_[np.ones(20), np.zeros(10)]
    for weight, m in [(padding, 20), (1e308 * padding, 20), (np.full(30, 1e308), 30)]:
        for call in (model.gradient, model.loss):
            np.testing.assert_allclose(
                call(theta, X[0], y[0], weight), call(theta, X[0, :m], y[0, :m]), atol=1e-15
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
        (lambda m: m.loss(m.init(1), X, y[:, :5]), ValueError, r"a label a sample, \(..., 30\)"),
        (lambda m: m.loss(m.init(1), X, y, np.ones(5)), ValueError, "a weight a sample"),
        (lambda m: m.loss(m.init(1), X, y, np.zeros(30)), ValueError, "some of them > 0"),
        (lambda m: m.loss(m.init(1), X, y, np.full(30, -1)), ValueError, "weights >= 0"),
        (lambda m: m.loss(m.init(1), X, y, np.full(30, np.inf)), ValueError, "finite sample"),
        (lambda m: m.loss(m.init(1), X, y[:3]), ValueError, r"fit together; got .*\(10,\), \(3,\)"),
        (lambda m: m.loss(m.init(1) + 1j, X, y), TypeError, "real numbers theta"),
        (lambda m: m.predict(m.init(1), np.ma.masked_less(X, 0)), TypeError, "no masked arrays"),
        (lambda m: SimpleModel(4, -1), ValueError, "n_hidden >= 0; got n_hidden = -1"),
        (lambda m: SimpleModel(4, dtype=np.int64), ValueError, "float32 or float64; got int64"),
        (lambda m: Quadratic(curvature=0), ValueError, "curvature > 0; got 0"),
        (lambda m: Quadratic([1, 2], [1, 2, 3]), ValueError, "fit together"),
        (lambda m: Quadratic([[1, 2]]), ValueError, r"of shape \(d,\); got \(1, 2\)"),
        (lambda m: Quadratic().loss(np.zeros(1), X), ValueError, r"X \(..., m, 1\)"),
        (lambda m: m.init(None), TypeError, "pass rng"),
        (lambda m: SimpleModel(0), ValueError, "n_features >= 1; got n_features = 0"),
        (lambda m: SimpleModel(4, 2.5), TypeError, "integer n_hidden"),
        (lambda m: SimpleModel(4, activation="gelu"), ValueError, "relu and tanh; got 'gelu'"),
    ],
)
def test_illegal_use(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call(SimpleModel(4, 6, 3))
