"""Max and average pooling of images: in non-overlapping square windows, or in a given number of bins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._ext import pool as _kernels
from ..checks import integer
from ..errors import ShapeError, StateError
from .activation import activation_backward
from .array import empty, output, real, same_shape

__all__ = [
    "AvgPoolSaved",
    "MaxPoolSaved",
    "adaptive_avgpool2d",
    "adaptive_avgpool2d_backward",
    "adaptive_maxpool2d",
    "avgpool2d",
    "avgpool2d_backward",
    "maxpool2d",
    "maxpool2d_backward",
]


class MaxPoolSaved(NamedTuple):
    """What ``maxpool2d_backward`` needs."""

    argmax: np.ndarray
    """int32 (batch, channels, height // p, width // p): place of each maximum in its height x width plane."""
    shape: tuple[int, ...]
    """Shape of the input."""
    y: np.ndarray
    """The output."""


class AvgPoolSaved(NamedTuple):
    """What ``avgpool2d_backward`` needs."""

    shape: tuple[int, ...]
    """Shape of the input."""
    p: int
    """Size of the window."""


def _pooled_shape(where: str, x: np.ndarray, p: int) -> tuple[int, int, int, int]:
    """Shape of the output, after checking the window against the input."""
    p = integer(where, "p", p, 1)
    if x.ndim != 4:
        raise ShapeError(
            f"{where}(x)",
            "shape (batch, channels, height, width)",
            f"shape {x.shape}",
            "reshape it; pooling works on images",
        )
    n, c, h, w = x.shape
    if p > h or p > w:
        raise ShapeError(
            f"{where}(x)",
            f"height and width of at least the window, {p}",
            f"shape {x.shape}",
            "use a smaller window, fewer pooling layers or larger images",
        )
    return n, c, h // p, w // p


def maxpool2d(
    x: np.ndarray, p: int, out: np.ndarray | None = None, *, backward: bool = True
) -> tuple[np.ndarray, MaxPoolSaved | None]:
    """Take the maximum of every p x p window.

    Parameters
    ----------
    x : ndarray (batch, channels, height, width), float32 or float64
    p : int in [1, min(height, width)]
        Size of the window and distance between windows. Rows and columns past the last whole window are dropped.
    out : ndarray (batch, channels, height // p, width // p), optional
        Where to write the result.
    backward : bool, default True
        False leaves out what ``maxpool2d_backward`` needs, which is faster; ``saved`` is then None.

    Returns
    -------
    y : ndarray (batch, channels, height // p, width // p)
        A window that holds a NaN gives NaN.
    saved : MaxPoolSaved or None
        To be handed to ``maxpool2d_backward``.

    Raises
    ------
    ConfigError
        If ``p`` is not an int of at least 1.
    ShapeError
        If ``x`` does not have 4 axes, is smaller than the window, or has planes of 2**31 elements or more.
    DTypeError
        If ``x`` is not float32 or float64.

    Notes
    -----
    ``y[i, j] = max x[i p + r, j p + k]`` over ``0 <= r, k < p``. Of equal maxima the first in row-major order counts.
    """
    x = real("maxpool2d", "x", x)
    shape = _pooled_shape("maxpool2d", x, p)
    if x.shape[2] * x.shape[3] > _kernels.MOST_PLACES:
        raise ShapeError("maxpool2d(x)", "planes of less than 2**31 elements", f"shape {x.shape}", "cut it into tiles")
    y = output("maxpool2d", out, shape, x.dtype)
    argmax = empty(shape, np.dtype(np.int32)) if backward else None
    _kernels.maxpool2d(y, argmax, x, p)
    return y, None if argmax is None else MaxPoolSaved(argmax, x.shape, y)


def maxpool2d_backward(dy: np.ndarray, saved: MaxPoolSaved | None, *, relu: bool = False) -> np.ndarray:
    """Send each gradient to the element that was the maximum of its window.

    Parameters
    ----------
    dy : ndarray (batch, channels, height // p, width // p)
    saved : MaxPoolSaved
        From ``maxpool2d``.
    relu : bool, default False
        The input came out of a ReLU, and the gradient is to be that before it: 0 where the maximum is not positive.

    Returns
    -------
    dx : ndarray (batch, channels, height, width)
        Zero everywhere but at the maxima.

    Raises
    ------
    StateError
        If ``saved`` is None, because the forward pass was told ``backward=False``.
    ShapeError
        If ``dy`` does not have the shape of the output.
    """
    if saved is None:
        raise StateError("maxpool2d_backward", "saved places of the maxima", "None", "run maxpool2d with backward=True")
    dy = real("maxpool2d_backward", "dy", dy)
    same_shape("maxpool2d_backward", "dy", dy, saved.argmax.shape)
    if relu:
        dy = activation_backward("relu", dy, saved.y)
    dx = empty(saved.shape, dy.dtype)
    _kernels.maxpool2d_backward(dx, dy, saved.argmax)
    return dx


def avgpool2d(x: np.ndarray, p: int, out: np.ndarray | None = None) -> tuple[np.ndarray, AvgPoolSaved]:
    """Take the mean of every p x p window.

    Parameters
    ----------
    x : ndarray (batch, channels, height, width), float32 or float64
    p : int in [1, min(height, width)]
        Size of the window and distance between windows. Rows and columns past the last whole window are dropped.
    out : ndarray (batch, channels, height // p, width // p), optional
        Where to write the result.

    Returns
    -------
    y : ndarray (batch, channels, height // p, width // p)
    saved : AvgPoolSaved
        To be handed to ``avgpool2d_backward``.

    Raises
    ------
    ConfigError
        If ``p`` is not an int of at least 1.
    ShapeError
        If ``x`` does not have 4 axes or is smaller than the window.
    DTypeError
        If ``x`` is not float32 or float64.

    Notes
    -----
    ``y[i, j] = sum x[i p + r, j p + k] / p**2`` over ``0 <= r, k < p``.
    """
    x = real("avgpool2d", "x", x)
    shape = _pooled_shape("avgpool2d", x, p)
    y = output("avgpool2d", out, shape, x.dtype)
    _kernels.avgpool2d(y, x, p)
    return y, AvgPoolSaved(x.shape, int(p))


def avgpool2d_backward(dy: np.ndarray, saved: AvgPoolSaved) -> np.ndarray:
    """Spread each gradient evenly over its window.

    Parameters
    ----------
    dy : ndarray (batch, channels, height // p, width // p)
    saved : AvgPoolSaved
        From ``avgpool2d``.

    Returns
    -------
    dx : ndarray (batch, channels, height, width)
        ``dy / p**2`` in the window, zero in rows and columns that were dropped.

    Raises
    ------
    ShapeError
        If ``dy`` does not have the shape of the output.
    """
    n, c, h, w = saved.shape
    dy = real("avgpool2d_backward", "dy", dy)
    same_shape("avgpool2d_backward", "dy", dy, (n, c, h // saved.p, w // saved.p))
    dx = empty(saved.shape, dy.dtype)
    _kernels.avgpool2d_backward(dx, dy, saved.p)
    return dx


def _binned_shape(where: str, x: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Shape of the output of adaptive pooling, after checking the bins against the input."""
    bins = integer(where, "size", size[0], 1, _kernels.MOST_PLACES), integer(where, "size", size[1], 1)
    if x.ndim != 4 or x.shape[2] * x.shape[3] == 0 or x.shape[2] * x.shape[3] > _kernels.MOST_PLACES:
        raise ShapeError(
            f"{where}(x)",
            "shape (batch, channels, height, width) with planes of 1 to 2**31 - 1 elements",
            f"shape {x.shape}",
            "reshape it; pooling works on images",
        )
    return (*x.shape[:2], *bins)


def adaptive_maxpool2d(
    x: np.ndarray, size: tuple[int, int], out: np.ndarray | None = None, *, backward: bool = True
) -> tuple[np.ndarray, MaxPoolSaved | None]:
    """Take the maximum of every bin; ``maxpool2d_backward`` goes back.

    Parameters
    ----------
    x : ndarray (batch, channels, height, width), float32 or float64
    size : (int, int)
        Number of bins down and across, at least 1 each.
    out : ndarray (batch, channels, *size), optional
        Where to write the result.
    backward : bool, default True
        False leaves out what ``maxpool2d_backward`` needs; ``saved`` is then None.

    Returns
    -------
    y : ndarray (batch, channels, *size)
    saved : MaxPoolSaved or None

    Raises
    ------
    ShapeError, ConfigError, DTypeError
        If ``x`` is no batch of images, ``size`` holds no positive ints, or ``x`` is not float32 or float64.

    Notes
    -----
    Bin i of n over h elements holds those from ``floor(i h / n)`` to ``ceil((i + 1) h / n)``: sizes differ by at most
    one, and neighbours share an element where n does not divide h. With more bins than elements, elements repeat.
    """
    x = real("adaptive_maxpool2d", "x", x)
    shape = _binned_shape("adaptive_maxpool2d", x, size)
    y = output("adaptive_maxpool2d", out, shape, x.dtype)
    argmax = empty(shape, np.dtype(np.int32)) if backward else None
    _kernels.adaptive_maxpool2d(y, argmax, x)
    return y, None if argmax is None else MaxPoolSaved(argmax, x.shape, y)


def adaptive_avgpool2d(
    x: np.ndarray, size: tuple[int, int], out: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Take the mean of every bin.

    Parameters
    ----------
    x, size, out
        See ``adaptive_maxpool2d``, as for the bins.

    Returns
    -------
    y : ndarray (batch, channels, *size)
    saved : tuple of int
        Shape of the input, to be handed to ``adaptive_avgpool2d_backward``.

    Raises
    ------
    ShapeError, ConfigError, DTypeError
        See ``adaptive_maxpool2d``.
    """
    x = real("adaptive_avgpool2d", "x", x)
    y = output("adaptive_avgpool2d", out, _binned_shape("adaptive_avgpool2d", x, size), x.dtype)
    _kernels.adaptive_avgpool2d(y, x)
    return y, x.shape


def adaptive_avgpool2d_backward(dy: np.ndarray, saved: tuple[int, ...]) -> np.ndarray:
    """Spread each gradient evenly over its bin; elements in several bins get the sum.

    Parameters
    ----------
    dy : ndarray (batch, channels, bins down, bins across)
    saved : tuple of int
        From ``adaptive_avgpool2d``.

    Returns
    -------
    dx : ndarray (batch, channels, height, width)

    Raises
    ------
    ShapeError
        If ``dy`` is no batch of as many images.
    """
    dy = real("adaptive_avgpool2d_backward", "dy", dy, 4)
    same_shape("adaptive_avgpool2d_backward", "dy", dy, (*saved[:2], *dy.shape[2:]))
    dx = empty(saved, dy.dtype)
    _kernels.adaptive_avgpool2d_backward(dx, dy)
    return dx
