"""Elementwise functions, activations, softmax and sums of columns. No arithmetic here: see kernels/pointwise.c.

An output may be the very object that is the input (``y is x``, ``dx is dy``): then the work is done in place.
"""
from cpython.pycapsule cimport PyCapsule_New

from arrays cimport Arrays, axis, count, flat, real, release

cdef extern from "parallel/pointwise.h" nogil:
    ctypedef struct pointwise_call:
        int kernel, dtype
        void *y
        void *sums
        void *x
        void *saved
        Py_ssize_t n, rows, cols
    ctypedef struct en_activations:
        pass
    const en_activations activation_functions
    void pointwise_forward(pointwise_call *call)
    void pointwise_backward(pointwise_call *call)
    void pointwise_softmax(pointwise_call *call)
    void pointwise_sums(pointwise_call *call)

include "runtime/module.pxi"

cdef extern from *:
    """
    static const char *const forward_names[] = {EN_FORWARD_KERNELS(EN_KERNEL_NAME) NULL};
    static const char *const backward_names[] = {EN_BACKWARD_KERNELS(EN_KERNEL_NAME) NULL};
    """
    const char *const *forward_names
    const char *const *backward_names


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

# For modules that run activations on what they make: the numbers by name, and the functions by number.
FORWARD_NUMBERS = FORWARD
BACKWARD_NUMBERS = BACKWARD
activations = PyCapsule_New(<void *>&activation_functions, b"enilnets._ext.pointwise.activations", NULL)


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
    cdef pointwise_call call
    call.kernel = number(FORWARD, name)
    a.count = 0
    try:
        call.y = flat(&a, y, "y", True)
        call.n = count(&a, 0)
        call.x = call.y if x is y else flat(&a, x, "x", False, call.n)
        call.dtype = a.dtype
        with nogil:
            pointwise_forward(&call)
    finally:
        release(&a)


def backward(name, dx, dy, saved):
    """Write ``dy`` times the derivative of activation ``name`` into ``dx``; ``saved`` is what pointwise.h says."""
    cdef Arrays a
    cdef pointwise_call call
    call.kernel = number(BACKWARD, name)
    a.count = 0
    try:
        call.y = flat(&a, dx, "dx", True)
        call.n = count(&a, 0)
        call.x = call.y if dy is dx else flat(&a, dy, "dy", False, call.n)
        call.saved = flat(&a, saved, "saved", False, call.n)
        call.dtype = a.dtype
        with nogil:
            pointwise_backward(&call)
    finally:
        release(&a)


cdef int run_softmax(Arrays *a, pointwise_call *call) except -1:
    """Fill in rows and columns and run; the first array that was taken is the output."""
    if call.cols > 0:
        call.rows = count(a, 0) // call.cols
        call.dtype = a.dtype
        with nogil:
            pointwise_softmax(call)
    return 0


def softmax(y, x):
    """Write the softmax of ``x`` over its last axis into ``y``."""
    cdef Arrays a
    cdef pointwise_call call
    a.count = 0
    try:
        call.y = flat(&a, y, "y", True)
        call.cols = last_axis(&a, "y")
        call.x = call.y if x is y else flat(&a, x, "x", False, count(&a, 0))
        call.saved = NULL
        run_softmax(&a, &call)
    finally:
        release(&a)


def softmax_backward(dx, dy, y):
    """Write the gradient of softmax's input into ``dx``, from the gradient ``dy`` of its output ``y``."""
    cdef Arrays a
    cdef pointwise_call call
    a.count = 0
    try:
        call.y = flat(&a, dx, "dx", True)
        call.cols = last_axis(&a, "dx")
        call.x = call.y if dy is dx else flat(&a, dy, "dy", False, count(&a, 0))
        call.saved = flat(&a, y, "y", False, count(&a, 0))
        run_softmax(&a, &call)
    finally:
        release(&a)


cdef int run_sums(Arrays *a, pointwise_call *call) except -1:
    """Fill in the rows and run; the first array that was taken is the matrix."""
    if call.cols > 0:
        call.rows = count(a, 0) // call.cols
        call.dtype = a.dtype
        with nogil:
            pointwise_sums(call)
    return 0


def column_sums(out, x):
    """Write the sum of ``x`` (..., cols) over all but its last axis into ``out`` (cols,)."""
    cdef Arrays a
    cdef pointwise_call call
    a.count = 0
    try:
        call.x = flat(&a, x, "x", False)
        call.cols = last_axis(&a, "x")
        call.sums = real(&a, out, "out", 1, True, call.cols)
        call.y = call.saved = NULL
        run_sums(&a, &call)
    finally:
        release(&a)


def backward_sums(name, dx, sums, dy, saved):
    """``backward`` of (..., cols) with the ``column_sums`` of ``dx`` in ``sums`` (cols,)."""
    cdef Arrays a
    cdef pointwise_call call
    call.kernel = number(BACKWARD, name)
    a.count = 0
    try:
        call.y = flat(&a, dx, "dx", True)
        call.cols = last_axis(&a, "dx")
        call.sums = real(&a, sums, "sums", 1, True, call.cols)
        call.x = call.y if dy is dx else flat(&a, dy, "dy", False, count(&a, 0))
        call.saved = flat(&a, saved, "saved", False, count(&a, 0))
        run_sums(&a, &call)
    finally:
        release(&a)
