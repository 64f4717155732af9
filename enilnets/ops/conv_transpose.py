"""Transposed convolution: the adjoint of ``conv2d``, which turns small images into larger ones.

Its forward pass is the input gradient of a convolution, and its backward pass a convolution, so the kernels are those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._ext import conv as _kernels
from ..checks import integer
from ..errors import ConfigError, ShapeError
from .array import empty, real, same_dtype, same_shape
from .conv import Geometry, Pair, pair

__all__ = [
    "TransposeSaved",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "conv_transpose2d_shape",
    "output_padding_pair",
]


class TransposeSaved(NamedTuple):
    """What ``conv_transpose2d_backward`` needs."""

    x: np.ndarray
    geometry: Geometry
    """Of the convolution that turns the output's shape into the input's."""
    shape: tuple[int, int, int, int]
    """Shape of the output."""


def output_padding_pair(where: str, output_padding: int | Pair, stride: int | Pair, dilation: int | Pair) -> Pair:
    """Return ``output_padding`` as a pair; ConfigError unless it is less than the stride or the dilation."""
    extra = pair(where, "output_padding", output_padding, 0)
    strides, dilations = pair(where, "stride", stride, 1), pair(where, "dilation", dilation, 1)
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True)):
        raise ConfigError(f"{where}(output_padding)", "less than the stride or the dilation", repr(output_padding))
    return extra


def _shape_and_geometry(
    where: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: int | Pair,
    padding: int | Pair,
    output_padding: int | Pair,
    dilation: int | Pair,
    groups: int,
) -> tuple[tuple[int, int, int, int], Geometry]:
    """Return the shape of the output and the geometry of the convolution that goes back from it."""
    groups = integer(where, "groups", groups, 1, _kernels.MOST)
    strides, dilations = pair(where, "stride", stride, 1), pair(where, "dilation", dilation, 1)
    zeros, extra = pair(where, "padding", padding, 0), output_padding_pair(where, output_padding, stride, dilation)
    if len(x_shape) != 4 or len(w_shape) != 4 or x_shape[1] != w_shape[0] or w_shape[0] % groups:
        raise ShapeError(
            f"{where}(x)",
            f"shape (batch, channels, height, width) with channels that {groups} groups divide, and weights "
            "(channels, out_channels / groups, height, width)",
            f"shapes {tuple(x_shape)} and {tuple(w_shape)}",
        )
    height, width = (
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x_shape[2:], strides, zeros, dilations, w_shape[2:], extra, strict=True)
    )
    if min(*x_shape[2:], *w_shape[2:], height, width) < 1:
        got = f"{height}x{width} from a {x_shape[2]}x{x_shape[3]} image"
        raise ShapeError(where, "an output of at least 1x1", got, "use a smaller padding= or a larger image")
    shape = (x_shape[0], w_shape[1] * groups, height, width)
    return shape, Geometry(strides, zeros, dilations, groups, (x_shape[2], x_shape[3]))


def conv_transpose2d_shape(
    where: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> tuple[int, int, int, int]:
    """Return the shape (batch, out_channels, out_height, out_width) of a transposed convolution.

    Parameters
    ----------
    where : str
        The function or layer that asks, for messages.
    x_shape : (batch, channels, height, width)
    w_shape : (channels, out_channels / groups, kernel_height, kernel_width)
    stride, padding, output_padding, dilation, groups
        As in ``conv_transpose2d``.

    Raises
    ------
    ShapeError, ConfigError
        As ``conv_transpose2d``.
    """
    return _shape_and_geometry(where, x_shape, w_shape, stride, padding, output_padding, dilation, groups)[0]


def conv_transpose2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> tuple[np.ndarray, TransposeSaved]:
    """Let every pixel stamp a kernel, scaled by its value, into the output.

    Parameters
    ----------
    x : ndarray (batch, channels, height, width), float32 or float64
    w : ndarray (channels, out_channels / groups, kernel_height, kernel_width), dtype of ``x``
    b : ndarray (out_channels,), dtype of ``x``, optional
    stride : int >= 1 or pair of them
        Distance between stamps (vertical, horizontal).
    padding : int >= 0 or pair of them
        Rows and columns that are left off at each side of the output.
    output_padding : int >= 0 or pair of them, less than the stride or the dilation
        Rows and columns that the output has more, below and to the right.
    dilation : int >= 1 or pair of them
        Distance between the taps of a kernel.
    groups : int >= 1, a divisor of ``channels``
        Output channels and channels are cut into as many groups, and a channel stamps into its own group only.

    Returns
    -------
    y : ndarray (batch, out_channels, out_height, out_width)
        ``out_height = (height - 1) stride - 2 padding + dilation (kernel_height - 1) + output_padding + 1``.
    saved : TransposeSaved
        To be handed to ``conv_transpose2d_backward``.

    Raises
    ------
    ShapeError
        If shapes do not go together or nothing would be left of the output.
    ConfigError
        If ``stride``, ``padding``, ``output_padding``, ``dilation`` or ``groups`` is out of range.
    DTypeError
        If an array is not float32 or float64, or not of the dtype of ``x``.

    Notes
    -----
    ``y[n, o, i stride + p dilation - padding, j stride + q dilation - padding] += x[n, c, i, j] w[c, o, p, q]`` over
    all c, i, j, p, q, on top of ``b[o]``: the gradient of ``conv2d`` at its input, for the same ``w`` (Zeiler et al.
    2010, Deconvolutional Networks; Dumoulin & Visin 2016, chapter 4).

    Examples
    --------
    >>> x = np.array([[[[1.0, 2.0]]]])
    >>> conv_transpose2d(x, np.array([[[[1.0, 1.0, 1.0]]]]), stride=2)[0]
    array([[[[1., 1., 3., 2., 2.]]]])
    """
    x, w = real("conv_transpose2d", "x", x), real("conv_transpose2d", "w", w)
    same_dtype("conv_transpose2d", "w", w, x.dtype)
    shape, geometry = _shape_and_geometry(
        "conv_transpose2d", x.shape, w.shape, stride, padding, output_padding, dilation, groups
    )
    y = empty(shape, x.dtype)
    work = empty(geometry.workspace(shape, w.shape)[1][1], x.dtype)
    _kernels.conv2d_backward_input(x, w, y, work, *geometry.steps)
    if b is not None:
        b = real("conv_transpose2d", "b", b)
        same_dtype("conv_transpose2d", "b", b, x.dtype)
        same_shape("conv_transpose2d", "b", b, (shape[1],))
        y += b[:, None, None]
    return y, TransposeSaved(x, geometry, shape)


def conv_transpose2d_backward(
    dy: np.ndarray,
    saved: TransposeSaved,
    w: np.ndarray,
    *,
    params: bool = True,
    inputs: bool = True,
    dw: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of a loss at the input and the parameters of ``conv_transpose2d``.

    Parameters
    ----------
    dy : ndarray (batch, out_channels, out_height, out_width)
    saved : TransposeSaved
        As returned by ``conv_transpose2d``.
    w : ndarray (channels, out_channels / groups, kernel_height, kernel_width)
        The weights that ``conv_transpose2d`` was called with.
    params, inputs : bool
        Whether ``dw`` and ``db``, and ``dx``, are wanted.
    dw : ndarray, shape of ``w``, optional
        C-contiguous array to overwrite with the gradient.

    Returns
    -------
    dx : ndarray (batch, channels, height, width), or None
    dw : ndarray, shape of ``w``, or None
    db : ndarray (out_channels,), or None

    Raises
    ------
    ShapeError, DTypeError
        If ``dy`` or ``w`` has another shape or dtype than there was.

    Notes
    -----
    ``dx = conv2d(dy, w)`` with the same steps; ``dw`` is the weight gradient of that convolution, with ``x`` in the
    place of the gradient of its output; ``db = Σ dy``.
    """
    x, geometry, shape = saved
    dy, w = real("conv_transpose2d_backward", "dy", dy), real("conv_transpose2d_backward", "w", w)
    for name, array in (("dy", dy), ("w", w)):
        same_dtype("conv_transpose2d_backward", name, array, x.dtype)
    same_shape("conv_transpose2d_backward", "dy", dy, shape)
    same_shape("conv_transpose2d_backward", "w", w, (x.shape[1], shape[1] // geometry.groups, *w.shape[2:]))
    needed = geometry.workspace(shape, w.shape)
    dx = db = None
    if params:
        dw = empty(w.shape, x.dtype) if dw is None else dw
        _kernels.conv2d_backward_weights(x, dy, dw, None, empty(needed[2][1], x.dtype), *geometry.steps)
        db = dy.sum((0, 2, 3))
    if inputs:
        dx = empty(x.shape, x.dtype)
        _kernels.conv2d(dy, w, None, dx, empty(needed[0][1], x.dtype), *geometry.steps)
    return (dx, dw, db) if params else (dx, None, None)
