"""Dropout over flat arrays. No arithmetic here: see kernels/dropout.c."""
from libc.stdint cimport uint8_t, uint64_t

from arrays cimport Arrays, axis, integers, real, release

cdef extern from "kernels/dropout.h" nogil:
    void dropout_forward(int dtype, void *y, uint8_t *mask, void *x, uint64_t key, double rate, Py_ssize_t n)
    void dropout_backward(int dtype, void *dx, void *dy, uint8_t *mask, double rate, Py_ssize_t n)

include "runtime/module.pxi"


cdef int check_rate(double rate) except -1:
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate}")
    return 0


def forward(y, mask, x, uint64_t key, double rate):
    """Write dropout of the vector ``x`` to ``y`` and where it was kept to ``mask`` (bool or uint8)."""
    cdef Arrays a
    cdef Py_ssize_t n
    a.count = 0
    try:
        check_rate(rate)
        y_ = real(&a, y, "y", 1, True)
        n = axis(&a, 0, 0)
        mask_ = integers(&a, mask, "mask", 1, 1, True, n)
        x_ = real(&a, x, "x", 1, False, n)
        with nogil:
            dropout_forward(a.dtype, y_, <uint8_t *>mask_, x_, key, rate, n)
    finally:
        release(&a)


def backward(dx, dy, mask, double rate):
    """Write the gradient of dropout's input to the vector ``dx``."""
    cdef Arrays a
    cdef Py_ssize_t n
    a.count = 0
    try:
        check_rate(rate)
        dx_ = real(&a, dx, "dx", 1, True)
        n = axis(&a, 0, 0)
        dy_ = real(&a, dy, "dy", 1, False, n)
        mask_ = integers(&a, mask, "mask", 1, 1, False, n)
        with nogil:
            dropout_backward(a.dtype, dx_, dy_, <uint8_t *>mask_, rate, n)
    finally:
        release(&a)
