"""Models whose parameters are one flat vector, so that a client can send them as one.

Whatever has `init(rng)`, `loss(theta, X, y, weight)` and `gradient(theta, X, y, weight)` can be
trained by `ByzantineFL`; with `predict(theta, X)` its accuracy is reported too. Leading axes are
independent trials everywhere: parameters (..., d) meet samples X (..., m, p), y (..., m).
"""

import math

import numpy as np

from byzlib.theory import as_count, as_generator, as_labels, refuse_masked

BLOCK_BYTES = 1 << 19  # of hidden activations at a time, so that they stay in the cache


class SimpleModel:
    """Two layers: features -> hidden units -> class probabilities.

    p(x) = softmax(phi(x W1 + b1) W2 + b2), with phi = relu or tanh. Without hidden units it is
    multinomial logistic regression, p(x) = softmax(x W + b), whose loss is convex in theta.

    The model holds sizes only; parameters are data, one vector theta = (W1, b1, W2, b2) of length
    d = n_parameters. Every method takes theta of shape (..., d) and samples X (..., m, p), y
    (..., m); leading axes broadcast. Ten clients are one call with X of shape (10, m, p), ten seeds
    of ten clients one call with theta of shape (10, 1, d).

    Parameters
    ----------
    n_features, n_hidden, n_classes : int
        n_hidden = 0 leaves the hidden layer out.
    activation : {"relu", "tanh"}
    dtype : {float64, float32}
        Floating type of `init`. Results have the wider of the types of theta and X.
    """

    def __init__(self, n_features, n_hidden=16, n_classes=3, activation="relu", dtype=np.float64):
        as_count(n_features, "n_features", "SimpleModel", least=1)
        as_count(n_hidden, "n_hidden", "SimpleModel", least=0)
        as_count(n_classes, "n_classes", "SimpleModel", least=1)
        if activation not in ("relu", "tanh"):
            raise ValueError(f"SimpleModel knows relu and tanh; got {activation!r}")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"SimpleModel needs dtype float32 or float64; got {np.dtype(dtype)}")
        self.n_features, self.n_hidden, self.n_classes = n_features, n_hidden, n_classes
        self.activation, self.dtype = activation, np.dtype(dtype)
        # A layer is its weights and, below them, its biases: one matrix.
        widths = [n_features, n_hidden, n_classes] if n_hidden else [n_features, n_classes]
        self._layers = [(a + 1, b) for a, b in zip(widths, widths[1:], strict=False)]
        self.n_parameters = sum(a * b for a, b in self._layers)

    def __repr__(self):
        return (
            f"SimpleModel({self.n_features}, {self.n_hidden}, {self.n_classes}, "
            f"{self.activation!r}): {self.n_parameters} parameters"
        )

    def init(self, rng):
        """Random weights and zero biases: (d,); He's scale for relu, Glorot's for tanh."""
        rng = as_generator(rng, "SimpleModel.init")
        theta = np.zeros(self.n_parameters)
        for k, layer in enumerate(self._split(theta)):
            fan_in = len(layer) - 1
            gain = 2.0 if k == 0 and self.n_hidden and self.activation == "relu" else 1.0
            layer[:-1] = rng.standard_normal(layer[:-1].shape) * np.sqrt(gain / fan_in)
        return theta.astype(self.dtype, copy=False)

    def predict_proba(self, theta, X):
        """Class probabilities, (..., m, n_classes)."""

        def probabilities(theta, X):
            return _softmax(self._forward(theta, X)[-1]).swapaxes(-1, -2)

        return self._in_blocks(probabilities, theta, X)

    def predict(self, theta, X):
        """Most probable class, (..., m) integers."""
        return self._in_blocks(lambda *block: self._forward(*block)[-1].argmax(axis=-2), theta, X)

    def loss(self, theta, X, y, weight=None):
        """Mean cross-entropy in nats, (...,): L = -sum_i w_i log p_{y_i}(x_i) / sum_i w_i.

        `weight` (..., m) counts samples, zero for padding; all count once by default.
        """

        def mean_surprise(theta, X, y, share):
            scores = self._forward(theta, X)[-1]
            scores -= scores.max(axis=-2, keepdims=True)
            of_label = np.take_along_axis(scores, y[..., None, :], axis=-2)[..., 0, :]
            surprise = np.log(np.exp(scores).sum(axis=-2)) - of_label
            return (surprise * share).sum(axis=-1)

        return self._in_blocks(mean_surprise, theta, X, y, weight)

    def gradient(self, theta, X, y, weight=None):
        """Gradient of `loss` with respect to theta, (..., d), by back-propagation."""
        classes = np.arange(self.n_classes)[:, None]

        def back_propagated(theta, X, y, share):
            *inputs, scores = self._forward(theta, X)
            error = _softmax(scores)
            error -= y[..., None, :] == classes
            error *= share[..., None, :]
            slopes = [inputs[-1] @ error.swapaxes(-1, -2)]
            if self.n_hidden:
                hidden = inputs[-1][..., :-1, :]
                error = self._split(theta)[-1][..., :-1, :] @ error
                error *= hidden > 0 if self.activation == "relu" else 1 - hidden**2
                slopes.insert(0, inputs[0] @ error.swapaxes(-1, -2))
            flat = [slope.reshape(*slope.shape[:-2], -1) for slope in slopes]
            return np.concatenate(flat, axis=-1)

        return self._in_blocks(back_propagated, theta, X, y, weight)

    def _forward(self, theta, X):
        """Inputs of each layer (..., fan_in + 1, m), the last row ones, then scores (..., C, m)."""
        *hidden, last = self._split(theta)
        inputs = [_with_ones(X.swapaxes(-1, -2))]
        for layer in hidden:
            units = layer.swapaxes(-1, -2) @ inputs[-1]
            # np.maximum with a number in place of an array takes twice as long.
            np.clip(units, 0, np.inf, units) if self.activation == "relu" else np.tanh(units, units)
            inputs.append(_with_ones(units))
        return *inputs, last.swapaxes(-1, -2) @ inputs[-1]

    def _split(self, theta):
        """theta (..., d) as views (..., fan_in + 1, fan_out), one a layer."""
        layers, start = [], 0
        for fan_in, fan_out in self._layers:
            end = start + fan_in * fan_out
            layers.append(theta[..., start:end].reshape(*theta.shape[:-1], fan_in, fan_out))
            start = end
        return layers

    def _in_blocks(self, compute, theta, X, *labels):
        """compute(theta, X), or with y and shares as well, on checked arrays of one leading shape.

        A part of the longest leading axis at a time, so that hidden units stay in the cache.
        """
        theta, X = _as_float(theta, "theta"), _as_float(X, "X")
        if theta.shape[-1:] != (self.n_parameters,):
            raise ValueError(f"{self!r} needs theta (..., {self.n_parameters}); got {theta.shape}")
        if X.ndim < 2 or X.shape[-1] != self.n_features or X.shape[-2] == 0:
            raise ValueError(
                f"SimpleModel needs X of shape (..., m, {self.n_features}), m >= 1; got {X.shape}"
            )
        m, dtype = X.shape[-2], np.result_type(theta, X)
        given = [(theta, 1), (X, 2)]  # and how many axes are its own
        if labels:
            y, weight = labels
            given += [(self._labels(y, m), 1), (_shares(weight, m, dtype), 1)]
        lead = _common_shape([array.shape[: array.ndim - k] for array, k in given], "SimpleModel")
        arrays = [np.broadcast_to(a, (*lead, *a.shape[a.ndim - k :])) for a, k in given]
        if not lead or 0 in lead:
            return compute(*arrays)[()]
        longest = max(lead)
        widest = max(self.n_hidden, self.n_classes, self.n_features + 1)
        size = math.prod(lead) // longest * m * widest * dtype.itemsize
        rows, before = max(1, BLOCK_BYTES // size), (slice(None),) * lead.index(longest)
        parts = [
            compute(*(array[*before, k : k + rows] for array in arrays))
            for k in range(0, longest, rows)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=len(before))

    def _labels(self, y, m):
        y = as_labels(y, "SimpleModel")
        if y.shape[-1:] != (m,):
            raise ValueError(f"SimpleModel needs a label a sample, (..., {m}); got {y.shape}")
        if not (0 <= y.min() and y.max() < self.n_classes):
            raise ValueError(
                f"SimpleModel needs labels 0 .. {self.n_classes - 1}; got {y.min()} .. {y.max()}"
            )
        return y


class Quadratic:
    """The model whose training can be followed with a pencil: the loss is a parabola.

    L(theta) = mean_i 1/2 sum_j a_j (theta_j - x_ij)^2, so that a client's best theta is the mean of
    its samples, and its gradient is a * (theta - mean of its samples). Labels are not used.

    Parameters
    ----------
    start : float or (d,) array_like
        Where training begins.
    curvature : float or (d,) array_like
        a > 0; its largest and smallest entries are the L and the mu of the convergence theorems.
    """

    def __init__(self, start=0.0, curvature=1.0):
        start, curvature = _as_float(start, "start"), _as_float(curvature, "curvature")
        if not (np.isfinite(curvature) & (curvature > 0)).all():
            raise ValueError(f"Quadratic needs curvature > 0; got {curvature}")
        shape = _common_shape([start.shape, curvature.shape, (1,)], "Quadratic")
        if len(shape) != 1 or 0 in shape:
            raise ValueError(f"Quadratic needs start and curvature of shape (d,); got {shape}")
        self.n_parameters = shape[0]
        self.start = np.broadcast_to(start, shape).copy()
        self.curvature = np.broadcast_to(curvature, shape).copy()

    def __repr__(self):
        return f"Quadratic: {self.n_parameters} parameters"

    def init(self, rng=None):
        """The start, (d,); nothing is drawn."""
        return self.start.copy()

    def loss(self, theta, X, y=None, weight=None):
        """Mean over the samples of half the squared distance, weighted by curvature: (...,)."""
        theta, X, share = self._checked(theta, X, weight)
        half = (self.curvature * (theta[..., None, :] - X) ** 2).sum(axis=-1) / 2
        return (half * share).sum(axis=-1)

    def gradient(self, theta, X, y=None, weight=None):
        """curvature * (theta - mean of the samples), (..., d)."""
        theta, X, share = self._checked(theta, X, weight)
        return self.curvature * (theta - (share[..., None] * X).sum(axis=-2))

    def _checked(self, theta, X, weight):
        theta, X = _as_float(theta, "theta"), _as_float(X, "X")
        d = self.n_parameters
        if theta.shape[-1:] != (d,) or X.ndim < 2 or X.shape[-1] != d or X.shape[-2] == 0:
            raise ValueError(
                f"Quadratic needs theta (..., {d}) and X (..., m, {d}), m >= 1; "
                f"got {theta.shape} and {X.shape}"
            )
        return theta, X, _shares(weight, X.shape[-2], X.dtype)


def _softmax(scores):
    """Probabilities over the last axis but one, in the place of the scores."""
    scores -= scores.max(axis=-2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-2, keepdims=True)
    return scores


def _with_ones(rows):
    """Rows (..., p, m) and, below them, one of ones (..., p + 1, m), which meets the biases."""
    *lead, p, m = rows.shape
    inputs = np.empty((*lead, p + 1, m), rows.dtype)
    inputs[..., :p, :], inputs[..., p, :] = rows, 1
    return inputs


def _shares(weight, m, dtype):
    """Sample weights (..., m) as shares that sum to 1 over each client's samples."""
    if weight is None:
        return np.full(m, 1 / m, dtype)
    weight = _as_float(weight, "weight").astype(float, copy=False)
    if weight.shape[-1:] != (m,):
        raise ValueError(f"a model needs a weight a sample, (..., {m}); got {weight.shape}")
    largest = weight.max(axis=-1, keepdims=True)
    if not (np.isfinite(weight).all() and weight.min() >= 0 and largest.min() > 0):
        raise ValueError("a model needs finite sample weights >= 0, some of them > 0")
    weight = weight / largest  # so that no sum overflows
    return (weight / weight.sum(axis=-1, keepdims=True)).astype(dtype)


def _common_shape(shapes, caller):
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        given = ", ".join(map(str, shapes))
        raise ValueError(f"{caller} needs leading axes that fit together; got {given}") from None


def _as_float(array, name):
    refuse_masked(array, "a model")
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"a model needs real numbers {name}; got dtype {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
