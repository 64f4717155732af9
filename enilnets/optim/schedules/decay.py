"""Schedules that lead from the initial rate down."""

from __future__ import annotations

import math
from typing import ClassVar

from ... import checks
from .base import Schedule, Setting, count, not_negative, positive

__all__ = ["Constant", "Cosine", "CosineWarmRestarts", "Exponential", "Polynomial", "Step", "WarmupCosine"]


def half_cosine(initial_lr: float, end_lr: float, progress: float) -> float:
    """From ``initial_lr`` at 0 to ``end_lr`` at 1 and beyond, along half a cosine (Loshchilov & Hutter 2017, eq. 5)."""
    return end_lr + (initial_lr - end_lr) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class Constant(Schedule):
    """``lr``."""

    def rate(self, count: int) -> float:
        """See Schedule."""
        return self.initial_lr


class Step(Schedule):
    """``lr * drop^(epoch // epochs_drop)``."""

    settings: ClassVar = {"drop": Setting(checks.fraction, 0.5), "epochs_drop": Setting(checks.size, 10)}
    drop: float
    epochs_drop: int

    def rate(self, count: int) -> float:
        """See Schedule."""
        return self.initial_lr * self.drop ** (count // self.epochs_drop)


class Exponential(Schedule):
    """``lr * decay^epoch``."""

    settings: ClassVar = {"decay": Setting(checks.fraction, 0.95)}
    decay: float

    def rate(self, count: int) -> float:
        """See Schedule."""
        return self.initial_lr * self.decay**count


class Polynomial(Schedule):
    """``end_lr + (lr - end_lr) * (1 - epoch / max_epochs)^power``, and ``end_lr`` from ``max_epochs`` on.

    With a power of 1 the way is straight; where ``end_lr`` is above ``lr``, it leads up.
    """

    settings: ClassVar = {
        "max_epochs": Setting(checks.size, 100),
        "power": Setting(positive, 1.0),
        "end_lr": Setting(not_negative, 0.0),
    }
    max_epochs: int
    power: float
    end_lr: float

    def rate(self, count: int) -> float:
        """See Schedule."""
        left = 1 - min(count / self.max_epochs, 1.0)
        return self.end_lr + (self.initial_lr - self.end_lr) * left**self.power


class Cosine(Schedule):
    """``lr * (1 + cos(pi epoch / max_epochs)) / 2``, and 0 from ``max_epochs`` on."""

    settings: ClassVar = {"max_epochs": Setting(checks.size, 100)}
    max_epochs: int

    def rate(self, count: int) -> float:
        """See Schedule."""
        return half_cosine(self.initial_lr, 0.0, count / self.max_epochs)


class WarmupCosine(Schedule):
    """``lr * (epoch + 1) / warmup_epochs`` while warming up, then the cosine over the epochs that are left."""

    settings: ClassVar = {"max_epochs": Setting(checks.size, 100), "warmup_epochs": Setting(count, 5)}
    max_epochs: int
    warmup_epochs: int

    def rate(self, count: int) -> float:
        """See Schedule."""
        if count < self.warmup_epochs:
            return self.initial_lr * (count + 1) / self.warmup_epochs
        left = max(self.max_epochs - self.warmup_epochs, 1)
        return half_cosine(self.initial_lr, 0.0, (count - self.warmup_epochs) / left)


class CosineWarmRestarts(Schedule):
    """The cosine from ``lr`` to ``end_lr``, over and over: ``period`` epochs, then ``period_factor`` times as many.

    Loshchilov & Hutter 2017, section 3 (``period`` is T_0, ``period_factor`` is T_mult).
    """

    settings: ClassVar = {
        "period": Setting(checks.size, 10),
        "period_factor": Setting(checks.size, 1),
        "end_lr": Setting(not_negative, 0.0),
    }
    period: int
    period_factor: int
    end_lr: float

    def rate(self, count: int) -> float:
        """See Schedule."""
        factor = self.period_factor
        if factor == 1:
            return half_cosine(self.initial_lr, self.end_lr, count % self.period / self.period)
        # The n-th restart is after period (1 + factor + ... + factor^(n-1)).
        start, length = 0, self.period
        while count >= start + length:
            start, length = start + length, length * factor
        return half_cosine(self.initial_lr, self.end_lr, (count - start) / length)
