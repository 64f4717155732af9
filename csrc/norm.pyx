"""Batch normalisation over (batch, channels, pixels), and of rows by themselves over (rows, channels, pixels). No
arithmetic here: see kernels/norm.c."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from enilnets._ext import pointwise as _pointwise

from arrays cimport Arrays, axis, count, flat, optional, real, release

cdef extern from "parallel/norm.h" nogil:
    int BATCHNORM, BATCHNORM_BACKWARD, BATCHNORM_INFERENCE, BATCHNORM_INFERENCE_BACKWARD, NO_ACTIVATION
    const void *en_the_activations
    ctypedef struct norm_call:
        int kernel, dtype, activation
        void *y
        void *z
        void *mean
        void *var
        void *inv_std
        void *dx
        void *dgamma
        void *dbeta
        void *x
        void *dy
        void *saved
        void *gamma
        void *beta
        double eps
        Py_ssize_t n, c, s
    void norm_run(norm_call *call)
    void call_blend "blend" (int dtype, void *x, void *y, double weight, Py_ssize_t n)

cdef extern from "parallel/norm_rows.h" nogil:
    int LAYERNORM, LAYERNORM_BACKWARD, LAYERNORM_SUMS
    ctypedef struct rows_call:
        int kernel, dtype
        void *y
        void *mean
        void *inv_std
        void *rest
        void *dx
        void *dgamma
        void *dbeta
        void *x
        void *dy
        void *gamma
        void *beta
        double eps
        Py_ssize_t rows, groups, c, s
    void rows_run(rows_call *call)

include "runtime/module.pxi"

en_the_activations = PyCapsule_GetPointer(_pointwise.activations, b"enilnets._ext.pointwise.activations")
cdef dict FORWARD = _pointwise.FORWARD_NUMBERS
cdef dict BACKWARD = _pointwise.BACKWARD_NUMBERS


cdef int number(dict table, object name) except -2:
    """The activation's number, or NO_ACTIVATION for None."""
    if name is None:
        return NO_ACTIVATION
    kernel = table.get(name) if isinstance(name, str) else None
    if kernel is None:
        raise ValueError(f"activation: expected one of {', '.join(table)} or None, got {name!r}")
    return kernel


cdef int take_x(Arrays *a, norm_call *call, object x, bint filled) except -1:
    """Take ``x`` (n, c, s); refuse channels without elements, which have no mean, if they have to be ``filled``."""
    call.x = real(a, x, "x", 3)
    call.n, call.c, call.s = axis(a, 0, 0), axis(a, 0, 1), axis(a, 0, 2)
    call.dtype = a.dtype
    if filled and (call.n == 0 or call.s == 0):
        raise ValueError(f"x: expected at least one element per channel, got shape {(call.n, call.c, call.s)}")
    return 0


cdef void *like_x(Arrays *a, norm_call *call, object array, str name, bint write=False) except NULL:
    return real(a, array, name, 3, write, call.n, call.c, call.s)


cdef void *channels(Arrays *a, norm_call *call, object array, str name, bint write=False) except NULL:
    return real(a, array, name, 1, write, call.c)


cdef int take_z(Arrays *a, norm_call *call, object activation, object z) except -1:
    """Take the activation and where its input is kept, if it is."""
    call.activation = number(FORWARD, activation)
    if z is not None and activation is None:
        raise TypeError("z: expected None without an activation")
    call.z = NULL if z is None else like_x(a, call, z, "z", True)
    return 0


cdef int take_dy(Arrays *a, norm_call *call, object dx, object dy, object activation, object saved) except -1:
    """Take the gradients, and what the activation's derivative is made from."""
    call.activation = number(BACKWARD, activation)
    if (saved is None) != (activation is None):
        raise TypeError("saved: expected an array with an activation, None without")
    call.dx = NULL if dx is None else like_x(a, call, dx, "dx", True)
    call.dy = like_x(a, call, dy, "dy")
    call.saved = NULL if saved is None else like_x(a, call, saved, "saved")
    return 0


def batchnorm(y, mean, var, inv_std, x, gamma, beta, double eps, activation=None, z=None):
    """Normalise ``x`` (n, c, s) with its own statistics, which are written to ``mean``, ``var``, ``inv_std`` (c).

    ``activation``, a name of the module pointwise, is applied to the result; ``z`` takes what it was before.
    """
    cdef Arrays a
    cdef norm_call call
    a.count = 0
    try:
        take_x(&a, &call, x, True)
        call.y = like_x(&a, &call, y, "y", True)
        take_z(&a, &call, activation, z)
        call.mean = channels(&a, &call, mean, "mean", True)
        call.var = channels(&a, &call, var, "var", True)
        call.inv_std = channels(&a, &call, inv_std, "inv_std", True)
        call.gamma = channels(&a, &call, gamma, "gamma")
        call.beta = channels(&a, &call, beta, "beta")
        call.kernel, call.eps = BATCHNORM, eps
        with nogil:
            norm_run(&call)
    finally:
        release(&a)


def batchnorm_backward(dx, dgamma, dbeta, dy, x, mean, inv_std, gamma, activation=None, saved=None):
    """Gradients of ``batchnorm``; ``dx`` may be None. An activation's derivative is made from ``saved``."""
    cdef Arrays a
    cdef norm_call call
    a.count = 0
    try:
        take_x(&a, &call, x, True)
        take_dy(&a, &call, dx, dy, activation, saved)
        call.dgamma = channels(&a, &call, dgamma, "dgamma", True)
        call.dbeta = channels(&a, &call, dbeta, "dbeta", True)
        call.mean = channels(&a, &call, mean, "mean")
        call.inv_std = channels(&a, &call, inv_std, "inv_std")
        call.gamma = channels(&a, &call, gamma, "gamma")
        call.kernel = BATCHNORM_BACKWARD
        with nogil:
            norm_run(&call)
    finally:
        release(&a)


def batchnorm_inference(y, x, mean, var, gamma, beta, double eps, activation=None, z=None):
    """Normalise ``x`` (n, c, s) with given statistics (c), then as ``batchnorm``."""
    cdef Arrays a
    cdef norm_call call
    a.count = 0
    try:
        take_x(&a, &call, x, False)
        call.y = like_x(&a, &call, y, "y", True)
        take_z(&a, &call, activation, z)
        call.mean = channels(&a, &call, mean, "mean")
        call.var = channels(&a, &call, var, "var")
        call.gamma = channels(&a, &call, gamma, "gamma")
        call.beta = channels(&a, &call, beta, "beta")
        call.kernel, call.eps = BATCHNORM_INFERENCE, eps
        if call.n > 0 and call.s > 0:
            with nogil:
                norm_run(&call)
    finally:
        release(&a)


def batchnorm_inference_backward(dx, dgamma, dbeta, dy, x, mean, var, gamma, double eps, activation=None, saved=None):
    """Gradients of ``batchnorm_inference``; ``dx`` may be None, and ``dgamma`` with ``dbeta``."""
    cdef Arrays a
    cdef norm_call call
    if (dgamma is None) != (dbeta is None):
        raise TypeError("expected dgamma and dbeta both, or neither")
    a.count = 0
    try:
        take_x(&a, &call, x, False)
        take_dy(&a, &call, dx, dy, activation, saved)
        call.dgamma = optional(&a, dgamma, "dgamma", 1, True, call.c)
        call.dbeta = optional(&a, dbeta, "dbeta", 1, True, call.c)
        call.mean = channels(&a, &call, mean, "mean")
        call.var = channels(&a, &call, var, "var")
        call.gamma = channels(&a, &call, gamma, "gamma")
        call.kernel, call.eps = BATCHNORM_INFERENCE_BACKWARD, eps
        if call.s == 0:
            call.n = 0
        with nogil:
            norm_run(&call)
    finally:
        release(&a)


cdef int take_rows(Arrays *a, rows_call *call, int kernel, object x, Py_ssize_t channels) except -1:
    """Take ``x`` (rows, c, s), whose rows have ``channels`` // c groups of channels in turn."""
    call.kernel = kernel
    call.x = real(a, x, "x", 3)
    call.rows, call.c, call.s, call.dtype = axis(a, 0, 0), axis(a, 0, 1), axis(a, 0, 2), a.dtype
    if call.c == 0 or call.s == 0:
        raise ValueError(f"x: expected at least one element per row, got shape {(call.rows, call.c, call.s)}")
    call.groups = channels // call.c
    if channels != call.groups * call.c or call.groups == 0 or call.rows % call.groups:
        raise ValueError(f"x: expected whole groups of {call.c} out of {channels} channels in {call.rows} rows")
    return 0


cdef int take_row_statistics(Arrays *a, rows_call *call, object mean, object inv_std, object rest,
                             bint write=False) except -1:
    call.mean = real(a, mean, "mean", 1, write, call.rows)
    call.inv_std = real(a, inv_std, "inv_std", 1, write, call.rows)
    call.rest = real(a, rest, "rest", 1, write, call.rows)
    return 0


def layernorm(y, mean, inv_std, rest, x, gamma, beta, double eps):
    """Normalise every row of ``x`` (rows, c, s) by itself; ``gamma`` and ``beta`` hold a multiple of c channels.

    Row r has the channels from (r mod groups) c on. ``mean``, ``inv_std`` and ``rest`` (rows) are for the way back.
    """
    cdef Arrays a
    cdef rows_call call
    a.count = 0
    try:
        take_rows(&a, &call, LAYERNORM, x, len(gamma))
        call.y = real(&a, y, "y", 3, True, call.rows, call.c, call.s)
        take_row_statistics(&a, &call, mean, inv_std, rest, True)
        call.gamma = real(&a, gamma, "gamma", 1, False, call.groups * call.c)
        call.beta = real(&a, beta, "beta", 1, False, call.groups * call.c)
        call.eps = eps
        with nogil:
            rows_run(&call)
    finally:
        release(&a)


def layernorm_backward(dx, dy, x, mean, inv_std, rest, gamma):
    """Gradient of ``layernorm`` at its input."""
    cdef Arrays a
    cdef rows_call call
    a.count = 0
    try:
        take_rows(&a, &call, LAYERNORM_BACKWARD, x, len(gamma))
        call.dx = real(&a, dx, "dx", 3, True, call.rows, call.c, call.s)
        call.dy = real(&a, dy, "dy", 3, False, call.rows, call.c, call.s)
        take_row_statistics(&a, &call, mean, inv_std, rest)
        call.gamma = real(&a, gamma, "gamma", 1, False, call.groups * call.c)
        with nogil:
            rows_run(&call)
    finally:
        release(&a)


def layernorm_sums(dgamma, dbeta, dy, x, mean, inv_std, rest):
    """Gradients of ``layernorm`` at its ``gamma`` and ``beta``."""
    cdef Arrays a
    cdef rows_call call
    a.count = 0
    try:
        take_rows(&a, &call, LAYERNORM_SUMS, x, len(dgamma))
        call.dgamma = real(&a, dgamma, "dgamma", 1, True, call.groups * call.c)
        call.dbeta = real(&a, dbeta, "dbeta", 1, True, call.groups * call.c)
        call.dy = real(&a, dy, "dy", 3, False, call.rows, call.c, call.s)
        take_row_statistics(&a, &call, mean, inv_std, rest)
        with nogil:
            rows_run(&call)
    finally:
        release(&a)


def blend(x, y, double weight):
    """Move ``x`` towards ``y``, both of any one shape, in place: (1 - weight) x + weight y."""
    cdef Arrays a
    a.count = 0
    try:
        x_ = flat(&a, x, "x", True)
        n = count(&a, 0)
        y_ = flat(&a, y, "y", False, n)
        with nogil:
            call_blend(a.dtype, x_, y_, weight, n)
    finally:
        release(&a)
