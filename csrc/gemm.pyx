"""Matrix products over any strides. No arithmetic here: see kernels/gemm.c."""
from arrays cimport Arrays, axis, real, release, strided
from cpython.buffer cimport Py_buffer

cdef extern from *:
    """
    static const char *const form_names[] = {"dot", "panel", "packed"};
    """
    const char *form_names[]

cdef extern from "kernels/gemm.h" nogil:
    int EN_GEMM_MOST_AXES, EN_LINEAR, EN_RELU, EN_LEAKYRELU
    ctypedef struct gemm_problem:
        Py_ssize_t m, n, k
        Py_ssize_t a_row, a_column, b_row, b_column, c_row, c_column
        int axes
        Py_ssize_t *size
        Py_ssize_t *a_step
        Py_ssize_t *b_step
        Py_ssize_t *c_step
        bint accumulate
        int activation
        int form, transposed
    ctypedef struct gemm_part:
        Py_ssize_t first_row, stop_row, first_column, stop_column
    gemm_part gemm_whole(gemm_problem *p)
    void matrix_product(int dtype, void *c, void *a, void *b, void *column_bias, void *row_bias, void *work,
                        gemm_problem *p, gemm_part *part)

cdef extern from "parallel/gemm.h" nogil:
    ctypedef struct gemm_call:
        gemm_problem problem
        int dtype, threads
        Py_ssize_t workspace
        void *c
        void *work
        void *a
        void *b
        void *column_bias
        void *row_bias
    void gemm_prepare(gemm_call *call)
    void gemm_run(gemm_call *call)

include "runtime/module.pxi"


cdef object shape_of(Py_buffer *view):
    return tuple([view.shape[i] for i in range(view.ndim)])


cdef int check_out(Py_buffer *view) except -1:
    """Refuse a result whose elements share memory: every axis must step over all that is inside of it."""
    cdef Py_ssize_t reach = view.itemsize, step
    cdef int i
    for i in range(view.ndim):
        if view.shape[i] == 0:
            return 0
    # The two last axes may come in either order, so that a transposed view can be written.
    cdef int last = view.ndim - 1, inner
    cdef bint exchanged = abs(view.strides[last]) > abs(view.strides[last - 1]) and view.shape[last - 1] > 1
    for i in range(last, -1, -1):
        inner = i
        if exchanged and i >= last - 1:
            inner = last if i == last - 1 else last - 1
        if view.shape[inner] > 1:
            step = abs(view.strides[inner])
            if step < reach:
                raise ValueError("out: expected elements that do not share memory, in the order of the leading axes")
            reach += (view.shape[inner] - 1) * step
    return 0


cdef int describe(gemm_problem *p, Py_buffer *c, Py_buffer *a, Py_buffer *b) except -1:
    """Fill in sizes and strides; leading axes are broadcast as NumPy does it."""
    cdef Py_ssize_t itemsize = c.itemsize, size, a_size, b_size
    cdef int i, at, axes = c.ndim - 2
    if a.ndim < 2 or b.ndim < 2 or c.ndim != max(a.ndim, b.ndim) or axes > EN_GEMM_MOST_AXES:
        raise ValueError(f"out: expected matrices, got {c.ndim} axes from {a.ndim} and {b.ndim}")
    p.m, p.k, p.n = a.shape[a.ndim - 2], a.shape[a.ndim - 1], b.shape[b.ndim - 1]
    if b.shape[b.ndim - 2] != p.k:
        raise ValueError(f"b: expected {p.k} rows for a of shape {shape_of(a)}, got shape {shape_of(b)}")
    if c.shape[axes] != p.m or c.shape[axes + 1] != p.n:
        raise ValueError(f"out: expected shape (..., {p.m}, {p.n}), got {shape_of(c)}")
    p.a_row, p.a_column = a.strides[a.ndim - 2] // itemsize, a.strides[a.ndim - 1] // itemsize
    p.b_row, p.b_column = b.strides[b.ndim - 2] // itemsize, b.strides[b.ndim - 1] // itemsize
    p.c_row, p.c_column = c.strides[axes] // itemsize, c.strides[axes + 1] // itemsize
    p.axes = 0
    for i in range(axes):
        size, a_size, b_size = c.shape[i], 1, 1
        at = p.axes
        p.a_step[at] = p.b_step[at] = 0
        if i >= axes + 2 - a.ndim:
            a_size = a.shape[i - axes - 2 + a.ndim]
            if a_size != 1:
                p.a_step[at] = a.strides[i - axes - 2 + a.ndim] // itemsize
        if i >= axes + 2 - b.ndim:
            b_size = b.shape[i - axes - 2 + b.ndim]
            if b_size != 1:
                p.b_step[at] = b.strides[i - axes - 2 + b.ndim] // itemsize
        if (a_size != 1 and a_size != size) or (b_size != 1 and b_size != size) or size != (b_size if a_size == 1 else a_size):
            raise ValueError(f"out: axis {i} has size {size}, but a and b have {a_size} and {b_size}")
        if size != 1:
            p.size[at] = size
            p.c_step[at] = c.strides[i] // itemsize
            p.axes += 1
    return 0


def matmul(a, b, out, bias=None, row_bias=None, bint accumulate=False, activation=None, workspace=None, part=None):
    """Write ``a`` (..., m, k) times ``b`` (..., k, n) into ``out`` (..., m, n), or add it to ``out`` if ``accumulate``.

    ``bias`` (n,) is added to every row, ``row_bias`` (m,) to every column, then comes the activation "relu", "leakyrelu" or None.
    ``workspace`` is called with a number of elements if some are needed and returns a vector of at least as many. Only
    rows ``part[0]`` to ``part[1]`` and columns ``part[2]`` to ``part[3]`` are computed if ``part`` is given.
    """
    cdef Arrays held
    cdef gemm_call call
    cdef gemm_problem *p = &call.problem
    cdef gemm_part wanted
    cdef Py_ssize_t needed
    held.count = 0
    call.column_bias = call.row_bias = call.work = NULL
    try:
        c_ = strided(&held, out, "out", True)
        a_ = strided(&held, a, "a")
        b_ = strided(&held, b, "b")
        describe(p, c_, a_, b_)
        check_out(c_)
        call.dtype, call.c, call.a, call.b = held.dtype, c_.buf, a_.buf, b_.buf
        if bias is not None:
            call.column_bias = real(&held, bias, "bias", 1, False, p.n)
        if row_bias is not None:
            call.row_bias = real(&held, row_bias, "row_bias", 1, False, p.m)
        p.accumulate, p.activation = accumulate, number(activation)
        gemm_prepare(&call)
        if part is not None:
            cut(&wanted, p, part)
        needed = call.threads * call.workspace
        if needed > 0:
            work = None if workspace is None else workspace(needed, out.dtype)
            call.work = real(&held, work, "workspace", 1, True)
            if axis(&held, held.count - 1, 0) < needed:
                raise ValueError(f"workspace: expected at least {needed} elements")
        with nogil:
            if part is None:
                gemm_run(&call)
            else:
                matrix_product(call.dtype, call.c, call.a, call.b, call.column_bias, call.row_bias, call.work, p, &wanted)
    finally:
        release(&held)


cdef int number(activation) except -1:
    if activation is None:
        return EN_LINEAR
    if activation == "relu":
        return EN_RELU
    if activation == "leakyrelu":
        return EN_LEAKYRELU
    raise ValueError(f"activation: expected 'relu', 'leakyrelu' or None, got {activation!r}")


cdef int cut(gemm_part *wanted, gemm_problem *p, part) except -1:
    """Set ``wanted`` to the rows and columns of ``out`` in ``part``; its bounds may not leave the planned problem."""
    wanted[0] = gemm_whole(p)
    cdef Py_ssize_t i0, i1, j0, j1, rows = wanted.stop_row, columns = wanted.stop_column
    i0, i1, j0, j1 = part
    if p.transposed:
        rows, columns = columns, rows
    if not 0 <= i0 <= i1 <= rows or not 0 <= j0 <= j1 <= columns:
        raise ValueError(f"part: expected rows within {rows} and columns within {columns}, got {part}")
    if p.transposed:
        i0, i1, j0, j1 = j0, j1, i0, i1
    wanted.first_row, wanted.stop_row, wanted.first_column, wanted.stop_column = i0, i1, j0, j1
    return 0


def form(a, b, out):
    """How ``matmul`` computes this product ("dot", "panel", "packed"), the elements of workspace it needs, and threads."""
    cdef Arrays held
    cdef gemm_call call
    held.count = 0
    call.column_bias = call.row_bias = NULL
    try:
        c_ = strided(&held, out, "out", True)
        describe(&call.problem, c_, strided(&held, a, "a"), strided(&held, b, "b"))
        call.dtype = held.dtype
        gemm_prepare(&call)
        return form_names[call.problem.form].decode(), call.threads * call.workspace, call.threads
    finally:
        release(&held)
