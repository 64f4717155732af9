"""RealNet over all its steps, forward and back. No arithmetic here: see parallel/realnet.h and kernels/realnet.c."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t

from arrays cimport ANY, Arrays, axis, integers, optional, real, release

from enilnets._ext import gemm as _gemm
from enilnets._ext import memory as _memory
from enilnets._ext import norm as _norm
from enilnets._ext import pointwise as _pointwise
from enilnets._ext import sparse as _sparse

cdef extern from *:
    """
    #define EN_BORROWED
    #include "kernels/gemm.h"
    #include "kernels/norm.h"
    #include "kernels/pointwise.h"
    #include "kernels/sparse.h"
    #undef EN_BORROWED
    """
    void en_borrow_gemm(void *tables)
    void en_borrow_norm(void *tables)
    void en_borrow_pointwise(void *tables)
    void en_borrow_sparse(void *tables)

cdef extern from "parallel/realnet.h" nogil:
    ctypedef struct en_memory:
        pass
    const en_memory *en_the_memory
    ctypedef struct sparse_matrix:
        void *values
        int32_t *index
        int64_t *start
        Py_ssize_t m, count
    ctypedef struct realnet_call:
        int dtype, kept, sequence, add
        void *states
        void *g
        void *slope
        void *statistics
        void *x
        Py_ssize_t x_steps, x_step, x_row, steps, rows, n
        void *state
        void *weights
        void *bias
        void *gamma
        void *beta
        void *gain
        double eps
        void *dz
        void *dn
        void *dweights
        void *sums
        void *dstate
    ctypedef struct realnet_sparse_call:
        int dtype
        void *states
        void *x
        void *state
        void *bias
        void *gamma
        void *beta
        Py_ssize_t x_steps, x_step, steps, n, rows
        double eps
        sparse_matrix a
    int realnet_forward(realnet_call *call)
    int realnet_backward(realnet_call *call)
    void realnet_sparse_run(realnet_sparse_call *call)

include "runtime/module.pxi"

cdef void *tables_of(module) except NULL:
    return PyCapsule_GetPointer(module.tables, b"enilnets._ext.tables")

en_the_memory = <const en_memory *>PyCapsule_GetPointer(_memory.functions, b"enilnets._ext.memory.functions")
en_borrow_gemm(tables_of(_gemm))
en_borrow_norm(tables_of(_norm))
en_borrow_pointwise(tables_of(_pointwise))
en_borrow_sparse(tables_of(_sparse))


cdef int take_steps(Arrays *a, realnet_call *call, object states, bint write) except -1:
    """Take the states (steps, rows, n), from which all sizes follow."""
    call.states = real(a, states, "states", 3, write)
    call.steps, call.rows, call.n = axis(a, 0, 0), axis(a, 0, 1), axis(a, 0, 2)
    call.dtype = a.dtype
    if call.steps == 0 or call.n == 0:
        raise ValueError(f"states: expected at least one step and neuron, got shape {states.shape}")
    return 0


cdef int take_kept(Arrays *a, realnet_call *call, object g, object slope, object statistics, bint write) except -1:
    """Take what is kept for the way back: for all steps, or for one alone."""
    call.g = real(a, g, "g", 3, write, ANY, call.rows, call.n)
    kept = axis(a, a.count - 1, 0)
    if kept != call.steps and kept != 1:
        raise ValueError(f"g: expected {call.steps} steps or 1, got {kept}")
    call.kept = kept == call.steps
    call.slope = real(a, slope, "slope", 3, write, kept, call.rows, call.n)
    call.statistics = real(a, statistics, "statistics", 3, write, 3, kept, call.rows)
    return 0


def forward(states, g, slope, statistics, x, Py_ssize_t x_steps, state, weights, bias, gamma, beta, gain, double eps):
    """Write the states (steps, rows, n) that follow from ``state`` (rows, n), or from zero for None.

    ``x`` (rows, n) is added in the first ``x_steps`` steps, ``x`` (rows, x_steps, n) step by step; it may be None.
    ``g``, ``slope`` (steps, rows, n) and ``statistics`` (3, steps, rows) are for ``backward``; with one step of each
    they serve all steps in turn. ``gain`` (steps, rows, n) multiplies the states, or is None.
    """
    cdef Arrays a
    cdef realnet_call call
    cdef int failed
    a.count = 0
    try:
        take_steps(&a, &call, states, True)
        take_kept(&a, &call, g, slope, statistics, True)
        call.x, call.x_steps = NULL, 0
        if x is not None:
            if not 0 <= x_steps <= call.steps:
                raise ValueError(f"x_steps: expected at most {call.steps}, got {x_steps}")
            sequence = x.ndim == 3
            if sequence:
                call.x = real(&a, x, "x", 3, False, call.rows, ANY, call.n)
                if axis(&a, a.count - 1, 1) < x_steps:
                    raise ValueError(f"x: expected at least {x_steps} steps, got {axis(&a, a.count - 1, 1)}")
                call.x_step, call.x_row = call.n, axis(&a, a.count - 1, 1) * call.n
            else:
                call.x = real(&a, x, "x", 2, False, call.rows, call.n)
                call.x_step, call.x_row = 0, call.n
            call.x_steps = x_steps
        call.state = optional(&a, state, "state", 2, False, call.rows, call.n)
        call.weights = real(&a, weights, "weights", 2, False, call.n, call.n)
        call.bias = real(&a, bias, "bias", 1, False, call.n)
        call.gamma = real(&a, gamma, "gamma", 1, False, call.n)
        call.beta = real(&a, beta, "beta", 1, False, call.n)
        call.gain = optional(&a, gain, "gain", 3, False, call.steps, call.rows, call.n)
        call.eps = eps
        with nogil:
            failed = realnet_forward(&call)
        if failed:
            raise MemoryError("no workspace")
    finally:
        release(&a)


def backward(dz, dn, dweights, sums, dstate, bint sequence, bint add, states, g, slope, statistics, state, weights, gamma,
             gain):
    """Gradients of ``forward``, whose arrays follow.

    dn (steps, rows, n) holds the gradient of the last state, or with ``sequence`` of all states, and is overwritten.
    dz (steps, rows, n) takes the gradient of the input of every step.
    dweights (n, n), sums (3, n) take those of weights, bias, gamma, beta; with ``add``, the former is added to. Both
    may be None, and so may dstate (rows, n), which takes that of ``state``.
    """
    cdef Arrays a
    cdef realnet_call call
    cdef int failed
    if (dweights is None) != (sums is None):
        raise TypeError("expected dweights and sums both, or neither")
    a.count = 0
    try:
        take_steps(&a, &call, states, False)
        take_kept(&a, &call, g, slope, statistics, False)
        if not call.kept:
            raise ValueError(f"g: expected {call.steps} steps")
        call.dz = real(&a, dz, "dz", 3, True, call.steps, call.rows, call.n)
        call.dn = real(&a, dn, "dn", 3, True, call.steps, call.rows, call.n)
        call.dweights = optional(&a, dweights, "dweights", 2, True, call.n, call.n)
        call.sums = optional(&a, sums, "sums", 2, True, 3, call.n)
        call.dstate = optional(&a, dstate, "dstate", 2, True, call.rows, call.n)
        call.state = optional(&a, state, "state", 2, False, call.rows, call.n)
        call.weights = real(&a, weights, "weights", 2, False, call.n, call.n)
        call.gamma = real(&a, gamma, "gamma", 1, False, call.n)
        call.gain = optional(&a, gain, "gain", 3, False, call.steps, call.rows, call.n)
        call.sequence, call.add = sequence, add
        with nogil:
            failed = realnet_backward(&call)
        if failed:
            raise MemoryError("no workspace")
    finally:
        release(&a)


def sparse_forward(states, x, Py_ssize_t x_steps, state, values, index, start, bias, gamma, beta, double eps):
    """``forward`` with the samples of the batch side by side, states (steps, n, rows), and sparse weights.

    ``x`` (n, rows) or (x_steps, n, rows), ``state`` (n, rows). Row i of the transposed weights has
    values[start[i]:start[i + 1]] in the columns ``index`` names, which have been checked before (see sparse.product).
    """
    cdef Arrays a
    cdef realnet_sparse_call call
    a.count = 0
    try:
        call.states = real(&a, states, "states", 3, True)
        call.steps, call.n, call.rows, call.dtype = axis(&a, 0, 0), axis(&a, 0, 1), axis(&a, 0, 2), a.dtype
        call.x, call.x_steps, call.x_step = NULL, 0, 0
        if x is not None:
            if not 0 <= x_steps <= call.steps:
                raise ValueError(f"x_steps: expected at most {call.steps}, got {x_steps}")
            if x.ndim == 3:
                call.x = real(&a, x, "x", 3, False, x_steps, call.n, call.rows)
                call.x_step = call.n * call.rows
            else:
                call.x = real(&a, x, "x", 2, False, call.n, call.rows)
            call.x_steps = x_steps
        call.state = optional(&a, state, "state", 2, False, call.n, call.rows)
        call.bias = real(&a, bias, "bias", 1, False, call.n)
        call.gamma = real(&a, gamma, "gamma", 1, False, call.n)
        call.beta = real(&a, beta, "beta", 1, False, call.n)
        call.a.values = real(&a, values, "values", 1)
        call.a.m, call.a.count = call.n, axis(&a, a.count - 1, 0)
        call.a.index = <int32_t *>integers(&a, index, "index", 4, 1, False, call.a.count)
        call.a.start = <int64_t *>integers(&a, start, "start", 8, 1, False, call.n + 1)
        if call.a.start[call.n] != call.a.count:
            raise ValueError(f"start: expected {call.a.count} at the end")
        for i in range(call.n):
            if not 0 <= call.a.start[i] <= call.a.start[i + 1]:
                raise ValueError(f"start: expected ascending numbers, got {call.a.start[i + 1]} at {i + 1}")
        for i in range(call.a.count):
            if not 0 <= call.a.index[i] < call.n:
                raise ValueError(f"index: expected numbers below {call.n}, got {call.a.index[i]} at {i}")
        call.eps = eps
        if call.rows > 0:
            with nogil:
                realnet_sparse_run(&call)
    finally:
        release(&a)
