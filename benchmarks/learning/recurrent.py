"""Memory tasks of recurrent networks: the adding problem and the copy task, over seeds.

python -m benchmarks.learning.recurrent [--only TASK ...] [--seeds N] [--quick]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from enilnets import NeuralNet, optim
from enilnets.sequence import tasks

from .table import Measure, Task, at_least, at_most, command

__all__ = ["SETTINGS", "TASKS", "solve"]

#: Of the copy task: how many symbols come back, at the last steps, and how many there are to choose from.
LENGTH, SYMBOLS = 5, 8


class Setting(NamedTuple):
    """A task and the network for it.

    Attributes
    ----------
    draw : callable
        ``draw(n, rng=)`` gives inputs and targets.
    cell : {"lstm", "gru", "rnn"}
    iterations : int
    copies : bool
        Whether symbols are said again; else the target is a number.
    """

    draw: Callable[..., tuple[np.ndarray, np.ndarray]]
    cell: str
    iterations: int
    copies: bool = False


SETTINGS = {
    "adding-lstm": Setting(tasks.adding_problem, "lstm", 2000),
    "adding-gru": Setting(tasks.adding_problem, "gru", 2000),
    "adding-rnn": Setting(tasks.adding_problem, "rnn", 2000),
    "copy-10": Setting(partial(tasks.copy_task, delay=10), "lstm", 3000, copies=True),
    "copy-20": Setting(partial(tasks.copy_task, delay=20), "lstm", 6000, copies=True),
}


def network(setting: Setting, features: int, seed: int) -> NeuralNet:
    """64 recurrent units and a dense layer; Adam with clipped gradients."""
    rate = 5e-3 if setting.copies else 2e-3
    net = NeuralNet(rate, optim.Adam(clip_norm=1.0), l2_lambda=0.0, dtype="float32", rng=seed)
    getattr(net, f"add_{setting.cell}")(features, 64, return_sequences=setting.copies)
    if setting.copies:
        return net.add_dense(n_out=SYMBOLS + 1, activation="softmax")
    return net.add_dense(n_out=1, activation="linear")


def solve(setting: Setting, seed: int, iterations: int | None = None, batch_size: int = 64) -> float:
    """Train on fresh batches, at a rate that falls over the last quarter; return the error, or share of right symbols.

    The test data selects nothing.
    """
    train, test = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    x_test, y_test = setting.draw(2000, rng=test)
    net, weights = network(setting, x_test.shape[2], seed), None
    if setting.copies:
        weights = np.zeros((batch_size, x_test.shape[1]))
        weights[:, -LENGTH:] = 1
    rate, iterations = net.learning_rate, iterations or setting.iterations
    for i in range(iterations):
        net.learning_rate = rate * min(1.0, 4 * (1 - i / iterations))
        net.TrainBatch(*setting.draw(batch_size, rng=train), sample_weight=weights)
    output = net.predict(x_test)
    if setting.copies:
        return float(np.mean(output[:, -LENGTH:].argmax(-1) == y_test[:, -LENGTH:]))
    return float(np.mean((output - y_test) ** 2))


def task(name: str, measure: Measure) -> Task:
    setting = SETTINGS[name]
    return Task(name, lambda seed, quick: solve(setting, seed, setting.iterations // 10 if quick else None), (measure,))


ADDING, COPYING = "adding problem, 50 steps, 2,000 iterations", "right symbols, copy task, delay"
TASKS = (
    task("adding-lstm", Measure("C-2", f"{ADDING}, LSTM 64: MSE", "< .01 at 1,300", "< .01", at_most(0.01))),
    task("adding-gru", Measure("", "the same: GRU 64", "a constant: .167")),
    task("adding-rnn", Measure("", "the same: RNN 64, tanh", "a constant: .167")),
    task("copy-10", Measure("C-2", f"{COPYING} 10, 3,000 iterations", "> .99 at 2,400", "> .99", at_least(0.99))),
    task("copy-20", Measure("C-2", f"{COPYING} 20, 6,000 iterations", ".85 at 2,500", "> .99", at_least(0.99))),
)


if __name__ == "__main__":
    command("recurrent", __doc__, TASKS)
