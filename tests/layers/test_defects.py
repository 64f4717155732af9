"""What the layers of the original got wrong, and what must not come back."""

import numpy as np
import pytest

from enilnets import NeuralNet
from enilnets.errors import ConfigError, ShapeError
from tests.gradients import check_direction


@pytest.mark.defect("Y1")
@pytest.mark.parametrize("verb, size, shape", [("add_batchnorm", 4, (8, 4)), ("add_layernorm", 4, (8, 4))])
def test_a_norm_that_comes_first_is_trained(verb, size, shape, rng):
    net = getattr(NeuralNet(0.1, "sgd", l2_lambda=0.0, rng=0), verb)(size).add_dense(4, 3, "tanh")
    x, y = rng.normal(size=shape), rng.normal(size=(8, 3))
    norm = net.layers[0]

    def loss(gamma):
        kept = norm["gamma"].copy()
        norm["gamma"] = gamma
        value = net.ComputeLoss(net.Forward(x, training=True), y)
        norm["gamma"] = kept
        return value

    net.Forward(x, training=True)
    net.Backward(y, loss_function="mse")
    check_direction(loss, norm["gamma"].copy(), norm["d_gamma"].copy(), rng)
    net.TrainBatch(x, y)
    assert (norm["gamma"] != 1).all() and norm["beta"].all()


@pytest.mark.defect("Y4")
@pytest.mark.contract("F2")
def test_three_axes_are_what_the_first_layer_takes(rng):
    dense = NeuralNet(rng=0).add_dense(4, 3, "tanh")
    x = rng.normal(size=(2, 5, 4))
    y = dense.Forward(x)
    assert y.shape == (2, 5, 3)
    assert np.array_equal(y.reshape(10, 3), dense.Forward(x.reshape(10, 4)))
    conv = NeuralNet(rng=0).add_conv2d(2, 3, 3)
    assert conv.Forward(rng.normal(size=(2, 5, 4))).shape == (1, 3, 3, 2)
    norm = NeuralNet().add_layernorm((2, 5, 4))
    assert norm.Forward(x).shape == (1, 2, 5, 4)


@pytest.mark.defect("Y3", "Y4")
def test_dense_layers_over_sequences_are_trained(rng):
    net = NeuralNet(0.1, "sgd", l2_lambda=0.0, momentum=0.0, rng=0).add_dense(4, 6, "tanh").add_dense(6, 3, "softmax")
    flat = net.copy()
    x, y = rng.normal(size=(2, 5, 4)), np.eye(3)[rng.integers(0, 3, (2, 5))]
    for one, xs, ys in ((net, x, y), (flat, x.reshape(10, 4), y.reshape(10, 3))):
        one.Forward(xs, training=True)
        one.Backward(output_gradient=ys)
        one.update()
    np.testing.assert_allclose(net.arena.values, flat.arena.values, rtol=1e-12)


@pytest.mark.defect("Y6")
def test_stride_is_honoured_and_what_does_not_fit_is_named(rng):
    x = rng.normal(size=(1, 1, 9, 9))
    assert NeuralNet(rng=0).add_conv2d(1, 2, 3, stride=2).Forward(x).shape == (1, 2, 4, 4)
    for net in (NeuralNet().add_conv2d(1, 2, 10), NeuralNet().add_maxpool2d(10), NeuralNet().add_avgpool2d(10)):
        with pytest.raises(ShapeError, match=r"Conv2D|Pool2D"):
            net.Forward(x)


@pytest.mark.defect("Y7")
@pytest.mark.contract("L6")
def test_a_tie_sends_its_gradient_to_the_first_place():
    net = NeuralNet().add_maxpool2d(2)
    net.Forward(np.ones((1, 1, 2, 2)), training=True)
    dx = net.chain.propagate(np.ones((1, 1, 1, 1)), net._passed, inputs=True)
    assert dx.ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.defect("Y7")
def test_a_chain_of_every_documented_layer_has_the_right_gradient(rng):
    net = NeuralNet(rng=0).add_batchnorm(2).add_conv2d(2, 3, 2, "tanh").add_maxpool2d(3).add_upsample2d(2)
    net.add_layernorm((3, 4, 4)).add_avgpool2d(3).add_conv2d(3, 4, 1, "tanh").add_global_avgpool2d().add_flatten()
    net.add_layernorm(4).add_sparse(4, 5, 0.6, "tanh").add_dropout(0.0).add_dense(5, 3, "softmax")
    x, dy = rng.normal(size=(4, 2, 8, 8)), rng.normal(size=(4, 3))
    net.Forward(x, training=True)
    dx = net.chain.propagate(dy, net._passed, inputs=True)
    gradients = net.arena.gradients.copy()

    def of_input(x):
        return float(np.sum(net.Forward(x, training=True) * dy))

    def of_parameters(values):
        kept = net.arena.values.copy()
        net.arena.values[...] = values
        y = of_input(x)
        net.arena.values[...] = kept
        return y

    check_direction(of_input, x, dx, rng)
    check_direction(of_parameters, net.arena.values.copy(), gradients, rng)


@pytest.mark.defect("Y9")
@pytest.mark.contract("L12")
def test_dropout_rates_take_effect_and_are_checked():
    net, x = NeuralNet(rng=0).add_dropout(0.1), np.ones((1, 10_000))
    assert 0.88 < np.count_nonzero(net.Forward(x, training=True)) / 10_000 < 0.92
    assert 0.08 < np.count_nonzero(net.Forward(x, training=True, dropout_rate=0.9)) / 10_000 < 0.12
    for rate in (1.5, -1, 1.0, np.nan, True):
        with pytest.raises(ConfigError, match="rate"):
            NeuralNet().add_dropout(rate)


@pytest.mark.defect("Y10")
@pytest.mark.contract("N6", "N7")
def test_modes_switch_dropout():
    net, x = NeuralNet(rng=0).add_dropout(0.5), np.ones((1, 100))
    assert (net.eval().Forward(x, training=True) == 1).all()
    assert not (net.train().Forward(x, training=True) == 1).all()
    assert (net.Forward(x) == 1).all() and (net.predict(x) == 1).all()  # a plain pass is never random


@pytest.mark.defect("Y11")
@pytest.mark.contract("L10")
def test_running_statistics(rng):
    net = NeuralNet(l2_lambda=0.0, rng=0).add_batchnorm(3)
    norm, x = net.layers[0], 3 * rng.normal(size=(8, 3)) + 7
    net.TrainBatch(x, np.zeros((8, 3)))
    mean, var = 0.1 * x.mean(axis=0), 0.9 + 0.1 * x.var(axis=0)  # biased
    np.testing.assert_allclose(norm["running_mean"], mean)
    np.testing.assert_allclose(norm["running_var"], var)
    net.TrainBatch(x[:1], np.zeros((1, 3)))  # one value has no spread: it must not pull the variance down
    np.testing.assert_allclose(norm["running_mean"], mean)
    np.testing.assert_allclose(norm["running_var"], var)
    net.freeze(0)
    net.TrainBatch(x, np.zeros((8, 3)))
    np.testing.assert_allclose(norm["running_mean"], mean)
    np.testing.assert_allclose(norm["running_var"], var)
