"""Sparse matrices by rows, and their product with dense ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._ext import sparse as _kernels
from ..errors import DTypeError, ShapeError
from .array import empty, real, same_dtype

__all__ = ["CSR", "csr", "csr_matmul"]


class CSR(NamedTuple):
    """A matrix (m, k) by rows ("compressed sparse rows"): its non-zero elements and where they stand."""

    values: np.ndarray
    """float32 or float64 (count,)."""
    columns: np.ndarray
    """int32 (count,): the column of every element."""
    start: np.ndarray
    """int64 (m + 1,): row i has the elements from start[i] to start[i + 1]."""
    shape: tuple[int, int]


def csr(matrix: np.ndarray) -> CSR:
    """Return the non-zero elements of ``matrix`` (m, k), float32 or float64, by rows.

    Examples
    --------
    >>> csr(np.array([[0.0, 2.0], [0.0, 0.0], [3.0, 4.0]])).start
    array([0, 1, 1, 3])
    """
    matrix = real("csr", "matrix", matrix, ndim=2)
    rows, columns = np.nonzero(matrix)
    start = np.zeros(len(matrix) + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=len(matrix)), out=start[1:])
    return CSR(matrix[rows, columns], columns.astype(np.int32), start, (matrix.shape[0], matrix.shape[1]))


def csr_matmul(a: CSR, x: np.ndarray) -> np.ndarray:
    """Return ``a @ x``.

    Parameters
    ----------
    a : CSR of shape (m, k)
    x : ndarray (k, n)
        Of the dtype of ``a``. All n columns are taken side by side, so a wide ``x`` pays.

    Returns
    -------
    ndarray (m, n)

    Raises
    ------
    ShapeError, DTypeError
        If ``x`` does not fit, or ``a`` was not made by ``csr``.

    Examples
    --------
    >>> csr_matmul(csr(np.array([[0.0, 2.0], [1.0, 0.0]])), np.array([[1.0, 3.0], [5.0, 7.0]]))
    array([[10., 14.],
           [ 1.,  3.]])
    """
    if not isinstance(a, CSR):
        raise DTypeError("csr_matmul(a)", "a CSR", type(a).__name__, "make it with csr(matrix)")
    x = real("csr_matmul", "x", x, ndim=2)
    same_dtype("csr_matmul", "x", x, a.values.dtype)
    if len(x) != a.shape[1]:
        raise ShapeError("csr_matmul(x)", f"shape ({a.shape[1]}, n)", f"shape {x.shape}")
    y = empty((a.shape[0], x.shape[1]), x.dtype)
    _kernels.product(y, a.values, a.columns, a.start, x)
    return y
