"""Concat: branches side by side, their outputs joined along one axis."""

from __future__ import annotations

import operator
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError
from ..ops.array import empty
from .base import INFERENCE, Layer, Mode, Shape
from .container import Container
from .residual import added
from .sequential import Sequential

__all__ = ["Concat"]


class Concat(Container):
    """Join what several branches make of the same input.

    Parameters
    ----------
    *branches : Layer, list of Layer or None
        Each sees the input; a list is a ``Sequential``, None passes the input on as it is.
    axis : int, default 1
        The axis of the batch along which outputs are joined: 1 for channels, or for features of (batch, features);
        -1 for the last. All other sizes must agree.
    dtype : {"float64", "float32"}, optional
        Default: that of the layers.

    Notes
    -----
    The gradient of the output is cut in the same places, and the branches' gradients of the input add up (Szegedy et
    al. 2015, Going Deeper with Convolutions).

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.layers import Concat, Conv2D
    >>> layer = Concat(Conv2D(3, 4, 1, rng=0), [Conv2D(3, 2, 3, padding="same", rng=1)], None)
    >>> layer.forward(np.ones((2, 3, 5, 5)))[0].shape
    (2, 9, 5, 5)
    """

    type = "concat"
    settings = ("branches", "axis")
    nested = ("branches",)

    def __init__(
        self,
        *branches: Layer | list[Layer] | tuple[Layer, ...] | None,
        axis: int = 1,
        dtype: Any = None,
        rng: Any = None,
    ) -> None:
        if not branches:
            raise ConfigError("Concat(branches)", "at least one branch", "none")
        try:
            self.axis = operator.index(axis)
        except TypeError:
            self.axis = 0
        if self.axis == 0 or isinstance(axis, bool):
            raise ConfigError("Concat(axis)", "an axis of the batch other than 0, which counts samples", repr(axis))
        made: list[Any] = [
            (Sequential(branch) if branch else None) if isinstance(branch, (list, tuple)) else branch
            for branch in branches
        ]
        if dtype is None:
            dtype = next((branch.dtype for branch in made if isinstance(branch, Layer)), None)
        self.branches = tuple(Sequential(dtype=dtype) if branch is None else branch for branch in made)
        super().__init__({str(i): branch for i, branch in enumerate(self.branches)}, dtype)

    @classmethod
    def blank(cls, settings: dict[str, Any], dtype: Any) -> Concat:
        """See Layer."""
        return cls(*settings["branches"], axis=settings["axis"], dtype=dtype)

    @property
    def name(self) -> str:
        """See Layer."""
        return f"Concat({len(self.branches)} branches)"

    @property
    def decodes(self) -> bool:  # type: ignore[override]
        """See Layer; branches are joined by their features."""
        return self.axis == -1 and super().decodes

    def through(self, shape: Shape) -> Shape:
        """See Container."""
        return self._joined([branch.output_shape(shape) for branch in self.branches])

    def _joined(self, shapes: list[Shape]) -> Shape:
        """Return the shape of a sample that is joined of samples of ``shapes``."""
        axis, rank = self.axis - (self.axis > 0), len(shapes[0])
        if not -rank <= axis < rank:
            expected = f"outputs with an axis {self.axis}"
            raise ShapeError(self.name, expected, f"samples of shape {shapes[0]}", "choose another axis=")
        others = {(*shape[:axis], *shape[axis % rank + 1 :]) for shape in shapes}
        if len(others) > 1 or len({len(shape) for shape in shapes}) > 1:
            expected = f"outputs that agree but for axis {self.axis}"
            raise ShapeError(self.name, expected, f"samples of shapes {', '.join(map(str, shapes))}")
        total = sum(shape[axis] for shape in shapes)
        return tuple(total if i == axis % rank else size for i, size in enumerate(shapes[0]))

    def output_width(self, width: int | None) -> int | None:
        """See Layer."""
        widths = [branch.output_width(width) for branch in self.branches]
        return sum(w or 0 for w in widths) if self.axis == 1 and None not in widths else None

    def saved_of(self, name: str, saved: Any) -> Any:
        """See Container."""
        return saved[0][int(name)]

    def forward(self, x: np.ndarray, mode: Mode = INFERENCE) -> tuple[np.ndarray, Any]:
        """See Layer."""
        outputs, saved = zip(*(branch.forward(x, mode) for branch in self.branches), strict=True)
        shape = (len(x), *self._joined([y.shape[1:] for y in outputs]))
        y = np.concatenate(outputs, self.axis, out=empty(shape, outputs[0].dtype))
        return y, (saved, [0, *accumulate(output.shape[self.axis] for output in outputs)])

    def backward_delta(
        self, dz: np.ndarray, saved: Any, *, params: bool = True, inputs: bool = True
    ) -> np.ndarray | None:
        """See Layer."""
        dx: np.ndarray | None = None
        parts = np.moveaxis(dz, self.axis, 0)
        for branch, kept, (first, stop) in zip(self.branches, saved[0], pairwise(saved[1]), strict=True):
            part = np.ascontiguousarray(np.moveaxis(parts[first:stop], 0, self.axis))
            gradient = branch.backward(part, kept, params=params, inputs=inputs)
            if gradient is not None:
                dx = gradient if dx is None else added(dx, gradient)
        return dx
