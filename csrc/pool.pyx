"""Pooling of non-overlapping square windows. No arithmetic here: see kernels/pool.c."""
from libc.stdint cimport INT32_MAX, int32_t

from arrays cimport Arrays, axis, integers, real, release

cdef extern from "kernels/pool.h" nogil:
    void call_maxpool2d "maxpool2d" (int dtype, void *y, int32_t *argmax, void *x, Py_ssize_t planes, Py_ssize_t h,
                                     Py_ssize_t w, Py_ssize_t p)
    Py_ssize_t call_maxpool2d_backward "maxpool2d_backward" (int dtype, void *dx, void *dy, int32_t *argmax,
                                                             Py_ssize_t planes, Py_ssize_t h, Py_ssize_t w,
                                                             Py_ssize_t oh, Py_ssize_t ow)
    void call_avgpool2d "avgpool2d" (int dtype, void *y, void *x, Py_ssize_t planes, Py_ssize_t h, Py_ssize_t w,
                                     Py_ssize_t p)
    void call_avgpool2d_backward "avgpool2d_backward" (int dtype, void *dx, void *dy, Py_ssize_t planes, Py_ssize_t h,
                                                       Py_ssize_t w, Py_ssize_t p)

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


def maxpool2d(y, argmax, x, Py_ssize_t p):
    """Write the maxima of ``x`` (n, c, h, w) to ``y`` (n, c, h//p, w//p), their places to ``argmax`` unless None."""
    cdef Arrays a
    cdef Py_ssize_t n, c, h, w
    cdef int32_t *argmax_ = NULL
    a.count = 0
    try:
        x_ = real(&a, x, "x", 4)
        n, c, h, w = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2), axis(&a, 0, 3)
        check_window(h, w, p)
        check_plane(h, w)
        y_ = real(&a, y, "y", 4, True, n, c, h // p, w // p)
        if argmax is not None:
            argmax_ = <int32_t *>integers(&a, argmax, "argmax", 4, 4, True, n, c, h // p, w // p)
        with nogil:
            call_maxpool2d(a.dtype, y_, argmax_, x_, n * c, h, w, p)
    finally:
        release(&a)


def maxpool2d_backward(dx, dy, argmax):
    """Write ``dy`` to the places ``argmax`` of ``dx`` (n, c, h, w) and zero elsewhere."""
    cdef Arrays a
    cdef Py_ssize_t n, c, h, w, oh, ow, bad
    a.count = 0
    try:
        dx_ = real(&a, dx, "dx", 4, True)
        n, c, h, w = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2), axis(&a, 0, 3)
        check_plane(h, w)
        dy_ = real(&a, dy, "dy", 4, False, n, c)
        oh, ow = axis(&a, 1, 2), axis(&a, 1, 3)
        argmax_ = <int32_t *>integers(&a, argmax, "argmax", 4, 4, False, n, c, oh, ow)
        with nogil:
            bad = call_maxpool2d_backward(a.dtype, dx_, dy_, argmax_, n * c, h, w, oh, ow)
        if bad >= 0:
            raise ValueError(f"argmax: expected places in planes of {h} x {w}, got {argmax_[bad]} at index {bad}")
    finally:
        release(&a)


def avgpool2d(y, x, Py_ssize_t p):
    """Write the means of the windows of ``x`` (n, c, h, w) to ``y`` (n, c, h//p, w//p)."""
    cdef Arrays a
    cdef Py_ssize_t n, c, h, w
    a.count = 0
    try:
        x_ = real(&a, x, "x", 4)
        n, c, h, w = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2), axis(&a, 0, 3)
        check_window(h, w, p)
        y_ = real(&a, y, "y", 4, True, n, c, h // p, w // p)
        with nogil:
            call_avgpool2d(a.dtype, y_, x_, n * c, h, w, p)
    finally:
        release(&a)


def avgpool2d_backward(dx, dy, Py_ssize_t p):
    """Spread ``dy`` (n, c, h//p, w//p) evenly over the windows of ``dx`` (n, c, h, w), zero elsewhere."""
    cdef Arrays a
    cdef Py_ssize_t n, c, h, w
    a.count = 0
    try:
        dx_ = real(&a, dx, "dx", 4, True)
        n, c, h, w = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2), axis(&a, 0, 3)
        check_window(h, w, p)
        dy_ = real(&a, dy, "dy", 4, False, n, c, h // p, w // p)
        with nogil:
            call_avgpool2d_backward(a.dtype, dx_, dy_, n * c, h, w, p)
    finally:
        release(&a)
