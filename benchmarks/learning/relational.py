"""Print what the relational memory and the LSTM learn, as mean and range over seeds, beside their references.

python -m benchmarks.learning.relational [--only TASK ...] [--seeds N] [--quick]

Every model sees fresh samples at each step and is measured once, at the end, on samples that selected nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

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

from .table import Measure, Task, command

__all__ = ["TASKS", "estimator", "few_samples", "learn"]

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


FARTHEST = partial(learn, draw=partial(tasks.nth_farthest, vectors=3, dimensions=1), outputs=3, task="classification")
FARTHEST_OF_4 = partial(
    learn, draw=partial(tasks.nth_farthest, vectors=4, dimensions=1), outputs=4, task="classification"
)
TRACKING = partial(learn, draw=partial(tasks.object_tracking, length=10), outputs=2, task="regression")
PAIRS = partial(learn, draw=tasks.pair_matching, outputs=16, task="classification")
STORIES = partial(learn, draw=tasks.babi_simple, outputs=4, task="classification")
GUESSES = partial(learn, draw=partial(tasks.babi_simple, answerable=False), outputs=4, task="classification")


def task(name: str, run: Callable[..., float], steps: int, measure: Measure) -> Task:
    """A task of ``run(seed=, steps=)``, of which a hundredth shows that it runs."""
    return Task(name, lambda seed, quick: run(seed=seed, steps=max(steps // 100, 1) if quick else steps), (measure,))


def mean_of(held: Callable[[float], bool]) -> Callable[[np.ndarray], bool]:
    return lambda results: held(results.mean())


#: The best accuracy that stories can have in which the answer may be a guess.
CEILING = tasks.babi_ceiling(rng=0)

#: At the same time per run, the memory takes a quarter of the LSTM's steps.
TASKS = (
    task(
        "farthest",
        partial(FARTHEST, memory, learning_rate=1e-3),
        15_000,
        Measure(
            "C-3",
            "Nth-farthest, 3 vectors of 1: RMC, 22,787 parameters",
            ".967",
            "best >= .93",
            lambda results: bool(results.max() >= 0.93),
        ),
    ),
    task(
        "farthest-lstm",
        partial(FARTHEST, partial(lstm, 80), learning_rate=1e-3),
        15_000,
        Measure("", "the same: LSTM 80, 29,363 parameters", ".66 (plateau 2/3)"),
    ),
    task(
        "tracking",
        partial(TRACKING, partial(lstm, 64), learning_rate=2e-3),
        5000,
        Measure(
            "C-4",
            "object tracking, 10 sightings: LSTM 64, MSE",
            ".002; a constant .080",
            "< .002",
            mean_of(lambda error: error < 0.002),
        ),
    ),
    task(
        "tracking-rmc",
        partial(TRACKING, memory, learning_rate=1e-3),
        1250,
        Measure("", "the same, as long: RMC, MSE", ".0047"),
    ),
    task(
        "pairs",
        partial(PAIRS, partial(lstm, 64), learning_rate=2e-3),
        12_000,
        Measure(
            "C-4", "pair matching, 2 of 16 symbols: LSTM 64", ".95", ">= .95", mean_of(lambda right: right >= 0.95)
        ),
    ),
    task(
        "pairs-rmc",
        partial(PAIRS, memory, learning_rate=1e-3),
        3000,
        Measure("", "the same, as long: RMC", ".34"),
    ),
    task(
        "stories",
        partial(STORIES, partial(lstm, 64), learning_rate=3e-3),
        8000,
        Measure("C-4", "bAbI, answerable: LSTM 64", "", ">= .97", mean_of(lambda right: right >= 0.97)),
    ),
    task(
        "stories-guess",
        partial(GUESSES, partial(lstm, 64), learning_rate=3e-3),
        8000,
        Measure(
            "C-4",
            "bAbI, with guesses: LSTM 64",
            f"{CEILING:.3f} at best",
            ">= the best - .015",
            mean_of(lambda right: right >= CEILING - 0.015),
        ),
    ),
    task(
        "few-lstm",
        partial(few_samples, LSTM, 1e-2),
        30,
        Measure(
            "C-5",
            "largest of the last step, 240 samples, 30 epochs: LSTM 32",
            ".73",
            ">= .70",
            mean_of(lambda right: right >= 0.70),
        ),
    ),
    task(
        "few-small",
        partial(few_samples, partial(RelationalRNN, num_slots=2, slot_size=16), 1e-2),
        30,
        Measure("", "the same: RelationalRNN 32, 2 slots of 16"),
    ),
    task(
        "few-relational",
        partial(few_samples, RelationalRNN, 3e-3),
        30,
        Measure("", "the same: RelationalRNN 32, 4 slots of 64"),
    ),
    task(
        "estimator",
        estimator,
        2000,
        Measure(
            "C-5",
            "cosine of 2,000 random estimates with the gradient",
            ".21 (one, as was)",
            "> .95",
            lambda results: bool(results.min() > 0.95),
        ),
    ),
    task(
        "farthest-of-4",
        partial(FARTHEST_OF_4, memory, learning_rate=1e-3),
        15_000,
        Measure("", "Nth-farthest, 4 vectors of 1: RMC", ".50 (plateau 2/4)"),
    ),
)


if __name__ == "__main__":
    command("relational", __doc__, TASKS)
