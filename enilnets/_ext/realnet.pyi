"""Compiled module; see csrc/realnet.pyx."""

import numpy as np

_Array = np.ndarray

def backward(
    dz: _Array,
    dn: _Array,
    dweights: _Array | None,
    sums: _Array | None,
    dstate: _Array | None,
    sequence: bool,
    add: bool,
    states: _Array,
    g: _Array,
    slope: _Array,
    statistics: _Array,
    state: _Array | None,
    weights: _Array,
    gamma: _Array,
    gain: _Array | None,
) -> None: ...
def forward(
    states: _Array,
    g: _Array,
    slope: _Array,
    statistics: _Array,
    x: _Array | None,
    x_steps: int,
    state: _Array | None,
    weights: _Array,
    bias: _Array,
    gamma: _Array,
    beta: _Array,
    gain: _Array | None,
    eps: float,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
def sparse_forward(
    states: _Array,
    x: _Array | None,
    x_steps: int,
    state: _Array | None,
    values: _Array,
    index: _Array,
    start: _Array,
    bias: _Array,
    gamma: _Array,
    beta: _Array,
    eps: float,
) -> None: ...
