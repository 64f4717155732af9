"""The results of every epoch as a line of a file."""

from __future__ import annotations

import json
import math
import os
from os import PathLike
from typing import TYPE_CHECKING

from .base import Callback

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["CSVLogger", "JSONLLogger"]

#: What an epoch leaves in the history.
QUANTITIES = ("loss", "accuracy", "val_loss", "val_accuracy", "lr")


class EpochLog(Callback):
    """A file with a line per epoch, which is with the system when the epoch ends: it outlives the process.

    A run that is resumed appends to the file; another one starts it anew.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = os.fspath(path)

    def header(self) -> str:
        """What a new file begins with."""
        return ""

    def line(self, epoch: int, results: dict[str, float]) -> str:
        """The line of ``epoch`` (from 1)."""
        raise NotImplementedError(f"{type(self).__name__} must define line()")

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        if run.resumed and os.path.exists(self.path) and os.path.getsize(self.path):
            return
        with open(self.path, "w", encoding="utf-8", newline="\n") as file:
            file.write(self.header())

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            file.write(self.line(run.epoch + 1, run.latest()))


class CSVLogger(EpochLog):
    """Write ``epoch,loss,accuracy,val_loss,val_accuracy,lr`` and a row per epoch; what there is not stays empty.

    Parameters
    ----------
    path : path

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from enilnets import NeuralNet, training
    >>> net = NeuralNet(rng=0).add_dense(1, 1, "linear")
    >>> log = training.CSVLogger(tempfile.mkdtemp() + "/log.csv")
    >>> history = net.Train(np.ones((4, 1)), np.zeros((4, 1)), epochs=2, verbose=0, callbacks=[log])
    >>> len(pathlib.Path(log.path).read_text().splitlines())
    3
    """

    def header(self) -> str:
        """See EpochLog."""
        return ",".join(("epoch", *QUANTITIES)) + "\n"

    def line(self, epoch: int, results: dict[str, float]) -> str:
        """See EpochLog."""
        values = [results.get(name, math.nan) for name in QUANTITIES]
        return ",".join([str(epoch), *("" if math.isnan(value) else repr(value) for value in values)]) + "\n"


class JSONLLogger(EpochLog):
    """Write a JSON object per line and epoch: ``{"epoch": 1, "loss": ..., ...}``; NaN becomes null.

    Parameters
    ----------
    path : path

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from enilnets import NeuralNet, training
    >>> net = NeuralNet(rng=0).add_dense(1, 1, "linear")
    >>> log = training.JSONLLogger(tempfile.mkdtemp() + "/log.jsonl")
    >>> history = net.Train(np.ones((4, 1)), np.zeros((4, 1)), epochs=2, verbose=0, callbacks=[log])
    >>> len(pathlib.Path(log.path).read_text().splitlines())
    2
    """

    def line(self, epoch: int, results: dict[str, float]) -> str:
        """See EpochLog."""
        values = {name: value if math.isfinite(value) else None for name, value in results.items()}
        return json.dumps({"epoch": epoch, **values}, allow_nan=False) + "\n"
