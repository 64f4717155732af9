"""The schedule that follows the loss."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ... import checks
from .base import Schedule, Setting, below_one, count, not_negative

__all__ = ["Plateau"]


class Plateau(Schedule):
    """``lr``, multiplied by ``factor`` whenever the loss has stopped falling, down to ``min_lr``.

    It has stopped when it has not fallen by more than the relative ``threshold`` for more than ``patience`` epochs;
    for ``cooldown`` epochs after a change nothing is counted.
    """

    settings: ClassVar = {
        "factor": Setting(below_one, 0.1),
        "patience": Setting(count, 10),
        "threshold": Setting(below_one, 1e-4),
        "cooldown": Setting(count, 0),
        "min_lr": Setting(not_negative, 0.0),
    }
    factor: float
    patience: int
    threshold: float
    cooldown: int
    min_lr: float

    def __init__(self, mode: str, initial_lr: float, settings: dict[str, Any]) -> None:
        super().__init__(mode, initial_lr, settings)
        self._lr = initial_lr
        self._best = math.inf
        self._bad_epochs = 0
        self._resting = 0

    def rate(self, count: int) -> float:
        """See Schedule."""
        return self._lr

    def observe(self, loss: float) -> None:
        """See Schedule."""
        if loss < self._best * (1 - math.copysign(self.threshold, self._best)):
            self._best, self._bad_epochs = loss, 0
        elif self._resting == 0:
            self._bad_epochs += 1
        if self._resting > 0:
            self._resting -= 1
        if self._bad_epochs > self.patience:
            self._lr = max(self._lr * self.factor, min(self.min_lr, self._lr))
            self._bad_epochs, self._resting = 0, self.cooldown

    def state(self) -> dict[str, Any]:
        """See Schedule."""
        best = self._best if math.isfinite(self._best) else None
        return {"lr": self._lr, "best": best, "bad_epochs": self._bad_epochs, "resting": self._resting}

    def load_state(self, state: dict[str, Any]) -> None:
        """See Schedule."""
        where = "LRScheduler.load_state"
        self._lr = checks.number(where, "lr", state["lr"], 0.0)
        self._best = math.inf if state["best"] is None else checks.number(where, "best", state["best"])
        self._bad_epochs = checks.integer(where, "bad_epochs", state["bad_epochs"], 0)
        self._resting = checks.integer(where, "resting", state["resting"], 0)
