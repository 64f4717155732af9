"""Activation functions: every one of ``ops.activation.ACTIVATIONS``, as one node.

The gradient comes from the kernel; where the way back is recorded itself, from the equation in ``DERIVATIVES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..ops import activation as functions
from ..ops.activation import ACTIVATIONS, Activation, check_activation, with_parameters
from ..ops.array import REAL_DTYPES
from .elementwise import exp, square, subtract, where
from .nodes import Node, Op, Traced
from .operands import apply_unary, is_operand, value_of
from .reductions import logsumexp, sum
from .shapes import swapaxes

__all__ = ["activate", "log_softmax", "relu", "sigmoid", "softmax", "softplus", "tanh"]

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _gelu(x: Any, _: Any) -> Any:
    c = math.sqrt(2 / math.pi)
    s = sigmoid(2 * c * (x + 0.044715 * x * square(x)))
    return s + 2 * x * s * (1 - s) * (c * (1 + 3 * 0.044715 * square(x)))


def _swish(x: Any, beta: float = 1.0) -> Any:
    s = sigmoid(beta * x)
    return s * (1 + beta * x * (1 - s))


def _mish(x: Any, _: Any) -> Any:
    t = tanh(softplus(x))
    return t + x * (1 - square(t)) * sigmoid(x)


def _slope(y: Any, below: Any) -> Any:
    """1 where y > 0, else ``below``."""
    return where(value_of(y) > 0, 1.0, below)


#: f'(x) from what the activation saves, its output or its input, and from its parameter; see ``ops.activation``.
DERIVATIVES: dict[str, Callable[[Any, Any], Any]] = {
    "relu": lambda y, _: (value_of(y) > 0).astype(y.dtype),
    "leakyrelu": lambda y, alpha: _slope(y, np.asarray(alpha, y.dtype)),
    "elu": lambda y, alpha: _slope(y, y + alpha),
    "selu": lambda y, _: where(value_of(y) > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
    "sigmoid": lambda y, _: y * (1 - y),
    "tanh": lambda y, _: 1 - square(y),
    "softplus": lambda y, _: 1 - exp(-y),
    "gelu": _gelu,
    "swish": _swish,
    "mish": _mish,
}


class ActivationOp(Op):
    """One activation function with its parameters."""

    __slots__ = ("function", "kind")

    def __init__(self, function: str | Activation) -> None:
        self.function = function
        self.kind = check_activation("autodiff", function)
        saves = {"output": (-1,), "input": (0,), "nothing": ()}[self.kind.saves]
        super().__init__(self.kind.name, self.run, (), saves)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Return f(x)."""
        return functions.activation(self.function, x if x.dtype in REAL_DTYPES else x.astype(np.float64))[0]

    def backward(self, g: Any, node: Node, saved: Any, wants: Any, direct: bool) -> tuple[Any, ...]:
        """See Op."""
        if self.kind.saves == "nothing":
            return (g,)
        (kept,) = saved
        if not isinstance(g, Traced):
            return (functions.activation_backward(self.function, np.asarray(g), kept),)
        if self.kind.name == "softmax":
            return (kept * (g - sum(g * kept, -1, True)),)
        parameter = next(iter(self.kind.parameters.values()), None)
        return (g * DERIVATIVES[self.kind.name](kept, parameter),)


OPS = {name: ActivationOp(name) for name in ACTIVATIONS}


def activate(name: str | Activation, x: Any, **parameters: float) -> Any:
    """Return f(x) for the activation function ``name``.

    Parameters
    ----------
    name : str
        A key of ``ops.activation.ACTIVATIONS``; softmax works along the last axis.
    x : Tensor
    **parameters : float
        ``alpha`` of leakyrelu and elu, ``beta`` of swish.

    Raises
    ------
    ConfigError
        For an unknown name, listing those there are, or a parameter that the function does not have.

    Examples
    --------
    >>> from enilnets.autodiff import Tensor, activate
    >>> activate("leakyrelu", Tensor([-1.0, 2.0]), alpha=0.5).numpy()
    array([-0.5,  2. ])
    """
    if not parameters and isinstance(name, str) and name in OPS:
        return apply_unary(OPS[name], x)
    function = name if isinstance(name, Activation) else with_parameters("activate", name, parameters)
    return apply_unary(OPS[function] if isinstance(function, str) else ActivationOp(function), x)


def relu(x: Any) -> Any:
    """Return max(x, 0)."""
    return activate("relu", x)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e^-x)."""
    return activate("sigmoid", x)


def tanh(x: Any) -> Any:
    """Return the hyperbolic tangent."""
    return activate("tanh", x)


def softplus(x: Any) -> Any:
    """Return log(1 + e^x) without overflow."""
    return activate("softplus", x)


def _last(where: str, x: Any, axis: int) -> int:
    ndim = value_of(x).ndim if is_operand(x) else np.ndim(x)
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{where}(axis)", f"an axis in [{-ndim}, {ndim})", str(axis))
    return axis - ndim if axis >= 0 else axis


def softmax(x: Any, axis: int = -1) -> Any:
    """Return e^x / Σ e^x along an axis."""
    axis = _last("softmax", x, axis)
    return activate("softmax", x) if axis == -1 else swapaxes(activate("softmax", swapaxes(x, axis, -1)), axis, -1)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """Return log softmax(x) along an axis, without loss of small probabilities."""
    return subtract(x, logsumexp(x, _last("log_softmax", x, axis), True))
