"""Arrays in text: nested lists of numbers, or base64, and back."""

from __future__ import annotations

import binascii
import math
import sys
from typing import Any

import numpy as np

from ..errors import ModelFormatError

__all__ = ["as_array", "to_base64", "to_lists"]

#: What an array in a file may be made of.
DTYPES = (
    *("float64", "float32", "float16"),
    *("int64", "int32", "int16", "int8"),
    *("uint64", "uint32", "uint16", "uint8"),
    "bool",
)

#: JSON has no words for them; the original reads these strings as what they say.
NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_lists(array: np.ndarray) -> list[Any]:
    """Return nested lists of numbers, and of "NaN", "Infinity" and "-Infinity" for what JSON cannot write as one.

    Python writes the shortest decimals that give the same float64 again, which every float32 is too, so nothing is
    lost but the payload of a NaN.
    """
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    entries = array.astype(object)
    entries[np.isnan(array)] = "NaN"
    entries[np.isposinf(array)] = "Infinity"
    entries[np.isneginf(array)] = "-Infinity"
    return entries.tolist()


def to_base64(array: np.ndarray) -> dict[str, Any]:
    """Return dtype, shape and the bytes (row-major, little-endian) in base64."""
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    text = binascii.b2a_base64(data, newline=False).decode("ascii")
    return {"dtype": array.dtype.name, "shape": list(array.shape), "base64": text}


def as_array(where: str, name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """Return the array that a document holds under ``name``.

    Parameters
    ----------
    where, name : str
        For messages.
    value : ndarray, list or dict
        An array (returned as it is), nested lists, or what ``to_base64`` made.
    dtype : dtype
        Of the array that nested lists stand for.

    Raises
    ------
    ModelFormatError
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        return _from_base64(value) if isinstance(value, dict) else _from_lists(value, dtype)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, FloatingPointError) as error:
        got = f"{type(value).__name__} ({type(error).__name__}: {error})"
        raise ModelFormatError(
            where, f"an array of numbers for {name!r}", got, "the file was damaged or edited"
        ) from None


def _from_base64(value: dict[str, Any]) -> np.ndarray:
    if set(value) != {"dtype", "shape", "base64"} or value["dtype"] not in DTYPES:
        raise ValueError(f"expected dtype (one of {', '.join(DTYPES)}), shape and base64")
    dtype, shape = np.dtype(value["dtype"]), value["shape"]
    if type(shape) is not list or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("expected a shape of sizes >= 0")
    data = binascii.a2b_base64(value["base64"])
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"expected {math.prod(shape) * dtype.itemsize} bytes, got {len(data)}")
    array = np.frombuffer(bytearray(data), dtype).reshape(shape)
    return array if sys.byteorder == "little" else array.byteswap()


def _from_lists(value: Any, dtype: np.dtype) -> np.ndarray:
    if type(value) is not list:
        raise TypeError("expected nested lists")
    entries = np.array(value, dtype=object)  # with a string among the numbers, NumPy would make all of them strings
    kinds = set(map(type, entries.flat))
    if not kinds <= {int, float, str}:
        raise TypeError(f"expected numbers, got {', '.join(sorted(kind.__name__ for kind in kinds))}")
    if str in kinds:
        for index, entry in np.ndenumerate(entries):
            if type(entry) is str:
                entries[index] = NOT_FINITE[entry]
    with np.errstate(over="raise"):
        return entries.astype(np.float64).astype(dtype)
