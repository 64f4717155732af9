"""Learning-rate schedules: the rate of each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import checks
from ..errors import ConfigError

__all__ = ["SCHEDULES", "LRScheduler"]


def step(initial_lr: float, epoch: int, drop: float, epochs_drop: int) -> float:
    """``lr * drop^(epoch // epochs_drop)``."""
    return initial_lr * drop ** (epoch // epochs_drop)


def exponential(initial_lr: float, epoch: int, decay: float) -> float:
    """``lr * decay^epoch``."""
    return initial_lr * decay**epoch


def cosine(initial_lr: float, epoch: int, max_epochs: int) -> float:
    """``lr * (1 + cos(pi epoch / max_epochs)) / 2``, and 0 from ``max_epochs`` on (Loshchilov & Hutter 2017, eq. 5)."""
    return initial_lr * 0.5 * (1 + math.cos(math.pi * min(epoch / max_epochs, 1.0)))


def warmup_cosine(initial_lr: float, epoch: int, max_epochs: int, warmup_epochs: int) -> float:
    """``lr * (epoch + 1) / warmup_epochs`` while warming up, then ``cosine`` over the epochs that are left."""
    if epoch < warmup_epochs:
        return initial_lr * (epoch + 1) / warmup_epochs
    return cosine(initial_lr, epoch - warmup_epochs, max(max_epochs - warmup_epochs, 1))


class Setting(NamedTuple):
    """A setting of a schedule: how it is checked, and its default."""

    check: Callable[..., float]
    default: float


def _count(where: str, name: str, value: Any) -> int:
    return checks.size(where, name, value, 0)


def _below_one(where: str, name: str, value: Any) -> float:
    return checks.fraction(where, name, value, one=False)


def _not_negative(where: str, name: str, value: Any) -> float:
    return checks.number(where, name, value, 0.0)


#: Every schedule by mode: its function of the epoch (None where the rate follows the loss) and its settings.
SCHEDULES: dict[str, tuple[Callable[..., float] | None, dict[str, Setting]]] = {
    "step": (step, {"drop": Setting(checks.fraction, 0.5), "epochs_drop": Setting(checks.size, 10)}),
    "exponential": (exponential, {"decay": Setting(checks.fraction, 0.95)}),
    "cosine": (cosine, {"max_epochs": Setting(checks.size, 100)}),
    "warmup_cosine": (warmup_cosine, {"max_epochs": Setting(checks.size, 100), "warmup_epochs": Setting(_count, 5)}),
    "plateau": (
        None,
        {
            "factor": Setting(_below_one, 0.1),
            "patience": Setting(_count, 10),
            "threshold": Setting(_below_one, 1e-4),
            "min_lr": Setting(_not_negative, 0.0),
        },
    ),
}


class LRScheduler:
    """The learning rate of each epoch.

    Parameters
    ----------
    initial_lr : float > 0
    mode : str, default "step"
        ``"step"`` (``drop=0.5``, ``epochs_drop=10``), ``"exponential"`` (``decay=0.95``), ``"cosine"``
        (``max_epochs=100``), ``"warmup_cosine"`` (``max_epochs=100``, ``warmup_epochs=5``) or ``"plateau"``.
    **settings
        The mode's settings as above. ``"plateau"`` multiplies the rate by ``factor`` (0.1) when the watched loss has
        not fallen by more than the relative ``threshold`` (1e-4) for more than ``patience`` (10) epochs, down to
        ``min_lr`` (0); ``Train`` reports the validation loss to it, or the training loss without validation data.

    Raises
    ------
    ConfigError
        For an unknown mode or setting, or a value out of range.

    Examples
    --------
    >>> from enilnets import LRScheduler
    >>> scheduler = LRScheduler(0.001, mode="cosine", max_epochs=50)
    >>> [round(scheduler.step(epoch), 6) for epoch in (0, 25, 50, 60)]
    [0.001, 0.0005, 0.0, 0.0]
    """

    def __init__(self, initial_lr: float, mode: str = "step", **settings: Any) -> None:
        self.initial_lr = checks.number("LRScheduler", "initial_lr", initial_lr, 0.0, above=True)
        self.mode = checks.choice("LRScheduler", "mode", mode, SCHEDULES)
        self._schedule, known = SCHEDULES[mode]
        for name in settings:
            if name not in known:
                raise ConfigError(f'LRScheduler(mode="{mode}")', f"settings among {', '.join(known)}", name)
        self.settings: dict[str, float] = {}
        for name, setting in known.items():
            self.settings[name] = setting.check("LRScheduler", name, settings.get(name, setting.default))
        self._lr = self.initial_lr
        self._best = math.inf
        self._bad_epochs = 0

    def step(self, epoch: int) -> float:
        """Return the learning rate of ``epoch`` (from 0)."""
        epoch = checks.integer("LRScheduler.step", "epoch", epoch, 0)
        return self._lr if self._schedule is None else self._schedule(self.initial_lr, epoch, **self.settings)

    def observe(self, loss: float) -> None:
        """Tell the scheduler the loss at the end of an epoch; only ``"plateau"`` uses it."""
        if self._schedule is not None:
            return
        if loss < self._best * (1 - math.copysign(self.settings["threshold"], self._best)):
            self._best, self._bad_epochs = loss, 0
            return
        self._bad_epochs += 1
        if self._bad_epochs > self.settings["patience"]:
            self._lr = max(self._lr * self.settings["factor"], self.settings["min_lr"])
            self._bad_epochs = 0
