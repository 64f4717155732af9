"""JAX with optax: one jitted function per step, parameters and optimizer state donated. Images are channels last,
which its CPU backend prefers."""

from __future__ import annotations

from functools import partial
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.data import LEARNING_RATE, Arrays, Data
from benchmarks.workloads import (
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Embedding,
    Flatten,
    Lstm,
    MaxPool,
    Workload,
    walk,
)

__all__ = ["BUILDERS"]

ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu, "tanh": jnp.tanh, "swish": jax.nn.silu}
STATISTICS_MOMENTUM = 0.1
optimizer = optax.adam(LEARNING_RATE)


def converted(layers, parameters: list[Arrays], shape) -> list[tuple]:
    """Parameters in this layout: (in, out), (3, 3, in, out), and rows of the flattened image channels last."""
    result, image = [], None
    for (layer, before, _, _), arrays in zip(walk(layers, shape), parameters, strict=True):
        match layer:
            case Flatten():
                image = before if len(before) == 3 else None
            case Dense(_, n_out, _):
                weights = arrays["weights"]
                if image is not None:
                    weights, image = weights.reshape(n_out, *image).transpose(0, 2, 3, 1).reshape(n_out, -1), None
                arrays = {**arrays, "weights": weights.T}
            case Conv():
                arrays = {**arrays, "weights": arrays["weights"].transpose(2, 3, 1, 0)}
            case Lstm():
                names = ("weights", "recurrent_weights")
                arrays = {**arrays, **{name: arrays[name].T for name in names}}
        result.append(tuple(jnp.array(array) for array in arrays.values()))
    return result


def statistics(layers, dtype: str) -> list:
    return [(jnp.zeros(e.features, dtype), jnp.ones(e.features, dtype)) for e in layers if isinstance(e, BatchNorm)]


def moved(running, batch):
    return running + STATISTICS_MOMENTUM * (batch - running)


def apply(layers, parameters, x, running=()):
    """The output, and the running statistics after it (batch statistics are used, as in training)."""
    updated, running = [], iter(running)
    for layer, p in zip(layers, parameters, strict=True):
        match layer:
            case Dense(_, _, activation):
                x = ACTIVATIONS[activation](x @ p[0] + p[1])
            case Conv(_, _, pad, activation):
                window = ((pad, pad), (pad, pad))
                z = jax.lax.conv_general_dilated(x, p[0], (1, 1), window, dimension_numbers=("NHWC", "HWIO", "NHWC"))
                x = ACTIVATIONS[activation](z + p[1])
            case BatchNorm():
                mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
                x = (x - mean) * jax.lax.rsqrt(var + 1e-5) * p[0] + p[1]
                old_mean, old_var = next(running)
                updated.append((moved(old_mean, mean), moved(old_var, var)))
            case Activation(name):
                x = ACTIVATIONS[name](x)
            case MaxPool(size):
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, size, size, 1), (1, size, size, 1), "VALID")
            case AvgPool(size):
                batch, height, width, channels = x.shape
                x = x.reshape(batch, height // size, size, width // size, size, channels).mean((2, 4))
            case Flatten():
                x = x.reshape(len(x), -1)
            case Embedding():
                x = p[0][x]
            case Lstm():
                x = last_step(p, x)
    return x, updated


def last_step(parameters, x):
    """The last output of an LSTM over (batch, time, features), all products with the input in one."""
    w, u, b = parameters
    sums = (x @ w + b).swapaxes(0, 1)

    def step(state, sums):
        h, c = state
        i, f, g, o = jnp.split(sums + h @ u, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[0], u.shape[0]), x.dtype)
    return jax.lax.scan(step, (zeros, zeros), sums)[0][0]


def channels_last(x: np.ndarray) -> jax.Array:
    return jnp.array(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x)


def stepping(loss_of, parameters, *state):
    """A step function around ``loss_of(parameters, *state, *inputs) -> (loss, state)``."""

    @partial(jax.jit, donate_argnums=(0, 1))
    def jitted(parameters, moments, state, inputs):
        (loss, state), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, *state, *inputs)
        updates, moments = optimizer.update(gradients, moments, parameters)
        return optax.apply_updates(parameters, updates), moments, state, loss

    now = [parameters, optimizer.init(parameters), state]

    def step(*inputs):
        *now[:], loss = jitted(*now, inputs)
        return loss.block_until_ready()

    return step


def train(workload: Workload, data: Data):
    labels, x = cycle(list(jnp.array(data.labels, jnp.int32))), channels_last(data.x)

    def loss_of(parameters, running, x, y):
        logits, running = apply(workload.layers, parameters, x, running)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), (running,)

    parameters = converted(workload.layers, data.parameters, workload.shape)
    step = stepping(loss_of, parameters, statistics(workload.layers, workload.dtype))
    return lambda: step(x, next(labels))


def infer(workload: Workload, data: Data):
    parameters, x = converted(workload.layers, data.parameters, workload.shape), channels_last(data.x)
    forward = jax.jit(lambda parameters, x: apply(workload.layers, parameters, x)[0])
    return lambda: forward(parameters, x).block_until_ready()


def act(workload: Workload, data: Data):
    parameters = converted(workload.layers, data.parameters, workload.shape)
    forward = jax.jit(lambda parameters, x: apply(workload.layers, parameters, x)[0])
    return lambda: np.asarray(forward(parameters, data.x[None]))


def vae(workload: Workload, data: Data):
    x = jnp.array(data.x)

    def loss_of(parameters, key, x):
        key, now = jax.random.split(key)
        mean, log_var = jnp.split(apply(workload.layers, parameters[0], x)[0], 2, axis=1)
        noise = jax.random.normal(now, mean.shape, mean.dtype)
        logits = apply(workload.decoder, parameters[1], mean + jnp.exp(0.5 * log_var) * noise)[0]
        divergence = -0.5 * (1 + log_var - mean**2 - jnp.exp(log_var)).sum(1).mean()
        return optax.sigmoid_binary_cross_entropy(logits, x).sum() / len(x) + divergence, (key,)

    encoder = converted(workload.layers, data.parameters, workload.shape)
    decoder = converted(workload.decoder, data.decoder, (workload.latent,))
    step = stepping(loss_of, (encoder, decoder), jax.random.PRNGKey(1))
    return lambda: step(x)


def adam(workload: Workload, data: Data):
    parameters, gradients = [jnp.array(a) for a in data.arrays], [jnp.array(g) for g in data.gradients]

    @partial(jax.jit, donate_argnums=(0, 1))
    def jitted(parameters, moments, gradients):
        updates, moments = optimizer.update(gradients, moments, parameters)
        return optax.apply_updates(parameters, updates), moments

    now = [parameters, optimizer.init(parameters)]

    def step():
        now[:] = jitted(*now, gradients)
        jax.block_until_ready(now)

    return step


def product(workload: Workload, data: Data):
    a, b = map(jnp.array, data.arrays)
    transposed = workload.product.transposed
    jitted = jax.jit(lambda a, b: a @ (b.T if transposed else b))
    return lambda: jitted(a, b).block_until_ready()


def in_double(build):
    """Arrays of 64 bits exist in JAX only where they are switched on."""

    def wrapped(workload: Workload, data: Data):
        if workload.dtype == "float32":
            return build(workload, data)
        with jax.enable_x64(True):
            step = build(workload, data)

        def stepped():
            with jax.enable_x64(True):
                return step()

        return stepped

    return wrapped


BUILDERS = {
    "train": in_double(train),
    "infer": in_double(infer),
    "act": act,
    "vae": vae,
    "adam": adam,
    "matmul": in_double(product),
}
