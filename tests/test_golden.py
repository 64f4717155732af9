"""Golden curve: the first ten losses of a small training, on every instruction set and in both dtypes."""

import numpy as np

from enilnets import NeuralNet
from tests.reference import network

#: Printed by ``python -m tests.reference.network``, which shares no code with the library.
GOLDEN = [
    1.3894821742805672, 1.4940929505493965, 1.8497031764286642,
    1.9094222150365436, 1.513981732006908, 1.1663945802125892,
    1.2844502279857475, 1.6347862190257167, 1.693171661187571,
    1.3943912381032713,
]  # fmt: skip


def test_the_reference_still_gives_the_golden_losses():
    np.testing.assert_allclose(network.train(), GOLDEN, rtol=1e-12)


def test_golden_losses(dtype, isa):
    weights, x, labels = network.problem()
    net = NeuralNet(0.02, "adam", l2_lambda=0.01, dtype=dtype)
    net.add_conv2d(1, 3, 3, activation="linear").add_batchnorm(3).add_activation("relu").add_maxpool2d(2).add_flatten()
    net.add_dense(27, 8, activation="tanh").add_dense(8, 4, activation="softmax")
    for layer, w, b in ((0, "conv", "conv_b"), (5, "hidden", "hidden_b"), (6, "out", "out_b")):
        net.layers[layer]["weights"], net.layers[layer]["bias"] = weights[w], weights[b]
    net.layers[1]["gamma"], net.layers[1]["beta"] = weights["gamma"], weights["beta"]
    losses = [net.TrainBatch(xs, ys)[0] for xs, ys in zip(x, labels, strict=True)]
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-10 if dtype == np.float64 else 2e-4)
