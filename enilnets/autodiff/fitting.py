"""How models are trained: by single batches, or by the loop over the model protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import checks, losses
from ..errors import ConfigError, DataError, ShapeError
from ..ops.array import as_data, as_numbers
from ..ragged import without_padding, zero_behind
from ..training.callbacks import Callback
from ..training.fit import Scheduler, fit, of_lengths
from ..training.history import History
from .losses import FunctionLoss, check_loss
from .parts import Parts
from .tensor import Tensor

__all__ = ["Fitting"]


class Fitting(Parts):
    """Base of Model: trains it."""

    #: Name of the last activation, where a loss is to be put together with it.
    head: Any = "linear"

    def __call__(self, *inputs: Any, train: bool | None = None, **options: Any) -> Any:
        """Return the output for ``inputs``."""
        raise NotImplementedError

    def infer(self, x: Any, **options: Any) -> Any:
        """Return the output in inference mode."""
        raise NotImplementedError

    def train_batch(self, loss: Callable[..., Tensor], *inputs: Any) -> float:
        """One step on a batch: forward, loss, backward, update.

        Parameters
        ----------
        loss : callable
            ``loss(output, target)`` returns a Tensor with the loss.
        *inputs : array_like
            What ``call`` takes, and the target at the end.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        NonFiniteError
            If a gradient is not finite; the parameters are as before.
        """
        *x, target = inputs
        self.arena.zero_grad()
        value = loss(self(*x, train=True), target)
        check_loss(f"{self._name}.train_batch(loss)", value, Tensor)
        value.backward()
        self.step()
        return float(value)

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        loss: str | Callable[[Any, Any], Any] = "mse",
        epochs: int = 10,
        batch_size: int = 32,
        validation: tuple[Any, Any] | tuple[Any, Any, Any] | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        scheduler: Scheduler | None = None,
        verbose: bool | int = 0,
        initial_epoch: int = 0,
        callbacks: Iterable[Callback] = (),
        accumulation_steps: int = 1,
        resume: bool = False,
        lengths: Any = None,
        **options: Any,
    ) -> History:
        """Train for ``epochs`` passes over the data, shuffled each time from the model's ``rng``.

        Parameters
        ----------
        x : array_like (samples, ...)
            Floats are cast to the model's dtype; integers stay, for embeddings.
        y : array_like
            As many targets: in the output's shape, or integer class labels where the loss takes them; whatever it wants
            for a loss of one's own.
        loss : str or callable, default "mse"
            A key of ``losses.LOSSES``, or ``loss(output, target)`` that returns a Tensor with the mean of the batch.
        epochs, batch_size : int >= 1
        validation : (x, y) or (x, y, lengths), optional
            Evaluated after each epoch in inference mode.
        sample_weight, class_weight : optional
            For named losses; see ``losses.as_weights``.
        scheduler, verbose, initial_epoch, callbacks, accumulation_steps, resume
            See ``NeuralNet.Train``.
        lengths : array_like of int (samples,), optional
            Steps of each sequence of x (samples, time, ...), which ``call(x, lengths=)`` gets. Targets of steps behind
            them have no part in a named loss; one of your own gets all steps.
        **options
            Further arguments of a named loss, see ``losses.evaluate``.

        Returns
        -------
        History
            A dict of lists ``loss, accuracy, val_loss, val_accuracy, lr``.

        Raises
        ------
        ShapeError, DTypeError, DataError, LabelError, ConfigError
            If data, loss or settings do not fit; nothing was trained then.
        """
        where = f"{self._name}.fit"
        rule = loss if isinstance(loss, str) else FunctionLoss(loss, Tensor)
        weights = {"sample_weight": sample_weight, "class_weight": class_weight}
        if isinstance(rule, FunctionLoss):
            idle = sorted([*options, *(name for name, value in weights.items() if value is not None)])
            if not callable(loss) or idle:
                expected = "a name, or a function without further arguments"
                raise ConfigError(f"{where}(loss)", expected, ", ".join(idle) or repr(loss))
        losses.check_options(where, rule, options, training=True)
        if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) in (2, 3)):
            raise DataError(f"{where}(validation)", "(x, y) or (x, y, lengths)", type(validation).__name__)
        xs, ys, lengths = self._sequences(where, rule, x, y, lengths)
        if isinstance(rule, str):
            options = losses.as_options(where, rule, options, ys.shape, self.dtype)
            weighted = losses.as_weights(where, rule, ys, **weights, lengths=lengths)
            if weighted is not None:
                options = {**options, "weights": weighted}
        return fit(
            self,  # type: ignore[arg-type]
            xs,
            ys,
            epochs=checks.integer(where, "epochs", epochs, 1),
            batch_size=checks.integer(where, "batch_size", batch_size, 1),
            loss=rule,
            options=options,
            validation=None if validation is None else self._sequences(where, rule, *validation),
            scheduler=scheduler,
            verbose=verbose if isinstance(verbose, bool) else checks.integer(where, "verbose", verbose, 0),
            initial_epoch=checks.integer(where, "initial_epoch", initial_epoch, 0),
            callbacks=callbacks,
            accumulation_steps=checks.integer(where, "accumulation_steps", accumulation_steps, 1),
            resume=checks.flag(where, "resume", resume),
            lengths=lengths,
        )

    def _sequences(
        self, where: str, loss: str | losses.Loss, x: Any, y: Any, lengths: Any = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """``_pairs`` without what stood in the padding, and the lengths."""
        x, lengths = without_padding(where, "x", x, lengths)
        if lengths is not None and np.shape(y)[:2] == x.shape[:2]:
            y = zero_behind(as_numbers(where, "y", y), lengths)
        return *self._pairs(where, x, y, loss, of_lengths(None if lengths is None else lengths[:1])), lengths

    def _pairs(
        self, where: str, x: Any, y: Any, loss: str | losses.Loss, options: dict[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cast inputs and targets of the same, positive number of samples."""
        xs = as_numbers(where, "x", x)
        xs = as_data(where, "x", xs, self.dtype) if xs.dtype.kind == "f" else xs
        if not xs.ndim or not len(xs):
            raise DataError(f"{where}(x)", "at least one sample", f"shape {xs.shape}")
        n_targets = len(y) if hasattr(y, "__len__") else 0
        if n_targets != len(xs):
            raise ShapeError(f"{where}(y)", f"{len(xs)} targets, one per sample of x", str(n_targets))
        if isinstance(loss, losses.Loss):
            ys = as_numbers(where, "y", y)
            return xs, as_data(where, "y", ys, self.dtype) if ys.dtype.kind == "f" else ys
        output = self.infer(xs[:1], **options)
        return xs, losses.as_target(where, (len(xs), *output.shape[1:]), y, self.dtype, loss, "y")
