"""Training of models over sequences: one step, a whole run, evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ... import checks
from ...errors import ConfigError, DataError, DTypeError, ShapeError
from ...ops.array import as_numbers
from ...optim import LRScheduler, Optimizer
from ...training.batches import slices
from .losses import task_named
from .protocol import SequenceModelProtocol, check_model
from .schedule import EarlyStopping, learning_rate_schedule
from .update import Update

__all__ = ["create_batches", "evaluate", "train_model", "train_step"]

Pair = tuple[Any, Any]

#: What ``train_model`` reports of every epoch.
HISTORY = ("train_loss", "train_metric", "val_loss", "val_metric", "learning_rates", "grad_norms")


def create_batches(
    X: Any, y: Any, batch_size: int = 32, shuffle: bool = True, *, rng: Any = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches until every sample came once; the last one may be shorter.

    Parameters
    ----------
    X, y : array_like (samples, ...)
    batch_size : int >= 1, default 32
    shuffle : bool, default True
        In random order, or as they come.
    rng : None, int, SeedSequence or Generator

    Yields
    ------
    X_batch, y_batch : ndarray

    Raises
    ------
    DataError
        If there is no sample.
    ShapeError
        If ``X`` and ``y`` have different lengths.

    Examples
    --------
    >>> [len(x) for x, y in create_batches(range(10), range(10), batch_size=4, rng=0)]
    [4, 4, 2]
    """
    X, y = _pair("create_batches", X, y)
    size, rng = checks.size("create_batches", "batch_size", batch_size), checks.generator("create_batches", rng)
    shuffle = checks.flag("create_batches", "shuffle", shuffle)
    return _batches(X, y, size, rng.permutation(len(X)) if shuffle else np.arange(len(X)))


def _batches(X: np.ndarray, y: np.ndarray, size: int, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for part in slices(len(X), size):
        yield X[order[part]], y[order[part]]


def _pair(where: str, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays of the same, positive length."""
    X, y = as_numbers(where, "X", X), as_numbers(where, "y", y)
    if X.ndim == 0 or y.ndim == 0 or len(X) == 0:
        raise DataError(f"{where}(X, y)", "at least one sample", f"shapes {X.shape} and {y.shape}")
    if len(X) != len(y):
        raise ShapeError(f"{where}(y)", f"{len(X)} targets, one per sample", str(len(y)))
    return X, y


def _data(where: str, name: str, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a pair (X, y) holds, as ``_pair`` has it."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DTypeError(f"{where}({name})", "a pair (X, y)", type(data).__name__)
    return _pair(where, *data)


def train_step(
    model: SequenceModelProtocol,
    X_batch: Any,
    y_batch: Any,
    learning_rate: float = 0.001,
    clip_norm: float | None = 5.0,
    task: str = "classification",
    *,
    optimizer: str | Optimizer = "sgd",
) -> tuple[float, float, float]:
    """Take one step of gradient descent.

    Parameters
    ----------
    model : object with forward, get_params and set_params
        Those of this package are differentiated exactly, and so is one that has ``gradients``; see ``train_model``.
    X_batch, y_batch : array_like
    learning_rate : float >= 0, default 0.001
    clip_norm : float > 0 or None, default 5.0
        Largest norm of all gradients together.
    task : {"classification", "regression"}
        Cross entropy of logits and accuracy, or mean squared error and its negative.
    optimizer : str or Optimizer, default "sgd"
        An Optimizer of ``enilnets.optim`` keeps its state from step to step with the models of this package; a name
        starts afresh, which for "sgd" is all the same.

    Returns
    -------
    loss, metric : float
        Of the batch, before the update.
    grad_norm : float
        Before clipping.

    Raises
    ------
    ConfigError
        If the model lacks a method, or the task or optimizer is unknown.
    NonFiniteError
        If the loss or a gradient is; the model is then as before.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import LSTM, train_step
    >>> model, X, y = LSTM(3, 8, 2, rng=0), np.random.default_rng(0).normal(size=(4, 5, 3)), np.array([0, 1, 1, 0])
    >>> first, _, _ = train_step(model, X, y, learning_rate=0.1)
    >>> train_step(model, X, y, learning_rate=0.1)[0] < first
    True
    """
    learning_rate = checks.number("train_step", "learning_rate", learning_rate, 0.0)
    X_batch, y_batch = _pair("train_step", X_batch, y_batch)
    update = Update("train_step", model, task, optimizer, clip_norm)
    loss, metric = update.gather(X_batch, y_batch)
    return loss, metric, update.step(learning_rate)


def evaluate(
    model: SequenceModelProtocol, X: Any, y: Any, task: str = "classification", batch_size: int = 32
) -> tuple[float, float]:
    """Return the mean loss and metric over all samples, computed batch by batch.

    Parameters
    ----------
    model, task
        See ``train_step``.
    X, y : array_like
    batch_size : int >= 1, default 32
        Does not change the result: a shorter last batch counts for its samples.

    Returns
    -------
    loss, metric : float
    """
    check_model("evaluate", model)
    measured, (X, y) = task_named("evaluate", task), _pair("evaluate", X, y)
    total = metric = 0.0
    for part in slices(len(X), checks.size("evaluate", "batch_size", batch_size)):
        outputs, share = model.forward(X[part]), (part.stop - part.start) / len(X)
        loss = measured.loss_fn(outputs, y[part])
        total += share * loss
        metric += share * measured.metric(outputs, y[part], loss)
    return total, metric


def train_model(
    model: SequenceModelProtocol,
    train_data: Pair,
    val_data: Pair | None = None,
    epochs: int = 100,
    batch_size: int = 32,
    learning_rate: float = 0.001,
    lr_decay: float = 0.95,
    lr_decay_every: int = 10,
    clip_norm: float | None = 5.0,
    patience: int | None = 10,
    task: str = "classification",
    verbose: bool = True,
    *,
    optimizer: str | Optimizer = "sgd",
    scheduler: LRScheduler | None = None,
    accumulation_steps: int = 1,
    rng: Any = None,
) -> dict[str, list[float]]:
    """Train a model and leave it with the parameters of its best epoch.

    Parameters
    ----------
    model : object with forward, get_params and set_params
        The models of this package are trained by backpropagation through time. Of any other, the method
        ``gradients(X, y, task) -> (loss, outputs, gradients by name)`` is used if it has one; if not, the gradients
        are found by ``compute_numerical_gradient``, two passes per parameter.
    train_data, val_data : (X, y)
        Without validation data nothing is restored and nothing stops early.
    epochs, batch_size : int >= 1
    learning_rate, lr_decay, lr_decay_every
        See ``learning_rate_schedule``; without a meaning under ``scheduler``.
    clip_norm : float > 0 or None, default 5.0
        Largest norm of all gradients together.
    patience : int >= 1 or None, default 10
        Epochs without an improvement of the validation loss that end the run; None: all epochs run.
    task : {"classification", "regression"}
        Cross entropy of logits and accuracy, or mean squared error and its negative.
    verbose : bool, default True
        Print a line per epoch.
    optimizer : str or Optimizer, default "sgd"
        A key of ``optim.OPTIMIZERS``, where "sgd" has no momentum, or an Optimizer such as ``SGD(momentum=0.9)``.
    scheduler : LRScheduler, optional
        The learning rate of every epoch or step, such as ``LRScheduler(0.01, mode="warmup_cosine", max_epochs=50)``.
    accumulation_steps : int >= 1, default 1
        Batches whose gradients make one step: that of one batch with all their samples.
    rng : None, int, SeedSequence or Generator
        For shuffling.

    Returns
    -------
    dict of str to list of float
        ``train_loss``, ``train_metric`` (means over the epoch, before each update), ``val_loss``, ``val_metric``,
        ``learning_rates`` and ``grad_norms`` (mean over the steps, before clipping), an entry per epoch that ran.

    Raises
    ------
    ConfigError, DataError, ShapeError
        For what cannot be trained.
    NonFiniteError
        If the loss or a gradient is NaN or infinite. Validation losses that are all infinite restore nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.sequence import LSTM, train_model
    >>> X = np.random.default_rng(0).normal(size=(200, 6, 3))
    >>> y = (X[:, -1, 0] > 0).astype(int)
    >>> data = (X[:150], y[:150]), (X[150:], y[150:])
    >>> history = train_model(LSTM(3, 8, 2, rng=0), *data, 20, learning_rate=0.5, verbose=False, rng=0)
    >>> max(history["val_metric"]) > 0.9
    True
    """
    where = "train_model"
    epochs, group = checks.size(where, "epochs", epochs), checks.size(where, "batch_size", batch_size)
    group *= checks.size(where, "accumulation_steps", accumulation_steps)
    train = _data(where, "train_data", train_data)
    validation = [] if val_data is None else [_data(where, "val_data", val_data)]
    verbose, rng = checks.flag(where, "verbose", verbose), checks.generator(where, rng)
    rates = scheduler or _documented(learning_rate, lr_decay, lr_decay_every)
    if not isinstance(rates, LRScheduler):
        raise ConfigError(f"{where}(scheduler)", "an LRScheduler", repr(scheduler))
    update = Update(where, model, task, optimizer, clip_norm)
    best = EarlyStopping(epochs if patience is None else patience)
    history: dict[str, list[float]] = {name: [] for name in HISTORY}
    for epoch in range(epochs):
        rate = partial(_rate, rates, epoch, update)
        row = {"learning_rates": rate()}
        batches = create_batches(*train, batch_size, rng=rng)
        row["train_loss"], row["train_metric"], row["grad_norms"] = _epoch(update, batches, len(train[0]), group, rate)
        for X, y in validation:
            row["val_loss"], row["val_metric"] = evaluate(model, X, y, task, batch_size)
            rates.observe(row["val_loss"])
        for name, value in row.items():
            history[name].append(value)
        if verbose:
            print(_line(epoch, epochs, row), flush=True)
        if validation and best(row["val_loss"], model.get_params()):
            break
    if best.counter and math.isfinite(best.best_loss):
        model.set_params(best.get_best_params())
    return history


def _documented(learning_rate: float, decay: float, decay_every: int) -> LRScheduler:
    """The rates of ``learning_rate_schedule`` as a scheduler."""
    learning_rate_schedule(0, learning_rate, decay, decay_every)  # refuses bad settings
    if learning_rate == 0:
        return LRScheduler(1.0, mode="lambda", function=lambda epoch: 0.0)
    return LRScheduler(learning_rate, mode="step", drop=decay, epochs_drop=decay_every)


def _rate(rates: LRScheduler, epoch: int, update: Update) -> float:
    """The rate of the next step."""
    return rates.step(update.steps if rates.per == "step" else epoch)


def _epoch(
    update: Update,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    samples: int,
    group: int,
    rate: Callable[[], float],
) -> tuple[float, float, float]:
    """Train on all batches, with a step per ``group`` samples; return means of loss, metric and gradient norm."""
    loss = metric = 0.0
    norms: list[float] = []
    left, whole, pending = samples, 0, 0  # samples that are left, of this step, and that it still waits for
    for X, y in batches:
        if pending == 0:
            whole = pending = min(left, group)
        batch_loss, batch_metric = update.gather(X, y, len(X) / whole)
        loss += batch_loss * len(X) / samples
        metric += batch_metric * len(X) / samples
        left, pending = left - len(X), pending - len(X)
        if pending == 0:
            norms.append(update.step(rate()))
    return loss, metric, sum(norms) / len(norms)


def _line(epoch: int, epochs: int, row: dict[str, float]) -> str:
    """What ``verbose`` prints about an epoch."""
    results = " - ".join(f"{name}: {row[name]:.4f}" for name in HISTORY[:4] if name in row)
    return f"Epoch {epoch + 1}/{epochs} - {results} - lr: {row['learning_rates']:.6f}"
