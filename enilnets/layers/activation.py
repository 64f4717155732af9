"""Activation as a layer of its own, for where something stands between a linear map and its activation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ..ops.activation import activation
from .base import INFERENCE, Activated, ActivatedLayer, Mode, Node

__all__ = ["Activation"]


class Activation(ActivatedLayer):
    """Apply an activation function, such as the ReLU after a batch normalisation.

    Parameters
    ----------
    activation : str, default "relu"
        A key of ``ops.activation.ACTIVATIONS``.
    activation_params : dict, optional
        Parameters of the activation, such as ``{"alpha": 0.2}`` of leakyrelu; see ``ops.activation``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Activation
    >>> Activation("relu").forward(np.array([[-1.0, 2.0]]))[0].tolist()
    [[0.0, 2.0]]
    """

    type = "activation"
    settings = ("activation", "activation_params")
    older_files: ClassVar[dict[str, Any]] = {"activation_params": {}}
    decodes = True

    def __init__(
        self,
        activation: str = "relu",
        activation_params: Mapping[str, float] | None = None,
        *,
        dtype: Any = "float64",
        rng: Any = None,
    ) -> None:
        super().__init__(dtype=dtype)
        self.activation = activation
        self.activation_params = activation_params

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Activated]:
        """See Layer; the input belongs to the layer before, so it is never overwritten."""
        y, saved = activation(self.function, x)
        return y, Activated(None, x, self.function, saved)

    def node(self, mode: Mode) -> Node | None:
        """See Layer."""
        return Node("activation", activation=self.activation) if self.function == self.activation else None

    def unpack(self, kept: dict[str, Any]) -> Activated:
        """See Layer."""
        return super().unpack({**kept, "z": kept["x"]})._replace(linear=None)

    def linear_backward(self, dz: np.ndarray, saved: None, *, params: bool, inputs: bool) -> np.ndarray | None:
        """See ActivatedLayer."""
        return dz if inputs else None

    def describe(self) -> str:
        """See Layer."""
        return self.activation
