"""Softmax attention over (batch, heads, tokens, width), of any strides but along the last axis. No arithmetic here: see
kernels/attention.c and parallel/attention.h."""
from libc.stdint cimport int64_t, uint8_t

from arrays cimport ANY, Arrays, axis, integers, optional, real, release, strided, take, type_code
from cpython.buffer cimport Py_buffer
from cpython.pycapsule cimport PyCapsule_GetPointer

from enilnets._ext import gemm as _gemm
from enilnets._ext import memory as _memory

cdef extern from *:
    """
    #define EN_BORROWED
    #include "kernels/gemm.h"
    #undef EN_BORROWED
    #include "kernels/attention.h"
    #include "parallel/attention.h"
    """
    ctypedef struct en_memory:
        pass
    const en_memory *en_the_memory
    void en_borrow_gemm(void *tables)
    ctypedef struct attention_array:
        char *start
        Py_ssize_t batch, head, token
    ctypedef struct attention_call:
        int dtype, causal
        Py_ssize_t batch, heads, kv_heads, tokens, keys, d
        attention_array q, k, v, y, dy, dq, dk, dv
        void *lse
        double scale
        Py_ssize_t window
        const int64_t *lengths
        const void *slopes
        const uint8_t *seen
        const void *added
        Py_ssize_t mask_batch, mask_head, mask_query, mask_key
    int attention_run(attention_call *call) nogil

include "runtime/module.pxi"

en_the_memory = <const en_memory *>PyCapsule_GetPointer(_memory.functions, b"enilnets._ext.memory.functions")
en_borrow_gemm(PyCapsule_GetPointer(_gemm.tables, b"enilnets._ext.tables"))


cdef int check_apart(Py_buffer *view, str name) except -1:
    """Refuse a result whose elements may share memory: sorted by stride, every axis must step over what is inside."""
    cdef Py_ssize_t reach = view.itemsize, step, least
    cdef bint[4] done = [False, False, False, False]
    cdef int i, turn, at
    for turn in range(4):
        least, at = -1, -1
        for i in range(4):
            step = abs(view.strides[i])
            if not done[i] and (at < 0 or step < least):
                least, at = step, i
        done[at] = True
        if view.shape[at] > 1:
            if least < reach:
                raise ValueError(f"{name}: expected elements that do not share memory")
            reach += (view.shape[at] - 1) * least
    return 0


cdef int take_heads(Arrays *a, attention_array *to, object array, str name, Py_ssize_t batch, Py_ssize_t heads,
                    Py_ssize_t tokens, Py_ssize_t width, bint write=False) except -1:
    """Take an array (batch, heads, tokens, width) whose last axis is contiguous."""
    cdef Py_buffer *view = strided(a, array, name, write)
    cdef Py_ssize_t[4] shape = [batch, heads, tokens, width]
    cdef int i
    cdef bint right = view.ndim == 4
    if right:
        for i in range(4):
            right = right and (shape[i] == ANY or shape[i] == view.shape[i])
    if not right:
        wanted = ", ".join(["any" if shape[i] == ANY else str(shape[i]) for i in range(4)])
        raise ValueError(f"{name}: expected shape ({wanted}), got {tuple([view.shape[i] for i in range(view.ndim)])}")
    if view.shape[3] > 1 and view.strides[3] != view.itemsize:
        raise ValueError(f"{name}: expected a last axis that is contiguous")
    if write and view.shape[0] > 0 and view.shape[1] > 0 and view.shape[2] > 0 and view.shape[3] > 0:
        check_apart(view, name)
    to.start = <char *>view.buf
    to.batch = view.strides[0] // view.itemsize
    to.head = view.strides[1] // view.itemsize
    to.token = view.strides[2] // view.itemsize
    return 0


cdef int take_problem(Arrays *a, attention_call *call, object q, object k, object v, double scale, bint causal,
                      Py_ssize_t window, object lengths, object mask, object slopes) except -1:
    """Take what both passes read."""
    cdef Py_buffer *view
    cdef Py_ssize_t[4] shape
    cdef Py_ssize_t[4] step
    cdef Py_ssize_t i
    take_heads(a, &call.q, q, "q", ANY, ANY, ANY, ANY)
    call.dtype = a.dtype
    call.batch, call.heads, call.tokens, call.d = axis(a, 0, 0), axis(a, 0, 1), axis(a, 0, 2), axis(a, 0, 3)
    take_heads(a, &call.k, k, "k", call.batch, ANY, ANY, call.d)
    call.kv_heads, call.keys = axis(a, 1, 1), axis(a, 1, 2)
    take_heads(a, &call.v, v, "v", call.batch, call.kv_heads, call.keys, call.d)
    if call.tokens < 1 or call.keys < 1 or call.d < 1 or call.kv_heads < 1 or call.heads % call.kv_heads:
        raise ValueError("q, k, v: expected at least one token and feature, and heads that the heads of k divide")
    if window < 0:
        raise ValueError(f"window: expected at least 0, got {window}")
    call.scale, call.causal, call.window = scale, causal, window
    call.lengths = NULL
    if lengths is not None:
        call.lengths = <int64_t *>integers(a, lengths, "lengths", 8, 1, False, call.batch)
        for i in range(call.batch):
            if not 0 <= call.lengths[i] <= call.keys:
                raise ValueError(f"lengths: expected 0 to {call.keys}, got {call.lengths[i]} at index {i}")
    call.slopes = optional(a, slopes, "slopes", 1, False, call.heads)
    call.seen, call.added = NULL, NULL
    call.mask_batch = call.mask_head = call.mask_query = call.mask_key = 0
    if mask is None:
        return 0
    view = take(a, mask, "mask", False, True)
    shape = [call.batch, call.heads, call.tokens, call.keys]
    if view.ndim != 4:
        raise ValueError(f"mask: expected 4 axes, got {view.ndim}")
    for i in range(4):
        if view.shape[i] != shape[i] and view.shape[i] != 1:
            raise ValueError(f"mask: expected size {shape[i]} or 1 along axis {i}, got {view.shape[i]}")
        step[i] = 0 if view.shape[i] == 1 else view.strides[i] // view.itemsize
    call.mask_batch, call.mask_head, call.mask_query, call.mask_key = step[0], step[1], step[2], step[3]
    if type_code(view) in (c"?", c"B"):
        call.seen = <uint8_t *>view.buf
    elif type_code(view) == (c"d" if view.itemsize == 8 else c"f") and view.itemsize == a.held[0].itemsize:
        call.added = view.buf
    else:
        raise TypeError(f"mask: expected bool or the dtype of q, got format {view.format.decode()!r}")
    return 0


def forward(y, lse, q, k, v, double scale, bint causal=False, Py_ssize_t window=0, lengths=None, mask=None, slopes=None):
    """Write softmax(scale q kᵀ + bias) v of every head to ``y``, and the log of the softmax's denominators to ``lse``.

    q, y (batch, heads, tokens, d), k, v (batch, kv_heads, keys, d), lse (batch, heads, tokens). ``window`` 0 means none; ``mask`` (4 axes, each of full size or 1) is of bool, where True
    may be seen, or is added to the scores; ``slopes`` (heads) times the distance is taken off.
    """
    cdef Arrays a
    cdef attention_call call
    cdef int failed
    a.count = 0
    try:
        take_problem(&a, &call, q, k, v, scale, causal, window, lengths, mask, slopes)
        take_heads(&a, &call.y, y, "y", call.batch, call.heads, call.tokens, call.d, True)
        call.lse = real(&a, lse, "lse", 3, True, call.batch, call.heads, call.tokens)
        call.dq.start = NULL
        with nogil:
            failed = attention_run(&call)
        if failed:
            raise MemoryError
    finally:
        release(&a)


def backward(dq, dkv, dy, y, lse, q, k, v, double scale, bint causal=False, Py_ssize_t window=0, lengths=None, mask=None,
             slopes=None):
    """Gradients of ``forward``. ``dkv`` (batch, 2 kv_heads, keys, d) takes those of k, then those of v.

    If it is None, ``dq`` (batch, heads + 2 kv_heads, tokens, d) takes all three in this order.
    """
    cdef Arrays a
    cdef attention_call call
    cdef int failed
    a.count = 0
    try:
        take_problem(&a, &call, q, k, v, scale, causal, window, lengths, mask, slopes)
        if dkv is None and call.keys != call.tokens:
            raise ValueError("dkv: expected an array where there are not as many keys as queries")
        take_heads(&a, &call.y, y, "y", call.batch, call.heads, call.tokens, call.d)
        take_heads(&a, &call.dy, dy, "dy", call.batch, call.heads, call.tokens, call.d)
        call.lse = real(&a, lse, "lse", 3, False, call.batch, call.heads, call.tokens)
        take_heads(&a, &call.dq, dq, "dq", call.batch, call.heads + (0 if dkv is not None else 2 * call.kv_heads),
                   call.tokens, call.d, True)
        if dkv is None:
            call.dk = call.dq
            call.dk.start += call.heads * call.dq.head * a.held[0].itemsize
        else:
            take_heads(&a, &call.dk, dkv, "dkv", call.batch, 2 * call.kv_heads, call.keys, call.d, True)
        call.dv = call.dk
        call.dv.start += call.kv_heads * call.dk.head * a.held[0].itemsize
        with nogil:
            failed = attention_run(&call)
        if failed:
            raise MemoryError
    finally:
        release(&a)
