"""Compiled module; see csrc/optim.pyx."""

import numpy as np

_Array = np.ndarray

def sgd(
    w: _Array,
    velocity: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    momentum: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def rmsprop(
    w: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    rho: float,
    eps: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def adagrad(
    w: _Array, v: _Array, g: _Array, spans: _Array, lr: float, eps: float, l2: float = 0.0, scale: float = 1.0
) -> int: ...
def adam(
    w: _Array,
    m: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    correction1: float,
    correction2: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def nesterov(
    w: _Array,
    velocity: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    momentum: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def adadelta(
    w: _Array,
    d: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    rho: float,
    eps: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def adamw(
    w: _Array,
    m: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    correction1: float,
    correction2: float,
    decay: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def amsgrad(
    w: _Array,
    m: _Array,
    v: _Array,
    u: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    correction1: float,
    correction2: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def adamax(
    w: _Array,
    m: _Array,
    u: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    correction1: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def nadam(
    w: _Array,
    m: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    lr_g: float,
    lr_m: float,
    beta1: float,
    beta2: float,
    eps: float,
    correction2: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def radam(
    w: _Array,
    m: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    plain: float,
    adaptive: float,
    beta1: float,
    beta2: float,
    eps: float,
    l2: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def lion(
    w: _Array,
    m: _Array,
    g: _Array,
    spans: _Array,
    lr: float,
    beta1: float,
    beta2: float,
    decay: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def lamb(
    w: _Array,
    m: _Array,
    v: _Array,
    g: _Array,
    spans: _Array,
    owners: _Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    correction1: float,
    correction2: float,
    decay: float = 0.0,
    scale: float = 1.0,
) -> int: ...
def squared_norm(x: _Array) -> float: ...
def find_non_finite(x: _Array) -> int: ...
def kernels() -> list[str]: ...
def select(isa: int) -> None: ...
