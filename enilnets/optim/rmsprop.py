"""RMSprop: gradients divided by a running root mean square."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import SMALLEST_EPSILON, Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop.

    Parameters
    ----------
    rho : float in [0, 1], default 0.999
        Decay of the running mean of squared gradients.
    epsilon : float >= 1e-30, default 1e-8
        Added outside the root.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``v = rho v + (1 - rho) g²``; ``w = w - lr g / (sqrt(v) + epsilon)`` (Tieleman & Hinton 2012, lecture 6.5).

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=0.001, optimizer=optim.RMSprop(rho=0.9))
    """

    name = "rmsprop"
    slots = ("v",)
    settings = ("rho", "epsilon", *Optimizer.settings)

    def __init__(
        self, rho: float = 0.999, epsilon: float = 1e-8, clip_norm: float | None = None, clip_value: float | None = None
    ) -> None:
        super().__init__(clip_norm, clip_value)
        self.rho = checks.fraction("RMSprop", "rho", rho)
        self.epsilon = checks.number("RMSprop", "epsilon", epsilon, SMALLEST_EPSILON)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return self.run(optim.rmsprop, arena, learning_rate, self.rho, self.epsilon, l2_lambda, scale)
