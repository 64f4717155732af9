"""Operands become arrays of one dtype, operations are applied and, where someone needs their gradient, recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..ops.array import REAL_DTYPES, as_numbers
from ..parameters import Parameter
from .nodes import OUTPUT, STATE, Op, Traced, Use, made, record

__all__ = ["apply", "apply_binary", "apply_unary", "as_index", "astype", "is_operand", "joined", "shape_of", "value_of"]


def is_operand(x: Any) -> bool:
    """Whether ``x`` may belong to a graph: a Tensor or a Parameter."""
    return isinstance(x, (Traced, Parameter))


def value_of(x: Any) -> Any:
    """The array of a Tensor or Parameter; anything else as it is."""
    return x.data if isinstance(x, Traced) else x.value if isinstance(x, Parameter) else x


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an operand, or of what NumPy can read."""
    return value_of(x).shape if is_operand(x) else np.shape(x)


def as_index(index: Any) -> Any:
    """Return ``index`` with arrays where it had Tensors."""
    if isinstance(index, tuple):
        return tuple(value_of(part) for part in index)
    return value_of(index)


def opened(x: Any) -> tuple[np.ndarray, Any]:
    """Array and source of a Tensor, a Parameter or what NumPy can read."""
    if isinstance(x, Traced):
        return x.data, x.source
    if isinstance(x, Parameter):
        return x.value, None if x.frozen else Use(x)
    return as_numbers("autodiff", "operand", x), None


def kind_of(where: str, *operands: Any) -> type[Any] | None:
    """The Tensor class among ``operands``; None if they are all plain."""
    kind = None
    for x in operands:
        if isinstance(x, Traced):
            return type(x)
        if isinstance(x, Parameter):
            kind = getattr(x, "kind", None)
            if kind is None:
                way_out = "wrap it: Tensor(parameter), or make it an autodiff.Parameter"
                raise DTypeError(where, "a Tensor beside the Parameter", "none", way_out)
    return kind


def apply_unary(op: Op, x: Any) -> Any:
    """Apply an operation of one array and no settings; plain arrays give plain arrays."""
    if isinstance(x, Traced):
        kind, data, source = type(x), x.data, x.source
    else:
        kind = kind_of(op.name, x)  # type: ignore[assignment]
        if kind is None:
            return op.forward(as_numbers(op.name, "x", x))
        data, source = opened(x)
    y = op.forward(data)
    if source is None or not STATE.enabled:
        return made(kind, y, None)
    if type(y) is not np.ndarray:
        y = np.asarray(y)
    saves = op.saves
    saved = () if not saves else ((y if saves[0] == OUTPUT else data),)
    return made(kind, y, record(op, y, (source,), saved, (), (data.shape,)))


def apply_binary(op: Op, a: Any, b: Any, settings: tuple[Any, ...] = ()) -> Any:
    """Apply an operation of two arrays that are broadcast, in the dtype that they have in common."""
    # What nearly every call brings is told apart here: a third of the time of a small operation.
    if isinstance(a, Traced):
        kind, x, first = type(a), a.data, a.source
        if isinstance(b, Traced) and b.data.dtype is x.dtype:
            y, second = b.data, b.source
        elif type(b) is float and x.dtype.kind == "f":
            y, second = x.dtype.type(b), None
        else:
            (x, first), (y, second) = joined(a, b)
    else:
        kind = type(b) if isinstance(b, Traced) else kind_of(op.name, a, b)  # type: ignore[assignment]
        if kind is None:
            return op.forward(a, b, *settings)
        (x, first), (y, second) = joined(a, b)
    try:
        z = op.forward(x, y, *settings)
    except ValueError as error:
        raise ShapeError(op.name, "shapes that broadcast", f"{x.shape} and {y.shape}") from error
    if (first is None and second is None) or not STATE.enabled:
        return made(kind, z, None)
    if type(z) is not np.ndarray:
        z = np.asarray(z)
    saves = op.saves
    saved = () if not saves else (x, y) if len(saves) == 2 else (x, y, z)
    return made(kind, z, record(op, z, (first, second), saved, settings, (x.shape, y.shape)))


def apply(op: Op, inputs: tuple[Any, ...], settings: tuple[Any, ...] = ()) -> Any:
    """Apply any operation to ``inputs`` of one dtype."""
    if len(inputs) == 1 and type(inputs[0]) is np.ndarray:
        return op.forward(*inputs, *settings)
    kind = kind_of(op.name, *inputs)
    if kind is None:
        return op.forward(*map(np.asarray, inputs), *settings)
    parts = [opened(x) for x in inputs]
    arrays = tuple([part[0] for part in parts])
    y = op.forward(*arrays, *settings)
    parents = tuple([part[1] for part in parts])
    if not STATE.enabled or not any(parents):
        return made(kind, y, None)
    if type(y) is not np.ndarray:
        y = np.asarray(y)
    saved = tuple([y if place == OUTPUT else arrays[place] for place in op.saves])
    return made(kind, y, record(op, y, parents, saved, settings, tuple([array.shape for array in arrays])))


# Dtypes. Python's and NumPy's single numbers take the dtype of the array beside them, integers that of floats; of two
# floats the narrower one becomes the wider one, by an operation whose gradient is cast back.


def joined(a: Any, b: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Arrays and sources of two operands, in one dtype."""
    if type(b) is float or type(b) is int:
        left = opened(a)
        return left, (_number(b, left[0].dtype), None)
    if type(a) is float or type(a) is int:
        right = opened(b)
        return (_number(a, right[0].dtype), None), right
    left, right = opened(a), opened(b)
    x, y = left[0], right[0]
    if x.dtype is y.dtype or x.dtype == y.dtype:
        return left, right
    dtype = _common(a, b, x, y)
    return _cast(left, dtype), _cast(right, dtype)


def _number(value: Any, dtype: np.dtype) -> Any:
    if dtype.kind == "f":
        return dtype.type(value)
    return np.asarray(value)


def _common(a: Any, b: Any, x: np.ndarray, y: np.ndarray) -> np.dtype:
    if isinstance(b, np.generic) and x.dtype.kind == "f":
        return x.dtype
    if isinstance(a, np.generic) and y.dtype.kind == "f":
        return y.dtype
    if x.dtype.kind == "f" and y.dtype.kind != "f":
        return x.dtype
    if y.dtype.kind == "f" and x.dtype.kind != "f":
        return y.dtype
    return np.promote_types(x.dtype, y.dtype)


def _cast(part: tuple[np.ndarray, Any], dtype: np.dtype) -> tuple[np.ndarray, Any]:
    data, source = part
    if data.dtype == dtype:
        return part
    y = data.astype(dtype)
    if source is None or not STATE.enabled:
        return y, None
    return y, record(ASTYPE, y, (source,), (), (dtype, data.dtype), (data.shape,))


def astype(x: Any, dtype: Any) -> Any:
    """Return ``x`` in another dtype; gradients are cast back.

    Parameters
    ----------
    x : Tensor
    dtype : dtype
        Recorded between float32 and float64; a Tensor of any other dtype is a constant.
    """
    wanted = np.dtype(dtype)
    if not isinstance(x, Traced):
        kind = kind_of("astype", x)
        if kind is None:
            return np.asarray(x).astype(wanted)
        x = made(kind, *opened(x))
    if x.data.dtype == wanted:
        return x
    if wanted not in REAL_DTYPES:
        return made(type(x), as_numbers("astype", "dtype", x.data.astype(wanted)), None)
    return made(type(x), *_cast((x.data, x.source), wanted))


def _forward_astype(x: np.ndarray, dtype: np.dtype, _: np.dtype) -> np.ndarray:
    return x.astype(dtype)


ASTYPE = Op("astype", _forward_astype, [lambda g, node: g.astype(node.settings[1])])
