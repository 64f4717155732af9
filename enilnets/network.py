"""Network: a chain of layers with an optimizer, behind the model protocol.

This is what training, saving and copying work on. ``NeuralNet`` in net.py adds the documented verbs.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from os import PathLike
from typing import Any, TypeVar

import numpy as np

from . import checks
from .errors import ConfigError, DTypeError, StateError
from .layers import Layer, Mode, Sequential
from .layers.base import Shape
from .layers.sequential import Passed
from .optim import Optimizer
from .parameters import Arena
from .storage.model_file import read_parts, write_parts
from .storage.state import TrainingState, from_parts, plain_rng, to_parts
from .training.trainable import Trainable

__all__ = ["Network"]

Net = TypeVar("Net", bound="Network")


class Network(Trainable):
    """A chain of layers, their arena and an optimizer.

    Parameters
    ----------
    learning_rate, optimizer, l2_lambda, momentum, dtype, rng
        See NeuralNet.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Dense
    >>> from enilnets.network import Network
    >>> net = Network(0.1, "sgd", momentum=0.0, rng=0).add(Dense(2, 1, "linear", rng=0))
    >>> y, ctx = net.forward(np.ones((3, 2)), train=True)
    >>> dx = net.backward(ctx, np.ones_like(y), inputs=True)
    >>> net.step()
    >>> dx.shape, net.optimizer.t
    ((3, 2), 1)
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        optimizer: str | Optimizer = "adam",
        l2_lambda: float = 0.01,
        momentum: float = 0.9,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(learning_rate, optimizer, l2_lambda, momentum, dtype=dtype, rng=rng)
        self.chain = Sequential(dtype=self.dtype)
        self.arena = Arena(self.dtype)
        self._input_shape: Shape | None = None
        self._sample_shape: Shape | None = None
        self._forget()

    def _forget(self) -> None:
        """Forget what was derived from the layers as they were."""
        self._added = list(self.layers)
        self._last_shapes: tuple[Any, tuple[int, ...]] = None, ()

    # Building

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return self.chain.layers

    @property
    def input_shape(self) -> Shape | None:
        """Shape of one input sample, if the first layer was added with one."""
        return self._input_shape

    def _shape_before(self, input_shape: Sequence[int] | None) -> Shape | None:
        """Return the shape of the samples that the next layer gets, if it is known; check ``input_shape``."""
        if input_shape is None:
            return self._sample_shape
        if self.layers or self._sample_shape is not None:
            way_out = "leave it out: later layers follow from the first"
            raise ConfigError("input_shape", "to be given to the first layer only", repr(input_shape), way_out)
        if not isinstance(input_shape, (tuple, list)) or not input_shape:
            raise ConfigError(
                "input_shape", "the shape of one sample, such as (784,) or (1, 28, 28)", repr(input_shape)
            )
        return tuple(checks.size("add", "input_shape", size) for size in input_shape)

    def add(self: Net, layer: Layer, input_shape: Sequence[int] | None = None) -> Net:
        """Append ``layer``; its parameters join the network's arena.

        Parameters
        ----------
        layer : Layer
            Of the network's dtype, and in no other network.
        input_shape : tuple of int, optional
            For the first layer: the shape of one sample, such as (784,) or (1, 28, 28). The shapes between all layers
            are then known while the network is built, so that every ``add_`` verb can do without its input size, and
            layers that do not fit are refused at once.

        Returns
        -------
        self
        """
        if not isinstance(layer, Layer):
            got = type(layer).__name__
            raise ConfigError("NeuralNet.add(layer)", "a layer, such as layers.Dense(4, 3)", got)
        if layer.dtype != self.dtype:
            raise DTypeError(
                "NeuralNet.add(layer)", f"a {self.dtype} layer", f"{layer.dtype}", "make it with the same dtype="
            )
        new = list(layer.parameters.values())
        if any(parameter.arena is not None for parameter in new) or len({id(parameter) for parameter in new}) < len(
            new
        ):
            got = "one that belongs to a network, or holds a layer twice"
            raise StateError("NeuralNet.add(layer)", "a layer of its own", got, "make a new layer")
        shape = self._shape_before(input_shape)
        after = None if shape is None else layer.output_shape(shape)
        for parameter in new:
            self.arena.add(parameter)
        self.chain.append(layer)
        self._sample_shape = after
        if input_shape is not None:
            self._input_shape = shape
        self._forget()
        return self

    def _check_layers(self) -> None:
        """Raise StateError if the list of layers was changed by hand: the arena would not know."""
        if self.chain.layers != self._added:
            raise StateError("NeuralNet.layers", "the layers that were added", "others", "use add(layer) to add one")

    def _output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output for samples of ``shape``; ShapeError unless the layers can take them."""
        self._check_layers()
        if not self._added:
            raise StateError(
                "NeuralNet", "at least one layer", "none", "call add_dense(...) or another add_ method first"
            )
        # One entry, replaced as a whole: threads that predict with other shapes cannot mix theirs into it.
        known, output_shape = self._last_shapes
        if shape != known:
            output_shape = self.chain.through(shape)
            self._last_shapes = shape, output_shape
        return output_shape

    def _cast(self, x: np.ndarray) -> np.ndarray:
        return x if self.chain.takes_ids else np.asarray(x, self.dtype)

    # The model protocol

    @property
    def head(self) -> str:
        """Name of the last layer's activation, or "linear"."""
        last = self.chain.layers[-1] if self.chain.layers else None
        return last.head if last is not None else "linear"

    def forward(
        self, x: np.ndarray, train: bool = False, lengths: np.ndarray | None = None
    ) -> tuple[np.ndarray, Passed]:
        """Return the output and a context for ``backward``; several contexts may be alive at once.

        Parameters
        ----------
        x : ndarray (batch, ...)
            Shapes are checked, values are not; another dtype is cast to the network's, but for ids before an embedding.
            Kept, not copied: do not write to it before ``backward``.
        train : bool
        lengths : ndarray (batch,) of int64, optional
            Steps of each sequence of a batch (batch, time, ...).
        """
        self._output_shape(x.shape[1:])
        return self.chain.forward(self._cast(x), Mode(train and self.training, self.rng, lengths=lengths))

    def backward(
        self, ctx: Passed, dy: np.ndarray, params: bool = True, inputs: bool = False, at_pre_activation: bool = False
    ) -> np.ndarray | None:
        """Add the parameter gradients of the pass ``ctx`` to the arena's, and return the input's if ``inputs``.

        Parameters
        ----------
        ctx : Passed
            From ``forward``.
        dy : ndarray
            Gradient of the output, or of the last pre-activation with ``at_pre_activation``; the output's shape.
        params, inputs : bool
            Which gradients are wanted.

        Raises
        ------
        ShapeError
            If ``dy`` has another shape, or ``ctx`` is from a network of other depth.
        """
        dy = np.asarray(dy, self.dtype)
        return self.chain.propagate(dy, ctx, params=params, inputs=inputs, at_pre_activation=at_pre_activation)

    def infer(self, x: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Return the output in inference mode; keeps nothing, so threads may call it at the same time."""
        return self.chain.infer(self._cast(x), Mode(backward=False, lengths=lengths))

    def clone(self: Net) -> Net:
        """Return an independent copy; see ``copy``."""
        return self.copy()

    # Copies and files: one mechanism, storage.state

    def _state(self) -> TrainingState:
        self._check_layers()
        return TrainingState(
            layers=self.layers,
            arena=self.arena,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            l2_lambda=self.l2_lambda,
            momentum=self._momentum,
            dtype=self.dtype,
            training=self.training,
            rng=self.rng,
            run=self.run_state,
            input_shape=self._input_shape,
        )

    def _adopt(self: Net, state: TrainingState) -> Net:
        self.learning_rate, self.l2_lambda, self._momentum = state.learning_rate, state.l2_lambda, state.momentum
        self._optimizer, self._dtype, self._rng, self.training = state.optimizer, state.dtype, state.rng, state.training
        self.arena, self.run_state = state.arena, state.run
        self.chain = Sequential(state.layers, dtype=state.dtype)
        self._input_shape = state.input_shape
        self._sample_shape = None if state.input_shape is None else self.chain.through(state.input_shape)
        self._forget()
        return self

    @classmethod
    def _from_parts(cls: type[Net], config: dict[str, Any], arrays: dict[str, np.ndarray]) -> Net:
        return cls.__new__(cls)._adopt(from_parts(config, arrays, cls.__name__))

    def _further_attributes(self) -> dict[str, Any]:
        """Attributes that a user or a subclass added; they are copied and pickled along, but not saved."""
        own = vars(Network()).keys()
        return {name: value for name, value in vars(self).items() if name not in own}

    def copy(self: Net) -> Net:
        """Return an independent copy: layers, gradients, optimizer, counters, random state, further attributes."""
        twin = type(self)._from_parts(*to_parts(self._state()))
        for mine, theirs in zip(self.arena.parameters, twin.arena.parameters, strict=True):
            theirs.adopt_gradient(mine)
        vars(twin).update(copy.deepcopy(self._further_attributes()))
        return twin

    def __deepcopy__(self: Net, memo: dict[int, Any]) -> Net:
        return self.copy()

    def __copy__(self: Net) -> Net:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._from_parts, to_parts(self._state()), self._further_attributes()

    def Save(self, file: str | PathLike[str], arrays: str = "lists") -> None:
        """Save the full training state: weights, statistics, optimizer, counters, settings, random state.

        Parameters
        ----------
        file : path
            The extension decides the format, in any case: ``.safetensors``, the smallest and fastest, with a digest
            that finds damage; ``.pkl``, written from plain containers and arrays; anything else is JSON. Each holds
            everything. Enilnets 2.1 and later read JSON and ``.pkl`` as far as they have the layers. The file is
            replaced as a whole or not at all, also if the process dies.
        arrays : {"lists", "base64"}
            How JSON shows arrays: as nested lists of numbers, or in base64, which is smaller and faster.

        Raises
        ------
        ConfigError
            For an unknown form of arrays, or one for a format that has but one.
        OSError
            If the file cannot be written; the old one stays.
        """
        write_parts(file, *to_parts(self._state()), arrays)

    def Load(self: Net, file: str | PathLike[str]) -> Net:
        """Replace this network by the one in ``file``; training goes on bit for bit where it was saved.

        Schedules and callbacks are no part of a network, but what they knew is: make them again and resume with
        ``Train(..., scheduler=, callbacks=, resume=True)``. No file can run code, not even a ``.pkl``. Files of
        Enilnets 2.1 to 4.11 load too, with the optimizer's state where they hold it; the random state, and what else
        such a file does not say, stays that of this network.

        Returns
        -------
        self

        Raises
        ------
        FileNotFoundError
        ModelFormatError
            For a damaged or foreign file, or a layer that is not known here; this network is then unchanged.

        Warns
        -----
        UserWarning
            If an array holds NaN or infinity, or a file of Enilnets can only be taken with a difference.
        """
        own = {"training": self.training, "rng": plain_rng(self.rng)}
        return self._adopt(from_parts(*read_parts(file, own), str(file)))
