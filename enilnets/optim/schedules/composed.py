"""Schedules made of a function, and of other schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from ... import checks
from ...errors import ConfigError
from .base import REQUIRED, Schedule, Setting

if TYPE_CHECKING:
    from .scheduler import LRScheduler

__all__ = ["Lambda", "Sequential"]


def _function(where: str, name: str, value: Any) -> Callable[[int], float]:
    if not callable(value):
        raise ConfigError(f"{where}({name})", "a function of the epoch", repr(value))
    return value


class Lambda(Schedule):
    """``lr * function(epoch)``."""

    settings: ClassVar = {"function": Setting(_function, REQUIRED)}
    function: Callable[[int], float]

    def rate(self, count: int) -> float:
        """See Schedule."""
        factor = checks.number("LRScheduler", f"function({count})", self.function(count), 0.0)
        return self.initial_lr * factor


def _schedulers(where: str, name: str, value: Any) -> tuple[LRScheduler, ...]:
    schedulers = tuple(value) if isinstance(value, (list, tuple)) else ()
    if not schedulers or not all(hasattr(s, "momentum") and hasattr(s, "step") for s in schedulers):
        raise ConfigError(f"{where}({name})", "a list of LRScheduler", repr(value))
    if len({s.per for s in schedulers}) > 1:
        raise ConfigError(f"{where}({name})", "schedules that all count the same", "epochs and steps")
    return schedulers


def _milestones(where: str, name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}({name})", "a list of epochs", repr(value))
    milestones = tuple(checks.size(where, name, epoch) for epoch in value)
    if any(a >= b for a, b in pairwise(milestones)):
        raise ConfigError(f"{where}({name})", "ascending epochs", repr(value))
    return milestones


class Sequential(Schedule):
    """One of ``schedules`` after the other: the next one begins, at its own epoch 0, at each of ``milestones``.

    The rates are those of the schedules alone. The running one hears of losses.
    """

    settings: ClassVar = {"schedules": Setting(_schedulers, REQUIRED), "milestones": Setting(_milestones, REQUIRED)}
    schedules: Sequence[LRScheduler]
    milestones: Sequence[int]

    def __init__(self, mode: str, initial_lr: float, settings: dict[str, Any]) -> None:
        super().__init__(mode, initial_lr, settings)
        if len(self.schedules) != len(self.milestones) + 1:
            got = f"{len(self.milestones)} for {len(self.schedules)} schedules"
            raise ConfigError("LRScheduler(milestones)", "one fewer than schedules", got)
        self._running = self.schedules[0]

    def _at(self, count: int) -> tuple[LRScheduler, int]:
        number = bisect_right(self.milestones, count)
        return self.schedules[number], count - (self.milestones[number - 1] if number else 0)

    def rate(self, count: int) -> float:
        """See Schedule."""
        self._running, own_count = self._at(count)
        return self._running.step(own_count)

    def momentum(self, count: int) -> float | None:
        """See Schedule."""
        schedule, own_count = self._at(count)
        return schedule.momentum(own_count)

    def observe(self, loss: float) -> None:
        """See Schedule."""
        self._running.observe(loss)

    def state(self) -> dict[str, Any]:
        """See Schedule."""
        return {"schedules": [schedule.state() for schedule in self.schedules]}

    def load_state(self, state: dict[str, Any]) -> None:
        """See Schedule."""
        for schedule, own in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state(own)
