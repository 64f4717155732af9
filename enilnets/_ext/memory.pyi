"""Compiled module; see csrc/memory.pyx."""

from typing import Any

KEEPS_MEMORY: bool
functions: Any

class Block(bytearray):  # a buffer, as far as NumPy's annotations know buffers
    size: int
    def __init__(self, size: int) -> None: ...

def in_use() -> int: ...
def kept() -> int: ...
def release() -> None: ...
