"""Print what RealNets learn, task by task, beside the reference measured for the original and the goal.

python -m benchmarks.learning.realnet [--only TASK ...] [--seeds N] [--quick]
"""

from __future__ import annotations

import numpy as np

from enilnets.sequence import RealNet, RealNetTrainer, SparseRealNet

from . import realnet_digits as digits
from . import realnet_memory as memory
from .table import Measure, Task, at_least, at_most, command

#: Seeds below were looked at while defaults were chosen.
FIRST_SEED = 400

X = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], np.float32)
XOR = np.array([[-1], [1], [1], [-1]], np.float32)


def sign(seed: int) -> float:
    """Mean squared error of the network of two neurons that maps 1 to 1 and -1 to -1 after 50 steps."""
    rng = np.random.default_rng(seed + 1)
    trainer = RealNetTrainer(RealNet(2, [0], [1], dropout_rate=0.0, rng=seed), learning_rate=0.02)
    x = rng.choice([-1.0, 1.0], (100, 1))
    trainer.fit(x, x, epochs=50, batch_size=64, thinking_steps=50, verbose=False)
    return trainer.evaluate([[1], [-1]], [[1], [-1]], 50)


def identity(seed: int, neurons: int = 8, batches: int = 3000) -> float:
    """Mean squared error of f(x) = x on [-1, 1]."""
    rng = np.random.default_rng(seed + 1)
    trainer = RealNetTrainer(RealNet(neurons, [0], [neurons - 1], dropout_rate=0.0, rng=seed))
    for i in range(batches):
        trainer.learning_rate = 0.02 * (1 - i / batches)
        x = rng.uniform(-1, 1, (64, 1))
        trainer.train_batch(x, x, thinking_steps=5)
    x = np.linspace(-1, 1, 201)[:, None]
    return trainer.evaluate(x, x, thinking_steps=5)


def literal_xor(seed: int) -> float:
    """1 if the documented example, with all its defaults, ends with four right signs."""
    trainer = RealNetTrainer(RealNet(3, [0, 1], [2], device="cuda", rng=seed), gradient_decay=0.1)
    trainer.fit(X.tolist(), XOR.tolist(), epochs=100, thinking_steps=5, verbose=False)
    return float((np.sign(trainer.predict(X, 5)) == XOR).all())


def xor(seed: int, epochs: int = 1000) -> tuple[float, float]:
    """1 if all signs are right after 1000 steps on all four rows, and the mean squared error."""
    trainer = RealNetTrainer(RealNet(3, [0, 1], [2], dropout_rate=0.0, rng=seed))
    trainer.fit(X, XOR, epochs=epochs, thinking_steps=5, verbose=False)
    return float((np.sign(trainer.predict(X, 5)) == XOR).all()), trainer.evaluate(X, XOR, 5)


def sparse_agrees(seed: int, neurons: int = 794) -> float:
    """Largest difference between dense and sparse outputs at 94 % dead synapses over 10 steps."""
    model = RealNet(neurons, list(range(neurons - 10)), list(range(neurons - 10, neurons)), rng=seed).eval()
    model.prune_synapses(float(np.quantile(np.abs(model.weights), 0.94)))
    x = model.prepare_input(np.random.default_rng(seed).random((64, neurons - 10)))
    dense, sparse = model.forward(x, 10)[0], SparseRealNet.from_dense(model).forward(x, 10)[0]
    return float(np.abs(dense - sparse).max())


def task(name: str, run, *measures: Measure, quick=None, seeds: int = 3) -> Task:
    """A task of ``run(seed)``; ``quick(seed)`` takes its place where only the way there is looked at."""
    return Task(name, lambda seed, fast: (quick if fast and quick else run)(seed), measures, seeds, FIRST_SEED)


def share(bound: float):
    """Held if this share of the seeds is right."""
    return lambda results: bool(results.mean() >= bound)


TASKS = (
    task("sign", sign, Measure("A-1", "sign of x, 2 neurons, 50 steps: MSE", "3.8e-7", "< 1e-5", at_most(1e-5))),
    task(
        "identity",
        lambda seed: identity(seed),
        Measure("A-1", "f(x) = x, 8 neurons: MSE", "not with 2", "< 1e-3", at_most(1e-3)),
        quick=lambda seed: identity(seed, batches=30),
    ),
    task(
        "literal_xor",
        literal_xor,
        Measure("A-2", "XOR as documented: share of seeds", "0 of 10", ">= .8", share(0.8)),
        seeds=30,
    ),
    task(
        "xor",
        lambda seed: xor(seed),
        Measure("A-2", "XOR, 1000 steps: share of seeds", "5-6 of 6", ">= .9", share(0.9)),
        Measure(
            "A-2",
            "XOR, 1000 steps: median MSE",
            "",
            "< 1e-2",
            lambda results: bool(np.median(results) < 1e-2),
            np.median,
        ),
        seeds=30,
    ),
    task(
        "digits",
        digits.fixed_steps,
        Measure(
            "A-3",
            "digits, 74 neurons, T = 5: accuracy",
            ".964-.983",
            "mean >= .970, all >= .95",
            lambda results: bool(results.mean() >= 0.970 and results.min() >= 0.95),
        ),
        Measure("", "logistic regression on the same split", ".978"),
        quick=lambda seed: digits.fixed_steps(seed, 1),
    ),
    task(
        "any_steps",
        digits.any_steps,
        Measure(
            "A-3",
            "digits, trained with T from 4 to 16, no dropout: worst of T = 4 ... 50",
            ".956",
            ">= .94",
            at_least(0.94),
        ),
        quick=lambda seed: digits.any_steps(seed, 3),
    ),
    task(
        "other_steps",
        digits.other_steps,
        Measure("", "digits, trained with T = 10: accuracy at T = 20", ".09"),
        quick=lambda seed: digits.other_steps(seed, 1),
    ),
    task(
        "adder",
        memory.delayed_adder,
        Measure("A-4", "delayed adder: MSE", "1e-4", "<= 1e-3", at_most(1e-3)),
        quick=lambda seed: memory.delayed_adder(seed, 20),
    ),
    task(
        "latch",
        memory.latch,
        Measure("A-4", "latch: lowest output in 1000 steps after a trigger", "to 200 steps", ">= .95", at_least(0.95)),
        Measure("A-4", "latch: highest output in 1000 steps without one", "to 200 steps", "< 0", at_most(0.0)),
        quick=lambda seed: memory.latch(seed, 20),
    ),
    task(
        "detective",
        memory.detective,
        Measure("A-4", "detective: right bits", "1.000", ">= .995", at_least(0.995)),
        quick=lambda seed: memory.detective(seed, 20),
    ),
    task(
        "stopwatch",
        memory.stopwatch,
        Measure("A-4", "stopwatch: peak within a step", "1.000", ">= .99", at_least(0.99)),
        Measure("", "stopwatch: peak at the step", ".836"),
        quick=lambda seed: memory.stopwatch(seed, 20),
    ),
    task(
        "oscillator",
        memory.oscillator,
        Measure("A-4", "sine of a given pitch: MSE", ".0099", "<= .02", at_most(0.02)),
        quick=lambda seed: memory.oscillator(seed, 20),
    ),
    task(
        "darwin",
        digits.darwin,
        Measure("A-5", "digits, half and more dead: share dead", ".53", ">= .50", at_least(0.50)),
        Measure("A-5", "... accuracy", ".967", ">= .96", at_least(0.96)),
        Measure("A-5", "digits, most dead: share dead", ".77", ">= .70", at_least(0.70)),
        Measure("A-5", "... accuracy", ".725", ">= .93", at_least(0.93)),
        Measure("A-5", "... dead weights that moved in 100 more steps", "all", "0", at_most(0.0)),
    ),
    task(
        "untrained",
        digits.untrained,
        Measure("", "share that a threshold of .03 kills before any training", ".866"),
    ),
    task(
        "sparse",
        sparse_agrees,
        Measure("A-5", "94 % dead, 794 neurons: largest difference of dense and sparse", "", "<= 1e-5", at_most(1e-5)),
    ),
)


if __name__ == "__main__":
    command("realnet", __doc__, TASKS)
