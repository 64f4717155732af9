"""Relational RNN: models over sequences with a memory of slots, and functions that train and measure them."""

from .curves import plot_training_curves
from .gradients import clip_gradients, compute_numerical_gradient, compute_numerical_gradient_fast
from .half_precision import HalfPrecision
from .losses import accuracy, cross_entropy_loss, mse_loss, softmax
from .lstm import LSTM
from .relational_memory import RelationalMemory
from .relational_rnn import RelationalRNN
from .schedule import EarlyStopping, learning_rate_schedule
from .training import create_batches, evaluate, train_model, train_step

__all__ = [
    "LSTM",
    "EarlyStopping",
    "HalfPrecision",
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
    "softmax",
    "train_model",
    "train_step",
]
