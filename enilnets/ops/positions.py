"""Where a token stands in its sequence: sinusoidal tables, rotations of queries and keys, slopes over distances."""

from __future__ import annotations

import math

import numpy as np

from .. import checks
from .._ext import attention as _kernels
from ..errors import ShapeError
from .array import REAL_DTYPES, output, real, same_dtype, same_shape

__all__ = ["alibi_slopes", "rotary", "rotary_backward", "sinusoidal_table"]


def _angles(tokens: int, pairs: int, start: int, base: float) -> np.ndarray:
    """``t / base^(i / pairs)`` for the places t from ``start`` on and every pair i, (tokens, pairs)."""
    return np.arange(start, start + tokens)[:, None] * base ** (-np.arange(pairs) / pairs)


def sinusoidal_table(tokens: int, width: int, *, start: int = 0, base: float = 10000.0) -> np.ndarray:
    """Return the encoding of places ``start`` to ``start + tokens - 1``.

    Parameters
    ----------
    tokens, width : int >= 1
    start : int >= 0, default 0
    base : float > 0, default 10000.0

    Returns
    -------
    ndarray (tokens, width), float64

    Notes
    -----
    ``table[t, 2i] = sin(t / base^(2i / width))``, ``table[t, 2i + 1] = cos(t / base^(2i / width))``.

    References
    ----------
    Vaswani et al. 2017, "Attention is all you need", section 3.5.

    Examples
    --------
    >>> sinusoidal_table(2, 2).round(3).tolist()
    [[0.0, 1.0], [0.841, 0.54]]
    """
    where = "sinusoidal_table"
    tokens, width = checks.size(where, "tokens", tokens, 0), checks.size(where, "width", width)
    start, base = checks.size(where, "start", start, 0), checks.number(where, "base", base, 0.0, above=True)
    angles = np.arange(start, start + tokens)[:, None] * base ** (-(np.arange(width) // 2 * 2) / width)
    angles[:, 1::2] += np.pi / 2
    return np.sin(angles)


def rotary(
    x: np.ndarray, *, start: int = 0, base: float = 10000.0, out: np.ndarray | None = None, inverse: bool = False
) -> np.ndarray:
    """Rotate pairs of features by angles that grow with the token's place.

    Products of queries and keys that were rotated depend on the distance of their places alone.

    Parameters
    ----------
    x : ndarray (..., tokens, d), float32 or float64
        d is even: feature i is paired with feature i + d/2.
    start : int >= 0, default 0
        Place of the first token.
    base : float > 0, default 10000.0
    out : ndarray like x, optional
        Where to write the result; may be ``x`` itself. Of four axes, of any strides but along the last.
    inverse : bool, default False
        Rotate back.

    Returns
    -------
    ndarray like x

    Raises
    ------
    ShapeError
        If d is odd, or ``out`` does not fit.
    DTypeError
        If ``x`` is of another dtype, or ``out``.

    Notes
    -----
    With ``a = t base^(-2i / d)``: ``(y_i, y_j) = (x_i cos a - x_j sin a, x_i sin a + x_j cos a)``, j = i + d/2.

    References
    ----------
    Su, Lu, Pan, Murtadha, Wen & Liu 2021, "RoFormer", equation 34, with the pairs as GPT-NeoX chooses them.

    Examples
    --------
    >>> rotary(np.array([[1.0, 0.0], [1.0, 0.0]])).round(3).tolist()
    [[1.0, 0.0], [0.54, 0.841]]
    """
    if not isinstance(x, np.ndarray) or x.ndim < 2 or x.shape[-1] % 2:
        got = f"shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ShapeError("rotary(x)", "shape (..., tokens, d) with an even d", got, "choose an even width of the heads")
    if x.dtype not in REAL_DTYPES:
        x = real("rotary", "x", x)
    base = checks.number("rotary", "base", base, 0.0, above=True)
    angles = _angles(x.shape[-2], x.shape[-1] // 2, checks.size("rotary", "start", start, 0), base)
    cosines, sines = np.cos(angles).astype(x.dtype), np.sin(-angles if inverse else angles).astype(x.dtype)
    if out is None or out.ndim != 4:
        y = output("rotary", out, x.shape, x.dtype)
    else:
        same_shape("rotary", "out", out, x.shape)
        same_dtype("rotary", "out", out, x.dtype)
        y = out
    if y is not x:
        np.copyto(y, real("rotary", "x", x))
    try:
        _kernels.rotate(y if y.ndim == 4 else y.reshape(1, math.prod(y.shape[:-2]), *y.shape[-2:]), cosines, sines)
    except ValueError as refusal:
        raise ShapeError("rotary(out)", "an array that can be written in place", str(refusal), "leave it out") from None
    return y


def rotary_backward(
    dy: np.ndarray, *, start: int = 0, base: float = 10000.0, out: np.ndarray | None = None
) -> np.ndarray:
    """Gradient of ``rotary``: the rotation back, as rotations are orthogonal.

    Parameters
    ----------
    dy : ndarray (..., tokens, d)
    start, base, out
        As for ``rotary``.

    Returns
    -------
    ndarray like dy
    """
    return rotary(dy, start=start, base=base, out=out, inverse=True)


def alibi_slopes(heads: int) -> np.ndarray:
    """Return the slopes that ALiBi gives to the heads.

    Parameters
    ----------
    heads : int >= 1

    Returns
    -------
    ndarray (heads,), float64
        ``2^(-8 i / heads)`` for i = 1 to ``heads`` where that is a power of two; else those of the next lower power of
        two, and every second one of the next higher.

    References
    ----------
    Press, Smith & Lewis 2022, "Train short, test long", section 3.

    Examples
    --------
    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    heads = checks.size("alibi_slopes", "heads", heads)
    power = 1 << heads.bit_length() - 1
    slopes = 2.0 ** (-8 * np.arange(1, power + 1) / power)
    between = 2.0 ** (-4 * np.arange(1, 2 * (heads - power), 2) / power)
    return np.concatenate([slopes, between])
