"""Models over sequences."""

from . import relational, tasks
from .relational import (
    LSTM,
    EarlyStopping,
    RelationalMemory,
    RelationalRNN,
    accuracy,
    clip_gradients,
    compute_numerical_gradient,
    compute_numerical_gradient_fast,
    create_batches,
    cross_entropy_loss,
    evaluate,
    learning_rate_schedule,
    mse_loss,
    plot_training_curves,
    softmax,
    train_model,
    train_step,
)

__all__ = [
    "LSTM",
    "EarlyStopping",
    "RelationalMemory",
    "RelationalRNN",
    "accuracy",
    "clip_gradients",
    "compute_numerical_gradient",
    "compute_numerical_gradient_fast",
    "create_batches",
    "cross_entropy_loss",
    "evaluate",
    "learning_rate_schedule",
    "mse_loss",
    "plot_training_curves",
    "relational",
    "softmax",
    "tasks",
    "train_model",
    "train_step",
]
