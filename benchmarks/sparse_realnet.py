"""Print how much faster the sparse form of a RealNet runs than the dense one, by the share of dead synapses.

python -m benchmarks.sparse_realnet [--neurons N] [--batch B] [--steps T] [--threads THREADS]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from enilnets import num_threads
from enilnets.sequence import RealNet, SparseRealNet

ROUNDS = 15


def fastest(*calls: Callable[[], object]) -> list[float]:
    """Milliseconds of each call at its best, measured in turn."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for i, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[i] = min(best[i], (time.perf_counter() - start) * 1e3)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse_realnet", description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=794)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    n = options.neurons
    print(f"{n} neurons, batch {options.batch}, {options.steps} steps, {options.threads} threads")
    print("| dead | dense ms | sparse ms | times faster |\n|---|---|---|---|")
    with num_threads(options.threads):
        for share in (0.5, 0.8, 0.9, 0.94, 0.98):
            model = RealNet(n, list(range(n - 10)), list(range(n - 10, n)), rng=0).eval()
            model.prune_synapses(float(np.quantile(np.abs(model.weights), share)))
            sparse = SparseRealNet.from_dense(model)
            x = model.prepare_input(np.random.default_rng(0).random((options.batch, n - 10)))
            dense_ms, sparse_ms = fastest(
                lambda model=model, x=x: model.forward(x, options.steps),
                lambda sparse=sparse, x=x: sparse.forward(x, options.steps),
            )
            print(f"| {share:.0%} | {dense_ms:.2f} | {sparse_ms:.2f} | {dense_ms / sparse_ms:.2f} |", flush=True)


if __name__ == "__main__":
    main()
