"""2-D pooling over windows that do not overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..ops.pool import avgpool2d, avgpool2d_backward, maxpool2d, maxpool2d_backward
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["AvgPool2D", "MaxPool2D"]


class Pool2D(Layer):
    """Base of the pooling layers: input (batch, C, H, W), output (batch, C, H // p, W // p)."""

    settings = ("p",)
    takes_images = True

    def __init__(self, p: int = 2, *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.p = checks.size(type(self).__name__, "p, the pool_size", p)

    @property
    def name(self) -> str:
        """See Layer."""
        return f"{type(self).__name__}({self.p}x{self.p})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3 or min(shape[1:]) < self.p:
            way_out = "use a smaller pool_size" if len(shape) == 3 else "reshape X to (batch, channels, height, width)"
            raise self.shape_error(f"(batch, channels, height >= {self.p}, width >= {self.p})", shape, way_out)
        return (shape[0], shape[1] // self.p, shape[2] // self.p)


class MaxPool2D(Pool2D):
    """Largest value of each window; the gradient goes to the first place that holds it.

    Parameters
    ----------
    p : int >= 1, default 2
        Side and stride of the window; rows and columns that do not fill one are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import MaxPool2D
    >>> MaxPool2D(2).forward(np.arange(16.0).reshape(1, 1, 4, 4))[0].tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """

    type = "maxpool2d"

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        return maxpool2d(x, self.p, backward=mode.backward)

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return maxpool2d_backward(dz, saved) if inputs else None


class AvgPool2D(Pool2D):
    """Mean of each window; the gradient is spread evenly over it.

    Parameters
    ----------
    p : int >= 1, default 2
        Side and stride of the window; rows and columns that do not fill one are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import AvgPool2D
    >>> AvgPool2D(2).forward(np.arange(16.0).reshape(1, 1, 4, 4))[0].tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """

    type = "avgpool2d"

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        return avgpool2d(x, self.p)

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return avgpool2d_backward(dz, saved) if inputs else None
