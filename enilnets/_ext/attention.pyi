"""Compiled module; see csrc/attention.pyx."""

import numpy as np

_Array = np.ndarray

def forward(
    y: _Array,
    lse: _Array,
    q: _Array,
    k: _Array,
    v: _Array,
    scale: float,
    causal: bool = False,
    window: int = 0,
    lengths: _Array | None = None,
    mask: _Array | None = None,
    slopes: _Array | None = None,
) -> None: ...
def backward(
    dq: _Array,
    dkv: _Array | None,
    dy: _Array,
    y: _Array,
    lse: _Array,
    q: _Array,
    k: _Array,
    v: _Array,
    scale: float,
    causal: bool = False,
    window: int = 0,
    lengths: _Array | None = None,
    mask: _Array | None = None,
    slopes: _Array | None = None,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
