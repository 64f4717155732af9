"""Compiled module; see csrc/losses.pyx."""

import numpy as np

_Array = np.ndarray

def mse(o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0) -> float: ...
def mae(o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0) -> float: ...
def huber(
    o: _Array,
    t: _Array,
    each: _Array | None = None,
    grad: _Array | None = None,
    scale: float = 1.0,
    delta: float = 1.0,
) -> float: ...
def hinge(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def wasserstein(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def focal(
    o: _Array,
    t: _Array,
    each: _Array | None = None,
    grad: _Array | None = None,
    scale: float = 1.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> float: ...
def focal_at_sigmoid(
    o: _Array,
    t: _Array,
    each: _Array | None = None,
    grad: _Array | None = None,
    scale: float = 1.0,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> float: ...
def binary_cross_entropy(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def binary_cross_entropy_at_sigmoid(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def bce_logits(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def cross_entropy(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def cross_entropy_at_softmax(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def softmax_cross_entropy(
    o: _Array, t: _Array, each: _Array | None = None, grad: _Array | None = None, scale: float = 1.0
) -> float: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
