"""Upsampling of images by a whole factor: every pixel becomes a square block."""

from __future__ import annotations

import numpy as np

from ..checks import integer
from ..errors import ShapeError
from .array import output, real
from .pool import avgpool2d

__all__ = ["upsample2d", "upsample2d_backward"]


def upsample2d(x: np.ndarray, scale: int, out: np.ndarray | None = None) -> np.ndarray:
    """Repeat every row and every column (nearest-neighbour interpolation).

    Parameters
    ----------
    x : ndarray (batch, channels, height, width), float32 or float64
    scale : int >= 1
        How often.
    out : ndarray (batch, channels, height * scale, width * scale), optional
        Where to write the result.

    Returns
    -------
    y : ndarray (batch, channels, height * scale, width * scale)
        ``y[..., i, j] = x[..., i // scale, j // scale]``.

    Raises
    ------
    ShapeError, ConfigError, DTypeError
        If ``x`` is no batch of images, ``scale`` no positive int, or ``x`` not float32 or float64.

    Examples
    --------
    >>> import numpy as np
    >>> from enilnets.ops.upsample import upsample2d
    >>> upsample2d(np.array([[[[1.0, 2.0]]]]), 2).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    x = real("upsample2d", "x", x, 4)
    scale = integer("upsample2d", "scale", scale, 1)
    n, c, h, w = x.shape
    y = output("upsample2d", out, (n, c, h * scale, w * scale), x.dtype)
    y.reshape(n, c, h, scale, w, scale)[...] = x[:, :, :, None, :, None]
    return y


def upsample2d_backward(dy: np.ndarray, scale: int) -> np.ndarray:
    """Sum the gradients of every block.

    Parameters
    ----------
    dy : ndarray (batch, channels, height * scale, width * scale)
    scale : int >= 1

    Returns
    -------
    dx : ndarray (batch, channels, height, width)

    Raises
    ------
    ShapeError
        If ``dy`` is not made of whole blocks.
    """
    dy = real("upsample2d_backward", "dy", dy, 4)
    scale = integer("upsample2d_backward", "scale", scale, 1)
    n, c, h, w = dy.shape
    if h % scale or w % scale:
        raise ShapeError("upsample2d_backward(dy)", f"blocks of {scale} x {scale}", f"shape {dy.shape}")
    if dy.size == 0:
        return np.zeros((n, c, h // scale, w // scale), dy.dtype)
    dx = avgpool2d(dy, scale)[0]
    dx *= scale * scale
    return dx
