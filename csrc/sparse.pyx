"""Products of sparse matrices. No arithmetic here: see kernels/sparse.c."""
from libc.stdint cimport int32_t, int64_t

from arrays cimport ANY, Arrays, axis, integers, real, release

cdef extern from "parallel/sparse.h" nogil:
    ctypedef struct sparse_matrix:
        void *values
        int32_t *index
        int64_t *start
        Py_ssize_t m, count
    ctypedef struct sparse_call:
        int dtype
        void *y
        void *x
        sparse_matrix a
        Py_ssize_t columns
    void sparse_run(sparse_call *call)

include "runtime/module.pxi"


def product(y, values, index, start, x):
    """y (m, n) <- a x for x (k, n); row i of a has values[start[i]:start[i + 1]] in the columns ``index`` names.

    index : int32 (count,), in [0, k)
    start : int64 (m + 1,), from 0 to count, ascending
    """
    cdef Arrays a
    cdef sparse_call call
    cdef Py_ssize_t i, k
    a.count = 0
    try:
        call.x = real(&a, x, "x", 2)
        k, call.columns, call.dtype = axis(&a, 0, 0), axis(&a, 0, 1), a.dtype
        call.y = real(&a, y, "y", 2, True, ANY, call.columns)
        call.a.m = axis(&a, 1, 0)
        call.a.values = real(&a, values, "values", 1)
        call.a.count = axis(&a, 2, 0)
        call.a.index = <int32_t *>integers(&a, index, "index", 4, 1, False, call.a.count)
        call.a.start = <int64_t *>integers(&a, start, "start", 8, 1, False, call.a.m + 1)
        if call.a.start[0] != 0 or call.a.start[call.a.m] != call.a.count:
            raise ValueError(f"start: expected numbers from 0 to {call.a.count}")
        for i in range(call.a.m):
            if call.a.start[i] > call.a.start[i + 1]:
                raise ValueError(f"start: expected ascending numbers, got {call.a.start[i + 1]} at {i + 1}")
        for i in range(call.a.count):
            if not 0 <= call.a.index[i] < k:
                raise ValueError(f"index: expected numbers below {k}, got {call.a.index[i]} at {i}")
        if call.columns > 0:
            with nogil:
                sparse_run(&call)
    finally:
        release(&a)
