"""Compiled module; see csrc/gemm.pyx."""

from collections.abc import Callable

import numpy as np

_Array = np.ndarray

def matmul(
    a: _Array,
    b: _Array,
    out: _Array,
    bias: _Array | None = None,
    row_bias: _Array | None = None,
    accumulate: bool = False,
    activation: str | None = None,
    workspace: Callable[[int, np.dtype], _Array] | None = None,
    part: tuple[int, int, int, int] | None = None,
) -> None: ...
def form(a: _Array, b: _Array, out: _Array) -> tuple[str, int, int]: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
