"""The relational memory core beside the one that benchmarks/peers has in PyTorch, with copied weights."""

import numpy as np
import pytest
import torch

from benchmarks.peers.pytorch_memory import Memory
from enilnets.layers import RelationalMemory
from tests.parity.counterparts import tensor


def of_ours(theirs, name):
    """Gradient of the parameter that is ``name`` here, in its shape."""
    parts = [p.grad.numpy() for key, p in theirs.named_parameters() if key == name or key[:-2] == name]
    return np.stack(parts) if name.endswith("mlp") and name[0] in "wb" else parts[0]


@pytest.mark.parametrize("seed", range(3))
def test_relationalmemory_output_and_gradients(seed):
    """C-6: the peer computes the same, so the times are of the same work."""
    rng = np.random.default_rng(seed)
    layer = RelationalMemory(10, 4, 16, 2, rng=seed)
    for name, parameter in layer.parameters.items():
        layer[name] = parameter.value + 0.1 * rng.normal(size=parameter.value.shape)
    theirs = Memory(4, 2, {name: parameter.value for name, parameter in layer.parameters.items()})
    x, dy = rng.normal(size=(6, 5, 10)), rng.normal(size=(6, 128))
    y, saved = layer.forward(x)
    dx = layer.backward(dy, saved)
    x_ = tensor(x)
    y_ = theirs(x_)
    y_.backward(torch.tensor(dy))
    np.testing.assert_allclose(y, y_.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(dx, x_.grad.numpy(), rtol=1e-7, atol=1e-10)
    for name, parameter in layer.parameters.items():
        expected = of_ours(theirs, name)
        np.testing.assert_allclose(parameter.grad.reshape(expected.shape), expected, rtol=1e-7, atol=1e-9, err_msg=name)
