"""Parameters of activations in layers and networks: programs, copies, files, changes, refusals."""

import copy

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError
from enilnets.layers import Activation, Conv2D, Dense
from tests.gradients import check_direction


def network(own):
    parameters = {"leakyrelu": {"alpha": 0.3}, "elu": {"alpha": 0.5}} if own else {"leakyrelu": None, "elu": None}
    net = NeuralNet(rng=1, l2_lambda=0.0)
    net.add_dense(4, 6, "leakyrelu", activation_params=parameters["leakyrelu"]).add_batchnorm(6)
    return net.add_activation("elu", parameters["elu"]).add_dense(6, 3, "softmax")


def test_programs_leave_such_layers_alone_and_gradients_are_right(rng):
    net = network(own=True)
    x, y = rng.normal(size=(5, 4)), np.array([0, 1, 2, 1, 0])
    output = net.Forward(x, training=True)
    net.Backward(y, loss_function="cross_entropy")
    start, gradient = net.arena.values.copy(), net.arena.gradients.copy()

    def loss(values):
        net.arena.values[:] = values
        return net.ComputeLoss(net.Forward(x, training=True), y, "cross_entropy")

    check_direction(loss, start, gradient, rng)
    net.arena.values[:] = start
    hidden = x @ net.layers[0]["weights"].T + net.layers[0]["bias"]
    net.Forward(x)
    np.testing.assert_allclose(net.outputs[1], np.where(hidden > 0, hidden, 0.3 * hidden))
    assert output.shape == (5, 3)
    plain = network(own=False)
    plain.arena.values[:] = start
    assert not np.array_equal(plain.predict(x), net.predict(x))


def test_every_way_through_a_network_gives_the_same_bits(rng):
    net = network(own=True)
    x = rng.normal(size=(5, 4))
    net.TrainBatch(x, [0, 1, 2, 1, 0])
    y = net.predict(x)
    np.testing.assert_array_equal(net.Forward(x), y)
    np.testing.assert_array_equal(net.infer(x), y)
    by_layer = x
    for layer in net.layers:
        by_layer = layer.forward(by_layer)[0]
    np.testing.assert_array_equal(by_layer, y)


def test_the_default_written_out_runs_as_the_default():
    assert Dense(2, 2, "leakyrelu", activation_params={"alpha": 0.01}, rng=0).node(None) is not None
    assert Dense(2, 2, "leakyrelu", activation_params={"alpha": 0.2}, rng=0).node(None) is None


def test_copies_and_files_keep_them(tmp_path, rng):
    net = network(own=True)
    x = rng.normal(size=(5, 4))
    net.Save(tmp_path / "net.safetensors")
    for twin in (net.copy(), copy.deepcopy(net), NeuralNet().Load(tmp_path / "net.safetensors")):
        assert twin.layers[0]["activation_params"] == {"alpha": 0.3}
        np.testing.assert_array_equal(twin.predict(x), net.predict(x))


def test_they_can_be_changed(rng):
    net = network(own=True)
    x = rng.normal(size=(5, 4))
    before = net.predict(x)
    net.layers[0]["activation_params"] = {"alpha": 0.9}
    assert not np.array_equal(net.predict(x), before)
    net.layers[0]["activation"] = "tanh"
    assert net.layers[0]["activation_params"] == {}
    net.layers[0].activation_params["alpha"] = 3  # of a copy
    assert net.layers[0]["activation_params"] == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda given: Dense(2, 2, "leakyrelu", activation_params=given, rng=0),
        lambda given: Conv2D(1, 1, 1, "leakyrelu", activation_params=given, rng=0),
        lambda given: Activation("leakyrelu", given),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(make):
    with pytest.raises(ConfigError, match="expected alpha, got slope"):
        make({"slope": 0.1})
    layer = make({"alpha": 0.1})
    with pytest.raises(ConfigError, match="alpha"):
        layer["activation_params"] = {"alpha": -1}
    assert layer["activation_params"] == {"alpha": 0.1}
