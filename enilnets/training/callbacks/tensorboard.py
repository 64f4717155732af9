"""The results of every epoch for TensorBoard, through the library tensorboardX."""

from __future__ import annotations

import math
import os
from os import PathLike
from typing import TYPE_CHECKING

from .base import Callback

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["TensorBoard"]


class TensorBoard(Callback):
    """Write ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and ``lr`` of every epoch as scalars.

    Parameters
    ----------
    log_dir : path
        Where TensorBoard looks (``tensorboard --logdir``).

    Raises
    ------
    ImportError
        Without tensorboardX (``pip install enilnets[tensorboard]``).
    """

    def __init__(self, log_dir: str | PathLike[str]) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ImportError("TensorBoard needs tensorboardX: pip install enilnets[tensorboard]") from None
        self.log_dir = os.fspath(log_dir)
        self._writer_type = SummaryWriter

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        self._writer = self._writer_type(self.log_dir)

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        for name, value in run.latest().items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, run.epoch + 1)
        self._writer.flush()

    def on_train_end(self, run: Run) -> None:
        """See Callback."""
        self._writer.close()
