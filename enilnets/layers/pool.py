"""2-D pooling: over windows that do not overlap, over a number of bins, over whole images."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import checks
from ..ops.conv import pair
from ..ops.pool import (
    adaptive_avgpool2d,
    adaptive_avgpool2d_backward,
    adaptive_maxpool2d,
    avgpool2d,
    avgpool2d_backward,
    maxpool2d,
    maxpool2d_backward,
)
from .base import INFERENCE, Layer, Mode, Shape

__all__ = ["AdaptiveAvgPool2D", "AdaptiveMaxPool2D", "AvgPool2D", "GlobalAvgPool2D", "GlobalMaxPool2D", "MaxPool2D"]


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
    undoes_relu = True

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        return maxpool2d(x, self.p, backward=mode.backward)

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True, relu: bool = False
    ) -> np.ndarray | None:
        """See Layer."""
        return maxpool2d_backward(dz, saved, relu=relu) if inputs else None


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


class BinnedPool2D(Layer):
    """Base of pooling to a given size: input (batch, C, H, W), output (batch, C, bins down, bins across)."""

    takes_images = True
    bins: tuple[int, int] = (1, 1)

    @property
    def name(self) -> str:
        """See Layer."""
        down, across = self.bins
        return f"{type(self).__name__}({down}x{across})"

    def output_shape(self, shape: Shape) -> Shape:
        """See Layer."""
        if len(shape) != 3 or min(shape[1:]) < 1:
            raise self.shape_error("(batch, channels, height >= 1, width >= 1)", shape)
        return (shape[0], *self.bins)


class BinnedMaxPool2D(BinnedPool2D):
    """Largest value of each bin."""

    undoes_relu = True

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        return adaptive_maxpool2d(x, self.bins, backward=mode.backward)

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True, relu: bool = False
    ) -> np.ndarray | None:
        """See Layer."""
        return maxpool2d_backward(dz, saved, relu=relu) if inputs else None


class BinnedAvgPool2D(BinnedPool2D):
    """Mean of each bin."""

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        return adaptive_avgpool2d(x, self.bins)

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        return adaptive_avgpool2d_backward(dz, saved) if inputs else None


class AdaptiveMaxPool2D(BinnedMaxPool2D):
    """Largest value of each of a fixed number of bins, whatever the size of the image.

    Parameters
    ----------
    output_size : int >= 1 or (int, int)
        Bins down and across. Bin i of n over h rows holds those from ``floor(i h / n)`` to ``ceil((i + 1) h / n)``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import AdaptiveMaxPool2D
    >>> AdaptiveMaxPool2D((1, 2)).forward(np.arange(15.0).reshape(1, 1, 3, 5))[0].tolist()
    [[[[12.0, 14.0]]]]
    """

    type = "adaptive_maxpool2d"
    settings = ("output_size",)

    def __init__(self, output_size: int | tuple[int, int], *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.output_size = self.bins = pair("AdaptiveMaxPool2D", "output_size", output_size, 1)

    def describe(self) -> str:
        """See Layer."""
        return "Bins: {}x{}".format(*self.bins)


class AdaptiveAvgPool2D(BinnedAvgPool2D):
    """Mean of each of a fixed number of bins, whatever the size of the image.

    Parameters
    ----------
    output_size : int >= 1 or (int, int)
        Bins down and across. Bin i of n over h rows holds those from ``floor(i h / n)`` to ``ceil((i + 1) h / n)``.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import AdaptiveAvgPool2D
    >>> AdaptiveAvgPool2D((1, 2)).forward(np.arange(5.0).reshape(1, 1, 1, 5))[0].tolist()
    [[[[1.0, 3.0]]]]
    """

    type = "adaptive_avgpool2d"
    settings = ("output_size",)

    def __init__(self, output_size: int | tuple[int, int], *, dtype: Any = "float64", rng: Any = None) -> None:
        super().__init__(dtype=dtype)
        self.output_size = self.bins = pair("AdaptiveAvgPool2D", "output_size", output_size, 1)

    def describe(self) -> str:
        """See Layer."""
        return "Bins: {}x{}".format(*self.bins)


class GlobalMaxPool2D(BinnedMaxPool2D):
    """Largest value of each channel: (batch, C, H, W) becomes (batch, C, 1, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import GlobalMaxPool2D
    >>> GlobalMaxPool2D().forward(np.arange(6.0).reshape(1, 1, 2, 3))[0].tolist()
    [[[[5.0]]]]
    """

    type = "globalmaxpool2d"


class GlobalAvgPool2D(BinnedAvgPool2D):
    """Mean of each channel: (batch, C, H, W) becomes (batch, C, 1, 1); the gradient is spread evenly.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import GlobalAvgPool2D
    >>> GlobalAvgPool2D().forward(np.arange(6.0).reshape(1, 1, 2, 3))[0].tolist()
    [[[[2.5]]]]
    """

    type = "globalavgpool2d"
