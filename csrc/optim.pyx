"""Optimizer steps over a flat vector, in place. No arithmetic here: see kernels/optim.c.

A step runs over ``spans`` (count, 3) int64: rows of start, stop and whether the L2 penalty applies, in ascending order.
It returns -1, or the lowest index of a gradient that is NaN, infinite or too large to be squared: the block of such a
gradient has then not changed, all that lies before the lowest has, and what lies behind it may have.
"""
from libc.stdint cimport int64_t

from arrays cimport ANY, Arrays, axis, integers, optional, real, release

cdef extern from "parallel/optim.h" nogil:
    int SGD, RMSPROP, ADAGRAD, ADAM, NESTEROV, ADADELTA, ADAMW, AMSGRAD, ADAMAX, NADAM, RADAM, LION, LAMB
    ctypedef struct optim_call:
        int rule, dtype
        void *w
        void *m
        void *v
        void *u
        void *g
        const double *settings
        double l2, scale
        int64_t *spans
        Py_ssize_t count, n
    Py_ssize_t optim_run(optim_call *call)
    Py_ssize_t lamb_run(optim_call *call, int64_t *owners)
    double optim_squares(int dtype, void *x, Py_ssize_t n)
    Py_ssize_t optim_find_non_finite(int dtype, void *x, Py_ssize_t n)

include "runtime/module.pxi"


cdef int64_t *take_spans(Arrays *arrays, object spans, Py_ssize_t n) except NULL:
    """Pointer to ``spans``, whose rows all lie inside a vector of n, one after the other."""
    cdef int64_t *rows = <int64_t *>integers(arrays, spans, "spans", 8, 2, False, ANY, 3)
    cdef Py_ssize_t i
    cdef int64_t least = 0
    for i in range(axis(arrays, arrays.count - 1, 0)):
        if not least <= rows[3 * i] <= rows[3 * i + 1] <= n:
            raise ValueError(f"spans: expected {least} <= start <= stop <= {n} in row {i}, "
                             f"got {rows[3 * i]}, {rows[3 * i + 1]}")
        least = rows[3 * i + 1]
    return rows


cdef object given(object array, str name):
    """``array``; None is refused where a rule needs this state."""
    if array is None:
        raise TypeError(f"{name}: expected an array, got NoneType")
    return array


cdef Py_ssize_t run(int rule, object w, object m, object v, object u, object g, object spans, const double *settings,
                    double l2, double scale, object owners=None) except -2:
    """Take the vectors apart (``m`` and ``u`` may be None) and step over the spans."""
    cdef Arrays a
    cdef optim_call call
    cdef Py_ssize_t bad
    cdef int64_t *owner_rows = NULL
    a.count = 0
    call.rule, call.settings, call.l2, call.scale = rule, settings, l2, scale
    try:
        call.w = real(&a, w, "w", 1, True)
        call.n = axis(&a, 0, 0)
        call.m = optional(&a, m, "m", 1, True, call.n)
        call.v = real(&a, v, "v", 1, True, call.n)
        call.u = optional(&a, u, "u", 1, True, call.n)
        call.g = real(&a, g, "g", 1, False, call.n)
        call.spans = take_spans(&a, spans, call.n)
        call.count = axis(&a, a.count - 1, 0)
        call.dtype = a.dtype
        if rule == LAMB:
            owner_rows = <int64_t *>integers(&a, owners, "owners", 8, 1, False, call.count)
        with nogil:
            bad = lamb_run(&call, owner_rows) if rule == LAMB else optim_run(&call)
        return bad
    finally:
        release(&a)


def sgd(w, velocity, g, spans, double lr, double momentum, double l2=0.0, double scale=1.0):
    """Gradient descent with momentum."""
    return run(SGD, w, None, velocity, None, g, spans, [lr, momentum], l2, scale)


def rmsprop(w, v, g, spans, double lr, double rho, double eps, double l2=0.0, double scale=1.0):
    """RMSprop."""
    return run(RMSPROP, w, None, v, None, g, spans, [lr, rho, eps], l2, scale)


def adagrad(w, v, g, spans, double lr, double eps, double l2=0.0, double scale=1.0):
    """Adagrad."""
    return run(ADAGRAD, w, None, v, None, g, spans, [lr, eps], l2, scale)


def adam(w, m, v, g, spans, double lr, double beta1, double beta2, double eps, double correction1, double correction2,
         double l2=0.0, double scale=1.0):
    """Adam; ``correction1`` and ``correction2`` are 1 - beta1^t and 1 - beta2^t."""
    return run(ADAM, w, given(m, "m"), v, None, g, spans, [lr, beta1, beta2, eps, correction1, correction2], l2, scale)


def nesterov(w, velocity, g, spans, double lr, double momentum, double l2=0.0, double scale=1.0):
    """Gradient descent with Nesterov's momentum."""
    return run(NESTEROV, w, None, velocity, None, g, spans, [lr, momentum], l2, scale)


def adadelta(w, d, v, g, spans, double lr, double rho, double eps, double l2=0.0, double scale=1.0):
    """AdaDelta."""
    return run(ADADELTA, w, given(d, "d"), v, None, g, spans, [lr, rho, eps], l2, scale)


def adamw(w, m, v, g, spans, double lr, double beta1, double beta2, double eps, double correction1, double correction2,
          double decay=0.0, double scale=1.0):
    """Adam with decoupled weight decay."""
    return run(ADAMW, w, given(m, "m"), v, None, g, spans, [lr, beta1, beta2, eps, correction1, correction2], decay,
               scale)


def amsgrad(w, m, v, u, g, spans, double lr, double beta1, double beta2, double eps, double correction1,
            double correction2, double l2=0.0, double scale=1.0):
    """AMSGrad; ``u`` is the largest ``v`` so far."""
    return run(AMSGRAD, w, given(m, "m"), v, given(u, "u"), g, spans,
               [lr, beta1, beta2, eps, correction1, correction2], l2, scale)


def adamax(w, m, u, g, spans, double lr, double beta1, double beta2, double eps, double correction1, double l2=0.0,
           double scale=1.0):
    """Adamax."""
    return run(ADAMAX, w, given(m, "m"), u, None, g, spans, [lr, beta1, beta2, eps, correction1], l2, scale)


def nadam(w, m, v, g, spans, double lr_g, double lr_m, double beta1, double beta2, double eps, double correction2,
          double l2=0.0, double scale=1.0):
    """NAdam; ``lr_g`` and ``lr_m`` are the rates of the gradient and of its running mean."""
    return run(NADAM, w, given(m, "m"), v, None, g, spans, [lr_g, lr_m, beta1, beta2, eps, correction2], l2, scale)


def radam(w, m, v, g, spans, double plain, double adaptive, double beta1, double beta2, double eps, double l2=0.0,
          double scale=1.0):
    """RAdam; ``plain`` and ``adaptive`` are the rates without and with the second moment."""
    return run(RADAM, w, given(m, "m"), v, None, g, spans, [plain, adaptive, beta1, beta2, eps], l2, scale)


def lion(w, m, g, spans, double lr, double beta1, double beta2, double decay=0.0, double scale=1.0):
    """Lion."""
    return run(LION, w, None, m, None, g, spans, [lr, beta1, beta2], decay, scale)


def lamb(w, m, v, g, spans, owners, double lr, double beta1, double beta2, double eps, double correction1,
         double correction2, double decay=0.0, double scale=1.0):
    """LAMB; ``owners`` (count,) int64 numbers the parameter of every span: equal neighbours belong together."""
    return run(LAMB, w, given(m, "m"), v, None, g, spans, [lr, beta1, beta2, eps, correction1, correction2], decay,
               scale, owners)


def squared_norm(x):
    """Sum of the squares of the vector ``x``, accumulated in double precision."""
    cdef Arrays a
    cdef double total
    a.count = 0
    try:
        x_ = real(&a, x, "x", 1)
        with nogil:
            total = optim_squares(a.dtype, x_, axis(&a, 0, 0))
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
            index = optim_find_non_finite(a.dtype, x_, axis(&a, 0, 0))
        return index
    finally:
        release(&a)
