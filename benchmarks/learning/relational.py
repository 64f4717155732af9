"""Print what the relational memory and the LSTM learn, as mean and range over seeds, beside their references.

python -m benchmarks.learning.relational [--only NAME ...] [--seeds N] [--quick]

Every model sees fresh samples at each step and is measured once, at the end, on samples that selected nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from enilnets.optim import Adam
from enilnets.sequence import (
    LSTM,
    RelationalMemory,
    RelationalRNN,
    compute_numerical_gradient_fast,
    cross_entropy_loss,
    evaluate,
    tasks,
    train_model,
    train_step,
)

__all__ = ["EXPERIMENTS", "Experiment", "estimator", "few_samples", "learn"]

#: Samples of a step, samples to measure on, and steps between two lines of progress.
BATCH, TEST, PROGRESS = 128, 10_000, 2000


def lstm(hidden: int, sizes: tuple[int, int], seed: int) -> LSTM:
    return LSTM(sizes[0], hidden, sizes[1], dtype="float32", rng=seed)


def memory(sizes: tuple[int, int], seed: int) -> RelationalMemory:
    """4 slots of 2 heads of 16, read by an MLP of 64 and 64: 22,787 parameters for inputs of 10 and 3 classes."""
    return RelationalMemory(sizes[0], sizes[1], 4, 16, 2, readout=(64, 64), dtype="float32", rng=seed)


def learn(
    make: Callable[[tuple[int, int], int], Any],
    draw: Callable[..., tuple[np.ndarray, np.ndarray]],
    outputs: int,
    task: str,
    learning_rate: float,
    seed: int,
    steps: int,
) -> float:
    """Train on fresh samples with Adam, clipped to norm 1; return the accuracy or error on samples of their own."""
    streams = np.random.SeedSequence(seed).spawn(2)
    train, test = map(np.random.default_rng, streams)
    model = make((draw(1, rng=0)[0].shape[2], outputs), seed)
    optimizer, begun = Adam(), time.perf_counter()
    for step in range(1, steps + 1):
        X, y = draw(BATCH, rng=train)
        loss, metric, _ = train_step(model, X.astype(np.float32), y, learning_rate, 1.0, task, optimizer=optimizer)
        if step % PROGRESS == 0:
            seconds = time.perf_counter() - begun
            print(
                f"    seed {seed}, step {step}: batch loss {loss:.4f}, metric {metric:.3f}, {seconds:.0f} s", flush=True
            )
    X, y = draw(TEST, rng=test)
    loss, metric = evaluate(model, X.astype(np.float32), y, task, 1000)
    return metric if task == "classification" else loss


def few_samples(make: Callable[..., Any], learning_rate: float, seed: int, steps: int) -> float:
    """Train on 240 samples for ``steps`` epochs, of which 60 others choose one; return the accuracy on fresh ones."""
    rng = np.random.default_rng(seed)
    train, chosen_by, test = (tasks.largest_of_last_step(n, rng=rng) for n in (240, 60, TEST))
    model = make(10, 32, 3, rng=seed)
    settings = {"learning_rate": learning_rate, "optimizer": "adam", "patience": None, "verbose": False}
    train_model(model, train, chosen_by, epochs=steps, rng=rng, **settings)
    return evaluate(model, *test, batch_size=1000)[1]


def estimator(seed: int, steps: int) -> float:
    """Cosine of the mean of ``steps`` random estimates with the gradient, for 146 parameters."""
    rng = np.random.default_rng(seed)
    model, (X, y) = LSTM(3, 4, 2, rng=seed), (rng.normal(size=(8, 5, 3)), rng.integers(0, 2, 8))
    exact = model.gradients(X, y)[2]
    rough = compute_numerical_gradient_fast(model, X, y, cross_entropy_loss, n_samples=steps, rng=rng)
    a, b = (np.concatenate([grads[name].ravel() for name in exact]) for grads in (exact, rough))
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


class Experiment(NamedTuple):
    """A row of the table: ``run(seed, steps)`` returns a number, ``held`` judges those of all seeds."""

    title: str
    reference: str
    goal: str
    run: Callable[[int, int], float]
    steps: int
    held: Callable[[list[float]], bool] | None = None


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


FARTHEST = partial(learn, draw=partial(tasks.nth_farthest, vectors=3, dimensions=1), outputs=3, task="classification")
FARTHEST_OF_4 = partial(
    learn, draw=partial(tasks.nth_farthest, vectors=4, dimensions=1), outputs=4, task="classification"
)
TRACKING = partial(learn, draw=partial(tasks.object_tracking, length=10), outputs=2, task="regression")
PAIRS = partial(learn, draw=tasks.pair_matching, outputs=16, task="classification")
STORIES = partial(learn, draw=tasks.babi_simple, outputs=4, task="classification")
GUESSES = partial(learn, draw=partial(tasks.babi_simple, answerable=False), outputs=4, task="classification")


def bind(setting: Callable[..., float], make: Callable[..., Any], learning_rate: float = 1e-3) -> Callable[..., float]:
    return lambda seed, steps: setting(make, learning_rate=learning_rate, seed=seed, steps=steps)


#: The best accuracy that stories can have in which the answer may be a guess.
CEILING = tasks.babi_ceiling(rng=0)

#: By name: what is learned, what is known of it, and the goal. Rows without one stand there for comparison.
EXPERIMENTS = {
    "farthest": Experiment(
        "Nth-farthest, 3 vectors of 1: RMC, 22,787 parameters",
        "0.967",
        "best >= 0.93",
        bind(FARTHEST, memory),
        15_000,
        lambda values: max(values) >= 0.93,
    ),
    "farthest-lstm": Experiment(
        "the same: LSTM 80, 29,363 parameters", "0.66 (plateau 2/3)", "", bind(FARTHEST, partial(lstm, 80)), 15_000
    ),
    "farthest-of-4": Experiment(
        "Nth-farthest, 4 vectors of 1: RMC", "0.50 (plateau 2/4)", "", bind(FARTHEST_OF_4, memory), 15_000
    ),
    "tracking": Experiment(
        "object tracking, 10 sightings: LSTM 64, mean square",
        "0.002; a constant 0.080",
        "< 0.002",
        bind(TRACKING, partial(lstm, 64), 2e-3),
        5000,
        lambda values: mean(values) < 0.002,
    ),
    "tracking-rmc": Experiment(
        "the same, a quarter of the steps, which takes as long: RMC", "0.0047", "", bind(TRACKING, memory), 1250
    ),
    "pairs": Experiment(
        "pair matching, 2 of 16 symbols: LSTM 64",
        "0.95",
        ">= 0.95",
        bind(PAIRS, partial(lstm, 64), 2e-3),
        12_000,
        lambda values: mean(values) >= 0.95,
    ),
    "pairs-rmc": Experiment(
        "the same, a quarter of the steps, which takes as long: RMC", "0.34", "", bind(PAIRS, memory), 3000
    ),
    "stories": Experiment(
        "bAbI, answerable: LSTM 64",
        "",
        ">= 0.97",
        bind(STORIES, partial(lstm, 64), 3e-3),
        8000,
        lambda values: mean(values) >= 0.97,
    ),
    "stories-guess": Experiment(
        "bAbI, with guesses: LSTM 64",
        f"{CEILING:.3f} at best",
        ">= the best - 0.015",
        bind(GUESSES, partial(lstm, 64), 3e-3),
        8000,
        lambda values: mean(values) >= CEILING - 0.015,
    ),
    "few-lstm": Experiment(
        "largest of the last step, 240 samples, 30 epochs: LSTM 32",
        "0.73",
        ">= 0.70",
        partial(few_samples, LSTM, 1e-2),
        30,
        lambda values: mean(values) >= 0.70,
    ),
    "few-small": Experiment(
        "the same: RelationalRNN 32, 2 slots of 16",
        "",
        "",
        partial(few_samples, partial(RelationalRNN, num_slots=2, slot_size=16), 1e-2),
        30,
    ),
    "few-relational": Experiment(
        "the same: RelationalRNN 32, 4 slots of 64", "", "", partial(few_samples, RelationalRNN, 3e-3), 30
    ),
    "estimator": Experiment(
        "cosine of 2,000 random estimates with the gradient",
        "0.21 (one, as was)",
        "> 0.95",
        estimator,
        2000,
        lambda values: min(values) > 0.95,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learning.relational", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=EXPERIMENTS,
        default=list(EXPERIMENTS),
        metavar="NAME",
        help=f"some of {', '.join(EXPERIMENTS)}",
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps, to see that it runs")
    options = parser.parse_args()
    rows = []
    for name in options.only:
        experiment = EXPERIMENTS[name]
        steps = max(experiment.steps // 100, 1) if options.quick else experiment.steps
        print(f"{name}: {experiment.title}, {steps} steps", flush=True)
        values, begun = [], time.perf_counter()
        for seed in range(options.seeds):
            values.append(experiment.run(seed, steps))
            print(f"  seed {seed}: {values[-1]:.4f}", flush=True)
        held = "" if experiment.held is None else "yes" if experiment.held(values) else "no"
        spread = f"{mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"
        seconds = (time.perf_counter() - begun) / options.seeds
        rows.append((experiment.title, experiment.reference, experiment.goal, spread, held, f"{seconds:.0f}"))
    print("\n| task | reference | goal | ours: mean (range) | held | s per seed |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
