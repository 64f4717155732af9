"""The relational memory as a node of a graph, and written out as a graph of its own."""

import numpy as np
import pytest

from enilnets.layers import Dense, RelationalMemory

pytest.importorskip("enilnets.autodiff.model")
ad = pytest.importorskip("enilnets.autodiff")


def normalised(z, gamma, beta):
    centred = z - ad.mean(z, axis=-1, keepdims=True)
    return centred / ad.sqrt(ad.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * gamma + beta


def written_out(x, w, slots, heads):
    """One block with gates per unit, as expressions; ``w`` by the names of the layer."""
    batch, width = x.shape[0], w["w_in"].shape[0]
    embedded = x @ w["w_in"].T + w["b_in"]
    memory = ad.Tensor(np.broadcast_to(np.eye(slots, width), (batch, slots, width)).astype(x.dtype))
    for t in range(x.shape[1]):
        e = embedded[:, t : t + 1]
        z = ad.concatenate([memory, e], axis=1)
        qkv = normalised(z @ w["w_qkv"][0].T + w["b_qkv"][0], w["gamma_qkv"][0], w["beta_qkv"][0])
        parts = ad.transpose(ad.reshape(qkv, (batch, slots + 1, heads, -1)), (0, 2, 1, 3))
        k = parts.shape[3] // 3
        scores = parts[:, :, :slots, :k] @ ad.swapaxes(parts[..., k : 2 * k], 2, 3) * k**-0.5
        attended = ad.transpose(ad.softmax(scores, axis=-1) @ parts[..., 2 * k :], (0, 2, 1, 3))
        z = memory + ad.reshape(attended, (batch, slots, width))
        z = normalised(z, w["gamma_attention"][0], w["beta_attention"][0])
        hidden = ad.relu(z @ w["w_mlp"][0].T + w["b_mlp"][0]) @ w["w_mlp"][1].T + w["b_mlp"][1]
        z = normalised(z + hidden, w["gamma_mlp"][0], w["beta_mlp"][0])
        gates = e @ w["w_gate_x"].T + w["b_gate_x"] + ad.tanh(memory) @ w["w_gate_m"].T + w["b_gate_m"]
        i, f = gates[..., :width], gates[..., width:]
        memory = ad.sigmoid(i) * ad.tanh(z) + ad.sigmoid(f + 1.0) * memory
    return ad.reshape(memory, (batch, slots * width))


def test_the_layer_is_what_is_written_out(rng):
    """C-1: output and gradients of the layer's own backward pass and of a graph of small operations."""
    layer = RelationalMemory(3, 4, 5, 2, rng=0)
    weights = {name: ad.Tensor(p.value, requires_grad=True) for name, p in layer.parameters.items()}
    x, dy = rng.normal(size=(3, 4, 3)), rng.normal(size=(3, 40))
    leaf = ad.Tensor(x, requires_grad=True)
    graph = written_out(leaf, weights, 4, 2)
    y, saved = layer.forward(x)
    dx = layer.backward(dy, saved)
    np.testing.assert_allclose(graph.data, y, rtol=1e-10)
    ad.sum(graph * dy).backward()
    np.testing.assert_allclose(leaf.grad, dx, rtol=1e-8, atol=1e-12)
    for name, parameter in layer.parameters.items():
        np.testing.assert_allclose(weights[name].grad, parameter.grad, rtol=1e-8, atol=1e-12, err_msg=name)


class Reader(ad.Model):
    """A memory and what reads it."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.memory = RelationalMemory(3, 2, 4, 2, rng=self.rng)
        self.output = Dense(16, 2, "linear", rng=self.rng)

    def call(self, x):
        return self.output(ad.tanh(self.memory(x)))


def test_a_model_with_a_memory_trains_and_saves(rng, tmp_path):
    model, x = Reader(learning_rate=0.02, l2_lambda=0.0, rng=0), rng.normal(size=(20, 4, 3))
    y = (x[:, 0, :1] > 0) * np.array([1.0, -1.0])
    errors = [model.train_batch(lambda out, y: ad.loss("mse", out, y), x, y) for _ in range(60)]
    assert errors[-1] < 0.2 * errors[0]
    model.Save(tmp_path / "model.safetensors")
    other = Reader(rng=1).Load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(other.infer(x), model.infer(x))
    np.testing.assert_array_equal(model.clone().infer(x), model.infer(x))
