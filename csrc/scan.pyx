"""Scans backwards over time, (steps, n). No arithmetic here: see kernels/scan.c."""
from libc.stdint cimport uint8_t

from arrays cimport Arrays, axis, integers, optional, real, release

cdef extern from "parallel/scan.h" nogil:
    ctypedef struct scan_call:
        int dtype
        void *advantages
        void *returns
        void *rewards
        void *values
        void *next_values
        uint8_t *terminated
        uint8_t *truncated
        double gamma
        double decay "lambda"  # which is a word of this language
        Py_ssize_t steps, n
    void scan_run(scan_call *call)

include "runtime/module.pxi"


cdef int take_rewards(Arrays *a, scan_call *call, object returns, object rewards) except -1:
    call.rewards = real(a, rewards, "rewards", 2)
    call.steps, call.n = axis(a, 0, 0), axis(a, 0, 1)
    call.returns = real(a, returns, "returns", 2, True, call.steps, call.n)
    call.dtype = a.dtype
    return 0


cdef uint8_t *mask(Arrays *a, scan_call *call, object array, str name) except NULL:
    return <uint8_t *>integers(a, array, name, 1, 2, False, call.steps, call.n)


def discounted_returns(returns, rewards, dones, double gamma):
    """Write the discounted sums of ``rewards`` (steps, n) to ``returns``; ``dones`` (bool or uint8) ends episodes."""
    cdef Arrays a
    cdef scan_call call
    a.count = 0
    try:
        take_rewards(&a, &call, returns, rewards)
        call.advantages = call.values = call.next_values = NULL
        call.terminated = NULL
        call.truncated = mask(&a, &call, dones, "dones")
        call.gamma, call.decay = gamma, 1
        with nogil:
            scan_run(&call)
    finally:
        release(&a)


def gae(advantages, returns, rewards, values, next_values, terminated, truncated, double gamma, double decay):
    """Write advantages and returns for ``rewards`` (steps, n); ``decay`` is lambda.

    ``next_values`` may be None: then ``values`` has one row more and the next row of a step is its next value.
    """
    cdef Arrays a
    cdef scan_call call
    a.count = 0
    try:
        take_rewards(&a, &call, returns, rewards)
        call.advantages = real(&a, advantages, "advantages", 2, True, call.steps, call.n)
        call.values = real(&a, values, "values", 2, False, call.steps + (next_values is None), call.n)
        call.next_values = optional(&a, next_values, "next_values", 2, False, call.steps, call.n)
        call.terminated = mask(&a, &call, terminated, "terminated")
        call.truncated = mask(&a, &call, truncated, "truncated")
        call.gamma, call.decay = gamma, decay
        with nogil:
            scan_run(&call)
    finally:
        release(&a)
