"""Functions that move elements and change none: reshaping, joining, cutting and padding."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import ConfigError, DTypeError, ShapeError
from ..ops.array import as_numbers
from .elementwise import add
from .indexing import getitem
from .nodes import Op
from .operands import apply, astype, is_operand, shape_of, value_of

__all__ = [
    "broadcast_to",
    "concatenate",
    "expand_dims",
    "flip",
    "moveaxis",
    "pad",
    "ravel",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "transpose",
]

RESHAPE = Op("reshape", lambda x, shape: x.reshape(shape), [lambda g, node: reshape(g, node.shapes[0])])
TRANSPOSE = Op(
    "transpose",
    lambda x, axes: x.transpose(axes),
    [lambda g, node: transpose(g, np.argsort(node.settings[0]).tolist())],
)
BROADCAST = Op("broadcast_to", np.broadcast_to, [lambda g, node: g])  # the sum over new axes follows from the shapes


class Concatenate(Op):
    """Any number of arrays one behind the other along an axis."""

    __slots__ = ()

    def backward(self, g: Any, node: Any, saved: Any, wants: Sequence[Any], direct: bool) -> list[Any]:
        """See Op."""
        (axis,) = node.settings
        before = (slice(None),) * axis
        parts, start = [], 0
        for shape, want in zip(node.shapes, wants, strict=True):
            stop = start + shape[axis]
            place = (*before, slice(start, stop))
            parts.append(None if want is None else g[place])
            start = stop
        return parts


CONCATENATE = Concatenate("concatenate", lambda *arrays: np.concatenate(arrays[:-1], arrays[-1]))


def _axis(where: str, axis: Any, ndim: int) -> int:
    """Return ``axis`` counted from the front; ShapeError if there is no such axis."""
    try:
        place = operator.index(axis)
    except TypeError:
        raise DTypeError(f"{where}(axis)", "an integer", repr(axis)) from None
    if not -ndim <= place < ndim:
        raise ShapeError(f"{where}(axis)", f"an axis in [{-ndim}, {ndim})", str(axis))
    return place % ndim


def _axes(where: str, axis: Any, ndim: int) -> list[int]:
    """Return one or several axes counted from the front."""
    return [_axis(where, a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]


def reshape(x: Any, *shape: Any) -> Any:
    """Return the elements in another shape, given as one tuple or several numbers; one size may be -1."""
    wanted = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
    try:
        return apply(RESHAPE, (x,), (tuple(wanted),))
    except (ValueError, TypeError) as error:
        raise ShapeError("reshape(shape)", f"a shape for an array of shape {shape_of(x)}", f"{wanted}") from error


def ravel(x: Any) -> Any:
    """Return the elements along one axis."""
    return reshape(x, (-1,))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Any:
    """Return the axes in another order; by default from last to first."""
    ndim = len(shape_of(x))
    order = tuple(range(ndim))[::-1] if axes is None else tuple(_axis("transpose", axis, ndim) for axis in axes)
    if sorted(order) != list(range(ndim)):
        raise ShapeError("transpose(axes)", f"every axis of {ndim} once", f"{axes}")
    return apply(TRANSPOSE, (x,), (order,))


def swapaxes(x: Any, first: int, second: int) -> Any:
    """Return two axes exchanged."""
    order = list(range(len(shape_of(x))))
    i, j = (_axis("swapaxes", axis, len(order)) for axis in (first, second))
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


def moveaxis(x: Any, source: int, destination: int) -> Any:
    """Return one axis moved to another place."""
    order = list(range(len(shape_of(x))))
    place = _axis("moveaxis", source, len(order))
    order.insert(_axis("moveaxis", destination, len(order)), order.pop(place))
    return transpose(x, order)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Any:
    """Return ``x`` with axes of size 1 at these places of the result."""
    shape = list(shape_of(x))
    ndim = len(shape) + (len(axis) if isinstance(axis, (tuple, list)) else 1)
    for place in sorted(_axes("expand_dims", axis, ndim)):
        shape.insert(place, 1)
    return reshape(x, tuple(shape))


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Any:
    """Return ``x`` without these axes, or without all axes, of size 1."""
    shape = shape_of(x)
    if axis is None:
        away = {i for i, n in enumerate(shape) if n == 1}
    else:
        away = set(_axes("squeeze", axis, len(shape)))
        if any(shape[a] != 1 for a in away):
            raise ShapeError("squeeze(axis)", "axes of size 1", f"axis {axis} of shape {shape}")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in away))


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """Return ``x`` repeated along axes until it has ``shape``."""
    try:
        return apply(BROADCAST, (x,), (tuple(shape),))
    except (ValueError, TypeError) as error:
        raise ShapeError("broadcast_to(shape)", f"a shape that {shape_of(x)} broadcasts to", f"{shape}") from error


def flip(x: Any, axis: int) -> Any:
    """Return the elements in reverse order along one axis."""
    before = (slice(None),) * _axis("flip", axis, len(shape_of(x)))
    return getitem(x, (*before, slice(None, None, -1)))


def _in_common(parts: Iterable[Any]) -> list[Any]:
    """Cast Tensors and arrays to the widest dtype among them."""
    given = [part if is_operand(part) else as_numbers("concatenate", "tensors", part) for part in parts]
    dtype = np.result_type(*(value_of(part) for part in given)) if given else None
    if dtype is None or dtype.kind != "f":
        return given
    return [astype(part, dtype) if is_operand(part) else part.astype(dtype, copy=False) for part in given]


def concatenate(tensors: Iterable[Any], axis: int = 0) -> Any:
    """Return ``tensors`` one behind the other along an axis that they have.

    Parameters
    ----------
    tensors : sequence of Tensor or array_like
        Equal in all sizes but that of ``axis``.
    axis : int, default 0
    """
    parts = _in_common(tensors)
    if not parts:
        raise ShapeError("concatenate(tensors)", "at least one array", "none")
    try:
        return apply(CONCATENATE, tuple(parts), (_axis("concatenate", axis, len(shape_of(parts[0]))),))
    except (ValueError, IndexError) as error:
        if isinstance(error, ShapeError):
            raise
        shapes = [shape_of(part) for part in parts]
        raise ShapeError("concatenate(tensors)", f"shapes that differ along axis {axis} only", f"{shapes}") from error


def stack(tensors: Iterable[Any], axis: int = 0) -> Any:
    """Return ``tensors``, all of one shape, beside each other along a new axis."""
    parts = list(tensors)
    if len({shape_of(part) for part in parts}) != 1:
        raise ShapeError("stack(tensors)", "at least one array, all of one shape", f"{[shape_of(p) for p in parts]}")
    return concatenate([expand_dims(part, axis) for part in parts], axis)


def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Any]:
    """Cut ``x`` along an axis, as ``numpy.split`` does.

    Parameters
    ----------
    x : Tensor
    sections : int or sequence of int
        The number of equal parts, or where to cut.
    axis : int, default 0

    Returns
    -------
    list of Tensor
    """
    shape = shape_of(x)
    place = _axis("split", axis, len(shape))
    n, before = shape[place], (slice(None),) * place
    if isinstance(sections, (int, np.integer)):
        if sections < 1 or n % sections:
            raise ShapeError(
                "split(sections)", f"a number that divides {n}", str(sections), "give the places to cut at"
            )
        cuts = list(range(0, n + 1, n // sections)) if n else [0] * (sections + 1)
    elif isinstance(sections, Iterable):
        cuts = [0, *sections, n]
    else:
        raise DTypeError("split(sections)", "an integer, or the places to cut at", repr(sections))
    return [getitem(x, (*before, slice(start, stop))) for start, stop in itertools.pairwise(cuts)]


def _unpadded(g: Any, node: Any) -> Any:
    (widths,) = node.settings
    return g[tuple(slice(before, before + n) for (before, _), n in zip(widths, node.shapes[0], strict=True))]


PAD = Op("pad", np.pad, [_unpadded])


def pad(x: Any, pad_width: Any, value: float = 0.0) -> Any:
    """Return ``x`` with a border of ``value``.

    Parameters
    ----------
    x : Tensor
    pad_width : int, (before, after) or sequence of (before, after)
        For all axes, or for each; as ``numpy.pad`` takes it.
    value : float, default 0
    """
    widths = as_numbers("pad", "pad_width", pad_width)
    if widths.dtype.kind not in "iu":
        raise DTypeError("pad(pad_width)", "integers", f"dtype {widths.dtype}")
    try:
        widths = np.broadcast_to(widths, (len(shape_of(x)), 2))
    except ValueError as error:
        expected = f"one width, (before, after), or one such pair for each of the {len(shape_of(x))} axes"
        raise ShapeError("pad(pad_width)", expected, repr(pad_width)) from error
    if (widths < 0).any():
        raise ConfigError("pad(pad_width)", "widths >= 0", repr(pad_width), "cut with x[...] instead")
    padded = apply(PAD, (x,), (tuple((int(a), int(b)) for a, b in widths),))
    if value == 0:
        return padded
    border = np.pad(np.zeros(shape_of(x)), widths, constant_values=1.0)
    return add(padded, (border * value).astype(value_of(padded).dtype))
