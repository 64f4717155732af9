"""The operators and methods that Tensors and Parameters share."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import activations, elementwise, indexing, linear_algebra, operands, reductions, shapes
from .operands import value_of

__all__ = ["Operators"]


class Operators:
    """Expressions: arithmetic, indexing, and the functions that read well as methods."""

    __slots__ = ()

    #: NumPy leaves expressions with its arrays to the methods here.
    __array_ufunc__ = None
    __array_priority__ = 1000

    def __add__(self, other: Any) -> Any:
        return elementwise.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return elementwise.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return elementwise.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return elementwise.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return elementwise.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return elementwise.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return elementwise.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return elementwise.divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return elementwise.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return elementwise.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return linear_algebra.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return linear_algebra.matmul(other, self)

    def __neg__(self) -> Any:
        return elementwise.negative(self)

    def __pos__(self) -> Any:
        return elementwise.multiply(self, 1)

    def __abs__(self) -> Any:
        return elementwise.absolute(self)

    def __getitem__(self, index: Any) -> Any:
        return indexing.getitem(self, index)

    # Comparisons: plain boolean arrays, which have no gradient

    def __lt__(self, other: Any) -> Any:
        return value_of(self) < value_of(other)

    def __le__(self, other: Any) -> Any:
        return value_of(self) <= value_of(other)

    def __gt__(self, other: Any) -> Any:
        return value_of(self) > value_of(other)

    def __ge__(self, other: Any) -> Any:
        return value_of(self) >= value_of(other)

    # Methods

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of every axis."""
        return value_of(self).shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return value_of(self).ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return value_of(self).size

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the elements."""
        return value_of(self).dtype

    @property
    def T(self) -> Any:
        """The axes from last to first."""
        return shapes.transpose(self)

    def __len__(self) -> int:
        return len(value_of(self))

    def numpy(self) -> np.ndarray:
        """Return the array itself; writing to it changes this object, and no gradient knows."""
        return value_of(self)

    def item(self) -> Any:
        """Return the only element as a number of Python."""
        return value_of(self).item()

    def tolist(self) -> Any:
        """Return the elements as nested lists."""
        return value_of(self).tolist()

    def astype(self, dtype: Any) -> Any:
        """See ``autodiff.astype``."""
        return operands.astype(self, dtype)

    def sum(self, axis: reductions.Axes = None, keepdims: bool = False) -> Any:
        """See ``autodiff.sum``."""
        return reductions.sum(self, axis, keepdims)

    def mean(self, axis: reductions.Axes = None, keepdims: bool = False) -> Any:
        """See ``autodiff.mean``."""
        return reductions.mean(self, axis, keepdims)

    def max(self, axis: reductions.Axes = None, keepdims: bool = False) -> Any:
        """See ``autodiff.max``."""
        return reductions.max(self, axis, keepdims)

    def min(self, axis: reductions.Axes = None, keepdims: bool = False) -> Any:
        """See ``autodiff.min``."""
        return reductions.min(self, axis, keepdims)

    def var(self, axis: reductions.Axes = None, keepdims: bool = False, ddof: int = 0) -> Any:
        """See ``autodiff.var``."""
        return reductions.var(self, axis, keepdims, ddof)

    def std(self, axis: reductions.Axes = None, keepdims: bool = False, ddof: int = 0) -> Any:
        """See ``autodiff.std``."""
        return reductions.std(self, axis, keepdims, ddof)

    def prod(self, axis: reductions.Axes = None, keepdims: bool = False) -> Any:
        """See ``autodiff.prod``."""
        return reductions.prod(self, axis, keepdims)

    def cumsum(self, axis: int | None = None) -> Any:
        """See ``autodiff.cumsum``."""
        return reductions.cumsum(self, axis)

    def argmax(self, axis: int | None = None) -> Any:
        """Return the places of the largest elements, as plain integers."""
        return value_of(self).argmax(axis)

    def argmin(self, axis: int | None = None) -> Any:
        """Return the places of the smallest elements, as plain integers."""
        return value_of(self).argmin(axis)

    def reshape(self, *shape: Any) -> Any:
        """See ``autodiff.reshape``."""
        return shapes.reshape(self, *shape)

    def ravel(self) -> Any:
        """See ``autodiff.ravel``."""
        return shapes.ravel(self)

    def transpose(self, *axes: Any) -> Any:
        """See ``autodiff.transpose``; the axes may also be given one by one."""
        return shapes.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def swapaxes(self, first: int, second: int) -> Any:
        """See ``autodiff.swapaxes``."""
        return shapes.swapaxes(self, first, second)

    def squeeze(self, axis: Any = None) -> Any:
        """See ``autodiff.squeeze``."""
        return shapes.squeeze(self, axis)

    def exp(self) -> Any:
        """See ``autodiff.exp``."""
        return elementwise.exp(self)

    def log(self) -> Any:
        """See ``autodiff.log``."""
        return elementwise.log(self)

    def sqrt(self) -> Any:
        """See ``autodiff.sqrt``."""
        return elementwise.sqrt(self)

    def softmax(self, axis: int = -1) -> Any:
        """See ``autodiff.softmax``."""
        return activations.softmax(self, axis)
