"""Activation functions and their gradients.

The table ``ACTIVATIONS`` lists the names a model may use. ``activation`` and ``activation_backward`` are the pair that
layers call; ``activate`` and ``derivative`` are the public functions that take whatever NumPy can read.

Equations, with s(x) = 1 / (1 + e^-x):

=========== ============================================== =====================================
name        y = f(x)                                       f'(x)
=========== ============================================== =====================================
relu        max(x, 0)                                      1 if x > 0 else 0
leakyrelu   x if x > 0 else 0.01 x                         1 if x > 0 else 0.01
elu         x if x > 0 else e^x - 1                        1 if x > 0 else y + 1
selu        l x if x > 0 else l a (e^x - 1)                l if x > 0 else y + l a
sigmoid     s(x)                                           y (1 - y)
tanh        tanh x                                         1 - y^2
softmax     e^x_i / sum_k e^x_k over the last axis         y_i ([i = j] - y_j)
softplus    log(1 + e^x)                                   1 - e^-y = s(x)
gelu        x s(2u) = x/2 (1 + tanh u)                     s(2u) + 2 x s(2u) (1 - s(2u)) u'
swish       x s(x)                                         s(x) (1 + x (1 - s(x)))
mish        x tanh(log(1 + e^x))                           t + x (1 - t^2) s(x),  t = y / x
linear      x                                              1
=========== ============================================== =====================================

with l = 1.0507009873554805, a = 1.6732632423543772 and u = sqrt(2/pi) (x + 0.044715 x^3).

Three have a parameter: ``alpha`` of leakyrelu (0.01 above) and of elu, ``alpha (e^x - 1)`` below 0; ``beta`` of swish,
``x s(beta x)``. Another value than the default runs through the kernels of the default and a product with NumPy; its
results are the same bits wherever it is used, but no program of ``_ext.chain`` and no matrix product does it on the
way.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from .._ext import pointwise as _kernels
from ..checks import choice, number
from ..errors import ConfigError, ShapeError
from .array import as_numbers, output, real, same_dtype, same_shape

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "activate",
    "activation",
    "activation_backward",
    "activation_backward_sums",
    "check_activation",
    "derivative",
    "with_parameters",
]


class Activation(NamedTuple):
    """An activation function: its name, what its backward function needs to be handed, and its parameters."""

    name: str
    saves: Literal["output", "input", "nothing"]
    parameters: Mapping[str, float] = MappingProxyType({})


#: Every activation by name.
ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("relu", "output"),
    "leakyrelu": Activation("leakyrelu", "output", {"alpha": 0.01}),
    "elu": Activation("elu", "output", {"alpha": 1.0}),
    "selu": Activation("selu", "output"),
    "sigmoid": Activation("sigmoid", "output"),
    "tanh": Activation("tanh", "output"),
    "softmax": Activation("softmax", "output"),
    "softplus": Activation("softplus", "output"),
    "gelu": Activation("gelu", "input"),
    "swish": Activation("swish", "input", {"beta": 1.0}),
    "mish": Activation("mish", "input"),
    "linear": Activation("linear", "nothing"),
}


def with_parameters(where: str, name: str, parameters: Mapping[str, float]) -> str | Activation:
    """Return the activation ``name`` with these parameters, as the functions of this module take it.

    Parameters
    ----------
    where : str
        The caller, for messages.
    name : str
        A key of ``ACTIVATIONS``.
    parameters : mapping of str to float
        ``alpha`` >= 0 for leakyrelu and elu, ``beta`` > 0 for swish.

    Returns
    -------
    str or Activation
        The name alone if all parameters have their default values.

    Raises
    ------
    ConfigError
        For a parameter that the activation does not have, listing those it has, or a value out of range.

    Examples
    --------
    >>> activation(with_parameters("example", "leakyrelu", {"alpha": 0.5}), np.array([-2.0, 2.0]))[0]
    array([-1.,  2.])
    """
    kind = check_activation(where, name)
    if not isinstance(parameters, Mapping):
        raise ConfigError(f"{where}(activation_params)", "a dict of numbers by name", repr(parameters))
    unknown = [key for key in parameters if key not in kind.parameters]
    if unknown:
        known = ", ".join(kind.parameters) or "no parameters"
        names = ", ".join(map(str, unknown))
        raise ConfigError(f"{where}(activation_params) of {name}", known, names, "remove or rename them")
    values = {key: number(where, key, value, 0.0, above=key == "beta") for key, value in parameters.items()}
    wanted = {**kind.parameters, **values}
    return name if wanted == kind.parameters else kind._replace(parameters=wanted)


def check_activation(where: str, name: Any) -> Activation:
    """Return the entry of ``ACTIVATIONS`` for ``name``, or ``name`` itself if it comes from ``with_parameters``.

    Parameters
    ----------
    where : str
        The caller, for the message.
    name : str
        A key of ``ACTIVATIONS``.

    Raises
    ------
    ConfigError
        If there is no activation of that name; the message lists those there are.
    """
    if isinstance(name, Activation):
        return name
    try:
        return ACTIVATIONS[name]
    except (KeyError, TypeError):  # TypeError: a list, which has no hash
        return ACTIVATIONS[choice(where, "activation", name, ACTIVATIONS)]


def activation(
    name: str | Activation, x: np.ndarray, out: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Apply an activation function.

    Parameters
    ----------
    name : str or Activation
        A key of ``ACTIVATIONS``, or what ``with_parameters`` returned.
    x : ndarray of float32 or float64, any shape
        At least one axis for softmax, which works along the last.
    out : ndarray, optional
        Where to write the result; may be ``x`` itself.

    Returns
    -------
    y : ndarray, shape and dtype of ``x``
        ``x`` itself for linear without ``out``.
    saved : ndarray or None
        What ``activation_backward`` needs: ``y``, ``x`` (a copy if ``out`` is ``x``) or nothing.

    Raises
    ------
    ConfigError
        If the name is unknown.
    DTypeError
        If ``x`` is not a float32 or float64 array.
    ShapeError
        If ``out`` does not fit, or softmax gets an array without axes.
    """
    kind = check_activation("activation", name)
    saves = kind.saves
    x = real("activation", "x", x)
    if saves == "nothing" and out is None:
        return x, None
    y = output("activation", out, x.shape, x.dtype)
    if saves == "input":
        z = x.copy() if y is x else x
        if _is_own(kind):
            _forward_with(kind, y, z)
        else:
            _kernels.forward(kind.name, y, z)
        return y, z
    if saves == "nothing":
        np.copyto(y, x)
        return y, None
    if _is_own(kind):
        _forward_with(kind, y, x)
    elif kind.name == "softmax":
        _check_axis("activation", x)
        _kernels.softmax(y, x)
    else:
        _kernels.forward(kind.name, y, x)
    return y, y


def _is_own(kind: Activation) -> bool:
    """Whether ``kind`` has parameters other than the kernels'."""
    return kind is not ACTIVATIONS[kind.name]


def _forward_with(kind: Activation, y: np.ndarray, x: np.ndarray) -> None:
    """Write f(x) under parameters of its own into ``y``, which may be ``x``."""
    real_type = x.dtype.type
    if kind.name == "swish":  # x s(b x) = swish(b x) / b
        beta = real_type(kind.parameters["beta"])
        _kernels.forward("swish", y, x * beta)
        y /= beta
    else:
        alpha = real_type(kind.parameters["alpha"])
        if kind.name == "elu":
            _kernels.forward("elu", y, x)
            x = y
        np.multiply(x, np.where(x > 0, real_type(1), alpha), out=y)


def _backward_with(kind: Activation, dx: np.ndarray, dy: np.ndarray, saved: np.ndarray) -> None:
    """Write dy f' under parameters of its own into ``dx``, which may be ``dy``."""
    real_type = dy.dtype.type
    if kind.name == "swish":  # the derivative of swish(b x) / b is swish'(b x)
        _kernels.backward("swish", dx, dy, saved * real_type(kind.parameters["beta"]))
    else:
        alpha = real_type(kind.parameters["alpha"])
        below = saved + alpha if kind.name == "elu" else alpha
        np.multiply(dy, np.where(saved > 0, real_type(1), below), out=dx)


def activation_backward(
    name: str | Activation, dy: np.ndarray, saved: np.ndarray | None, out: np.ndarray | None = None
) -> np.ndarray:
    """Return the gradient at the input of an activation function, given the gradient at its output.

    Parameters
    ----------
    name : str or Activation
        As for ``activation``.
    dy : ndarray of float32 or float64, any shape
    saved : ndarray or None
        What ``activation`` returned beside ``y``.
    out : ndarray, optional
        Where to write the result; may be ``dy`` itself.

    Returns
    -------
    dx : ndarray, shape and dtype of ``dy``
        ``dy`` itself for linear without ``out``.

    Raises
    ------
    ConfigError
        If the name is unknown.
    DTypeError
        If ``dy`` or ``saved`` is not a float32 or float64 array, or they differ in dtype.
    ShapeError
        If ``saved`` or ``out`` does not have the shape of ``dy``, or softmax gets an array without axes.

    Notes
    -----
    ``dx = dy f'(x)``; for softmax, whose outputs depend on all inputs of a row, ``dx = y (dy - sum(dy y))``, the
    product with the whole Jacobian ``diag(y) - y yᵀ``.
    """
    kind = check_activation("activation_backward", name)
    saves = kind.saves
    dy = real("activation_backward", "dy", dy)
    if saves == "nothing":
        if out is None:
            return dy
        dx = output("activation_backward", out, dy.shape, dy.dtype)
        np.copyto(dx, dy)
        return dx
    saved = real("activation_backward", "saved", saved)
    same_shape("activation_backward", "saved", saved, dy.shape)
    same_dtype("activation_backward", "saved", saved, dy.dtype)
    dx = output("activation_backward", out, dy.shape, dy.dtype)
    if _is_own(kind):
        _backward_with(kind, dx, dy, saved)
    elif kind.name == "softmax":
        _check_axis("activation_backward", dy)
        _kernels.softmax_backward(dx, dy, saved)
    else:
        _kernels.backward(kind.name, dx, dy, saved)
    return dx


def activation_backward_sums(
    name: str | Activation,
    dy: np.ndarray,
    saved: np.ndarray | None,
    out: np.ndarray | None = None,
    sums: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``activation_backward`` together with the column sums of its result, the gradient of a bias.

    Parameters
    ----------
    name : str or Activation
        As for ``activation``.
    dy : ndarray (..., n) of float32 or float64
    saved : ndarray or None
        What ``activation`` returned beside ``y``.
    out : ndarray (..., n), optional
        Where to write the gradient; may be ``dy`` itself.
    sums : ndarray (n,), optional
        Where to write the sums.

    Returns
    -------
    dx : ndarray (..., n)
        ``dy`` itself for linear without ``out``.
    sums : ndarray (n,)

    Raises
    ------
    ConfigError, DTypeError, ShapeError
        As ``activation_backward`` and ``column_sums`` do.

    Notes
    -----
    The bits are those of the two separate ops; memory is passed over once.
    """
    kind = check_activation("activation_backward_sums", name)
    saves = kind.saves
    dy = real("activation_backward_sums", "dy", dy)
    _check_axis("activation_backward_sums", dy)
    sums = output("activation_backward_sums", sums, dy.shape[-1:], dy.dtype)
    if saves == "nothing" or kind.name == "softmax" or _is_own(kind):
        dx = activation_backward(name, dy, saved, out)
        _kernels.column_sums(sums, dx)
        return dx, sums
    saved = real("activation_backward_sums", "saved", saved)
    same_shape("activation_backward_sums", "saved", saved, dy.shape)
    same_dtype("activation_backward_sums", "saved", saved, dy.dtype)
    dx = output("activation_backward_sums", out, dy.shape, dy.dtype)
    _kernels.backward_sums(kind.name, dx, sums, dy, saved)
    return dx, sums


def activate(name: str, x: Any, **parameters: float) -> np.ndarray:
    """Return f(x) for the activation function ``name``.

    Parameters
    ----------
    name : str
        A key of ``ACTIVATIONS``.
    x : array_like of real numbers
        Infinities give the function's limit, NaN gives NaN.
    **parameters : float
        ``alpha`` of leakyrelu and elu, ``beta`` of swish; see ``with_parameters``.

    Returns
    -------
    ndarray
        Of the shape of ``x``; float32 if ``x`` is, else float64. Never ``x`` itself.

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown.
    DTypeError
        If ``x`` does not hold real numbers.

    Examples
    --------
    >>> activate("relu", [-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    x = _as_real("activate", x)
    return activation(with_parameters("activate", name, parameters), x, np.empty(x.shape, x.dtype))[0]


def derivative(name: str, x: Any, **parameters: float) -> np.ndarray:
    """Return f'(x) for the activation function ``name``.

    Parameters
    ----------
    name : str
        A key of ``ACTIVATIONS``.
    x : array_like of real numbers
        The input of the function (not its output).
    **parameters : float
        As for ``activate``.

    Returns
    -------
    ndarray
        Of the shape of ``x``; float32 if ``x`` is, else float64. At the kink of relu and leakyrelu it is the slope
        on the left.

    Raises
    ------
    ConfigError
        If the name or a parameter is unknown.
    DTypeError
        If ``x`` does not hold real numbers.

    Notes
    -----
    For softmax this is the diagonal of the Jacobian, ``y (1 - y)``. Training does not use it:
    ``activation_backward`` multiplies with the whole Jacobian.

    Examples
    --------
    >>> derivative("tanh", [0.0, 100.0])
    array([1., 0.])
    """
    x = _as_real("derivative", x)
    function = with_parameters("derivative", name, parameters)
    y, saved = activation(function, x)
    if name == "softmax":
        return y * (1 - y)
    return activation_backward(function, np.ones_like(x), saved)


def _check_axis(where: str, x: np.ndarray) -> None:
    if x.ndim == 0:
        raise ShapeError(where, "an array with at least one axis", "shape ()")


def _as_real(where: str, x: Any) -> np.ndarray:
    """``x`` as an array of float32 if that is what it is, else of float64."""
    x = as_numbers(where, "x", x)
    return np.asarray(x, np.float32 if x.dtype == np.float32 else np.float64, order="C")
