"""The gate in front of every kernel: arrays become C-contiguous float32 or float64, or a named error.

``real`` is for the ops themselves: it copies what a kernel cannot read in place (strided, unaligned, byte-swapped)
and never changes the dtype. ``as_data`` is for the public edge: it takes what users have (lists, integers, booleans,
any float, any byte order) and casts it once to the model's dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._ext.memory import Block
from ..errors import DataError, DTypeError, ShapeError
from .optim import find_non_finite

__all__ = ["as_data", "as_numbers", "as_reals", "check_finite", "empty", "output", "real", "same_dtype", "same_shape"]

REAL_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def real(where: str, name: str, x: Any, ndim: int | None = None) -> np.ndarray:
    """Return ``x`` as a C-contiguous, aligned, native float32 or float64 array; copies only if it must.

    Raises
    ------
    DTypeError
        If ``x`` is not a float32 or float64 array.
    ShapeError
        If ``ndim`` is given and ``x`` has another number of axes.
    """
    if type(x) is np.ndarray and (ndim is None or x.ndim == ndim) and x.dtype in REAL_DTYPES:
        flags = x.flags  # what nearly every call brings: 0.14 us instead of 0.23
        if flags.c_contiguous and flags.aligned:
            return x
    if not isinstance(x, np.ndarray) or x.dtype.newbyteorder("=") not in REAL_DTYPES:
        got = f"dtype {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise DTypeError(
            f"{where}({name})", "a float32 or float64 array", got, "convert it with np.asarray(..., dtype)"
        )
    if ndim is not None and x.ndim != ndim:
        raise ShapeError(f"{where}({name})", f"{ndim} axes", f"shape {x.shape}")
    flags = x.flags
    if flags.c_contiguous and flags.aligned and x.dtype.isnative:
        return x
    return (
        np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
        if not flags.c_contiguous
        else np.array(x, dtype=x.dtype.newbyteorder("="), order="C")
    )


def same_shape(where: str, name: str, x: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless ``x`` has exactly ``shape``."""
    if x.shape != shape:
        raise ShapeError(f"{where}({name})", f"shape {shape}", f"shape {x.shape}")


def same_dtype(where: str, name: str, x: np.ndarray, dtype: np.dtype) -> None:
    """Raise DTypeError unless ``x`` has exactly ``dtype``."""
    if x.dtype != dtype:
        way_out = f"convert it with .astype({dtype})"
        raise DTypeError(f"{where}({name})", f"dtype {dtype} like the other arrays", f"dtype {x.dtype}", way_out)


#: From this many bytes on, arrays lie in memory that is used again: mapping fresh pages takes longer than filling them.
LARGE = 1 << 15


def empty(shape: int | tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array like ``np.empty`` does; a large one lies in memory of an earlier array, if that is long gone.

    No array shares memory with another one that is still referred to, be it by a view.
    """
    size = (shape if isinstance(shape, int) else math.prod(shape)) * dtype.itemsize
    return np.empty(shape, dtype) if size < LARGE else np.ndarray(shape, dtype, Block(size))


def output(where: str, out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return ``out`` if a kernel may write a result of ``shape`` and ``dtype`` there, or a new array for None."""
    if out is None:
        return empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not (out.flags.c_contiguous and out.flags.writeable):
        raise ShapeError(
            f"{where}(out)", f"a writable C-contiguous {dtype} array of shape {shape}", f"{out.dtype} {out.shape}"
        )
    return out


def as_numbers(where: str, name: str, x: Any) -> np.ndarray:
    """Return ``x`` as an array of booleans, integers or floats; DTypeError for others, DataError for masked entries."""
    if type(x) is not np.ndarray and np.ma.is_masked(x):
        raise DataError(f"{where}({name})", "numbers without gaps", "a masked array", "fill the masked entries first")
    try:
        x = np.asarray(x)
    except ValueError as error:
        got = f"{type(x).__name__} ({error})"
        raise DTypeError(f"{where}({name})", "numbers in a rectangular array", got) from None
    if x.dtype.kind not in "biuf":
        way_out = "convert it to a float or integer array"
        raise DTypeError(f"{where}({name})", "real numbers", f"dtype {x.dtype}", way_out)
    return x


def as_data(where: str, name: str, x: Any, dtype: np.dtype) -> np.ndarray:
    """Cast what a user passed to a finite, C-contiguous array of ``dtype``.

    Parameters
    ----------
    where, name : str
        The public function and its argument, for messages.
    x : array_like
        Booleans, integers or floats of any width, byte order and strides; nested lists of them.
    dtype : np.dtype
        float32 or float64.

    Raises
    ------
    DTypeError
        For objects, strings, complex numbers, dates, or ragged nested lists.
    DataError
        If ``x`` holds a NaN or an infinity, a masked entry, or a number too large for ``dtype``.
    """
    if type(x) is not np.ndarray:
        x = as_numbers(where, name, x)
    if x.dtype != dtype or not x.flags.c_contiguous or not x.flags.aligned:
        x = as_numbers(where, name, x)
        with np.errstate(over="ignore"):
            x = np.array(x, dtype=dtype, order="C")
    check_finite(where, name, x)
    return x


def as_reals(where: str, **given: Any) -> list[np.ndarray]:
    """Cast what a user passed, by argument name, to finite arrays of one dtype.

    float32 if all of them are float32, Python's own numbers aside, else float64. Raises what ``as_data`` does.
    """
    arrays = {name: as_numbers(where, name, x) for name, x in given.items()}
    dtypes = {x.dtype for name, x in arrays.items() if type(given[name]) not in (int, float)}
    dtype = np.dtype(np.float32 if dtypes == {np.dtype(np.float32)} else np.float64)
    return [as_data(where, name, x, dtype) for name, x in arrays.items()]


def check_finite(where: str, name: str, x: np.ndarray) -> None:
    """Raise DataError naming the first NaN or infinity in the C-contiguous real array ``x``."""
    index = find_non_finite(x.reshape(-1))
    if index >= 0:
        place = tuple(int(i) for i in np.unravel_index(index, x.shape))
        raise DataError(
            f"{where}({name})", "finite numbers", f"{x.flat[index]} at index {place}", "remove or impute such entries"
        )
