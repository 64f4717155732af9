"""Stop when the watched quantity has not become better for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import checks
from ..snapshot import Snapshot
from .base import Callback
from .monitor import Monitor

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """End the run when a quantity has not improved for ``patience`` epochs.

    Parameters
    ----------
    monitor : {"val_loss", "loss", "val_accuracy", "accuracy"}
        What is watched; losses should fall, accuracies rise.
    patience : int >= 1, default 10
        Epochs without improvement that are waited for.
    min_delta : float >= 0, default 0
        An improvement is a change by more than this.
    restore_best_weights : bool, default True
        At the end of the run, also of one that was not stopped, go back to the parameters and statistics of the best
        epoch. After Ctrl-C the network stays as it is. A run that is resumed after its end goes on from there, and so
        not as one run would have; one that is resumed from a ``Checkpoint`` does.

    Attributes
    ----------
    best : float or None
    best_epoch : int or None
        Its number, from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet, training
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = NeuralNet(0.05, l2_lambda=0.0, rng=0).add_dense(1, 8, "tanh").add_dense(8, 1, "linear")
    >>> stopping = training.EarlyStopping(monitor="loss", patience=3, min_delta=1e-3)
    >>> history = net.Train(x, x**2, epochs=500, verbose=0, callbacks=[stopping])
    >>> history.stopped
    'early stopping'
    >>> len(history["loss"]) == stopping.best_epoch + 1 + 3
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best_weights: bool = True,
    ) -> None:
        self.monitor = Monitor("EarlyStopping", monitor, min_delta)
        self.patience = checks.size("EarlyStopping", "patience", patience)
        self.restore_best_weights = checks.flag("EarlyStopping", "restore_best_weights", restore_best_weights)
        self.best_epoch: int | None = None
        self._waited = 0
        self._weights: Snapshot | None = None

    @property
    def best(self) -> float | None:
        """The best value so far."""
        return self.monitor.best

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        self.monitor.check(run)
        self.monitor.reset()
        self.best_epoch, self._waited, self._weights = None, 0, Snapshot(run.model)

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        if self.monitor.improved(run):
            self.best_epoch, self._waited = run.epoch, 0
            if self.restore_best_weights:
                self._weights = Snapshot(run.model)
            return
        self._waited += 1
        if self._waited >= self.patience:
            run.stop("early stopping")

    def on_train_end(self, run: Run) -> None:
        """See Callback."""
        if self.restore_best_weights and self.best_epoch is not None and run.history.stopped != "interrupt":
            assert self._weights is not None
            self._weights.restore()

    def state(self) -> dict[str, Any]:
        """See Callback."""
        weights = self._weights.state() if self._weights is not None and self.restore_best_weights else None
        own = {"best_epoch": self.best_epoch, "waited": self._waited, "weights": weights}
        return {**self.monitor.state(), **own}

    def load_state(self, state: dict[str, Any]) -> None:
        """See Callback."""
        self.monitor.load_state(state)
        self.best_epoch, self._waited = state["best_epoch"], state["waited"]
        if state["weights"] is not None and self._weights is not None:
            self._weights.load_state(state["weights"])
