"""What training and validation go through: inputs, targets and weights that stay together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

__all__ = ["Samples"]


class Samples(NamedTuple):
    """Arrays with a row per sample; no weights count like weights of 1."""

    x: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> Samples:
        """Return some of the samples, by their numbers."""
        return Samples(self.x[rows], self.targets[rows], None if self.weights is None else self.weights[rows])

    def split(self, fraction: float, seed: int, strata: np.ndarray | None) -> tuple[Samples, Samples]:
        """Return two random parts, the second of ``fraction``; both hold the strata in their proportions."""
        rows = np.arange(len(self.x))
        first, second = train_test_split(rows, test_size=fraction, random_state=seed, stratify=strata)
        return self.take(first), self.take(second)

    @property
    def mean_weight(self) -> float:
        """Mean of the weights."""
        return 1.0 if self.weights is None else float(self.weights.mean(dtype=np.float64))
