"""NumPy oracle of the kernel in csrc/kernels/sparse.c: the dense product in float64."""

import numpy as np

from enilnets._ext import sparse

#: m, k, columns, share of non-zero elements
SIZES = (
    *((1, 1, 1, 1.0), (5, 3, 7, 0.5), (4, 6, 32, 0.3), (9, 9, 33, 0.0)),
    *((30, 40, 64, 0.1), (3, 8, 100, 1.0), (0, 3, 5, 1.0)),
)


def rows(matrix):
    """values, index, start of the non-zero elements, row by row."""
    index = [np.flatnonzero(row) for row in matrix]
    values = np.concatenate([row[i] for row, i in zip(matrix, index, strict=True)] or [np.zeros(0)])
    start = np.cumsum([0, *map(len, index)])
    return values.astype(matrix.dtype), np.concatenate([*index, []]).astype(np.int32), start.astype(np.int64)


def case_sparse_product(rng, dtype):
    for m, k, n, share in SIZES:
        a = (rng.normal(size=(m, k)) * (rng.random((m, k)) < share)).astype(dtype)
        x, y = rng.normal(size=(k, n)).astype(dtype), np.full((m, n), 9, dtype)
        sparse.product(y, *rows(a), x)
        bound = 2 * k * np.finfo(dtype).eps
        np.testing.assert_allclose(y, a.astype(float) @ x.astype(float), rtol=bound, atol=4 * bound)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {"sparse_product": case_sparse_product}
