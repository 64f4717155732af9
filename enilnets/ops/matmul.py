"""Matrix product: the one function through which every product of the library goes."""

from __future__ import annotations

import numpy as np

from .._ext import gemm as _kernels
from ..errors import ConfigError, DTypeError, ShapeError
from .array import REAL_DTYPES, empty, real

__all__ = ["matmul"]


def matmul(
    a: np.ndarray,
    b: np.ndarray,
    out: np.ndarray | None = None,
    *,
    bias: np.ndarray | None = None,
    row_bias: np.ndarray | None = None,
    accumulate: bool = False,
    activation: str | None = None,
) -> np.ndarray:
    """Return ``a @ b``, written into ``out`` if given; what follows the product may happen on the way.

    Parameters
    ----------
    a : ndarray (..., m, k), float32 or float64
    b : ndarray (..., k, n), dtype of ``a``
        Any strides, so transposed, reversed and broadcast views cost no copy. Leading axes are broadcast as
        ``np.matmul`` does it, and a vector is a single row or column.
    out : ndarray (..., m, n), optional
        Where to write the result: any array whose elements do not share memory, outside of what ``a`` and ``b`` span.
    bias : ndarray (n,), optional
        Added to every row of the result.
    row_bias : ndarray (m,), optional
        Added to every column of the result.
    accumulate : bool
        Add the product to ``out`` instead of overwriting it.
    activation : {"relu", "leakyrelu"}, optional
        What becomes of the result in the end.

    Returns
    -------
    ndarray (..., m, n)
        ``out`` if it was given.

    Raises
    ------
    DTypeError
        If an array is not float32 or float64, or they differ in dtype.
    ConfigError
        If there is no such activation.
    ShapeError
        If shapes do not go together, or ``out`` cannot be written or overlaps an operand.

    Notes
    -----
    ``out[i, j] = f([out[i, j] +] Σ_k a[i, k] b[k, j] + bias[j] + row_bias[i])``. The sum runs over fixed blocks of k,
    in fixed order within each, so equal operands give equal bits on one instruction set, whatever their strides.

    References
    ----------
    Goto & van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication.

    Examples
    --------
    >>> matmul(np.array([[1.0, -2.0]]), np.eye(2), bias=np.array([10.0, 0.0]), activation="relu")
    array([[11.,  0.]])
    """
    # What nearly every call brings; the kernels check it, and what they refuse is looked at again for a better message.
    # Checking here first would take as long as the product of two 64 x 64 matrices.
    try:
        if a.ndim == b.ndim == 2 and (out is not None or not accumulate):
            result = empty((a.shape[0], b.shape[1]), a.dtype) if out is None else out
            _kernels.matmul(a, b, result, bias, row_bias, accumulate, activation, empty)
            return result
    except (AttributeError, TypeError, ValueError):
        pass
    if activation not in (None, "relu", "leakyrelu"):
        raise ConfigError("matmul(activation)", "'relu', 'leakyrelu' or None", repr(activation), "apply it afterwards")
    a, b = _operand("a", a), _operand("b", b)
    if a.dtype != b.dtype:
        raise DTypeError("matmul(b)", f"dtype {a.dtype} like a", f"dtype {b.dtype}", "cast one of them")
    if a.ndim == 1 or b.ndim == 1:
        return _with_vectors(a, b, out, bias=bias, row_bias=row_bias, accumulate=accumulate, activation=activation)
    shape = _shape(a.shape, b.shape)
    bias = _bias("bias", bias, shape[-1], a.dtype)
    row_bias = _bias("row_bias", row_bias, shape[-2], a.dtype)
    if out is None:
        if accumulate:
            raise ShapeError("matmul(out)", f"an array of shape {shape} to add to", "None", "pass out=")
        out = empty(shape, a.dtype)
    elif not isinstance(out, np.ndarray) or out.dtype != a.dtype:
        got = f"dtype {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise DTypeError("matmul(out)", f"an array of dtype {a.dtype}", got)
    elif out.shape != shape:
        raise ShapeError("matmul(out)", f"shape {shape}", f"shape {out.shape}")
    try:
        _kernels.matmul(a, b, out, bias, row_bias, accumulate, activation, empty)
    except ValueError as refusal:
        raise ShapeError("matmul", "a result that is written in place", str(refusal), "leave out= away") from None
    return out


def _operand(name: str, x: np.ndarray) -> np.ndarray:
    """Return ``x`` as the kernels read it: strides stay, what is not aligned or native is copied."""
    if isinstance(x, np.ndarray) and x.dtype in REAL_DTYPES and x.dtype.isnative and x.flags.aligned:
        x = x.view(np.ndarray)
    else:
        x = real("matmul", name, x)
    if x.ndim == 0:
        raise ShapeError(f"matmul({name})", "at least one axis", "shape ()", "multiply by numbers with *")
    return x


def _bias(name: str, bias: np.ndarray | None, n: int, dtype: np.dtype) -> np.ndarray | None:
    """Check one of the biases."""
    if bias is None:
        return None
    bias = real("matmul", name, bias)
    if bias.dtype != dtype:
        raise DTypeError(f"matmul({name})", f"dtype {dtype} like a", f"dtype {bias.dtype}", "cast one of them")
    if bias.shape != (n,):
        raise ShapeError(f"matmul({name})", f"shape ({n},)", f"shape {bias.shape}")
    return bias


def _shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the product of stacks of matrices."""
    if a[-1] != b[-2]:
        raise ShapeError("matmul(b)", f"shape (..., {a[-1]}, n) for a of shape {a}", f"shape {b}")
    if len(a) == len(b) == 2:
        return a[0], b[1]
    try:
        leading = np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        raise ShapeError("matmul(b)", f"leading axes like {a[:-2]}, or 1", f"shape {b}") from None
    return (*leading, a[-2], b[-1])


def _with_vectors(
    a: np.ndarray,
    b: np.ndarray,
    out: np.ndarray | None,
    *,
    bias: np.ndarray | None,
    row_bias: np.ndarray | None,
    accumulate: bool,
    activation: str | None,
) -> np.ndarray:
    """``matmul`` where a vector is a row on the left or a column on the right; that axis is not in the result."""
    missing = tuple(axis for axis, x in ((-2, a), (-1, b)) if x.ndim == 1)
    if a.ndim == 1:
        a = a[None]
    if b.ndim == 1:
        b = b[:, None]
    shape = _shape(a.shape, b.shape)
    short = tuple(n for axis, n in enumerate(shape, -len(shape)) if axis not in missing)
    if out is None and not accumulate:
        out = empty(short, a.dtype)
    if not isinstance(out, np.ndarray) or out.shape != short:
        got = f"shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ShapeError("matmul(out)", f"shape {short}", got)
    whole = np.expand_dims(out, missing)
    matmul(a, b, whole, bias=bias, row_bias=row_bias, accumulate=accumulate, activation=activation)
    return out
