"""Neural networks, reinforcement learning and generative models for the CPU, in one small wheel over NumPy."""

from . import autodiff, backward, errors, generative, init, layers, losses, optim, training
from .generative.sampling import (
    gaussian_sample,
    gumbel_softmax_sample,
    langevin_dynamics,
    random_mask,
    reparameterize,
    uniform_sample,
)
from .net import NeuralNet
from .ops.threads import get_num_threads, num_threads, set_num_threads
from .optim import LRScheduler
from .returns import compute_returns, gae
from .versions import __version__, show_versions

__all__ = [
    "LRScheduler",
    "NeuralNet",
    "__version__",
    "autodiff",
    "backward",
    "compute_returns",
    "errors",
    "gae",
    "gaussian_sample",
    "generative",
    "get_num_threads",
    "gumbel_softmax_sample",
    "init",
    "langevin_dynamics",
    "layers",
    "losses",
    "num_threads",
    "optim",
    "random_mask",
    "reparameterize",
    "set_num_threads",
    "show_versions",
    "training",
    "uniform_sample",
]
