"""Losses and their gradients. No arithmetic here: see kernels/losses.c.

Every function returns the sum of the losses of ``o`` against ``t``; ``each`` and ``grad`` are written unless None.
"""
from arrays cimport Arrays, axis, optional, real, release

cdef extern from *:
    """
    #include "kernels/losses.h"
    enum { MSE, BINARY_CROSS_ENTROPY, BINARY_CROSS_ENTROPY_AT_SIGMOID, BCE_LOGITS, CROSS_ENTROPY };

    static double run_elements(int loss, int dtype, void *each, void *grad, const void *o, const void *t,
                               double scale, ptrdiff_t n)
    {
        switch (loss) {
        case MSE: return mse(dtype, each, grad, o, t, scale, n);
        case BINARY_CROSS_ENTROPY: return binary_cross_entropy(dtype, each, grad, o, t, scale, n);
        case BINARY_CROSS_ENTROPY_AT_SIGMOID: return binary_cross_entropy_at_sigmoid(dtype, each, grad, o, t, scale, n);
        case BCE_LOGITS: return bce_logits(dtype, each, grad, o, t, scale, n);
        default: return cross_entropy(dtype, each, grad, o, t, scale, n);
        }
    }

    enum { CROSS_ENTROPY_AT_SOFTMAX, SOFTMAX_CROSS_ENTROPY };

    static double run_rows(int loss, int dtype, void *each, void *grad, const void *o, const void *t,
                           double scale, ptrdiff_t rows, ptrdiff_t classes)
    {
        return loss == CROSS_ENTROPY_AT_SOFTMAX
            ? cross_entropy_at_softmax(dtype, each, grad, o, t, scale, rows, classes)
            : softmax_cross_entropy(dtype, each, grad, o, t, scale, rows, classes);
    }
    """
    int MSE, BINARY_CROSS_ENTROPY, BINARY_CROSS_ENTROPY_AT_SIGMOID, BCE_LOGITS, CROSS_ENTROPY
    int CROSS_ENTROPY_AT_SOFTMAX, SOFTMAX_CROSS_ENTROPY
    double run_elements(int loss, int dtype, void *each, void *grad, void *o, void *t, double scale,
                        Py_ssize_t n) nogil
    double run_rows(int loss, int dtype, void *each, void *grad, void *o, void *t, double scale, Py_ssize_t rows,
                    Py_ssize_t classes) nogil

include "runtime/module.pxi"


cdef double by_element(int loss, object o, object t, object each, object grad, double scale) except? -1:
    """Run a loss of single elements on vectors of one length; ``each`` and ``grad`` may be None."""
    cdef Arrays a
    cdef double total
    a.count = 0
    try:
        o_ = real(&a, o, "o", 1)
        n = axis(&a, 0, 0)
        t_ = real(&a, t, "t", 1, False, n)
        each_ = optional(&a, each, "each", 1, True, n)
        grad_ = optional(&a, grad, "grad", 1, True, n)
        with nogil:
            total = run_elements(loss, a.dtype, each_, grad_, o_, t_, scale, n)
        return total
    finally:
        release(&a)


cdef double by_row(int loss, object o, object t, object each, object grad, double scale, int each_ndim) except? -1:
    """Run a loss of whole rows (rows, classes); ``each`` has one entry per row if ``each_ndim`` is 1."""
    cdef Arrays a
    cdef double total
    a.count = 0
    try:
        o_ = real(&a, o, "o", 2)
        rows, classes = axis(&a, 0, 0), axis(&a, 0, 1)
        t_ = real(&a, t, "t", 2, False, rows, classes)
        each_ = optional(&a, each, "each", each_ndim, True, rows, classes)
        grad_ = optional(&a, grad, "grad", 2, True, rows, classes)
        with nogil:
            total = run_rows(loss, a.dtype, each_, grad_, o_, t_, scale, rows, classes)
        return total
    finally:
        release(&a)


def mse(o, t, each=None, grad=None, double scale=1.0):
    """(o - t)^2."""
    return by_element(MSE, o, t, each, grad, scale)


def binary_cross_entropy(o, t, each=None, grad=None, double scale=1.0):
    """-t log o - (1 - t) log(1 - o)."""
    return by_element(BINARY_CROSS_ENTROPY, o, t, each, grad, scale)


def binary_cross_entropy_at_sigmoid(o, t, each=None, grad=None, double scale=1.0):
    """The same with the gradient at the logit of o."""
    return by_element(BINARY_CROSS_ENTROPY_AT_SIGMOID, o, t, each, grad, scale)


def bce_logits(o, t, each=None, grad=None, double scale=1.0):
    """Binary cross entropy of the logits o."""
    return by_element(BCE_LOGITS, o, t, each, grad, scale)


def cross_entropy(o, t, each=None, grad=None, double scale=1.0):
    """-t log o."""
    return by_element(CROSS_ENTROPY, o, t, each, grad, scale)


def cross_entropy_at_softmax(o, t, each=None, grad=None, double scale=1.0):
    """The same by rows, with the gradient at the logits of o."""
    return by_row(CROSS_ENTROPY_AT_SOFTMAX, o, t, each, grad, scale, 2)


def softmax_cross_entropy(o, t, each=None, grad=None, double scale=1.0):
    """Cross entropy of the logits o, one loss per row."""
    return by_row(SOFTMAX_CROSS_ENTROPY, o, t, each, grad, scale, 1)
