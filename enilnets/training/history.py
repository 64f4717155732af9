"""What a training run recorded."""

from __future__ import annotations

from os import PathLike
from typing import Any

__all__ = ["History"]


class History(dict):
    """One list per quantity, one entry per finished epoch: ``loss, accuracy, val_loss, val_accuracy, lr``.

    The validation lists stay empty without validation data; accuracies are NaN where the targets are no classes.

    Attributes
    ----------
    stopped : str or None
        ``"interrupt"`` if Ctrl-C ended the training early, or what a callback gave as its reason.

    Examples
    --------
    >>> from enilnets.training import History
    >>> history = History.empty()
    >>> sorted(history)
    ['accuracy', 'loss', 'lr', 'val_accuracy', 'val_loss']
    """

    stopped: str | None = None

    @classmethod
    def empty(cls) -> History:
        """Return a history of no epochs."""
        return cls({key: [] for key in ("loss", "accuracy", "val_loss", "val_accuracy", "lr")})

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw loss and accuracy over the epochs.

        Parameters
        ----------
        path : path, optional
            Where to save the picture (PNG, PDF, SVG by extension).

        Returns
        -------
        figure : matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib (``pip install enilnets[plot]``).
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("History.plot() needs matplotlib: pip install enilnets[plot]") from None
        figure = Figure(figsize=(9, 3.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        self.draw(left, "loss")
        self.draw(right, "accuracy")
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def draw(self, axes: Any, quantity: str) -> None:
        """Draw ``quantity`` ("loss" or "accuracy"), and its validation counterpart, into matplotlib axes."""
        epochs = range(1, len(self[quantity]) + 1)
        axes.plot(epochs, self[quantity], label="training")
        if self["val_" + quantity]:
            axes.plot(epochs, self["val_" + quantity], label="validation")
            axes.legend()
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.grid(alpha=0.3)
