"""Callbacks, one per file: what happens beside training, in one protocol."""

from __future__ import annotations

from .averaging import EMA, SWA
from .base import Callback
from .checkpoint import Checkpoint
from .early_stopping import EarlyStopping
from .loggers import CSVLogger, JSONLLogger
from .tensorboard import TensorBoard

__all__ = ["EMA", "SWA", "CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "JSONLLogger", "TensorBoard"]
