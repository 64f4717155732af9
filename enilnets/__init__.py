"""Neural networks, reinforcement learning and generative models for the CPU, in one small wheel over NumPy."""

from . import errors, init, layers, losses, optim, training
from .net import NeuralNet
from .optim import LRScheduler
from .versions import __version__, show_versions

__all__ = [
    "LRScheduler",
    "NeuralNet",
    "__version__",
    "errors",
    "init",
    "layers",
    "losses",
    "optim",
    "show_versions",
    "training",
]
