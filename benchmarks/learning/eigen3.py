"""Print whether the Eigen3 networks hold their acceptance tasks: memory, learning over time, attention on a needle.

python -m benchmarks.learning.eigen3 [--only TASK ...] [--seeds N] [--quick]
"""

import subprocess
import sys

import numpy as np

from enilnets.autodiff import Model, loss
from enilnets.layers import Dense
from enilnets.sequence import CrossAttentionModule, FeatureExtractor

from .table import Measure, Task, at_least, at_most, command

#: Seeds below were looked at while the dropout of the needle task was chosen.
FIRST_SEED = 100

#: One training pass there and back in a process of its own; prints its peak in megabytes. ``getrusage`` would still
#: show what the parent took.
PASS = """
import numpy as np
from benchmarks.memory import status
from enilnets.sequence import FeatureExtractor
extractor = FeatureExtractor({columns}, 5, 32, {hidden}, column_chunk_size={chunk}, use_remat={remat}, rng=0)
x = np.random.default_rng(0).standard_normal(({batch}, {time}, {columns}, 5), dtype=np.float32)
y, ctx = extractor.forward(x, train=True)
extractor.backward(ctx, y)
print(status("VmHWM"))
"""


def peak_memory(chunk: int, remat: bool = True, columns: int = 128) -> float:
    """Megabytes that a process takes at its worst for one training pass with this many columns per chunk."""
    sizes = {"chunk": chunk, "remat": remat, "columns": columns, "time": 120, "batch": 2, "hidden": 64}
    command = [sys.executable, "-c", PASS.format(**sizes)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory_saved(columns: int = 128, parts: int = 16) -> tuple[float, float]:
    """How many times less memory a training pass in chunks takes than one in a piece, and one that keeps them all."""
    chunk = columns // parts
    chunked = peak_memory(chunk, columns=columns)
    return peak_memory(columns, columns=columns) / chunked, peak_memory(chunk, False, columns) / chunked


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


def cross_entropy(logits, targets):
    return loss("softmax_cross_entropy", logits, targets)


class Trend(Model):
    """Rising, falling or neither, for every column; the last layer gives logits."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(2e-3, "adam", l2_lambda=0.0, dtype="float32", rng=rng)
        self.extractor = FeatureExtractor(8, 5, 16, 24, rng=self.rng)
        self.out = Dense(48, 3, "linear", dtype="float32", rng=self.rng)

    def call(self, state):
        return self.out(self.extractor(state))


def learn_ramps(seed: int, steps: int = 100) -> tuple[float, float]:
    """Accuracy on fresh columns, and on the same columns with their days shuffled."""
    train, test, shuffle, weights = (np.random.default_rng([seed, i]) for i in range(4))
    model = Trend(weights)
    for _ in range(steps):
        x, classes = ramps(train, 16)
        model.train_batch(cross_entropy, x, np.eye(3, dtype=np.float32)[classes])
    x, classes = ramps(test, 256)
    days = shuffle.permuted(np.broadcast_to(np.arange(40)[None, :, None, None], (256, 40, 1, 1)), axis=1)
    right, shuffled = (
        (model.infer(state).argmax(-1) == classes).mean() for state in (x, np.take_along_axis(x, days, 1))
    )
    return float(right), float(shuffled)


def haystacks(rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features (batch, 32, 32), the column of the needle, and its class of ten.

    Every column holds a class in its first ten features; the needle alone is marked, in the eleventh.
    """
    x = 0.5 * rng.standard_normal((batch, 32, 32))
    every = rng.integers(0, 10, (batch, 32))
    x[:, :, :10] += 2 * np.eye(10)[every]
    places = rng.integers(0, 32, batch)
    x[np.arange(batch), places, 10] += 4
    return x.astype(np.float32), places, every[np.arange(batch), places]


class Search(Model):
    """The class of the needle, from what one learned query gathers; dropout of weights gives no head a rest."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(1e-2, "adam", l2_lambda=0.0, dtype="float32", rng=rng)
        self.attention = CrossAttentionModule(32, 4, attention_dropout=0.3, rng=self.rng)
        self.out = Dense(32, 10, "linear", dtype="float32", rng=self.rng)

    def call(self, x):
        return self.out(self.attention(x)[0])[:, 0]


def find_needle(seed: int, steps: int = 400) -> tuple[float, float, float]:
    """Mean weight of the needle in fresh data; distance of weights from the softmax, and of their sum from 1."""
    train, test, weights = (np.random.default_rng([seed, i]) for i in range(3))
    model = Search(weights)
    for _ in range(steps):
        x, _, classes = haystacks(train, 64)
        model.train_batch(cross_entropy, x, np.eye(10, dtype=np.float32)[classes])
    x, places, _ = haystacks(test, 512)
    module = model.attention
    _, found = module(x, train=False, return_attention_weights=True)
    mass = found[np.arange(512), 0, places].mean()
    q = np.broadcast_to(module.token.value @ module.query["weights"].T + module.query["bias"], (512, 1, 32))
    k = x @ module.key["weights"].T + module.key["bias"]
    scores = np.einsum("bhd,bchd->bhc", q.reshape(512, 4, 8), k.reshape(512, 32, 4, 8)) / np.sqrt(8)
    softmax = np.exp(scores - scores.max(-1, keepdims=True))
    expected = (softmax / softmax.sum(-1, keepdims=True)).mean(1)
    _, dropped = module(x, train=True, return_attention_weights=True)
    return float(mass), float(np.abs(found[:, 0] - expected).max()), float(np.abs(dropped.sum(-1) - 1).max())


TASKS = (
    Task(
        "memory",
        lambda seed, quick: memory_saved(),
        (
            Measure("B-1", "training pass in 16 chunks: times less memory than in one", "", ">= 3", at_least(3)),
            Measure("B-1", "the same: times less than without running chunks again", "", "> 1", at_least(1)),
        ),
        seeds=1,
    ),
    Task(
        "ramps",
        lambda seed, quick: learn_ramps(seed, 60 if quick else 100),
        (
            Measure("B-2", "ramps over 12 of 40 days: accuracy", "PyTorch .993", ">= .98", at_least(0.98)),
            Measure("B-2", "the same, days shuffled", "PyTorch .36 to .55", "< .6", at_most(0.6)),
        ),
    ),
    Task(
        "needle",
        lambda seed, quick: find_needle(seed, 250 if quick else 400),
        (
            Measure("B-3", "weight of the needle among 32 columns", "1/32 untrained", ">= .8", at_least(0.8)),
            Measure("B-3", "largest error of the weights beside the softmax", "", "<= 1e-6", at_most(1e-6)),
            Measure("B-3", "sum of the weights after dropout, distance to 1", "", "<= 1e-6", at_most(1e-6)),
        ),
        first_seed=FIRST_SEED,
    ),
)


if __name__ == "__main__":
    command("eigen3", __doc__, TASKS)
