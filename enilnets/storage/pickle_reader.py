"""A reader for the pickles that plain containers and NumPy arrays are written as. It can run nothing.

It knows the opcodes that such pickles are made of and builds lists, dicts, tuples, strings, numbers and arrays itself.
It imports nothing, calls nothing and looks nothing up: the names by which NumPy's pickles call NumPy are symbols to it,
and a pickle that names anything else, or uses these otherwise, is refused with a ValueError.

References
----------
.. [1] The opcodes: ``pickletools`` in the Python standard library.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

__all__ = ["Array", "DType", "Mark", "Reader", "Symbol"]

MAX_PROTOCOL = 5
MAX_AXES = 32

#: Codes of the dtypes that an array or a scalar may have; none of them holds references.
CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class Symbol(Enum):
    """What a pickle may name. A member is only compared, never called."""

    RECONSTRUCT = "an empty array that BUILD fills"
    FROM_BUFFER = "an array around bytes"
    SCALAR = "a number"
    NDARRAY = "the class of arrays"
    DTYPE = "a dtype"


SYMBOLS = {
    ("numpy", "ndarray"): Symbol.NDARRAY,
    ("numpy", "dtype"): Symbol.DTYPE,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): Symbol.RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): Symbol.SCALAR for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): Symbol.FROM_BUFFER for core in ("core", "_core")},
}


class Mark:
    """Where the arguments of an opcode begin on the stack."""


class DType:
    """A dtype under construction."""

    def __init__(self, code: str) -> None:
        if code not in CODES:
            raise ValueError(f"a dtype {code[:40]!r}, which is none of numbers")
        self.code = code
        self.order = "<"

    def build(self, state: tuple[Any, ...]) -> None:
        """Take the byte order from what NumPy writes as the state of a dtype."""
        version, order, *others = state
        if type(version) is not int or order not in ("<", ">", "|") or others != [None, None, None, -1, -1, 0]:
            raise ValueError("a dtype with fields or metadata")
        self.order = order

    def described(self) -> np.dtype:
        """Return the dtype."""
        return np.dtype(("<" if self.order == "|" else self.order) + self.code)


class Array:
    """An array under construction."""

    value: np.ndarray | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        """Fill from what NumPy writes as the state of an array."""
        version, shape, dtype, fortran, data = state
        if version != 1 or type(fortran) is not bool:
            raise ValueError("an array of another version")
        self.fill(data, dtype, shape, "F" if fortran else "C")

    def fill(self, data: bytes, dtype: DType, shape: tuple[int, ...], order: Any) -> None:
        """Become an array of ``shape`` around ``data``, whose size must be right."""
        if type(data) is not bytes or type(dtype) is not DType or order not in ("C", "F"):
            raise ValueError("an array of something else than numbers")
        if type(shape) is not tuple or len(shape) > MAX_AXES or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError("an array whose shape is none")
        described = dtype.described()
        if math.prod(shape) * described.itemsize != len(data):
            raise ValueError(f"an array with {len(data)} bytes, not {math.prod(shape) * described.itemsize}")
        self.value = np.ndarray(shape, described, data, order=order)


def reduce(function: Any, arguments: Any) -> Any:
    """Return what NumPy's pickles mean by applying ``function``, a Symbol, to ``arguments``."""
    if type(function) is not Symbol or type(arguments) is not tuple:
        raise ValueError("a call of what no array needs")
    if function is Symbol.DTYPE:
        code, *flags = arguments
        if type(code) is not str or flags != [False, True]:
            raise ValueError("a dtype in another form than NumPy writes")
        return DType(code)
    if function is Symbol.RECONSTRUCT:
        kind, shape, code = arguments
        if kind is not Symbol.NDARRAY or shape != (0,) or code != b"b":
            raise ValueError("an array in another form than NumPy writes")
        return Array()
    if function is Symbol.FROM_BUFFER:
        array = Array()
        array.fill(*arguments)
        return array
    if function is Symbol.SCALAR:
        array, (dtype, data) = Array(), arguments
        array.fill(data, dtype, (), "C")
        return array.value.item()  # type: ignore[union-attr]
    raise ValueError(f"a call of {function.value}")


class Reader:
    """The stack, the memo and the position while a pickle is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    # Arguments behind an opcode

    def _take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if self.position > len(self.data):
            raise ValueError("an end in the middle")
        return self.data[start : self.position]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> str:
        end = self.data.index(b"\n", self.position)
        text = self._take(end - self.position)
        self.position += 1
        return text.decode("ascii")

    # Groups of opcodes

    def _long(self) -> int:
        return int.from_bytes(self._take(self._number("<B")), "little", signed=True)

    def _symbol(self, module: Any, name: Any) -> Symbol:
        found = SYMBOLS.get((module, name)) if type(module) is str and type(name) is str else None
        if found is None:
            raise ValueError(f"{str(module)[:60]}.{str(name)[:60]}, which is no part of an array")
        return found

    def _since_mark(self) -> list[Any]:
        start = len(self.stack) - 1
        while type(self.stack[start]) is not Mark:
            start -= 1
            if start < 0:
                raise ValueError("no mark")
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items

    def _tuple_of(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise ValueError("too few entries")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return items

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("entries for what is no list")
        self.stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict or len(items) % 2:
            raise ValueError("entries for what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str and not (
                type(key) is int and abs(key) < 2**31
            ):  # larger ones can be made to collide
                raise ValueError("a key that is no name")
            self.stack[-1][key] = value

    def _build(self) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) not in (Array, DType) or type(state) is not tuple:
            raise ValueError("a state for what has none")
        self.stack[-1].build(state)

    def run(self) -> Any:
        """Return what the pickle stands for, Arrays and all."""
        while True:
            opcode = self._take(1)
            if opcode == b".":
                break
            if opcode not in OPCODES:
                raise ValueError(f"the opcode {opcode!r}, which documents do not need")
            OPCODES[opcode](self)
        if len(self.stack) != 1 or self.position != len(self.data):
            raise ValueError("more than one object")
        return self.stack[0]


def _push(make: Callable[[Reader], Any]) -> Callable[[Reader], None]:
    """Return the handler that puts what ``make`` returns on the stack."""

    def handler(reader: Reader) -> None:
        reader.stack.append(make(reader))

    return handler


def _remember(index: Callable[[Reader], int]) -> Callable[[Reader], None]:
    """Return the handler that keeps the top of the stack in the memo."""

    def handler(reader: Reader) -> None:
        reader.memo[index(reader)] = reader.stack[-1]

    return handler


def _protocol(reader: Reader) -> None:
    if reader._number("<B") > MAX_PROTOCOL:
        raise ValueError("a protocol of the future")


OPCODES: dict[bytes, Callable[[Reader], Any]] = {
    b"\x80": _protocol,
    b"\x95": lambda r: r._take(8),  # a frame, which says how much to read at once
    b"(": _push(lambda r: Mark()),
    b"N": _push(lambda r: None),
    b"\x88": _push(lambda r: True),
    b"\x89": _push(lambda r: False),
    b"J": _push(lambda r: r._number("<i")),
    b"K": _push(lambda r: r._number("<B")),
    b"M": _push(lambda r: r._number("<H")),
    b"\x8a": _push(Reader._long),
    b"G": _push(lambda r: r._number(">d")),
    b"X": _push(lambda r: r._take(r._number("<I")).decode("utf-8")),
    b"\x8c": _push(lambda r: r._take(r._number("<B")).decode("utf-8")),
    b"\x8d": _push(lambda r: r._take(r._number("<Q")).decode("utf-8")),
    b"B": _push(lambda r: r._take(r._number("<I"))),
    b"C": _push(lambda r: r._take(r._number("<B"))),
    b"\x8e": _push(lambda r: r._take(r._number("<Q"))),
    b"\x96": _push(lambda r: r._take(r._number("<Q"))),
    b"]": _push(lambda r: []),
    b"}": _push(lambda r: {}),
    b")": _push(lambda r: ()),
    b"\x85": _push(lambda r: r._tuple_of(1)),
    b"\x86": _push(lambda r: r._tuple_of(2)),
    b"\x87": _push(lambda r: r._tuple_of(3)),
    b"t": _push(lambda r: tuple(r._since_mark())),
    b"a": lambda r: r._extend([r.stack.pop()]),
    b"e": lambda r: r._extend(r._since_mark()),
    b"s": lambda r: r._update(list(r._tuple_of(2))),
    b"u": lambda r: r._update(r._since_mark()),
    b"q": _remember(lambda r: r._number("<B")),
    b"r": _remember(lambda r: r._number("<I")),
    b"\x94": _remember(lambda r: len(r.memo)),
    b"h": _push(lambda r: r.memo[r._number("<B")]),
    b"j": _push(lambda r: r.memo[r._number("<I")]),
    b"c": _push(lambda r: r._symbol(r._line(), r._line())),
    b"\x93": _push(lambda r: r._symbol(*r._tuple_of(2))),
    b"R": _push(lambda r: reduce(*r._tuple_of(2))),
    b"b": Reader._build,
}
