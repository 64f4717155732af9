"""ops.relational_memory: gradients, one step by an independent formula, carried memory, slots that differ."""

import numpy as np
import pytest

from enilnets.errors import DataError, DTypeError, ShapeError
from enilnets.layers import Mode
from enilnets.layers.relational_memory import RelationalMemory, initial_memory
from enilnets.ops.relational_memory import MemorySettings, relational_memory, relational_memory_backward
from tests.gradients import check_direction

#: Gates, blocks, layers of the MLP, key size, attention to the input.
KINDS = [
    ("unit", 1, 2, 4, True),
    ("memory", 2, 1, 3, True),
    (None, 2, 3, 4, True),
    ("unit", 2, 2, 2, False),
]


def made(rng, gate_style, num_blocks, layers, key_size, input_attention, n_in=3):
    """Weights away from their initial values, settings and a memory of 3 slots of 2 heads of 4."""
    layer = RelationalMemory(
        n_in, 3, 4, 2, num_blocks, 1.0, 0.5, gate_style, layers, key_size, input_attention, rng=rng
    )
    weights = {name: p.value + 0.3 * rng.normal(size=p.value.shape) for name, p in layer.parameters.items()}
    settings = MemorySettings(2, key_size, 0.5, 1.0, gate_style is not None, input_attention)
    return weights, settings, rng.normal(size=(2, 3, 8))


#: Sequences of several lengths, and an episode that begins on the way.
RAGGED = [
    {},
    {"lengths": np.array([4, 2])},
    {"reset": (np.eye(2, 4, 1, dtype=bool), initial_memory(3, 8, np.dtype(float)))},
]


@pytest.mark.parametrize("ragged", RAGGED, ids=lambda ragged: " ".join(ragged))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients(kind, ragged, rng):
    """C-1: input, first memory and every weight, with gradients from all steps and from the last memory."""
    weights, settings, memory = made(rng, *kind)
    x, dy, dlast = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3, 8)), rng.normal(size=memory.shape)

    def value(x, memory, weights):
        y, saved = relational_memory(x, memory, weights, settings, **ragged)
        return float((y * dy).sum() + (saved.last * dlast).sum())

    _, saved = relational_memory(x, memory, weights, settings, **ragged)
    dx, dmemory, gradients = relational_memory_backward(dy, saved, dlast)
    check_direction(lambda a: value(a, memory, weights), x, dx, rng)
    check_direction(lambda a: value(x, a, weights), memory, dmemory, rng)
    assert gradients.keys() == weights.keys()
    for name, gradient in gradients.items():
        check_direction(lambda a, n=name: value(x, memory, {**weights, n: a}), weights[name], gradient, rng)
    none, _, nothing = relational_memory_backward(dy, saved, dlast, params=False, inputs=False)
    assert none is None and nothing is None


def normalised(z, gamma, beta):
    return gamma * (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5) + beta


def one_step(x, memory, w, settings):
    """One block, one sample, head by head: the equations of Santoro et al. as they stand there."""
    slots = len(memory)
    e = w["w_in"] @ x + w["b_in"]
    z = np.vstack([memory, e])
    heads = np.split(normalised(z @ w["w_qkv"][0].T + w["b_qkv"][0], w["gamma_qkv"][0], w["beta_qkv"][0]), 2, axis=1)
    attended = []
    for head in heads:
        q, k, v = np.split(head, [settings.key_size, 2 * settings.key_size], axis=1)
        scores = np.exp(q @ k.T / np.sqrt(settings.key_size))
        attended.append(scores / scores.sum(1, keepdims=True) @ v)
    z = normalised(z + np.hstack(attended), w["gamma_attention"][0], w["beta_attention"][0])
    hidden = z
    for i in range(len(w["w_mlp"])):
        hidden = np.maximum(hidden, 0) if i else hidden
        hidden = hidden @ w["w_mlp"][i].T + w["b_mlp"][i]
    z = normalised(z + hidden, w["gamma_mlp"][0], w["beta_mlp"][0])[:slots]
    gates = w["w_gate_x"] @ e + w["b_gate_x"] + np.tanh(memory) @ w["w_gate_m"].T + w["b_gate_m"]
    i, f = np.split(gates, 2, axis=1)
    i, f = 1 / (1 + np.exp(-i - settings.input_bias)), 1 / (1 + np.exp(-f - settings.forget_bias))
    return i * np.tanh(z) + f * memory


@pytest.mark.parametrize("gate_style", ["unit", "memory"])
def test_a_step_by_the_equations(gate_style, rng):
    weights, settings, memory = made(rng, gate_style, 1, 3, 5, True)
    x = rng.normal(size=(2, 2, 3))
    y, saved = relational_memory(x, memory, weights, settings)
    for sample in range(2):
        after = memory[sample]
        for t in range(2):
            after = one_step(x[sample, t], after, weights, settings)
            np.testing.assert_allclose(y[sample, t], after, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(saved.last, y[:, -1])


@pytest.fixture
def layer():
    return RelationalMemory(3, 3, 4, 2, return_sequences=True, rng=0)


def test_a_sequence_in_two_parts_is_the_whole(layer, rng):
    x = rng.normal(size=(2, 5, 3))
    whole, saved = layer.forward(x)
    first, middle = layer.forward(x[:, :2])
    for second, end in (
        layer.forward(x[:, 2:], state=layer.final_state(middle)),
        layer.forward(x[:, 2:], Mode(states={layer: layer.final_state(middle)})),
    ):
        np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
        np.testing.assert_allclose(layer.final_state(end), layer.final_state(saved), rtol=1e-12)


def test_padding_has_no_part(layer, rng):
    x = rng.normal(size=(3, 5, 3))
    alone = [layer.forward(x[i : i + 1, :n])[0][0] for i, n in enumerate([2, 5, 1])]
    x[0, 2:], x[2, 1:] = 99, -99
    y, saved = layer.forward(x, lengths=[2, 5, 1])
    for i, part in enumerate(alone):
        np.testing.assert_allclose(y[i, : len(part)], part, rtol=1e-12)
        assert not y[i, len(part) :].any()
        np.testing.assert_allclose(layer.final_state(saved)[i].ravel(), part[-1], rtol=1e-12)
    dx = layer.backward(rng.normal(size=y.shape), saved)
    assert not dx[0, 2:].any() and not dx[2, 1:].any() and dx[1].any(axis=1).all()


def test_an_episode_begins_anew(layer, rng):
    x, reset = rng.normal(size=(2, 5, 3)), np.zeros((2, 5), bool)
    reset[0, 3] = True
    y, saved = layer.forward(x, reset=reset)
    np.testing.assert_allclose(y[0, 3:], layer.forward(x[:1, 3:])[0][0], rtol=1e-12)
    np.testing.assert_allclose(y[1], layer.forward(x[1:])[0][0], rtol=1e-12)
    dy = np.zeros_like(y)
    dy[:, 3:] = 1
    dx = layer.backward(dy, saved)
    assert not dx[0, :3].any() and dx[1, :3].any()


def test_states_and_lengths_that_do_not_fit(layer):
    x = np.zeros((2, 4, 3))
    for state, error in ((np.zeros((2, 3, 7)), ShapeError), (np.zeros((2, 3, 8), np.float32), DTypeError)):
        with pytest.raises(error, match="state"):
            layer.forward(x, state=state)
    for lengths in ([5, 1], [0, 1]):
        with pytest.raises(DataError, match="lengths"):
            layer.forward(x, lengths=lengths)


@pytest.mark.parametrize(("slots", "width"), [(3, 8), (4, 4), (7, 3)])
def test_slots_differ_from_the_start(slots, width):
    """C3.7: no two rows of the first memory are alike, however many there are."""
    memory = initial_memory(slots, width, np.dtype(float))
    assert len(np.unique(memory, axis=0)) == slots
    np.testing.assert_array_equal(memory[:width], np.eye(slots, width)[:width])
