"""When training slows down and when it ends: the documented decay, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

import numpy as np

from ... import checks
from ...errors import DTypeError, StateError

__all__ = ["EarlyStopping", "learning_rate_schedule"]


def learning_rate_schedule(epoch: int, initial_lr: float = 0.001, decay: float = 0.95, decay_every: int = 10) -> float:
    """Return ``initial_lr * decay ** (epoch // decay_every)``.

    Parameters
    ----------
    epoch : int >= 0
    initial_lr : float >= 0
    decay : float in [0, 1]
    decay_every : int >= 1

    Notes
    -----
    ``train_model(scheduler=...)`` takes any ``LRScheduler`` in its place, such as one with a warmup and a cosine.

    Examples
    --------
    >>> [round(learning_rate_schedule(epoch, 0.1, decay=0.5), 3) for epoch in (0, 9, 10, 25)]
    [0.1, 0.1, 0.05, 0.025]
    """
    where = "learning_rate_schedule"
    epoch, decay_every = checks.integer(where, "epoch", epoch, 0), checks.size(where, "decay_every", decay_every)
    decay = checks.fraction(where, "decay", decay)
    return checks.number(where, "initial_lr", initial_lr, 0.0) * decay ** (epoch // decay_every)


class EarlyStopping:
    """Tell when the validation loss has stopped falling, and keep the best parameters.

    Parameters
    ----------
    patience : int >= 1, default 10
        So many calls in a row without an improvement end the training.
    min_delta : float >= 0, default 1e-4
        An improvement is a loss below the best one less this.

    Attributes
    ----------
    best_loss : float
    counter : int
        Calls since the best one.

    Notes
    -----
    A loss of NaN is no improvement.

    Examples
    --------
    >>> import numpy as np
    >>> stopping = EarlyStopping(patience=2)
    >>> [stopping(loss, {"w": np.array(loss)}) for loss in (0.5, 0.3, 0.4, 0.35)]
    [False, False, False, True]
    >>> stopping.get_best_params()["w"]
    array(0.3)
    """

    def __init__(self, patience: int = 10, min_delta: float = 1e-4) -> None:
        self.patience = checks.size("EarlyStopping", "patience", patience)
        self.min_delta = checks.number("EarlyStopping", "min_delta", min_delta, 0.0)
        self.best_loss = math.inf
        self.counter = 0
        self._best: dict[str, np.ndarray] | None = None

    def __call__(self, val_loss: float, model_params: Mapping[str, np.ndarray]) -> bool:
        """Take note of a loss and the parameters it belongs to; return whether to stop."""
        if not isinstance(val_loss, Real) or isinstance(val_loss, bool):
            raise DTypeError("EarlyStopping(val_loss)", "a number", repr(val_loss))
        if not isinstance(model_params, Mapping):
            raise DTypeError("EarlyStopping(model_params)", "a dict of arrays", type(model_params).__name__)
        if val_loss < self.best_loss - self.min_delta:
            self.best_loss, self.counter = float(val_loss), 0
            self._best = {name: np.array(value) for name, value in model_params.items()}
        else:
            self.counter += 1
        return self.counter >= self.patience

    def get_best_params(self) -> dict[str, np.ndarray]:
        """Return copies of the parameters with the best loss.

        Raises
        ------
        StateError
            If there was no loss yet, or none but NaN and infinity.
        """
        if self._best is None:
            raise StateError("EarlyStopping.get_best_params", "a call with a finite loss before", "none")
        return {name: value.copy() for name, value in self._best.items()}
