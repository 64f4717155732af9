"""NeuralNet: the documented verbs, a facade over layers, optimizers, training and storage. It holds no mathematics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import checks, losses
from .builder import Builder
from .caches import Caches
from .errors import ConfigError, DataError, ShapeError, StateError
from .layers.sequential import INFERENCE_ALONE
from .ops.array import as_data, as_numbers, check_finite
from .ops.gather import as_ids
from .policy_search import PolicySearch
from .ragged import WHOLE, Steps, as_states, check_reset, without_padding, zero_behind
from .training.callbacks import Callback
from .training.fit import Scheduler, fit, loss_gradient
from .training.history import History
from .training.metrics import accuracy, precision_recall_f1

__all__ = ["NeuralNet"]


class NeuralNet(PolicySearch, Caches, Builder):
    """A network: a chain of layers with an optimizer.

    Parameters
    ----------
    learning_rate : float >= 0, default 0.001
    optimizer : str or Optimizer, default "adam"
        A key of ``optim.OPTIMIZERS`` (any case), or an Optimizer with settings of its own.
    l2_lambda : float >= 0, default 0.01
        L2 penalty: ``l2_lambda * w`` is added to the gradient of all weights, but not of biases and normalisation.
    momentum : float in [0, 1], default 0.9
        For ``optimizer="sgd"``.
    dtype : {"float64", "float32"}, default "float64"
        Of all parameters and arithmetic; inputs are cast to it once. float32 is faster and half the size.
    rng : None, int, SeedSequence or Generator
        Source of all randomness: initial weights, shuffling, dropout. The same seed gives the same bits.

    Attributes
    ----------
    layers : list of Layer
        Change a layer through ``layer["weights"] = ...``; add one with an ``add_`` method. Views that were taken from a
        layer before another one is added may point to memory that is no longer used.
    state : dict
        After a pass: the states that recurrent layers ended it with, to be passed as ``state=`` to the next.
    optimizer : Optimizer
    arena : Arena
        All parameters and gradients as flat vectors.
    dtype, rng
        As given.
    outputs : list of ndarray
        After ``Forward``: the input, then the output of every layer. They are kept, not copied: do not write into the
        input or an output before ``Backward``.
    pre_activations : list of ndarray or None
        After ``Forward``: aligned with ``outputs``; None where there is no activation.
    batchnorm_cache, layernorm_cache : list of tuple or None
        After ``Forward(training=True)``: ``(x, x_norm, mean, var, gamma, epsilon, axes)`` per batch-norm or layer-norm
        layer.
    deltas : list of ndarray
        After ``Backward``: gradient of the loss before each layer's activation.
    opt_state : list of dict
        Views of the optimizer's state per layer; empty before the first update.
    t : int
        Number of updates.
    training : bool
        False after ``eval()``, which forces inference behaviour even under ``Forward(training=True)``.

    Notes
    -----
    One thread may train a network; any number may call ``predict`` at the same time, which keeps nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets import NeuralNet
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = (x[:, 0] > x[:, 1]).astype(int)
    >>> net = NeuralNet(learning_rate=0.05, l2_lambda=0.0, rng=0)
    >>> history = net.add_dense(2, 16).add_dense(16, 2, activation="softmax").Train(x, y, epochs=20, verbose=0)
    >>> history["accuracy"][-1] > 0.95
    True
    """

    def _forget(self) -> None:
        super()._forget()
        self._known_pair: tuple[Any, ...] | None = None  # arrays of this kind fit as they are, but for their values
        self._known_loss: tuple[str, str] | None = None  # a loss that goes with this head and needs no arguments

    # Settings

    @property
    def optimizer_type(self) -> str:
        """Name of the optimizer; setting it starts that optimizer afresh."""
        return self.optimizer.name

    @optimizer_type.setter
    def optimizer_type(self, name: str) -> None:
        self.optimizer = name

    def set_lr(self, lr: float) -> None:
        """Set the learning rate."""
        self.learning_rate = lr

    def get_lr(self) -> float:
        """Return the learning rate."""
        return self.learning_rate

    def train(self) -> NeuralNet:
        """Lift ``eval()``; returns self."""
        self.training = True
        return self

    def eval(self) -> NeuralNet:
        """Force inference behaviour of batch norm and dropout, also under ``training=True``; returns self."""
        self.training = False
        return self

    # Data at the edge

    def _inputs(self, where: str, inputs: Any, name: str = "inputs", *, batch: bool = False) -> np.ndarray:
        """Cast ``inputs`` to a batch the layers can take; with ``batch`` a single sample is refused."""
        if self.chain.takes_ids:
            x = as_ids(where, name, inputs, self.chain.vocab_size)
            x = x[:, None] if x.ndim == 1 else x
        else:
            x = as_data(where, name, inputs, self.dtype)
        if not batch and (x.ndim == 1 or (x.ndim == 3 and self.chain.takes_images)):
            x = x[None]
        if x.ndim < 2:
            raise ShapeError(f"{where}({name})", "an array (samples, features, ...)", f"shape {x.shape}")
        try:
            self._output_shape(x.shape[1:])
        except ShapeError as error:
            layer, *rest = error.args
            raise ShapeError(f"{where}({name}) at {layer}", *rest) from None
        return x

    def _pairs(self, where: str, x: Any, y: Any, loss: str, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
        """Cast inputs and targets of the same, positive number of samples."""
        if type(x) is np.ndarray and type(y) is np.ndarray:
            kind = (x.shape, y.shape, x.dtype, y.dtype, loss)
            if kind == self._known_pair and x.flags.carray and y.flags.carray and self.chain.layers == self._added:
                check_finite(where, names[0], x)
                check_finite(where, names[1], y)
                return x, y
        else:
            kind = None
        xs = self._inputs(where, x, names[0], batch=True)
        output_shape = self._output_shape(xs.shape[1:])
        if not xs.size or 0 in output_shape:
            raise DataError(f"{where}({names[0]})", "at least one sample with outputs", f"shape {xs.shape}")
        try:
            n_targets = len(y)
        except TypeError:  # a number, None, an array without axes
            raise ShapeError(f"{where}({names[1]})", f"{len(xs)} targets", repr(y)) from None
        if n_targets != len(xs):
            raise ShapeError(f"{where}({names[1]})", f"{len(xs)} targets, one per sample of {names[0]}", str(n_targets))
        ys = losses.as_target(where, (len(xs), *output_shape), y, self.dtype, loss, names[1])
        if xs is x and ys is y and not self.chain.takes_ids:
            self._known_pair = kind
        return xs, ys

    def _sequences(
        self, where: str, x: Any, y: Any, loss: str, names: tuple[str, str], lengths: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """``_pairs`` without the padding of inputs and targets, and the lengths."""
        x, lengths = without_padding(where, names[0], x, lengths)
        if lengths is not None:
            x = self._inputs(where, x, names[0], batch=True)
            output_shape = self._output_shape(x.shape[1:])
            if len(output_shape) > 1:
                if output_shape[0] != x.shape[1]:
                    expected, got = f"outputs of {x.shape[1]} steps, as the inputs have", f"{output_shape[0]}"
                    raise ShapeError(f"{where}(lengths)", expected, got, "lengths= are those of the inputs")
                y = as_numbers(where, names[1], y)
                y = zero_behind(y, lengths) if y.shape[:2] == x.shape[:2] else y
        return *self._pairs(where, x, y, loss, names), lengths

    def _steps(self, where: str, x: np.ndarray, lengths: np.ndarray | None, reset: Any, state: Any) -> Steps:
        """What the layers are told of the steps of ``x``; the lengths were checked before."""
        return Steps(lengths, check_reset(where, reset, x), as_states(where, state, self.layers))

    def _loss_name(self, where: str, loss_function: str | None, options: dict[str, Any]) -> str:
        """Name of the loss to train by, its arguments checked by name; warns if it does not go with the head."""
        head = self.head
        if loss_function is None:
            loss_function = "cross_entropy" if head == "softmax" else "mse"
        if options or type(loss_function) is not str or (loss_function, head) != self._known_loss:
            losses.check_options(where, loss_function, options, training=True)
            if self.layers and "activation" in self.layers[-1].settings:
                losses.warn_of_doubts(where, loss_function, head, options)
            self._known_loss = None if options else (loss_function, head)
        return loss_function

    def _loss_options(
        self,
        where: str,
        loss: str,
        y: np.ndarray,
        options: dict[str, Any],
        sample_weight: Any,
        class_weight: Any,
        lengths: np.ndarray | None = None,
    ) -> dict[str, Any]:
        """What the loss takes besides ``y``: its checked arguments, and the weights as one array."""
        if options:
            options = losses.as_options(where, loss, options, y.shape, self.dtype)
        weights = losses.as_weights(where, loss, y, sample_weight, class_weight, lengths)
        return options if weights is None else {**options, "weights": weights}

    # Forward and backward

    def Forward(
        self,
        inputs: Any,
        training: bool = False,
        dropout_rate: float = 0.0,
        *,
        lengths: Any = None,
        reset: Any = None,
        state: Any = None,
    ) -> np.ndarray:
        """Run the layers and keep ``outputs``, ``pre_activations`` and the norm caches.

        Parameters
        ----------
        inputs : array_like
            A batch, or one sample: (features,), or (channels, height, width) before convolutions. Lists, integers and
            booleans are cast to the network's dtype. Before an embedding: integer ids (batch, sequence) or (batch,).
        training : bool, default False
            Batch statistics and dropout on (unless ``eval()`` was called).
        dropout_rate : float in [0, 1), default 0.0
            In training, a rate above 0 takes the place of every dropout layer's own for this pass.
        lengths : array_like of int (batch,), optional
            Steps of each sequence of a batch (batch, time, ...). What comes behind is padding, whatever stands there:
            no state, output of a recurrent layer, loss or gradient depends on it.
        reset : array_like of bool (batch, time), optional
            True where an episode begins inside a sequence: recurrent layers let no state cross the border before it.
        state : dict, optional
            ``net.state`` as it was after an earlier pass, for recurrent layers to go on from; default: zeros.

        Returns
        -------
        output : ndarray (batch, ...)

        Raises
        ------
        ShapeError, DTypeError, DataError
            If the input does not fit the first layer, is not numeric, or holds NaN or infinity.
        """
        rate = checks.fraction("Forward", "dropout_rate", dropout_rate, one=False)
        inputs, lengths = without_padding("Forward", "inputs", inputs, lengths)
        x = self._inputs("Forward", inputs)
        steps = self._steps("Forward", x, lengths, reset, state)
        return self._run(x, checks.flag("Forward", "training", training), rate or None, steps=steps)

    def predict(
        self,
        inputs: Any,
        training: bool = False,
        dropout_rate: float = 0.0,
        *,
        lengths: Any = None,
        reset: Any = None,
        state: Any = None,
    ) -> np.ndarray:
        """Return ``Forward(inputs)`` without keeping anything, so that threads may share the network.

        With ``training=True`` it is ``Forward`` itself, as it has to be where ``state`` is wanted afterwards.
        """
        whole = lengths is None and reset is None and state is None
        if whole and training is False and dropout_rate == 0.0 and self.chain.layers == self._added:
            y = self.chain.act(inputs)  # small networks spend their time on the way to the kernels: one call
            if y is not None:
                return y
        checks.fraction("predict", "dropout_rate", dropout_rate, one=False)
        if checks.flag("predict", "training", training):
            return self.Forward(inputs, training, dropout_rate, lengths=lengths, reset=reset, state=state)
        inputs, lengths = without_padding("predict", "inputs", inputs, lengths)
        x = self._inputs("predict", inputs)
        steps = self._steps("predict", x, lengths, reset, state)
        y = self.chain.infer(x, INFERENCE_ALONE._replace(**steps._asdict()))
        return y.copy() if np.may_share_memory(x, y) else y

    def Backward(
        self,
        targets: Any = None,
        output_delta: Any = None,
        *,
        output_gradient: Any = None,
        accumulate: bool = False,
        loss_function: str | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        **loss_kwargs: Any,
    ) -> None:
        """Propagate gradients back through the last ``Forward(training=True)``; fills ``deltas``.

        Exactly one of ``targets``, ``output_delta`` and ``output_gradient`` is given.

        Parameters
        ----------
        targets : array_like
            Without ``loss_function``: the documented rule, delta = (output - targets) / batch after a softmax and
            (output - targets) f'(z) / batch otherwise. With it: the exact gradient of that loss (mean reduction).
        output_delta : array_like
            Gradient at the pre-activation of the last layer.
        output_gradient : array_like
            Gradient at the output.
        accumulate : bool, default False
            Add to the parameter gradients of the ``Backward`` before instead of replacing them.
        loss_function : str, optional
            A key of ``losses.LOSSES``; further arguments of the loss follow by name.
        sample_weight, class_weight : optional
            With ``loss_function``: weights of its mean, see ``losses.as_weights``.

        Raises
        ------
        StateError
            Without a forward pass, or without a training one where batch norm needs it.
        ConfigError
            For ``loss_function`` or its arguments where they would say nothing.
        """
        passed = self._last_pass()
        accumulate = checks.flag("Backward", "accumulate", accumulate)
        given = [
            name
            for name, value in (
                ("targets", targets),
                ("output_delta", output_delta),
                ("output_gradient", output_gradient),
            )
            if value is not None
        ]
        if len(given) != 1:
            raise StateError(
                "Backward", "one of targets, output_delta and output_gradient", " and ".join(given) or "none"
            )
        weights = {"sample_weight": sample_weight, "class_weight": class_weight}
        idle = sorted([*loss_kwargs, *(name for name, value in weights.items() if value is not None)])
        idle = idle if loss_function is None else [] if targets is not None else ["loss_function"]
        if idle:
            raise ConfigError("Backward", "no loss arguments without both targets and loss_function", ", ".join(idle))
        output = passed.output
        if targets is not None:
            gradient, at_pre_activation = self._target_gradient(output, targets, loss_function, loss_kwargs, **weights)
        else:
            name, value = given[0], output_delta if output_gradient is None else output_gradient
            gradient = as_data("Backward", name, value, self.dtype)
            if gradient.ndim == 1 and gradient.size == output.size:
                gradient = gradient.reshape(output.shape)
            if gradient.shape != output.shape:
                raise ShapeError(f"Backward({name})", f"shape {output.shape}", f"shape {gradient.shape}")
            at_pre_activation = output_delta is not None
        self._propagate(gradient, at_pre_activation, accumulate)

    def _target_gradient(
        self,
        output: np.ndarray,
        targets: Any,
        loss_function: str | None,
        loss_kwargs: dict[str, Any],
        sample_weight: Any,
        class_weight: Any,
    ) -> tuple[np.ndarray, bool]:
        where, head = "Backward", self.head
        lengths = self._lengths if output.ndim > 2 else None
        if lengths is not None:
            targets = as_numbers(where, "targets", targets)
            targets = zero_behind(targets, lengths) if targets.shape[:2] == output.shape[:2] else targets
        if loss_function is None:  # any numbers will do here
            loss = "cross_entropy" if head == "softmax" else "mse"
            y = losses.as_target(where, output.shape, targets, self.dtype, loss, "targets", ranged=False)
            gradient = (output - y) / self.dtype.type(len(output))
            return gradient if lengths is None else zero_behind(gradient, lengths), head == "softmax"
        loss = self._loss_name(where, loss_function, loss_kwargs)
        y = losses.as_target(where, output.shape, targets, self.dtype, loss, "targets")
        options = self._loss_options(where, loss, y, loss_kwargs, sample_weight, class_weight, lengths)
        return loss_gradient(head, output, y, loss, options)[1:]

    def update(self) -> None:
        """One optimizer step along the gradients of the last ``Backward``.

        Raises
        ------
        StateError
            Before the first ``Backward``.
        NonFiniteError
            If a gradient is NaN or infinite; see ``Optimizer.step``.
        """
        if not self._went_back:
            raise StateError("update", "gradients", "none", "call Backward(...) first")
        self.optimizer.step(self.arena, self._learning_rate, self._l2_lambda)

    def ComputeLoss(
        self,
        output: Any,
        target: Any,
        function: str = "mse",
        reduction: str = "mean",
        *,
        sample_weight: Any = None,
        class_weight: Any = None,
        **kwargs: Any,
    ) -> float | np.ndarray:
        """Return the loss of ``output`` against ``target``.

        Parameters
        ----------
        output, target : array_like
            Same shape; integer class labels are accepted where one-hot ones are.
        function : str, default "mse"
            A key of ``losses.LOSSES``.
        reduction : {"mean", "sum", "none"}
        sample_weight, class_weight : optional
            Weights, see ``losses.as_weights``.
        **kwargs
            Further arguments of the loss, see ``losses.evaluate``.

        Returns
        -------
        float, or an ndarray for ``reduction="none"``
        """
        where = "ComputeLoss"
        checks.choice(where, "reduction", reduction, losses.REDUCTIONS)
        out = as_data(where, "output", output, self.dtype)
        if target is not None:  # not for every loss
            target = losses.as_target(where, out.shape, target, self.dtype, function)
        loss, out, tgt, options = losses.prepared(where, function, out, target, kwargs, sample_weight, class_weight)
        return loss.value(out, tgt, reduction, **options)

    def clip_gradients(self, max_norm: float) -> float:
        """Scale all gradients so that their common Euclidean norm is at most ``max_norm``.

        Call it between ``Backward`` and ``update``. The norm is that of the parameter gradients, which is what the
        optimizer uses, not of the deltas. A ``max_norm`` of 0 or less does nothing.

        Returns
        -------
        norm : float
            Before clipping.
        """
        if type(max_norm) is not float or max_norm != math.inf:  # which is how to read the norm
            max_norm = checks.number("clip_gradients", "max_norm", max_norm)
        norm = self.arena.gradient_norm()
        if 0 < max_norm < norm:
            self.arena.scale_gradients(max_norm / norm)
        return norm

    # Training

    def TrainBatch(
        self,
        xs: Any,
        ys: Any,
        loss_function: str | None = None,
        *,
        sample_weight: Any = None,
        class_weight: Any = None,
        lengths: Any = None,
        reset: Any = None,
        state: Any = None,
        **loss_kwargs: Any,
    ) -> tuple[float, np.ndarray]:
        """One step on one batch: ``Forward``, loss, ``Backward``, ``update``.

        Parameters
        ----------
        xs, ys : array_like
            Inputs and targets; integer class labels are accepted where one-hot ones are.
        loss_function : str, optional
            Default: cross-entropy after a softmax, else mean squared error.
        sample_weight, class_weight : optional
            Weights of the loss's mean, see ``losses.as_weights``.
        lengths : array_like of int (batch,), optional
            Steps of each sequence of a batch (batch, time, ...); see ``Forward``.
        reset : array_like of bool (batch, time), optional
            True where an episode begins inside a sequence: recurrent layers let no state cross the border before it.
        state : dict, optional
            ``net.state`` as it was after an earlier pass, for recurrent layers to go on from; default: zeros.
        **loss_kwargs
            Further arguments of the loss, see ``losses.evaluate``.

        Returns
        -------
        loss : float
            Before the update.
        output : ndarray

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is NaN or infinite; no such gradient is applied.

        Notes
        -----
        Truncated backpropagation through time over pieces of long sequences, in their order::

            state = None
            for x, y in pieces:
                loss, output = net.TrainBatch(x, y, state=state)
                state = net.state
        """
        loss = self._loss_name("TrainBatch", loss_function, loss_kwargs)
        if lengths is None:
            x, y = self._pairs("TrainBatch", xs, ys, loss, ("xs", "ys"))
        else:
            x, y, lengths = self._sequences("TrainBatch", xs, ys, loss, ("xs", "ys"), lengths)
        if loss_kwargs or sample_weight is not None or class_weight is not None or lengths is not None:
            loss_kwargs = self._loss_options("TrainBatch", loss, y, loss_kwargs, sample_weight, class_weight, lengths)
        whole = lengths is None and reset is None and state is None
        steps = WHOLE if whole else self._steps("TrainBatch", x, lengths, reset, state)
        output = self._run(x, True, keep_z=False, steps=steps)
        value, gradient, at_pre_activation = loss_gradient(self.head, output, y, loss, loss_kwargs)
        self._propagate(gradient, at_pre_activation)
        self.update()
        return value, output

    def Train(
        self,
        X_train: Any,
        Y_train: Any,
        epochs: int = 10,
        batch_size: int = 32,
        X_val: Any = None,
        Y_val: Any = None,
        loss_function: str | None = None,
        verbose: bool | int = True,
        scheduler: Scheduler | None = None,
        *,
        initial_epoch: int = 0,
        sample_weight: Any = None,
        class_weight: Any = None,
        callbacks: Iterable[Callback] = (),
        accumulation_steps: int = 1,
        resume: bool = False,
        lengths: Any = None,
        lengths_val: Any = None,
        **loss_kwargs: Any,
    ) -> History:
        """Train for ``epochs`` passes over the data, shuffled each time from the network's ``rng``.

        Parameters
        ----------
        X_train : array_like (samples, ...)
        Y_train : array_like
            Same length: targets in the output's shape, or integer class labels where one-hot ones are expected.
        epochs, batch_size : int >= 1
            The last batch of an epoch may be smaller.
        X_val, Y_val : array_like, optional
            Validation data, evaluated after each epoch in inference mode.
        loss_function : str, optional
            Default: cross-entropy after a softmax, else mean squared error. What is reported is what is minimised.
        verbose : bool or int, default True
            A bar per epoch in terminals that have tqdm, otherwise a line per epoch; silent at 0.
        scheduler : LRScheduler, optional
            Its ``step(epoch)`` gives the learning rate of each epoch, or of each step.
        initial_epoch : int >= 0, default 0
            Number of the first epoch when a run is continued, so that schedules go on where they stopped.
        sample_weight : array_like (samples,), optional
            A number >= 0 per sample; the loss of a batch is then ``Σ w l / Σ w`` over the batch. See
            ``losses.as_weights``.
        class_weight : dict, array_like (classes,) or "balanced", optional
            A number >= 0 per class, which multiplies the sample weights; "balanced" goes by the counts in ``Y_train``.
            Validation is not weighted, nor are accuracies.
        callbacks : list of training.Callback, optional
            Early stopping, checkpoints, logs, averages of the weights, or your own.
        accumulation_steps : int >= 1, default 1
            Batches whose gradients make one step: that of one batch with all their samples.
        resume : bool, default False
            Go on where the run ended that the network (or the file it was loaded from) comes from, bit for bit:
            ``epochs`` more, with a scheduler and callbacks made as they were for that run.
        lengths, lengths_val : array_like of int (samples,), optional
            Steps of each sequence of ``X_train`` and of ``X_val``, (samples, time, ...). What comes behind is padding,
            which has no part in states, losses, gradients and accuracies; means are over the steps that there are.
        **loss_kwargs
            Further arguments of the loss, see ``losses.evaluate``. Arrays with a row per sample, such as ``negative``,
            are shuffled along; there can be no validation with them.

        Returns
        -------
        History
            A dict of lists ``loss, accuracy, val_loss, val_accuracy, lr`` that can ``plot()``. After Ctrl-C it holds
            the finished epochs and ``history.stopped == "interrupt"``; the network keeps all finished steps.
        """
        epochs = checks.integer("Train", "epochs", epochs, 1)
        batch_size = checks.integer("Train", "batch_size", batch_size, 1)
        initial_epoch = checks.integer("Train", "initial_epoch", initial_epoch, 0)
        accumulation_steps = checks.integer("Train", "accumulation_steps", accumulation_steps, 1)
        if not isinstance(verbose, bool):
            verbose = checks.integer("Train", "verbose", verbose, 0)
        if checks.flag("Train", "resume", resume) and initial_epoch:
            raise ConfigError("Train(initial_epoch)", "none with resume=True, which knows it", str(initial_epoch))
        loss = self._loss_name("Train", loss_function, loss_kwargs)
        x, y, lengths = self._sequences("Train", X_train, Y_train, loss, ("X_train", "Y_train"), lengths)
        if (X_val is None) != (Y_val is None) or (X_val is None and lengths_val is not None):
            raise DataError("Train", "X_val and Y_val together", "only one of them")
        validation = None
        if X_val is not None:
            validation = self._sequences("Train", X_val, Y_val, loss, ("X_val", "Y_val"), lengths_val)
        if scheduler is not None and not callable(getattr(scheduler, "step", None)):
            raise ConfigError(
                "Train(scheduler)", "an object with a step(epoch) method", repr(scheduler), "use LRScheduler"
            )
        options = self._loss_options("Train", loss, y, loss_kwargs, sample_weight, class_weight, lengths)
        if validation is not None and losses.per_sample(loss, loss_kwargs):
            raise DataError(
                "Train(X_val)",
                f"no validation data with {', '.join(losses.per_sample(loss, loss_kwargs))}, which has none",
                "some",
                "validate afterwards with ComputeLoss",
            )
        self._forget_pass()
        return fit(
            self,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            loss=loss,
            options=options,
            validation=validation,
            scheduler=scheduler,
            verbose=verbose,
            initial_epoch=initial_epoch,
            callbacks=callbacks,
            accumulation_steps=accumulation_steps,
            resume=resume,
            lengths=lengths,
        )

    def compute_accuracy(self, predictions: Any, targets: Any) -> float:
        """Return the fraction of right classes; see ``training.accuracy``."""
        return accuracy(predictions, targets)

    def compute_precision_recall_f1(self, predictions: Any, targets: Any) -> dict[str, float]:
        """Return precision, recall and F1 of class 1; see ``training.metrics.precision_recall_f1``."""
        return precision_recall_f1(predictions, targets)

    # The documented state of the optimizer

    @property
    def opt_state(self) -> list[dict[str, np.ndarray]]:
        """Optimizer state per layer, as views named ``<slot>_<parameter>``; setting it to ``[]`` forgets the state."""
        vectors = self.optimizer.state
        if not vectors:
            return []
        return [
            {
                f"{slot}_{name}": vector[p.start : p.start + p.size].reshape(p.value.shape)
                for slot, vector in vectors.items()
                for name, p in layer.parameters.items()
                if p.start + p.size <= len(vector)
            }
            for layer in self.layers
        ]

    @opt_state.setter
    def opt_state(self, state: list[dict[str, np.ndarray]]) -> None:
        if state:
            raise StateError("opt_state", "[] to forget the state", "values", "write into the views instead")
        self.optimizer.state = {}

    @property
    def t(self) -> int:
        """Number of updates, which Adam's bias correction depends on."""
        return self.optimizer.t

    @t.setter
    def t(self, t: int) -> None:
        self.optimizer.t = checks.integer("NeuralNet", "t", t, 0)

    # Utilities

    def freeze(self, layer_idx: int | None = None) -> None:
        """Leave all layers, or the one of that index, as they are in training (running statistics included)."""
        self._set_frozen("freeze", layer_idx, True)

    def unfreeze(self, layer_idx: int | None = None) -> None:
        """Undo ``freeze`` for all layers, or the one of that index."""
        self._set_frozen("unfreeze", layer_idx, False)

    def _set_frozen(self, where: str, layer_idx: int | None, frozen: bool) -> None:
        if layer_idx is not None:
            layer_idx = checks.integer(where, "layer_idx", layer_idx, -len(self.layers))
            if layer_idx >= len(self.layers):
                raise StateError(f"{where}(layer_idx)", f"an index below {len(self.layers)}", str(layer_idx))
        for layer in self.layers if layer_idx is None else [self.layers[layer_idx]]:
            layer.frozen = frozen

    def get_weights(self) -> list[dict[str, np.ndarray]]:
        """Return copies of all parameters and buffers (running statistics included), one dict per layer."""
        return [{name: array.copy() for name, array in layer.arrays().items()} for layer in self.layers]

    def set_weights(self, weights: list[dict[str, Any]]) -> None:
        """Copy in what ``get_weights`` returned; entries may be missing, shapes must fit. All or nothing.

        The mask of a sparse layer is restored too; the optimizer forgets the connections that are no more.
        """
        if not isinstance(weights, (list, tuple)) or len(weights) != len(self.layers):
            got = f"{len(weights)}" if isinstance(weights, (list, tuple)) else type(weights).__name__
            raise ShapeError("set_weights(weights)", f"a list of {len(self.layers)} dicts, one per layer", got)
        checked = []
        for i, (layer, entries) in enumerate(zip(self.layers, weights, strict=True)):
            mine = layer.arrays()
            if not isinstance(entries, Mapping):
                raise ConfigError(f"set_weights(layer {i})", "a dict of arrays by name", type(entries).__name__)
            for name, value in entries.items():
                where = f"set_weights(layer {i}, {name!r})"
                if name not in mine:
                    raise ConfigError(where, f"one of {', '.join(mine) or 'no entries'}", repr(name))
                checked.append((i, name, layer.fitting(where, name, value)))
        state = self.opt_state
        for i, name, array in sorted(checked, key=lambda entry: not entry[1].endswith("mask")):  # weights after masks
            self.layers[i].restore(name, array)
            if name.endswith("mask") and state:
                for entry, slot in state[i].items():
                    if entry.endswith(f"_{name[:-4]}weights"):
                        slot[array == 0] = 0

    def reset_optimizer_state(self) -> None:
        """Forget the optimizer's state and set ``t`` to 0."""
        self.optimizer.reset()

    def check_nan_inf(self) -> list[str]:
        """Name all arrays that hold NaN or infinity: ``"Layer 2 weights has NaN/Inf"``, ``"Delta 2 has NaN/Inf"``."""
        issues = [
            f"Layer {i} {name} has NaN/Inf"
            for i, layer in enumerate(self.layers)
            for name, array in layer.arrays().items()
            if not np.isfinite(array).all()
        ]
        return issues + [
            f"Delta {i} has NaN/Inf"
            for i, delta in enumerate(self.deltas)
            if delta is not None and not np.isfinite(delta).all()
        ]

    def summary(self) -> None:
        """Print the layers with their sizes and the number of parameters."""
        rule = "=" * 70
        print("Model Summary", rule, sep="\n")
        print(
            f"Optimizer: {self.optimizer_type.upper()} | LR: {self.learning_rate} | L2: {self.l2_lambda}",
            rule,
            sep="\n",
        )
        for i, layer in enumerate(self.layers):
            print(f"Layer {i}: {layer.type.upper():12s} {layer.describe()}")
        print(f"Total Parameters: {sum(layer.n_parameters for layer in self.layers)}", rule, sep="\n")

    def __repr__(self) -> str:
        return f"NeuralNet({', '.join(layer.name for layer in self.layers)}; {self.optimizer_type}, {self.dtype})"
