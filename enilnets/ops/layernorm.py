"""Normalisation of every sample by itself: over its last axes, or over groups of its channels."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._ext import norm as _kernels
from ..checks import integer, number
from ..errors import DataError, ShapeError
from .array import empty, output, real, same_dtype, same_shape

__all__ = ["LayerNormSaved", "groupnorm", "layernorm", "layernorm_backward"]

#: Below this, 1 / sqrt(eps) would overflow float32 in a sample of variance zero.
LEAST_EPS = 1e-75


class LayerNormSaved(NamedTuple):
    """What ``layernorm_backward`` needs."""

    x: np.ndarray
    """The input; the caller's own array unless it had to be copied, so it must not change before the backward pass."""
    rows: tuple[int, int, int]
    """The input as (rows, channels, elements per channel); a row is what was normalised together."""
    statistics: np.ndarray
    """(3, rows) Mean, ``1 / sqrt(var + eps)``, and what rounding the mean cost."""
    gamma: np.ndarray
    """Copy of the scales that were used."""
    training: bool = True
    """Whether the pass was one of training; the gradient is the same."""


def _normalise(
    where: str,
    x: np.ndarray,
    rows: tuple[int, int, int],
    gamma: np.ndarray,
    beta: np.ndarray,
    eps: float,
    out: np.ndarray | None,
) -> tuple[np.ndarray, LayerNormSaved]:
    gamma, beta = real(where, "gamma", gamma), real(where, "beta", beta)
    for name, values in (("gamma", gamma), ("beta", beta)):
        same_dtype(where, name, values, x.dtype)
    same_shape(where, "beta", beta, gamma.shape)
    eps = number(where, "eps", eps, LEAST_EPS)
    if rows[1] * rows[2] == 0:
        raise DataError(f"{where}(x)", "at least one value to take the mean of", f"shape {x.shape}")
    y = output(where, out, x.shape, x.dtype)
    statistics = np.empty((3, rows[0]), x.dtype)
    mean, inv_std, rest = statistics
    x_, y_ = x.reshape(rows), y.reshape(rows)
    _kernels.layernorm(y_, mean, inv_std, rest, x_, gamma.reshape(-1), beta.reshape(-1), eps)
    return y, LayerNormSaved(x, rows, statistics, gamma.copy())


def layernorm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float, out: np.ndarray | None = None
) -> tuple[np.ndarray, LayerNormSaved]:
    """Normalise over the last axes, as many as ``gamma`` has.

    Parameters
    ----------
    x : ndarray (..., *gamma.shape), float32 or float64
    gamma, beta : ndarray
        Scale and offset of every element after normalisation, of the dtype of ``x``.
    eps : float > 0
        Added to the variance.
    out : ndarray of the shape of ``x``, optional
        Where to write the result.

    Returns
    -------
    y : ndarray of the shape of ``x``
    saved : LayerNormSaved
        To be handed to ``layernorm_backward``.

    Raises
    ------
    ShapeError
        If ``x`` does not end in the axes of ``gamma``.
    DataError
        If there is nothing to take a mean of.
    DTypeError, ConfigError
        If the arrays are not all float32 or all float64; if ``eps`` is not a positive number.

    Notes
    -----
    With mean ``m`` and biased variance ``v`` over those axes, ``y = gamma (x - m) / sqrt(v + eps) + beta``. Both are
    accurate however large ``|m|`` is beside ``sqrt(v)``.

    References
    ----------
    Ba, Kiros and Hinton (2016), "Layer normalization", eq. 4.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.ops.layernorm import layernorm
    >>> layernorm(np.array([[1.0, 3.0]]), np.ones(2), np.zeros(2), 1e-12)[0].round(6).tolist()
    [[-1.0, 1.0]]
    """
    x = real("layernorm", "x", x)
    shape = gamma.shape
    if not shape or len(shape) > x.ndim or x.shape[x.ndim - len(shape) :] != shape:
        raise ShapeError("layernorm(x)", f"shape (..., {', '.join(map(str, shape))})", f"shape {x.shape}")
    rows = math.prod(x.shape[: x.ndim - len(shape)]), math.prod(shape), 1
    return _normalise("layernorm", x, rows, gamma, beta, eps, out)


def groupnorm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float, out: np.ndarray | None = None
) -> tuple[np.ndarray, LayerNormSaved]:
    """Normalise over groups of neighbouring channels.

    Parameters
    ----------
    x : ndarray (batch, channels, ...), float32 or float64
    gamma, beta : ndarray (channels,)
        Scale and offset of every channel after normalisation.
    groups : int >= 1
        A divisor of the channels: 1 normalises every sample as a whole, the number of channels each channel alone.
    eps : float > 0
        Added to the variance.
    out : ndarray of the shape of ``x``, optional
        Where to write the result.

    Returns
    -------
    y : ndarray of the shape of ``x``
    saved : LayerNormSaved
        To be handed to ``layernorm_backward``.

    Raises
    ------
    ShapeError
        If the channels do not fit ``gamma`` or ``groups``.
    DataError, DTypeError, ConfigError
        See ``layernorm``.

    References
    ----------
    Wu and He (2018), "Group normalization", eq. 1 to 4.
    """
    x = real("groupnorm", "x", x)
    groups = integer("groupnorm", "groups", groups, 1)
    if x.ndim < 2 or gamma.shape != x.shape[1:2] or x.shape[1] % groups:
        expected = f"shape (batch, {gamma.size}, ...) with channels that {groups} groups divide"
        raise ShapeError("groupnorm(x)", expected, f"shape {x.shape}")
    rows = x.shape[0] * groups, x.shape[1] // groups, math.prod(x.shape[2:])
    return _normalise("groupnorm", x, rows, gamma, beta, eps, out)


def layernorm_backward(
    dy: np.ndarray,
    saved: LayerNormSaved,
    *,
    params: bool = True,
    inputs: bool = True,
    dgamma: np.ndarray | None = None,
    dbeta: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of ``layernorm`` or ``groupnorm``, whichever ``saved`` came from.

    Parameters
    ----------
    dy : ndarray of the shape of ``x``
    saved : LayerNormSaved
    params, inputs : bool, default True
        Whether the gradients of ``gamma`` and ``beta``, and of ``x``, are wanted.
    dgamma, dbeta : ndarray of the shape of ``gamma``, optional
        Where to write these gradients; what was there is overwritten.

    Returns
    -------
    dx : ndarray of the shape of ``x``, or None
    dgamma, dbeta : ndarray of the shape of ``gamma``, or None
        None where not wanted.

    Raises
    ------
    ShapeError, DTypeError
        If ``dy`` does not have the shape and dtype of ``x``.

    Notes
    -----
    With ``xhat = (x - m) / sqrt(v + eps)``, ``g = dy gamma`` and means over what was normalised together,
    ``dx = (g - mean g - xhat mean(g xhat)) / sqrt(v + eps)``; ``dbeta = sum dy`` and ``dgamma = sum dy xhat`` over all
    elements that share a scale.
    """
    x, rows = saved.x, saved.rows
    dy = real("layernorm_backward", "dy", dy)
    same_shape("layernorm_backward", "dy", dy, x.shape)
    same_dtype("layernorm_backward", "dy", dy, x.dtype)
    dy_, x_, gamma = dy.reshape(rows), x.reshape(rows), saved.gamma
    mean, inv_std, rest = saved.statistics
    dx = None
    if inputs:
        dx = empty(x.shape, x.dtype)
        _kernels.layernorm_backward(dx.reshape(rows), dy_, x_, mean, inv_std, rest, gamma.reshape(-1))
    if not params:
        return dx, None, None
    dgamma = output("layernorm_backward", dgamma, gamma.shape, x.dtype)
    dbeta = output("layernorm_backward", dbeta, gamma.shape, x.dtype)
    _kernels.layernorm_sums(dgamma.reshape(-1), dbeta.reshape(-1), dy_, x_, mean, inv_std, rest)
    return dx, dgamma, dbeta
