"""The quantity that a callback watches, and the best it has been."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ... import checks
from ...errors import StateError

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["Monitor"]

#: What can be watched, and whether less of it is better.
QUANTITIES = {"loss": True, "val_loss": True, "accuracy": False, "val_accuracy": False}


class Monitor:
    """Watches one quantity of the history: losses fall, accuracies rise.

    Parameters
    ----------
    where : str
        The callback, for messages.
    quantity : {"loss", "val_loss", "accuracy", "val_accuracy"}
    min_delta : float >= 0
        What counts as better must be better by more than this.
    """

    def __init__(self, where: str, quantity: str, min_delta: float = 0.0) -> None:
        self.where = where
        self.quantity = checks.choice(where, "monitor", quantity, QUANTITIES)
        self.min_delta = checks.number(where, "min_delta", min_delta, 0.0)
        self.reset()

    def reset(self) -> None:
        """Forget the best."""
        self.best: float | None = None

    def check(self, run: Run) -> None:
        """Raise StateError if the run will not have the quantity."""
        if self.quantity.startswith("val_") and not run.validated:
            way_out = f'pass X_val and Y_val, or monitor="{self.quantity[4:]}"'
            raise StateError(f"{self.where}(monitor)", "a quantity of this run", repr(self.quantity), way_out)

    def improved(self, run: Run) -> bool:
        """Whether the finished epoch is the best so far; then it is remembered."""
        value = run.history[self.quantity][-1]
        if math.isnan(value):
            way_out = "watch a loss where the targets are no classes"
            raise StateError(f"{self.where}(monitor)", f"a number for {self.quantity}", "NaN", way_out)
        if self.best is not None:
            gain = self.best - value if QUANTITIES[self.quantity] else value - self.best
            if gain <= self.min_delta:
                return False
        self.best = value
        return True

    def state(self) -> dict[str, Any]:
        """See Callback."""
        return {"monitor": self.quantity, "best": self.best}

    def load_state(self, state: dict[str, Any]) -> None:
        """See Callback."""
        if state["monitor"] != self.quantity:
            raise StateError(f"{self.where}(monitor)", f"{state['monitor']!r} as in the run before", self.quantity)
        self.best = None if state["best"] is None else checks.number(self.where, "best", state["best"])
