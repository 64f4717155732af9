"""Documents as pickles that no reader has to trust.

Written with the pickle module of the standard library, from plain containers and arrays. Read by ``pickle_reader``,
which runs nothing; what a file may build is bounded by its size, also where it refers to one object many times.
"""

from __future__ import annotations

import struct
from pickle import dumps  # writing alone; nothing here can load
from typing import Any

import numpy as np

from ..errors import ModelFormatError, StateError
from .pickle_reader import Array, DType, Mark, Reader, Symbol

__all__ = ["decode", "encode"]

#: Of the pickles written here: what the original's readers on any Python understand.
PROTOCOL = 4

#: Of containers inside one another in a document.
MAX_DEPTH = 64


class Unfolding:
    """Turns what was read into a tree without shared parts, unless that would be far larger than the file."""

    def __init__(self, size: int) -> None:
        self.left = 2 * size + 4096

    def tree(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if kind is Array:
            value = value.value
            if value is None:
                raise ValueError("an array without content")
        self.left -= 1 + (value.nbytes if isinstance(value, np.ndarray) else len(value) if kind in (str, bytes) else 0)
        if self.left < 0 or depth > MAX_DEPTH:
            raise ValueError("far more content than the file has room for, or one inside itself")
        if kind is Array and value.dtype.kind == "b" and value.size and value.view(np.uint8).max() > 1:
            raise ValueError("booleans other than 0 and 1")
        if kind in (list, tuple):
            return kind(self.tree(entry, depth + 1) for entry in value)
        if kind is dict:
            return {key: self.tree(entry, depth + 1) for key, entry in value.items()}
        if kind in (Symbol, DType, Mark):
            raise ValueError("a part of an array outside of one")
        return value


def encode(document: dict[str, Any]) -> bytes:
    """Return the document as a pickle; StateError if ``decode`` would not read it again."""
    _check_depth(document)
    return dumps(document, PROTOCOL)


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        way_out = "save as .safetensors, or nest fewer layers inside layers"
        raise StateError("a .pkl file", f"at most {MAX_DEPTH} levels of containers", "more", way_out)
    if isinstance(value, (dict, list, tuple)):
        for entry in value.values() if isinstance(value, dict) else value:
            _check_depth(entry, depth + 1)


def decode(data: bytes, where: str) -> Any:
    """Return the plain containers and arrays that a pickle holds, without running any of it.

    Raises
    ------
    ModelFormatError
        For everything else.
    """
    try:
        return Unfolding(len(data)).tree(Reader(data).run())
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error) as error:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ModelFormatError(
            where,
            "a pickle of plain containers and arrays",
            reason,
            "the file is damaged, or no model file; convert it where it was made",
        ) from None
