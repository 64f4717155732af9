"""Optimizer steps over a flat vector, in place. No arithmetic here: see kernels/optim.c.

A step runs over ``spans`` (count, 3) int64: rows of start, stop and whether the L2 penalty applies. It returns -1, or
the index of a gradient that is NaN, infinite or too large to be squared; nothing from its block on has then changed.
"""
from libc.stdint cimport int64_t

from arrays cimport ANY, Arrays, at, axis, integers, optional, real, release

cdef extern from *:
    """
    #include "kernels/optim.h"
    enum { SGD, RMSPROP, ADAGRAD, ADAM };

    /* One step of `rule`; s holds its settings in the order of the Python function below. */
    static ptrdiff_t step(int rule, int dtype, void *w, void *m, void *v, void *g, const double *s,
                          double l2, double scale, ptrdiff_t n)
    {
        switch (rule) {
        case SGD: return sgd_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
        case RMSPROP: return rmsprop_step(dtype, w, v, g, s[0], s[1], s[2], l2, scale, n);
        case ADAGRAD: return adagrad_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
        default: return adam_step(dtype, w, m, v, g, s[0], s[1], s[2], s[3], s[4], s[5], l2, scale, n);
        }
    }
    """
    int SGD, RMSPROP, ADAGRAD, ADAM
    Py_ssize_t step(int rule, int dtype, void *w, void *m, void *v, void *g, const double *s, double l2, double scale,
                    Py_ssize_t n) nogil

cdef extern from "kernels/optim.h" nogil:
    double sum_of_squares(int dtype, void *x, Py_ssize_t n)
    Py_ssize_t first_non_finite(int dtype, void *x, Py_ssize_t n)

include "runtime/module.pxi"


cdef int64_t *take_spans(Arrays *arrays, object spans, Py_ssize_t n) except NULL:
    """Pointer to ``spans``, whose rows all lie inside a vector of n."""
    cdef int64_t *rows = <int64_t *>integers(arrays, spans, "spans", 8, 2, False, ANY, 3)
    cdef Py_ssize_t i
    for i in range(axis(arrays, arrays.count - 1, 0)):
        if not 0 <= rows[3 * i] <= rows[3 * i + 1] <= n:
            raise ValueError(f"spans: expected 0 <= start <= stop <= {n} in row {i}, "
                             f"got {rows[3 * i]}, {rows[3 * i + 1]}")
    return rows


cdef Py_ssize_t run(int rule, object w, object m, object v, object g, object spans, const double *settings, double l2,
                    double scale) except -2:
    """Take the vectors apart (``m`` may be None) and step over the spans."""
    cdef Arrays a
    cdef Py_ssize_t i, n, start, stop, bad = -1
    cdef bint changed = False
    a.count = 0
    try:
        w_ = real(&a, w, "w", 1, True)
        n = axis(&a, 0, 0)
        m_ = optional(&a, m, "m", 1, True, n)
        v_ = real(&a, v, "v", 1, True, n)
        g_ = real(&a, g, "g", 1, False, n)
        rows = take_spans(&a, spans, n)
        with nogil:
            for i in range(axis(&a, a.count - 1, 0)):
                start, stop = rows[3 * i], rows[3 * i + 1]
                changed = not 0 <= start <= stop <= n  # by another thread, since take_spans
                if changed:
                    break
                bad = step(rule, a.dtype, at(&a, w_, start), at(&a, m_, start) if m_ != NULL else NULL,
                           at(&a, v_, start), at(&a, g_, start), settings, l2 if rows[3 * i + 2] else 0.0, scale,
                           stop - start)
                if bad >= 0:
                    bad += start
                    break
        if changed:
            raise ValueError("spans: changed during the step")
        return bad
    finally:
        release(&a)


def sgd(w, velocity, g, spans, double lr, double momentum, double l2=0.0, double scale=1.0):
    """Gradient descent with momentum."""
    return run(SGD, w, None, velocity, g, spans, [lr, momentum], l2, scale)


def rmsprop(w, v, g, spans, double lr, double rho, double eps, double l2=0.0, double scale=1.0):
    """RMSprop."""
    return run(RMSPROP, w, None, v, g, spans, [lr, rho, eps], l2, scale)


def adagrad(w, v, g, spans, double lr, double eps, double l2=0.0, double scale=1.0):
    """Adagrad."""
    return run(ADAGRAD, w, None, v, g, spans, [lr, eps], l2, scale)


def adam(w, m, v, g, spans, double lr, double beta1, double beta2, double eps, double correction1, double correction2,
         double l2=0.0, double scale=1.0):
    """Adam; ``correction1`` and ``correction2`` are 1 - beta1^t and 1 - beta2^t."""
    if m is None:
        raise TypeError("m: expected an array, got NoneType")
    return run(ADAM, w, m, v, g, spans, [lr, beta1, beta2, eps, correction1, correction2], l2, scale)


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
