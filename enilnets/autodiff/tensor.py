"""Tensor: an array that remembers how it was computed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import checks
from ..errors import DTypeError, ShapeError, StateError
from ..layers.base import Layer, Mode
from ..ops.array import REAL_DTYPES, as_numbers
from ..parameters import Parameter as StoredParameter
from .backpropagation import backpropagate
from .elementwise import clip
from .layer_node import through
from .nodes import Leaf, Traced, Use, made
from .operators import Operators

__all__ = ["Tensor", "apply", "as_tensor"]


class Tensor(Operators, Traced):
    """An array in expressions whose gradients can be asked for.

    Parameters
    ----------
    data : array_like, Tensor or Parameter
        Real numbers. Arrays are referred to, not copied: do not write to them before the way back. Of a Parameter, the
        Tensor reads the values, and gradients go into the Parameter.
    requires_grad : bool, default False
        Whether ``backward`` shall add the gradient up in ``grad``; for float32 and float64.
    dtype : dtype, optional
        Cast to this first.

    Attributes
    ----------
    data : ndarray
    shape, ndim, size, dtype
        Of the data.
    grad : ndarray or None
        Sum of the gradients of all ``backward`` passes since it was last set to None; of Tensors that were made with
        ``requires_grad=True`` only. See ``autodiff.grad`` for all others.

    Notes
    -----
    Operations on Tensors, arrays and numbers make Tensors; they are recorded where an operand has a gradient. Numbers
    take the dtype of the Tensor beside them. Comparisons give plain boolean arrays.

    The graph of a Tensor lives as long as the Tensor. ``backward`` frees it on its way.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.autodiff import Tensor
    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> loss.backward()
    >>> float(loss), x.grad
    (14.0, array([2., 4., 6.]))
    """

    __slots__ = ("__weakref__",)

    def __init__(self, data: Any, requires_grad: bool = False, *, dtype: Any = None) -> None:
        self.source: Any = None
        if isinstance(data, StoredParameter):
            if requires_grad is False and dtype is None:
                self.data, self.source = data.value, None if data.frozen else Use(data)
                return
            data = data.value
        elif isinstance(data, Tensor):
            data = data.data
        array = as_numbers("Tensor", "data", data)
        if dtype is not None:
            array = array.astype(checks.real_dtype("Tensor", dtype), copy=False)
        if array.dtype.kind == "f" and array.dtype not in REAL_DTYPES:
            raise DTypeError("Tensor(data)", "float32, float64, integers or booleans", str(array.dtype), "pass dtype=")
        self.data = array
        if checks.flag("Tensor", "requires_grad", requires_grad):
            self.requires_grad = True

    # Gradients

    @property
    def requires_grad(self) -> bool:
        """Whether this Tensor has a gradient; set it for Tensors that no operation made."""
        return self.source is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if checks.flag("Tensor", "requires_grad", wanted) == self.requires_grad:
            return
        if self.source is not None and type(self.source) is not Leaf:
            raise StateError("Tensor.requires_grad", "a Tensor that no operation made", self._origin(), "use detach()")
        if wanted and self.data.dtype not in REAL_DTYPES:
            got = f"dtype {self.data.dtype}"
            raise DTypeError("Tensor(requires_grad)", "float32 or float64", got, "pass dtype='float64'")
        self.source = Leaf(self.data.shape, self.data.dtype) if wanted else None

    @property
    def grad(self) -> np.ndarray | None:
        """The gradients that ``backward`` has added up; set it to None to begin again."""
        source = self.source
        if type(source) is Use:
            return source.parameter.grad if source.parameter.fresh else None
        return source.grad if type(source) is Leaf else None

    @grad.setter
    def grad(self, value: Any) -> None:
        source = self.source
        if type(source) is not Leaf:
            raise StateError("Tensor.grad", "a Tensor made with requires_grad=True", self._origin())
        source.grad = None if value is None else checks.numbers("Tensor.grad", value, self.shape).astype(self.dtype)

    def backward(self, gradient: Any = None, *, retain_graph: bool = False) -> None:
        """Add the gradients of this Tensor to ``grad`` of the Tensors and Parameters that it was computed from.

        Parameters
        ----------
        gradient : array_like, optional
            Of the result with respect to this Tensor, in its shape; a single number needs none.
        retain_graph : bool, default False
            Keep the graph for another pass. Otherwise it is freed on the way, and another pass is refused.

        Raises
        ------
        StateError
            If nothing was recorded, the graph has been freed, or a Parameter was changed since.
        ShapeError
            If this Tensor is no single number and ``gradient`` is not given, or has another shape.
        """
        g = self._seed(gradient)
        gradients = backpropagate(type(self), [(self.source, g)], free=not retain_graph)
        for leaf, part in gradients.items():
            leaf.grad = np.array(part, leaf.dtype) if leaf.grad is None else leaf.grad + part

    def _seed(self, gradient: Any) -> np.ndarray:
        if self.source is None:
            way_out = "make an input with requires_grad=True, and compute outside of no_grad()"
            raise StateError("Tensor.backward", "a result that was recorded", "a constant", way_out)
        if gradient is None:
            if self.data.size != 1:
                way_out = "take the sum or mean first, or pass the gradient"
                raise ShapeError("Tensor.backward", "a single number", f"shape {self.shape}", way_out)
            return np.ones(self.shape, self.dtype)
        gradient = gradient.data if isinstance(gradient, Tensor) else gradient
        return checks.numbers("Tensor.backward(gradient)", gradient, self.shape).astype(self.dtype)

    def detach(self) -> Tensor:
        """Return a constant that shares the data."""
        return made(type(self), self.data, None)

    def clip(self, low: Any, high: Any) -> Any:
        """See ``autodiff.clip``."""
        return clip(self, low, high)

    def through(self, layer: Layer, mode: Mode | None = None, **options: Any) -> Tensor:
        """Return what ``layer`` makes of this Tensor; see ``autodiff.apply``."""
        return through(layer, self, mode, **options)

    # As an array

    def __setitem__(self, index: Any, value: Any) -> None:
        way_out = "use where(mask, new, old) or concatenate, or write to .data before the first operation"
        raise StateError("Tensor[...] = ...", "no assignment into a Tensor, whose graph would not know", "one", way_out)

    def __eq__(self, other: object) -> Any:
        return self.data == (other.data if isinstance(other, Tensor) else other)

    def __ne__(self, other: object) -> Any:
        return self.data != (other.data if isinstance(other, Tensor) else other)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ShapeError("bool(Tensor)", "a single number", f"shape {self.shape}", "use .numpy().any() or .all()")
        return bool(self.data)

    def __float__(self) -> float:
        return float(self._single("float"))

    def __int__(self) -> int:
        return int(self._single("int"))

    def _single(self, where: str) -> Any:
        if self.data.size != 1:
            raise ShapeError(f"{where}(Tensor)", "a single number", f"shape {self.shape}", "take the sum or mean first")
        return self.data.item()

    def __format__(self, spec: str) -> str:
        return format(self._single("format"), spec) if spec else repr(self)

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise ShapeError("iter(Tensor)", "at least one axis", "shape ()")
        return (self[i] for i in range(len(self.data)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype) if copy else np.asarray(self.data, dtype)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(function, "__name__", "function")
        way_out = f"use autodiff.{name} if there is one, or pass tensor.numpy()"
        raise DTypeError(f"numpy.{name}", "arrays: its result would have no gradient", "a Tensor", way_out)

    def _origin(self) -> str:
        kind = {Leaf: "requires_grad=True", Use: "of a Parameter", type(None): "a constant"}.get(type(self.source))
        return kind or f"result of {self.source.name}"

    def __repr__(self) -> str:
        values = np.array2string(self.data, separator=", ", prefix="Tensor(", threshold=50)
        dtype = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        origin = "" if self.source is None else f", {self._origin()}"
        return f"Tensor({values}{dtype}{origin})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        return Tensor(np.array(self.data), type(self._own_source()) is Leaf)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tensor, (np.array(self.data), type(self._own_source()) is Leaf)

    def _own_source(self) -> Leaf | None:
        if self.source is not None and type(self.source) is not Leaf:
            raise StateError("copying a Tensor", "one that no operation made", self._origin(), "use detach() first")
        return self.source


def as_tensor(x: Any) -> Tensor:
    """Return ``x`` itself if it is a Tensor, else a constant Tensor, or one that reads a Parameter."""
    return x if isinstance(x, Tensor) else Tensor(x)


def apply(layer: Layer, x: Any, mode: Mode | None = None, **options: Any) -> Any:
    """Return what ``layer`` makes of ``x``, as one node of the graph; ``layer(x)`` is the same for a Tensor.

    Parameters
    ----------
    layer : Layer
        Gradients of its parameters go into the Parameters, where an optimizer finds them.
    x : Tensor or array_like
        Cast to the dtype of the layer, but for ids before an embedding.
    mode : Mode, optional
        By default that of the pass that runs: of the Model around, else inference.
    **options
        Further arguments of the layer's ``forward``. Tensors among them are inputs that get gradients too, from layers
        that have some for them.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If the layer cannot take ``x``.
    """
    return through(layer, as_tensor(x), mode, **options)
