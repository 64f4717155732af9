"""Adamax: Adam with the largest gradient in place of the root mean square."""

from __future__ import annotations

from ..ops import optim
from ..parameters import Arena
from .adam import Adam

__all__ = ["Adamax"]


class Adamax(Adam):
    """Adam in the infinity norm.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
        Decay of the running mean of the gradient, and of its largest size.
    epsilon : float >= 1e-30, default 1e-8
        Added to the largest gradient, so that nothing is divided by 0.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``m = beta1 m + (1 - beta1) g``; ``u = max(beta2 u, |g|)``; ``w = w - lr / (1 - beta1^t) m / (u + epsilon)``
    (Kingma & Ba 2015, algorithm 2, which has no epsilon).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=0.002, optimizer="adamax")
    """

    name = "adamax"
    slots = ("m", "u")

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        settings = self.beta1, self.beta2, self.epsilon, 1 - self.beta1**self.t
        return self.run(optim.adamax, arena, learning_rate, *settings, l2_lambda, scale)
