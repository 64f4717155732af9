"""RealNet: the documented forward pass, its modes, and its gradients. Ids are those of the specification, section A."""

import copy
import math
import pickle

import numpy as np
import pytest

from enilnets.sequence import RealNet
from tests.gradients import check_direction
from tests.reference.realnet import EPS
from tests.reference.realnet import forward as reference


def network(n=6, seed=0, dtype="float64", **settings):
    model = RealNet(n, [0, 1], [n - 1], rng=seed, dtype=dtype, **settings)
    rng = np.random.default_rng(seed)
    model.weights, model.bias = rng.normal(0, 0.5, (n, n)), rng.normal(0, 0.5, n)
    model.gamma, model.beta = rng.normal(1, 0.2, n), rng.normal(0, 0.2, n)
    return model


def expected(model, x, steps, x_steps, state=None):
    """The states by the equation of A2, in float64."""
    batch = len(x if x is not None else state)
    parameters = [np.asarray(p.value, float) for p in model.parameters.values()]
    states, _ = reference(steps, x, x_steps, state, *parameters, np.ones((steps, batch, model.num_neurons)), EPS)
    return states


def test_order_of_arguments_and_device():
    """A1.1: positional order of the documentation; the device is accepted and validated."""
    model = RealNet(3, [0, 1], [2], True, 0.1, "cuda")
    assert (model.num_neurons, model.input_ids, model.output_ids) == (3, [0, 1], [2])
    assert model.pulse_mode and model.dropout_rate == 0.1 and model.device == "cpu"
    assert RealNet(3, [0, 1], [2], device="cuda:0").device == "cpu"


def test_one_matrix_with_a_trainable_diagonal(rng):
    """A1.2: N x N weights, each neuron to itself included, and N² + 3 N numbers in all."""
    model = network().eval()
    assert model.weights.shape == (6, 6)
    assert sum(p.size for p in model.parameters.values()) == 6 * 6 + 3 * 6
    states, saved = model.run(rng.normal(size=(3, 6)), 4, train=False, keep=True)
    model.backward(saved, rng.normal(size=(3, 1)))
    assert (np.diag(model.parameters["weights"].grad) != 0).all() and states.shape == (4, 3, 6)


@pytest.mark.parametrize("pulse", [True, False])
def test_pulse_or_stream(pulse, rng):
    """A1.3: a 2-D input comes at the first step only, or at every step."""
    model, x = network(pulse_mode=pulse).eval(), rng.normal(size=(4, 6))
    states, final = model.forward(x, steps=5)
    np.testing.assert_allclose(states, expected(model, x, 5, 1 if pulse else 5), atol=1e-12)
    np.testing.assert_array_equal(final, states[-1])


@pytest.mark.parametrize("pulse", [True, False])
@pytest.mark.parametrize("steps", [2, 3, 6])
def test_sequence(pulse, steps, rng):
    """A1.4: slice t of a 3-D input comes at step t and nothing after its end, whatever the mode."""
    model, x = network(pulse_mode=pulse).eval(), rng.normal(size=(4, 3, 6))
    states, _ = model.forward(x, steps=steps)
    np.testing.assert_allclose(states, expected(model, x, steps, min(steps, 3)), atol=1e-12)


def test_shapes_and_no_input():
    """A1.5: (all_states, final_state), steps first; the input may be missing."""
    model = network().eval()
    all_states, final_state = model.forward(None, steps=3)
    assert all_states.shape == (3, 1, 6) and final_state.shape == (1, 6)
    np.testing.assert_allclose(all_states, expected(model, None, 3, 0, np.zeros((1, 6))), atol=1e-12)
    assert model.forward(np.zeros((2, 6)))[0].shape == (1, 2, 6)
    final_state[:] = 7  # a copy: nothing else changes
    assert not (all_states == 7).any()


def test_a_state_continues_the_trajectory(rng):
    """A1.6: 10 steps are 4 steps and then 6 more from the state, bit for bit; no state is the state zero."""
    model, x = network().eval(), rng.normal(size=(3, 6))
    whole, _ = model.forward(x, steps=10)
    first, state = model.forward(x, steps=4)
    rest, _ = model.forward(None, steps=6, current_state=state)
    np.testing.assert_array_equal(np.concatenate([first, rest]), whole)
    zero, _ = model.forward(x, steps=10, current_state=np.zeros((3, 6)))
    np.testing.assert_allclose(zero, whole, atol=1e-12)


def test_steps_are_chosen_per_call(rng):
    """A1.7: 5, 10 or 100 steps of the same trajectory."""
    model, x = network().eval(), rng.normal(size=(2, 6))
    longest, _ = model.forward(x, steps=100)
    for steps in (5, 10):
        np.testing.assert_array_equal(model.forward(x, steps=steps)[0], longest[:steps])


def test_dropout_in_training_only_and_not_where_it_is_read(rng):
    """A1.8, A3.4: eval is deterministic; in training neurons drop, but never an output."""
    model, x = RealNet(50, [0], [48, 49], dropout_rate=0.4, rng=0), rng.normal(size=(40, 50))
    states, _ = model.forward(x, steps=6)
    dropped = (states == 0).mean(axis=(0, 1))
    assert (dropped[48:] == 0).all() and abs(dropped[:48].mean() - 0.4) < 0.02
    assert not np.array_equal(model.forward(x, 6)[0], states)
    model.eval()
    one, two = model.forward(x, 6)[0], model.forward(x, 6)[0]
    np.testing.assert_array_equal(one, two)
    # The first states before dropout do not depend on it, so what was kept is scaled by 1 / 0.6 and outputs are not.
    kept = states[0] != 0
    np.testing.assert_allclose(states[0][:, :48][kept[:, :48]], one[0][:, :48][kept[:, :48]] / 0.6, rtol=1e-5)
    np.testing.assert_allclose(states[0][:, 48:], one[0][:, 48:], rtol=1e-6)


def test_compile_keeps_the_outputs(rng):
    """A1.9."""
    model, x = network().eval(), rng.normal(size=(2, 6))
    np.testing.assert_array_equal(model.compile().forward(x, 5)[0], model.forward(x, 5)[0])


@pytest.mark.parametrize("kind", ["pulse", "stream", "sequence", "state"])
@pytest.mark.parametrize("read", ["last", "all"])
def test_gradients(kind, read, rng):
    """A-6: all parameters and inputs over 7 steps with dead synapses, in float64, relative error below 1e-6."""
    model = network(7, pulse_mode=kind != "stream").eval()
    model.kill(rng.random((7, 7)) < 0.3)
    x = rng.normal(size=(5, 4, 7) if kind == "sequence" else (5, 7))
    state = rng.normal(size=(5, 7)) if kind == "state" else None
    weight = rng.normal(size=(7, 5, 1) if read == "all" else (5, 1))

    def loss(steps=7):
        states, saved = model.run(x, steps, state, train=False, keep=True)
        return float((model.read(states if read == "all" else states[-1]) * weight).sum()), saved

    _, saved = loss()
    model.arena.zero_grad()
    dz, dstate = model.backward(saved, weight, state=kind == "state")
    for name, parameter in model.parameters.items():
        start = parameter.value.copy()

        def at(value, parameter=parameter, name=name):
            parameter.value[...] = value * model.mask if name == "weights" else value
            return loss()[0]

        check_direction(at, start, parameter.grad.copy(), rng)
        parameter.value[...] = start
    if kind == "state":
        check_direction(lambda s: replaced(state, s, loss), state.copy(), dstate, rng)
    dx = {"pulse": dz[0], "state": dz[0], "stream": dz.sum(axis=0), "sequence": dz[:4].transpose(1, 0, 2)}[kind]
    check_direction(lambda a: replaced(x, a, loss), x.copy(), np.ascontiguousarray(dx), rng)


def replaced(array, value, loss):
    """The loss with ``value`` in the place of ``array``."""
    before = array.copy()
    array[...] = value
    result, _ = loss()
    array[...] = before
    return result


@pytest.mark.parametrize("n", [3, 64])
def test_silence_explodes_nothing(n, rng):
    """A-6, A3.7: gradients after 40 silent steps are finite, and far from the factor of 316 per step."""
    model = RealNet(n, [0], [n - 1], rng=0, dropout_rate=0.0)
    x = np.zeros((4, 45, n), np.float32)
    x[:, 40, 0] = rng.normal(size=4)
    norms = []
    for silent in (40, 0):
        _, saved = model.run(np.ascontiguousarray(x[:, 40 - silent :]), 45, train=True, keep=True)
        model.arena.zero_grad()
        model.backward(saved, np.ones((4, 1), np.float32))
        norms.append(model.arena.gradient_norm())
    assert math.isfinite(norms[0]) and norms[0] < 1e4 * max(1, norms[1])


def test_prepare_input_maps_features_in_order():
    """A1.18, A3.11: features go to the input neurons in order; fewer leave the others silent; a vector is a column."""
    model = RealNet(6, [4, 1], [0], rng=0)
    np.testing.assert_array_equal(model.prepare_input([[1, 2], [3, 4]]), [[0, 2, 0, 0, 1, 0], [0, 4, 0, 0, 3, 0]])
    np.testing.assert_array_equal(model.prepare_input([[5]]), [[0, 0, 0, 0, 5, 0]])
    np.testing.assert_array_equal(model.prepare_input([5, 6])[:, 4], [5, 6])
    assert model.prepare_input(np.ones((2, 3, 2))).shape == (2, 3, 6)
    with pytest.warns(UserWarning, match=r"of 3 features, only the first 2 have an input neuron"):
        np.testing.assert_array_equal(model.prepare_input([[1, 2, 9]]), [[0, 2, 0, 0, 1, 0]])


def test_copies_are_independent_and_equal(rng):
    model = RealNet(8, [0], [7], rng=3)
    model.prune_synapses(0.01)
    x = rng.normal(size=(2, 8))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), model.clone()):
        np.testing.assert_array_equal(twin.mask, model.mask)
        here, there = copy.deepcopy(model).forward(x, 3)[0], twin.forward(x, 3)[0]  # the same dropout
        np.testing.assert_array_equal(here, there)
        twin.weights[0, 0] = 5
        assert model.weights[0, 0] != 5


def test_same_seed_same_bits(rng):
    x = rng.normal(size=(2, 30))
    one, two = (RealNet(30, [0], [29], rng=7).forward(x, 4)[0] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(RealNet(30, [0], [29], rng=8).weights, RealNet(30, [0], [29], rng=7).weights)
