"""Adam: momentum and RMSprop with bias correction."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import SMALLEST_EPSILON, Optimizer

__all__ = ["Adam"]


class Adam(Optimizer):
    """Adam.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
        Decay of the running means of the gradient and of its square.
    epsilon : float >= 1e-30, default 1e-8
        Added outside the root.
    max_norm : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``m = beta1 m + (1 - beta1) g``; ``v = beta2 v + (1 - beta2) g²``;
    ``w = w - lr m̂ / (sqrt(v̂) + epsilon)`` with ``m̂ = m / (1 - beta1^t)``, ``v̂ = v / (1 - beta2^t)``
    (Kingma & Ba 2015, algorithm 1).

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=3e-4, optimizer=optim.Adam(beta2=0.99, max_norm=1.0))
    """

    name = "adam"
    slots = ("m", "v")
    settings = ("beta1", "beta2", "epsilon", *Optimizer.settings)

    def __init__(
        self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, max_norm: float | None = None
    ) -> None:
        super().__init__(max_norm)
        self.beta1 = checks.fraction("Adam", "beta1", beta1, one=False)
        self.beta2 = checks.fraction("Adam", "beta2", beta2, one=False)
        self.epsilon = checks.number("Adam", "epsilon", epsilon, SMALLEST_EPSILON)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return optim.adam(
            arena.values,
            self.state["m"],
            self.state["v"],
            arena.gradients,
            arena.spans,
            learning_rate,
            self.beta1,
            self.beta2,
            self.epsilon,
            1 - self.beta1**self.t,
            1 - self.beta2**self.t,
            l2_lambda,
            scale,
        )
