"""The few lines of NumPy that one writes instead of using a library: products, dense layers, Adam, discounted sums."""

from __future__ import annotations

from itertools import cycle

import numpy as np

from benchmarks.data import LEARNING_RATE, Data
from benchmarks.workloads import Dense, Workload

__all__ = ["BUILDERS"]

ACTIVATIONS = {"linear": lambda z: z, "relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}
#: The derivative times ``dy``, from the output.
DERIVATIVES = {"linear": lambda y, dy: dy, "relu": lambda y, dy: dy * (y > 0), "tanh": lambda y, dy: dy * (1 - y * y)}


class Adam:
    def __init__(self, arrays: list[np.ndarray]) -> None:
        self.arrays, self.t = arrays, 0
        self.m, self.v = [np.zeros_like(a) for a in arrays], [np.zeros_like(a) for a in arrays]

    def step(self, gradients: list[np.ndarray]) -> None:
        self.t += 1
        rate = LEARNING_RATE * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        for w, m, v, g in zip(self.arrays, self.m, self.v, gradients, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            w -= float(rate) * m / (np.sqrt(v) + 1e-8)


def forward(workload: Workload, arrays: list[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    outputs = [x]
    for layer, w, b in zip(workload.layers, arrays[::2], arrays[1::2], strict=True):
        outputs.append(ACTIVATIONS[layer.activation](outputs[-1] @ w.T + b))
    return outputs


def only_dense(workload: Workload) -> bool:
    return all(isinstance(layer, Dense) for layer in workload.layers)


def train(workload: Workload, data: Data):
    if not only_dense(workload):
        return None
    arrays = [array.copy() for entry in data.parameters for array in entry.values()]
    optimizer, rows = Adam(arrays), np.arange(workload.batch)
    labels = cycle(data.labels)

    def step() -> float:
        y, (*hidden, logits) = next(labels), forward(workload, arrays, data.x)
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        loss = -float(np.log(p[rows, y]).mean())
        p[rows, y] -= 1
        gradient, gradients = p / np.asarray(workload.batch, p.dtype), []
        for i in range(len(hidden) - 1, -1, -1):
            gradients += [gradient.sum(0), gradient.T @ hidden[i]]
            if i:
                gradient = DERIVATIVES[workload.layers[i - 1].activation](hidden[i], gradient @ arrays[2 * i])
        optimizer.step(gradients[::-1])
        return loss

    return step


def infer(workload: Workload, data: Data):
    if not only_dense(workload):
        return None
    arrays = [array for entry in data.parameters for array in entry.values()]
    return lambda: forward(workload, arrays, data.x)[-1]


def act(workload: Workload, data: Data):
    arrays = [array for entry in data.parameters for array in entry.values()]
    return lambda: forward(workload, arrays, data.x[None])[-1]


def adam(workload: Workload, data: Data):
    optimizer = Adam([array.copy() for array in data.arrays])
    return lambda: optimizer.step(data.gradients)


def product(workload: Workload, data: Data):
    a, b = data.arrays
    b = b.T if workload.product.transposed else b
    out = np.empty((len(a), b.shape[1]), workload.dtype)
    return lambda: np.matmul(a, b, out=out)


def discounted_sum(terms: np.ndarray, factor: float) -> np.ndarray:
    sums, carried = np.empty_like(terms), 0.0
    for t in range(len(terms) - 1, -1, -1):
        sums[t] = carried = terms[t] + factor * carried
    return sums


def discounted(workload: Workload, data: Data):
    (rewards,) = data.arrays
    return lambda: discounted_sum(rewards, 0.99)


def advantages(workload: Workload, data: Data):
    rewards, values = data.arrays
    return lambda: discounted_sum(rewards + 0.99 * values[1:] - values[:-1], 0.99 * 0.95)


BUILDERS = {
    "train": train,
    "infer": infer,
    "act": act,
    "adam": adam,
    "matmul": product,
    "returns": discounted,
    "gae": advantages,
}
