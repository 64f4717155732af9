"""The training loop, for any model that offers the Model protocol."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from .. import losses
from ..errors import NonFiniteError
from .batches import shuffled_batches, slices
from .history import History
from .interrupt import CtrlC
from .metrics import Measure, accuracy, measure_for
from .progress import progress_for
from .protocol import Model

__all__ = ["Scheduler", "evaluate", "fit", "loss_gradient", "train_step"]


class Scheduler(Protocol):
    """What ``fit`` asks of a learning-rate schedule; ``observe(loss)`` is called too where there is one."""

    def step(self, epoch: int) -> float:
        """Return the learning rate of ``epoch`` (from 0)."""


def loss_gradient(
    head: str, output: np.ndarray, y: np.ndarray, loss: str, options: dict[str, Any]
) -> tuple[float, np.ndarray, bool]:
    """Return loss, gradient and whether that is at the pre-activation already; NonFiniteError for a bad loss.

    Name, targets and options of the loss have been checked before.
    """
    value, gradient, at_pre_activation = losses.at_head(losses.LOSSES[loss], output, y, head, **options)
    if not math.isfinite(value):
        raise NonFiniteError(
            f"training ({loss})",
            "a finite loss",
            str(value),
            "lower the learning rate, clip gradients or scale the inputs",
        )
    return value, gradient, at_pre_activation


def train_step(
    model: Model, x: np.ndarray, y: np.ndarray, loss: str, options: dict[str, Any] | None = None
) -> tuple[float, np.ndarray]:
    """One step: forward, loss, backward, update.

    Parameters
    ----------
    model : Model
    x : ndarray (batch, ...)
    y : ndarray
        Targets in the output's shape.
    loss : str
        A key of ``losses.LOSSES``.
    options : dict, optional
        Further arguments of the loss.

    Returns
    -------
    loss : float
        Before the update.
    output : ndarray

    Raises
    ------
    NonFiniteError
        If the loss is NaN or infinite; the parameters are as before.
    """
    output, ctx = model.forward(x, train=True)
    value, gradient, at_pre_activation = loss_gradient(model.head, output, y, loss, options or {})
    model.backward(ctx, gradient, at_pre_activation=at_pre_activation)
    model.step()
    return value, output


def batch_weight(options: dict[str, Any], samples: int) -> float:
    """What the mean loss of a batch counts for beside that of others: its samples, times their mean weight."""
    weights = options.get("weights")
    return samples if weights is None else float(weights.mean()) * samples


def evaluate(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    loss: str,
    options: dict[str, Any] | None = None,
    batch_size: int = 256,
    measure: Measure = accuracy,
) -> tuple[float, float]:
    """Return loss and accuracy (or another measure) in inference mode, computed batch by batch."""
    total = right = 0.0
    for part in slices(len(x), batch_size):
        output = model.infer(x[part])
        total += float(losses.evaluate(loss, output, y[part], "mean", **(options or {}))) * len(output)
        right += measure(output, y[part]) * len(output)
    return total / len(x), right / len(x)


def fit(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    loss: str,
    options: dict[str, Any] | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    scheduler: Scheduler | None = None,
    verbose: bool | int = 0,
    initial_epoch: int = 0,
) -> History:
    """Train ``model`` on arrays that are already in its dtype.

    Every epoch sees all samples once, in an order drawn from ``model.rng``. Loss and accuracy of an epoch are means
    over its samples as they were trained on; the accuracy is NaN where the targets are no classes. Validation runs
    after the epoch in inference mode. Ctrl-C ends the run between
    two steps: the model keeps what it learned, the history its finished epochs, and ``history.stopped`` says so.

    Parameters
    ----------
    model : Model
    x, y : ndarray
        Inputs and targets of the same length.
    epochs, batch_size : int >= 1
    loss : str
        A key of ``losses.LOSSES``.
    options : dict, optional
        Further arguments of the loss, and the ``weights`` of its mean; those with a row per sample (see
        ``losses.per_sample``) are shuffled along, and have no part in the validation.
    validation : (ndarray, ndarray), optional
    scheduler : Scheduler, optional
    verbose : bool or int
        0 is silent.
    initial_epoch : int
        Number of the first epoch, for schedules and display, when a run is resumed.

    Returns
    -------
    History
    """
    options = options or {}
    along = losses.per_sample(loss, options)
    settings = {name: value for name, value in options.items() if name not in along}
    history = History.empty()
    progress = progress_for(verbose)
    measure = measure_for(loss, y)
    # What overflows ends in a NonFiniteError, so NumPy need not warn of it as well.
    with CtrlC() as ctrl_c, np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(initial_epoch, initial_epoch + epochs):
            if scheduler is not None:
                model.learning_rate = scheduler.step(epoch)
            progress.start_epoch(epoch, initial_epoch + epochs, math.ceil(len(x) / batch_size))
            total = right = mass = 0.0
            for xs, ys, *rows in shuffled_batches(x, y, batch_size, model.rng, *(options[name] for name in along)):
                batch_options = {**settings, **dict(zip(along, rows, strict=True))} if along else settings
                value, output = train_step(model, xs, ys, loss, batch_options)
                weight = batch_weight(batch_options, len(xs))
                total += value * weight
                mass += weight
                right += measure(output, ys) * len(xs)
                progress.batch()
                if ctrl_c.pressed:
                    history.stopped = "interrupt"
                    progress.stopped()
                    return history
            history["loss"].append(total / mass)
            history["accuracy"].append(right / len(x))
            history["lr"].append(float(model.learning_rate))
            if validation is not None:
                val_loss, val_accuracy = evaluate(model, *validation, loss, settings, max(batch_size, 256), measure)
                history["val_loss"].append(val_loss)
                history["val_accuracy"].append(val_accuracy)
            observe = getattr(scheduler, "observe", None)
            if observe is not None:
                observe(history["val_loss" if validation is not None else "loss"][-1])
            progress.end_epoch(history)
            if ctrl_c.pressed:  # during validation
                history.stopped = "interrupt"
                break
    return history
