"""Adagrad: gradients divided by the root of their accumulated squares."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import SMALLEST_EPSILON, Optimizer

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad.

    Parameters
    ----------
    epsilon : float >= 1e-30, default 1e-8
        Added outside the root.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``v = v + g²``; ``w = w - lr g / (sqrt(v) + epsilon)`` (Duchi, Hazan & Singer 2011).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=0.01, optimizer="adagrad")
    """

    name = "adagrad"
    slots = ("v",)
    settings = ("epsilon", *Optimizer.settings)

    def __init__(self, epsilon: float = 1e-8, clip_norm: float | None = None, clip_value: float | None = None) -> None:
        super().__init__(clip_norm, clip_value)
        self.epsilon = checks.number("Adagrad", "epsilon", epsilon, SMALLEST_EPSILON)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return self.run(optim.adagrad, arena, learning_rate, self.epsilon, l2_lambda, scale)
