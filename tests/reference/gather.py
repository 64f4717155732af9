"""NumPy oracles of the kernels in csrc/kernels/gather.c."""

import numpy as np

from enilnets._ext import gather

#: (rows of the table, width, ids): vector remainders, more ids than rows, nothing at all.
SHAPES = [(1, 1, 1), (5, 3, 7), (7, 1, 40), (40, 17, 9), (11, 64, 100), (300, 33, 700), (6, 0, 4), (6, 5, 0)]


def sum_rows(dtable, dy, rows, starts, order, add):
    """Sums one after the other, in the dtype at hand: the order is part of the promise."""
    want = dtable.copy()
    for row, start, stop in zip(rows, starts, starts[1:], strict=False):
        if not add:
            want[row] = 0
        for place in order[start:stop]:
            want[row] = want[row] + dy[place]
    return want


def case_gather_rows(rng, dtype):
    for v, e, n in SHAPES:
        table, y, ids = rng.normal(size=(v, e)).astype(dtype), np.full((n, e), 9, dtype), rng.integers(0, v, n)
        assert gather.gather_rows(y, table, ids) == -1
        np.testing.assert_array_equal(y, table[ids])
        for place in {0, n // 2, n - 1} if n else ():
            for bad in (-1, v, -(2**63), 2**63 - 1):
                wrong = ids.copy()
                wrong[[place, n - 1]] = bad
                assert gather.gather_rows(y, table, wrong) == place


def case_sum_rows(rng, dtype):
    for v, e, n in SHAPES:
        dy, ids = rng.normal(size=(n, e)).astype(dtype), rng.integers(0, v, n)
        order = np.argsort(ids, kind="stable")
        rows, starts = np.unique(ids[order], return_index=True)
        starts = np.append(starts, n)
        for add in (False, True):
            dtable = rng.normal(size=(v, e)).astype(dtype)
            want = sum_rows(dtable, dy, rows, starts, order, add)
            gather.sum_rows(dtable, dy, rows, starts, order, add)
            np.testing.assert_array_equal(dtable, want)
    dtable = np.full((4, 3), 9, dtype)  # rows that nothing belongs to
    gather.sum_rows(dtable, np.ones((1, 3), dtype), np.array([1, 2]), np.array([0, 0, 1]), np.array([0]))
    np.testing.assert_array_equal(dtable[:, 0], [9, 0, 1, 9])


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {"gather_rows": case_gather_rows, "sum_rows": case_sum_rows}
