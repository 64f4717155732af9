"""Layer, group and instance normalisation: which elements are normalised together, and the documented cache."""

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, ShapeError, StateError
from enilnets.layers import GroupNorm, InstanceNorm, LayerNorm
from tests.gradients import check_direction

#: normalized_shape, shape of the input, axes that are normalised together
FORMS = [
    (6, (3, 6), (1,)),
    (6, (3, 4, 6), (2,)),
    (2, (3, 2, 4, 5), (1, 2, 3)),
    ((2, 4, 5), (3, 2, 4, 5), (1, 2, 3)),
    ((4, 6), (3, 4, 6), (1, 2)),
    ((6,), (3, 4, 6), (2,)),
]


@pytest.mark.contract("L11")
@pytest.mark.defect("Y2", "Y3")
@pytest.mark.parametrize("form, shape, axes", FORMS, ids=str)
def test_what_is_normalised_together(form, shape, axes, rng):
    layer = LayerNorm(form)
    assert layer["gamma"].shape == layer["beta"].shape == (form if isinstance(form, tuple) else (form,))
    x = 3 * rng.normal(size=shape) + 7
    y, _ = layer.forward(x)
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-4)
    layer["gamma"] = gamma = rng.normal(size=layer["gamma"].shape)
    layer["beta"] = beta = rng.normal(size=gamma.shape)
    if form == 2:  # one scale per channel
        gamma, beta = gamma[:, None, None], beta[:, None, None]
    np.testing.assert_allclose(layer.forward(x)[0], y * gamma + beta, rtol=1e-10, atol=1e-12)


@pytest.mark.contract("L11")
@pytest.mark.defect("Y2", "Y3")
@pytest.mark.parametrize("form, shape, axes", FORMS, ids=str)
def test_every_form_trains(form, shape, axes, rng):
    net = NeuralNet(0.1, "sgd", l2_lambda=0.0, rng=0).add_layernorm(form)
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    first = net.TrainBatch(x, y)[0]
    for _ in range(20):
        last = net.TrainBatch(x, y)[0]
    assert last < first and (net.layers[0]["gamma"] != 1).all() and net.layers[0]["beta"].all()


@pytest.mark.contract("N4")
@pytest.mark.defect("Y12")
@pytest.mark.parametrize("form, shape, axes", FORMS, ids=str)
def test_the_documented_cache(form, shape, axes, rng):
    net = NeuralNet(rng=0).add_layernorm(form).add_dropout(0.0)
    assert net.layernorm_cache == net.batchnorm_cache == [None, None]
    x = rng.normal(size=shape)
    net.Forward(x, training=True)
    cache, other = net.layernorm_cache
    assert other is None and net.batchnorm_cache == [None, None]
    got_x, x_norm, mean, var, gamma, epsilon, got_axes = cache
    assert got_axes == axes and epsilon == 1e-5 and np.array_equal(got_x, x)
    np.testing.assert_allclose(mean, x.mean(axis=axes, keepdims=True))
    np.testing.assert_allclose(var, x.var(axis=axes, keepdims=True))
    np.testing.assert_allclose(x_norm, (x - mean) / np.sqrt(var + 1e-5))
    assert np.array_equal(gamma, net.layers[0]["gamma"])
    net.Forward(x)
    assert net.layernorm_cache == [None, None]


@pytest.mark.contract("B5")
@pytest.mark.parametrize("kind, name", [("add_layernorm", "LayerNorm"), ("add_batchnorm", "BatchNorm")])
def test_going_back_needs_a_training_pass(kind, name, rng):
    net = getattr(NeuralNet(rng=0), kind)(3)
    x = rng.normal(size=(4, 3))
    net.Forward(x)
    message = rf"{name} cache is None. Ensure Forward\(training=True\) was called before Backward\."
    with pytest.raises(ValueError, match=message) as error:
        net.Backward(x)
    assert isinstance(error.value, StateError)
    net.Forward(x, training=True)
    net.Backward(x)


@pytest.mark.contract("L11", "B4")
def test_gradients_stand_in_the_mapping(rng):
    net = NeuralNet(rng=0).add_dense(4, 3).add_layernorm(3)
    x, dy = rng.normal(size=(2, 5, 4))[0], rng.normal(size=(5, 3))
    net.Forward(x, training=True)
    net.Backward(output_gradient=dy)
    x_norm = net.layernorm_cache[1][1]
    np.testing.assert_allclose(net.layers[1]["d_beta"], dy.sum(axis=0))
    np.testing.assert_allclose(net.layers[1]["d_gamma"], (dy * x_norm).sum(axis=0))


def test_a_huge_offset_costs_no_digits(dtype, rng):
    """Beside a mean of 1e4, float32 keeps 3 digits of a spread of 1; they must not be lost on the way."""
    x = (rng.integers(-40, 40, size=(5, 64)) / 16 + 10_000).astype(dtype)  # exact in both
    y = LayerNorm(64, dtype=dtype).forward(x)[0]
    exact = x.astype(np.float64)
    want = (exact - exact.mean(axis=1, keepdims=True)) / np.sqrt(exact.var(axis=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(y, want, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_group_and_instance_norm_by_hand(rng):
    x = rng.normal(size=(2, 6, 3, 4))
    groups = x.reshape(2, 3, 24)
    want = (groups - groups.mean(axis=2, keepdims=True)) / np.sqrt(groups.var(axis=2, keepdims=True) + 1e-5)
    np.testing.assert_allclose(GroupNorm(3, 6).forward(x)[0], want.reshape(x.shape), rtol=1e-10)
    want = (x - x.mean(axis=(2, 3), keepdims=True)) / np.sqrt(x.var(axis=(2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(InstanceNorm(6).forward(x)[0], want, rtol=1e-10)
    np.testing.assert_allclose(GroupNorm(6, 6).forward(x)[0], want, rtol=1e-10)
    np.testing.assert_allclose(GroupNorm(1, 6).forward(x)[0], LayerNorm((6, 3, 4)).forward(x)[0], rtol=1e-10)


def test_bad_settings_and_inputs_are_named():
    for shape in (0, -1, 2.5, True, (), (3, 0), "3", None, (2, None)):
        with pytest.raises(ConfigError, match="normalized_shape"):
            LayerNorm(shape)
    with pytest.raises(ConfigError, match="divisor"):
        GroupNorm(4, 6)
    for layer in (LayerNorm(3), LayerNorm((2, 3)), GroupNorm(1, 3), InstanceNorm(3)):
        with pytest.raises(ConfigError, match="epsilon"):
            layer["epsilon"] = 0
        with pytest.raises(ShapeError, match="batch"):
            layer.output_shape((2, 2, 2))
    with pytest.raises(ShapeError, match="LayerNorm"):
        NeuralNet().add_layernorm(3).Forward(np.ones((2, 4)))


@pytest.mark.defect("Y3", "Y4")
@pytest.mark.parametrize("norm", [True, False])
def test_an_embedding_stack_is_normalised_and_trained(norm, rng):
    """Embedding, layer norm and dense layers over (batch, sequence, features): forward, backward, update."""
    net = NeuralNet(0.05, "adam", l2_lambda=0.0, rng=0).add_embedding(11, 6)
    net = (net.add_layernorm(6) if norm else net).add_dense(6, 5, "tanh").add_dense(5, 3, "softmax")
    ids = rng.integers(0, 11, (4, 7))
    targets = np.eye(3)[ids % 3]
    assert net.Forward(ids).shape == (4, 7, 3)
    dy = rng.normal(size=(4, 7, 3))
    net.Forward(ids, training=True)
    net.Backward(output_gradient=dy)
    for layer in net.layers:
        for name, parameter in layer.parameters.items():

            def loss(value, layer=layer, name=name):
                kept = layer[name].copy()
                layer[name] = value
                y = float(np.sum(net.Forward(ids) * dy))
                layer[name] = kept
                return y

            check_direction(loss, parameter.value.copy(), parameter.grad.copy(), rng)
    first = net.TrainBatch(ids, targets)[0]
    for _ in range(60):
        last = net.TrainBatch(ids, targets)[0]
    assert last < 0.5 * first


@pytest.mark.contract("N16")
def test_summary_lines(capsys):
    NeuralNet().add_layernorm(16).add_layernorm((3, 4, 5)).add_groupnorm(2, 6).add_instancenorm(6).summary()
    lines = capsys.readouterr().out.splitlines()[4:8]
    assert lines == [
        "Layer 0: LAYERNORM    Shape: 16 Params: 32",
        "Layer 1: LAYERNORM    Shape: (3, 4, 5) Params: 120",
        "Layer 2: GROUPNORM    Groups:      2 Features:      6 Params: 12",
        "Layer 3: INSTANCENORM Features:      6 Params: 12",
    ]
