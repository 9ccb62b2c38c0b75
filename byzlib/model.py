"""A small network whose parameters are one flat vector, so that a client can send them as one."""

import numpy as np
from scipy.special import log_softmax, softmax

from byzlib._contract import as_count, as_generator


class SimpleModel:
    """Two layers: features -> hidden units -> class probabilities.

    p(x) = softmax(phi(x W1 + b1) W2 + b2), with phi = relu or tanh.

    The model holds sizes only; parameters are data, one vector theta = (W1, b1, W2, b2) of length
    d = n_parameters. Every method takes theta of shape (..., d) and samples X (..., m, p), y
    (..., m); leading axes broadcast. Ten clients are one call with X of shape (10, m, p).

    Parameters
    ----------
    n_features, n_hidden, n_classes : int
    activation : {"relu", "tanh"}
    """

    def __init__(self, n_features, n_hidden=16, n_classes=3, activation="relu"):
        sizes = {"n_features": n_features, "n_hidden": n_hidden, "n_classes": n_classes}
        for name, size in sizes.items():
            if as_count(size, name, "SimpleModel") < 1:
                raise ValueError(f"SimpleModel needs {name} >= 1; got {size}")
        if activation not in ("relu", "tanh"):
            raise ValueError(f"SimpleModel knows relu and tanh; got {activation!r}")
        self.n_features, self.n_hidden, self.n_classes = n_features, n_hidden, n_classes
        self.activation = activation
        self._shapes = [(n_features, n_hidden), (n_hidden,), (n_hidden, n_classes), (n_classes,)]
        self._ends = np.cumsum([np.prod(shape) for shape in self._shapes])
        self.n_parameters = int(self._ends[-1])

    def __repr__(self):
        return (
            f"SimpleModel({self.n_features}, {self.n_hidden}, {self.n_classes}, "
            f"{self.activation!r}): {self.n_parameters} parameters"
        )

    def init(self, rng):
        """Random weights and zero biases: (d,) float64; He's scale for relu, Glorot's for tanh."""
        rng = as_generator(rng, "SimpleModel.init")
        gain = 2.0 if self.activation == "relu" else 1.0
        theta = np.zeros(self.n_parameters)
        W1, _, W2, _ = self._split(theta)
        W1[:] = rng.standard_normal(W1.shape) * np.sqrt(gain / self.n_features)
        W2[:] = rng.standard_normal(W2.shape) * np.sqrt(1.0 / self.n_hidden)
        return theta

    def predict_proba(self, theta, X):
        """Class probabilities, (..., m, n_classes)."""
        return softmax(self._forward(theta, self._samples(X))[1], axis=-1)

    def predict(self, theta, X):
        """Most probable class, (..., m) integers."""
        return self._forward(theta, self._samples(X))[1].argmax(axis=-1)

    def loss(self, theta, X, y, weight=None):
        """Mean cross-entropy in nats, (...,): L = -sum_i w_i log p_{y_i}(x_i) / sum_i w_i.

        `weight` (..., m) counts samples, zero for padding; all count once by default.
        """
        X, y = self._samples(X), self._classes(y)
        log_p = log_softmax(self._forward(theta, X)[1], axis=-1)
        chosen = np.take_along_axis(log_p, np.broadcast_to(y, log_p.shape[:-1])[..., None], -1)
        return -(chosen[..., 0] * self._share(weight, y)).sum(axis=-1)

    def gradient(self, theta, X, y, weight=None):
        """Gradient of `loss` with respect to theta, (..., d), by back-propagation."""
        X, y = self._samples(X), self._classes(y)
        hidden, scores = self._forward(theta, X)
        _, _, W2, _ = self._split(np.asarray(theta))
        error = softmax(scores, axis=-1) - np.eye(self.n_classes, dtype=scores.dtype)[y]
        error *= self._share(weight, y)[..., None]
        back = error @ W2.swapaxes(-1, -2)
        back = back * (hidden > 0) if self.activation == "relu" else back * (1 - hidden**2)
        parts = [
            X.swapaxes(-1, -2) @ back,
            back.sum(axis=-2),
            hidden.swapaxes(-1, -2) @ error,
            error.sum(axis=-2),
        ]
        lead = error.shape[:-2]
        flat = [
            part.reshape(*lead, int(np.prod(shape)))
            for part, shape in zip(parts, self._shapes, strict=True)
        ]
        return np.concatenate(flat, axis=-1)

    def _forward(self, theta, X):
        """Hidden activations (..., m, H) and class scores (..., m, C)."""
        W1, b1, W2, b2 = self._split(np.asarray(theta))
        inner = X @ W1 + b1[..., None, :]
        hidden = np.maximum(inner, 0) if self.activation == "relu" else np.tanh(inner)
        return hidden, hidden @ W2 + b2[..., None, :]

    def _split(self, theta):
        """theta (..., d) as views W1 (..., p, H), b1 (..., H), W2 (..., H, C), b2 (..., C)."""
        if theta.shape[-1:] != (self.n_parameters,):
            raise ValueError(f"{self!r} needs theta (..., {self.n_parameters}); got {theta.shape}")
        parts = np.split(theta, self._ends[:-1], axis=-1)
        return [
            part.reshape(*theta.shape[:-1], *shape)
            for part, shape in zip(parts, self._shapes, strict=True)
        ]

    def _samples(self, X):
        X = np.asarray(X)
        if X.ndim < 2 or X.shape[-1] != self.n_features or X.shape[-2] == 0:
            raise ValueError(
                f"SimpleModel needs X of shape (..., m, {self.n_features}), m >= 1; got {X.shape}"
            )
        return X

    def _classes(self, y):
        y = np.asarray(y)
        if y.dtype.kind not in "iu":
            raise TypeError(f"SimpleModel needs integer labels; got dtype {y.dtype}")
        if y.size and not (0 <= y.min() and y.max() < self.n_classes):
            raise ValueError(
                f"SimpleModel needs labels 0 .. {self.n_classes - 1}; got {y.min()} .. {y.max()}"
            )
        return y

    @staticmethod
    def _share(weight, y):
        """Sample weights as shares that sum to 1 over each client's samples."""
        weight = np.ones(y.shape) if weight is None else np.asarray(weight, dtype=float)
        return weight / weight.sum(axis=-1, keepdims=True)
