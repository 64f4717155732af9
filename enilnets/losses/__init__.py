"""Losses by name: their value under a reduction, their gradient, and the targets and weights they take.

>>> import numpy as np
>>> evaluate("mse", np.array([[1.0, 2.0]]), np.array([[0.0, 0.0]]))
2.5

To add a loss, write a class with the two methods of ``Loss`` (where one kernel makes sum and gradient, give that kernel
to ``KernelLoss``; where rows are compared, derive from ``RowLoss``), enter an object of it in ``table.LOSSES``, and
give it a formula in ``tests/losses``, whose suite then runs over the table. Settings such as ``delta=`` and further
arrays such as ``mu=`` or ``negative=`` are keyword arguments of its methods; their names stand in ``options`` and
``arrays``, so that a misspelt one is refused.
"""

from __future__ import annotations

from .base import REDUCTIONS, Loss
from .evaluation import at_head, evaluate, prepared, value_and_gradient
from .kernels import KernelLoss
from .rows import RowLoss
from .table import LOSSES, as_options, check_loss, check_options, loss_of, per_sample, warn_of_doubts
from .targets import as_target, one_hot
from .weights import as_sample_weights, as_weights

__all__ = [
    "LOSSES",
    "REDUCTIONS",
    "KernelLoss",
    "Loss",
    "RowLoss",
    "as_options",
    "as_sample_weights",
    "as_target",
    "as_weights",
    "at_head",
    "check_loss",
    "check_options",
    "evaluate",
    "loss_of",
    "one_hot",
    "per_sample",
    "prepared",
    "value_and_gradient",
    "warn_of_doubts",
]
