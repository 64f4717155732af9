"""Enilnets: ``TrainBatch`` and ``predict`` as users call them, with one-hot rows as ``Train`` makes them."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from benchmarks.data import LEARNING_RATE, Arrays, Data
from benchmarks.workloads import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Embedding,
    Flatten,
    Layer,
    Lstm,
    MaxPool,
    Memory,
    TokenMean,
    Transformer,
    Workload,
)
from enilnets import NeuralNet, compute_returns, gae, layers, losses, optim
from enilnets.layers import Mode
from enilnets.ops.attention import attention, attention_backward
from enilnets.ops.matmul import matmul
from enilnets.parameters import Arena, Parameter
from enilnets.sequence import RealNet, RealNetTrainer
from enilnets.sequence.eigen3.columns import ColumnEncoder

__all__ = ["BUILDERS"]


class MeanOfTokens(layers.Layer):
    """(batch, tokens, width) to (batch, width): a layer of one's own, as a user writes it."""

    type = "mean_of_tokens"

    def output_shape(self, shape):
        return shape[1:]

    def forward(self, x, mode=layers.INFERENCE):
        return x.mean(axis=1), x.shape

    def backward_delta(self, dz, saved, *, params=True, inputs=True):
        return np.broadcast_to((dz / dz.dtype.type(saved[1]))[:, None], saved) if inputs else None


def network(workload: Workload, layers: tuple[Layer, ...], parameters: list[Arrays], head: str = "linear") -> NeuralNet:
    net = NeuralNet(LEARNING_RATE, "adam", l2_lambda=0.0, dtype=workload.dtype, rng=0)
    for layer in layers:
        match layer:
            case Dense(n_in, n_out, activation):
                net.add_dense(n_in, n_out, head if layer is layers[-1] else activation)
            case Conv(n_in, n_out, padding, activation):
                net.add_conv2d(n_in, n_out, 3, activation, padding=padding)
            case BatchNorm(features):
                net.add_batchnorm(features)
            case Activation(name):
                net.add_activation(name)
            case MaxPool(size):
                net.add_maxpool2d(size)
            case AvgPool(size):
                net.add_avgpool2d(size)
            case Flatten():
                net.add_flatten()
            case Embedding(rows, width):
                net.add_embedding(rows, width)
            case Lstm(n_in, n_out):
                net.add_lstm(n_in, n_out)
            case Transformer(width, heads, hidden):
                net.add_transformer_block(width, heads, hidden)
            case TokenMean():
                net.add(MeanOfTokens(dtype=workload.dtype))
            case Memory(n_in, slots, head_size, heads):
                net.add_relational_memory(n_in, slots, head_size, heads)
    net.set_weights(parameters)
    return net


def train(workload: Workload, data: Data):
    net = network(workload, workload.layers, data.parameters, head="softmax")
    targets = cycle(np.eye(workload.classes, dtype=workload.dtype)[data.labels])
    return lambda: net.TrainBatch(data.x, next(targets))[0]


def infer(workload: Workload, data: Data):
    net = network(workload, workload.layers, data.parameters)
    return lambda: net.predict(data.x)


def vae(workload: Workload, data: Data):
    encoder = network(workload, workload.layers, data.parameters)
    decoder = network(workload, workload.decoder, data.decoder)
    x, z, batch, rng = data.x, workload.latent, workload.batch, np.random.default_rng(1)

    def step() -> float:
        moments, encoded = encoder.forward(x, train=True)
        mean, log_var = moments[:, :z], moments[:, z:]
        noise = rng.standard_normal(mean.shape, dtype=workload.dtype)
        variance = np.exp(log_var)
        scaled_noise = np.sqrt(variance) * noise
        logits, decoded = decoder.forward(mean + scaled_noise, train=True)

        # The library's loss is a mean over elements; this one is a sum over pixels, a mean over the batch.
        loss, d_logits, _ = losses.value_and_gradient("bce_logits", logits, x, head="linear")
        d_logits *= x.shape[1]
        loss = loss * x.shape[1] - 0.5 * float(np.sum(1 + log_var - mean**2 - variance)) / batch

        d_sample = decoder.backward(decoded, d_logits, inputs=True)
        d_moments = np.empty_like(moments)
        d_moments[:, :z] = d_sample + mean / batch
        d_moments[:, z:] = 0.5 * (d_sample * scaled_noise + (variance - 1) / batch)
        encoder.backward(encoded, d_moments)
        encoder.step()
        decoder.step()
        return loss

    return step


def adam(workload: Workload, data: Data):
    arena = Arena(np.dtype(workload.dtype), [Parameter(array) for array in data.arrays])
    for parameter, gradient in zip(arena.parameters, data.gradients, strict=True):
        parameter.accumulate(gradient)
    optimizer = optim.Adam()
    return lambda: optimizer.step(arena, LEARNING_RATE)


def product(workload: Workload, data: Data):
    a, b = data.arrays
    b = b.T if workload.product.transposed else b
    out = np.empty((len(a), b.shape[1]), workload.dtype)
    return lambda: matmul(a, b, out)


def long_attention(workload: Workload, data: Data):
    q, k, v, dy = data.arrays

    def step() -> np.ndarray:
        y, saved = attention(q, k, v, causal=True)
        attention_backward(dy, saved)
        return y

    return step


def discounted(workload: Workload, data: Data):
    (rewards,) = data.arrays
    return lambda: compute_returns(rewards, 0.99)


def advantages(workload: Workload, data: Data):
    rewards, values = data.arrays
    return lambda: gae(rewards, values, 0.99, 0.95)[0]


def realnet(workload: Workload, data: Data):
    n_in, n_out, steps = workload.layers[0]
    model = RealNet(n_in + n_out, list(range(n_in)), list(range(n_in, n_in + n_out)), dropout_rate=0.0, rng=0)
    model.weights, model.bias = data.parameters[0]["weights"], data.parameters[0]["bias"]
    trainer, targets = RealNetTrainer(model, learning_rate=LEARNING_RATE), cycle(data.arrays[0])
    return lambda: trainer.train_batch(data.x, next(targets), steps)


def extractor(workload: Workload, data: Data):
    """Without dropout, whose masks would differ."""
    _, columns, features = workload.shape
    filters, hidden = len(data.arrays[1]), data.arrays[3].shape[1]
    encoder = ColumnEncoder(columns, features, filters, hidden, dropout_rate=0.0, dtype=workload.dtype, rng=0)
    names = [name for name in encoder.parameters if not name.startswith("norm")]
    for name, array in zip(names, data.arrays, strict=True):
        encoder[name] = 0.1 * array
    arena, optimizer = Arena(encoder.dtype, encoder.parameters.values()), optim.Adam()

    def step() -> float:
        y, saved = encoder.forward(data.x, Mode(training=True))
        encoder.backward(y * (2 / y.size), saved, inputs=False)
        optimizer.step(arena, LEARNING_RATE)
        arena.zero_grad()
        return float(np.square(y).mean())

    return step


BUILDERS = {
    "train": train,
    "memory": train,
    "infer": infer,
    "act": infer,
    "vae": vae,
    "adam": adam,
    "matmul": product,
    "attention": long_attention,
    "returns": discounted,
    "gae": advantages,
    "realnet": realnet,
    "extractor": extractor,
}
