"""Who takes part: where each contestant's builders are and which packages it needs."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

__all__ = ["CONTESTANTS", "OURS", "Contestant"]

OURS = "enilnets"


class Contestant(NamedTuple):
    """One column of the table.

    ``builders`` names an attribute of ``module``: a dict from a workload's kind to a function of (workload, data) that
    returns the step to time, or None where the contestant cannot do that workload. A step returns the loss if it
    trains and the output otherwise.
    """

    module: str
    builders: str
    packages: tuple[str, ...]

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]

    def load(self, threads: int) -> dict[str, Any]:
        """Import the contestant, allow it ``threads`` threads and return its builders."""
        module = import_module(self.module)
        if hasattr(module, "prepare"):
            module.prepare(threads)
        return getattr(module, self.builders)


#: In the order of the columns.
CONTESTANTS = {
    OURS: Contestant("benchmarks.ours", "BUILDERS", ("numpy",)),
    "PyTorch": Contestant("benchmarks.peers.pytorch", "EAGER", ("torch",)),
    "compile": Contestant("benchmarks.peers.pytorch", "COMPILED", ("torch",)),
    "JAX": Contestant("benchmarks.peers.jax", "BUILDERS", ("jax", "optax")),
    "sklearn": Contestant("benchmarks.peers.sklearn", "BUILDERS", ("sklearn",)),
    "NumPy": Contestant("benchmarks.peers.plain_numpy", "BUILDERS", ("numpy",)),
}
