"""Rows of a table by their numbers. No arithmetic here: see kernels/gather.c."""
from libc.stdint cimport int64_t

from arrays cimport ANY, Arrays, axis, integers, real, release

cdef extern from "parallel/gather.h" nogil:
    ctypedef struct gather_call:
        int dtype, add
        void *y
        void *dtable
        void *table
        void *dy
        int64_t *ids
        int64_t *rows
        int64_t *starts
        int64_t *order
        Py_ssize_t v, e, n
    Py_ssize_t gather_run(gather_call *call, Py_ssize_t elements)

include "runtime/module.pxi"


def gather_rows(y, table, ids):
    """Write row ``ids[i]`` of ``table`` (v, e) to row i of ``y`` (n, e).

    Returns -1, or the lowest index of an id that is no row of the table; what ``y`` holds is then of no use.
    """
    cdef Arrays a
    cdef gather_call call
    cdef Py_ssize_t bad
    a.count = 0
    try:
        call.table = real(&a, table, "table", 2)
        call.v, call.e, call.dtype, call.rows = axis(&a, 0, 0), axis(&a, 0, 1), a.dtype, NULL
        call.ids = <int64_t *>integers(&a, ids, "ids", 8, 1)
        call.n = axis(&a, 1, 0)
        call.y = real(&a, y, "y", 2, True, call.n, call.e)
        with nogil:
            bad = gather_run(&call, call.n * call.e)
        return bad
    finally:
        release(&a)


cdef int check_rows(gather_call *call, Py_ssize_t places) except -1:
    """Refuse rows that are not strictly ascending rows of the table, and starts that do not cut up the places."""
    cdef Py_ssize_t k
    cdef int64_t before = -1
    if call.starts[0] != 0 or call.starts[call.n] != places:
        raise ValueError(f"starts: expected 0 to {places}, got {call.starts[0]} to {call.starts[call.n]}")
    for k in range(call.n):
        if not before < call.rows[k] < call.v:
            raise ValueError(f"rows: expected ascending rows of {call.v}, got {call.rows[k]} at index {k}")
        before = call.rows[k]
        if call.starts[k] > call.starts[k + 1]:
            raise ValueError(f"starts: expected ascending places, got {call.starts[k + 1]} at index {k + 1}")
    for k in range(places):
        if not 0 <= call.order[k] < places:
            raise ValueError(f"order: expected places below {places}, got {call.order[k]} at index {k}")
    return 0


def sum_rows(dtable, dy, rows, starts, order, bint add=False):
    """Write the sum of ``dy[order[i]]`` over ``starts[k] <= i < starts[k + 1]`` to row ``rows[k]`` of ``dtable``.

    ``rows`` (r) is ascending; ``dy`` is (n, e), ``order`` (n), ``starts`` (r + 1) from 0 to n. With ``add`` the sums are
    added to what is there. No other row is touched.
    """
    cdef Arrays a
    cdef gather_call call
    cdef Py_ssize_t places
    a.count = 0
    try:
        call.dtable = real(&a, dtable, "dtable", 2, True)
        call.v, call.e, call.dtype, call.add = axis(&a, 0, 0), axis(&a, 0, 1), a.dtype, add
        call.dy = real(&a, dy, "dy", 2, False, ANY, call.e)
        places = axis(&a, 1, 0)
        call.rows = <int64_t *>integers(&a, rows, "rows", 8, 1)
        call.n = axis(&a, 2, 0)
        call.starts = <int64_t *>integers(&a, starts, "starts", 8, 1, False, call.n + 1)
        call.order = <int64_t *>integers(&a, order, "order", 8, 1, False, places)
        check_rows(&call, places)
        with nogil:
            gather_run(&call, places * call.e)
    finally:
        release(&a)
