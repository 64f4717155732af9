"""The documented backward helpers beside the layers, and against finite differences."""

import inspect

import numpy as np
import pytest

from enilnets import NeuralNet, backward
from enilnets.errors import LabelError, ShapeError, StateError
from tests.gradients import check_direction


def last(net, x, dy):
    """Output and input gradient of the network."""
    y = net.Forward(x, training=True)
    return y, net.chain.propagate(dy, net._passed, inputs=True)


@pytest.mark.contract("B6")
@pytest.mark.parametrize("k", [1, 2, 3])
def test_conv2d_backward_input(k, dtype, rng):
    net = NeuralNet(rng=0, dtype=dtype).add_conv2d(2, 3, k, activation="linear")
    x, dy = rng.normal(size=(4, 2, 6, 5)).astype(dtype), rng.normal(size=(4, 3, 7 - k, 6 - k)).astype(dtype)
    dx = backward.conv2d_backward_input(dy, net.layers[0]["weights"], x.shape)
    np.testing.assert_allclose(dx, last(net, x, dy)[1], rtol=0, atol=100 * np.finfo(dtype).eps)
    with pytest.raises(ShapeError):
        backward.conv2d_backward_input(dy, net.layers[0]["weights"], (4, 2, 9, 5))
    with pytest.raises(ShapeError):
        backward.conv2d_backward_input(dy, net.layers[0]["weights"], (4, 3, 6, 5))


#: helper, verb that appends its layer, argument of both
POOLS = [
    ("maxpool2d_backward", "add_maxpool2d", (2,)),
    ("avgpool2d_backward", "add_avgpool2d", (3,)),
    ("globalavgpool2d_backward", "add_global_avgpool2d", ()),
    ("upsample2d_backward", "add_upsample2d", (3,)),
]


@pytest.mark.contract("B6", "B4")
@pytest.mark.parametrize("helper, verb, argument", POOLS)
def test_pooling_and_upsampling(helper, verb, argument, rng):
    net = getattr(NeuralNet(), verb)(*argument)
    x = rng.normal(size=(2, 3, 7, 6))
    dy = rng.normal(size=net.Forward(x).shape)
    helper = getattr(backward, helper)
    dx = helper(dy, x, *argument)
    np.testing.assert_allclose(dx, last(net, x, dy)[1], rtol=1e-12)
    check_direction(lambda x: float(np.sum(net.Forward(x) * dy)), x, dx, rng)
    with pytest.raises(ShapeError):
        helper(dy[:, :, :-1], x, *argument)
    with pytest.raises(ShapeError):
        helper(dy, x[:1], *argument)


NORMS = [
    ("add_batchnorm", 3, (6, 3)),
    ("add_batchnorm", 3, (2, 3, 4, 5)),
    ("add_layernorm", 3, (6, 3)),
    ("add_layernorm", 3, (2, 4, 3)),
    ("add_layernorm", 3, (2, 3, 4, 5)),
    ("add_layernorm", (3, 4, 5), (2, 3, 4, 5)),
]


@pytest.mark.contract("B6", "B5", "N4")
@pytest.mark.defect("Y1")
@pytest.mark.parametrize("verb, size, shape", NORMS, ids=str)
def test_normalisation_from_its_cache(verb, size, shape, rng):
    net = getattr(NeuralNet(rng=0), verb)(size)
    layer = net.layers[0]
    layer["gamma"], layer["beta"] = rng.normal(size=(2, *layer["gamma"].shape))
    kind = verb.removeprefix("add_")
    helper = getattr(backward, f"{kind}_backward")
    x, dy = 2 * rng.normal(size=shape) + 3, rng.normal(size=shape)
    dx = last(net, x, dy)[1]
    got = helper(dy, getattr(net, f"{kind}_cache")[0])
    for ours, wanted in zip(got, (dx, layer["d_gamma"], layer["d_beta"]), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-9, atol=1e-11)
    check_direction(lambda x: float(np.sum(net.Forward(x, training=True) * dy)), x, got[0], rng)
    net.Forward(x)
    message = rf"{type(layer).__name__} cache is None. Ensure Forward\(training=True\) was called before Backward\."
    with pytest.raises(ValueError, match=message):
        helper(dy, getattr(net, f"{kind}_cache")[0])


@pytest.mark.contract("B6")
@pytest.mark.defect("Y5")
def test_embedding_backward(rng):
    net = NeuralNet(rng=0).add_embedding(6, 2)
    with pytest.raises(StateError, match="Forward"):
        backward.embedding_backward(np.ones((1, 1, 2)), net.layers[0])
    ids, dy = rng.integers(0, 6, (4, 3)), rng.normal(size=(4, 3, 2))
    net.Forward(ids)
    want = np.zeros((6, 2))
    np.add.at(want, ids, dy)
    np.testing.assert_allclose(backward.embedding_backward(dy, net.layers[0]), want, rtol=1e-12, atol=1e-14)
    plain = {"weights": np.zeros((6, 2)), "_last_input": np.array([1.0, 5.0])}
    assert backward.embedding_backward(np.ones((2, 1, 2)), plain).sum() == 4
    with pytest.raises(LabelError):
        backward.embedding_backward(np.ones((2, 1, 2)), {**plain, "_last_input": np.array([1, 6])})


@pytest.mark.parametrize("name", backward.__all__)
def test_helpers_are_documented(name):
    text = inspect.getdoc(getattr(backward, name))
    assert all(f"{part}\n{'-' * len(part)}" in text for part in ("Parameters", "Returns", "Raises"))
