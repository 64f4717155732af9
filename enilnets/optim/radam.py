"""RAdam: Adam that waits until its second moment can be trusted."""

from __future__ import annotations

import math

from ..ops import optim
from ..parameters import Arena
from .adam import Adam

__all__ = ["RAdam"]

#: Below this length of the average the variance of the step is taken for unknown. The paper has 4; 5 keeps the
#: rectification away from its pole, as its authors' program does.
SHORTEST_AVERAGE = 5.0


class RAdam(Adam):
    """Rectified Adam, which needs no warm-up.

    Parameters
    ----------
    beta1, beta2, epsilon, clip_norm, clip_value
        See Adam.

    Notes
    -----
    ``m``, ``v`` and ``m̂`` as in Adam. With ``rho = 2 / (1 - beta2) - 1`` and
    ``rho_t = rho - 2 t beta2^t / (1 - beta2^t)``: while ``rho_t <= 5``, ``w = w - lr m̂``; then
    ``w = w - lr r m̂ sqrt(1 - beta2^t) / (sqrt(v) + epsilon)`` with
    ``r = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t))`` (Liu et al. 2020, algorithm 2).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=0.001, optimizer="radam")
    """

    name = "radam"

    def rectification(self) -> float:
        """The factor ``r`` of step ``t``, or 0 while the second moment is not used."""
        decayed = self.beta2**self.t
        longest = 2 / (1 - self.beta2) - 1
        length = longest - 2 * self.t * decayed / (1 - decayed)
        if length <= SHORTEST_AVERAGE:
            return 0.0
        return math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        rate, factor = learning_rate / (1 - self.beta1**self.t), self.rectification()
        plain, adaptive = (0.0, rate * factor * math.sqrt(1 - self.beta2**self.t)) if factor else (rate, 0.0)
        settings = plain, adaptive, self.beta1, self.beta2, self.epsilon
        return self.run(optim.radam, arena, *settings, l2_lambda, scale)
