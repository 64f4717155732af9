"""Trains a RealNet: one batch, or epochs with pruning between them."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any

import numpy as np

from ... import checks, losses
from ...errors import ConfigError, DataError, DTypeError, NonFiniteError, ShapeError
from ...ops.array import as_data, as_numbers
from ...optim import AdamW, Optimizer, make_optimizer
from ...training.batches import shuffled_batches, slices
from . import trainer_files
from .network import RealNet
from .protocol import forget_dead
from .pruning import SynapticPruner
from .settings import cpu, features_of, scatter, step_range, steps_of, threshold_of

__all__ = ["RealNetTrainer"]

#: Samples that are evaluated together.
EVALUATED = 256

#: (outputs, targets) -> loss and its gradient at the outputs.
LossFunction = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def default_learning_rate(neurons: int) -> float:
    """0.1 / neurons, at most 0.007: a step then moves the state about as far whatever the size of the network."""
    return min(0.007, 0.1 / neurons)


class RealNetTrainer:
    """Trains a RealNet by gradients through all its steps.

    Parameters
    ----------
    model : RealNet
    optimizer : str or Optimizer, optional
        A key of ``enilnets.optim.OPTIMIZERS`` or an object of its classes; default AdamW with a weight decay of 0.01.
    loss_fn : str or callable, optional
        A key of ``enilnets.losses.LOSSES``, or ``loss_fn(outputs, targets) -> (loss, gradient)``; default "mse".
    device : {"cpu", "cuda"}, default "cuda"
        See RealNet.
    gradient_decay : float in [0, 1), default 0.0
        Ghost gradients: what is left of the (clipped) gradient of a step is this share of it, and the next step's is
        added. 0 forgets it.
    learning_rate : float >= 0, optional
        Default ``min(0.007, 0.1 / num_neurons)``.
    clip_norm : float > 0 or None, default 1.0
        The Euclidean norm that the gradient of a step is clipped to.

    Attributes
    ----------
    skipped : int
        Steps that were left out because a loss or gradient was not finite; each also warns.

    Examples
    --------
    >>> from enilnets.sequence import RealNet, RealNetTrainer
    >>> model = RealNet(3, [0, 1], [2], device="cuda", rng=0)
    >>> trainer = RealNetTrainer(model, gradient_decay=0.1)
    >>> X, Y = [[-1, -1], [-1, 1], [1, -1], [1, 1]], [[-1], [1], [1], [-1]]
    >>> history = trainer.fit(X, Y, epochs=100, thinking_steps=5, verbose=False)
    >>> len(history)
    100
    """

    def __init__(
        self,
        model: RealNet,
        optimizer: str | Optimizer | None = None,
        loss_fn: str | LossFunction | None = None,
        device: str = "cuda",
        gradient_decay: float = 0.0,
        *,
        learning_rate: float | None = None,
        clip_norm: float | None = 1.0,
    ) -> None:
        where = type(self).__name__
        if not isinstance(model, RealNet):
            raise DTypeError(f"{where}(model)", "a RealNet", type(model).__name__)
        self.model = model
        self.optimizer = AdamW(weight_decay=0.01) if optimizer is None else make_optimizer(where, optimizer, 0.9)
        self.loss_fn: str | LossFunction = loss_fn if callable(loss_fn) else losses.check_loss(where, loss_fn or "mse")
        self.device = cpu(where, device)
        self.gradient_decay = checks.fraction(where, "gradient_decay", gradient_decay, one=False)
        rate = default_learning_rate(model.num_neurons) if learning_rate is None else learning_rate
        self.learning_rate = checks.number(where, "learning_rate", rate, 0.0)
        self.clip_norm = None if clip_norm is None else checks.number(where, "clip_norm", clip_norm, 0.0, above=True)
        self.skipped = 0
        self.waiting = 0  # batches whose gradients wait for the next step
        self._deaths = 0

    # Training

    def train_batch(
        self,
        input_features: Any,
        target_values: Any,
        thinking_steps: int | tuple[int, int],
        gradient_accumulation_steps: int = 1,
        *,
        full_sequence: bool = False,
        mask: Any = None,
    ) -> float:
        """Train on one batch.

        Parameters
        ----------
        input_features : array_like (batch, f) or (batch, sequence, f)
            At most one feature per input neuron, in their order; (batch,) is one feature. Of a sequence, element t is
            added at step t.
        target_values : array_like (batch, outputs)
            Or what else the loss takes; (batch,) for a single output. With ``full_sequence``
            (batch, thinking_steps, outputs).
        thinking_steps : int >= 1, or (int, int)
            How long the network thinks before its outputs are read; a pair (low, high) draws a number between the two,
            both included, for every batch, which makes the network good at all of them.
        gradient_accumulation_steps : int >= 1, default 1
            The optimizer steps with every so many-th call, along the mean gradient of the calls since the last one.
        full_sequence : bool, default False
            Whether the outputs of all steps enter the loss, instead of the last ones.
        mask : array_like (batch, thinking_steps), optional
            Weights of the steps in the loss, with ``full_sequence``.

        Returns
        -------
        float
            The loss before the step, whatever is accumulated.

        Raises
        ------
        ConfigError, ShapeError, DTypeError, DataError, LabelError
            For arguments that do not fit; the model is as before.

        Warns
        -----
        RuntimeWarning
            If loss or gradient is not finite: the gradient is dropped, the model stays as it is.
        """
        where = f"{type(self).__name__}.train_batch"
        low, high = step_range(where, thinking_steps)
        accumulated = checks.integer(where, "gradient_accumulation_steps", gradient_accumulation_steps, 1)
        x = features_of(where, input_features, self.model)
        steps = (low, high if not full_sequence else fixed(where, low, high))
        y = self._targets(where, target_values, len(x), low if full_sequence else None)
        weights = self._weights(where, mask, len(x), low if full_sequence else None)
        return self._train(x, y, weights, steps, accumulated, full_sequence)

    def _train(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        steps: tuple[int, int],
        accumulated: int,
        full_sequence: bool,
    ) -> float:
        model = self.model
        count = steps[0] if steps[0] == steps[1] else int(model.rng.integers(steps[0], steps[1] + 1))
        states, saved = model.run(scatter(x, model), count, train=True, keep=True)
        value, gradient = self._loss(self._read(states, full_sequence), y, weights)
        if not math.isfinite(value):
            self._skip(f"loss {value}")
            return value
        if accumulated > 1:
            gradient = gradient / accumulated
        assert saved is not None
        model.backward(saved, np.ascontiguousarray(gradient.transpose(1, 0, 2)) if full_sequence else gradient)
        self.waiting += 1
        if self.waiting >= accumulated:
            self._step()
        return value

    def _read(self, states: np.ndarray, full_sequence: bool) -> np.ndarray:
        if not full_sequence:
            return self.model.read(states[-1])
        return np.ascontiguousarray(self.model.read(states).transpose(1, 0, 2))

    def _step(self) -> None:
        """Clip, step, and keep the ghost of the gradient."""
        arena = self.model.arena
        self.waiting = 0
        if self._deaths != self.model.deaths:
            self._deaths = self.model.deaths
            forget_dead(self.model, self.optimizer)
        try:
            norm = arena.gradient_norm()
            if self.clip_norm is not None and norm > self.clip_norm:
                arena.scale_gradients(self.clip_norm / norm)
            self.optimizer.step(arena, self.learning_rate)
        except NonFiniteError as error:
            self._skip(f"gradient: {error}")
            return
        if self.gradient_decay:
            arena.scale_gradients(self.gradient_decay)
        else:
            arena.zero_grad()

    def _skip(self, reason: str) -> None:
        self.skipped += 1
        self.waiting = 0
        self.model.arena.zero_grad()
        message = f"RealNetTrainer: left out a step whose loss or gradient is not finite ({reason})"
        warnings.warn(message, RuntimeWarning, stacklevel=5)

    def fit(
        self,
        input_features: Any,
        target_values: Any,
        epochs: int,
        batch_size: int = 32,
        thinking_steps: int | tuple[int, int] = 10,
        verbose: bool = True,
        pruning_threshold: float = 0.0,
        *,
        full_sequence: bool = False,
        mask: Any = None,
    ) -> list[float]:
        """Train for some epochs, each of which sees all samples once in random order.

        Parameters
        ----------
        input_features, target_values, thinking_steps, full_sequence, mask
            See ``train_batch``.
        epochs, batch_size : int >= 1
        verbose : bool, default True
            Print the loss of every tenth epoch and of the last.
        pruning_threshold : float >= 0, default 0.0
            If above 0, synapses weaker than that die after every epoch.

        Returns
        -------
        list of float
            Mean loss of every epoch.
        """
        where = f"{type(self).__name__}.fit"
        epochs = checks.integer(where, "epochs", epochs, 1)
        batch_size = checks.integer(where, "batch_size", batch_size, 1)
        low, high = step_range(where, thinking_steps)
        verbose = checks.flag(where, "verbose", verbose)
        threshold = threshold_of(where, "pruning_threshold", pruning_threshold)
        x = features_of(where, input_features, self.model)
        steps = (low, high if not full_sequence else fixed(where, low, high))
        y = self._targets(where, target_values, len(x), low if full_sequence else None)
        weights = self._weights(where, mask, len(x), low if full_sequence else None)
        along = () if weights is None else (weights,)
        history = []
        for epoch in range(1, epochs + 1):
            total = 0.0
            for xs, ys, *rest in shuffled_batches(x, y, batch_size, self.model.rng, *along):
                total += self._train(xs, ys, rest[0] if rest else None, steps, 1, full_sequence) * len(xs)
            history.append(total / len(x))
            if threshold:
                self.prune(threshold)
            if verbose and (epoch % 10 == 0 or epoch == epochs):
                print(self._progress(epoch, epochs, history[-1]))
        return history

    def _progress(self, epoch: int, epochs: int, loss: float) -> str:
        dead = f", {SynapticPruner.get_sparsity(self.model):.1f} % dead" if self.model.deaths else ""
        return f"epoch {epoch}/{epochs}: loss {loss:.6f}{dead}"

    # What a network can do

    def predict(self, input_features: Any, thinking_steps: int, *, full_sequence: bool = False) -> np.ndarray:
        """Return the outputs, without dropout.

        Parameters
        ----------
        input_features, full_sequence
            See ``train_batch``.
        thinking_steps : int >= 1

        Returns
        -------
        ndarray (batch, outputs), or (batch, thinking_steps, outputs) with ``full_sequence``
        """
        return self._predict(f"{type(self).__name__}.predict", input_features, thinking_steps, full_sequence)

    def _predict(self, where: str, input_features: Any, thinking_steps: int, full_sequence: bool) -> np.ndarray:
        steps = steps_of(where, "thinking_steps", thinking_steps)
        x = features_of(where, input_features, self.model)
        return np.concatenate(list(self._outputs(x, steps, full_sequence)))

    def _outputs(self, x: np.ndarray, steps: int, full_sequence: bool) -> Iterator[np.ndarray]:
        for part in slices(len(x), EVALUATED):
            states, _ = self.model.run(scatter(x[part], self.model), steps, train=False, keep=False)
            yield self._read(states, full_sequence)

    def evaluate(
        self,
        input_features: Any,
        target_values: Any,
        thinking_steps: int,
        *,
        full_sequence: bool = False,
        mask: Any = None,
    ) -> float:
        """Return the loss without dropout; nothing is learned. For the arguments see ``train_batch``."""
        where = f"{type(self).__name__}.evaluate"
        output = self._predict(where, input_features, thinking_steps, full_sequence)
        length = thinking_steps if full_sequence else None
        y = self._targets(where, target_values, len(output), length)
        return self._loss(output, y, self._weights(where, mask, len(output), length))[0]

    def prune(self, threshold: float = 0.01) -> tuple[int, int, int]:
        """Kill the synapses weaker than ``threshold``; see ``SynapticPruner.prune``."""
        return SynapticPruner.prune(self.model, threshold)

    # Losses

    def _targets(self, where: str, targets: Any, batch: int, length: int | None) -> np.ndarray:
        """Return targets as the loss takes them, with a row per sample."""
        outputs = len(self.model.output_ids)
        shape = (batch, outputs) if length is None else (batch, length, outputs)
        if not isinstance(targets, np.ndarray):
            targets = as_numbers(where, "target_values", targets)
        if outputs == 1 and targets.shape == shape[:-1]:
            targets = targets[..., None]
        if isinstance(self.loss_fn, str):
            return losses.as_target(where, shape, targets, self.model.dtype, self.loss_fn, "target_values")
        if targets.ndim == 0 or len(targets) != batch:
            raise ShapeError(f"{where}(target_values)", f"{batch} rows like the features", f"shape {targets.shape}")
        return targets

    def _weights(self, where: str, mask: Any, batch: int, length: int | None) -> np.ndarray | None:
        if mask is None:
            return None
        if length is None or not isinstance(self.loss_fn, str):
            got = f"full_sequence={length is not None}, loss_fn={self.loss_fn!r}"
            raise ConfigError(f"{where}(mask)", "full_sequence=True and a loss by name", got)
        mask = as_data(where, "mask", mask, self.model.dtype)
        if mask.shape != (batch, length):
            raise ShapeError(f"{where}(mask)", f"shape {(batch, length)}", f"shape {mask.shape}")
        if (mask < 0).any() or not mask.any():
            raise DataError(f"{where}(mask)", "weights >= 0 that are not all 0", "others")
        return mask

    def _loss(self, output: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        if isinstance(self.loss_fn, str):
            return losses.LOSSES[self.loss_fn].value_and_gradient(output, y, weights=weights)
        where, result = f"{type(self).__name__}(loss_fn)", self.loss_fn(output, y)
        try:
            value, gradient = float(result[0]), np.ascontiguousarray(result[1], self.model.dtype)
        except (TypeError, ValueError, IndexError):
            raise DTypeError(where, "a function that returns a loss and its gradient", repr(result)[:80]) from None
        if gradient.shape != output.shape:
            raise ShapeError(where, f"a gradient of shape {output.shape} like the outputs", f"shape {gradient.shape}")
        return value, gradient

    # Files and copies

    def Save(self, path: str | PathLike[str]) -> None:
        """Write model, optimizer, gradients that wait and random state: training goes on bit for bit."""
        trainer_files.write(path, self)

    @classmethod
    def Load(cls, path: str | PathLike[str], loss_fn: LossFunction | None = None) -> RealNetTrainer:
        """Return the trainer that ``Save`` wrote; a loss that is a function has to be given again.

        Raises
        ------
        FileNotFoundError, ModelFormatError
        """
        return trainer_files.read(path, loss_fn)

    def __reduce__(self) -> tuple[Any, ...]:
        return trainer_files.rebuilt, (*trainer_files.parts(self), self.loss_fn)

    def clone(self) -> RealNetTrainer:
        """Return an independent copy, model and random state included."""
        return copy.deepcopy(self)


def fixed(where: str, low: int, high: int) -> int:
    """Return ``high``; a range of steps does not go with targets for every step."""
    if low != high:
        raise ConfigError(f"{where}(thinking_steps)", "an integer with full_sequence=True", repr((low, high)))
    return high
