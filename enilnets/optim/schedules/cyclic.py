"""Schedules that lead up and down."""

from __future__ import annotations

from typing import Any, ClassVar

from ... import checks
from .base import Schedule, Setting, optional_count, optional_rate, positive
from .decay import half_cosine

__all__ = ["Cyclic", "OneCycle"]


def _policy(where: str, name: str, value: Any) -> str:
    return checks.choice(where, name, value, ("triangular", "triangular2", "exp_range"))


def _inner_fraction(where: str, name: str, value: Any) -> float:
    positive(where, name, value)
    return checks.fraction(where, name, value, one=False)


class Cyclic(Schedule):
    """``lr + (max_lr - lr) * height * scale`` with ``height`` going from 0 to 1 and back.

    The way up takes ``epochs_up``, the way down ``epochs_down`` (as many). ``scale`` is 1 ("triangular"),
    ``1 / 2^cycle`` ("triangular2") or ``gamma^epoch`` ("exp_range") (Smith 2017, section 3). ``max_lr`` is ten times
    ``lr`` unless it is given.
    """

    settings: ClassVar = {
        "max_lr": Setting(optional_rate, None),
        "epochs_up": Setting(checks.size, 10),
        "epochs_down": Setting(optional_count, None),
        "policy": Setting(_policy, "triangular"),
        "gamma": Setting(checks.fraction, 0.99),
    }
    max_lr: float | None
    epochs_up: int
    epochs_down: int | None
    policy: str
    gamma: float

    def rate(self, count: int) -> float:
        """See Schedule."""
        up = self.epochs_up
        down = up if self.epochs_down is None else self.epochs_down
        cycle, place = divmod(count, up + down)
        height = place / up if place <= up else 1 - (place - up) / down
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**count}[self.policy]
        top = 10 * self.initial_lr if self.max_lr is None else self.max_lr
        return self.initial_lr + (top - self.initial_lr) * height * scale


class OneCycle(Schedule):
    """Up from ``lr / div_factor`` to ``lr`` in the share ``pct_start`` of ``max_epochs``, then far down.

    Both ways follow half a cosine and the end is ``lr / div_factor / final_div_factor``. With ``cycle_momentum``, the
    momentum of an optimizer that has one goes the other way, between ``max_momentum`` and ``base_momentum``
    (Smith & Topin 2018).
    """

    settings: ClassVar = {
        "max_epochs": Setting(checks.size, 100),
        "pct_start": Setting(_inner_fraction, 0.3),
        "div_factor": Setting(positive, 25.0),
        "final_div_factor": Setting(positive, 1e4),
        "cycle_momentum": Setting(checks.flag, True),
        "base_momentum": Setting(checks.fraction, 0.85),
        "max_momentum": Setting(checks.fraction, 0.95),
    }
    max_epochs: int
    pct_start: float
    div_factor: float
    final_div_factor: float
    cycle_momentum: bool
    base_momentum: float
    max_momentum: float

    def _between(self, count: int, start: float, top: float, end: float) -> float:
        # The last of max_epochs is at the very end, so that the whole cycle is used.
        last = max(self.max_epochs - 1, 1)
        turn = max(self.pct_start * self.max_epochs - 1, 0.0)
        if count < turn:
            return half_cosine(start, top, count / turn)
        return half_cosine(top, end, (count - turn) / max(last - turn, 1e-9))

    def rate(self, count: int) -> float:
        """See Schedule."""
        start = self.initial_lr / self.div_factor
        return self._between(count, start, self.initial_lr, start / self.final_div_factor)

    def momentum(self, count: int) -> float | None:
        """See Schedule."""
        if not self.cycle_momentum:
            return None
        return self._between(count, self.max_momentum, self.base_momentum, self.max_momentum)
