"""Losses and their gradients. No arithmetic here: see kernels/losses.c.

Every function returns the sum of the losses of ``o`` against ``t``; ``each`` and ``grad`` are written unless None.
"""
from arrays cimport Arrays, axis, optional, real, release

cdef extern from "parallel/losses.h" nogil:
    int MSE, MAE, HUBER, HINGE, WASSERSTEIN, FOCAL, FOCAL_AT_SIGMOID
    int BINARY_CROSS_ENTROPY, BINARY_CROSS_ENTROPY_AT_SIGMOID, BCE_LOGITS, CROSS_ENTROPY
    int CROSS_ENTROPY_AT_SOFTMAX, SOFTMAX_CROSS_ENTROPY
    ctypedef struct loss_call:
        int loss, dtype
        void *each
        void *grad
        void *o
        void *t
        double scale
        double option[2]
        Py_ssize_t rows, width
    double loss_run(loss_call *call)

include "runtime/module.pxi"


cdef double run(Arrays *a, loss_call *call) noexcept:
    call.dtype = a.dtype
    with nogil:
        return loss_run(call)


cdef double by_element(int loss, object o, object t, object each, object grad, double scale,
                       double first=0, double second=0) except? -1:
    """Run a loss of single elements on vectors of one length; ``each`` and ``grad`` may be None."""
    cdef Arrays a
    cdef loss_call call
    a.count = 0
    call.loss, call.scale, call.width = loss, scale, 1
    call.option[0], call.option[1] = first, second
    try:
        call.o = real(&a, o, "o", 1)
        call.rows = axis(&a, 0, 0)
        call.t = real(&a, t, "t", 1, False, call.rows)
        call.each = optional(&a, each, "each", 1, True, call.rows)
        call.grad = optional(&a, grad, "grad", 1, True, call.rows)
        return run(&a, &call)
    finally:
        release(&a)


cdef double by_row(int loss, object o, object t, object each, object grad, double scale, int each_ndim) except? -1:
    """Run a loss of whole rows (rows, classes); ``each`` has one entry per row if ``each_ndim`` is 1."""
    cdef Arrays a
    cdef loss_call call
    a.count = 0
    call.loss, call.scale = loss, scale
    try:
        call.o = real(&a, o, "o", 2)
        call.rows, call.width = axis(&a, 0, 0), axis(&a, 0, 1)
        call.t = real(&a, t, "t", 2, False, call.rows, call.width)
        call.each = optional(&a, each, "each", each_ndim, True, call.rows, call.width)
        call.grad = optional(&a, grad, "grad", 2, True, call.rows, call.width)
        return run(&a, &call)
    finally:
        release(&a)


def mse(o, t, each=None, grad=None, double scale=1.0):
    """(o - t)^2."""
    return by_element(MSE, o, t, each, grad, scale)


def mae(o, t, each=None, grad=None, double scale=1.0):
    """|o - t|."""
    return by_element(MAE, o, t, each, grad, scale)


def huber(o, t, each=None, grad=None, double scale=1.0, double delta=1.0):
    """Half the square of o - t up to delta, linear beyond."""
    return by_element(HUBER, o, t, each, grad, scale, delta)


def hinge(o, t, each=None, grad=None, double scale=1.0):
    """max(0, 1 - t o)."""
    return by_element(HINGE, o, t, each, grad, scale)


def wasserstein(o, t, each=None, grad=None, double scale=1.0):
    """-o t."""
    return by_element(WASSERSTEIN, o, t, each, grad, scale)


def focal(o, t, each=None, grad=None, double scale=1.0, double alpha=0.25, double gamma=2.0):
    """Binary cross entropy, weighted by (1 - pt)^gamma and by alpha."""
    return by_element(FOCAL, o, t, each, grad, scale, alpha, gamma)


def focal_at_sigmoid(o, t, each=None, grad=None, double scale=1.0, double alpha=0.25, double gamma=2.0):
    """The same with the gradient at the logit of o."""
    return by_element(FOCAL_AT_SIGMOID, o, t, each, grad, scale, alpha, gamma)


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
