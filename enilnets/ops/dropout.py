"""Dropout: zeroes a random share of the elements and scales up the rest."""

from __future__ import annotations

import numpy as np

from .._ext import dropout as _kernels
from ..checks import fraction, integer
from ..errors import DTypeError
from .array import empty, output, real, same_shape

__all__ = ["dropout", "dropout_backward"]


def _check_rate(where: str, rate: float) -> None:
    if type(rate) is not float or not 0 <= rate < 1:  # a question of 0.05 us instead of 0.4, before every call
        fraction(where, "rate", rate, one=False)


def dropout(x: np.ndarray, rate: float, key: int, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Drop each element of ``x`` with probability ``rate``.

    Parameters
    ----------
    x : ndarray (...), float32 or float64
    rate : float in [0, 1)
        Share of the elements to drop.
    key : int in [0, 2**64)
        Selects the random bits; the same key and rate give the same mask for every dtype, shape and instruction set.
        Draw a new one for every call, such as ``rng.integers(2**63)``.
    out : ndarray like x, optional
        Where to write ``y``; not ``x`` itself.

    Returns
    -------
    y : ndarray like x
    mask : ndarray of bool, shape of x
        Where ``x`` was kept; what ``dropout_backward`` needs.

    Raises
    ------
    ConfigError
        If ``rate`` or ``key`` lies outside its range.

    Notes
    -----
    ``y = x / (1 - rate)`` where kept, else 0, also where ``x`` is NaN or infinite. The mean of ``y`` is that of ``x``,
    so nothing is to be done at inference. The bits are a hash of the key and the element's index in C order.

    References
    ----------
    Srivastava et al. 2014, "Dropout", section 10; Steele, Lea & Flood 2014, "Fast splittable pseudorandom number
    generators", figure 16 (the hash, splitmix64).

    Examples
    --------
    >>> y, mask = dropout(np.ones(6), rate=0.5, key=2)
    >>> bool(((y == 2) == mask).all())
    True
    """
    x = real("dropout", "x", x)
    _check_rate("dropout", rate)
    key = integer("dropout", "key", key, 0, 2**64 - 1)
    y = output("dropout", out, x.shape, x.dtype)
    mask = empty(x.shape, np.dtype(bool))
    _kernels.forward(y.reshape(-1), mask.reshape(-1), x.reshape(-1), key, rate)
    return y, mask


def dropout_backward(dy: np.ndarray, mask: np.ndarray, rate: float, out: np.ndarray | None = None) -> np.ndarray:
    """Return the gradient of dropout's input: ``dy / (1 - rate)`` where ``mask``, else 0.

    Parameters
    ----------
    dy : ndarray (...), float32 or float64
    mask : ndarray of bool, shape of dy
        As ``dropout`` returned it.
    rate : float in [0, 1)
    out : ndarray like dy, optional

    Raises
    ------
    ConfigError
        If ``rate`` lies outside its range.
    ShapeError, DTypeError
        If ``mask`` is not a boolean array of the shape of ``dy``.
    """
    dy = real("dropout_backward", "dy", dy)
    _check_rate("dropout_backward", rate)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        got = f"dtype {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DTypeError("dropout_backward(mask)", "a boolean array", got, "pass the mask that dropout returned")
    same_shape("dropout_backward", "mask", mask, dy.shape)
    dx = output("dropout_backward", out, dy.shape, dy.dtype)
    _kernels.backward(dx.reshape(-1), dy.reshape(-1), np.ascontiguousarray(mask).reshape(-1), rate)
    return dx
