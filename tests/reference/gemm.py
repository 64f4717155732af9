"""NumPy oracle of the kernel in csrc/kernels/gemm.c: the product in float64, with a bound on its rounding error.

A sum of K products in any order errs by at most gamma_K |A| |B| with gamma_K = K eps / (1 - K eps) (Higham 2002,
section 3.1); every further addition is one more term.
"""

import numpy as np

from enilnets._ext import gemm

#: (m, k, n): each one is there for a reason. Tiles are 4 or 12 rows by 2 or 3 vectors of 2 to 16 columns.
SHAPES = [
    (1, 1, 1),
    (0, 3, 4),
    (3, 0, 4),
    (3, 4, 0),
    (1, 64, 130),  # one row
    (130, 64, 1),  # one column
    (4, 37, 131),  # few rows, a prime number of columns, depth between vectors
    (131, 3, 2),  # few columns, less depth than a vector
    (5, 17, 16),  # one row more than few, one vector
    (12, 16, 32),  # exactly the largest tile
    (13, 15, 33),  # one more
    (11, 33, 31),  # one less
    (24, 8, 24),
    (25, 9, 25),
    (23, 7, 23),
    (2, 700, 5),  # few of both, several blocks of depth
    (3, 641, 70),
    (97, 321, 67),  # one more than a block of depth
    (411, 321, 35),  # packed, one more than a block of depth
    (2050, 65, 34),  # packed, more rows than one block, between full tiles
    (7, 5, 2081),  # many columns
]


def views(rng, shape, dtype):
    """Matrices of ``shape`` with every kind of strides."""
    m, n = shape
    yield rng.normal(size=(m, n)).astype(dtype)
    yield rng.normal(size=(n, m)).astype(dtype).T
    yield rng.normal(size=(m, n + 5)).astype(dtype)[:, 2 : n + 2]
    yield rng.normal(size=(n, m + 3)).astype(dtype)[:, 1 : m + 1].T
    yield rng.normal(size=(2 * m + 1, 3 * n + 1)).astype(dtype)[: 2 * m : 2, : 3 * n : 3]
    yield rng.normal(size=(m, n)).astype(dtype)[::-1, ::-1]
    yield rng.normal(size=(n, m)).astype(dtype)[::-1].T
    yield np.broadcast_to(rng.normal(size=(1, n)).astype(dtype), (m, n))
    yield np.broadcast_to(rng.normal(size=(m, 1)).astype(dtype), (m, n))


def results(shape, dtype):
    """Arrays of ``shape`` full of NaN, in every layout that a result may have."""
    m, n = shape
    yield np.full((m, n), np.nan, dtype)
    yield np.full((n, m), np.nan, dtype).T
    yield np.full((m, n + 3), np.nan, dtype)[:, 1 : n + 1]
    yield np.full((m, 2 * n), np.nan, dtype)[::-1, ::2]
    yield np.full((m, n), np.nan, dtype)[:, ::-1]


#: What activations multiply negative numbers with.
SLOPES = {None: 1.0, "relu": 0.0, "leakyrelu": 0.01}


def matmul(a, b, bias=None, row_bias=None, add=None, activation=None, eps=0.0):
    """Return the product in float64 and the bound on the error of one that was computed with ``eps``."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    value, size = a @ b, abs(a) @ abs(b)
    for term in (add, bias, None if row_bias is None else row_bias[:, None]):
        if term is not None:
            value, size = value + term.astype(np.float64), size + abs(term.astype(np.float64))
    terms = (a.shape[-1] + 3) * eps
    return np.where(value < 0, SLOPES[activation] * value, value), terms / (1 - terms) * size


def close(got, want, bound):
    assert got.shape == want.shape
    assert (abs(got - want) <= bound).all(), f"error {abs(got - want).max()}, bound {np.max(bound)}"


def workspace(needed, dtype):
    """Exactly as much workspace as asked for, filled with NaN so that nothing unset can leak into a result."""
    return np.full(needed, np.nan, dtype)


def case_matrix_product(rng, dtype):
    eps = np.finfo(dtype).eps
    for m, k, n in SHAPES:
        lefts, rights, outs = list(views(rng, (m, k), dtype)), list(views(rng, (k, n), dtype)), 0
        for i, a in enumerate(lefts):
            for j, b in enumerate(rights):
                if m * k * n > 10**6 and (i + j) % 4:
                    continue
                # Every layout and every ending, each with other operands.
                ending = (i * len(rights) + j) % 16
                out = list(results((m, n), dtype))[outs := (outs + 1) % 5]
                accumulate, activation = bool(ending & 1), list(SLOPES)[(i + j) % 3]
                bias = rng.normal(size=n).astype(dtype) if ending & 4 else None
                row_bias = rng.normal(size=m).astype(dtype) if ending & 8 else None
                if accumulate:
                    out[...] = rng.normal(size=(m, n))
                want = matmul(a, b, bias, row_bias, out.copy() if accumulate else None, activation, eps)
                gemm.matmul(a, b, out, bias, row_bias, accumulate, activation, workspace)
                close(out, *want)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {"matrix_product": case_matrix_product}
