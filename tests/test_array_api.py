"""Tensors in, tensors out: every rule over the array API, with values as NumPy's.

array-api-strict has the standard's functions and no others, and a device that is not the host.
PyTorch and JAX are tried where they are installed.
"""

import ast
from functools import partial
from pathlib import Path
from unittest import mock

import array_api_strict
import numpy as np
import pytest
from array_api_compat import array_namespace, device

import byzlib
from byzlib import aggregators as ag
from byzlib import attacks, theory
from byzlib.aggregators import (
    _contract,
    _device,
    _distances,
    _order,
    aggregate,
    coordinatewise,
    geometric,
    preaggregation,
)
from tests import test_illegal
from tests.catalogue import EVERYTHING

rng = np.random.default_rng(21)
LIBRARIES = {"strict": "array_api_strict", "torch": "torch", "jax": "jax.numpy"}
# What a library computes in: JAX in float32, as long as nobody switches float64 on.
KINDS = [("strict", "float64"), ("strict", "float32"), ("torch", "float64"), ("torch", "float32"),
         ("jax", "float32")]  # fmt: skip
DIGITS = {"float64": 1e-12, "float32": 2e-5}


def maker(library, dtype=None):
    """A function that makes tensors of one library out of arrays."""
    xp = pytest.importorskip(LIBRARIES[library])
    return lambda x: xp.asarray(np.array(x), dtype=dtype and getattr(xp, dtype))


def values(tensor):
    return theory.to_numpy(tensor)


CROWDS = {
    "noise": rng.standard_normal((11, 23)),
    "stack": rng.standard_normal((2, 3, 11, 7)),
    "ties": rng.integers(-2, 3, (11, 4)),
    "equal rows": np.repeat(rng.standard_normal((3, 5)), (6, 4, 1), axis=0),
    "offset": rng.integers(-32, 33, (11, 9)) / 8 + 2.0**12,
    "a shout": np.vstack([rng.standard_normal((10, 6)), np.full((1, 6), 1e15)]),
    "a line": np.arange(12.0)[:, None] * np.ones(3),
}


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize(
    ("library", "dtype", "as_on_a_gpu"),
    [(*kind, gpu) for kind in KINDS for gpu in (False, True) if kind[0] != "strict" or gpu],
)
def test_values_kinds_and_weights(library, dtype, as_on_a_gpu, name, monkeypatch):
    """Tensors on the host are seen by NumPy; here they are treated as those of a GPU, too."""
    if as_on_a_gpu:
        monkeypatch.setattr(theory.arguments, "is_elsewhere", theory.is_tensor)
    call, tensor = EVERYTHING[name].call, maker(library, dtype)
    for crowd in CROWDS.values():
        crowd = crowd.astype(dtype)
        expected, expected_weights = call(crowd, 2, return_weights=True)
        x = tensor(crowd)
        result, weights = call(x, 2, return_weights=True)
        for ours, wanted in (result, expected), (weights, expected_weights):
            assert type(ours) is type(x) and device(ours) == device(x) and ours.dtype == x.dtype
            tol = DIGITS[dtype] * max(1.0, np.abs(wanted).max())
            np.testing.assert_allclose(values(ours), wanted, rtol=DIGITS[dtype], atol=tol)
        np.testing.assert_array_equal(values(call(x, 2)), values(result))
        np.testing.assert_array_equal(values(x), crowd)


# What byzfl 0.0.11 documents of a tensor or a list of them, and what TorchJD's tests assert.
NINE = [[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]
SHOUT = [[1.0, 1, 1], [1, 0, 1], [75, -666, 23], [1, 2, 3], [2, 0, 1]]
PEERS = [
    (ag.mean, NINE, [4.0, 5, 6]),
    (ag.median, NINE, [4.0, 5, 6]),
    (partial(ag.trimmed_mean, f=1), NINE, [4.0, 5, 6]),
    (partial(ag.mean_around_median, f=1), NINE, [2.5, 3.5, 4.5]),
    (partial(ag.minimum_diameter_average, f=1), NINE, [2.5, 3.5, 4.5]),
    (partial(ag.nearest_neighbor_mixing, f=1), NINE,
     [[2.5, 3.5, 4.5], [2.5, 3.5, 4.5], [5.5, 6.5, 7.5]]),
    (partial(ag.adaptive_clipping, f=1), NINE,
     [[1.0, 2, 3], [4, 5, 6], [4.41004009, 5.04004582, 5.67005155]]),
    (partial(attacks.sign_flip, f=1), NINE, [[-4.0, -5, -6]]),
    (partial(ag.trimmed_mean, f=1), [[1e11, 3], [1, -1e11], [-1e10, 1e10], [2, 2]], [1.5, 2.5]),
    (partial(ag.multi_krum, f=1), SHOUT, [1.25, 0.75, 1.5]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "rows", "expected"), PEERS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_peers_own_examples(library, function, rows, expected):
    tensor = maker(library, "float32")
    for x in (tensor(rows), [tensor(row) for row in rows], tuple(tensor(row) for row in rows)):
        result = function(x)
        assert type(result) is type(tensor(rows)) and result.dtype == tensor(rows).dtype
        np.testing.assert_allclose(values(result), expected, rtol=1e-6)


def test_a_list_of_tensors_of_all_rules():
    x = rng.standard_normal((11, 6))
    rows = [array_api_strict.asarray(row) for row in x]
    for rule in [rule.call for rule in EVERYTHING.values()] + [ag.krum_scores]:
        np.testing.assert_allclose(values(rule(rows, 2)), rule(x, 2), rtol=1e-9, atol=1e-12)
    rows[3] = rows[3][:4]
    with pytest.raises((TypeError, ValueError), match=r"^median needs"):
        ag.median(rows)


SIX = np.random.default_rng(4).standard_normal((6, 3))
HOST, OTHER = array_api_strict.Device("CPU_DEVICE"), array_api_strict.Device("device1")


def rows(*devices):
    return [array_api_strict.asarray(row, device=at) for row, at in zip(SIX, devices, strict=True)]


@pytest.mark.parametrize(
    "draws", [lambda x: ag.bucketing(x, 2, 0), lambda x: ag.geometric_median_of_means(x, 3, 0)]
)
def test_rules_that_draw_take_a_list_of_another_device(draws):
    result = draws(rows(*[OTHER] * 6))
    assert result.device == OTHER
    np.testing.assert_allclose(theory.to_numpy(result), draws(SIX), rtol=1e-9)


@pytest.mark.parametrize("rule", [ag.median, ag.mean, lambda x: ag.krum(x, 1)])
@pytest.mark.parametrize(
    "updates", [rows(OTHER, *[HOST] * 5), [rows(*[OTHER] * 6)]], ids=["two devices", "nested"]
)
def test_lists_that_numpy_cannot_read_are_refused_in_a_sentence(rule, updates):
    with pytest.raises(TypeError, match=r"^\w+ needs one dense tensor, or a list of rows alike"):
        rule(updates)


def test_parameters_of_torch_are_tensors_as_others():
    torch = pytest.importorskip("torch")
    updates = [torch.nn.Parameter(torch.tensor(SIX[0])), *map(torch.tensor, SIX[1:])]
    np.testing.assert_allclose(ag.median(updates).numpy(), ag.median(SIX))
    for unlike in ([updates[0].bfloat16(), *updates[1:]], torch.tensor(SIX).to_sparse()):
        with pytest.raises(TypeError, match="median needs one dense tensor"):
            ag.median(unlike)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize(("library", "dtype"), KINDS)
def test_broken_rows(library, dtype, name):
    x = rng.standard_normal((3, 11, 5)).astype(dtype)
    x[0, 2, 1], x[2, 4, 0], x[2, 5, 3] = np.nan, np.inf, -np.inf
    call, tensor = EVERYTHING[name].call, maker(library, dtype)
    result, weights = call(tensor(x), 2, return_weights=True)
    expected, expected_weights = call(x, 2, return_weights=True)
    np.testing.assert_allclose(values(result), expected, rtol=DIGITS[dtype], atol=1e-5)
    np.testing.assert_allclose(values(weights), expected_weights, rtol=1e-4, atol=1e-5)
    x[0, :9, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        call(tensor(x), 2)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("n", [1, 2, 5, 10, 23, 24, 25])
def test_a_network_over_rows_answers_as_a_sort_does(n, library, monkeypatch):
    monkeypatch.setattr(theory.arguments, "is_elsewhere", theory.is_tensor)
    monkeypatch.setattr(_device, "NETWORK_COLUMNS", 36)
    monkeypatch.setattr(_device, "_sorted", counted := mock.Mock(wraps=_device._sorted))
    for d, sorts in ((12, n > 24), (11, True)):
        x = rng.integers(-9, 10, (3, n, d)).astype("float32")
        for rule in (ag.median, partial(ag.trimmed_mean, f=(n - 1) // 3)):
            np.testing.assert_allclose(values(rule(maker(library)(x))), rule(x), atol=2e-6)
            assert counted.called == sorts
            counted.reset_mock()


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "mixing then krum"])
def test_rows_stay_where_they_are(name, monkeypatch):
    """Nothing that grows with d comes to the host where no choice is close.

    The last rounds of Bulyan are ties between two that are each other's neighbour: it does. Rows
    that were mixed of the same ones tie, too, so that Krum after mixing may or may not.
    """
    sizes, x = [], np.random.default_rng(0).standard_normal((2, 11, 500))

    def counted(x):
        sizes.append(x.size if theory.is_tensor(x) else 0)
        return theory.to_numpy(x)

    for module in (
        _contract,
        _device,
        _distances,
        _order,
        coordinatewise,
        geometric,
        preaggregation,
    ):
        monkeypatch.setattr(module, "to_numpy", counted, raising=False)
    EVERYTHING[name].call(array_api_strict.asarray(x), 2)
    assert max(sizes, default=0) == x.size if name == "bulyan" else sum(sizes) <= 4 * 11 * 11


@pytest.mark.parametrize("name", EVERYTHING)
def test_on_another_device(name):
    far = array_api_strict.Device("device1")
    x = rng.standard_normal((11, 5))
    x[3, 2] = np.nan
    for crowd in (x[:, 3:], x):
        result = EVERYTHING[name].call(array_api_strict.asarray(crowd, device=far), 2)
        assert device(result) == far
        expected = EVERYTHING[name].call(crowd, 2)
        np.testing.assert_allclose(values(result), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bits_are_computed_in_32(library, dtype, name):
    call, x = EVERYTHING[name].call, rng.standard_normal((11, 6))
    short, long = maker(library, dtype)(x), maker(library, "float32")
    xp = array_namespace(short)
    result, weights = call(short, 2, return_weights=True)
    expected, expected_weights = call(long(values(xp.astype(short, xp.float32))), 2,
                                      return_weights=True)  # fmt: skip
    assert result.dtype == short.dtype == weights.dtype
    np.testing.assert_array_equal(
        values(xp.astype(result, xp.float32)),
        values(xp.astype(xp.astype(expected, short.dtype), xp.float32)),
    )
    np.testing.assert_allclose(values(weights), values(expected_weights), rtol=0.01, atol=1e-3)


def test_whole_numbers_and_gradients():
    counts = array_api_strict.asarray(rng.integers(0, 9, (7, 3)))
    assert ag.median(counts).dtype == array_api_strict.float64
    torch = pytest.importorskip("torch")
    x = torch.ones((7, 3), requires_grad=True)
    for rule in EVERYTHING.values():
        result = rule.call(x * torch.arange(7.0)[:, None], 1)
        assert not result.requires_grad and result.dtype == torch.float32


@pytest.mark.parametrize("rule", [ag.mean, ag.krum_scores])
@pytest.mark.parametrize(("library", "dtype"), KINDS)
def test_mean_and_scores(library, dtype, rule):
    x = rng.standard_normal((2, 9, 6)).astype(dtype)
    tensor, options = maker(library, dtype), [2] if rule is ag.krum_scores else [np.arange(9.0)]
    for crowd in (x, np.where(np.arange(6) == np.arange(9)[:, None] - 7, np.nan, x)):
        result = rule(tensor(crowd), *options)
        tol = DIGITS[dtype]
        np.testing.assert_allclose(values(result), rule(crowd, *options), rtol=tol, atol=tol)
        assert type(result) is type(tensor(x))
    np.testing.assert_allclose(values(ag.mean(tensor(x))), ag.mean(x), rtol=1e-4, atol=1e-6)
    share = tensor(np.arange(9.0))
    np.testing.assert_allclose(
        values(ag.mean(tensor(x), share, return_weights=True)[1]),
        ag.mean(x, values(share), return_weights=True)[1],
        rtol=1e-6,
    )


def test_a_center_may_be_a_tensor():
    x, center = rng.standard_normal((9, 4)), rng.standard_normal(4)
    expected = ag.centered_clipping(x, 1.0, center, n_iter=3)
    tensor = array_api_strict.asarray
    for at in (center, tensor(center)):
        result = ag.centered_clipping(tensor(x), 1.0, at, n_iter=3)
        np.testing.assert_allclose(values(result), expected, rtol=1e-12)
    np.testing.assert_allclose(ag.centered_clipping(x, 1.0, tensor(center), 3), expected)


@pytest.mark.parametrize("name", test_illegal.NAMED)
@pytest.mark.parametrize(
    ("updates", "error", "sentence"),
    [
        (np.zeros((0, 4)), ValueError, r"needs .* n >= 1 and d >= 1; got \(0, 4\)"),
        (np.zeros((3, 0, 4)), ValueError, r"needs .* n >= 1 and d >= 1; got \(3, 0, 4\)"),
        (np.zeros((3, 0)), ValueError, r"needs .* n >= 1 and d >= 1; got \(3, 0\)"),
        (np.zeros(2), ValueError, r"needs .* shape \(..., n, d\) .* got \(2,\); for layers"),
        (np.array(3.0), ValueError, r"needs .* shape \(..., n, d\) .* got \(\); for layers .*"),
        (np.ones((3, 2), bool), TypeError, "needs real numbers; got .*bool"),
        (np.ones((3, 2), complex), TypeError, "needs real numbers; got .*complex128"),
    ],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_illegal_updates(library, name, updates, error, sentence):
    if library == "jax" and updates.dtype == complex:
        sentence = sentence.replace("128", "64")
    call, tensor = test_illegal.NAMED[name], maker(library)
    test_illegal.illegal(lambda: call(tensor(updates), 1), error, f"^{name} {sentence}")


@pytest.mark.parametrize("name", test_illegal.NEEDS)
def test_illegal_f(name):
    condition, legal = test_illegal.NEEDS[name]
    call = test_illegal.NAMED[name]
    for n, f in ((1, 1), (2, 2), (4, 2), (6, 2), (10, 2)):
        x = array_api_strict.asarray(rng.standard_normal((n, 3)))
        if not legal(n, f):
            sentence = f"^{name} needs {condition}; got n = {n}, f = {f}$"
            test_illegal.illegal(lambda x=x, f=f: call(x, f), ValueError, sentence)
    for f in (-1, 1.0, True, None):
        with pytest.raises((TypeError, ValueError), match=f"^{name} needs .*f"):
            call(x, f)


@pytest.mark.parametrize("name", attacks.ATTACKS)
@pytest.mark.parametrize("as_on_a_gpu", [False, True])
@pytest.mark.parametrize(("library", "dtype"), KINDS)
def test_attacks(library, dtype, as_on_a_gpu, name, monkeypatch):
    if as_on_a_gpu:
        monkeypatch.setattr(theory.arguments, "is_elsewhere", theory.is_tensor)
    honest = rng.standard_normal((2, 7, 5)).astype(dtype)
    attack, x = attacks.ATTACKS[name], maker(library, dtype)(honest)
    result, expected = attack(x, 2, 3), attack(honest, 2, 3)
    assert type(result) is type(x) and result.dtype == x.dtype and device(result) == device(x)
    np.testing.assert_allclose(values(result), expected, rtol=DIGITS[dtype], atol=DIGITS[dtype])
    assert tuple(attack(x, 0, 3).shape) == (2, 0, 5)


def test_what_a_lie_does_not_read_stays_on_its_device(monkeypatch):
    monkeypatch.setattr(theory.arguments, "to_numpy", pytest.fail)
    far = array_api_strict.Device("device1")
    honest = array_api_strict.asarray(rng.standard_normal((7, 5)), device=far)
    for name in ("sign_flip", "inner_product_manipulation", "gaussian_noise", "zero", "non_finite"):
        assert device(getattr(attacks, name)(honest, 2, rng=0)) == far
    assert device(attacks.a_little_is_enough(honest, 2, z=1)) == far


@pytest.mark.parametrize(
    ("library", "dtype"),
    [*KINDS, ("torch", "bfloat16"), ("jax", "float16"), ("strict", "int64"), ("torch", "int64")],
)
def test_models(library, dtype):
    """State dicts of tensors, on a device that is not the host where there is one."""
    make, count, rows = maker(library, dtype), maker(library), rng.integers(-9, 10, (7, 2, 3))
    clients = [{"weight": make(row), "step": count(row[0, 0])} for row in rows]
    clients[5]["step"] = count(rows[5, 0, 0])
    result, weights = aggregate(ag.median, clients, return_weights=True)
    for name, wanted in (("weight", np.median(rows, axis=0)), ("step", np.median(rows[:, 0, 0]))):
        got, example = result[name], clients[0][name]
        assert type(got) is type(example) and got.dtype == example.dtype
        assert tuple(got.shape) == wanted.shape and device(got) == device(example)
        np.testing.assert_array_equal(values(got), wanted)
    assert type(weights) is type(got)
    mixed = [{**client, "step": 1.0} for client in clients]
    np.testing.assert_array_equal(values(aggregate(ag.median, mixed)["weight"]),
                                  values(result["weight"]))  # fmt: skip


def test_models_stay_where_they_are():
    far = array_api_strict.Device("device1")
    clients = [
        [array_api_strict.asarray(row, device=far)] * 2 for row in np.arange(21.0).reshape(7, 3)
    ]
    result = aggregate(ag.krum, clients, 2)
    assert [device(part) for part in result] == [far, far]
    clients[3] = [clients[3][0], array_api_strict.ones(3, dtype=array_api_strict.bool, device=far)]
    with pytest.raises(TypeError, match=r"client 3 at \[1\] has dtype .*bool"):
        aggregate(ag.krum, clients, 2)
    with pytest.raises(TypeError, match=r"needs real numbers; client 0 has dtype .*bool"):
        aggregate(ag.median, [array_api_strict.ones(3, dtype=array_api_strict.bool)] * 3)


def test_no_library_of_tensors_is_imported():
    root = Path(byzlib.__file__).parent
    rooms = ("theory", "aggregators", "attacks")
    for path in [path for room in rooms for path in root.glob(f"{room}/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
                assert not {name.split(".")[0] for name in names} & {"torch", "jax", "cupy"}
