"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent with heavy-ball or Nesterov momentum.

    Parameters
    ----------
    momentum : float in [0, 1], default 0.9
    nesterov : bool, default False
        Step along the momentum as it will be after this gradient.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``velocity = momentum * velocity - lr * g``; ``w = w + velocity`` (Polyak 1964). The learning rate is inside the
    velocity, so lowering it acts on new gradients only. With ``nesterov``: ``w = w + momentum * velocity - lr * g``
    (Nesterov 1983, as in Sutskever et al. 2013).

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=0.01, optimizer=optim.SGD(momentum=0.95))
    """

    name = "sgd"
    slots = ("velocity",)
    settings = ("momentum", "nesterov", *Optimizer.settings)

    def __init__(
        self,
        momentum: float = 0.9,
        nesterov: bool = False,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(clip_norm, clip_value)
        self.momentum = checks.fraction("SGD", "momentum", momentum)
        self.nesterov = checks.flag("SGD", "nesterov", nesterov)

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        kernel = optim.nesterov if self.nesterov else optim.sgd
        return self.run(kernel, arena, learning_rate, self.momentum, l2_lambda, scale)
