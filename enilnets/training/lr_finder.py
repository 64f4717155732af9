"""Find a learning rate by letting it grow until training diverges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from .. import checks, losses
from ..errors import ConfigError, DataError, NonFiniteError, ShapeError
from ..ops.array import as_data
from ..ops.recurrent import as_lengths
from .batches import shuffled_batches
from .fit import of_lengths, train_step
from .protocol import Model

__all__ = ["LearningRateRange", "find_learning_rate"]

#: The loss that ends the test: this many times the fall so far above the first loss.
DIVERGED = 2.0


@dataclass(frozen=True)
class LearningRateRange:
    """What a range test found.

    Attributes
    ----------
    lrs : ndarray (n,)
        The learning rates, ascending.
    losses : ndarray (n,)
        Loss on the same samples after a step with each.
    smoothed : ndarray (n,)
        The losses, averaged over neighbouring rates.
    suggestion : float
        The largest rate up to which the smoothed loss, beyond its steepest fall, went on falling half as fast.
    """

    lrs: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw the losses over the rates, with the suggestion.

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
            raise ImportError("plot() needs matplotlib: pip install enilnets[plot]") from None
        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, alpha=0.4, label="loss")
        axes.plot(self.lrs, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, color="tab:red", label=f"suggestion {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        axes.legend()
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Average every value with up to ``width`` neighbours on either side."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(width, np.minimum(index, len(values) - 1 - index))  # as far on both sides
    return (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)


def steep(lrs: np.ndarray, smoothed: np.ndarray) -> float:
    """The largest rate up to which the loss, beyond its steepest fall, goes on falling half as fast.

    The steepest place alone is the luck of a few steps, and lower than it need be.
    """
    lowest = int(np.argmin(smoothed))
    if smoothed[0] - smoothed[lowest] <= 1e-6 * abs(smoothed[0]):
        raise DataError(
            "find_learning_rate",
            "a loss that falls at some rate",
            "none that does",
            "lower start_lr, or look at the data and the network",
        )
    slope = np.gradient(smoothed[: lowest + 1], np.log(lrs[: lowest + 1]))
    steepest = int(np.argmin(slope))
    flatter = np.flatnonzero(slope[steepest:] > 0.5 * slope[steepest])
    return float(lrs[steepest + (flatter[0] if len(flatter) else lowest + 1 - steepest) - 1])


def find_learning_rate(
    model: Model,
    x: Any,
    y: Any,
    *,
    loss_function: str | None = None,
    start_lr: float = 1e-6,
    end_lr: float = 10.0,
    steps: int = 150,
    batch_size: int = 32,
    lengths: Any = None,
    **loss_kwargs: Any,
) -> LearningRateRange:
    """Train a copy with a learning rate that grows with every step, and see where the loss falls and where it explodes.

    Parameters
    ----------
    model : Model
        Stays as it is, to the last bit of its random state.
    x, y : array_like
        Inputs and targets as for ``Train``.
    loss_function : str, optional
        Default: cross-entropy after a softmax, else mean squared error.
    start_lr, end_lr : float > 0
        The first and the last rate.
    steps : int >= 10, default 150
        Rates in between, at equal ratios.
    batch_size : int >= 1, default 32
    lengths : array_like of int (samples,), optional
        Steps of each sequence of ``x``, (samples, time, ...), as for ``Train``.
    **loss_kwargs
        Further arguments of the loss.

    Returns
    -------
    LearningRateRange
        With the rate to take as ``suggestion``.

    Raises
    ------
    DataError
        If the loss falls at no rate.

    Notes
    -----
    The range test of Smith 2017, section 3.3. Here the loss is that of the same samples after every step (up to
    16 batches of them), so that the curve shows the rate and not the luck of a batch; it is smoothed over neighbouring
    rates before its slope is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet
    >>> from enilnets.training import find_learning_rate
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> net = NeuralNet(l2_lambda=0.0, rng=0).add_dense(2, 16, "tanh").add_dense(16, 1, "linear")
    >>> found = find_learning_rate(net, x, x[:, :1] * x[:, 1:])
    >>> 1e-4 < found.suggestion < 0.3
    True
    """
    where = "find_learning_rate"
    start_lr = checks.number(where, "start_lr", start_lr, 0.0, above=True)
    end_lr = checks.number(where, "end_lr", end_lr, 0.0, above=True)
    if end_lr <= start_lr:
        raise ConfigError(f"{where}(end_lr)", f"more than start_lr = {start_lr:g}", f"{end_lr:g}")
    steps, batch_size = checks.size(where, "steps", steps, 10), checks.size(where, "batch_size", batch_size)
    loss = loss_function or ("cross_entropy" if model.head == "softmax" else "mse")
    losses.check_options(where, loss, loss_kwargs)
    twin = model.clone()
    x = x if isinstance(x, np.ndarray) and x.dtype.kind in "iu" else as_data(where, "x", x, model.arena.dtype)
    if lengths is not None:
        if x.ndim < 2:
            raise ShapeError(f"{where}(x)", "sequences (batch, time, ...) with lengths=", f"shape {x.shape}")
        lengths = as_lengths(where, lengths, *x.shape[:2])
    shape = twin.infer(x[:1]).shape[1:]
    y = losses.as_target(where, (len(x), *shape), y, model.arena.dtype, loss, "y")
    lrs = np.geomspace(start_lr, end_lr, steps)
    rows = (
        {} if lengths is None else {"lengths": lengths, "weights": losses.as_weights(where, loss, y, lengths=lengths)}
    )
    rows = {name: row for name, row in rows.items() if row is not None}
    found = _range_test(twin, x, y, rows, lrs, batch_size, loss, loss_kwargs)
    smoothed = smooth(found, max(1, steps // 30))
    return LearningRateRange(lrs[: len(found)], found, smoothed, steep(lrs, smoothed))


def _range_test(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    rows: dict[str, np.ndarray],
    lrs: np.ndarray,
    batch_size: int,
    loss: str,
    options: dict[str, Any],
) -> np.ndarray:
    """Loss on fixed samples after a step with each of ``lrs``, as far as training goes.

    ``rows`` may hold the lengths of the sequences and their weights in the loss, a row per sample.
    """
    chosen = model.rng.permutation(len(x))[: 16 * batch_size]
    x_fixed, y_fixed = x.take(chosen, axis=0), y.take(chosen, axis=0)
    of_fixed = {name: row.take(chosen, axis=0) for name, row in rows.items()}

    def measure() -> float:
        output, _ = model.forward(x_fixed, train=True, **of_lengths(of_fixed.get("lengths")))
        weights = of_fixed.get("weights")
        return float(losses.evaluate(loss, output, y_fixed, "mean", sample_weight=weights, **options))

    found: list[float] = []
    batches: Iterator[tuple[np.ndarray, ...]] = iter(())
    with np.errstate(over="ignore", invalid="ignore"):
        first = measure()
        for lr in lrs:
            batch = next(batches, None)
            if batch is None:
                batches = shuffled_batches(x, y, batch_size, model.rng, *rows.values())
                batch = next(batches)
            of_batch = dict(zip(rows, batch[2:], strict=True))
            lengths = of_batch.pop("lengths", None)
            model.learning_rate = float(lr)
            try:
                train_step(model, batch[0], batch[1], loss, {**options, **of_batch}, lengths)
            except NonFiniteError:
                break
            value = measure()
            if not math.isfinite(value):
                break
            found.append(value)
            if value - first > DIVERGED * max(first - min(found), 0.1 * abs(first)):
                break
    if len(found) < 5:
        raise DataError(
            "find_learning_rate",
            "training that does not diverge at once",
            f"{len(found)} steps",
            "lower start_lr, or scale the inputs",
        )
    return np.array(found)
