"""Print what RealNets learn, task by task, beside the reference measured for the original and the goal.

python -m benchmarks.learning.realnet [--only NAME] [--seeds N] [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from enilnets.sequence import RealNet, RealNetTrainer, SparseRealNet

from . import realnet_digits as digits
from . import realnet_memory as memory

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


@dataclass(frozen=True)
class Task:
    """A row of the table, or several: ``run`` returns one number per entry of ``measures``."""

    ids: str
    name: str
    run: Callable[[int], float | Sequence[float]]
    measures: tuple[tuple[str, str, str, Callable[[np.ndarray], bool]], ...]  # what, reference, goal, is it held
    seeds: int = 3


def at_least(bound: float) -> Callable[[np.ndarray], bool]:
    return lambda results: bool((results >= bound).all())


def at_most(bound: float) -> Callable[[np.ndarray], bool]:
    return lambda results: bool((results <= bound).all())


TASKS = (
    Task("A-1", "sign", sign, (("sign of x, 2 neurons, 50 steps: MSE", "3.8e-7", "< 1e-5", at_most(1e-5)),)),
    Task("A-1", "identity", identity, (("f(x) = x, 8 neurons: MSE", "not with 2", "< 1e-3", at_most(1e-3)),)),
    Task(
        "A-2",
        "literal_xor",
        literal_xor,
        (("XOR as documented: share of seeds", "0 of 10", ">= 0.8", lambda r: bool(r.mean() >= 0.8)),),
        30,
    ),
    Task(
        "A-2",
        "xor",
        xor,
        (
            ("XOR, 1000 steps: share of seeds", "5-6 of 6", ">= 0.9", lambda r: bool(r.mean() >= 0.9)),
            ("XOR, 1000 steps: MSE (median)", "", "< 1e-2", lambda r: bool(np.median(r) < 1e-2)),
        ),
        30,
    ),
    Task(
        "A-3",
        "digits",
        digits.fixed_steps,
        (
            (
                "digits, 74 neurons, T = 5: accuracy",
                ".964-.983",
                "mean >= .970, all >= .95",
                lambda r: bool(r.mean() >= 0.970 and r.min() >= 0.95),
            ),
            ("logistic regression on the same split", ".978", "for comparison", lambda r: True),
        ),
    ),
    Task(
        "A-3",
        "any_steps",
        digits.any_steps,
        (("digits, trained with T from 4 to 16, no dropout: worst of T = 4 ... 50", ".956", ">= .94", at_least(0.94)),),
    ),
    Task(
        "A-3",
        "other_steps",
        digits.other_steps,
        (("digits, trained with T = 10: accuracy at T = 20", ".09", "for comparison", lambda r: True),),
    ),
    Task("A-4", "adder", memory.delayed_adder, (("delayed adder: MSE", "1e-4", "<= 1e-3", at_most(1e-3)),)),
    Task(
        "A-4",
        "latch",
        memory.latch,
        (
            ("latch: lowest output in 1000 steps after a trigger", "to 200", ">= .95", at_least(0.95)),
            ("latch: highest output in 1000 steps without one", "to 200", "< 0", at_most(0.0)),
        ),
    ),
    Task("A-4", "detective", memory.detective, (("detective: right bits", "1.000", ">= .995", at_least(0.995)),)),
    Task(
        "A-4",
        "stopwatch",
        memory.stopwatch,
        (
            ("stopwatch: peak within a step", "1.000", ">= .99", at_least(0.99)),
            ("stopwatch: peak at the step", ".836", "for comparison", lambda r: True),
        ),
    ),
    Task("A-4", "oscillator", memory.oscillator, (("sine of a given pitch: MSE", ".0099", "<= .02", at_most(0.02)),)),
    Task(
        "A-5",
        "darwin",
        digits.darwin,
        (
            ("digits, half and more dead: share dead", ".53", ">= .50", at_least(0.50)),
            ("... accuracy", ".967", ">= .96", at_least(0.96)),
            ("digits, most dead: share dead", ".77", ">= .70", at_least(0.70)),
            ("... accuracy", ".725", ">= .93", at_least(0.93)),
            ("... dead weights that moved in 100 more steps", "all", "0", at_most(0.0)),
        ),
    ),
    Task(
        "A-5",
        "untrained",
        digits.untrained,
        (("share that a threshold of .03 kills before any training", ".866", "for comparison", lambda r: True),),
    ),
    Task(
        "A-5",
        "sparse",
        sparse_agrees,
        (("94 % dead, 794 neurons: dense and sparse differ by", "", "<= 1e-5", at_most(1e-5)),),
    ),
)


def rows(task: Task, seeds: int) -> list[str]:
    """Run a task and return its rows of the table."""
    results = np.array([np.ravel(task.run(seed)) for seed in range(FIRST_SEED, FIRST_SEED + seeds)])
    lines = []
    for (what, reference, goal, held), column in zip(task.measures, results.T, strict=True):
        middle = np.median(column) if "median" in what else column.mean()
        verdict = "" if goal == "for comparison" else "yes" if held(column) else "NO"
        spread = f"{column.min():.3g} to {column.max():.3g}"
        lines.append(f"| {task.ids} | {what} | {reference} | {goal} | {middle:.3g} | {spread} | {seeds} | {verdict} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.realnet", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[task.name for task in TASKS], help="one task instead of all")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 3, for XOR 30)")
    parser.add_argument("--quick", action="store_true", help="a third of the seeds, of the short tasks")
    options = parser.parse_args(arguments)
    chosen = [task for task in TASKS if options.only in (None, task.name)]
    if options.quick:
        chosen = [task for task in chosen if task.name in ("sign", "literal_xor", "xor", "untrained", "sparse")]
    table = ["| id | measure | original | goal | ours | from, to | seeds | held |", "|---|---|---|---|---|---|---|---|"]
    for task in chosen:
        start = time.perf_counter()
        table += rows(task, options.seeds or (task.seeds // 3 if options.quick else task.seeds))
        print(f"{task.name}: {time.perf_counter() - start:.1f} s", flush=True)
    print("\n".join(table))


if __name__ == "__main__":
    main()
