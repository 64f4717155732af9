"""Pooling of non-overlapping square windows, and of a given number of bins. No arithmetic here: see kernels/pool.c."""
from libc.stdint cimport INT32_MAX, int32_t

from arrays cimport Arrays, axis, integers, real, release

cdef extern from "parallel/pool.h" nogil:
    int MAXPOOL, MAXPOOL_BACKWARD, AVGPOOL, AVGPOOL_BACKWARD
    int ADAPTIVE_MAXPOOL, ADAPTIVE_AVGPOOL, ADAPTIVE_AVGPOOL_BACKWARD
    ctypedef struct pool_call:
        int kernel, dtype
        void *x
        void *dy
        void *y
        void *dx
        int32_t *argmax
        Py_ssize_t planes, h, w, oh, ow, p
    Py_ssize_t pool_run(pool_call *call)

include "runtime/module.pxi"

MOST_PLACES = INT32_MAX  # elements of a plane that an int32 argmax can count


cdef int check_window(Py_ssize_t h, Py_ssize_t w, Py_ssize_t p) except -1:
    if not (1 <= p <= h and p <= w):
        raise ValueError(f"p: expected a window of 1 to {min(h, w)}, got {p}")
    return 0


cdef int check_plane(Py_ssize_t h, Py_ssize_t w) except -1:
    if w > 0 and h > INT32_MAX // w:
        raise ValueError(f"expected planes of less than 2**31 elements, got {h} x {w}")
    return 0


cdef int describe(Arrays *a, pool_call *call, int kernel) noexcept:
    """Fill in the sizes that the first array gives, the images before pooling."""
    call.kernel, call.dtype, call.argmax = kernel, a.dtype, NULL
    call.planes = axis(a, 0, 0) * axis(a, 0, 1)
    call.h, call.w = axis(a, 0, 2), axis(a, 0, 3)
    return 0


cdef int set_window(pool_call *call, Py_ssize_t p) except -1:
    check_window(call.h, call.w, p)
    call.p, call.oh, call.ow = p, call.h // p, call.w // p
    return 0


def maxpool2d(y, argmax, x, Py_ssize_t p):
    """Write the maxima of ``x`` (n, c, h, w) to ``y`` (n, c, h//p, w//p), their places to ``argmax`` unless None."""
    cdef Arrays a
    cdef pool_call call
    cdef Py_ssize_t n, c
    a.count = 0
    try:
        call.x = real(&a, x, "x", 4)
        describe(&a, &call, MAXPOOL)
        set_window(&call, p)
        check_plane(call.h, call.w)
        n, c = axis(&a, 0, 0), axis(&a, 0, 1)
        call.y = real(&a, y, "y", 4, True, n, c, call.oh, call.ow)
        if argmax is not None:
            call.argmax = <int32_t *>integers(&a, argmax, "argmax", 4, 4, True, n, c, call.oh, call.ow)
        with nogil:
            pool_run(&call)
    finally:
        release(&a)


def maxpool2d_backward(dx, dy, argmax):
    """Write ``dy`` to the places ``argmax`` of ``dx`` (n, c, h, w) and zero elsewhere."""
    cdef Arrays a
    cdef pool_call call
    cdef Py_ssize_t n, c, bad
    a.count = 0
    try:
        call.dx = real(&a, dx, "dx", 4, True)
        describe(&a, &call, MAXPOOL_BACKWARD)
        check_plane(call.h, call.w)
        n, c = axis(&a, 0, 0), axis(&a, 0, 1)
        call.dy = real(&a, dy, "dy", 4, False, n, c)
        call.oh, call.ow = axis(&a, 1, 2), axis(&a, 1, 3)
        call.argmax = <int32_t *>integers(&a, argmax, "argmax", 4, 4, False, n, c, call.oh, call.ow)
        with nogil:
            bad = pool_run(&call)
        if bad >= 0:
            raise ValueError(f"argmax: expected places in planes of {call.h} x {call.w}, "
                             f"got {call.argmax[bad]} at index {bad}")
    finally:
        release(&a)


def avgpool2d(y, x, Py_ssize_t p):
    """Write the means of the windows of ``x`` (n, c, h, w) to ``y`` (n, c, h//p, w//p)."""
    cdef Arrays a
    cdef pool_call call
    a.count = 0
    try:
        call.x = real(&a, x, "x", 4)
        describe(&a, &call, AVGPOOL)
        set_window(&call, p)
        call.y = real(&a, y, "y", 4, True, axis(&a, 0, 0), axis(&a, 0, 1), call.oh, call.ow)
        with nogil:
            pool_run(&call)
    finally:
        release(&a)


def avgpool2d_backward(dx, dy, Py_ssize_t p):
    """Spread ``dy`` (n, c, h//p, w//p) evenly over the windows of ``dx`` (n, c, h, w), zero elsewhere."""
    cdef Arrays a
    cdef pool_call call
    a.count = 0
    try:
        call.dx = real(&a, dx, "dx", 4, True)
        describe(&a, &call, AVGPOOL_BACKWARD)
        set_window(&call, p)
        call.dy = real(&a, dy, "dy", 4, False, axis(&a, 0, 0), axis(&a, 0, 1), call.oh, call.ow)
        with nogil:
            pool_run(&call)
    finally:
        release(&a)


cdef int take_bins(Arrays *a, pool_call *call) except -1:
    """Take the number of bins from the second array, the images after pooling."""
    call.oh, call.ow = axis(a, 1, 2), axis(a, 1, 3)
    if call.h == 0 or call.w == 0 or call.oh == 0 or call.ow == 0 or call.oh > INT32_MAX or call.ow > INT32_MAX:
        raise ValueError(f"expected bins over elements, got {call.oh} x {call.ow} over {call.h} x {call.w}")
    check_plane(call.h, call.w)
    return 0


def adaptive_maxpool2d(y, argmax, x):
    """Write the maxima of the bins of ``x`` (n, c, h, w) to ``y`` (n, c, oh, ow), their places to ``argmax`` or None."""
    cdef Arrays a
    cdef pool_call call
    cdef Py_ssize_t n, c
    a.count = 0
    try:
        call.x = real(&a, x, "x", 4)
        describe(&a, &call, ADAPTIVE_MAXPOOL)
        n, c = axis(&a, 0, 0), axis(&a, 0, 1)
        call.y = real(&a, y, "y", 4, True, n, c)
        take_bins(&a, &call)
        if argmax is not None:
            call.argmax = <int32_t *>integers(&a, argmax, "argmax", 4, 4, True, n, c, call.oh, call.ow)
        with nogil:
            pool_run(&call)
    finally:
        release(&a)


def adaptive_avgpool2d(y, x):
    """Write the means of the bins of ``x`` (n, c, h, w) to ``y`` (n, c, oh, ow)."""
    cdef Arrays a
    cdef pool_call call
    a.count = 0
    try:
        call.x = real(&a, x, "x", 4)
        describe(&a, &call, ADAPTIVE_AVGPOOL)
        call.y = real(&a, y, "y", 4, True, axis(&a, 0, 0), axis(&a, 0, 1))
        take_bins(&a, &call)
        with nogil:
            pool_run(&call)
    finally:
        release(&a)


def adaptive_avgpool2d_backward(dx, dy):
    """Spread ``dy`` (n, c, oh, ow) evenly over the bins of ``dx`` (n, c, h, w)."""
    cdef Arrays a
    cdef pool_call call
    a.count = 0
    try:
        call.dx = real(&a, dx, "dx", 4, True)
        describe(&a, &call, ADAPTIVE_AVGPOOL_BACKWARD)
        call.dy = real(&a, dy, "dy", 4, False, axis(&a, 0, 0), axis(&a, 0, 1))
        take_bins(&a, &call)
        with nogil:
            pool_run(&call)
    finally:
        release(&a)
