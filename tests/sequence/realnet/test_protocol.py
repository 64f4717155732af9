"""A RealNet behind the model protocol: the training loop of the library trains it, and its gradients are right."""

import copy
import pickle

import numpy as np
import pytest

from enilnets.sequence import RealNet
from enilnets.training import fit
from tests.gradients import check_direction


@pytest.mark.parametrize("pulse", [True, False])
@pytest.mark.parametrize("shape", [(5, 2), (5, 1), (5, 3, 2), (5, 9, 2)])
@pytest.mark.parametrize("full", [True, False])
def test_gradients_of_parameters_and_features(pulse, shape, full, rng):
    network = RealNet(6, [0, 3], [4, 5], pulse, 0.0, rng=0, dtype="float64")
    network.weights, network.bias = rng.normal(0, 0.5, (6, 6)), rng.normal(0, 0.5, 6)
    model, x = network.unrolled(4, full_sequence=full), rng.normal(size=shape)
    y, ctx = model.forward(x, train=True)
    assert y.shape == ((5, 4, 2) if full else (5, 2))
    np.testing.assert_array_equal(model.infer(x), y)
    weight = rng.normal(size=y.shape)
    dx = model.backward(ctx, weight, inputs=True)
    check_direction(lambda a: float((model.infer(a) * weight).sum()), x, dx, rng)
    start, gradient = model.arena.values.copy(), model.arena.gradients.copy()

    def at(values):
        model.arena.values[...] = values
        return float((model.infer(x) * weight).sum())

    check_direction(at, start, gradient, rng)


def test_the_training_loop_trains_it(rng):
    model = RealNet(12, [0, 1], [11], dropout_rate=0.0, rng=0).unrolled(4, learning_rate=0.01)
    x = rng.normal(size=(64, 2)).astype(np.float32)
    y = np.sign(x[:, :1] - x[:, 1:])
    history = fit(model, x, y, epochs=30, batch_size=16, loss="mse")
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_copies_and_pruning(rng):
    model = RealNet(12, [0, 1], [11], rng=0).unrolled(4)
    x, y = rng.normal(size=(2, 16, 2)).astype(np.float32)[0], rng.normal(size=(16, 1)).astype(np.float32)
    fit(model, x, y, epochs=2, batch_size=8, loss="mse")
    model.network.prune_synapses(0.01)
    for twin in (model.clone(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        here = copy.deepcopy(model)
        for each in (twin, here):
            fit(each, x, y, epochs=2, batch_size=8, loss="mse")
        np.testing.assert_array_equal(twin.arena.values, here.arena.values)
        assert not twin.network.parameters["weights"].value[~model.network.mask].any()
