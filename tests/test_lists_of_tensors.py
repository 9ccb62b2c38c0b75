"""Lists of tensors: what is alike is one tensor, what is not is told in a sentence."""

import array_api_strict
import numpy as np
import pytest

from byzlib import aggregators as ag
from byzlib import theory

rng = np.random.default_rng(4)
X = rng.standard_normal((6, 3))
HOST, OTHER = array_api_strict.Device("CPU_DEVICE"), array_api_strict.Device("device1")


def rows(*devices):
    return [array_api_strict.asarray(row, device=at) for row, at in zip(X, devices, strict=True)]


@pytest.mark.parametrize(
    "draws", [lambda x: ag.bucketing(x, 2, 0), lambda x: ag.geometric_median_of_means(x, 3, 0)]
)
def test_rules_that_draw_take_a_list_of_another_device(draws):
    result = draws(rows(*[OTHER] * 6))
    assert result.device == OTHER
    np.testing.assert_allclose(theory.to_numpy(result), draws(X), rtol=1e-9)


@pytest.mark.parametrize("rule", [ag.median, ag.mean, lambda x: ag.krum(x, 1)])
@pytest.mark.parametrize(
    "updates", [rows(OTHER, *[HOST] * 5), [rows(*[OTHER] * 6)]], ids=["two devices", "nested"]
)
def test_lists_that_numpy_cannot_read_are_refused_in_a_sentence(rule, updates):
    with pytest.raises(TypeError, match=r"^\w+ needs one dense tensor, or a list of rows alike"):
        rule(updates)


def test_parameters_of_torch_are_tensors_as_others():
    torch = pytest.importorskip("torch")
    updates = [torch.nn.Parameter(torch.tensor(X[0])), *map(torch.tensor, X[1:])]
    np.testing.assert_allclose(ag.median(updates).numpy(), ag.median(X))
    for unlike in ([updates[0].bfloat16(), *updates[1:]], torch.tensor(X).to_sparse()):
        with pytest.raises(TypeError, match="median needs one dense tensor"):
            ag.median(unlike)
