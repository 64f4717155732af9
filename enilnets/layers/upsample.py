"""Nearest-neighbour upsampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..ops.upsample import upsample2d, upsample2d_backward
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["Upsample2D"]


class Upsample2D(Layer):
    """Repeat rows and columns: (batch, C, H, W) becomes (batch, C, H * scale_factor, W * scale_factor).

    Parameters
    ----------
    scale_factor : int >= 1, default 2
        How often. The gradient of a pixel is the sum over its block.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Upsample2D
    >>> Upsample2D(2).forward(np.array([[[[1.0, 2.0]]]]))[0].tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """

    type = "upsample2d"
    settings = ("scale_factor",)
    takes_images = True

    def __init__(self, scale_factor: int = 2, *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.scale_factor = checks.size("Upsample2D", "scale_factor", scale_factor)

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Upsample2D({self.scale_factor})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3:
            raise self.shape_error("(batch, channels, height, width)", shape)
        return (shape[0], shape[1] * self.scale_factor, shape[2] * self.scale_factor)

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, None]:
        """See Layer."""
        return upsample2d(x, self.scale_factor), None

    def backward_delta(
        self, dz: np.ndarray, saved: None, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return upsample2d_backward(dz, self.scale_factor) if inputs else None

    def describe(self) -> str:
        """See Layer."""
        return f"Scale: {self.scale_factor}"
