"""Every layer beside PyTorch's: outputs, input gradients and parameter gradients from the same weights."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from enilnets import NeuralNet, optim
from enilnets.layers import LAYERS, Concat, Conv2D, Dense, Mode, Residual, Sequential
from tests.parity import counterparts, test_attention, test_recurrent, test_relational_memory
from tests.parity.counterparts import assert_close, tensor

#: Roundings that a sum of a few hundred products may collect in another order.
ULPS = 100


def make(kind, dtype, rng, **settings):
    """A layer whose parameters are all random, biases and gammas too."""
    layer = LAYERS[kind](**settings, dtype=dtype, rng=rng)
    for parameter in layer.parameters.values():
        parameter.value[...] += 0.3 * rng.normal(size=parameter.value.shape)
    return layer


def compare(layer, function, x, rng, training=True, ulps=ULPS):
    """Run ``layer`` and ``function(x, **parameters)`` forward and backward and compare everything there is."""
    theirs_x = tensor(x)
    theirs = {name: tensor(parameter.value) for name, parameter in layer.parameters.items()}
    theirs_y = function(theirs_x, **theirs)
    y, saved = layer.forward(x, Mode(training, rng))
    dy = rng.normal(size=y.shape).astype(x.dtype)
    theirs_y.backward(tensor(dy, learn=False))
    assert_close(y, theirs_y, ulps, "output")
    assert_close(layer.backward(dy, saved), theirs_x.grad, ulps, "input gradient")
    for name, parameter in layer.parameters.items():
        assert_close(parameter.grad, theirs[name].grad, ulps, f"gradient of {name}")


def normal(rng, shape, dtype):
    return rng.normal(size=shape).astype(dtype)


def test_every_layer_is_compared():
    names = {**globals(), **vars(test_attention), **vars(test_relational_memory)}
    tests = [name.removeprefix("test_") for name in names if name.startswith("test_")]
    tests += test_recurrent.KINDS  # in a file of their own
    assert all(any(f"{test}_".startswith(f"{kind}_") for test in tests) for kind in LAYERS)


@pytest.mark.parametrize("name", counterparts.ACTIVATIONS)
@pytest.mark.parametrize("n, n_in, n_out", [(1, 1, 1), (3, 5, 7), (17, 31, 2), (33, 65, 129)])
def test_dense(name, n, n_in, n_out, dtype, rng):
    layer = make("dense", dtype, rng, n_in=n_in, n_out=n_out, activation=name)

    def dense(x, weights, bias):
        return counterparts.ACTIVATIONS[name](F.linear(x, weights, bias))

    compare(layer, dense, normal(rng, (n, n_in), dtype), rng)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 5), (1, 7, 5)])
def test_dense_without_bias_and_over_sequences(shape, dtype, rng):
    x = normal(rng, shape, dtype)
    layer = make("dense", dtype, rng, n_in=5, n_out=3, activation="linear", use_bias=False)
    compare(layer, lambda x, weights: F.linear(x, weights), x, rng)
    layer = make("dense", dtype, rng, n_in=5, n_out=3, activation="softmax")
    compare(layer, lambda x, weights, bias: torch.softmax(F.linear(x, weights, bias), -1), x, rng)


def pad_same(x, k, stride):
    """Zeros for an output of ceil(size / stride); where their number is odd, the one more is below and to the right."""
    zeros = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        zeros += [total // 2, total - total // 2]
    return F.pad(x, zeros)


#: (batch, in channels, height, width), out channels, side of the kernel
IMAGES = [
    ((1, 1, 5, 5), 1, 3),
    ((2, 3, 7, 9), 5, 3),
    ((3, 2, 11, 6), 7, 2),
    ((2, 5, 9, 8), 3, 5),
    ((1, 4, 3, 13), 9, 1),
    ((2, 17, 13, 11), 33, 3),
    ((1, 1, 29, 31), 2, 7),
]


@pytest.mark.parametrize("shape, out_ch, k", IMAGES, ids=str)
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2, "same"])
def test_conv2d(shape, out_ch, k, stride, padding, dtype, isa, rng):
    settings = {"in_ch": shape[1], "out_ch": out_ch, "k": k, "stride": stride, "padding": padding}
    layer = make("conv2d", dtype, rng, **settings, activation="linear")

    def conv(x, weights, bias):
        if padding != "same":
            return F.conv2d(x, weights, bias, stride, padding)
        return F.conv2d(pad_same(x, k, stride), weights, bias, stride)

    compare(layer, conv, normal(rng, shape, dtype), rng)


@pytest.mark.parametrize("shape, out_ch, k", [image for image in IMAGES if image[2] % 2], ids=str)
def test_conv2d_same_is_theirs(shape, out_ch, k, dtype, rng):
    layer = make("conv2d", dtype, rng, in_ch=shape[1], out_ch=out_ch, k=k, padding="same", activation="linear")
    compare(layer, lambda x, weights, bias: F.conv2d(x, weights, bias, padding="same"), normal(rng, shape, dtype), rng)


@pytest.mark.parametrize("name", [name for name in counterparts.ACTIVATIONS if name != "softmax"])
def test_conv2d_activations(name, dtype, rng):
    layer = make("conv2d", dtype, rng, in_ch=2, out_ch=3, k=3, padding=1, activation=name)

    def conv(x, weights, bias):
        return counterparts.ACTIVATIONS[name](F.conv2d(x, weights, bias, padding=1))

    compare(layer, conv, normal(rng, (3, 2, 7, 5), dtype), rng)


@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 1, 2, 1), (2, (1, 0), 1, 2), ((1, 3), 2, (2, 1), 4)])
def test_conv2d_dilation_and_groups(stride, padding, dilation, groups, dtype, isa, rng):
    steps = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = make("conv2d", dtype, rng, in_ch=4, out_ch=8, k=(3, 2), **steps, activation="linear")

    def conv(x, weights, bias):
        return F.conv2d(x, weights, bias, stride, padding, dilation, groups)

    compare(layer, conv, normal(rng, (2, 4, 9, 11), dtype), rng)


@pytest.mark.parametrize("depth_multiplier", [1, 3])
def test_depthwiseconv2d(depth_multiplier, dtype, isa, rng):
    settings = {"in_ch": 5, "k": 3, "depth_multiplier": depth_multiplier, "padding": 1}
    layer = make("depthwiseconv2d", dtype, rng, **settings, activation="linear")

    def conv(x, weights, bias):
        return F.conv2d(x, weights, bias, padding=1, groups=5)

    compare(layer, conv, normal(rng, (2, 5, 7, 9), dtype), rng)


@pytest.mark.parametrize("stride, padding, dilation, groups", [(1, 0, 1, 1), (2, 1, 1, 2), (3, 2, 2, 4)])
def test_conv1d(stride, padding, dilation, groups, dtype, isa, rng):
    steps = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = make("conv1d", dtype, rng, in_ch=4, out_ch=8, k=3, **steps, activation="linear")

    def conv(x, weights, bias):
        return F.conv1d(x, weights, bias, stride, padding, dilation, groups)

    compare(layer, conv, normal(rng, (3, 4, 17), dtype), rng)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding, output_padding", [(0, 0), (1, 0), ((0, 1), (1, 0))])
@pytest.mark.parametrize("dilation, groups", [(1, 1), (2, 1), (2, 2)])
def test_convtranspose2d(stride, padding, output_padding, dilation, groups, dtype, isa, rng):
    if stride == dilation == 1 and output_padding:
        return  # which neither side takes
    steps = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    layer = make("convtranspose2d", dtype, rng, in_ch=4, out_ch=6, k=(3, 2), **steps, groups=groups, activation="tanh")

    def conv(x, weights, bias):
        y = F.conv_transpose2d(x, weights, bias, stride, padding, output_padding, groups, dilation)
        return torch.tanh(y)

    compare(layer, conv, normal(rng, (2, 4, 5, 7), dtype), rng)


PLANES = [(1, 1, 3, 3), (2, 3, 7, 5), (3, 2, 6, 9), (1, 5, 13, 11), (2, 2, 8, 33)]


@pytest.mark.parametrize("shape", PLANES, ids=str)
@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("values", ["normal", "ties", "all equal"])
def test_maxpool2d(shape, p, values, dtype, isa, rng):
    # Of equal maxima both send the gradient to the first in row-major order.
    x = normal(rng, shape, dtype)
    if values != "normal":
        x = rng.integers(0, 3 if values == "ties" else 1, shape).astype(dtype)
    compare(make("maxpool2d", dtype, rng, p=p), lambda x: F.max_pool2d(x, p), x, rng, ulps=0)


@pytest.mark.parametrize("shape", PLANES, ids=str)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_avgpool2d(shape, p, dtype, isa, rng):
    compare(make("avgpool2d", dtype, rng, p=p), lambda x: F.avg_pool2d(x, p), normal(rng, shape, dtype), rng, ulps=4)


FEATURES = [(2, 1), (5, 3), (33, 17), (2, 3, 5, 7), (1, 2, 3, 3), (7, 9, 11, 1)]


@pytest.mark.parametrize("shape", FEATURES, ids=str)
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_batchnorm_training(shape, offset, dtype, isa, rng):
    layer = make("batchnorm", dtype, rng, num_features=shape[1])
    x = normal(rng, shape, dtype) + dtype.type(offset)

    def batchnorm(x, gamma, beta):
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)

    compare(layer, batchnorm, x, rng, ulps=ULPS * (1 + offset))


@pytest.mark.parametrize("shape", FEATURES, ids=str)
@pytest.mark.parametrize("momentum", [0.1, 0.3, 1.0])
def test_batchnorm_running_statistics(shape, momentum, dtype, rng):
    # The running variance is that of the batch as it was normalised with, biased; PyTorch keeps the unbiased one.
    layer = make("batchnorm", dtype, rng, num_features=shape[1], momentum=momentum)
    mean, var = tensor(np.zeros(shape[1], dtype), learn=False), tensor(np.ones(shape[1], dtype), learn=False)
    steps, m = 4, int(np.prod(shape)) // shape[1]
    for _ in range(steps):
        x = 2 * normal(rng, shape, dtype) + dtype.type(1.5)
        F.batch_norm(tensor(x, learn=False), mean, var, training=True, momentum=momentum)
        layer.forward(x, Mode(training=True))
    start = (1 - momentum) ** steps  # what is left of the initial variance of 1
    assert_close(layer["running_mean"], mean, ULPS)
    assert_close(layer["running_var"], (var - start) * ((m - 1) / m) + start, ULPS)


@pytest.mark.parametrize("shape", FEATURES, ids=str)
@pytest.mark.parametrize("how", ["inference", "frozen"])
def test_batchnorm_with_running_statistics(shape, how, dtype, isa, rng):
    layer = make("batchnorm", dtype, rng, num_features=shape[1], epsilon=1e-3)
    layer["running_mean"] = rng.normal(size=shape[1])
    layer["running_var"] = rng.uniform(0.01, 3, shape[1])
    mean, var = tensor(layer["running_mean"], learn=False), tensor(layer["running_var"], learn=False)

    def batchnorm(x, gamma, beta):
        return F.batch_norm(x, mean, var, gamma, beta, training=False, eps=1e-3)

    x = normal(rng, shape, dtype)
    if how == "inference":
        compare(layer, batchnorm, x, rng, training=False)
        return
    layer.frozen = True
    theirs = tensor(x)
    y, saved = layer.forward(x, Mode(training=True))
    dy = normal(rng, shape, dtype)
    theirs_y = batchnorm(theirs, tensor(layer["gamma"]), tensor(layer["beta"]))
    theirs_y.backward(tensor(dy, learn=False))
    assert_close(y, theirs_y, ULPS)
    assert_close(layer.backward(dy, saved), theirs.grad, ULPS)


@pytest.mark.parametrize(
    "normalized, shape", [(5, (3, 5)), (5, (2, 3, 5)), ((3, 4, 5), (2, 3, 4, 5)), ((7, 33), (4, 7, 33))]
)
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_layernorm(normalized, shape, offset, dtype, isa, rng):
    layer = make("layernorm", dtype, rng, normalized_shape=normalized)
    sizes = normalized if isinstance(normalized, tuple) else (normalized,)

    def function(x, gamma, beta):
        return F.layer_norm(x, sizes, gamma, beta, eps=1e-5)

    compare(layer, function, normal(rng, shape, dtype) + dtype.type(offset), rng, ulps=ULPS * (1 + offset))


@pytest.mark.parametrize("shape", [(2, 6, 4, 5), (3, 6, 7), (4, 6, 3), (1, 6, 1, 33)])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_groupnorm(shape, groups, dtype, isa, rng):
    layer = make("groupnorm", dtype, rng, num_groups=groups, num_channels=6)

    def function(x, gamma, beta):
        return F.group_norm(x, groups, gamma, beta, eps=1e-5)

    compare(layer, function, normal(rng, shape, dtype), rng)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 4, 7), (1, 2, 1, 33)])
def test_instancenorm(shape, dtype, isa, rng):
    layer = make("instancenorm", dtype, rng, num_features=shape[1])

    def function(x, gamma, beta):
        return F.instance_norm(x, weight=gamma, bias=beta, eps=1e-5)

    compare(layer, function, normal(rng, shape, dtype), rng)


#: (batch, channels, height, width), bins down and across
BINS = [((2, 3, 7, 5), (3, 2)), ((1, 2, 33, 9), (5, 9)), ((2, 1, 2, 3), (5, 4)), ((3, 2, 8, 8), (4, 4))]


@pytest.mark.parametrize("shape, size", BINS, ids=str)
def test_adaptive_avgpool2d(shape, size, dtype, isa, rng):
    layer = make("adaptive_avgpool2d", dtype, rng, output_size=size)
    compare(layer, lambda x: F.adaptive_avg_pool2d(x, size), normal(rng, shape, dtype), rng, ulps=8)


@pytest.mark.parametrize("shape, size", BINS, ids=str)
@pytest.mark.parametrize("values", ["normal", "ties"])
def test_adaptive_maxpool2d(shape, size, values, dtype, isa, rng):
    x = normal(rng, shape, dtype) if values == "normal" else rng.integers(0, 3, shape).astype(dtype)
    layer = make("adaptive_maxpool2d", dtype, rng, output_size=size)
    compare(layer, lambda x: F.adaptive_max_pool2d(x, size), x, rng, ulps=4)


@pytest.mark.parametrize("shape", PLANES, ids=str)
def test_globalavgpool2d(shape, dtype, isa, rng):
    layer = make("globalavgpool2d", dtype, rng)
    compare(layer, lambda x: F.adaptive_avg_pool2d(x, 1), normal(rng, shape, dtype), rng, ulps=8)


@pytest.mark.parametrize("shape", PLANES, ids=str)
def test_globalmaxpool2d(shape, dtype, isa, rng):
    layer = make("globalmaxpool2d", dtype, rng)
    compare(layer, lambda x: F.adaptive_max_pool2d(x, 1), normal(rng, shape, dtype), rng, ulps=0)


@pytest.mark.parametrize("shape", PLANES, ids=str)
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upsample2d(shape, scale, dtype, rng):
    layer = make("upsample2d", dtype, rng, scale_factor=scale)
    compare(layer, lambda x: F.interpolate(x, scale_factor=scale), normal(rng, shape, dtype), rng, ulps=8)


@pytest.mark.parametrize("connectivity", [0.2, 0.5, 1.0])
def test_sparse(connectivity, dtype, rng):
    layer = make("sparse", dtype, rng, n_in=17, n_out=9, connectivity=connectivity, activation="tanh")
    mask = tensor(layer["mask"], learn=False)

    def masked(x, weights, bias):
        return torch.tanh(F.linear(x, weights * mask, bias))

    compare(layer, masked, normal(rng, (5, 17), dtype), rng)


@pytest.mark.parametrize("shape", [(7, 4), (1, 1), (64, 32)])
def test_embedding(shape, dtype, isa, rng):
    layer = make("embedding", dtype, rng, vocab_size=50, embed_dim=19)
    ids, dy = rng.integers(0, 50, shape), normal(rng, (*shape, 19), dtype)
    theirs = tensor(layer["weights"])
    theirs_y = F.embedding(torch.tensor(ids), theirs)
    theirs_y.backward(tensor(dy, learn=False))
    y, saved = layer.forward(ids, Mode(training=True))
    layer.backward(dy, saved)
    assert_close(y, theirs_y, 0)
    assert_close(layer["d_weights"], theirs.grad, ULPS)


def test_embedding_update_is_that_of_sparse_adam(dtype, rng):
    """PyTorch's SparseAdam also moves the rows of the batch alone; it decays as ours where every step sees a row."""
    eps = 1e-20  # which stands elsewhere in theirs
    net = NeuralNet(0.05, optim.Adam(epsilon=eps), l2_lambda=0.0, dtype=dtype, rng=0).add_embedding(12, 5)
    table = torch.nn.Embedding(12, 5, sparse=True, _weight=tensor(net.layers[0]["weights"], learn=False).clone())
    theirs = torch.optim.SparseAdam(table.parameters(), lr=0.05, eps=eps)
    for _ in range(6):
        ids, dy = rng.integers(0, 12, (3, 2)), normal(rng, (3, 2, 5), dtype)
        net.Forward(ids, training=True)
        net.Backward(output_gradient=dy)
        net.update()
        theirs.zero_grad()
        table(torch.tensor(ids)).backward(tensor(dy, learn=False))
        theirs.step()
    assert_close(net.layers[0]["weights"], table.weight, 1e4)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 7), (1, 2, 1, 3)])
def test_flatten(shape, dtype, rng):
    compare(make("flatten", dtype, rng), lambda x: torch.flatten(x, 1), normal(rng, shape, dtype), rng, ulps=0)


@pytest.mark.parametrize("name", counterparts.ACTIVATIONS)
@pytest.mark.parametrize("shape", [(3, 7), (2, 3, 5), (2, 3, 5, 4)])
def test_activation(name, shape, dtype, rng):
    layer = make("activation", dtype, rng, activation=name)
    compare(layer, counterparts.ACTIVATIONS[name], normal(rng, shape, dtype), rng, ulps=8)


@pytest.mark.parametrize("training", [True, False])
def test_dropout(training, dtype, rng):
    # Random numbers differ, so PyTorch gets the mask that was drawn; what is left is the scaling and the gradient.
    layer, x = make("dropout", dtype, rng, rate=0.4), normal(rng, (7, 65), dtype)
    y, saved = layer.forward(x, Mode(training, rng))
    kept = tensor((y != 0).astype(dtype), learn=False)
    theirs = tensor(x)
    theirs_y = theirs * kept / 0.6 if training else F.dropout(theirs, 0.4, training=False)
    assert 0.5 < float(kept.mean()) < 0.7 or not training
    dy = normal(rng, x.shape, dtype)
    theirs_y.backward(tensor(dy, learn=False))
    assert_close(y, theirs_y, 4)
    assert_close(layer.backward(dy, saved), theirs.grad, 4)


def compare_container(layer, function, x, rng):
    """``compare`` with random parameters; those inside are handed to ``function`` in order, weights then bias."""
    for parameter in layer.parameters.values():
        parameter.value[...] += 0.3 * rng.normal(size=parameter.value.shape)
    compare(layer, lambda x, **parameters: function(x, *parameters.values()), x, rng)


def image_conv(in_ch, out_ch, dtype, activation="tanh"):
    return Conv2D(in_ch, out_ch, 3, activation, padding=1, dtype=dtype, rng=0)


def test_sequential(dtype, rng):
    layer = Sequential([Dense(5, 7, "tanh", dtype=dtype, rng=0), Dense(7, 3, "softmax", dtype=dtype, rng=1)])

    def chain(x, w1, b1, w2, b2):
        return torch.softmax(F.linear(torch.tanh(F.linear(x, w1, b1)), w2, b2), -1)

    compare_container(layer, chain, normal(rng, (6, 5), dtype), rng)


def test_residual_blocks_back_to_back(dtype, rng):
    blocks = Sequential([Residual(image_conv(3, 3, dtype)), Residual(image_conv(3, 3, dtype))])

    def chain(x, w1, b1, w2, b2):
        x = x + torch.tanh(F.conv2d(x, w1, b1, padding=1))
        return x + torch.tanh(F.conv2d(x, w2, b2, padding=1))

    compare_container(blocks, chain, normal(rng, (2, 3, 6, 7), dtype), rng)


def test_residual_with_a_shortcut(dtype, rng):
    shortcut = Conv2D(2, 4, 1, "linear", stride=2, dtype=dtype, rng=0)
    layer = Residual(Conv2D(2, 4, 3, "tanh", stride=2, padding=1, dtype=dtype, rng=1), shortcut=shortcut)

    def block(x, w, b, ws, bs):
        return torch.tanh(F.conv2d(x, w, b, 2, 1)) + F.conv2d(x, ws, bs, 2)

    compare_container(layer, block, normal(rng, (2, 2, 7, 6), dtype), rng)


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concat(axis, dtype, rng):
    layer = Concat(image_conv(2, 2, dtype), None, [image_conv(2, 3, dtype), image_conv(3, 2, dtype)], axis=axis)

    def branches(x, w1, b1, w2, b2, w3, b3):
        second = torch.tanh(F.conv2d(torch.tanh(F.conv2d(x, w2, b2, padding=1)), w3, b3, padding=1))
        return torch.cat([torch.tanh(F.conv2d(x, w1, b1, padding=1)), x, second], axis)

    compare_container(layer, branches, normal(rng, (2, 2, 5, 4), dtype), rng)
