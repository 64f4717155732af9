"""The training loop and what it shows and records; it knows the Model protocol, not NeuralNet."""

from __future__ import annotations

from .fit import evaluate, fit, train_step
from .history import History
from .metrics import accuracy, classification_report, confusion_matrix, precision_recall_f1
from .protocol import Model

__all__ = [
    "History",
    "Model",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "evaluate",
    "fit",
    "precision_recall_f1",
    "train_step",
]
