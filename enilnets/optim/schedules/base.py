"""What every schedule is: checked settings, and a rate for every count of epochs or steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from ... import checks
from ...errors import ConfigError

__all__ = [
    "REQUIRED",
    "Schedule",
    "Setting",
    "below_one",
    "count",
    "not_negative",
    "optional_count",
    "optional_rate",
    "positive",
]

#: The default of a setting that has none.
REQUIRED: Any = object()


class Setting(NamedTuple):
    """A setting of a schedule: how it is checked, and its default."""

    check: Callable[[str, str, Any], Any]
    default: Any


def count(where: str, name: str, value: Any) -> int:
    """A number of epochs that may be 0."""
    return checks.size(where, name, value, 0)


def below_one(where: str, name: str, value: Any) -> float:
    """A number in [0, 1)."""
    return checks.fraction(where, name, value, one=False)


def not_negative(where: str, name: str, value: Any) -> float:
    """A number >= 0."""
    return checks.number(where, name, value, 0.0)


def positive(where: str, name: str, value: Any) -> float:
    """A number > 0."""
    return checks.number(where, name, value, 0.0, above=True)


def optional_rate(where: str, name: str, value: Any) -> float | None:
    """A number > 0, or None."""
    return None if value is None else positive(where, name, value)


def optional_count(where: str, name: str, value: Any) -> int | None:
    """A number of epochs >= 1, or None."""
    return None if value is None else checks.size(where, name, value)


class Schedule:
    """Base of the schedules: a subclass declares its settings, which become attributes, and ``rate``.

    Parameters
    ----------
    mode : str
        Its name, for errors.
    initial_lr : float > 0
    settings : dict
        By the names in ``settings``; those that are missing have their defaults.
    """

    settings: ClassVar[dict[str, Setting]] = {}

    def __init__(self, mode: str, initial_lr: float, settings: dict[str, Any]) -> None:
        self.initial_lr = initial_lr
        for name in settings:
            if name not in self.settings:
                known = ", ".join(self.settings) or "none"
                raise ConfigError(f'LRScheduler(mode="{mode}")', f"settings among {known}", name)
        for name, setting in self.settings.items():
            value = settings.get(name, setting.default)
            if value is REQUIRED:
                raise ConfigError(f"LRScheduler({name})", f'a value for mode "{mode}"', "none")
            setattr(self, name, setting.check("LRScheduler", name, value))

    def rate(self, count: int) -> float:
        """Return the learning rate after ``count`` epochs or steps."""
        raise NotImplementedError(f"{type(self).__name__} must define rate()")

    def momentum(self, count: int) -> float | None:
        """Return the momentum that goes with the rate, or None where the schedule has no say in it."""
        return None

    def observe(self, loss: float) -> None:
        """Take note of the loss at the end of an epoch."""

    def state(self) -> dict[str, Any]:
        """What has to be kept so that another schedule with the same settings goes on alike; often nothing."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
