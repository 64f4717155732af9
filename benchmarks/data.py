"""Inputs, labels and initial parameters, the same numbers for every contestant."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from benchmarks.workloads import BatchNorm, Conv, Dense, Embedding, Layer, Lstm, Product, Shape, Workload

__all__ = ["LABEL_SETS", "LEARNING_RATE", "Data", "make_data"]

LEARNING_RATE = 1e-3

#: The labels of a batch change from call to call in a cycle of this length. A network that could learn one batch by
#: heart would do so within a second of timing; its gradients would end in denormal numbers, whose arithmetic is slow.
LABEL_SETS = 8

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Data:
    """What a contestant starts from.

    Attributes
    ----------
    x : ndarray (batch, *shape)
        Channels first. For kind "act" one observation, (features,). Before an embedding, ids as int64.
    labels : ndarray (LABEL_SETS, batch) of int64
    parameters, decoder : list of dict
        One entry per layer: "weights" (out, in[, 3, 3]), "recurrent_weights" between them, and "bias"; "gamma" and
        "beta"; or nothing.
    arrays, gradients : list of ndarray
        For kind "adam". For kind "matmul" the arrays are the left side (m, k) and the right side, (k, n) or, if it is
        to be transposed, (n, k).
    """

    x: np.ndarray
    labels: np.ndarray
    parameters: list[Arrays]
    decoder: list[Arrays]
    arrays: list[np.ndarray]
    gradients: list[np.ndarray]


def make_data(workload: Workload) -> Data:
    """Draw everything from a fixed seed in the dtype of ``workload``."""
    rng = np.random.default_rng(0)
    shape = workload.shape if workload.kind == "act" else (workload.batch, *workload.shape)
    first = workload.layers[0] if workload.layers else None
    if isinstance(first, Embedding):
        x = rng.integers(0, first.rows, shape)
    else:
        x = (rng.random(shape) if workload.kind == "vae" else rng.standard_normal(shape)).astype(workload.dtype)
    classes = workload.classes if workload.layers else 1

    def drawn(shapes: tuple[Shape, ...]) -> list[np.ndarray]:
        return [rng.standard_normal(s, dtype=workload.dtype) for s in shapes]

    return Data(
        x=x,
        labels=rng.integers(0, classes, (LABEL_SETS, workload.batch)),
        parameters=[initial(layer, workload.dtype, rng) for layer in workload.layers],
        decoder=[initial(layer, workload.dtype, rng) for layer in workload.decoder],
        arrays=drawn(factors(workload.product) if workload.product else workload.shapes),
        gradients=drawn(workload.shapes),
    )


def factors(product: Product) -> tuple[Shape, Shape]:
    m, k, n, transposed = product
    return (m, k), (n, k) if transposed else (k, n)


def initial(layer: Layer, dtype: str, rng: np.random.Generator) -> Arrays:
    match layer:
        case Dense(n_in, n_out, _):
            return weights((n_out, n_in), dtype, rng)
        case Conv(n_in, n_out, _, _):
            return weights((n_out, n_in, 3, 3), dtype, rng)
        case BatchNorm(features):
            return {"gamma": np.ones(features, dtype), "beta": np.zeros(features, dtype)}
        case Embedding(rows, width):
            return {"weights": (0.1 * rng.standard_normal((rows, width))).astype(dtype)}
        case Lstm(n_in, n_out):  # gates in the order i, f, g, o
            recurrent = weights((4 * n_out, n_out), dtype, rng)["weights"]
            of_input = weights((4 * n_out, n_in), dtype, rng)
            return {"weights": of_input["weights"], "recurrent_weights": recurrent, "bias": of_input["bias"]}
    return {}


def weights(shape: Shape, dtype: str, rng: np.random.Generator) -> Arrays:
    scale = 1 / sqrt(prod(shape[1:]))
    return {
        "weights": (scale * rng.standard_normal(shape)).astype(dtype),
        "bias": (0.01 * rng.standard_normal(shape[0])).astype(dtype),
    }
