"""Affine map of rows, z = x Wᵀ + b, with its gradients."""

from __future__ import annotations

import numpy as np

from .._ext import pointwise as _kernels
from ..errors import ShapeError
from .array import output, real
from .matmul import matmul

__all__ = ["affine", "affine_backward", "column_sums"]


def affine(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Return ``x @ w.T + b``.

    Parameters
    ----------
    x : ndarray (batch, n_in)
    w : ndarray (n_out, n_in)
    b : ndarray (n_out,), optional

    Returns
    -------
    z : ndarray (batch, n_out)

    Raises
    ------
    ShapeError
        If ``x`` is not (batch, n_in).
    """
    if x.ndim != 2 or x.shape[1] != w.shape[1]:
        raise ShapeError("affine(x)", f"shape (batch, {w.shape[1]})", f"shape {x.shape}")
    return matmul(x, w.T, bias=b)


def affine_backward(
    dz: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    *,
    params: bool = True,
    inputs: bool = True,
    dw: np.ndarray | None = None,
    db: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Gradients of ``affine``: ``dx = dz W``, ``dw = dzᵀ x``, ``db = Σ dz``.

    Parameters
    ----------
    dz : ndarray (batch, n_out)
    x : ndarray (batch, n_in)
    w : ndarray (n_out, n_in)
    params, inputs : bool
        Which gradients are wanted.
    dw, db : ndarray, optional
        Where to write them.

    Returns
    -------
    dx, dw, db : ndarray or None
    """
    dx = matmul(dz, w) if inputs else None
    if not params:
        return dx, None, None
    return dx, matmul(dz.T, x, out=dw), column_sums(dz, out=db)


def column_sums(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return the sum over all axes but the last: the gradient of a bias.

    Parameters
    ----------
    x : ndarray (..., n) of float32 or float64
    out : ndarray (n,), optional
        Where to write the result.

    Returns
    -------
    ndarray (n,)
        Zeros if there are no rows.

    Raises
    ------
    DTypeError
        If ``x`` is not a float32 or float64 array.
    ShapeError
        If ``x`` has no axes, or ``out`` does not fit.

    Notes
    -----
    The order of the additions depends on the shape alone, so the result is the same on every run; the rounding error
    does not grow with the number of rows.
    """
    x = real("column_sums", "x", x)
    if x.ndim == 0:
        raise ShapeError("column_sums(x)", "at least one axis", "shape ()")
    out = output("column_sums", out, x.shape[-1:], x.dtype)
    _kernels.column_sums(out, x)
    return out
