"""Recurrent layers over (batch, time, features). No arithmetic here: see kernels/recurrent.c, parallel/recurrent.h."""
from libc.stdint cimport int64_t, uint8_t

from arrays cimport Arrays, axis, integers, optional, real, release
from cpython.pycapsule cimport PyCapsule_GetPointer

from enilnets._ext import gemm as _gemm
from enilnets._ext import memory as _memory

cdef extern from "parallel/recurrent.h" nogil:
    int RNN_TANH, RNN_RELU, LSTM, GRU
    ctypedef struct en_memory:
        pass
    const en_memory *en_the_memory
    ctypedef struct recurrent_call:
        int cell, dtype
        bint reverse
        Py_ssize_t batch, time, n_in, hidden
        void *x
        void *w
        void *u
        void *b
        void *mask
        void *y
        void *xh
        void *gates
        void *hs
        void *cs
        int64_t *lengths
        uint8_t *reset
        void *dy
        void *dgates
        void *dh
        void *dc
        void *dw
        void *du
        void *db
        void *dx
    int recurrent_forward(recurrent_call *call)
    int recurrent_backward(recurrent_call *call)
    int recurrent_gradients(recurrent_call *call)
    void en_borrow_gemm(void *tables)

include "runtime/module.pxi"

en_the_memory = <const en_memory *>PyCapsule_GetPointer(_memory.functions, b"enilnets._ext.memory.functions")
en_borrow_gemm(PyCapsule_GetPointer(_gemm.tables, b"enilnets._ext.tables"))

#: By name of a cell: its number, columns of its gates, and rows of its weights, in multiples of the hidden size.
cdef dict CELLS = {"tanh": (RNN_TANH, 1, 1), "relu": (RNN_RELU, 1, 1), "lstm": (LSTM, 4, 4), "gru": (GRU, 4, 3)}


cdef Py_ssize_t take_cell(Arrays *a, recurrent_call *call, object cell, object gates, object hs, object cs,
                          bint write) except -1:
    """Take what a pass keeps: ``gates`` (time, batch, width), ``hs`` (time + 1, batch, hidden) and of an LSTM ``cs``.

    Returns the rows of the weights.
    """
    if cell not in CELLS:
        raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
    call.cell, columns, rows = CELLS[cell]
    call.hs = real(a, hs, "hs", 3, write)
    call.time, call.batch, call.hidden = axis(a, 0, 0) - 1, axis(a, 0, 1), axis(a, 0, 2)
    call.dtype = a.dtype
    if call.time < 1 or call.hidden < 1:
        raise ValueError(f"hs: expected at least one step and unit, got {call.time} and {call.hidden}")
    call.gates = real(a, gates, "gates", 3, write, call.time, call.batch, columns * call.hidden)
    if (cs is None) != (call.cell != LSTM):
        raise TypeError("cs: expected an array for an LSTM, None for the others")
    call.cs = optional(a, cs, "cs", 3, write, call.time + 1, call.batch, call.hidden)
    return rows * call.hidden


cdef int take_order(Arrays *a, recurrent_call *call, object lengths, object reset, bint reverse) except -1:
    """Take what says in which order and how far the steps of a sequence go."""
    cdef Py_ssize_t i
    call.lengths, call.reset, call.reverse = NULL, NULL, reverse
    if lengths is not None:
        call.lengths = <int64_t *>integers(a, lengths, "lengths", 8, 1, False, call.batch)
        for i in range(call.batch):
            if not 1 <= call.lengths[i] <= call.time:
                raise ValueError(f"lengths: expected 1 to {call.time}, got {call.lengths[i]} at {i}")
    if reset is not None:
        call.reset = <uint8_t *>integers(a, reset, "reset", 1, 2, False, call.batch, call.time)
    return 0


cdef void *states(Arrays *a, recurrent_call *call, object array, str name, bint write=False) except? NULL:
    return optional(a, array, name, 2, write, call.batch, call.hidden)


def forward(cell, y, gates, hs, cs, xh, x, w, u, b, mask, lengths, reset, bint reverse):
    """Run ``x`` (batch, time, n_in) through time from ``hs[0]`` and ``cs[0]``; ``y`` may be None.

    ``gates``, ``hs``, ``cs`` and ``xh`` (time, batch, n_in + 1 + hidden) are filled; ``mask`` (batch, hidden) may be None.
    """
    cdef Arrays a
    cdef recurrent_call call
    cdef int failed
    a.count = 0
    try:
        rows = take_cell(&a, &call, cell, gates, hs, cs, True)
        call.x = real(&a, x, "x", 3, False, call.batch, call.time)
        call.n_in = axis(&a, a.count - 1, 2)
        call.xh = real(&a, xh, "xh", 3, True, call.time, call.batch, call.n_in + 1 + call.hidden)
        call.y = optional(&a, y, "y", 3, True, call.batch, call.time, call.hidden)
        call.w = real(&a, w, "w", 2, False, rows, call.n_in)
        call.u = real(&a, u, "u", 2, False, rows, call.hidden)
        call.b = real(&a, b, "b", 1, False, 4 * call.hidden if call.cell == GRU else rows)
        call.mask = states(&a, &call, mask, "mask")
        take_order(&a, &call, lengths, reset, reverse)
        with nogil:
            failed = recurrent_forward(&call)
        if failed:
            raise MemoryError("no workspace")
    finally:
        release(&a)


def backward(cell, dgates, dh, dc, dy, gates, hs, cs, u, mask, lengths, reset, bint reverse):
    """Write the gradients of the sums in ``gates``; ``dh`` and ``dc`` go from the last state's to the first state's.

    ``dy`` (batch, time, hidden) may be None.
    """
    cdef Arrays a
    cdef recurrent_call call
    cdef int failed
    a.count = 0
    try:
        rows = take_cell(&a, &call, cell, gates, hs, cs, False)
        call.dgates = real(&a, dgates, "dgates", 3, True, call.time, call.batch, axis(&a, 1, 2))
        call.dh = real(&a, dh, "dh", 2, True, call.batch, call.hidden)
        if (dc is None) != (cs is None):
            raise TypeError("dc: expected an array for an LSTM, None for the others")
        call.dc = states(&a, &call, dc, "dc", True)
        call.dy = optional(&a, dy, "dy", 3, False, call.batch, call.time, call.hidden)
        call.u = real(&a, u, "u", 2, False, rows, call.hidden)
        call.mask = states(&a, &call, mask, "mask")
        take_order(&a, &call, lengths, reset, reverse)
        with nogil:
            failed = recurrent_backward(&call)
        if failed:
            raise MemoryError("no workspace")
    finally:
        release(&a)


def gradients(cell, dw, du, db, dx, dgates, hs, xh, w, lengths, bint reverse):
    """Write the gradients of the weights from ``dgates``, all three or none, and of ``x``, or not for None."""
    cdef Arrays a
    cdef recurrent_call call
    cdef int failed
    a.count = 0
    if (dw is None) != (du is None) or (dw is None) != (db is None):
        raise TypeError("expected dw, du and db all, or none")
    try:
        rows = take_cell(&a, &call, cell, dgates, hs, hs if cell == "lstm" else None, False)
        call.dgates = call.gates
        call.w = real(&a, w, "w", 2, False, rows)
        call.n_in = axis(&a, a.count - 1, 1)
        call.xh = real(&a, xh, "xh", 3, False, call.time, call.batch, call.n_in + 1 + call.hidden)
        call.dw = optional(&a, dw, "dw", 2, True, rows, call.n_in)
        call.du = optional(&a, du, "du", 2, True, rows, call.hidden)
        call.db = optional(&a, db, "db", 1, True, 4 * call.hidden if call.cell == GRU else rows)
        call.dx = optional(&a, dx, "dx", 3, True, call.batch, call.time, call.n_in)
        take_order(&a, &call, lengths, None, reverse)
        with nogil:
            failed = recurrent_gradients(&call)
        if failed:
            raise MemoryError("no workspace")
    finally:
        release(&a)
