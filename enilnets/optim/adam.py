"""Adam: momentum and RMSprop with bias correction."""

from __future__ import annotations

from typing import ClassVar

from .. import checks
from ..ops import optim
from ..parameters import Arena
from .base import SMALLEST_EPSILON, Optimizer

__all__ = ["Adam"]


class Adam(Optimizer):
    """Adam, also the base of the rules that vary it.

    Parameters
    ----------
    beta1, beta2 : float in [0, 1), default 0.9 and 0.999
        Decay of the running means of the gradient and of its square.
    epsilon : float >= 1e-30, default 1e-8
        Added outside the root.
    clip_norm, clip_value : float > 0, optional
        See Optimizer.

    Notes
    -----
    ``m = beta1 m + (1 - beta1) g``; ``v = beta2 v + (1 - beta2) g²``;
    ``w = w - lr m̂ / (sqrt(v̂) + epsilon)`` with ``m̂ = m / (1 - beta1^t)``, ``v̂ = v / (1 - beta2^t)``
    (Kingma & Ba 2015, algorithm 1).

    Examples
    --------
    >>> from enilnets import NeuralNet, optim
    >>> net = NeuralNet(learning_rate=3e-4, optimizer=optim.Adam(beta2=0.99, clip_norm=1.0))
    """

    name = "adam"
    slots: ClassVar[tuple[str, ...]] = ("m", "v")
    settings = ("beta1", "beta2", "epsilon", *Optimizer.settings)

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(clip_norm, clip_value)
        name = type(self).__name__
        self.beta1 = checks.fraction(name, "beta1", beta1, one=False)
        self.beta2 = checks.fraction(name, "beta2", beta2, one=False)
        self.epsilon = checks.number(name, "epsilon", epsilon, SMALLEST_EPSILON)

    def corrected(self) -> tuple[float, float, float, float, float]:
        """Betas, epsilon and the bias corrections of step ``t``, as the kernels take them."""
        return self.beta1, self.beta2, self.epsilon, 1 - self.beta1**self.t, 1 - self.beta2**self.t

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return self.run(optim.adam, arena, learning_rate, *self.corrected(), l2_lambda, scale)
