"""What every model that trains has: an optimizer with its settings, a dtype and a source of randomness."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..optim import Optimizer, make_optimizer
from ..parameters import Arena

__all__ = ["Trainable"]


class Trainable:
    """Base of models.

    Parameters
    ----------
    learning_rate, optimizer, l2_lambda, momentum, dtype, rng
        See NeuralNet.
    """

    arena: Arena

    def __init__(
        self,
        learning_rate: float = 0.001,
        optimizer: str | Optimizer = "adam",
        l2_lambda: float = 0.01,
        momentum: float = 0.9,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.l2_lambda = l2_lambda
        self._momentum = checks.fraction(self._name, "momentum", momentum)
        self.optimizer = optimizer
        self._dtype = checks.real_dtype(self._name, dtype)
        self.rng = rng
        self.training = True
        self.run_state: dict[str, Any] = {}  # what the last training run left to be resumed from

    @property
    def _name(self) -> str:
        """The model as messages name it."""
        return type(self).__name__

    @property
    def learning_rate(self) -> float:
        """Step size of the optimizer."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        self._learning_rate = checks.number(self._name, "learning_rate", learning_rate, 0.0)

    @property
    def l2_lambda(self) -> float:
        """Coefficient of the L2 penalty on weights."""
        return self._l2_lambda

    @l2_lambda.setter
    def l2_lambda(self, l2_lambda: float) -> None:
        self._l2_lambda = checks.number(self._name, "l2_lambda", l2_lambda, 0.0)

    @property
    def momentum(self) -> float:
        """Momentum of SGD; other optimizers have none."""
        return getattr(self.optimizer, "momentum", self._momentum)

    @momentum.setter
    def momentum(self, momentum: float) -> None:
        self._momentum = checks.fraction(self._name, "momentum", momentum)
        if hasattr(self.optimizer, "momentum"):
            self.optimizer.momentum = self._momentum

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; setting it by name or object starts it afresh."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: str | Optimizer) -> None:
        self._optimizer = make_optimizer(self._name, optimizer, self._momentum)

    @property
    def dtype(self) -> np.dtype:
        """Of all parameters and arithmetic, for life: for the other one make another model."""
        return self._dtype

    @property
    def rng(self) -> np.random.Generator:
        """Source of all randomness; setting it takes what the constructor takes."""
        return self._rng

    @rng.setter
    def rng(self, rng: Any) -> None:
        self._rng = checks.generator(self._name, rng)

    @property
    def training(self) -> bool:
        """False forces inference behaviour of batch norm and dropout in every pass."""
        return self._training

    @training.setter
    def training(self, training: bool) -> None:
        self._training = checks.flag(self._name, "training", training)

    def step(self) -> None:
        """One optimizer step along the accumulated gradients, which are then zero."""
        arena = self.arena
        self.optimizer.step(arena, self._learning_rate, self._l2_lambda)
        arena.zero_grad()
