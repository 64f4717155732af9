"""The add_ verbs: what they build, and the sizes that follow from the layers before."""

import copy
import inspect
import pickle

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.builder import Builder
from enilnets.errors import ConfigError, DTypeError, EnilnetsError, ShapeError
from enilnets.layers import Dense, Flatten
from enilnets.storage.layers import described

#: Every verb whose layer has an input size: the shape of a sample, and arguments without and with that size.
VERBS = {
    "add_dense": ((7,), {"n_out": 3}, {"n_in": 7}),
    "add_sparse": ((7,), {"n_out": 3}, {"n_in": 7}),
    "add_conv2d": ((2, 8, 9), {"out_ch": 3, "k": 3}, {"in_ch": 2}),
    "add_conv1d": ((2, 9), {"out_ch": 3, "k": 3}, {"in_ch": 2}),
    "add_depthwise_conv2d": ((2, 8, 9), {"k": 3}, {"in_ch": 2}),
    "add_conv_transpose2d": ((2, 8, 9), {"out_ch": 3, "k": 3}, {"in_ch": 2}),
    "add_batchnorm": ((2, 8, 9), {}, {"num_features": 2}),
    "add_layernorm": ((2, 8, 9), {}, {"normalized_shape": 2}),
    "add_groupnorm": ((4, 8, 9), {"num_groups": 2}, {"num_channels": 4}),
    "add_instancenorm": ((2, 8, 9), {}, {"num_features": 2}),
    "add_rnn": ((6, 7), {"hidden_size": 3, "return_sequences": True}, {"n_in": 7}),
    "add_lstm": ((6, 7), {"hidden_size": 3, "return_sequences": True}, {"n_in": 7}),
    "add_gru": ((6, 7), {"hidden_size": 3, "return_sequences": True}, {"n_in": 7}),
    "add_bidirectional_rnn": ((6, 7), {"hidden_size": 3, "return_sequences": True}, {"n_in": 7}),
    "add_bidirectional_lstm": ((6, 7), {"hidden_size": 3, "return_sequences": True}, {"n_in": 7}),
    "add_bidirectional_gru": ((6, 7), {"hidden_size": 3, "return_sequences": True}, {"n_in": 7}),
}
#: Those of layers that take any.
OTHERS = {
    "add_flatten": (2, 8, 9),
    "add_maxpool2d": (2, 8, 9),
    "add_avgpool2d": (2, 8, 9),
    "add_global_avgpool2d": (2, 8, 9),
    "add_global_maxpool2d": (2, 8, 9),
    "add_adaptive_avgpool2d": (2, 8, 9),
    "add_adaptive_maxpool2d": (2, 8, 9),
    "add_upsample2d": (2, 8, 9),
    "add_embedding": (5,),
    "add_dropout": (5,),
    "add_activation": (5,),
    "add_residual": (5,),
    "add_concat": (5,),
}


def linear(block):
    return block.add_dense(n_out=5, activation="linear")


def test_every_verb_is_here():
    assert {name for name in vars(Builder) if name.startswith("add_")} == {*VERBS, *OTHERS}


@pytest.mark.parametrize("verb", VERBS)
def test_the_size_of_the_input_may_be_left_out(verb):
    shape, arguments, size = VERBS[verb]
    explicit = getattr(NeuralNet(rng=0), verb)(**size, **arguments)
    inferred = getattr(NeuralNet(rng=0), verb)(**arguments, input_shape=shape)
    for net in (explicit, inferred):
        getattr(net, verb)(**arguments)
    for a, b in zip(explicit.layers, inferred.layers, strict=True):
        assert described(a) == described(b)
    assert np.array_equal(explicit.arena.values, inferred.arena.values)
    assert inferred.input_shape == shape and explicit.input_shape is None


@pytest.mark.parametrize("verb", OTHERS)
def test_any_layer_may_be_the_first(verb):
    shape = OTHERS[verb]
    arguments = {
        "add_residual": [linear],
        "add_concat": [linear],
        "add_adaptive_avgpool2d": [2],
        "add_adaptive_maxpool2d": [2],
        "add_embedding": [9, 4],
    }
    net = getattr(NeuralNet(rng=0), verb)(*arguments.get(verb, []), input_shape=shape).add_flatten().add_dense(n_out=3)
    assert net.predict(np.zeros((4, *shape))).shape == (4, 3)


@pytest.mark.contract("L1", "L3", "L6", "L7", "L10", "L12")
def test_documented_order_of_arguments():
    net = NeuralNet(rng=0).add_conv2d(1, 2, 3, "tanh", "zeros", 2).add_batchnorm(2, 1e-3, 0.2).add_maxpool2d(2)
    net.add_avgpool2d(1).add_flatten().add_dropout(0.25).add_dense(18, 4, "linear", "ones", False)
    wanted = [
        {"in_ch": 1, "out_ch": 2, "k": 3, "activation": "tanh", "init_method": "zeros", "stride": 2},
        {"num_features": 2, "epsilon": 1e-3, "momentum": 0.2},
        {"p": 2},
        {"p": 1},
        {},
        {"rate": 0.25},
        {"n_in": 18, "n_out": 4, "activation": "linear", "init_method": "ones", "use_bias": False},
    ]
    for layer, settings in zip(net.layers, wanted, strict=True):
        assert settings.items() <= layer.config().items()
        assert all(layer[name] == value for name, value in settings.items())
    defaults = {
        "add_dense": {"activation": "relu", "init_method": "xavier_uniform", "use_bias": True},
        "add_conv2d": {"activation": "relu", "init_method": "he_normal", "stride": 1, "padding": 0},
        "add_maxpool2d": {"pool_size": 2},
        "add_avgpool2d": {"pool_size": 2},
        "add_batchnorm": {"epsilon": 1e-5, "momentum": 0.1},
        "add_dropout": {"rate": 0.5},
    }
    for verb, expected in defaults.items():
        parameters = inspect.signature(getattr(NeuralNet, verb)).parameters
        assert expected.items() <= {name: p.default for name, p in parameters.items()}.items()


def test_shapes_are_followed_through_everything(rng):
    net = NeuralNet(rng=0).add_conv2d(out_ch=4, k=(3, 2), stride=2, input_shape=(3, 17, 16)).add_batchnorm()
    net.add_activation().add_depthwise_conv2d(k=3, depth_multiplier=2, padding="same").add_maxpool2d()
    net.add_conv_transpose2d(out_ch=5, k=2, stride=2)
    net.add_residual(lambda block: block.add_conv2d(out_ch=5, k=3, padding="same").add_batchnorm())
    net.add_concat(None, lambda branch: branch.add_conv2d(out_ch=2, k=1), lambda branch: branch.add_batchnorm())
    net.add_flatten().add_dense(n_out=6).add_batchnorm().add_dropout().add_dense(n_out=2)
    names = [layer.name for layer in net.layers]
    # 17 x 16 -> 8 x 8 -> 4 x 4 -> 8 x 8, with 5 + 2 + 5 channels in the end
    assert names[3] == "DepthwiseConv2D(4 -> 8, 3x3)" and names[5] == "ConvTranspose2D(8 -> 5, 2x2)"
    assert names[9] == "Dense(768 -> 6)" and names[-1] == "Dense(6 -> 2)"
    assert net.Forward(rng.normal(size=(2, 3, 17, 16)), training=True).shape == (2, 2)


def test_sizes_follow_where_shapes_are_not_known():
    net = NeuralNet(rng=0).add_conv2d(3, 8, 3).add_maxpool2d().add_dropout().add_conv2d(out_ch=4, k=1).add_batchnorm()
    net.add_residual(lambda block: block.add_conv2d(out_ch=4, k=3, padding="same"))
    net.add_concat(None, lambda branch: branch.add_conv2d(out_ch=2, k=1)).add_conv2d(out_ch=1, k=1)
    assert [layer.in_ch for layer in net.layers if layer.type == "conv2d"] == [3, 8, 6]
    assert NeuralNet().add_dense(4, 6).add(Dense(6, 5)).add_dense(n_out=3).layers[-1].n_in == 5


def test_tokens_and_normalised_features():
    net = NeuralNet(rng=0).add_embedding(50, 8, input_shape=(6,)).add_layernorm().add_dense(n_out=5).add_layernorm()
    net.add_flatten().add_dense(n_out=3)
    assert [layer.n_in for layer in net.layers if layer.type == "dense"] == [8, 30]
    assert net.layers[1]["normalized_shape"] == 8 and net.predict(np.ones((2, 6), int)).shape == (2, 3)
    assert NeuralNet().add_embedding(50, 8).add_layernorm().add_dense(n_out=5).layers[-1].n_in == 8


def test_sequences_of_features_and_of_channels():
    net = NeuralNet(rng=0).add_dense(n_out=4, input_shape=(7, 3)).add_dense(n_out=2)
    assert net.predict(np.zeros((5, 7, 3))).shape == (5, 7, 2)
    net = NeuralNet(rng=0).add_conv1d(out_ch=4, k=3, input_shape=(2, 9)).add_conv1d(out_ch=3, k=2, dilation=2)
    assert net.add_flatten().add_dense(n_out=2).layers[-1].n_in == 15


@pytest.mark.parametrize(
    "build, error, words",
    [
        (lambda net: net.add_dense(n_out=3), ConfigError, r"add_dense\(n_in\).*pass n_in=, or input_shape="),
        (lambda net: net.add_dense(64), ConfigError, r"add_dense\(n_out\).*add_dense\(n_out=...\)"),
        (lambda net: net.add_conv2d(out_ch=3, k=3), ConfigError, r"add_conv2d\(in_ch\).*input_shape="),
        (lambda net: net.add_conv2d(3, 3), ConfigError, r"add_conv2d\(k\)"),
        (lambda net: net.add_batchnorm(), ConfigError, r"num_features.*input_shape="),
        (lambda net: net.add_residual(linear), ConfigError, r"n_in.*input_shape="),
        (lambda net: net.add_residual(Dense(2, 2)), ConfigError, r"layers\.Residual"),
        (lambda net: net.add_residual(lambda block: None), ConfigError, "at least one layer"),
        (lambda net: net.add_dense(3, 4, input_shape=(5,)), ShapeError, r"Dense\(3 -> 4\).*\(batch, 5\)"),
        (lambda net: net.add_dense(n_out=4, input_shape=(1, 28, 28)), ShapeError, "Flatten"),
        (lambda net: net.add_conv2d(out_ch=4, k=3, input_shape=(28, 28)), ShapeError, "channels, height, width"),
        (lambda net: net.add_conv2d(out_ch=4, k=5, input_shape=(1, 4, 4)), ShapeError, "padding="),
        (lambda net: net.add_dense(n_out=4, input_shape=784), ConfigError, r"such as \(784,\)"),
        (lambda net: net.add_dense(n_out=4, input_shape=()), ConfigError, r"such as \(784,\)"),
        (lambda net: net.add_dense(n_out=4, input_shape=(0,)), ConfigError, "input_shape"),
        (lambda net: net.add_dense(n_out=4, input_shape=(2.0,)), ConfigError, "input_shape"),
        (lambda net: net.add_dense(n_out=4, input_shape="784"), ConfigError, "input_shape"),
    ],
)
def test_refusals_leave_an_empty_network(build, error, words):
    net = NeuralNet(rng=0)
    with pytest.raises(error, match=words):
        build(net)
    assert net.layers == [] and len(net.arena) == 0 and net.input_shape is None
    assert net.add_dense(n_out=2, input_shape=(3,)).predict(np.zeros((1, 3))).shape == (1, 2)


def test_what_does_not_fit_is_refused_at_once_where_shapes_are_known():
    net = NeuralNet(rng=0).add_conv2d(out_ch=2, k=3, input_shape=(1, 6, 6))
    for build in (
        lambda: net.add_dense(n_out=3),
        lambda: net.add_conv2d(3, 3, 1),
        lambda: net.add_maxpool2d(5),
        lambda: net.add_batchnorm(4),
        lambda: net.add_residual(lambda block: block.add_conv2d(out_ch=2, k=3)),
        lambda: net.add_flatten(input_shape=(1, 6, 6)),
    ):
        with pytest.raises(EnilnetsError):
            build()
        assert len(net.layers) == 1 and len(net.arena.parameters) == 2
    assert net.add_flatten().add_dense(n_out=2).layers[-1].n_in == 32


def test_behind_a_flatten_the_width_must_be_known():
    net = NeuralNet(rng=0).add_conv2d(1, 2, 3).add_flatten()
    with pytest.raises(ConfigError, match=r"pass n_in=, or input_shape= to the first layer"):
        net.add_dense(n_out=3)
    assert net.add_dense(32, 3).add_dense(n_out=2).layers[-1].n_in == 3


def test_copies_and_files_know_the_shapes(tmp_path):
    net = NeuralNet(rng=0).add_conv2d(out_ch=2, k=3, input_shape=(1, 6, 5))
    net.Save(tmp_path / "net.safetensors")
    loaded = NeuralNet(rng=0).add_dense(n_out=3, input_shape=(4,)).Load(tmp_path / "net.safetensors")
    for twin in (net, net.copy(), copy.deepcopy(net), pickle.loads(pickle.dumps(net)), loaded):
        assert twin.input_shape == (1, 6, 5)
        assert twin.add_flatten().add_dense(n_out=3).layers[-1].n_in == 24


def test_layers_inside_have_the_dtype_and_the_rng_of_the_network():
    def build(rng):
        net = NeuralNet(dtype="float32", rng=rng).add_dense(n_out=5, input_shape=(5,))
        return net.add_residual(linear, shortcut=linear).add_concat(linear, None)

    first, second, third = build(1), build(1), build(2)
    assert first.arena.dtype == np.float32 and all(layer.dtype == np.float32 for layer in first.layers)
    assert np.array_equal(first.arena.values, second.arena.values)
    assert not np.array_equal(first.arena.values, third.arena.values)
    assert not np.array_equal(first.layers[1]["0.weights"], first.layers[1]["shortcut.0.weights"])
    assert np.shares_memory(first.layers[1]["0.weights"], first.arena.values)


def test_a_layer_of_another_dtype_is_refused_by_its_dtype():
    with pytest.raises(DTypeError, match="a float32 layer, got float64"):
        NeuralNet(dtype="float32").add(Flatten())


@pytest.mark.parametrize(
    "build, words",
    [
        (lambda net: net.add_dense(6, 3), "Dense"),
        (lambda net: net.add_sparse(6, 3), "Sparse"),
        (lambda net: net.add_dense(5, 3, input_shape="abc"), "input_shape"),
        (lambda net: net.add_embedding(5, 3, input_shape="abc"), "input_shape"),
        (lambda net: net.add_conv2d(1, 3, 3), "Conv2D"),
        (lambda net: net.add_depthwise_conv2d(1, 3), "Conv2D"),
        (lambda net: net.add_conv_transpose2d(1, 3, 3), "Conv"),
        (lambda net: net.add_conv1d(1, 3, 3), "Conv1D"),
        (lambda net: net.add_residual(linear, shortcut="abc"), r"add_residual\(shortcut\)"),
        (lambda net: net.add_residual("abc"), r"add_residual\(build\)"),
        (lambda net: net.add_concat(linear, "abc"), r"add_concat\(branches\)"),
        (lambda net: net.add_concat(linear, axis="abc"), "axis"),
    ],
)
def test_a_refused_layer_has_drawn_no_random_numbers(build, words):
    net = NeuralNet(rng=0).add_dense(n_out=5, input_shape=(4,))
    before = net.rng.bit_generator.state
    with pytest.raises(EnilnetsError, match=words):
        build(net)
    assert net.rng.bit_generator.state == before and len(net.layers) == 1
