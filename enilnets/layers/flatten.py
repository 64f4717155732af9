"""Flatten: (batch, ...) to (batch, features)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["Flatten"]


class Flatten(Layer):
    """Reshape every sample to one axis.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Flatten
    >>> Flatten().forward(np.ones((2, 3, 4, 4)))[0].shape
    (2, 48)
    """

    type = "flatten"

    def __init__(self, *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        return (math.prod(shape),)

    def output_width(self, width: int | None) -> int | None:
        """See Layer."""
        return None

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Shape]:
        """See Layer."""
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape

    def backward_delta(
        self, dz: np.ndarray, saved: Shape, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return dz.reshape(saved) if inputs else None
