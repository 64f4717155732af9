"""Neural networks, reinforcement learning and generative models for the CPU, in one small wheel over NumPy."""

from . import errors, init, layers, losses, optim, training
from .net import NeuralNet
from .ops.threads import get_num_threads, num_threads, set_num_threads
from .optim import LRScheduler
from .versions import __version__, show_versions

__all__ = [
    "LRScheduler",
    "NeuralNet",
    "__version__",
    "errors",
    "get_num_threads",
    "init",
    "layers",
    "losses",
    "num_threads",
    "optim",
    "set_num_threads",
    "show_versions",
    "training",
]
