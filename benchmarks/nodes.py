"""What a small operation costs to record and to go back through: ``python -m benchmarks.nodes``.

The time of NumPy's own function is in both columns. Minima of several runs, on eight numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from enilnets import autodiff as ad
from enilnets.autodiff import Tensor
from enilnets.layers import Dense

LENGTH, RUNS = 1000, 15


def chains() -> dict[str, tuple[Callable[[Any], Any], int]]:
    """Name: a function from eight numbers to eight, and the operations in it."""
    other = Tensor(np.full(8, 0.5), requires_grad=True)
    layer = Dense(8, 8, "tanh", rng=0)
    return {
        "-x": (lambda x: -x, 1),
        "x + y": (lambda x: x + other, 1),
        "x * y": (lambda x: x * other, 1),
        "x * 0.5": (lambda x: x * 0.5, 1),
        "sin(x)": (ad.sin, 1),
        "tanh(x)": (ad.tanh, 1),
        "reshape": (lambda x: x.reshape(2, 4).reshape(8), 2),
        "x[::-1]": (lambda x: x[::-1], 1),
        "sum, broadcast": (lambda x: x.sum() * other, 2),
        "matmul": (lambda x: (x.reshape(1, 8) @ layer.parameters["weights"]).reshape(8), 3),
        "Dense layer": (lambda x: layer(x.reshape(1, 8)).reshape(8), 3),
    }


def microseconds(function: Callable[[Any], Any], operations: int) -> tuple[float, float]:
    """Return the least time per operation, forward and back."""
    x = Tensor(np.full(8, 0.5), requires_grad=True)
    forward = backward = float("inf")
    for _ in range(RUNS):
        start, y = time.perf_counter(), x
        for _ in range(LENGTH):
            y = function(y)
        between = time.perf_counter()
        y.backward(np.full(8, 1e-3))
        end = time.perf_counter()
        forward, backward = min(forward, between - start), min(backward, end - between)
    return forward / (LENGTH * operations) * 1e6, backward / (LENGTH * operations) * 1e6


def main() -> None:
    print("| operation | forward, µs | backward, µs |")
    print("|---|---:|---:|")
    with np.errstate(over="ignore", under="ignore"):
        for name, (function, operations) in chains().items():
            forward, backward = microseconds(function, operations)
            print(f"| {name} | {forward:.1f} | {backward:.1f} |", flush=True)


if __name__ == "__main__":
    main()
