"""Dropout over flat arrays. No arithmetic here: see kernels/dropout.c."""
from libc.stdint cimport uint8_t, uint64_t

from arrays cimport Arrays, axis, integers, real, release

cdef extern from "parallel/dropout.h" nogil:
    ctypedef struct dropout_call:
        bint backward
        int dtype
        void *y
        uint8_t *mask
        void *x
        uint64_t key
        double rate
        Py_ssize_t n
    void dropout_run(dropout_call *call)

include "runtime/module.pxi"


cdef int check_rate(double rate) except -1:
    if not 0 <= rate < 1:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate}")
    return 0


def forward(y, mask, x, uint64_t key, double rate):
    """Write dropout of the vector ``x`` to ``y`` and where it was kept to ``mask`` (bool or uint8)."""
    cdef Arrays a
    cdef dropout_call call
    a.count = 0
    try:
        check_rate(rate)
        call.y = real(&a, y, "y", 1, True)
        call.n = axis(&a, 0, 0)
        call.mask = <uint8_t *>integers(&a, mask, "mask", 1, 1, True, call.n)
        call.x = real(&a, x, "x", 1, False, call.n)
        call.backward, call.dtype, call.key, call.rate = False, a.dtype, key, rate
        with nogil:
            dropout_run(&call)
    finally:
        release(&a)


def backward(dx, dy, mask, double rate):
    """Write the gradient of dropout's input to the vector ``dx``."""
    cdef Arrays a
    cdef dropout_call call
    a.count = 0
    try:
        check_rate(rate)
        call.y = real(&a, dx, "dx", 1, True)
        call.n = axis(&a, 0, 0)
        call.x = real(&a, dy, "dy", 1, False, call.n)
        call.mask = <uint8_t *>integers(&a, mask, "mask", 1, 1, False, call.n)
        call.backward, call.dtype, call.key, call.rate = True, a.dtype, 0, rate
        with nogil:
            dropout_run(&call)
    finally:
        release(&a)
