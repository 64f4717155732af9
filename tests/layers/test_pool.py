"""Global and adaptive pooling, and upsampling: documented shapes, values worked by hand, gradients."""

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, ShapeError
from enilnets.layers import AdaptiveAvgPool2D, AdaptiveMaxPool2D, GlobalAvgPool2D, GlobalMaxPool2D, Upsample2D


@pytest.mark.contract("L8")
def test_global_average(rng):
    net = NeuralNet().add_global_avgpool2d()
    assert net.layers[0]["type"] == "globalavgpool2d" and not net.layers[0].parameters
    x = rng.normal(size=(2, 3, 5, 7))
    np.testing.assert_allclose(net.Forward(x), x.mean(axis=(2, 3), keepdims=True), rtol=1e-12)
    assert net.Forward(x[0]).shape == (1, 3, 1, 1)
    y, saved = net.layers[0].forward(x)
    np.testing.assert_allclose(net.layers[0].backward(np.full(y.shape, 35.0), saved), np.ones(x.shape))


def test_global_maximum(rng):
    x = rng.normal(size=(2, 3, 5, 7))
    layer = GlobalMaxPool2D()
    y, saved = layer.forward(x)
    assert np.array_equal(y, x.max(axis=(2, 3), keepdims=True))
    assert np.array_equal(layer.backward(np.ones(y.shape), saved), x == y)
    ties, saved = layer.forward(np.zeros((1, 1, 2, 2)))
    assert layer.backward(np.ones(ties.shape), saved).tolist() == [[[[1, 0], [0, 0]]]]


def test_bins_that_share_elements():
    x = np.arange(1.0, 6.0).reshape(1, 1, 1, 5)  # bins of 3: [1 2] [2 3 4] [4 5]
    average, maximum = AdaptiveAvgPool2D((1, 3)), AdaptiveMaxPool2D((1, 3))
    y, saved = average.forward(x)
    assert y.ravel().tolist() == [1.5, 3.0, 4.5]
    np.testing.assert_allclose(average.backward(np.array([[[[2.0, 3.0, 20.0]]]]), saved).ravel(), [1, 2, 1, 11, 10])
    y, saved = maximum.forward(x)
    assert y.ravel().tolist() == [2.0, 4.0, 5.0]
    assert maximum.backward(np.array([[[[2.0, 3.0, 20.0]]]]), saved).ravel().tolist() == [0, 2, 0, 3, 20]


@pytest.mark.parametrize("layer", [AdaptiveAvgPool2D, AdaptiveMaxPool2D])
def test_bad_sizes_are_refused(layer):
    for size in (0, -1, 1.5, (1,), (1, 2, 3), (2, None), "2", True):
        with pytest.raises(ConfigError, match="output_size"):
            layer(size)
    with pytest.raises(ShapeError, match="Adaptive"):
        NeuralNet().add(layer(2)).Forward(np.ones((2, 4)))


@pytest.mark.contract("L9")
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upsampling_repeats_and_sums(scale, rng):
    net = NeuralNet().add_upsample2d(scale)
    assert net.layers[0]["scale_factor"] == scale and NeuralNet().add_upsample2d().layers[0]["scale_factor"] == 2
    x = rng.normal(size=(2, 3, 4, 5))
    y = net.Forward(x)
    assert np.array_equal(y, x.repeat(scale, axis=2).repeat(scale, axis=3))
    dy = rng.normal(size=y.shape)
    want = dy.reshape(2, 3, 4, scale, 5, scale).sum(axis=(3, 5))
    np.testing.assert_allclose(net.layers[0].backward(dy, None), want, rtol=1e-12, atol=1e-12)


def test_upsampling_refuses_what_it_cannot_do():
    for scale in (0, -2, 1.5, True, None, (2, 2)):
        with pytest.raises(ConfigError, match="scale_factor"):
            Upsample2D(scale)
    with pytest.raises(ShapeError, match="Upsample2D"):
        NeuralNet().add_upsample2d().Forward(np.ones((2, 4)))


@pytest.mark.contract("L8", "L9")
def test_a_network_of_them_trains(rng):
    net = NeuralNet(0.01, l2_lambda=0.0, rng=0).add_conv2d(1, 4, 3, padding=1).add_upsample2d(2)
    net.add_groupnorm(2, 4).add_conv2d(4, 8, 3).add_instancenorm(8).add_adaptive_maxpool2d(5).add_adaptive_avgpool2d(3)
    net.add_conv2d(8, 6, 2).add_global_maxpool2d().add_flatten().add_dense(6, 2, "softmax")
    x = rng.normal(size=(16, 1, 6, 6))
    y = np.eye(2)[(x.mean(axis=(1, 2, 3)) > 0).astype(int)]
    losses = [net.TrainBatch(x, y)[0] for _ in range(60)]
    assert losses[-1] < 0.3 * losses[0]
    pooled = NeuralNet(rng=0).add_conv2d(1, 4, 3).add_global_avgpool2d().add_flatten().add_dense(4, 2, "softmax")
    losses = [pooled.TrainBatch(x, y)[0] for _ in range(30)]
    assert losses[-1] < losses[0]


@pytest.mark.contract("N16")
def test_summary_lines(capsys):
    net = NeuralNet().add_global_avgpool2d().add_upsample2d(3).add_global_maxpool2d().add_adaptive_avgpool2d((2, 3))
    net.summary()
    assert capsys.readouterr().out.splitlines()[4:8] == [
        "Layer 0: GLOBALAVGPOOL2D ",
        "Layer 1: UPSAMPLE2D   Scale: 3",
        "Layer 2: GLOBALMAXPOOL2D ",
        "Layer 3: ADAPTIVE_AVGPOOL2D Bins: 2x3",
    ]


@pytest.mark.parametrize("layer", [GlobalAvgPool2D(), GlobalMaxPool2D()])
def test_a_whole_image_of_one_size_only_in_float32(layer, rng):
    """A mean over a large image is summed in double precision."""
    x = np.full((1, 1, 1000, 1000), 0.1, np.float32)
    single = type(layer)(dtype="float32")
    assert single.forward(x)[0].item() == np.float32(0.1)
