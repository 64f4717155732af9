"""AdamW: Adam whose weight decay does not pass through the moments."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .adam import Adam

__all__ = ["AdamW"]


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Parameters
    ----------
    beta1, beta2, epsilon
        See Adam.
    weight_decay : float >= 0, optional
        Share of every penalised parameter (weights: yes; biases and normalisation: no) that a step of rate 1 takes
        away. Default: the network's ``l2_lambda``, which this rule never adds to the gradient.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``w = (1 - lr weight_decay) w - lr m̂ / (sqrt(v̂) + epsilon)`` with ``m̂`` and ``v̂`` as in Adam
    (Loshchilov & Hutter 2019, algorithm 2, with the rate as the schedule multiplier).

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=3e-4, optimizer=optim.AdamW(weight_decay=0.05))
    """

    name = "adamw"
    settings = ("weight_decay", *Adam.settings)

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(beta1, beta2, epsilon, clip_norm, clip_value)
        self.weight_decay = (
            None if weight_decay is None else checks.number(type(self).__name__, "weight_decay", weight_decay, 0.0)
        )

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        decay = l2_lambda if self.weight_decay is None else self.weight_decay
        return self.run(optim.adamw, arena, learning_rate, *self.corrected(), decay, scale)
