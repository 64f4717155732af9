"""Documents as JSON: always valid, readable by the original, arrays as nested lists or in base64."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ModelFormatError
from .encoding import to_base64, to_lists

__all__ = ["ARRAYS", "decode", "encode"]

#: How arrays may be written.
ARRAYS = ("lists", "base64")

#: A random generator's state holds numbers of 128 bits; Python before 3.10.7 takes seconds for one of 10**6 digits.
_MAX_INTEGER_DIGITS = 64


def encode(document: dict[str, Any], arrays: str = "lists") -> Iterator[bytes]:
    """Yield the document as JSON, a line per entry and layer.

    Arrays that nested lists cannot stand for (empty ones, and those of another dtype than the document) are written
    in base64 in any case.
    """
    dtype = np.dtype(document["dtype"])

    def value(entry: Any) -> Any:
        if not isinstance(entry, np.ndarray):
            raise TypeError(f"{type(entry).__name__} in a model document")
        listable = entry.dtype == dtype and entry.size and entry.ndim
        return to_lists(entry) if arrays == "lists" and listable else to_base64(entry)

    encoder = json.JSONEncoder(allow_nan=False, default=value)
    separator = b"{\n"
    for key, entry in document.items():
        yield separator + encoder.encode(key).encode() + b": "
        if key == "layers":
            yield from _lines(encoder, entry)
        else:
            yield encoder.encode(entry).encode()
        separator = b",\n"
    yield b"\n}\n"


def _lines(encoder: json.JSONEncoder, layers: list[Any]) -> Iterator[bytes]:
    yield b"["
    for i, layer in enumerate(layers):
        yield (b",\n  " if i else b"\n  ") + encoder.encode(layer).encode()
    yield b"\n]" if layers else b"]"


def decode(data: bytes, where: str) -> Any:
    """Return what ``data`` holds, after a byte order mark or none; the bare NaN of the original is understood."""
    try:
        return json.loads(data.decode("utf-8-sig"), parse_int=_integer)
    except (ValueError, RecursionError) as error:
        reason = "too deep nesting" if isinstance(error, RecursionError) else str(error)
        way_out = "names that do not end in .pkl or .safetensors stand for JSON; use the name it was saved under"
        raise ModelFormatError(where, "a JSON document", reason, way_out) from None


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)
