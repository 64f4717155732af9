"""Neural networks, reinforcement learning and generative models for the CPU, in one small wheel over NumPy."""

from typing import TYPE_CHECKING, Any

from . import backward, errors, generative, init, layers, losses, optim, training
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

if TYPE_CHECKING:
    from . import autodiff, sequence

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
    "sequence",
    "set_num_threads",
    "show_versions",
    "training",
    "uniform_sample",
]


def __getattr__(name: str) -> Any:
    """Import what not every program needs when it is first asked for."""
    if name in ("autodiff", "sequence"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
