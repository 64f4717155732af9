"""How a training run shows itself: a bar in a terminal that has tqdm, a line per epoch elsewhere, or nothing."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from .callbacks.base import Callback
from .history import History

if TYPE_CHECKING:
    from .run import Run

__all__ = ["EpochLines", "ProgressBar", "Silent", "progress_for"]


class Silent(Callback):
    """Shows nothing; also the base of the others."""

    last = True


def results(history: History) -> str:
    """Say the last epoch's results in the documented form."""
    parts = []
    for loss, accuracy, prefix in (("loss", "accuracy", ""), ("val_loss", "val_accuracy", "val_")):
        if history[loss]:
            parts.append(f"{prefix}loss: {history[loss][-1]:.4f}")
        if history[accuracy] and not math.isnan(history[accuracy][-1]):
            parts.append(f"{prefix}acc: {history[accuracy][-1]:.4f}")
    return " - ".join([*parts, f"lr: {history['lr'][-1]:.6f}"])


def ending(history: History) -> str:
    """Say why a run ended in the middle of an epoch."""
    return "stopped by Ctrl-C" if history.stopped == "interrupt" else f"stopped: {history.stopped}"


class EpochLines(Silent):
    """One printed line per epoch: ``Epoch 1/10 - loss: 0.1234 - acc: 0.9000 - lr: 0.001000``."""

    def __init__(self) -> None:
        self._title = ""

    def on_epoch_begin(self, run: Run) -> None:
        """See Callback."""
        self._title = f"Epoch {run.epoch + 1}/{run.epochs}"

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        print(f"{self._title} - {results(run.history)}", flush=True)
        self._title = ""

    def on_train_end(self, run: Run) -> None:
        """See Callback."""
        if self._title:
            print(f"{self._title} - {ending(run.history)}", flush=True)


class ProgressBar(Silent):
    """A tqdm bar per epoch."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._bar: Any = None

    def on_epoch_begin(self, run: Run) -> None:
        """See Callback."""
        title = f"Epoch {run.epoch + 1}/{run.epochs}"
        self._bar = self._tqdm(total=run.batches, desc=title, unit="batch", dynamic_ncols=True)

    def on_batch_end(self, run: Run) -> None:
        """See Callback."""
        self._bar.update()

    def _close(self, text: str) -> None:
        self._bar.set_postfix_str(text)
        self._bar.close()
        self._bar = None

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        self._close(results(run.history))

    def on_train_end(self, run: Run) -> None:
        """See Callback."""
        if self._bar is not None:
            self._close(ending(run.history))


def progress_for(verbose: bool | int) -> Silent:
    """Return what shows the progress of a run: silent at ``verbose=0``."""
    if not verbose:
        return Silent()
    # A bar redraws itself with control characters, which would litter a log file.
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            return EpochLines()
        return ProgressBar(tqdm)
    return EpochLines()
