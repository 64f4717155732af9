"""AdaDelta: steps measured by the steps before."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import SMALLEST_EPSILON, Optimizer

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """AdaDelta.

    Parameters
    ----------
    rho : float in [0, 1], default 0.9
        Decay of the running means of squared gradients and of squared steps.
    epsilon : float >= 1e-30, default 1e-6
        Added inside both roots; it also decides how long the first step is.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``v = rho v + (1 - rho) g²``; ``step = sqrt(d + epsilon) / sqrt(v + epsilon) g``;
    ``d = rho d + (1 - rho) step²``; ``w = w - lr step`` (Zeiler 2012, algorithm 1, where ``lr`` is 1).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=1.0, optimizer="adadelta")
    """

    name = "adadelta"
    slots = ("d", "v")
    settings = ("rho", "epsilon", *Optimizer.settings)

    def __init__(
        self,
        rho: float = 0.9,
        epsilon: float = 1e-6,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(clip_norm, clip_value)
        self.rho = checks.fraction("Adadelta", "rho", rho)
        self.epsilon = checks.number("Adadelta", "epsilon", epsilon, SMALLEST_EPSILON)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return self.run(optim.adadelta, arena, learning_rate, self.rho, self.epsilon, l2_lambda, scale)
