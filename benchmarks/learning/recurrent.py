"""Memory tasks of recurrent networks: the adding problem and the copy task, over seeds.

python -m benchmarks.learning.recurrent [--seeds N] [--quick]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from enilnets import NeuralNet, optim

__all__ = ["TASKS", "Task", "adding", "copying", "solve"]

SYMBOLS, LENGTH = 8, 5

Batch = tuple[np.ndarray, np.ndarray]


def adding(n: int, rng: np.random.Generator, steps: int = 50) -> Batch:
    """Numbers of [0, 1) and marks at two of them, one in each half; the target is the sum of the two.

    Hochreiter & Schmidhuber 1997, experiment 4, in the form of Le et al. 2015. The best constant has an error of 1/6.
    """
    x = np.zeros((n, steps, 2), np.float32)
    x[:, :, 0] = rng.random((n, steps))
    rows = np.arange(n)
    x[rows, rng.integers(0, steps // 2, n), 1] = 1
    x[rows, rng.integers(steps // 2, steps, n), 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)


def copying(n: int, rng: np.random.Generator, delay: int) -> Batch:
    """Five of eight symbols, then blanks, then five marks at which the symbols are to be said again.

    Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016, section 5.1. Labels are of all steps; only the last five count.
    """
    symbols = rng.integers(0, SYMBOLS, (n, LENGTH))
    shown = np.full((n, LENGTH + delay + LENGTH), SYMBOLS)
    shown[:, :LENGTH], shown[:, -LENGTH:] = symbols, SYMBOLS + 1
    labels = np.zeros(shown.shape, np.int64)
    labels[:, -LENGTH:] = symbols
    return np.eye(SYMBOLS + 2, dtype=np.float32)[shown], labels


class Task(NamedTuple):
    """A task, the network for it, and what is to be reached.

    Attributes
    ----------
    batch : callable
        (n, rng) -> inputs and targets.
    cell : {"lstm", "gru", "rnn"}
    iterations : int
    goal : float
        Test error to stay below, or share of right symbols to get above.
    reference : str
        What PyTorch's LSTM reached, and in how many iterations.
    """

    batch: Callable[[int, np.random.Generator], Batch]
    cell: str
    iterations: int
    goal: float
    reference: str
    hidden: int = 64
    rate: float = 2e-3

    @property
    def classifies(self) -> bool:
        """Whether the score is a share of right symbols, and not an error."""
        return self.goal > 0.5

    def reached(self, score: float) -> bool:
        """Whether ``score`` is on the right side of the goal."""
        return score > self.goal if self.classifies else score < self.goal


TASKS = {
    "adding problem, 50 steps, LSTM": Task(adding, "lstm", 2000, 0.01, "< 0.01 at 1,300"),
    "adding problem, 50 steps, GRU": Task(adding, "gru", 2000, 0.01, "-"),
    "adding problem, 50 steps, RNN": Task(adding, "rnn", 2000, 0.01, "-"),
    "copy task, delay 10, LSTM": Task(
        lambda n, rng: copying(n, rng, 10), "lstm", 3000, 0.99, "> 0.99 at 2,400", rate=5e-3
    ),
    "copy task, delay 20, LSTM": Task(
        lambda n, rng: copying(n, rng, 20), "lstm", 6000, 0.99, "0.85 at 2,500", rate=5e-3
    ),
}


def network(task: Task, seed: int) -> NeuralNet:
    """A recurrent layer and a dense one; Adam with clipped gradients."""
    optimizer = optim.Adam(clip_norm=1.0)
    net = NeuralNet(learning_rate=task.rate, optimizer=optimizer, l2_lambda=0.0, dtype="float32", rng=seed)
    n_in = task.batch(1, np.random.default_rng(0))[0].shape[2]
    getattr(net, f"add_{task.cell}")(n_in, task.hidden, return_sequences=task.classifies)
    if task.classifies:
        return net.add_dense(n_out=SYMBOLS, activation="softmax")
    return net.add_dense(n_out=1, activation="linear")


def score(net: NeuralNet, task: Task, data: Batch) -> float:
    """Mean squared error, or share of right symbols among the last five."""
    x, y = data
    output = net.predict(x)
    if task.classifies:
        return float(np.mean(output[:, -LENGTH:].argmax(-1) == y[:, -LENGTH:]))
    return float(np.mean((output - y) ** 2))


def solve(task: Task, seed: int, iterations: int | None = None, batch_size: int = 64) -> tuple[float, int | None]:
    """Train on fresh batches; return the score on test data, and the iteration at which validation first reached it.

    Neither validation nor test data has a part in training, nor in when it ends.
    """
    train, held_out = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    validation, test = task.batch(500, held_out), task.batch(2000, held_out)
    net, first = network(task, seed), None
    weights = None
    if task.classifies:
        weights = np.zeros(validation[1][:batch_size].shape)
        weights[:, -LENGTH:] = 1
    iterations = iterations or task.iterations
    for iteration in range(1, iterations + 1):
        net.TrainBatch(*task.batch(batch_size, train), sample_weight=weights)
        if first is None and iteration % 100 == 0 and task.reached(score(net, task, validation)):
            first = iteration
    return score(net, task, test), first


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning.recurrent", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument("--quick", action="store_true", help="one seed, a tenth of the iterations")
    arguments = parser.parse_args()
    seeds = range(1 if arguments.quick else arguments.seeds)
    rows = []
    for name, task in TASKS.items():
        results, start = [], time.perf_counter()
        for seed in seeds:
            results.append(solve(task, seed, task.iterations // 10 if arguments.quick else None))
            print(f"{name}, seed {seed}: {results[-1][0]:.4f}, reached at {results[-1][1]}", flush=True)
        scores = [result for result, _ in results]
        at = "; ".join("-" if first is None else f"{first:,}" for _, first in results)
        sign, held = (">", min(scores) > task.goal) if task.classifies else ("<", max(scores) < task.goal)
        spread = f"{statistics.mean(scores):.4f} ({min(scores):.4f} to {max(scores):.4f})"
        seconds = (time.perf_counter() - start) / len(results)
        row = (name, task.reference, f"{sign} {task.goal} at {task.iterations:,}", spread, at, f"{seconds:.0f}")
        rows.append((*row, "held" if held else "not held"))
    print("\n| task | PyTorch | goal | test score: mean (range) | reached at | s per seed | |")
    print("|---" * 7 + "|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
