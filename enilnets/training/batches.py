"""Mini-batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["shuffled_batches", "slices"]


def slices(n: int, batch_size: int) -> Iterator[slice]:
    """Yield the slices of ``n`` samples in order; the last one may be shorter."""
    for start in range(0, n, batch_size):
        yield slice(start, min(start + batch_size, n))


def shuffled_batches(
    x: np.ndarray, y: np.ndarray, batch_size: int, rng: np.random.Generator, *along: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield copies of ``batch_size`` random samples until every sample came once; the last batch may be shorter.

    Arrays ``along`` have a row per sample too and are cut in the same way.
    """
    order = rng.permutation(len(x))
    for part in slices(len(x), batch_size):
        chosen = order[part]
        yield tuple(array.take(chosen, axis=0) for array in (x, y, *along))
