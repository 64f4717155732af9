"""The training loop and what it shows and records; it knows the Model protocol, not NeuralNet."""

from __future__ import annotations

from .fit import evaluate, fit, train_step
from .history import History
from .metrics import accuracy, confusion_matrix
from .protocol import Model

__all__ = ["History", "Model", "accuracy", "confusion_matrix", "evaluate", "fit", "train_step"]
