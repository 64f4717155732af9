"""Compiled module; see csrc/norm.pyx."""

import numpy as np

_Array = np.ndarray

def batchnorm(
    y: _Array, mean: _Array, var: _Array, inv_std: _Array, x: _Array, gamma: _Array, beta: _Array, eps: float
) -> None: ...
def batchnorm_backward(
    dx: _Array | None,
    dgamma: _Array | None,
    dbeta: _Array | None,
    dy: _Array,
    x: _Array,
    mean: _Array,
    inv_std: _Array,
    gamma: _Array,
) -> None: ...
def batchnorm_inference(
    y: _Array, x: _Array, mean: _Array, var: _Array, gamma: _Array, beta: _Array, eps: float
) -> None: ...
def batchnorm_inference_backward(
    dx: _Array | None,
    dgamma: _Array | None,
    dbeta: _Array | None,
    dy: _Array,
    x: _Array,
    mean: _Array,
    var: _Array,
    gamma: _Array,
    eps: float,
) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
