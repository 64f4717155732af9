"""Print whether the Eigen3 networks hold their acceptance tasks: memory, learning over time, attention on a needle.

python -m benchmarks.learning.eigen3 [--seeds N] [--quick]
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from enilnets import NeuralNet
from enilnets.layers import Dense
from enilnets.sequence.eigen3.columns import ColumnEncoder

#: One training pass there and back in a process of its own; prints its peak in megabytes. ``getrusage`` would not do: it
#: still shows what the parent took.
PASS = """
import numpy as np
from benchmarks.memory import status
from enilnets.layers import Mode
from enilnets.sequence.eigen3.columns import ColumnEncoder
encoder = ColumnEncoder({columns}, 5, 32, {hidden}, column_chunk_size={chunk}, rng=0)
x = np.random.default_rng(0).standard_normal(({batch}, {time}, {columns}, 5), dtype=np.float32)
y, saved = encoder.forward(x, Mode(True, np.random.default_rng(0)))
encoder.backward(y, saved, inputs=False)
print(status("VmHWM"))
"""


def peak_memory(chunk: int, columns: int = 128, time: int = 120, batch: int = 2, hidden: int = 64) -> float:
    """Megabytes that a process takes at its worst for one training pass with this many columns per chunk."""
    sizes = {"chunk": chunk, "columns": columns, "time": time, "batch": batch, "hidden": hidden}
    command = [sys.executable, "-c", PASS.format(**sizes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_saved(columns: int = 128, parts: int = 16, **sizes: int) -> float:
    """How many times less memory a training pass takes in chunks than in one piece."""
    return peak_memory(columns, columns, **sizes) / peak_memory(columns // parts, columns, **sizes)


def ramps(rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw states (batch, 40, 8, 5) and, per column, whether feature 0 falls, stays or rises in the end (0, 1, 2).

    The last 12 days carry a ramp of 1.5 or none; days 5 to 17 carry another, which says nothing; noise of 0.5.
    """
    x = rng.normal(0, 0.5, (batch, 40, 8, 5))
    classes, distractors = rng.integers(0, 3, (2, batch, 8))
    ramp = np.linspace(0, 1.5, 12)
    x[:, -12:, :, 0] += ramp[:, None] * (classes[:, None] - 1)
    x[:, 5:17, :, 0] += ramp[:, None] * (distractors[:, None] - 1)
    return x.astype(np.float32), classes


def learn_ramps(seed: int, steps: int = 100) -> tuple[float, float]:
    """Accuracy on fresh columns, and on the same columns with their days shuffled."""
    train, test, shuffle, weights = (np.random.default_rng([seed, i]) for i in range(4))
    net = NeuralNet(2e-3, "adam", l2_lambda=0.0, dtype="float32", rng=seed)
    net.add(ColumnEncoder(8, 5, 16, 24, rng=weights)).add(Dense(48, 3, "softmax", dtype="float32", rng=weights))
    for _ in range(steps):
        x, classes = ramps(train, 16)
        net.TrainBatch(x, np.eye(3, dtype=np.float32)[classes], loss_function="cross_entropy")
    x, classes = ramps(test, 256)
    shuffled = shuffle.permuted(np.broadcast_to(np.arange(40)[None, :, None, None], (256, 40, 1, 1)), axis=1)
    right = (net.predict(x).argmax(-1) == classes).mean()
    return float(right), float((net.predict(np.take_along_axis(x, shuffled, 1)).argmax(-1) == classes).mean())
