"""AMSGrad: Adam whose step sizes never grow again."""

from __future__ import annotations

from ..ops import optim
from ..parameters import Arena
from .adam import Adam

__all__ = ["AMSGrad"]


class AMSGrad(Adam):
    """Adam that divides by the largest second moment so far.

    Parameters
    ----------
    beta1, beta2, epsilon, clip_norm, clip_value
        See Adam.

    Notes
    -----
    ``m`` and ``v`` as in Adam; ``v_max = max(v_max, v)``;
    ``w = w - lr m̂ / (sqrt(v_max / (1 - beta2^t)) + epsilon)`` (Reddi, Kale & Kumar 2018, algorithm 2, with the bias
    corrections of Adam, which the paper leaves out).

    Examples
    --------
    >>> from enilnets import NeuralNet
    >>> net = NeuralNet(learning_rate=0.001, optimizer="amsgrad")
    """

    name = "amsgrad"
    slots = ("m", "v", "v_max")

    def update(self, arena: Arena, learning_rate: float, l2_lambda: float, scale: float) -> int:
        """Run the kernel; see Optimizer."""
        return self.run(optim.amsgrad, arena, learning_rate, *self.corrected(), l2_lambda, scale)
