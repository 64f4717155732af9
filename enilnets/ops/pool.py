"""Max and average pooling of images in non-overlapping square windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._ext import pool as _kernels
from ..checks import integer
from ..errors import ShapeError, StateError
from .array import empty, output, real, same_shape

__all__ = ["AvgPoolSaved", "MaxPoolSaved", "avgpool2d", "avgpool2d_backward", "maxpool2d", "maxpool2d_backward"]


class MaxPoolSaved(NamedTuple):
    """What ``maxpool2d_backward`` needs."""

    argmax: np.ndarray
    """int32 (batch, channels, height // p, width // p): place of each maximum in its height x width plane."""
    shape: tuple[int, ...]
    """Shape of the input."""


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
    return y, None if argmax is None else MaxPoolSaved(argmax, x.shape)


def maxpool2d_backward(dy: np.ndarray, saved: MaxPoolSaved | None) -> np.ndarray:
    """Send each gradient to the element that was the maximum of its window.

    Parameters
    ----------
    dy : ndarray (batch, channels, height // p, width // p)
    saved : MaxPoolSaved
        From ``maxpool2d``.

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
