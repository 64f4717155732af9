"""LAMB: AdamW whose step is measured against each parameter's own size."""

from __future__ import annotations

import numpy as np

from ..ops import optim
from ..parameters import Arena
from .adamw import AdamW

__all__ = ["LAMB"]


def parameter_spans(spans: np.ndarray, arena: Arena) -> tuple[np.ndarray, np.ndarray]:
    """Cut the ``spans`` of an arena where a parameter begins; return them and the number of each one's parameter."""
    starts = np.array([p.start for p in arena.parameters if p.size], np.int64)
    if len(spans):
        first, stop, penalised = spans.T
        row = np.searchsorted(first, starts, side="right") - 1
        cuts = np.union1d(first, starts[(row >= 0) & (starts < stop[row])])
        row = np.searchsorted(first, cuts, side="right") - 1
        ends = np.minimum(np.append(cuts[1:], len(arena)), stop[row])
        spans = np.stack([cuts, ends, penalised[row]], axis=1)
    return spans, np.searchsorted(starts, spans[:, 0], side="right") - 1


class LAMB(AdamW):
    """Layer-wise adaptive moments, for large batches.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
        See Adam.
    epsilon : float >= 1e-30, default 1e-6
        Added outside the root.
    weight_decay, clip_norm, clip_value
        See AdamW.

    Notes
    -----
    With ``m̂`` and ``v̂`` as in Adam and ``r = m̂ / (sqrt(v̂) + epsilon) + weight_decay w``, every parameter takes the
    step ``w = w - lr |w| / |r| r``, or ``w - lr r`` where one of the norms is 0 (You et al. 2020, algorithm 2).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=0.002, optimizer="lamb")
    """

    name = "lamb"

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(beta1, beta2, epsilon, weight_decay, clip_norm, clip_value)
        self._cut: tuple[np.ndarray | None, np.ndarray, np.ndarray] = (None, np.empty(0), np.empty(0))

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        spans = arena.spans
        if self._cut[0] is not spans:
            self._cut = (spans, *parameter_spans(spans, arena))
        _, spans, owners = self._cut
        m, v = self.state["m"], self.state["v"]
        decay = l2_lambda if self.weight_decay is None else self.weight_decay
        settings = learning_rate, *self.corrected(), decay, scale
        return optim.lamb(arena.values, m, v, arena.gradients, spans, owners, *settings)
