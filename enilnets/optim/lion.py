"""Lion: steps of one size along the sign of a momentum."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import Optimizer

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion, whose state is one vector and whose steps all have the size of the learning rate.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1), default 0.9 and 0.99
        Share of the momentum in the step, and decay of the momentum.
    weight_decay : float >= 0, optional
        Share of every penalised parameter that a step of rate 1 takes away; see AdamW. Default: the network's
        ``l2_lambda``.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``w = (1 - lr weight_decay) w - lr sign(beta1 m + (1 - beta1) g)``; ``m = beta2 m + (1 - beta2) g``
    (Chen et al. 2023, algorithm 2). The authors take a learning rate 3 to 10 times smaller than for AdamW and a weight
    decay as many times larger.

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=1e-4, optimizer=optim.Lion(weight_decay=0.1))
    """

    name = "lion"
    slots = ("m",)
    settings = ("beta1", "beta2", "weight_decay", *Optimizer.settings)

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(clip_norm, clip_value)
        self.beta1 = checks.fraction("Lion", "beta1", beta1, one=False)
        self.beta2 = checks.fraction("Lion", "beta2", beta2, one=False)
        self.weight_decay = None if weight_decay is None else checks.number("Lion", "weight_decay", weight_decay, 0.0)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        decay = l2_lambda if self.weight_decay is None else self.weight_decay
        return self.run(optim.lion, arena, learning_rate, self.beta1, self.beta2, decay, scale)
