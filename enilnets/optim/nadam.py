"""NAdam: Adam with Nesterov momentum."""

from __future__ import annotations

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .adam import Adam

__all__ = ["NAdam"]


class NAdam(Adam):
    """Adam with Nesterov momentum.

    Parameters
    ----------
    beta1, beta2, epsilon
        See Adam.
    momentum_decay : float >= 0, default 0.004
        How fast the momentum rises from about ``beta1 / 2`` to ``beta1``.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    With ``mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2)`` and ``m``, ``v`` and ``v̂`` as in Adam,
    ``w = w - lr ((1 - mu_t) g / (1 - mu_1 ... mu_t) + mu_(t+1) m / (1 - mu_1 ... mu_(t+1))) / (sqrt(v̂) + epsilon)``
    (Dozat 2016, algorithm 2).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=0.002, optimizer="nadam")
    """

    name = "nadam"
    settings = ("momentum_decay", *Adam.settings)

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        momentum_decay: float = 0.004,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(beta1, beta2, epsilon, clip_norm, clip_value)
        self.momentum_decay = checks.number("NAdam", "momentum_decay", momentum_decay, 0.0)
        self._product = (0, 1.0)

    def momentum_at(self, t: int) -> float:
        """The momentum of step ``t``."""
        return self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def product_at(self, t: int) -> float:
        """Product of the momenta of all steps up to ``t``; one multiplication where it is the next."""
        known, product = self._product if self._product[0] <= t else (0, 1.0)
        for step in range(known + 1, t + 1):
            product *= self.momentum_at(step)
            if product == 0.0:
                break
        self._product = (t, product)
        return product

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        now, following = self.momentum_at(self.t), self.momentum_at(self.t + 1)
        product = self.product_at(self.t)
        of_gradient = learning_rate * (1 - now) / (1 - product)
        of_mean = learning_rate * following / (1 - product * following)
        settings = self.beta1, self.beta2, self.epsilon, 1 - self.beta2**self.t
        return self.run(optim.nadam, arena, of_gradient, of_mean, *settings, l2_lambda, scale)
