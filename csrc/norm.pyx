"""Batch normalisation over (batch, channels, pixels). No arithmetic here: see kernels/norm.c."""
from arrays cimport Arrays, axis, optional, real, release

cdef extern from "kernels/norm.h" nogil:
    void call_batchnorm "batchnorm" (int dtype, void *y, void *mean, void *var, void *inv_std, void *x, void *gamma,
                                     void *beta, double eps, Py_ssize_t n, Py_ssize_t c, Py_ssize_t s)
    void call_batchnorm_backward "batchnorm_backward" (int dtype, void *dx, void *dgamma, void *dbeta, void *dy,
                                                       void *x, void *mean, void *inv_std, void *gamma,
                                                       Py_ssize_t n, Py_ssize_t c, Py_ssize_t s)
    void call_batchnorm_inference "batchnorm_inference" (int dtype, void *y, void *x, void *mean, void *var,
                                                         void *gamma, void *beta, double eps,
                                                         Py_ssize_t n, Py_ssize_t c, Py_ssize_t s)
    void call_batchnorm_inference_backward "batchnorm_inference_backward" (
        int dtype, void *dx, void *dgamma, void *dbeta, void *dy, void *x, void *mean, void *var, void *gamma,
        double eps, Py_ssize_t n, Py_ssize_t c, Py_ssize_t s)

include "runtime/module.pxi"


cdef int check_channels(Py_ssize_t n, Py_ssize_t c, Py_ssize_t s) except -1:
    """Refuse channels without elements, which have no mean."""
    if n == 0 or s == 0:
        raise ValueError(f"x: expected at least one element per channel, got shape {(n, c, s)}")
    return 0


def batchnorm(y, mean, var, inv_std, x, gamma, beta, double eps):
    """Normalise ``x`` (n, c, s) with its own statistics, which are written to ``mean``, ``var``, ``inv_std`` (c)."""
    cdef Arrays a
    cdef Py_ssize_t n, c, s
    a.count = 0
    try:
        x_ = real(&a, x, "x", 3)
        n, c, s = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2)
        check_channels(n, c, s)
        y_ = real(&a, y, "y", 3, True, n, c, s)
        mean_ = real(&a, mean, "mean", 1, True, c)
        var_ = real(&a, var, "var", 1, True, c)
        inv_std_ = real(&a, inv_std, "inv_std", 1, True, c)
        gamma_ = real(&a, gamma, "gamma", 1, False, c)
        beta_ = real(&a, beta, "beta", 1, False, c)
        with nogil:
            call_batchnorm(a.dtype, y_, mean_, var_, inv_std_, x_, gamma_, beta_, eps, n, c, s)
    finally:
        release(&a)


def batchnorm_backward(dx, dgamma, dbeta, dy, x, mean, inv_std, gamma):
    """Gradients of ``batchnorm``; ``dx`` may be None."""
    cdef Arrays a
    cdef Py_ssize_t n, c, s
    a.count = 0
    try:
        x_ = real(&a, x, "x", 3)
        n, c, s = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2)
        check_channels(n, c, s)
        dy_ = real(&a, dy, "dy", 3, False, n, c, s)
        dx_ = optional(&a, dx, "dx", 3, True, n, c, s)
        dgamma_ = real(&a, dgamma, "dgamma", 1, True, c)
        dbeta_ = real(&a, dbeta, "dbeta", 1, True, c)
        mean_ = real(&a, mean, "mean", 1, False, c)
        inv_std_ = real(&a, inv_std, "inv_std", 1, False, c)
        gamma_ = real(&a, gamma, "gamma", 1, False, c)
        with nogil:
            call_batchnorm_backward(a.dtype, dx_, dgamma_, dbeta_, dy_, x_, mean_, inv_std_, gamma_, n, c, s)
    finally:
        release(&a)


def batchnorm_inference(y, x, mean, var, gamma, beta, double eps):
    """Normalise ``x`` (n, c, s) with given statistics (c)."""
    cdef Arrays a
    cdef Py_ssize_t n, c, s
    a.count = 0
    try:
        x_ = real(&a, x, "x", 3)
        n, c, s = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2)
        y_ = real(&a, y, "y", 3, True, n, c, s)
        mean_ = real(&a, mean, "mean", 1, False, c)
        var_ = real(&a, var, "var", 1, False, c)
        gamma_ = real(&a, gamma, "gamma", 1, False, c)
        beta_ = real(&a, beta, "beta", 1, False, c)
        if n > 0 and s > 0:
            with nogil:
                call_batchnorm_inference(a.dtype, y_, x_, mean_, var_, gamma_, beta_, eps, n, c, s)
    finally:
        release(&a)


def batchnorm_inference_backward(dx, dgamma, dbeta, dy, x, mean, var, gamma, double eps):
    """Gradients of ``batchnorm_inference``; ``dx`` may be None, and ``dgamma`` with ``dbeta``."""
    cdef Arrays a
    cdef Py_ssize_t n, c, s
    if (dgamma is None) != (dbeta is None):
        raise TypeError("expected dgamma and dbeta both, or neither")
    a.count = 0
    try:
        x_ = real(&a, x, "x", 3)
        n, c, s = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2)
        dy_ = real(&a, dy, "dy", 3, False, n, c, s)
        dx_ = optional(&a, dx, "dx", 3, True, n, c, s)
        dgamma_ = optional(&a, dgamma, "dgamma", 1, True, c)
        dbeta_ = optional(&a, dbeta, "dbeta", 1, True, c)
        mean_ = real(&a, mean, "mean", 1, False, c)
        var_ = real(&a, var, "var", 1, False, c)
        gamma_ = real(&a, gamma, "gamma", 1, False, c)
        with nogil:
            call_batchnorm_inference_backward(a.dtype, dx_, dgamma_, dbeta_, dy_, x_, mean_, var_, gamma_, eps,
                                              n if s > 0 else 0, c, s)
    finally:
        release(&a)
