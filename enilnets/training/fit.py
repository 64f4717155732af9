"""The training loop, for any model that offers the Model protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import losses
from ..errors import NonFiniteError, StateError
from .batches import shuffled_batches, slices
from .callbacks.base import Callback, CallbackRow
from .history import History
from .interrupt import CtrlC
from .metrics import Measure, accuracy, measure_for
from .progress import progress_for
from .protocol import Model
from .run import Run, Scheduler

__all__ = ["Scheduler", "accumulate", "evaluate", "fit", "loss_gradient", "train_step"]


def loss_gradient(
    head: str, output: np.ndarray, y: np.ndarray, loss: str | losses.Loss, options: dict[str, Any]
) -> tuple[float, np.ndarray, bool]:
    """Return loss, gradient and whether that is at the pre-activation already; NonFiniteError for a bad loss.

    Name, targets and options of the loss have been checked before.
    """
    value, gradient, at_pre_activation = losses.at_head(losses.loss_of("training", loss), output, y, head, **options)
    if not math.isfinite(value):
        raise NonFiniteError(
            f"training ({loss})",
            "a finite loss",
            str(value),
            "lower the learning rate, clip gradients or scale the inputs",
        )
    return value, gradient, at_pre_activation


def train_step(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    loss: str | losses.Loss,
    options: dict[str, Any] | None = None,
    lengths: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """One step: forward, loss, backward, update.

    Parameters
    ----------
    model : Model
    x : ndarray (batch, ...)
    y : ndarray
        Targets in the output's shape.
    loss : str or Loss
        A key of ``losses.LOSSES``, or a loss of one's own.
    options : dict, optional
        Further arguments of the loss.
    lengths : ndarray (batch,) of int64, optional
        Steps of each sequence, for the model's pass; the loss knows them by its ``weights``.

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
    value, output = accumulate(model, x, y, loss, options or {}, lengths=lengths)
    model.step()
    return value, output


def batch_weight(options: dict[str, Any], samples: int) -> float:
    """What the mean loss of a batch counts for beside that of others: its samples, times their mean weight."""
    weights = options.get("weights")
    return samples if weights is None else float(weights.mean()) * samples


def accumulate(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    loss: str | losses.Loss,
    options: dict[str, Any],
    share: float = 1.0,
    lengths: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """Add the gradients of a batch, times ``share``, to the arena's; return its loss and the output."""
    output, ctx = model.forward(x, train=True, **of_lengths(lengths))
    value, gradient, at_pre_activation = loss_gradient(model.head, output, y, loss, options)
    if share != 1.0:
        gradient = gradient * share
    model.backward(ctx, gradient, at_pre_activation=at_pre_activation)
    return value, output


def of_lengths(lengths: np.ndarray | None) -> dict[str, Any]:
    """The argument of a model's passes, which models without sequences need not know."""
    return {} if lengths is None else {"lengths": lengths}


def measured(
    measure: Measure, output: np.ndarray, y: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[float, int]:
    """Return the measure of a batch, and what it counts for: its samples, or their steps if sequences are padded."""
    if lengths is not None and output.ndim > 2:
        inside = np.arange(output.shape[1]) < lengths[:, None]
        output, y = output[inside], y[inside]
    return measure(output, y), len(output)


def evaluate(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    loss: str | losses.Loss,
    options: dict[str, Any] | None = None,
    batch_size: int = 256,
    measure: Measure = accuracy,
    lengths: np.ndarray | None = None,
) -> tuple[float, float]:
    """Return loss and accuracy (or another measure) in inference mode, computed batch by batch."""
    total = right = mass = 0.0
    for part in slices(len(x), batch_size):
        of_part = None if lengths is None else lengths[part]
        output = model.infer(x[part], **of_lengths(of_part))
        inside = losses.as_weights("evaluate", loss, y[part], lengths=of_part)
        value, count = measured(measure, output, y[part], of_part)
        total += float(losses.evaluate(loss, output, y[part], "mean", sample_weight=inside, **(options or {}))) * count
        right += value * count
        mass += count
    return total / mass, right / mass


def fit(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    loss: str | losses.Loss,
    options: dict[str, Any] | None = None,
    validation: tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None,
    scheduler: Scheduler | None = None,
    verbose: bool | int = 0,
    initial_epoch: int = 0,
    callbacks: Iterable[Callback] = (),
    accumulation_steps: int = 1,
    resume: bool = False,
    lengths: np.ndarray | None = None,
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
    loss : str or Loss
        A key of ``losses.LOSSES``, or a loss of one's own.
    options : dict, optional
        Further arguments of the loss, and the ``weights`` of its mean; those with a row per sample (see
        ``losses.per_sample``) are shuffled along, and have no part in the validation.
    validation : (ndarray, ndarray) or (ndarray, ndarray, ndarray or None), optional
        Inputs, targets, lengths.
    scheduler : Scheduler, optional
    verbose : bool or int
        0 is silent.
    initial_epoch : int
        Number of the first epoch, for schedules and display, when a run is resumed.
    callbacks : iterable of Callback
    accumulation_steps : int >= 1
        Batches whose gradients make one step: that of one batch with all their samples.
    resume : bool
        Go on with the run that ``model.run_state`` describes.
    lengths : ndarray (samples,) of int64, optional
        Steps of each sequence, for the model's passes and the accuracy; the loss knows them by its ``weights``.

    Returns
    -------
    History
    """
    options = options or {}
    along = losses.per_sample(loss, options)
    settings = {name: value for name, value in options.items() if name not in along}
    row = CallbackRow("Train", callbacks)
    row.callbacks.append(progress_for(verbose))
    run = Run(
        model,
        row,
        scheduler,
        first_epoch=initial_epoch if not resume else resumable(model)["epoch"],
        epochs=epochs,
        batches=math.ceil(len(x) / batch_size),
        steps=math.ceil(len(x) / (batch_size * accumulation_steps)),
        validated=validation is not None,
    )
    run.resumed = resume
    row.on_train_begin(run)
    if resume:
        run.resume()
    measure = measure_for(loss, y)
    model.arena.zero_grad()
    history = run.history
    # What overflows ends in a NonFiniteError, so NumPy need not warn of it as well.
    with CtrlC() as ctrl_c, np.errstate(over="ignore", invalid="ignore"):
        for epoch in range(run.epoch, run.epochs):
            run.epoch = epoch
            run.set_rate("epoch")
            row.on_epoch_begin(run)
            rows = [options[name] for name in along] + ([] if lengths is None else [lengths])
            batches = shuffled_batches(x, y, batch_size, model.rng, *rows)
            means = train_epoch(run, batches, len(x), accumulation_steps, loss, settings, along, measure, ctrl_c)
            if means is None:
                break
            history["loss"].append(means[0])
            history["accuracy"].append(means[1])
            history["lr"].append(float(model.learning_rate))
            if validation is not None:
                x_val, y_val, *of_val = validation
                val_loss, val_accuracy = evaluate(
                    model, x_val, y_val, loss, settings, max(batch_size, 256), measure, *of_val
                )
                history["val_loss"].append(val_loss)
                history["val_accuracy"].append(val_accuracy)
            run.observe()
            row.on_epoch_end(run)
            run.remember()
            if ctrl_c.pressed:  # during validation
                run.stop("interrupt")
            if run.stopped:
                break
        row.on_train_end(run)
    return history


def resumable(model: Model) -> dict[str, Any]:
    """Return what a run left with ``model``; StateError if there was none."""
    state = getattr(model, "run_state", None)
    if not state:
        way_out = "load the file that a Checkpoint or Save wrote after training"
        raise StateError("Train(resume)", "a model that was trained by Train", "one that was not", way_out)
    return state


def train_epoch(
    run: Run,
    batches: Iterable[tuple[np.ndarray, ...]],
    samples: int,
    accumulation_steps: int,
    loss: str | losses.Loss,
    settings: dict[str, Any],
    along: Sequence[str],
    measure: Measure,
    ctrl_c: CtrlC,
) -> tuple[float, float] | None:
    """Train on ``batches``, which hold ``samples`` in all; return the means of loss and measure.

    Behind inputs and targets, a batch has the options of the loss that ``along`` names, a row per sample, and where
    sequences are padded their lengths.

    None if the run was stopped in between; gradients that made no step are then forgotten.
    """
    model = run.model
    total = right = mass = seen = gathered = 0.0  # gathered: the weight of the batches that the next step waits for
    left, pending = samples, 0  # samples that are left, and that the next step waits for
    for run.batch, (xs, ys, *rows) in enumerate(batches, start=1):
        if pending == 0:
            pending = min(left, accumulation_steps * len(xs))
            run.set_rate("step")
        options = {**settings, **dict(zip(along, rows, strict=False))} if along else settings
        lengths = rows[-1] if len(rows) > len(along) else None
        weight = batch_weight(options, len(xs))
        value, output = accumulate(model, xs, ys, loss, options, weight if accumulation_steps > 1 else 1.0, lengths)
        left, pending, gathered = left - len(xs), pending - len(xs), gathered + weight
        if pending == 0:
            if accumulation_steps > 1:
                model.arena.scale_gradients(1 / gathered)
            model.step()
            run.step += 1
            gathered = 0.0
        run.loss = value
        total += value * weight
        mass += weight
        hits, count = measured(measure, output, ys, lengths)
        right += hits * count
        seen += count
        run.callbacks.on_batch_end(run)
        if ctrl_c.pressed:
            run.stop("interrupt")
        if run.stopped:
            model.arena.zero_grad()
            return None
    return total / mass, right / seen
