"""Matrix product: the one function through which every product of the library goes."""

from __future__ import annotations

import numpy as np

__all__ = ["matmul"]


def matmul(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return ``a @ b``, written into ``out`` if given.

    Parameters
    ----------
    a : ndarray (..., m, k)
    b : ndarray (..., k, n)
        Same dtype; any strides, so transposed views cost nothing.
    out : ndarray (..., m, n), optional
    """
    return np.matmul(a, b, out=out)
