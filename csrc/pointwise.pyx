"""Elementwise functions, activations, softmax and bias. No arithmetic here: see kernels/pointwise.c.

An output may be the very object that is the input (``y is x``, ``dx is dy``): then the work is done in place.
"""
from arrays cimport Arrays, axis, count, flat, real, release

cdef extern from *:
    """
    #include "kernels/pointwise.h"
    static const char *const forward_names[] = {EN_FORWARD_KERNELS(EN_KERNEL_NAME) NULL};
    static const char *const backward_names[] = {EN_BACKWARD_KERNELS(EN_KERNEL_NAME) NULL};

    #define EN_NUMBER(result, name, parameters) NUMBER_OF_##name,
    enum { EN_FORWARD_KERNELS(EN_NUMBER) COUNT_OF_FORWARD_KERNELS };
    enum { EN_BACKWARD_KERNELS(EN_NUMBER) COUNT_OF_BACKWARD_KERNELS };

    #define EN_CASE(result, name, parameters) case NUMBER_OF_##name: EN_CALL(pointwise, name, dtype, ARGUMENTS); break;
    #define ARGUMENTS y, x, n
    static void run_forward(int kernel, int dtype, void *y, const void *x, ptrdiff_t n)
    {
        switch (kernel) { EN_FORWARD_KERNELS(EN_CASE) }
    }
    #undef ARGUMENTS
    #define ARGUMENTS dx, dy, saved, n
    static void run_backward(int kernel, int dtype, void *dx, const void *dy, const void *saved, ptrdiff_t n)
    {
        switch (kernel) { EN_BACKWARD_KERNELS(EN_CASE) }
    }
    #undef ARGUMENTS
    """
    const char *const *forward_names
    const char *const *backward_names
    void run_forward(int kernel, int dtype, void *y, void *x, Py_ssize_t n) nogil
    void run_backward(int kernel, int dtype, void *dx, void *dy, void *saved, Py_ssize_t n) nogil

cdef extern from "kernels/pointwise.h" nogil:
    void c_softmax "softmax"(int dtype, void *y, void *x, Py_ssize_t rows, Py_ssize_t cols)
    void c_softmax_backward "softmax_backward"(int dtype, void *dx, void *dy, void *y, Py_ssize_t rows, Py_ssize_t cols)
    void c_add_bias "add_bias"(int dtype, void *y, void *b, Py_ssize_t rows, Py_ssize_t cols)
    void c_column_sums "column_sums"(int dtype, void *out, void *x, Py_ssize_t rows, Py_ssize_t cols)

include "runtime/module.pxi"


cdef dict numbers(const char *const *names, str suffix):
    """``{"relu": 4, ...}``: the number of each kernel by its name without the suffix."""
    table = {}
    cdef int i = 0
    while names[i] != NULL:
        table[names[i].decode().removesuffix(suffix)] = i
        i += 1
    return table


cdef dict FORWARD = numbers(forward_names, "_forward")
cdef dict BACKWARD = numbers(backward_names, "_backward")


cdef int number(dict table, object name) except -1:
    kernel = table.get(name) if isinstance(name, str) else None
    if kernel is None:
        raise ValueError(f"name: expected one of {', '.join(table)}, got {name!r}")
    return kernel


cdef Py_ssize_t last_axis(Arrays *arrays, str name) except -1:
    """Size along the last axis of the array that was taken first."""
    cdef int ndim = arrays.held[0].ndim
    if ndim == 0:
        raise ValueError(f"{name}: expected at least one axis")
    return axis(arrays, 0, ndim - 1)


def forward(name, y, x):
    """Write the function ``name`` ("relu", ..., "exponential", "logarithm", ...) of every element of ``x`` into ``y``."""
    cdef Arrays a
    cdef int kernel = number(FORWARD, name)
    a.count = 0
    try:
        y_ = flat(&a, y, "y", True)
        n = count(&a, 0)
        x_ = y_ if x is y else flat(&a, x, "x", False, n)
        with nogil:
            run_forward(kernel, a.dtype, y_, x_, n)
    finally:
        release(&a)


def backward(name, dx, dy, saved):
    """Write ``dy`` times the derivative of activation ``name`` into ``dx``; ``saved`` is what pointwise.h says."""
    cdef Arrays a
    cdef int kernel = number(BACKWARD, name)
    a.count = 0
    try:
        dx_ = flat(&a, dx, "dx", True)
        n = count(&a, 0)
        dy_ = dx_ if dy is dx else flat(&a, dy, "dy", False, n)
        saved_ = flat(&a, saved, "saved", False, n)
        with nogil:
            run_backward(kernel, a.dtype, dx_, dy_, saved_, n)
    finally:
        release(&a)


def softmax(y, x):
    """Write the softmax of ``x`` over its last axis into ``y``."""
    cdef Arrays a
    cdef Py_ssize_t cols
    a.count = 0
    try:
        y_ = flat(&a, y, "y", True)
        n = count(&a, 0)
        cols = last_axis(&a, "y")
        x_ = y_ if x is y else flat(&a, x, "x", False, n)
        if cols > 0:
            with nogil:
                c_softmax(a.dtype, y_, x_, n // cols, cols)
    finally:
        release(&a)


def softmax_backward(dx, dy, y):
    """Write the gradient of softmax's input into ``dx``, from the gradient ``dy`` of its output ``y``."""
    cdef Arrays a
    cdef Py_ssize_t cols
    a.count = 0
    try:
        dx_ = flat(&a, dx, "dx", True)
        n = count(&a, 0)
        cols = last_axis(&a, "dx")
        dy_ = dx_ if dy is dx else flat(&a, dy, "dy", False, n)
        y_ = flat(&a, y, "y", False, n)
        if cols > 0:
            with nogil:
                c_softmax_backward(a.dtype, dx_, dy_, y_, n // cols, cols)
    finally:
        release(&a)


def add_bias(y, b):
    """Add ``b`` (cols,) to every row of ``y`` (..., cols), in place."""
    cdef Arrays a
    cdef Py_ssize_t cols
    a.count = 0
    try:
        y_ = flat(&a, y, "y", True)
        cols = last_axis(&a, "y")
        b_ = real(&a, b, "b", 1, False, cols)
        n = count(&a, 0)
        if cols > 0:
            with nogil:
                c_add_bias(a.dtype, y_, b_, n // cols, cols)
    finally:
        release(&a)


def column_sums(out, x):
    """Write the sum of ``x`` (..., cols) over all but its last axis into ``out`` (cols,)."""
    cdef Arrays a
    cdef Py_ssize_t cols
    a.count = 0
    try:
        x_ = flat(&a, x, "x", False)
        cols = last_axis(&a, "x")
        out_ = real(&a, out, "out", 1, True, cols)
        if cols > 0:
            with nogil:
                c_column_sums(a.dtype, out_, x_, count(&a, 0) // cols, cols)
    finally:
        release(&a)
