"""Averages of a model's parameters over training: EMA and SWA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from ...errors import StateError
from ..batchnorm import reestimate_batchnorm
from ..protocol import Model
from ..snapshot import Snapshot
from .base import Callback

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["EMA", "SWA"]


class WeightAverage(Callback):
    """Base of EMA and SWA: a running average of the arena's values.

    The average is float64 whatever the model is: a float32 average that takes 1/10000 of the way at every step would
    stand still 3 parts in 10000 before its goal.
    """

    def __init__(self) -> None:
        self.count = 0
        self._model: Model | None = None
        self._average = np.empty(0)
        self._difference = np.empty(0)

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        self._model = run.model
        self.count = 0
        self._average = run.model.arena.values.astype(np.float64)
        self._difference = np.empty_like(self._average)

    def move(self, share: float) -> None:
        """Take ``share`` of the way from the average to the model."""
        assert self._model is not None
        self.count += 1
        np.subtract(self._model.arena.values, self._average, out=self._difference)
        self._difference *= share
        self._average += self._difference

    def apply(self, x: Any = None) -> None:
        """Give the model the averaged parameters for good.

        Parameters
        ----------
        x : array_like (samples, ...), optional
            Inputs to estimate the statistics of batch normalisation from, which are those of the parameters that were
            trained; see ``training.reestimate_batchnorm``.

        Raises
        ------
        StateError
            Before anything was averaged.
        """
        if self._model is None or not self.count:
            name = type(self).__name__
            raise StateError(f"{name}.apply", "an average", "none yet", f"train with callbacks=[{name.lower()}] first")
        kept = Snapshot(self._model)
        self._model.arena.values[...] = self._average
        try:
            if x is not None:
                reestimate_batchnorm(self._model, x)
        except Exception:
            kept.restore()
            raise

    @contextmanager
    def applied(self, x: Any = None) -> Iterator[Model]:
        """Give the model the averaged parameters inside a ``with`` block; its own come back bit for bit.

        Parameters
        ----------
        x : array_like (samples, ...), optional
            See ``apply``.
        """
        kept = None if self._model is None else Snapshot(self._model)
        try:
            self.apply(x)
            assert self._model is not None
            yield self._model
        finally:
            if kept is not None:
                kept.restore()

    def state(self) -> dict[str, Any]:
        """See Callback."""
        if self._model is None:
            return {"count": 0, "average": []}
        parts = [self._average[p.start : p.start + p.size] for p in self._model.arena.parameters]
        return {"count": self.count, "average": [part.copy() for part in parts]}

    def load_state(self, state: dict[str, Any]) -> None:
        """See Callback."""
        assert self._model is not None
        parameters = self._model.arena.parameters
        sizes = [p.size for p in parameters]
        if [np.size(part) for part in state["average"]] != sizes:
            raise StateError(f"{type(self).__name__}.load_state", f"averages of {sizes} numbers", "others")
        self.count = state["count"]
        for p, part in zip(parameters, state["average"], strict=True):
            self._average[p.start : p.start + p.size] = part


class EMA(WeightAverage):
    """Exponential moving average of the parameters, which often predicts better than the last ones.

    Parameters
    ----------
    decay : float in [0, 1), default 0.999
        What each step keeps of the average.
    warmup : bool, default True
        Keep less at first, ``min(decay, (1 + n) / (10 + n))`` at step n, so that the beginning is soon forgotten.

    Notes
    -----
    ``average = decay average + (1 - decay) w`` after every optimizer step (Polyak & Juditsky 1992; the warm-up is
    TensorFlow's). Statistics of batch normalisation stay the model's own.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet, training
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = NeuralNet(0.01, rng=0).add_dense(1, 8, "tanh").add_dense(8, 1, "linear")
    >>> ema = training.EMA(0.99)
    >>> history = net.Train(x, x**2, epochs=2, verbose=0, callbacks=[ema])
    >>> own = net.predict(x)
    >>> with ema.applied():
    ...     averaged = net.predict(x)
    >>> bool((net.predict(x) == own).all()), bool((averaged == own).all())
    (True, False)
    """

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        super().__init__()
        self.decay = checks.fraction("EMA", "decay", decay, one=False)
        self.warmup = checks.flag("EMA", "warmup", warmup)
        self._step = 0

    def on_train_begin(self, run: Run) -> None:
        """See Callback."""
        super().on_train_begin(run)
        self._step = run.step

    def on_batch_end(self, run: Run) -> None:
        """See Callback."""
        if run.step != self._step:
            self._step = run.step
            n = self.count + 1
            decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
            self.move(1 - decay)


class SWA(WeightAverage):
    """Stochastic weight averaging: the plain mean of the parameters at the ends of epochs.

    Parameters
    ----------
    start : int >= 0
        First epoch (from 0) whose end is averaged.
    every : int >= 1, default 1
        Average every so many epochs.

    Notes
    -----
    ``average = average + (w - average) / (n + 1)`` (Izmailov et al. 2018, algorithm 1). It wants a learning rate that
    stays high: ``LRScheduler(mode="sequential")`` with a constant or cyclic end. Statistics of batch normalisation do
    not fit the average: give ``applied`` or ``apply`` the training inputs.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet, training
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> net = NeuralNet(0.01, rng=0).add_dense(1, 8, "tanh").add_batchnorm(8).add_dense(8, 1, "linear")
    >>> swa = training.SWA(start=2)
    >>> history = net.Train(x, x**2, epochs=4, verbose=0, callbacks=[swa])
    >>> swa.apply(x)
    >>> swa.count
    2
    """

    def __init__(self, start: int, every: int = 1) -> None:
        super().__init__()
        self.start = checks.integer("SWA", "start", start, 0)
        self.every = checks.size("SWA", "every", every)

    def on_epoch_end(self, run: Run) -> None:
        """See Callback."""
        if run.epoch >= self.start and (run.epoch - self.start) % self.every == 0:
            self.move(1 / (self.count + 1))
