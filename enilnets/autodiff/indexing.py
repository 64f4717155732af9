"""Slices, integer arrays and masks as NumPy has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from .nodes import Op, Traced
from .operands import apply, as_index

__all__ = ["Part", "getitem", "scatter"]


#: Parts of an index that name every element once at most.
SINGLE = (slice, int, np.integer, type(None), type(...))


class Part:
    """The gradient of an array of which an operation saw a part: zero but for ``[index]``, where ``g`` is added."""

    __slots__ = ("g", "index")

    def __init__(self, index: Any, g: np.ndarray) -> None:
        self.index, self.g = index, g

    def add_to(self, whole: np.ndarray) -> None:
        """Add to ``whole``, an array like the one that was indexed."""
        if may_repeat(self.index):
            np.add.at(whole, self.index, self.g)
        else:
            whole[self.index] += self.g


def may_repeat(index: Any) -> bool:
    """Whether the index may name an element twice: only where it holds integer arrays, or lists, tuples and ranges."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(not isinstance(part, SINGLE) and np.asarray(part).dtype.kind in "iu" for part in parts)


def _gathered(g: Any, node: Any) -> Any:
    (index,) = node.settings
    return scatter(g, index, node.shapes[0]) if isinstance(g, Traced) else Part(index, np.asarray(g))


def _scattered(g: np.ndarray, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(shape, g.dtype)
    Part(index, g).add_to(whole)
    return whole


GETITEM = Op("getitem", lambda x, index: x[index], [_gathered])
SCATTER = Op("scatter", _scattered, [lambda g, node: g[node.settings[0]]])


def getitem(x: Any, index: Any) -> Any:
    """Return ``x[index]``; the gradients of an element that is taken several times add up.

    Parameters
    ----------
    x : Tensor
    index : int, slice, None, Ellipsis, integer or boolean array, or a tuple of them
        Constants; Tensors among them count by their data.
    """
    index = as_index(index)
    try:
        return apply(GETITEM, (x,), (index,))
    except (IndexError, TypeError) as error:
        shape = x.shape if hasattr(x, "shape") else np.shape(x)
        raise ShapeError("getitem", f"an index into shape {shape}", f"{index!r} ({error})") from error


def scatter(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of ``shape`` to whose elements ``[index]`` those of ``x`` are added."""
    return apply(SCATTER, (x,), (as_index(index), tuple(shape)))
