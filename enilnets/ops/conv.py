"""Convolution and its gradients, over channels-first images (batch, channels, height, width) and sequences.

"Convolution" is cross-correlation, as everywhere in deep learning: the kernel is not flipped.
"""

from __future__ import annotations

from operator import index
from typing import Any, NamedTuple

import numpy as np

from .._ext import conv as _kernels
from ..checks import integer
from ..errors import ConfigError, ShapeError
from .array import empty, output, real, same_dtype, same_shape

__all__ = ["col2im", "conv1d", "conv1d_backward", "conv2d", "conv2d_backward", "conv2d_shape", "im2col"]

Pair = tuple[int, int]


def pair(where: str, name: str, value: int | Pair, least: int) -> Pair:
    """Return ``value``, an int or (vertical, horizontal), as a pair of ints that are at least ``least``.

    Raises
    ------
    ConfigError
        If it is anything else.
    """
    both = value if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2:
        raise ConfigError(f"{where}({name})", f"an integer >= {least} or a pair of them", repr(value))
    vertical, horizontal = both
    return integer(where, name, vertical, least, _kernels.MOST), integer(where, name, horizontal, least, _kernels.MOST)


def _axis(size: int, k: int, stride: int, padding: int | None) -> Pair:
    """Return the zeros before one axis and its outputs (not positive if the kernel does not fit); None is "same"."""
    if padding is not None:
        return padding, (size + 2 * padding - k) // stride + 1
    outputs = -(-size // stride)
    return max((outputs - 1) * stride + k - size, 0) // 2, outputs


class Geometry(NamedTuple):
    """How windows lie over an image; each pair is (vertical, horizontal)."""

    strides: Pair
    before: Pair  # zeros above and to the left
    dilations: Pair
    groups: int
    size: Pair  # of the output

    @property
    def steps(self) -> tuple[int, int, int, int, int, int, int]:
        """What the compiled functions take behind the arrays."""
        return (*self.strides, *self.before, *self.dilations, self.groups)

    def workspace(self, x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """Elements of workspace that forward, input gradient and weight gradient need and can use."""
        return _kernels.workspace(
            x_shape, w_shape, *self.strides, *self.before, *self.size, *self.dilations, self.groups
        )


def _geometry(
    where: str,
    image: Pair,
    kernel: Pair,
    stride: int | Pair,
    padding: int | Pair | str,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Geometry:
    """Return the geometry; refuse a kernel that does not fit."""
    strides, dilations = pair(where, "stride", stride, 1), pair(where, "dilation", dilation, 1)
    zeros: tuple[int | None, int | None] = (None, None)
    if not isinstance(padding, str):
        zeros = pair(where, "padding", padding, 0)
    elif padding != "same":
        raise ConfigError(f"{where}(padding)", 'an int >= 0, a pair of them or "same"', repr(padding))
    if min(kernel) < 1:
        raise ShapeError(where, "a kernel of at least 1x1", f"{kernel[0]}x{kernel[1]}")
    span = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    top, height = _axis(image[0], span[0], strides[0], zeros[0])
    left, width = _axis(image[1], span[1], strides[1], zeros[1])
    if min(height, width) < 1:
        dilated = f" with dilation {dilations[0]}x{dilations[1]}" if max(dilations) > 1 else ""
        raise ShapeError(
            where,
            "a kernel no larger than the padded image",
            f"the {kernel[0]}x{kernel[1]} kernel{dilated}, which does not fit the {image[0]}x{image[1]} image",
            "use padding= or a smaller kernel",
        )
    return Geometry(strides, (top, left), dilations, groups, (height, width))


def conv2d_shape(
    where: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> tuple[int, int, int, int]:
    """Return the shape (batch, out_channels, out_height, out_width) of a convolution.

    Parameters
    ----------
    where : str
        The function or layer that asks, for messages.
    x_shape : (batch, channels, height, width)
    w_shape : (out_channels, channels / groups, kernel_height, kernel_width)
    stride, padding, dilation, groups
        As in ``conv2d``.

    Raises
    ------
    ShapeError
        If the shapes do not go together or the kernel does not fit the padded image.
    ConfigError
        If ``stride``, ``padding``, ``dilation`` or ``groups`` is out of range.
    """
    return _shape_and_geometry(where, x_shape, w_shape, stride, padding, dilation, groups)[0]


def _shape_and_geometry(
    where: str,
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: int | Pair,
    padding: int | Pair | str,
    dilation: int | Pair,
    groups: int,
) -> tuple[tuple[int, int, int, int], Geometry]:
    """Return the shape of the output and the geometry."""
    groups = integer(where, "groups", groups, 1, _kernels.MOST)
    if len(x_shape) != 4:
        raise ShapeError(
            f"{where}(x)",
            "shape (batch, channels, height, width)",
            f"shape {tuple(x_shape)}",
            "reshape it to four axes",
        )
    if len(w_shape) != 4:
        raise ShapeError(f"{where}(w)", "shape (out_channels, channels, height, width)", f"shape {tuple(w_shape)}")
    if x_shape[1] != w_shape[1] * groups:
        each = f" for each of {groups} groups" if groups > 1 else ""
        raise ShapeError(
            f"{where}(x)",
            f"{w_shape[1] * groups} channels, as the weights {tuple(w_shape)} have{each}",
            f"shape {tuple(x_shape)}",
            "images are (batch, channels, height, width)",
        )
    if w_shape[0] % groups:
        raise ShapeError(f"{where}(w)", f"a multiple of {groups} output channels, as groups", f"shape {tuple(w_shape)}")
    image, kernel = (x_shape[2], x_shape[3]), (w_shape[2], w_shape[3])
    geometry = _geometry(where, image, kernel, stride, padding, dilation, groups)
    return (x_shape[0], w_shape[0], *geometry.size), geometry


def _alike(where: str, name: str, x: Any, dtype: np.dtype) -> np.ndarray:
    """``real`` for an argument that must have the dtype of another one."""
    x = real(where, name, x)
    same_dtype(where, name, x, dtype)
    return x


def _gradient(where: str, name: str, out: np.ndarray | None, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return ``out``, of any shape with the right size and contiguous, as an array of ``shape``; or a new one."""
    if out is None:
        return empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.size != np.prod(shape, dtype=np.intp) or not out.flags.c_contiguous:
        got = f"shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ShapeError(f"{where}({name})", f"a C-contiguous array of shape {shape} or flat", got)
    return output(f"{where}({name})", out.reshape(shape), shape, dtype)


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    relu: bool = False,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple]:
    """Correlate images with kernels.

    Parameters
    ----------
    x : ndarray (batch, channels, height, width), float32 or float64
    w : ndarray (out_channels, channels / groups, kernel_height, kernel_width), dtype of ``x``
    b : ndarray (out_channels,), dtype of ``x``, optional
    stride : int >= 1 or pair of them
        Step between windows (vertical, horizontal).
    padding : int >= 0, pair of them, or "same"
        Zeros on both sides (vertical, horizontal). "same" gives ``ceil(size / stride)`` outputs; where the total is
        odd, the one more is below and to the right.
    dilation : int >= 1 or pair of them
        Step between the taps of a window (vertical, horizontal).
    groups : int >= 1, a divisor of ``channels`` and ``out_channels``
        Output channels and channels are cut into as many groups, and an output channel sees its own group only;
        with as many groups as channels, every channel has its own kernels (a depthwise convolution).
    relu : bool
        Replace what is negative in the end by 0.
    out : ndarray (batch, out_channels, out_height, out_width), optional
        Where to write ``y``.

    Returns
    -------
    y : ndarray (batch, out_channels, out_height, out_width)
    saved : tuple
        What ``conv2d_backward`` needs: ``x`` itself and the geometry.

    Raises
    ------
    ShapeError
        If shapes do not go together or the kernel does not fit the padded image.
    ConfigError
        If ``stride``, ``padding``, ``dilation`` or ``groups`` is out of range.
    DTypeError
        If an array is not float32 or float64, or not of the dtype of ``x``.

    Notes
    -----
    ``y[n, o, i, j] = b[o] + Σ_{c, p, q} w[o, c, p, q] x[n, c, i stride + p dilation - padding,
    j stride + q dilation - padding]``, with zeros outside of the image, c counted within the group of o. An image's
    result does not depend on the rest of its batch. The gradient of ``relu`` is not part of ``conv2d_backward``.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.ones((1, 1, 2, 2)))[0]
    array([[[[ 8., 12.],
             [20., 24.]]]])
    """
    x = real("conv2d", "x", x)
    w = _alike("conv2d", "w", w, x.dtype)
    shape, geometry = _shape_and_geometry("conv2d", x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None:
        b = _alike("conv2d", "b", b, x.dtype)
        same_shape("conv2d", "b", b, (shape[1],))
    y = output("conv2d", out, shape, x.dtype)
    work = empty(geometry.workspace(x.shape, w.shape)[0][1], x.dtype)
    _kernels.conv2d(x, w, b, y, work, *geometry.steps, relu=relu)
    return y, (x, geometry)


def conv2d_backward(
    dy: np.ndarray,
    saved: tuple,
    w: np.ndarray,
    *,
    params: bool = True,
    inputs: bool = True,
    relu: bool = False,
    dw: np.ndarray | None = None,
    db: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of a loss at the input and the parameters of ``conv2d``.

    Parameters
    ----------
    dy : ndarray (batch, out_channels, out_height, out_width)
        Gradient at the output.
    saved : tuple
        As returned by ``conv2d``.
    w : ndarray (out_channels, channels / groups, kernel_height, kernel_width)
        The weights that ``conv2d`` was called with.
    params, inputs : bool
        Whether ``dw`` and ``db``, and ``dx``, are wanted.
    relu : bool, default False
        The input came out of a ReLU, and ``dx`` is to be the gradient before it: 0 where the input is not positive.
    dw, db : ndarray, optional
        C-contiguous arrays to overwrite with the gradients, in the shape of ``w`` and (out_channels,), or flat.

    Returns
    -------
    dx : ndarray (batch, channels, height, width), or None
    dw : ndarray, shape of ``w``, or None
    db : ndarray (out_channels,), or None

    Raises
    ------
    ShapeError
        If ``dy``, ``w``, ``dw`` or ``db`` has another shape than ``conv2d`` had.
    DTypeError
        If a dtype differs from that of ``x``.

    Notes
    -----
    With the windows of ``x`` as rows of ``col`` (see ``im2col``): ``dw = Σ dyᵀ col``, ``db = Σ dy`` and
    ``dx = col2im(dy w)``, where the sums run over images and pixels.
    """
    geometry: Geometry
    x, geometry = saved
    w = _alike("conv2d_backward", "w", w, x.dtype)
    dy = _alike("conv2d_backward", "dy", dy, x.dtype)
    if w.ndim != 4 or w.shape[1] * geometry.groups != x.shape[1] or w.shape[0] % geometry.groups:
        raise ShapeError("conv2d_backward(w)", f"the weights of conv2d, for {x.shape[1]} channels", f"shape {w.shape}")
    same_shape("conv2d_backward", "dy", dy, (x.shape[0], w.shape[0], *geometry.size))
    needed = geometry.workspace(x.shape, w.shape)
    dx = None
    if params:
        dw = _gradient("conv2d_backward", "dw", dw, w.shape, x.dtype)
        db = _gradient("conv2d_backward", "db", db, w.shape[:1], x.dtype)
        _kernels.conv2d_backward_weights(dy, x, dw, db, empty(needed[2][1], x.dtype), *geometry.steps)
    if inputs:
        dx = empty(x.shape, x.dtype)
        _kernels.conv2d_backward_input(
            dy, w, dx, empty(needed[1][1], x.dtype), *geometry.steps, positive=x if relu else None
        )
    return (dx, dw, db) if params else (dx, None, None)


def _one(where: str, name: str, value: int, least: int) -> int:
    """``pair`` along the one axis of a sequence."""
    return integer(where, name, value, least, _kernels.MOST)


def _rows(where: str, name: str, x: np.ndarray, axes: str) -> np.ndarray:
    """Return sequences or their kernels as images of one row."""
    if x.ndim != 3:
        raise ShapeError(f"{where}({name})", f"shape {axes}", f"shape {x.shape}")
    return x.reshape(*x.shape[:2], 1, x.shape[2])


def conv1d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
    relu: bool = False,
) -> tuple[np.ndarray, tuple]:
    """Correlate sequences with kernels: ``conv2d`` over images of one row.

    Parameters
    ----------
    x : ndarray (batch, channels, length), float32 or float64
    w : ndarray (out_channels, channels / groups, kernel_length), dtype of ``x``
    b : ndarray (out_channels,), dtype of ``x``, optional
    stride, padding, dilation : int
        As in ``conv2d``; ``padding`` may be "same".
    groups, relu
        As in ``conv2d``.

    Returns
    -------
    y : ndarray (batch, out_channels, out_length)
    saved : tuple
        What ``conv1d_backward`` needs.

    Raises
    ------
    ShapeError, ConfigError, DTypeError
        As ``conv2d``.

    Notes
    -----
    ``y[n, o, i] = b[o] + Σ_{c, p} w[o, c, p] x[n, c, i stride + p dilation - padding]``.

    Examples
    --------
    >>> conv1d(np.arange(5.0).reshape(1, 1, 5), np.array([[[-1.0, 1.0]]]), dilation=2)[0]
    array([[[2., 2., 2.]]])
    """
    image = _rows("conv1d", "x", real("conv1d", "x", x), "(batch, channels, length)")
    kernel = _rows("conv1d", "w", _alike("conv1d", "w", w, image.dtype), "(out_channels, channels, length)")
    y, saved = conv2d(
        image,
        kernel,
        b,
        stride=(1, _one("conv1d", "stride", stride, 1)),
        padding=padding if isinstance(padding, str) else (0, _one("conv1d", "padding", padding, 0)),
        dilation=(1, _one("conv1d", "dilation", dilation, 1)),
        groups=groups,
        relu=relu,
    )
    return y[:, :, 0], saved


def conv1d_backward(
    dy: np.ndarray,
    saved: tuple,
    w: np.ndarray,
    *,
    params: bool = True,
    inputs: bool = True,
    relu: bool = False,
    dw: np.ndarray | None = None,
    db: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Return the gradients of a loss at the input and the parameters of ``conv1d``.

    Parameters
    ----------
    dy : ndarray (batch, out_channels, out_length)
    saved : tuple
        As returned by ``conv1d``.
    w : ndarray (out_channels, channels / groups, kernel_length)
    params, inputs, relu, dw, db
        As in ``conv2d_backward``.

    Returns
    -------
    dx : ndarray (batch, channels, length), or None
    dw : ndarray, shape of ``w``, or None
    db : ndarray (out_channels,), or None

    Raises
    ------
    ShapeError, DTypeError
        As ``conv2d_backward``.
    """
    dtype = saved[0].dtype
    kernel = _rows("conv1d_backward", "w", _alike("conv1d_backward", "w", w, dtype), "(out_channels, channels, length)")
    rows = _rows("conv1d_backward", "dy", _alike("conv1d_backward", "dy", dy, dtype), "(batch, out_channels, length)")
    dx, dw, db = conv2d_backward(rows, saved, kernel, params=params, inputs=inputs, relu=relu, dw=dw, db=db)
    return None if dx is None else dx[:, :, 0], None if dw is None else dw[:, :, 0], db


def im2col(
    input_data: np.ndarray,
    filter_h: int,
    filter_w: int,
    stride: int | Pair = 1,
    pad: int | Pair = 0,
    dilation: int | Pair = 1,
) -> np.ndarray:
    """Lay out the window under every output pixel of a convolution as a row of a matrix.

    Parameters
    ----------
    input_data : ndarray (N, C, H, W), float32 or float64
    filter_h, filter_w : int >= 1
    stride : int >= 1 or pair of them
    pad : int >= 0 or pair of them
        Zeros on both sides.
    dilation : int >= 1 or pair of them
        Step between the taps of a window.

    Returns
    -------
    ndarray (N * out_h * out_w, C * filter_h * filter_w)
        Row ``(n, i, j)`` holds the window at output pixel (i, j) of image n, ordered (channel, row, column). With
        weights (O, C, filter_h, filter_w), ``im2col(x, ...) @ weights.reshape(O, -1).T`` is the convolution.

    Raises
    ------
    ShapeError, ConfigError, DTypeError
        As ``conv2d``.

    References
    ----------
    Chellapilla, Puri & Simard 2006, High Performance Convolutional Neural Networks for Document Processing.

    Examples
    --------
    >>> im2col(np.arange(9.0).reshape(1, 1, 3, 3), 2, 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    x = real("im2col", "input_data", input_data, 4)
    kernel, geometry, shape = _columns("im2col", x.shape, filter_h, filter_w, stride, pad, dilation)
    col = empty(shape, x.dtype)
    _kernels.im2col(x, col, *kernel, *geometry)
    return col


def col2im(
    col: np.ndarray,
    input_shape: tuple[int, int, int, int],
    filter_h: int,
    filter_w: int,
    stride: int | Pair = 1,
    pad: int | Pair = 0,
    dilation: int | Pair = 1,
) -> np.ndarray:
    """Add the rows of a column matrix back into images: the adjoint of ``im2col``.

    Parameters
    ----------
    col : ndarray (N * out_h * out_w, C * filter_h * filter_w), float32 or float64
    input_shape : (N, C, H, W)
        Shape of the images.
    filter_h, filter_w, stride, pad, dilation
        As given to ``im2col``.

    Returns
    -------
    ndarray (N, C, H, W)
        Each pixel is the sum of the elements of ``col`` that ``im2col`` takes from it.

    Raises
    ------
    ShapeError, ConfigError, DTypeError
        As ``conv2d``; also if ``col`` has another shape than ``im2col`` gives for ``input_shape``.
    """
    col = real("col2im", "col", col, 2)
    try:
        image_shape = tuple(index(size) for size in input_shape)
    except TypeError:
        image_shape = ()
    if len(image_shape) != 4 or min(image_shape) < 0:
        raise ShapeError("col2im(input_shape)", "four sizes (N, C, H, W)", repr(input_shape))
    kernel, geometry, shape = _columns("col2im", image_shape, filter_h, filter_w, stride, pad, dilation)
    same_shape("col2im", "col", col, shape)
    x = empty(image_shape, col.dtype)
    _kernels.col2im(col, x, *kernel, *geometry)
    return x


def _columns(
    where: str,
    x_shape: tuple[int, ...],
    filter_h: int,
    filter_w: int,
    stride: int | Pair,
    pad: int | Pair,
    dilation: int | Pair,
) -> tuple[Pair, tuple[int, ...], Pair]:
    """Return the kernel, what the compiled functions take behind it, and the shape of the column matrix."""
    kernel = pair(where, "filter_h, filter_w", (filter_h, filter_w), 1)
    at = _geometry(where, (x_shape[2], x_shape[3]), kernel, stride, pad, dilation)
    shape = x_shape[0] * at.size[0] * at.size[1], x_shape[1] * kernel[0] * kernel[1]
    return kernel, (*at.strides, *at.before, *at.size, *at.dilations), shape
