"""Optimizer steps over a flat vector, in place. No arithmetic here: see kernels/optim.c."""
from libc.stdint cimport int64_t

from arrays cimport ANY, Arrays, at, axis, real, release, whole

cdef extern from "runtime/dispatch.h":
    int en_isa
    int EN_ISA_COUNT
    bint en_isa_supported(int isa)

cdef extern from *:
    """
    #include "kernels/optim.h"
    static const char *const kernel_names[] = {EN_KERNELS(EN_KERNEL_NAME) NULL};
    """
    const char *kernel_names[]

cdef extern from "kernels/optim.h" nogil:
    Py_ssize_t sgd_step(int dtype, void *w, void *velocity, void *g, double lr, double momentum, double l2,
                        double scale, Py_ssize_t n)
    Py_ssize_t rmsprop_step(int dtype, void *w, void *v, void *g, double lr, double rho, double eps, double l2,
                            double scale, Py_ssize_t n)
    Py_ssize_t adagrad_step(int dtype, void *w, void *v, void *g, double lr, double eps, double l2, double scale,
                            Py_ssize_t n)
    Py_ssize_t adam_step(int dtype, void *w, void *m, void *v, void *g, double lr, double beta1, double beta2,
                         double eps, double correction1, double correction2, double l2, double scale, Py_ssize_t n)
    double sum_of_squares(int dtype, void *x, Py_ssize_t n)
    Py_ssize_t first_non_finite(int dtype, void *x, Py_ssize_t n)

include "runtime/module.pxi"


cdef int64_t *take_spans(Arrays *arrays, object spans, Py_ssize_t n) except NULL:
    """Pointer to ``spans`` (count, 3): rows of start, stop, penalised; each inside a vector of n."""
    cdef int64_t *rows = <int64_t *>whole(arrays, spans, "spans", 8, 2, False, ANY, 3)
    cdef Py_ssize_t i
    for i in range(axis(arrays, arrays.count - 1, 0)):
        if not 0 <= rows[3 * i] <= rows[3 * i + 1] <= n:
            raise ValueError(f"spans: expected 0 <= start <= stop <= {n} in row {i}, "
                             f"got {rows[3 * i]}, {rows[3 * i + 1]}")
    return rows


def sgd(w, velocity, g, spans, double lr, double momentum,
        double l2=0.0, double scale=1.0):
    """One step on the ``spans`` of the vector ``w``. Returns -1, or the index of a gradient that is not finite."""
    cdef Arrays a
    cdef Py_ssize_t i, n, start, bad = -1
    a.count = 0
    try:
        w_ = real(&a, w, "w", 1, True)
        n = axis(&a, 0, 0)
        velocity_ = real(&a, velocity, "velocity", 1, True, n)
        g_ = real(&a, g, "g", 1, False, n)
        rows = take_spans(&a, spans, n)
        with nogil:
            for i in range(axis(&a, a.count - 1, 0)):
                start = rows[3 * i]
                bad = sgd_step(a.dtype, at(&a, w_, start), at(&a, velocity_, start), at(&a, g_, start),
                              lr, momentum, l2 if rows[3 * i + 2] else 0.0, scale, rows[3 * i + 1] - start)
                if bad >= 0:
                    bad += start
                    break
        return bad
    finally:
        release(&a)


def rmsprop(w, v, g, spans, double lr, double rho, double eps,
            double l2=0.0, double scale=1.0):
    """One step on the ``spans`` of the vector ``w``. Returns -1, or the index of a gradient that is not finite."""
    cdef Arrays a
    cdef Py_ssize_t i, n, start, bad = -1
    a.count = 0
    try:
        w_ = real(&a, w, "w", 1, True)
        n = axis(&a, 0, 0)
        v_ = real(&a, v, "v", 1, True, n)
        g_ = real(&a, g, "g", 1, False, n)
        rows = take_spans(&a, spans, n)
        with nogil:
            for i in range(axis(&a, a.count - 1, 0)):
                start = rows[3 * i]
                bad = rmsprop_step(a.dtype, at(&a, w_, start), at(&a, v_, start), at(&a, g_, start),
                                  lr, rho, eps, l2 if rows[3 * i + 2] else 0.0, scale, rows[3 * i + 1] - start)
                if bad >= 0:
                    bad += start
                    break
        return bad
    finally:
        release(&a)


def adagrad(w, v, g, spans, double lr, double eps,
            double l2=0.0, double scale=1.0):
    """One step on the ``spans`` of the vector ``w``. Returns -1, or the index of a gradient that is not finite."""
    cdef Arrays a
    cdef Py_ssize_t i, n, start, bad = -1
    a.count = 0
    try:
        w_ = real(&a, w, "w", 1, True)
        n = axis(&a, 0, 0)
        v_ = real(&a, v, "v", 1, True, n)
        g_ = real(&a, g, "g", 1, False, n)
        rows = take_spans(&a, spans, n)
        with nogil:
            for i in range(axis(&a, a.count - 1, 0)):
                start = rows[3 * i]
                bad = adagrad_step(a.dtype, at(&a, w_, start), at(&a, v_, start), at(&a, g_, start),
                                  lr, eps, l2 if rows[3 * i + 2] else 0.0, scale, rows[3 * i + 1] - start)
                if bad >= 0:
                    bad += start
                    break
        return bad
    finally:
        release(&a)


def adam(w, m, v, g, spans, double lr, double beta1, double beta2, double eps, double correction1, double correction2,
         double l2=0.0, double scale=1.0):
    """One step on the ``spans`` of the vector ``w``. Returns -1, or the index of a gradient that is not finite."""
    cdef Arrays a
    cdef Py_ssize_t i, n, start, bad = -1
    a.count = 0
    try:
        w_ = real(&a, w, "w", 1, True)
        n = axis(&a, 0, 0)
        m_ = real(&a, m, "m", 1, True, n)
        v_ = real(&a, v, "v", 1, True, n)
        g_ = real(&a, g, "g", 1, False, n)
        rows = take_spans(&a, spans, n)
        with nogil:
            for i in range(axis(&a, a.count - 1, 0)):
                start = rows[3 * i]
                bad = adam_step(a.dtype, at(&a, w_, start), at(&a, m_, start), at(&a, v_, start), at(&a, g_, start),
                               lr, beta1, beta2, eps, correction1, correction2, l2 if rows[3 * i + 2] else 0.0, scale, rows[3 * i + 1] - start)
                if bad >= 0:
                    bad += start
                    break
        return bad
    finally:
        release(&a)


def squared_norm(x):
    """Sum of the squares of the vector ``x``, accumulated in double precision."""
    cdef Arrays a
    cdef double total
    a.count = 0
    try:
        x_ = real(&a, x, "x", 1)
        with nogil:
            total = sum_of_squares(a.dtype, x_, axis(&a, 0, 0))
        return total
    finally:
        release(&a)


def find_non_finite(x):
    """Index of the first NaN or infinity in the vector ``x``, or -1."""
    cdef Arrays a
    cdef Py_ssize_t index
    a.count = 0
    try:
        x_ = real(&a, x, "x", 1)
        with nogil:
            index = first_non_finite(a.dtype, x_, axis(&a, 0, 0))
        return index
    finally:
        release(&a)
