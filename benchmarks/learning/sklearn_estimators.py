"""``python -m benchmarks.learning.sklearn_estimators [--seeds N] [--rounds N]``: our estimators beside scikit-learn's.

Handwritten digits for the classifiers, Friedman's first problem for the regressors. Every seed splits the data and
draws the weights anew; the settings are the same on both sides, one thread each. Scores are of the test data. The times
are of whole fits of a fixed number of epochs, in rounds that take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

import enilnets.sklearn
from benchmarks.table import Table
from enilnets import num_threads

__all__ = ["TASKS", "Task", "scores"]

SIDES = {"enilnets": enilnets.sklearn, "scikit-learn": neural_network}


class Task(NamedTuple):
    """An estimator's name, the settings that both sides get, and the data."""

    estimator: str
    settings: dict[str, Any]

    def data(self, seed: int) -> list[np.ndarray]:
        """Return X and y of the training and of the test part, as ``train_test_split`` orders them."""
        if self.estimator == "MLPClassifier":
            x, y = load_digits(return_X_y=True)
            return train_test_split(x / 16, y, test_size=0.25, stratify=y, random_state=seed)
        x, y = make_friedman1(1000, noise=1.0, random_state=seed)
        return train_test_split(scale(x), scale(y), test_size=0.25, random_state=seed)

    def make(self, side: str, seed: int = 0, **settings: Any) -> Any:
        """Return the unfitted estimator of one side."""
        return getattr(SIDES[side], self.estimator)(random_state=seed, **{**self.settings, **settings})


TASKS = {
    "digits": Task("MLPClassifier", {}),
    "digits, early stopping": Task("MLPClassifier", {"early_stopping": True, "learning_rate_init": 0.01}),
    "digits, sgd": Task("MLPClassifier", {"solver": "sgd", "learning_rate_init": 0.1}),
    "friedman1": Task("MLPRegressor", {"learning_rate_init": 0.01, "max_iter": 300}),
}


def scores(task: Task, side: str, seeds: int, **settings: Any) -> list[float]:
    """Return the test score (accuracy or R²) of every seed."""
    found = []
    for seed in range(seeds):
        x, x_test, y, y_test = task.data(seed)
        with warnings.catch_warnings(), threadpool_limits(1), num_threads(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            found.append(task.make(side, seed, **settings).fit(x, y).score(x_test, y_test))
    return found


def fit_seconds(task: Task, rounds: int, epochs: int = 50) -> dict[str, list[float]]:
    """Return the seconds of one fit per round and side; the sides take turns."""
    x, _, y, _ = task.data(0)
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    fixed = {"max_iter": epochs, "n_iter_no_change": epochs, "early_stopping": False}
    with warnings.catch_warnings(), threadpool_limits(1), num_threads(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(rounds + 1):
            for side, times in seconds.items():
                model = task.make(side, **fixed)
                start = time.perf_counter()
                model.fit(x, y)
                times.append(time.perf_counter() - start)
    return {side: times[1:] for side, times in seconds.items()}  # the first round warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    rows = [["test score: mean (lowest to highest)", *SIDES]]
    for name, task in TASKS.items():
        row = [name]
        for side in SIDES:
            found = scores(task, side, arguments.seeds)
            row.append(f"{statistics.mean(found):.4f} ({min(found):.4f} to {max(found):.4f})")
        rows.append(row)
    print(Table(f"Learning, {arguments.seeds} seeds", rows, []).text())
    rows = [["ms per epoch: median [(max - min) / median]", *SIDES, "ahead"]]
    for name, task in TASKS.items():
        if "early_stopping" in task.settings:
            continue
        seconds = fit_seconds(task, arguments.rounds)
        medians = {side: statistics.median(times) for side, times in seconds.items()}
        cells = [
            f"{medians[side] / 50 * 1e3:.2f} [{(max(times) - min(times)) / medians[side]:.0%}]"
            for side, times in seconds.items()
        ]
        rows.append([name, *cells, f"{medians['scikit-learn'] / medians['enilnets']:.2f}"])
    print(Table(f"Fits of 50 epochs, {arguments.rounds} rounds, one thread", rows, []).text())


if __name__ == "__main__":
    main()
