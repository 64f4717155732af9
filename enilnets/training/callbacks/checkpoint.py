"""Save the model after an epoch, together with all that a run needs to go on."""

from __future__ import annotations

import os
from os import PathLike
from typing import TYPE_CHECKING, Any

from ... import checks
from ...errors import ConfigError, StateError
from .base import Callback
from .monitor import Monitor

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["Checkpoint"]


class Checkpoint(Callback):
    """Save the model after every epoch, or after every one that is the best so far.

    The file is a model file like any other and replaced as a whole or not at all. It also holds the state of schedule
    and callbacks, so that ``net.Load(path)`` and ``net.Train(..., resume=True)`` go on bit for bit, in a new process
    too.

    Parameters
    ----------
    path : path
        ``{epoch}`` in it becomes the number of the epoch, from 1; ``{epoch:03d}`` with leading zeros.
    monitor : {"val_loss", "loss", "val_accuracy", "accuracy"}
        What decides which epoch is the best.
    save_best_only : bool, default False
    every : int >= 1, default 1
        Save after every so many epochs only.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from enilnets import NeuralNet, training
    >>> path = tempfile.mkdtemp() + "/run.safetensors"
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = NeuralNet(rng=0).add_dense(1, 8, "tanh").add_dense(8, 1, "linear")
    >>> history = net.Train(x, x**2, epochs=2, verbose=0, callbacks=[training.Checkpoint(path)])
    >>> net = NeuralNet().Load(path)
    >>> history = net.Train(x, x**2, epochs=2, resume=True, callbacks=[training.Checkpoint(path)])
    Epoch 3/4 - loss: ... - lr: 0.001000
    Epoch 4/4 - loss: ... - lr: 0.001000
    """

    last = True

    def __init__(
        self,
        path: str | PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        every: int = 1,
    ) -> None:
        self.path = os.fspath(path)
        self.monitor = Monitor("Checkpoint", monitor)
        self.save_best_only = checks.flag("Checkpoint", "save_best_only", save_best_only)
        self.every = checks.size("Checkpoint", "every", every)
        self.path_of(0)

    def path_of(self, epoch: int) -> str:
        """The path for ``epoch`` (from 0)."""
        if "{epoch" not in self.path:
            return self.path
        try:
            return self.path.format(epoch=epoch + 1)
        except (ValueError, KeyError, IndexError) as error:
            raise ConfigError("Checkpoint(path)", "no braces but {epoch}", repr(self.path), str(error)) from None

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        if not callable(getattr(run.model, "Save", None)):
            raise StateError("Checkpoint", "a model with a Save(path) method", type(run.model).__name__)
        self.monitor.reset()
        if self.save_best_only:
            self.monitor.check(run)

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        wanted = not self.save_best_only or self.monitor.improved(run)
        if wanted and (run.epoch + 1) % self.every == 0:
            run.remember()
            run.model.Save(self.path_of(run.epoch))  # type: ignore[attr-defined]

    def state(self) -> dict[str, Any]:
        """See Callback."""
        return self.monitor.state() if self.save_best_only else {}

    def load_state(self, state: dict[str, Any]) -> None:
        """See Callback."""
        self.monitor.load_state(state)
