"""The training loop and what it shows and records; it knows the Model protocol, not NeuralNet."""

from __future__ import annotations

from .batchnorm import reestimate_batchnorm
from .callbacks import EMA, SWA, Callback, Checkpoint, CSVLogger, EarlyStopping, JSONLLogger, TensorBoard
from .fit import evaluate, fit, train_step
from .history import History
from .lr_finder import LearningRateRange, find_learning_rate
from .metrics import accuracy, classification_report, confusion_matrix, precision_recall_f1
from .protocol import Model
from .run import Run

__all__ = [
    "EMA",
    "SWA",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "JSONLLogger",
    "LearningRateRange",
    "Model",
    "Run",
    "TensorBoard",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "evaluate",
    "find_learning_rate",
    "fit",
    "precision_recall_f1",
    "reestimate_batchnorm",
    "train_step",
]
