"""What the training functions minimise and measure: a loss and a metric per task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ... import checks, losses
from ...errors import ShapeError
from ...ops.activation import activate
from ...ops.array import as_reals
from ...training.metrics import accuracy

__all__ = ["TASKS", "Task", "accuracy", "cross_entropy_loss", "mse_loss", "softmax", "task_named"]


def cross_entropy_loss(predictions: Any, targets: Any, from_logits: bool = True) -> float:
    """Return the mean cross entropy of predictions.

    Parameters
    ----------
    predictions : array_like (batch, classes) or (batch, time, classes)
        Logits: what a linear layer makes, before any softmax. Probabilities need ``from_logits=False``; taken for
        logits, even perfect ones would cost 0.55 with three classes.
    targets : array_like
        Integer class labels without the last axis, or one-hot rows or probabilities of the shape of ``predictions``.
    from_logits : bool, default True

    Returns
    -------
    float

    Raises
    ------
    ShapeError, DTypeError, DataError, LabelError
        If the arrays do not fit, or hold no finite numbers or labels that are no class.

    Notes
    -----
    ``mean over rows of log Σ_k exp(o_k) - Σ_k t_k o_k``, for targets that sum to 1; the largest logit is taken off
    first, so no logit is too large. Probabilities are clipped to at least 1e-12.

    Examples
    --------
    >>> round(cross_entropy_loss([[1e4, 0.0]], [1]), 1), round(cross_entropy_loss([[1.0, 0.0]], [[1, 0]]), 4)
    (10000.0, 0.3133)
    >>> cross_entropy_loss([[1.0, 0.0]], [0], from_logits=False)
    0.0
    """
    logits = checks.flag("cross_entropy_loss", "from_logits", from_logits)
    name = "softmax_cross_entropy" if logits else "cross_entropy"
    where = "cross_entropy_loss"
    (predictions,) = as_reals(where, predictions=predictions)
    targets = losses.as_target(where, predictions.shape, targets, predictions.dtype, name, "targets")
    return abs(float(losses.evaluate(name, predictions, targets)))  # abs: -log 1 would be shown as -0.0


def mse_loss(predictions: Any, targets: Any) -> float:
    """Return the mean over all elements of the squared difference.

    Parameters
    ----------
    predictions, targets : array_like of the same shape

    Returns
    -------
    float

    Raises
    ------
    ShapeError
        If the shapes differ; nothing is broadcast.
    DataError, DTypeError
        If there is no element, or one that is no finite real number.

    Examples
    --------
    >>> mse_loss([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    predictions, targets = as_reals("mse_loss", predictions=predictions, targets=targets)
    if predictions.shape != targets.shape:
        raise ShapeError("mse_loss(targets)", f"shape {predictions.shape}", f"shape {targets.shape}")
    return float(losses.evaluate("mse", predictions, targets))


def softmax(logits: Any) -> np.ndarray:
    """Return probabilities along the last axis: ``exp(o_i) / Σ_k exp(o_k)``, for logits of any size.

    Parameters
    ----------
    logits : array_like (..., classes)

    Returns
    -------
    ndarray of the shape of ``logits``

    Examples
    --------
    >>> softmax([[1e4, 1e4], [0.0, -1e4]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    (logits,) = as_reals("softmax", logits=logits)
    if logits.ndim == 0:
        raise ShapeError("softmax(logits)", "at least one axis", "a single number")
    return activate("softmax", logits)


class Task(NamedTuple):
    """A loss for training, the same as a function of predictions and targets, and a metric where more is better."""

    loss: str
    loss_fn: Callable[[Any, Any], float]
    metric: Callable[[Any, Any, float], float]


TASKS = {
    "classification": Task(
        "softmax_cross_entropy", cross_entropy_loss, lambda outputs, targets, loss: accuracy(outputs, targets)
    ),
    "regression": Task("mse", mse_loss, lambda outputs, targets, loss: -loss),
}


def task_named(where: str, task: Any) -> Task:
    """Return the task of that name."""
    return TASKS[checks.choice(where, "task", task, TASKS)]
