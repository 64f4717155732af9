"""Learning-rate schedules, a file per family."""

from __future__ import annotations

from .base import Schedule
from .scheduler import SCHEDULES, LRScheduler

__all__ = ["SCHEDULES", "LRScheduler", "Schedule"]
