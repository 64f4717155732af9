"""Batch normalisation of features, sequences (batch, channels, length) and images (batch, channels, height, width)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._ext import norm as _kernels
from ..checks import number
from ..errors import ConfigError, DataError, ShapeError
from .activation import check_activation
from .array import empty, output, real, same_dtype, same_shape

__all__ = ["BatchNormSaved", "batchnorm", "batchnorm_backward", "batchnorm_inference", "blend"]

#: Below this, 1 / sqrt(eps) would overflow float32 in a channel of variance zero.
LEAST_EPS = 1e-75


class BatchNormSaved(NamedTuple):
    """What ``batchnorm_backward`` needs; ``mean`` and ``var`` are also what running statistics are made of."""

    x: np.ndarray
    """The input; the caller's own array unless it had to be copied, so it must not change before the backward pass."""
    mean: np.ndarray
    """(channels,) Mean that was subtracted."""
    var: np.ndarray
    """(channels,) Variance that was divided by: biased, over batch and pixels, where it is that of the batch."""
    inv_std: np.ndarray | None
    """(channels,) ``1 / sqrt(var + eps)`` in training, None in inference."""
    gamma: np.ndarray
    """(channels,) Copy of the scales that were used."""
    eps: float
    """Added to the variance."""
    training: bool
    """True if mean and var are those of the batch."""
    activation: str = "linear"
    """Name of the activation that was applied to the normalised x."""
    activated: np.ndarray | None = None
    """What the activation's derivative is made from, y or z; it must not change before the backward pass."""
    z: np.ndarray | None = None
    """The normalised x before the activation, if it was kept."""


def _three_axes(where: str, x: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Return ``x`` as a kernel reads it, and its shape as (batch, channels, pixels)."""
    x = real(where, "x", x)
    if x.ndim in (2, 3, 4):
        return x, (x.shape[0], x.shape[1], math.prod(x.shape[2:]))
    raise ShapeError(
        f"{where}(x)",
        "shape (batch, features), (batch, channels, length) or (batch, channels, height, width)",
        f"shape {x.shape}",
        "reshape it; other axes belong to the batch",
    )


def _per_channel(where: str, name: str, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the parameter ``values`` as a kernel reads it, after checking it against ``x``."""
    values = real(where, name, values)
    same_dtype(where, name, values, x.dtype)
    if values.shape != x.shape[1:2]:
        raise ShapeError(
            f"{where}({name})",
            f"shape ({x.shape[1]},), one value per channel of x {x.shape}",
            f"shape {values.shape}",
            "build the layer for this number of channels",
        )
    return values


def _check_eps(where: str, eps: float) -> None:
    if type(eps) is not float or not LEAST_EPS <= eps < math.inf:  # a question of 0.05 us instead of 0.5
        number(where, "eps", eps, LEAST_EPS)


def _place_of_z(where: str, name: str, x: np.ndarray, keep_z: bool) -> tuple[str | None, np.ndarray | None]:
    """The kernel's name for the activation, and a new array for z if that is needed besides the output."""
    kind = check_activation(where, name)
    if kind.saves == "nothing":
        return None, None
    if name == "softmax":
        raise ConfigError(
            f"{where}(activation)", "an activation of single elements", "'softmax'", "apply it afterwards"
        )
    return name, empty(x.shape, x.dtype) if keep_z or kind.saves == "input" else None


def _with_activation(
    saved: BatchNormSaved, name: str | None, y: np.ndarray, z: np.ndarray | None, keep_z: bool
) -> BatchNormSaved:
    """``saved`` with what the activation's derivative needs."""
    if name is None:
        return saved._replace(z=y) if keep_z else saved
    activated = y if check_activation("batchnorm", name).saves == "output" else z
    return saved._replace(activation=name, activated=activated, z=z if keep_z else None)


def batchnorm(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    eps: float,
    out: np.ndarray | None = None,
    activation: str = "linear",
    keep_z: bool = False,
) -> tuple[np.ndarray, BatchNormSaved]:
    """Normalise every channel with the mean and variance of this batch, as in training.

    Parameters
    ----------
    x : ndarray (batch, features), (batch, channels, length) or (batch, channels, height, width), float32 or float64
    gamma, beta : ndarray (channels,)
        Scale and offset after normalisation, of the dtype of ``x``.
    eps : float > 0
        Added to the variance.
    out : ndarray of the shape of ``x``, optional
        Where to write the result.
    activation : str, default "linear"
        A key of ``ops.activation.ACTIVATIONS`` but softmax, applied on the way: the bits are those of
        ``activation(name, y)`` afterwards, but memory is passed over once less.
    keep_z : bool, default False
        Keep the normalised x before the activation in ``saved.z``.

    Returns
    -------
    y : ndarray of the shape of ``x``
        A channel of variance zero, such as any feature in a batch of one, gives ``beta``.
    saved : BatchNormSaved
        To be handed to ``batchnorm_backward``; its ``mean`` and ``var`` are those of the batch.

    Raises
    ------
    ShapeError
        If ``x`` has not 2, 3 or 4 axes, or ``gamma`` or ``beta`` does not fit.
    DataError
        If ``x`` is empty: then there is no mean.
    ConfigError
        If ``eps`` is not a positive number, or there is no such activation.
    DTypeError
        If the arrays are not all float32 or all float64.

    Notes
    -----
    With the mean ``m`` and the biased variance ``v`` of a channel over batch and pixels,
    ``y = gamma (x - m) / sqrt(v + eps) + beta``. Both are accurate however large ``|m|`` is beside ``sqrt(v)``.

    References
    ----------
    Ioffe and Szegedy (2015), "Batch normalization", algorithm 1.
    """
    x, shape = _three_axes("batchnorm", x)
    gamma = _per_channel("batchnorm", "gamma", gamma, x)
    beta = _per_channel("batchnorm", "beta", beta, x)
    _check_eps("batchnorm", eps)
    if shape[0] == 0 or shape[2] == 0:
        raise DataError(
            "batchnorm(x)",
            "at least one value per channel",
            f"shape {x.shape}",
            "leave out empty batches, or use the running statistics (inference)",
        )
    y = output("batchnorm", out, x.shape, x.dtype)
    mean, var, inv_std = np.empty((3, shape[1]), x.dtype)
    name, z = _place_of_z("batchnorm", activation, x, keep_z)
    z_ = None if z is None else z.reshape(shape)
    _kernels.batchnorm(y.reshape(shape), mean, var, inv_std, x.reshape(shape), gamma, beta, eps, name, z_)
    saved = BatchNormSaved(x, mean, var, inv_std, gamma.copy(), float(eps), True)
    return y, _with_activation(saved, name, y, z, keep_z)


def batchnorm_inference(
    x: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    eps: float,
    out: np.ndarray | None = None,
    activation: str = "linear",
    keep_z: bool = False,
) -> tuple[np.ndarray, BatchNormSaved]:
    """Normalise every channel with given statistics, as in inference.

    Parameters
    ----------
    x : ndarray (batch, features), (batch, channels, length) or (batch, channels, height, width), float32 or float64
    mean, var : ndarray (channels,)
        Statistics to normalise with, usually running averages; ``var >= 0``.
    gamma, beta : ndarray (channels,)
        Scale and offset after normalisation.
    eps : float > 0
        Added to the variance.
    out : ndarray of the shape of ``x``, optional
        Where to write the result.
    activation : str, default "linear"
        A key of ``ops.activation.ACTIVATIONS`` but softmax, applied on the way: the bits are those of
        ``activation(name, y)`` afterwards, but memory is passed over once less.
    keep_z : bool, default False
        Keep the normalised x before the activation in ``saved.z``.

    Returns
    -------
    y : ndarray of the shape of ``x``
    saved : BatchNormSaved
        To be handed to ``batchnorm_backward``, which then treats ``mean`` and ``var`` as constants.

    Raises
    ------
    ShapeError
        If ``x`` has not 2, 3 or 4 axes, or a parameter does not fit.
    ConfigError
        If ``eps`` is not a positive number, or there is no such activation.
    DTypeError
        If the arrays are not all float32 or all float64.

    Notes
    -----
    ``y = gamma (x - mean) / sqrt(var + eps) + beta``

    References
    ----------
    Ioffe and Szegedy (2015), "Batch normalization", algorithm 2.
    """
    x, shape = _three_axes("batchnorm_inference", x)
    mean = _per_channel("batchnorm_inference", "mean", mean, x)
    var = _per_channel("batchnorm_inference", "var", var, x)
    gamma = _per_channel("batchnorm_inference", "gamma", gamma, x)
    beta = _per_channel("batchnorm_inference", "beta", beta, x)
    _check_eps("batchnorm_inference", eps)
    y = output("batchnorm_inference", out, x.shape, x.dtype)
    name, z = _place_of_z("batchnorm_inference", activation, x, keep_z)
    z_ = None if z is None else z.reshape(shape)
    _kernels.batchnorm_inference(y.reshape(shape), x.reshape(shape), mean, var, gamma, beta, eps, name, z_)
    saved = BatchNormSaved(x, mean.copy(), var.copy(), None, gamma.copy(), float(eps), False)
    return y, _with_activation(saved, name, y, z, keep_z)


def batchnorm_backward(
    dy: np.ndarray,
    saved: BatchNormSaved,
    *,
    params: bool = True,
    inputs: bool = True,
    dgamma: np.ndarray | None = None,
    dbeta: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of ``batchnorm`` or ``batchnorm_inference``, whichever ``saved`` came from.

    Parameters
    ----------
    dy : ndarray of the shape of ``x``
    saved : BatchNormSaved
    params, inputs : bool, default True
        Whether the gradients of ``gamma`` and ``beta``, and of ``x``, are wanted.
    dgamma, dbeta : ndarray (channels,), optional
        Where to write these gradients; what was there is overwritten.

    Returns
    -------
    dx : ndarray of the shape of ``x``, or None
    dgamma, dbeta : ndarray (channels,), or None
        None where not wanted.

    Raises
    ------
    ShapeError
        If ``dy`` does not have the shape of ``x``, or ``dgamma`` or ``dbeta`` cannot be written to.
    DTypeError
        If ``dy`` does not have the dtype of ``x``.

    Notes
    -----
    With ``xhat = (x - mean) inv_std`` and sums over the M values of a channel, ``dbeta = sum dy``,
    ``dgamma = sum dy xhat``, and ``dx = gamma inv_std (dy - dbeta / M - xhat dgamma / M)`` in training, where mean and
    variance depend on x; ``dx = gamma inv_std dy`` in inference, where they do not. With an activation, ``dy f'(z)``
    takes the place of ``dy``, with the bits of ``activation_backward``.

    References
    ----------
    Ioffe and Szegedy (2015), "Batch normalization", section 3.
    """
    x = saved.x
    shape = (x.shape[0], x.shape[1], math.prod(x.shape[2:]))
    dy = real("batchnorm_backward", "dy", dy)
    same_shape("batchnorm_backward", "dy", dy, x.shape)
    same_dtype("batchnorm_backward", "dy", dy, x.dtype)
    if not (params or inputs):
        return None, None, None
    dx = empty(x.shape, x.dtype) if inputs else None
    dx_, dy_, x_ = dx if dx is None else dx.reshape(shape), dy.reshape(shape), x.reshape(shape)
    if params:
        dgamma = output("batchnorm_backward", dgamma, (shape[1],), x.dtype)
        dbeta = output("batchnorm_backward", dbeta, (shape[1],), x.dtype)
    elif saved.training:
        dgamma, dbeta = np.empty((2, shape[1]), x.dtype)  # dx depends on them
    else:
        dgamma = dbeta = None
    name = None if saved.activated is None else saved.activation
    activated = None if saved.activated is None else saved.activated.reshape(shape)
    if saved.inv_std is not None:  # batch statistics
        _kernels.batchnorm_backward(
            dx_, dgamma, dbeta, dy_, x_, saved.mean, saved.inv_std, saved.gamma, name, activated
        )
    else:
        _kernels.batchnorm_inference_backward(
            dx_, dgamma, dbeta, dy_, x_, saved.mean, saved.var, saved.gamma, saved.eps, name, activated
        )
    return (dx, dgamma, dbeta) if params else (dx, None, None)


def blend(x: np.ndarray, y: np.ndarray, weight: float) -> None:
    """Move ``x`` towards ``y`` in place: ``x = (1 - weight) x + weight y``, as running statistics do.

    Parameters
    ----------
    x : ndarray of float32 or float64, C-contiguous and writable
    y : ndarray, shape and dtype of ``x``
    weight : float
        1 makes ``x`` equal to ``y``.

    Raises
    ------
    ShapeError
        If the shapes differ, or ``x`` cannot be written in place.
    DTypeError
        If the arrays are not both float32 or both float64.
    """
    if real("blend", "x", x) is not x:
        raise ShapeError("blend(x)", "a C-contiguous, aligned array", f"strides {x.strides} for shape {x.shape}")
    y = real("blend", "y", y)
    same_shape("blend", "y", y, x.shape)
    same_dtype("blend", "y", y, x.dtype)
    _kernels.blend(output("blend", x, x.shape, x.dtype), y, weight)
