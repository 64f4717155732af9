"""What the models have in common: layers over the sequence, a read-out, and the documented three methods."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeVar

import numpy as np

from ... import checks, losses
from ...errors import ConfigError, DTypeError, ModelFormatError, NonFiniteError, ShapeError
from ...layers import Layer, Mode, Sequential
from ...network import Network
from ...ops.array import as_data
from ...parameters import Arena, Parameter
from .losses import task_named

__all__ = ["SequenceModel"]

Model = TypeVar("Model", bound="SequenceModel")


class SequenceModel:
    """A model over sequences: ``forward``, ``get_params`` and ``set_params``, with gradients by backpropagation.

    A subclass hands its layers over, and gives ``parts``.

    Parameters
    ----------
    body : list of Layer
        From (batch, time, input_size) to (batch, time, features).
    head : list of Layer
        From features to outputs; runs at the last step, or at every step.
    input_size : int >= 1
    rng : Generator
        What the layers were drawn from.

    Attributes
    ----------
    network : Network
        Body and head as two layers. It is a model of its own, with an arena and an optimizer, for whatever takes the
        model protocol; its outputs are those of every step.
    """

    def __init__(self, body: list[Layer], head: list[Layer], input_size: int, rng: np.random.Generator) -> None:
        dtype = body[0].dtype
        self.input_size = input_size
        self.network = Network(l2_lambda=0.0, dtype=dtype, rng=rng)
        self.network.add(Sequential(body, dtype=dtype)).add(Sequential(head, dtype=dtype))

    @property
    def parts(self) -> dict[str, Layer]:
        """The layers that have parameters, by the names these get in ``get_params``."""
        raise NotImplementedError(f"{type(self).__name__} must define parts")

    @property
    def arena(self) -> Arena:
        """All parameters and gradients as flat vectors."""
        return self.network.arena

    @property
    def dtype(self) -> np.dtype:
        """Of all parameters and arithmetic."""
        return self.network.dtype

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(parameter.size for parameter in self.arena.parameters)

    # Passes

    def forward(self, X: Any, return_sequences: bool = False) -> np.ndarray:
        """Return the outputs at the last step, or at every step.

        Parameters
        ----------
        X : array_like (batch, time, input_size)
        return_sequences : bool, default False

        Returns
        -------
        ndarray (batch, output_size), or (batch, time, output_size)

        Raises
        ------
        ShapeError
            For another shape, or sequences without steps.
        DTypeError, DataError
            If ``X`` holds no real numbers, or NaN or infinity.
        """
        every = checks.flag("forward", "return_sequences", return_sequences)
        return self._pass(self._sequences("forward", X), every, Mode(backward=False))[0]

    def gradients(
        self, X: Any, y: Any, task: str = "classification", return_sequences: bool = False
    ) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
        """Return the loss of a batch, the outputs and the gradients, by backpropagation through time.

        Parameters
        ----------
        X : array_like (batch, time, input_size)
        y : array_like
            Class labels or one-hot rows for "classification", which takes the outputs for logits; numbers of the
            outputs' shape for "regression".
        task : {"classification", "regression"}
        return_sequences : bool, default False
            Whether there is a target for every step.

        Returns
        -------
        loss : float
        outputs : ndarray
        gradients : dict of str to ndarray
            By the names and shapes of ``get_params()``; copies.
        """
        self.arena.zero_grad()
        loss, outputs = self.accumulate(X, y, task, return_sequences=return_sequences)
        gradients = {name: array.copy() for name, array in self._arrays("grad").items()}
        self.arena.zero_grad()
        return loss, outputs, gradients

    def accumulate(
        self, X: Any, y: Any, task: str = "classification", share: float = 1.0, return_sequences: bool = False
    ) -> tuple[float, np.ndarray]:
        """Add the gradients of a batch, times ``share``, to the arena's; return loss and outputs as ``gradients``."""
        where = "gradients"
        name = task_named(where, task).loss
        x = self._sequences(where, X)
        output, saved = self._pass(x, checks.flag(where, "return_sequences", return_sequences), Mode(True))
        y = losses.as_target(f"{type(self).__name__}.{where}", output.shape, y, self.dtype, name, "y")
        loss, dy, _ = losses.value_and_gradient(name, output, y)
        if not np.isfinite(loss):
            raise NonFiniteError(f"{type(self).__name__}.gradients", "a finite loss", str(loss), "scale the inputs")
        self._back(dy if share == 1.0 else dy * dy.dtype.type(share), saved)
        return loss, output

    def _sequences(self, where: str, X: Any) -> np.ndarray:
        x = as_data(f"{type(self).__name__}.{where}", "X", X, self.dtype)
        if x.ndim != 3 or x.shape[2] != self.input_size or x.shape[1] == 0:
            expected = f"shape (batch, time >= 1, {self.input_size})"
            raise ShapeError(f"{type(self).__name__}.{where}(X)", expected, f"shape {x.shape}")
        return x

    def _pass(self, x: np.ndarray, every: bool, mode: Mode) -> tuple[np.ndarray, Any]:
        body, head = self.network.layers
        features, below = body.forward(x, mode)
        shape = features.shape
        output, above = head.forward(features if every else np.ascontiguousarray(features[:, -1]), mode)
        return output, (below, above, None if every else shape)

    def _back(self, dy: np.ndarray, saved: Any) -> None:
        body, head = self.network.layers
        below, above, shape = saved
        dfeatures: Any = head.backward(dy, above)
        if shape is not None:
            last, dfeatures = dfeatures, np.zeros(shape, dy.dtype)
            dfeatures[:, -1] = last
        body.backward(dfeatures, below, inputs=False)

    # Parameters

    def _arrays(self, kind: str) -> dict[str, np.ndarray]:
        """Views of all parameters ("value") or gradients ("grad") by their documented names."""
        if kind == "grad":
            _ = self.arena.gradients  # stale ones are zero from here on
        return {
            f"{part}.{name}": getattr(parameter, kind)
            for part, layer in self.parts.items()
            for name, parameter in layer.parameters.items()
        }

    def get_params(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters by name."""
        return {name: array.copy() for name, array in self._arrays("value").items()}

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Copy parameters in, all or none of them.

        Parameters
        ----------
        params : dict of str to array_like
            The names and shapes of ``get_params()``.

        Raises
        ------
        ConfigError
            If a name is missing or unknown.
        ShapeError, DTypeError, DataError
            If an array does not fit, or is not of finite real numbers. Nothing is assigned then.
        """
        where, arrays = f"{type(self).__name__}.set_params", self._arrays("value")
        if not isinstance(params, Mapping):
            raise DTypeError(f"{where}(params)", "a dict of arrays", type(params).__name__)
        wrong = sorted(map(str, arrays.keys() ^ params.keys()))
        if wrong:
            raise ConfigError(where, f"the names {', '.join(arrays)}", f"a difference in {', '.join(wrong)}")
        fitting = {name: as_data(where, name, value, self.dtype) for name, value in params.items()}
        for name, value in fitting.items():
            if value.shape != arrays[name].shape:
                raise ShapeError(f"{where}({name})", f"shape {arrays[name].shape}", f"shape {value.shape}")
        for name, value in fitting.items():
            arrays[name][...] = value

    # Copies and files

    def clone(self: Model) -> Model:
        """Return an independent copy."""
        return copy.deepcopy(self)

    def Save(self, file: str | PathLike[str]) -> None:
        """Save the model; see ``NeuralNet.Save``."""
        self.network.Save(file)

    def Load(self: Model, file: str | PathLike[str]) -> Model:
        """Take over the parameters of a model like this one; see ``NeuralNet.Load``.

        Raises
        ------
        ModelFormatError
            If the file holds another model; this one is then unchanged.
        """
        network = Network().Load(file)
        mine, theirs = self._shapes(self.network), self._shapes(network)
        if mine != theirs or network.dtype != self.dtype:
            got = f"{network.dtype} arrays {theirs}"
            raise ModelFormatError(
                str(file), f"{self.dtype} arrays {mine}", got, "make the model with the same settings"
            )
        self.network = network
        return self

    @staticmethod
    def _shapes(network: Network) -> dict[str, tuple[int, ...]]:
        """Shapes of all parameters by layer and name."""
        found: dict[str, Parameter] = {
            f"{i}.{name}": parameter
            for i, layer in enumerate(network.layers)
            for name, parameter in layer.parameters.items()
        }
        return {name: parameter.value.shape for name, parameter in found.items()}
