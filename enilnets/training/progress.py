"""How a training run shows itself: a bar in a terminal that has tqdm, a line per epoch elsewhere, or nothing."""

from __future__ import annotations

import math
import sys
from typing import Any

from .history import History

__all__ = ["EpochLines", "ProgressBar", "Silent", "progress_for"]


class Silent:
    """Shows nothing; also the base of the others."""

    def start_epoch(self, epoch: int, epochs: int, batches: int) -> None:
        """Begin to show epoch ``epoch`` (from 0) of ``epochs``."""

    def batch(self) -> None:
        """One more batch is done."""

    def end_epoch(self, history: History) -> None:
        """Show the last entries of ``history``."""

    def stopped(self) -> None:
        """Say that Ctrl-C ended the training."""


def results(history: History) -> str:
    """Say the last epoch's results in the documented form."""
    parts = []
    for loss, accuracy, prefix in (("loss", "accuracy", ""), ("val_loss", "val_accuracy", "val_")):
        if history[loss]:
            parts.append(f"{prefix}loss: {history[loss][-1]:.4f}")
        if history[accuracy] and not math.isnan(history[accuracy][-1]):
            parts.append(f"{prefix}acc: {history[accuracy][-1]:.4f}")
    return " - ".join([*parts, f"lr: {history['lr'][-1]:.6f}"])


class EpochLines(Silent):
    """One printed line per epoch: ``Epoch 1/10 - loss: 0.1234 - acc: 0.9000 - lr: 0.001000``."""

    def start_epoch(self, epoch: int, epochs: int, batches: int) -> None:
        """See Silent."""
        self._title = f"Epoch {epoch + 1}/{epochs}"

    def end_epoch(self, history: History) -> None:
        """See Silent."""
        print(f"{self._title} - {results(history)}", flush=True)

    def stopped(self) -> None:
        """See Silent."""
        print(f"{self._title} - stopped by Ctrl-C", flush=True)


class ProgressBar(Silent):
    """A tqdm bar per epoch."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm

    def start_epoch(self, epoch: int, epochs: int, batches: int) -> None:
        """See Silent."""
        self._bar = self._tqdm(total=batches, desc=f"Epoch {epoch + 1}/{epochs}", unit="batch", dynamic_ncols=True)

    def batch(self) -> None:
        """See Silent."""
        self._bar.update()

    def end_epoch(self, history: History) -> None:
        """See Silent."""
        self._bar.set_postfix_str(results(history))
        self._bar.close()

    def stopped(self) -> None:
        """See Silent."""
        self._bar.set_postfix_str("stopped by Ctrl-C")
        self._bar.close()


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
