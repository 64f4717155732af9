"""What every layer must do; runs over LAYERS, so a new layer is tested by entering the table and EXAMPLES."""

import copy
import inspect

import numpy as np
import pytest

from enilnets.errors import ConfigError, EnilnetsError, ShapeError
from enilnets.layers import (
    LAYERS,
    Activation,
    BatchNorm,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Mode,
    Residual,
    Sequential,
)
from enilnets.net import NeuralNet
from enilnets.ops.activation import ACTIVATIONS
from enilnets.parameters import Table
from enilnets.storage.layers import described
from tests.gradients import check_direction


class Ids(tuple):
    """Shape of samples that are ids below ``n``."""

    def __new__(cls, shape, n):
        ids = super().__new__(cls, shape)
        ids.n = n
        return ids


#: Per type: constructor arguments and sample shapes to run with. Sizes differ along every axis, so that none can be
#: taken for another.
#: Layers made of layers are given as functions of the dtype.
EXAMPLES = {
    "dense": [
        *[({"n_in": 5, "n_out": 3, "activation": name}, (5,)) for name in ACTIVATIONS],
        ({"n_in": 4, "n_out": 4, "activation": "tanh", "use_bias": False}, (4,)),
        ({"n_in": 1, "n_out": 1, "activation": "linear"}, (1,)),
        ({"n_in": 5, "n_out": 3, "activation": "gelu"}, (7, 5)),
        ({"n_in": 5, "n_out": 3, "activation": "leakyrelu", "activation_params": {"alpha": 0.3}}, (5,)),
        ({"n_in": 5, "n_out": 3, "activation": "swish", "activation_params": {"beta": 1.7}}, (5,)),
    ],
    "sparse": [
        *[({"n_in": 5, "n_out": 3, "activation": name}, (5,)) for name in ACTIVATIONS],
        ({"n_in": 4, "n_out": 6, "connectivity": 0.2, "activation": "tanh"}, (3, 4)),
        ({"n_in": 3, "n_out": 2, "connectivity": 0.0, "activation": "linear"}, (3,)),
        ({"n_in": 3, "n_out": 2, "connectivity": 1.0, "activation": "linear"}, (3,)),
        ({"n_in": 5, "n_out": 3, "activation": "leakyrelu", "activation_params": {"alpha": 0.3}}, (5,)),
    ],
    "conv2d": [
        *[
            ({"in_ch": 2, "out_ch": 3, "k": 3, "activation": name}, (2, 7, 6))
            for name in ACTIVATIONS
            if name != "softmax"
        ],
        ({"in_ch": 1, "out_ch": 5, "k": 2, "activation": "tanh", "stride": 2}, (1, 7, 8)),
        ({"in_ch": 3, "out_ch": 2, "k": 3, "activation": "tanh", "padding": 2}, (3, 4, 5)),
        ({"in_ch": 2, "out_ch": 2, "k": 5, "activation": "tanh", "padding": "same"}, (2, 6, 7)),
        ({"in_ch": 2, "out_ch": 2, "k": 3, "activation": "tanh", "stride": 2, "padding": "same"}, (2, 8, 7)),
        ({"in_ch": 2, "out_ch": 4, "k": 1, "activation": "linear"}, (2, 3, 5)),
        ({"in_ch": 2, "out_ch": 3, "k": 2, "activation": "elu", "activation_params": {"alpha": 0.4}}, (2, 3, 5)),
        ({"in_ch": 4, "out_ch": 6, "k": (3, 2), "activation": "tanh", "groups": 2, "dilation": 2}, (4, 7, 6)),
        ({"in_ch": 2, "out_ch": 3, "k": 2, "activation": "tanh", "stride": (2, 1), "padding": (0, 1)}, (2, 5, 3)),
    ],
    "conv1d": [
        ({"in_ch": 2, "out_ch": 3, "k": 3}, (2, 7)),
        ({"in_ch": 4, "out_ch": 2, "k": 2, "activation": "tanh", "stride": 2, "padding": 1, "groups": 2}, (4, 6)),
        ({"in_ch": 3, "out_ch": 2, "k": 3, "activation": "gelu", "padding": "same", "dilation": 2}, (3, 8)),
    ],
    "depthwiseconv2d": [
        ({"in_ch": 3, "k": 3}, (3, 5, 6)),
        ({"in_ch": 2, "k": (2, 3), "depth_multiplier": 3, "activation": "tanh", "stride": 2, "padding": 1}, (2, 5, 6)),
    ],
    "convtranspose2d": [
        ({"in_ch": 2, "out_ch": 3, "k": 3}, (2, 4, 5)),
        ({"in_ch": 3, "out_ch": 2, "k": (2, 3), "activation": "tanh", "stride": 2, "padding": (0, 1)}, (3, 3, 4)),
        (
            {"in_ch": 4, "out_ch": 6, "k": 3, "activation": "gelu", "stride": (2, 3), "output_padding": 1, "groups": 2},
            (4, 3, 2),
        ),
        ({"in_ch": 1, "out_ch": 2, "k": 2, "activation": "linear", "dilation": 2, "output_padding": 1}, (1, 3, 4)),
    ],
    "flatten": [({}, (2, 3, 4)), ({}, (5,))],
    "maxpool2d": [({"p": 2}, (3, 6, 4)), ({"p": 3}, (2, 7, 8)), ({"p": 1}, (1, 2, 3))],
    "avgpool2d": [({"p": 2}, (3, 6, 4)), ({"p": 3}, (2, 7, 8))],
    "globalavgpool2d": [({}, (3, 6, 4)), ({}, (1, 1, 5))],
    "globalmaxpool2d": [({}, (3, 6, 4)), ({}, (1, 1, 5))],
    "adaptive_avgpool2d": [({"output_size": 3}, (2, 7, 5)), ({"output_size": (1, 4)}, (1, 3, 2))],
    "adaptive_maxpool2d": [({"output_size": 3}, (2, 7, 5)), ({"output_size": (1, 4)}, (1, 3, 2))],
    "upsample2d": [({}, (2, 3, 4)), ({"scale_factor": 3}, (1, 2, 5)), ({"scale_factor": 1}, (3, 1, 2))],
    "layernorm": [
        ({"normalized_shape": 6}, (6,)),
        ({"normalized_shape": 5}, (3, 5)),
        ({"normalized_shape": 3}, (3, 4, 5)),
        ({"normalized_shape": (3, 4, 5)}, (3, 4, 5)),
        ({"normalized_shape": (4, 6), "epsilon": 1e-2}, (4, 6)),
        ({"normalized_shape": (7,)}, (2, 7)),
    ],
    "groupnorm": [
        ({"num_groups": 2, "num_channels": 6}, (6, 4, 3)),
        ({"num_groups": 3, "num_channels": 6}, (6, 5)),
        ({"num_groups": 1, "num_channels": 4}, (4,)),
    ],
    "instancenorm": [({"num_features": 3}, (3, 4, 5)), ({"num_features": 2}, (2, 7))],
    "embedding": [
        ({"vocab_size": 7, "embed_dim": 3}, Ids((5,), 7)),
        ({"vocab_size": 50, "embed_dim": 4, "init_method": "xavier_uniform"}, Ids((), 50)),
        ({"vocab_size": 1, "embed_dim": 1}, Ids((2,), 1)),
    ],
    "batchnorm": [({"num_features": 6}, (6,)), ({"num_features": 3}, (3, 4)), ({"num_features": 3}, (3, 4, 5))],
    "dropout": [({"rate": 0.4}, (9,)), ({"rate": 0.5}, (2, 3, 4)), ({"rate": 0.0}, (3,))],
    "activation": [
        *[({"activation": name}, (5,)) for name in ACTIVATIONS],
        ({"activation": "elu", "activation_params": {"alpha": 0.4}}, (5,)),
    ],
    "rnn": [
        ({"n_in": 2, "hidden_size": 3}, (4, 2)),
        ({"n_in": 3, "hidden_size": 4, "activation": "relu", "return_sequences": True}, (5, 3)),
        ({"n_in": 1, "hidden_size": 1, "bidirectional": True}, (1, 1)),
    ],
    "lstm": [
        ({"n_in": 3, "hidden_size": 4}, (5, 3)),
        ({"n_in": 2, "hidden_size": 3, "return_sequences": True, "forget_bias": 0.5}, (6, 2)),
        ({"n_in": 2, "hidden_size": 3, "num_layers": 2, "dropout": 0.4, "recurrent_dropout": 0.3}, (3, 2)),
        ({"n_in": 3, "hidden_size": 2, "num_layers": 2, "bidirectional": True, "return_sequences": True}, (4, 3)),
    ],
    "gru": [
        ({"n_in": 3, "hidden_size": 4}, (5, 3)),
        ({"n_in": 3, "hidden_size": 2, "num_layers": 3, "bidirectional": True, "dropout": 0.2}, (4, 3)),
        ({"n_in": 2, "hidden_size": 5, "return_sequences": True, "recurrent_dropout": 0.5}, (3, 2)),
    ],
    "sequential": [
        (lambda dtype: Sequential(dtype=dtype), (5,)),
        (lambda dtype: Sequential([dense(5, 4, "tanh", dtype), dense(4, 3, "softmax", dtype)]), (5,)),
        (
            lambda dtype: Sequential([Flatten(dtype=dtype), dense(12, 3, "gelu", dtype), BatchNorm(3, dtype=dtype)]),
            (3, 4),
        ),
        (
            lambda dtype: Sequential([conv(2, 3, dtype), BatchNorm(3, dtype=dtype), Activation("relu", dtype=dtype)]),
            (2, 4, 5),
        ),
        (
            lambda dtype: Sequential(
                [Sequential([dense(5, 4, "tanh", dtype), Dropout(0.3, dtype=dtype)]), dense(4, 4, "linear", dtype)]
            ),
            (5,),
        ),
    ],
    "residual": [
        (lambda dtype: Residual(dense(5, 7, "tanh", dtype), dense(7, 5, "linear", dtype)), (5,)),
        (
            lambda dtype: Residual(conv(2, 3, dtype), BatchNorm(3, dtype=dtype), shortcut=conv(2, 3, dtype, "linear")),
            (2, 4, 5),
        ),
        (
            lambda dtype: Residual(
                Residual(dense(4, 4, "tanh", dtype)), Dropout(0.3, dtype=dtype), Residual(Dropout(0.5, dtype=dtype))
            ),
            (4,),
        ),
    ],
    "concat": [
        (lambda dtype: Concat(dense(5, 3, "tanh", dtype), None, [dense(5, 4, "swish", dtype)]), (5,)),
        (lambda dtype: Concat(conv(2, 3, dtype), Residual(conv(2, 2, dtype)), axis=1), (2, 4, 5)),
        (lambda dtype: Concat(dense(5, 2, "linear", dtype), dense(5, 3, "gelu", dtype), axis=-1), (6, 5)),
        (lambda dtype: Concat(conv(2, 2, dtype), None, conv(2, 2, dtype, "tanh"), axis=3), (2, 3, 4)),
    ],
}


def dense(n_in, n_out, activation, dtype):
    return Dense(n_in, n_out, activation, dtype=dtype, rng=n_out)


def conv(in_ch, out_ch, dtype, activation="tanh"):
    return Conv2D(in_ch, out_ch, 3, activation, padding="same", dtype=dtype, rng=out_ch)


CASES = [(name, settings, shape) for name, examples in EXAMPLES.items() for settings, shape in examples]
IDS = [f"{name}-{i if callable(settings) else settings}-{shape}" for i, (name, settings, shape) in enumerate(CASES)]


def test_every_layer_has_examples():
    assert set(EXAMPLES) == set(LAYERS)


@pytest.fixture(params=CASES, ids=IDS)
def case(request):
    return request.param


def make(case, dtype="float64", seed=3):
    name, settings, shape = case
    layer = settings(dtype) if callable(settings) else LAYERS[name](**settings, dtype=dtype, rng=seed)
    rng = np.random.default_rng(seed)
    for parameter in layer.parameters.values():  # biases and gammas off their symmetric start
        parameter.value[...] += 0.1 * rng.normal(size=parameter.value.shape)
    return layer, shape


def mode(training=True, seed=5, keep_z=False):
    return Mode(training, np.random.default_rng(seed), keep_z)


def batch(shape, n=4, dtype="float64", seed=11):
    if isinstance(shape, Ids):
        return np.random.default_rng(seed).integers(0, shape.n, (n, *shape)).astype(dtype)
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(dtype)


@pytest.mark.parametrize("training", [True, False])
def test_gradients(case, training, rng):
    layer, shape = make(case)
    x = batch(shape)
    y, saved = layer.forward(x, mode(training))
    dy = rng.normal(size=y.shape)
    dx = layer.backward(dy, saved)

    def loss_of_input(x):
        return float(np.sum(copy.deepcopy(layer).forward(x, mode(training))[0] * dy))

    if isinstance(shape, Ids):
        assert not dx.any()
    else:
        check_direction(loss_of_input, x, dx, rng)
    for name, parameter in layer.parameters.items():

        def loss_of_parameter(value, name=name):
            twin = copy.deepcopy(layer)
            twin[name] = value
            return float(np.sum(twin.forward(x, mode(training))[0] * dy))

        check_direction(loss_of_parameter, parameter.value.copy(), parameter.grad, rng)


def test_output_shape_is_foretold(case):
    layer, shape = make(case)
    for n in (1, 4):
        y, _ = layer.forward(batch(shape, n))
        assert y.shape == (n, *layer.output_shape(shape))


def test_dtype_is_kept_and_float32_agrees_with_float64(case, dtype):
    layer, shape = make(case, dtype)
    exact, _ = make(case)
    for parameter, double in zip(layer.parameters.values(), exact.parameters.values(), strict=True):
        double.value[...] = parameter.value
    x = batch(shape, dtype=dtype)
    y, saved = layer.forward(x, mode())
    dx = layer.backward(np.ones_like(y), saved)
    y64, saved64 = exact.forward(x.astype(np.float64), mode())
    dx64 = exact.backward(np.ones_like(y64), saved64)
    assert y.dtype == dx.dtype == dtype
    assert all(p.grad.dtype == dtype for p in layer.parameters.values())
    eps = 1e3 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, y64, rtol=eps, atol=eps)
    np.testing.assert_allclose(dx, dx64, rtol=eps, atol=eps)
    for p, q in zip(layer.parameters.values(), exact.parameters.values(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad, rtol=eps, atol=eps)


@pytest.mark.parametrize("n", [0, 1])
def test_batch_of_none_and_of_one(case, n):
    layer, shape = make(case)
    y, saved = layer.forward(batch(shape, n))
    assert y.shape == (n, *layer.output_shape(shape))
    assert layer.backward(np.ones_like(y), saved).shape == (n, *shape)


def test_awkward_memory_gives_the_same_result(case):
    layer, shape = make(case)
    x = batch(shape)
    expected = layer.forward(x)[0]
    wide = np.zeros((8, *shape))
    wide[::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    for awkward in (wide[::2], np.asfortranarray(x), x[::-1].copy()[::-1], read_only):
        assert np.array_equal(layer.forward(awkward)[0], expected)


def test_backward_takes_awkward_gradients(case, rng):
    layer, shape = make(case)
    y, saved = layer.forward(batch(shape), mode())
    dy = rng.normal(size=y.shape)
    expected = layer.backward(dy, saved)
    gradients = [p.grad.copy() for p in layer.parameters.values()]
    for awkward in (np.asfortranarray(dy), dy[::-1].copy()[::-1]):
        for p in layer.parameters.values():
            p.fresh = False
        assert np.array_equal(layer.backward(awkward, saved), expected)
        assert all(np.array_equal(p.grad, g) for p, g in zip(layer.parameters.values(), gradients, strict=True))


def test_inputs_and_gradients_are_never_written(case, rng):
    layer, shape = make(case)
    x = batch(shape)
    x.flags.writeable = False
    y, saved = layer.forward(x, mode())
    before = y.copy()
    dy = rng.normal(size=y.shape)
    dy.flags.writeable = False
    layer.backward(dy, saved)
    assert np.array_equal(y, before)


def test_same_seed_same_bits(case):
    (layer, shape), (twin, _) = make(case), make(case)
    x = batch(shape)
    assert np.array_equal(layer.forward(x, mode())[0], twin.forward(x, mode())[0])


def test_inference_writes_no_state(case):
    layer, shape = make(case)
    before = {name: array.copy() for name, array in layer.arrays().items()}
    attributes = set(vars(layer))
    layer.forward(batch(shape))
    assert set(vars(layer)) == attributes and not layer.recent
    assert all(np.array_equal(array, before[name]) for name, array in layer.arrays().items())


def test_two_forwards_alive_before_a_backward(case, rng):
    layer, shape = make(case)
    first, second = batch(shape, seed=1), batch(shape, seed=2)
    y1, saved1 = layer.forward(first, mode(seed=1))
    dy = rng.normal(size=y1.shape)
    alone = layer.backward(dy, saved1)
    _, saved1 = layer.forward(first, mode(seed=1))
    layer.forward(second, mode(seed=2))
    assert np.array_equal(layer.backward(dy, saved1), alone)


def test_gradients_add_up_until_they_are_stale(case):
    layer, shape = make(case)
    y, saved = layer.forward(batch(shape), mode())
    layer.backward(np.ones_like(y), saved)
    once = [p.grad.copy() for p in layer.parameters.values()]
    layer.backward(np.ones_like(y), saved)
    for p, gradient in zip(layer.parameters.values(), once, strict=True):
        np.testing.assert_allclose(p.grad, 2 * gradient)


def test_backward_for_parameters_or_inputs_alone(case):
    layer, shape = make(case)
    y, saved = layer.forward(batch(shape), mode())
    dx = layer.backward(np.ones_like(y), saved)
    gradients = [p.grad.copy() for p in layer.parameters.values()]
    for p in layer.parameters.values():
        p.fresh = False
        if not isinstance(p, Table):  # whose rows are zero unless a pass has seen them
            p.grad[...] = 7
    before = [p.grad.copy() for p in layer.parameters.values()]
    assert np.array_equal(layer.backward(np.ones_like(y), saved, params=False), dx)
    assert all(np.array_equal(p.grad, g) for p, g in zip(layer.parameters.values(), before, strict=True))
    assert not any(p.fresh for p in layer.parameters.values())
    assert layer.backward(np.ones_like(y), saved, inputs=False) is None
    assert all(np.array_equal(p.grad, g) for p, g in zip(layer.parameters.values(), gradients, strict=True))


def test_frozen_layers_stay_as_they_are(case):
    layer, shape = make(case)
    layer.frozen = True
    before = {name: array.copy() for name, array in layer.arrays().items()}
    y, saved = layer.forward(batch(shape), mode())
    assert layer.backward(np.ones_like(y), saved).shape == (4, *shape)
    assert all(np.array_equal(array, before[name]) for name, array in layer.arrays().items())
    assert not any(p.fresh for p in layer.parameters.values())


def test_keeping_z_changes_nothing_else(case):
    layer, shape = make(case)
    x = batch(shape)
    y, saved = layer.forward(x, mode())
    z_kept, saved_kept = layer.forward(x, mode(keep_z=True))
    dy = np.ones_like(y)
    assert np.array_equal(y, z_kept)
    assert np.array_equal(layer.backward(dy, saved), layer.backward(dy, saved_kept))


def test_deepcopy_is_independent(case):
    layer, shape = make(case)
    twin = copy.deepcopy(layer)
    x = batch(shape)
    expected = layer.forward(x)[0]
    for p in layer.parameters.values():
        p.value[...] = 0
    assert np.array_equal(twin.forward(x)[0], expected)


def test_config_and_shapes_build_the_layer_again(case):
    layer, _ = make(case)
    twin = type(layer).blank(layer.config(), "float64")
    assert described(twin) == described(layer)
    assert {name: a.shape for name, a in twin.arrays().items()} == type(layer).shapes(layer.config())


@pytest.mark.contract("I1", "I2")
@pytest.mark.defect("I1")
@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "model.pkl"])
def test_save_and_load(case, name, tmp_path):
    layer, shape = make(case)
    net = NeuralNet(rng=1).add(layer)
    x = batch(shape)
    net._run(x, True)
    net.Save(tmp_path / name)
    twin = NeuralNet().Load(tmp_path / name)
    assert np.array_equal(net.infer(x), twin.infer(x))
    assert described(twin.layers[0]) == described(layer)


def test_mapping(case):
    layer, _ = make(case)
    assert layer["type"] == case[0]
    assert set(layer) >= {"type", *layer.parameters, *layer.buffers, *layer.settings}
    assert len(layer) == len(list(layer)) and layer.get("nothing") is None
    for name, parameter in layer.parameters.items():
        view = layer[name]
        layer[name] = np.full(view.shape, 2.5)
        expected = 2.5 * layer["mask"] if name == "weights" and "mask" in layer else 2.5
        assert (view == expected).all() and view is parameter.value
        assert layer["d_" + name] is parameter.grad
        with pytest.raises(ShapeError):
            layer[name] = np.zeros((99, 99))
        assert (view == expected).all()
    with pytest.raises(ConfigError, match="fixed when the layer is made"):
        layer["type"] = "other"
    with pytest.raises(ConfigError):
        del layer["type"]
    with pytest.raises(KeyError):
        layer["nothing"]


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (99, 3, 3), (2, 2, 2, 2, 2)])
def test_bad_shapes_are_named(case, shape):
    layer, _ = make(case)
    try:
        layer.output_shape(shape)
    except ShapeError as error:
        assert layer.name in str(error) and "batch" in str(error)
    except EnilnetsError:
        raise AssertionError("a wrong shape must be a ShapeError") from None


@pytest.mark.parametrize("name", LAYERS)
def test_public_classes_are_documented(name):
    for cls in (LAYERS[name],):
        text = inspect.getdoc(cls)
        assert ">>>" in text and text.splitlines()[0].endswith(".")
        if cls.settings:
            assert "Parameters\n----------" in text
