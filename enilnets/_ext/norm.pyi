"""Compiled module; see csrc/norm.pyx."""

import numpy as np

_Array = np.ndarray

def batchnorm(
    y: _Array,
    mean: _Array,
    var: _Array,
    inv_std: _Array,
    x: _Array,
    gamma: _Array,
    beta: _Array,
    eps: float,
    activation: str | None = None,
    z: _Array | None = None,
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
    activation: str | None = None,
    saved: _Array | None = None,
) -> None: ...
def batchnorm_inference(
    y: _Array,
    x: _Array,
    mean: _Array,
    var: _Array,
    gamma: _Array,
    beta: _Array,
    eps: float,
    activation: str | None = None,
    z: _Array | None = None,
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
    activation: str | None = None,
    saved: _Array | None = None,
) -> None: ...
def layernorm(
    y: _Array, mean: _Array, inv_std: _Array, rest: _Array, x: _Array, gamma: _Array, beta: _Array, eps: float
) -> None: ...
def layernorm_backward(
    dx: _Array, dy: _Array, x: _Array, mean: _Array, inv_std: _Array, rest: _Array, gamma: _Array
) -> None: ...
def layernorm_sums(
    dgamma: _Array, dbeta: _Array, dy: _Array, x: _Array, mean: _Array, inv_std: _Array, rest: _Array
) -> None: ...
def blend(x: _Array, y: _Array, weight: float) -> None: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
