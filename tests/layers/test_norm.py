"""BatchNorm with the activation behind it in one pass, beside the two layers."""

import copy

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.layers import Activation, BatchNorm, Mode
from enilnets.ops.activation import ACTIVATIONS


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "softmax"])
@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 6), (4, 5, 6, 7)])
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


@pytest.mark.parametrize("before", ["conv1d", "dense"])
def test_sequences_are_images_of_height_one(before, rng):
    x, y = rng.normal(size=(2, 6, 7, 7))  # as many channels as features: neither may be taken for the other
    net = NeuralNet(0.1, "sgd", rng=0)
    net = net.add_conv1d(7, 7, 3, padding="same") if before == "conv1d" else net.add_dense(7, 7)
    net.add_batchnorm(7).add_activation("tanh")
    output = net.Forward(x, training=True)
    z = net.outputs[1]
    image = BatchNorm(7).forward(z[:, :, None], Mode(training=True))[0][:, :, 0]
    np.testing.assert_allclose(output, np.tanh(image), rtol=1e-12)
    x_norm, mean, axes = (net.batchnorm_cache[1][i] for i in (1, 2, 6))
    np.testing.assert_allclose(x_norm, image, rtol=1e-12, atol=1e-12)
    assert mean.shape == (1, 7, 1) and axes == (0, 2)
    trained, _ = net.TrainBatch(x, y)
    assert net.TrainBatch(x, y)[0] < trained
