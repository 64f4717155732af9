"""The gradient before a ReLU, made by the layer behind it: the same bits as one layer after the other."""

import numpy as np
import pytest

from enilnets.layers import (
    Activation,
    AdaptiveMaxPool2D,
    AvgPool2D,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    GlobalMaxPool2D,
    MaxPool2D,
    Mode,
    Sequential,
)

CHAINS = {
    "scattered": ((2, 2, 9, 11), lambda: [Conv2D(2, 3, 3, rng=0), Conv2D(3, 4, 3, rng=1), MaxPool2D(2)]),
    "gathered": ((3, 2, 16, 16), lambda: [Conv2D(2, 3, 3, padding=1, rng=0), Conv2D(3, 4, 3, padding=1, rng=1)]),
    "gathered, one pixel": ((1, 2, 5, 7), lambda: [Conv2D(2, 5, 1, rng=0), Conv2D(5, 4, 1, "tanh", rng=1)]),
    "depthwise": ((2, 4, 12, 12), lambda: [Conv2D(4, 4, 1, rng=0), Conv2D(4, 4, 3, groups=4, rng=1), MaxPool2D(3)]),
    "strided": ((2, 2, 11, 9), lambda: [Conv2D(2, 3, 3, rng=0), Conv2D(3, 4, 3, stride=2, rng=1)]),
    "along a sequence": ((2, 2, 30), lambda: [Conv1D(2, 3, 3, rng=0), Conv1D(3, 4, 3, rng=1)]),
    "two poolings": ((2, 2, 13, 13), lambda: [Conv2D(2, 3, 2, rng=0), MaxPool2D(2), MaxPool2D(2)]),
    "bins": ((2, 2, 11, 11), lambda: [Conv2D(2, 3, 2, rng=0), AdaptiveMaxPool2D((3, 2)), GlobalMaxPool2D()]),
    "activation alone": ((2, 2, 8, 8), lambda: [Conv2D(2, 3, 2, "linear", rng=0), Activation("relu"), MaxPool2D(2)]),
    "other activations": ((2, 2, 9, 9), lambda: [Conv2D(2, 3, 2, "leakyrelu", rng=0), MaxPool2D(2)]),
    "layers that cannot": (
        (2, 2, 8, 8),
        lambda: [Conv2D(2, 3, 1, rng=0), AvgPool2D(2), ConvTranspose2D(3, 2, 3, rng=1), AvgPool2D(2)],
    ),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("keep_z", [True, False])
def test_same_bits_as_layer_by_layer(chain, inputs, keep_z, rng):
    shape, build = CHAINS[chain]
    together, alone = Sequential(build()), build()
    x = rng.normal(size=shape)
    mode = Mode(True, np.random.default_rng(0), keep_z=keep_z)

    y, passed = together.forward(x, mode)
    dy = rng.normal(size=y.shape)
    dx = together.propagate(dy, passed, inputs=inputs, all_deltas=True)

    saved, deltas = [], []
    for layer in alone:
        x, kept = layer.forward(x, mode)
        saved.append(kept)
    np.testing.assert_array_equal(y, x)
    for layer, kept in zip(reversed(alone), reversed(saved), strict=True):
        deltas.append(layer.delta(dy, kept))
        dy = layer.backward_delta(deltas[-1], kept)

    if inputs:
        np.testing.assert_array_equal(dx, dy)
    for mine, expected in zip(passed.deltas, reversed(deltas), strict=True):
        np.testing.assert_array_equal(mine, expected)
    for mine, expected in zip(together.layers, alone, strict=True):
        for name, parameter in expected.parameters.items():
            np.testing.assert_array_equal(mine.parameters[name].grad, parameter.grad)


def test_nan_in_front_of_a_relu_stops_the_gradient_as_ever(rng):
    layers = [Conv2D(1, 2, 2, rng=0), MaxPool2D(2)]
    x = rng.normal(size=(1, 1, 7, 7))
    layers[0]["bias"][0] = np.nan
    y, passed = Sequential(layers).forward(x)
    assert np.isnan(y[:, 0]).all()
    chain = Sequential(layers)
    y, passed = chain.forward(x)
    chain.propagate(np.ones_like(y), passed, inputs=True)
    assert not passed.deltas[0][:, 0].any() and passed.deltas[0][:, 1].any()
