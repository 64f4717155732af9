"""Automatic differentiation: expressions of arrays, layers and losses whose gradients follow by themselves.

>>> import numpy as np
>>> from enilnets.autodiff import Parameter, loss
>>> w = Parameter(np.zeros((2, 1)))
>>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [0.0]])
>>> error = loss("mse", x @ w, y)
>>> error.backward()
>>> float(error), w.grad.tolist()
(0.5, [[-1.0], [-2.0]])
"""

from .activations import activate, log_softmax, relu, sigmoid, softmax, softplus, tanh
from .elementwise import (
    absolute,
    add,
    arctan,
    clip,
    cos,
    cosh,
    divide,
    exp,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    reciprocal,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    where,
)
from .gradcheck import gradcheck
from .gradients import grad
from .indexing import getitem
from .linear_algebra import einsum, matmul
from .losses import loss
from .model import Model
from .operands import astype
from .parameter import Parameter
from .recomputation import checkpoint
from .recording import enable_grad, is_recording, no_grad
from .reductions import cumsum, logsumexp, max, mean, min, prod, std, sum, var
from .shapes import (
    broadcast_to,
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    pad,
    ravel,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    transpose,
)
from .tape import Tape
from .tensor import Tensor, apply, as_tensor

__all__ = [
    "Model",
    "Parameter",
    "Tape",
    "Tensor",
    "absolute",
    "activate",
    "add",
    "apply",
    "arctan",
    "as_tensor",
    "astype",
    "broadcast_to",
    "checkpoint",
    "clip",
    "concatenate",
    "cos",
    "cosh",
    "cumsum",
    "divide",
    "einsum",
    "enable_grad",
    "exp",
    "expand_dims",
    "expm1",
    "flip",
    "getitem",
    "grad",
    "gradcheck",
    "is_recording",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "loss",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "no_grad",
    "pad",
    "power",
    "prod",
    "ravel",
    "reciprocal",
    "relu",
    "reshape",
    "sigmoid",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "tan",
    "tanh",
    "transpose",
    "var",
    "where",
]
