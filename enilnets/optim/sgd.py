"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent with heavy-ball momentum.

    Parameters
    ----------
    momentum : float in [0, 1], default 0.9
    max_norm : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``velocity = momentum * velocity - lr * g``; ``w = w + velocity`` (Polyak 1964). The learning rate is inside the
    velocity, so lowering it acts on new gradients only.

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=0.01, optimizer=optim.SGD(momentum=0.95))
    """

    name = "sgd"
    slots = ("velocity",)
    settings = ("momentum", *Optimizer.settings)

    def __init__(self, momentum: float = 0.9, max_norm: float | None = None) -> None:
        super().__init__(max_norm)
        self.momentum = checks.fraction("SGD", "momentum", momentum)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return optim.sgd(
            arena.values,
            self.state["velocity"],
            arena.gradients,
            arena.spans,
            learning_rate,
            self.momentum,
            l2_lambda,
            scale,
        )
