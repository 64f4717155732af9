"""ops.relational_memory: gradients, one step by an independent formula, carried memory, slots that differ."""

import numpy as np
import pytest

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


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients(kind, rng):
    """C-1: input, first memory and every weight, with gradients from all steps and from the last memory."""
    weights, settings, memory = made(rng, *kind)
    x, dy, dlast = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 4, 3, 8)), rng.normal(size=memory.shape)

    def value(x, memory, weights):
        y, last, _ = relational_memory(x, memory, weights, settings)
        return float((y * dy).sum() + (last * dlast).sum())

    _, _, saved = relational_memory(x, memory, weights, settings)
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
    y, last, _ = relational_memory(x, memory, weights, settings)
    for sample in range(2):
        after = memory[sample]
        for t in range(2):
            after = one_step(x[sample, t], after, weights, settings)
            np.testing.assert_allclose(y[sample, t], after, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(last, y[:, -1])


def test_a_sequence_in_two_parts_is_the_whole(rng):
    weights, settings, memory = made(rng, "unit", 1, 2, 4, True)
    x = rng.normal(size=(2, 5, 3))
    whole, last, _ = relational_memory(x, memory, weights, settings)
    first, middle, _ = relational_memory(x[:, :2], memory, weights, settings)
    second, end, _ = relational_memory(x[:, 2:], middle, weights, settings)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), whole, rtol=1e-12)
    np.testing.assert_allclose(end, last, rtol=1e-12)


@pytest.mark.parametrize(("slots", "width"), [(3, 8), (4, 4), (7, 3)])
def test_slots_differ_from_the_start(slots, width):
    """C3.7: no two rows of the first memory are alike, however many there are."""
    memory = initial_memory(slots, width, np.dtype(float))
    assert len(np.unique(memory, axis=0)) == slots
    np.testing.assert_array_equal(memory[:width], np.eye(slots, width)[:width])
