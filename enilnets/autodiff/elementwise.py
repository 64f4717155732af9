"""Functions of single elements, with NumPy's names and broadcasting.

Every function takes Tensors, Parameters, arrays and numbers. Where none of its arguments belongs to a graph, the result
is what NumPy gives. Gradients are written with the operations themselves, so that they have gradients too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ConfigError, ShapeError
from ..ops.array import as_numbers
from .nodes import Op
from .operands import apply, apply_binary, apply_unary, is_operand, joined, value_of

__all__ = [
    "absolute",
    "add",
    "arctan",
    "clip",
    "cos",
    "cosh",
    "divide",
    "exp",
    "expm1",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "reciprocal",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "tan",
    "where",
]

ADD = Op("add", np.add, [lambda g, node: g, lambda g, node: g])
SUBTRACT = Op("subtract", np.subtract, [lambda g, node: g, lambda g, node: -g])
MULTIPLY = Op("multiply", np.multiply, [lambda g, node, a, b: g * b, lambda g, node, a, b: g * a], (0, 1))
DIVIDE = Op(
    "divide", np.true_divide, [lambda g, node, a, b: g / b, lambda g, node, a, b: -g * a / square(b)], saves=(0, 1)
)
NEGATIVE = Op("negative", np.negative, [lambda g, node: -g])
EXP = Op("exp", np.exp, [lambda g, node, y: g * y], (-1,))
EXPM1 = Op("expm1", np.expm1, [lambda g, node, y: g * (y + 1)], (-1,))
LOG = Op("log", np.log, [lambda g, node, x: g / x], (0,))
LOG1P = Op("log1p", np.log1p, [lambda g, node, x: g / (x + 1)], (0,))
SQRT = Op("sqrt", np.sqrt, [lambda g, node, y: g / (y + y)], (-1,))
SQUARE = Op("square", np.square, [lambda g, node, x: g * (x + x)], (0,))
RECIPROCAL = Op("reciprocal", np.reciprocal, [lambda g, node, y: -g * square(y)], (-1,))
ABSOLUTE = Op("absolute", np.absolute, [lambda g, node, x: g * np.sign(value_of(x))], (0,))
SIN = Op("sin", np.sin, [lambda g, node, x: g * cos(x)], (0,))
COS = Op("cos", np.cos, [lambda g, node, x: -g * sin(x)], (0,))
TAN = Op("tan", np.tan, [lambda g, node, y: g * (square(y) + 1)], (-1,))
ARCTAN = Op("arctan", np.arctan, [lambda g, node, x: g / (square(x) + 1)], (0,))
SINH = Op("sinh", np.sinh, [lambda g, node, x: g * cosh(x)], (0,))
COSH = Op("cosh", np.cosh, [lambda g, node, x: g * sinh(x)], (0,))


def _share(a: Any, b: Any, of: np.ufunc) -> np.ndarray:
    """Where ``of(a, b)`` took a: 1; where it took b: 0; where both are equal: 1/2, as the mean of both sides."""
    a, b = value_of(a), value_of(b)
    dtype = np.result_type(a, b)
    return (of(a, b) == a).astype(dtype) - dtype.type(0.5) * (a == b)


MAXIMUM = Op(
    "maximum",
    np.maximum,
    [lambda g, node, a, b: g * _share(a, b, np.maximum), lambda g, node, a, b: g * _share(b, a, np.maximum)],
    (0, 1),
)
MINIMUM = Op(
    "minimum",
    np.minimum,
    [lambda g, node, a, b: g * _share(a, b, np.minimum), lambda g, node, a, b: g * _share(b, a, np.minimum)],
    (0, 1),
)


def _power_base(g: Any, node: Any, a: Any, b: Any, y: Any) -> Any:
    """The gradient b a^(b-1) is 0 where b is 0, also at a = 0."""
    exponent = value_of(b)
    if np.all(exponent):
        return g * b * power(a, b - 1)
    return g * b * power(a, where(exponent == 0, 1.0, b - 1))


def _power_exponent(g: Any, node: Any, a: Any, b: Any, y: Any) -> Any:
    """The gradient y log a is 0 where a is 0; where a is negative there is none (NaN)."""
    zero = value_of(a) == 0
    return g * y * log(where(zero, 1.0, a) if zero.any() else a)


POWER = Op("power", np.power, [_power_base, _power_exponent], (0, 1, -1))


def add(a: Any, b: Any) -> Any:
    """Return a + b."""
    return apply_binary(ADD, a, b)


def subtract(a: Any, b: Any) -> Any:
    """Return a - b."""
    return apply_binary(SUBTRACT, a, b)


def multiply(a: Any, b: Any) -> Any:
    """Return a b."""
    return apply_binary(MULTIPLY, a, b)


def divide(a: Any, b: Any) -> Any:
    """Return a / b."""
    return apply_binary(DIVIDE, a, b)


def power(a: Any, b: Any) -> Any:
    """Return a to the power of b; for both to have a gradient, a must not be negative."""
    if isinstance(b, (int, float)) and b == 2:
        return square(a)
    return apply_binary(POWER, a, b)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger one of a and b; where they are equal each gets half of the gradient."""
    return apply_binary(MAXIMUM, a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller one of a and b; where they are equal each gets half of the gradient."""
    return apply_binary(MINIMUM, a, b)


def negative(x: Any) -> Any:
    """Return -x."""
    return apply_unary(NEGATIVE, x)


def absolute(x: Any) -> Any:
    """Return \\|x\\|; its gradient at 0 is 0."""
    return apply_unary(ABSOLUTE, x)


def exp(x: Any) -> Any:
    """Return e^x."""
    return apply_unary(EXP, x)


def expm1(x: Any) -> Any:
    """Return e^x - 1, exact for small x."""
    return apply_unary(EXPM1, x)


def log(x: Any) -> Any:
    """Return the natural logarithm."""
    return apply_unary(LOG, x)


def log1p(x: Any) -> Any:
    """Return log(1 + x), exact for small x."""
    return apply_unary(LOG1P, x)


def sqrt(x: Any) -> Any:
    """Return the square root; its gradient at 0 is infinite."""
    return apply_unary(SQRT, x)


def square(x: Any) -> Any:
    """Return x^2."""
    return apply_unary(SQUARE, x)


def reciprocal(x: Any) -> Any:
    """Return 1 / x."""
    return apply_unary(RECIPROCAL, x)


def sin(x: Any) -> Any:
    """Return the sine."""
    return apply_unary(SIN, x)


def cos(x: Any) -> Any:
    """Return the cosine."""
    return apply_unary(COS, x)


def tan(x: Any) -> Any:
    """Return the tangent."""
    return apply_unary(TAN, x)


def arctan(x: Any) -> Any:
    """Return the angle in (-π/2, π/2) whose tangent is x."""
    return apply_unary(ARCTAN, x)


def sinh(x: Any) -> Any:
    """Return the hyperbolic sine."""
    return apply_unary(SINH, x)


def cosh(x: Any) -> Any:
    """Return the hyperbolic cosine."""
    return apply_unary(COSH, x)


# Choices between elements; what is chosen by is a constant


WHERE = Op(
    "where",
    lambda a, b, condition: np.where(condition, a, b),
    [lambda g, node: where(node.settings[0], g, 0.0), lambda g, node: where(node.settings[0], 0.0, g)],
)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return the elements of ``a`` where ``condition`` holds, else those of ``b``.

    Parameters
    ----------
    condition : array_like of bool
        A constant; a Tensor counts by its data.
    a, b : Tensor or array_like
        All three are broadcast. A gradient of 0 goes to what was not chosen, whatever its value.
    """
    condition = np.asarray(value_of(condition))
    if condition.dtype != bool:
        condition = condition != 0
    if is_operand(a) or is_operand(b):
        try:
            return apply_binary(WHERE, a, b, (condition,))
        except ShapeError as error:
            shapes = ", ".join(str(np.shape(value_of(part))) for part in (condition, a, b))
            raise ShapeError("where", "a condition and two operands that broadcast", shapes) from error
    (x, _), (y, _) = joined(a, b)
    return np.where(condition, x, y)


def _inside(x: np.ndarray, low: Any, high: Any) -> np.ndarray:
    inside = np.ones(x.shape, bool) if low is None else x >= low
    return inside if high is None else inside & (x <= high)


CLIP = Op("clip", np.clip, [lambda g, node, x: where(_inside(value_of(x), *node.settings), g, 0.0)], (0,))


def clip(x: Any, low: Any, high: Any) -> Any:
    """Move the elements of ``x`` into [low, high].

    Parameters
    ----------
    x : Tensor
    low, high : number, array_like or None
        Constants that are broadcast to the shape of ``x``; None for no limit. Where the elements lie outside, the
        gradient is 0.
    """
    if low is None and high is None:
        raise ConfigError("clip", "low, high or both", "neither")
    array = value_of(x) if is_operand(x) else np.asarray(x)
    named = (("low", low), ("high", high))
    limits = tuple(
        None if n is None else as_numbers("clip", name, value_of(n)).astype(array.dtype) for name, n in named
    )
    for name, limit in zip(("low", "high"), limits, strict=True):
        if limit is not None and not _fits(limit.shape, array.shape):
            raise ShapeError(f"clip({name})", f"a shape that broadcasts to {array.shape}", f"{limit.shape}")
    return apply(CLIP, (x,), limits)


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether ``shape`` broadcasts to ``whole``."""
    ends = zip(shape[::-1], whole[::-1], strict=False)
    return len(shape) <= len(whole) and all(n in (1, m) for n, m in ends)
