"""BatchNorm with the activation behind it in one pass, beside the two layers."""

import copy

import numpy as np
import pytest

from enilnets.layers import Activation, BatchNorm, Mode
from enilnets.ops.activation import ACTIVATIONS


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 6, 7)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_one_pass_has_the_bits_of_two_layers(name, shape, training, frozen, dtype, rng):
    norm = BatchNorm(5, dtype=dtype)
    norm["gamma"], norm["beta"], norm["running_mean"] = rng.normal(size=(3, 5))
    norm.frozen = frozen
    twin, activation = copy.deepcopy(norm), Activation(name, dtype=dtype)
    mode = Mode(training=training, keep_z=True)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    z, first = twin.forward(x, mode)
    want, second = activation.forward(z, mode)
    y, saved = norm.forward_with_activation(x, name, mode)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(y if saved.z is None else saved.z, z)
    dx = norm.backward_delta(dy, saved)
    np.testing.assert_array_equal(dx, twin.backward(activation.backward(dy, second), first))
    for entry in ("running_mean", "running_var", "d_gamma", "d_beta"):
        np.testing.assert_array_equal(norm[entry], twin[entry])
