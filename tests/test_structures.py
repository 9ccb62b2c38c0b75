"""Whole models through a rule: layers, state dicts and tensors in, the same structure out."""

from collections import OrderedDict, defaultdict, namedtuple
from functools import partial

import numpy as np
import pytest

from byzlib import aggregators as ag
from byzlib.aggregators import aggregate, krum, median, trimmed_mean

Layer = namedtuple("Layer", "weight bias")
rng = np.random.default_rng(17)


class Tensor:
    """What is asked of a PyTorch tensor; like one, it must be detached, on the CPU, no bfloat16."""

    def __init__(self, values, dtype="float32", device="cuda:0", requires_grad=True):
        self.dtype, self.device, self.requires_grad = f"torch.{dtype}", device, requires_grad
        self.values = np.array(values).astype(dtype.removeprefix("b").replace("float16", "float32"))
        self.shape = self.values.shape

    def detach(self):
        return Tensor(self.values, self.dtype[6:], self.device, False)

    def cpu(self):
        return Tensor(self.values, self.dtype[6:], "cpu", self.requires_grad)

    def float(self):
        return Tensor(self.values, "float32", self.device, self.requires_grad)

    def numpy(self):
        if self.requires_grad or self.device != "cpu" or self.dtype == "torch.bfloat16":
            raise TypeError("not a NumPy array")
        return self.values

    def new_tensor(self, values):
        assert isinstance(values, np.ndarray)
        return Tensor(values, self.dtype[6:], self.device, False)


def models(make, n=9):
    """The same model n times with other numbers, and its flat rows: (n, 6), (n, 4), (n, 1)."""
    rows = rng.integers(-100, 100, (n, 11)) / 4
    return [make(row[:6].reshape(2, 3), row[6:10], row[10]) for row in rows], rows


MAKE = {
    "layers": lambda a, b, c: [a, b, np.float32(c)],
    "layers of float32": lambda a, b, c: [np.float32(a), np.float32(b), float(c)],
    "tuple": lambda a, b, c: (a, (b, c)),
    "named": lambda a, b, c: Layer(a.astype(np.float16), {"b": b, "c": c}),
    "state dict": lambda a, b, c: OrderedDict(a=a, b=np.float32(b), c=np.array(c)),
    "defaultdict": lambda a, b, c: defaultdict(list, a=[a, b], c=c),
    "numbers": lambda a, b, c: [*map(float, a.ravel()), *map(float, b), float(c)],
    "transposed": lambda a, b, c: [np.asfortranarray(a), b[::-1][::-1], c],
}


def parts(model):
    """All leaves, and the kinds of all containers, in order."""
    if isinstance(model, dict | list | tuple):
        inside = model.values() if isinstance(model, dict) else model
        found = [parts(part) for part in inside]
        return [leaf for leaves, _ in found for leaf in leaves], (
            type(model),
            *(k for _, k in found),
        )
    return [model], type(model)


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("rule", [krum, trimmed_mean, median, ag.mean])
def test_the_answer_is_that_of_the_flat_rows(make, rule):
    clients, rows = models(make)
    result, weights = aggregate(rule, clients, 3, return_weights=True)
    expected, expected_weights = ag.apply_rule(rule, rows, 3)
    leaves, kinds = parts(result)
    wanted, wanted_kinds = parts(clients[0])
    assert kinds == wanted_kinds
    for leaf, example in zip(leaves, wanted, strict=True):
        assert np.shape(leaf) == np.shape(example) and type(leaf) is type(example)
        assert np.asarray(leaf).dtype == np.asarray(example).dtype
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    np.testing.assert_allclose(flat, expected, rtol=1e-3)  # float16 of some
    np.testing.assert_allclose(weights, expected_weights, rtol=1e-6)


def test_a_stack_of_matrices_is_one_matrix_for_each_client():
    """Ten clients with a layer of 12 x 3, one of them lying: not ten trials of twelve clients."""
    layers = rng.standard_normal((10, 12, 3))
    layers[4] = 1e9
    result = aggregate(median, layers)
    assert result.shape == (12, 3) and np.abs(result).max() < 3
    np.testing.assert_array_equal(result, np.median(layers, axis=0))


def test_what_is_returned_is_new_and_nothing_is_changed():
    clients, _ = models(MAKE["state dict"])
    clients[0]._metadata = {"version": 1}  # as PyTorch's state dicts have
    before = [np.copy(leaf) for leaf in parts(clients)[0]]
    result = aggregate(krum, clients, 3)
    assert result._metadata == {"version": 1} and isinstance(result, OrderedDict)
    for leaf in parts(result)[0]:
        leaf += 1
    for leaf, copy in zip(parts(clients)[0], before, strict=True):
        np.testing.assert_array_equal(leaf, copy)


def test_keys_decide_and_not_their_order():
    rows = [{"a": np.array([i, 0.0]), "b": float(-i)} for i in range(5)]
    rows[2] = dict(reversed(rows[2].items()))
    assert aggregate(median, rows)["b"] == -2 and aggregate(median, rows)["a"][0] == 2


def test_whole_numbers_are_rounded():
    counts = [{"steps": np.array([k, k + 1], np.uint8)} for k in (1, 2, 4, 250)]
    result = aggregate(median, counts)["steps"]
    assert result.dtype == np.uint8 and result.tolist() == [3, 4]
    assert aggregate(ag.mean, [np.array(1), np.array(2), np.array(2)]).tolist() == 2


def test_broken_models_are_dropped_and_options_are_bound():
    clients, rows = models(MAKE["layers"])
    clients[2][0][1, 1] = np.nan
    result = aggregate(partial(ag.multi_krum, m=1), clients, 2)
    np.testing.assert_array_equal(result[1], krum(np.delete(rows, 2, 0), 1)[6:10])
    same = aggregate(partial(krum, f=2), clients)
    np.testing.assert_array_equal(same[0], aggregate(krum, clients, 2)[0])
    assert aggregate(lambda rows: rows[3], clients, return_weights=True)[1] is None


def tensors(kind):
    """A maker of tensors (values, dtype), and a function that tells dtype, device and values."""
    if kind == "stand-in":
        return Tensor, lambda t: (t.dtype, t.device, t.values)
    torch = pytest.importorskip("torch")

    def make(values, dtype="float32"):
        tensor = torch.tensor(np.asarray(values), dtype=getattr(torch, dtype))
        return torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor

    return make, lambda t: (str(t.dtype), str(t.device), t.detach().double().numpy())


@pytest.mark.parametrize("kind", ["stand-in", "torch"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64"])
def test_tensors_stay_tensors(kind, dtype):
    make, told = tensors(kind)
    rows = rng.integers(-9, 10, (7, 2, 3))
    clients = [{"weight": make(row, dtype), "step": make(row[0, 0], "int64")} for row in rows]
    result = aggregate(median, clients, 2)
    for name, expected in (("weight", np.median(rows, axis=0)), ("step", np.median(rows[:, 0, 0]))):
        got, example = result[name], clients[0][name]
        assert type(got).__name__ == "Tensor" and told(got)[:2] == told(example)[:2]
        np.testing.assert_array_equal(told(got)[2], expected)
        assert not got.requires_grad


GOOD = {"w": np.zeros((3, 4)), "b": [np.zeros(4), 1.0]}


@pytest.mark.parametrize(
    ("other", "error", "sentence"),
    [
        ({"w": GOOD["w"]}, ValueError, r"clients alike; client 2 lacks \['b'\]\[0\]$"),
        ({**GOOD, "z": 1.0}, ValueError, r"client 2 has \['z'\]$"),
        ({**GOOD, "b": [np.zeros(4)]}, ValueError, r"client 2 lacks \['b'\]\[1\]$"),
        (
            {**GOOD, "w": np.zeros((4, 3))},
            ValueError,
            r"client 2 at \['w'\] has shape \(4, 3\), client 0 has \(3, 4\)$",
        ),
        (
            {**GOOD, "w": np.zeros((3, 4), np.float32)},
            ValueError,
            r"client 2 at \['w'\] has dtype float32, client 0 has float64$",
        ),
        ({**GOOD, "w": Tensor(GOOD["w"])}, ValueError, "has dtype torch.float32, client 0 has"),
        (np.zeros(16), ValueError, r"client 2 lacks \['w'\]$"),
        ({**GOOD, "w": None}, TypeError, r"client 2 at \['w'\] has NoneType$"),
        ({**GOOD, "w": "x"}, TypeError, r"client 2 at \['w'\] has str$"),
        ({**GOOD, "w": True}, TypeError, r"client 2 at \['w'\] has bool$"),
        ({**GOOD, "w": np.ones((3, 4), bool)}, TypeError, r"client 2 at \['w'\] has dtype bool$"),
        ({**GOOD, "w": np.ma.ones((3, 4))}, TypeError, "^aggregate takes no masked arrays"),
    ],
)
def test_clients_that_differ_are_named(other, error, sentence):
    with pytest.raises(error, match=sentence) as failure:
        aggregate(median, [GOOD, GOOD, other])
    assert str(failure.value).startswith("aggregate ")


@pytest.mark.parametrize("clients", [[], [{}, {}], [[], []], np.zeros((0, 3))])
def test_no_clients_or_nothing_in_them(clients):
    with pytest.raises(ValueError, match="aggregate needs at least one client, and numbers in it"):
        aggregate(median, clients)


def test_what_is_no_rule_for_models():
    with pytest.raises(ValueError, match=r"answers with one vector of 17 numbers; got shape \(5, "):
        aggregate(ag.nearest_neighbor_mixing, [GOOD] * 5, 1)
    with pytest.raises(TypeError, match="krum needs an integer f; got None"):
        aggregate(krum, [GOOD] * 5)
    for models in ([GOOD] * 5, [[np.zeros((2, 2)), np.zeros(2)]] * 5, [np.zeros(3), np.zeros(4)]):
        with pytest.raises((TypeError, ValueError), match="see aggregators.aggregate$"):
            median(models)
