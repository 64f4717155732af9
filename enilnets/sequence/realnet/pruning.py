"""Killing weak synapses, for good."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import DTypeError
from .network import RealNet
from .settings import threshold_of

__all__ = ["SynapticPruner"]


class SynapticPruner:
    """Kills the synapses of a RealNet that are weak; what is dead stays dead.

    A dead synapse has weight 0 and gradient 0, and no optimizer moves it; saving and loading keep it so.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import RealNet, SynapticPruner
    >>> model = RealNet(2, [0], [1], rng=0)
    >>> model.weights = [[0.5, -0.001], [0.0005, 0.2]]
    >>> SynapticPruner.prune(model, threshold=0.001)
    (1, 1, 4)
    >>> SynapticPruner.get_sparsity(model)
    25.0
    """

    @staticmethod
    def prune(model: RealNet, threshold: float = 0.001) -> tuple[int, int, int]:
        """Kill the living synapses with ``|w| < threshold``.

        Parameters
        ----------
        model : RealNet
        threshold : float >= 0, default 0.001

        Returns
        -------
        pruned_count, total_dead, total_synapses : int
            Those that died now, all that are dead, and all there are, num_neurons².
        """
        _check("SynapticPruner.prune", model)
        threshold = threshold_of("SynapticPruner.prune", "threshold", threshold)
        weak = model.mask & (np.abs(model.weights) < threshold)
        pruned = int(np.count_nonzero(weak))
        if pruned:
            model.kill(weak)
        return pruned, int(model.mask.size - np.count_nonzero(model.mask)), model.mask.size

    @staticmethod
    def get_sparsity(model: RealNet) -> float:
        """Return the share of dead synapses in percent."""
        _check("SynapticPruner.get_sparsity", model)
        return 100.0 * float(1 - np.count_nonzero(model.mask) / model.mask.size)


def _check(where: str, model: Any) -> None:
    if not isinstance(model, RealNet):
        raise DTypeError(f"{where}(model)", "a RealNet", type(model).__name__, "a trainer has it as trainer.model")
