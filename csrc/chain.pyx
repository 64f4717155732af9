"""Runs chains of layers as programs. No arithmetic here: see parallel/chain.h.

A ``Program`` is made of tuples that describe its nodes and keeps the arrays they hold; a ``Pass`` is one run forward.
"""
from arrays cimport ANY, Arrays, axis, check_shape, flat, optional, real, release, take, type_code
from cpython.buffer cimport Py_buffer, PyBuffer_FillInfo
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.string cimport memcpy

from enilnets._ext import gemm as _gemm
from enilnets._ext import memory as _memory
from enilnets._ext import norm as _norm
from enilnets._ext import optim as _optim
from enilnets._ext import pointwise as _pointwise
from enilnets._ext import threads as _threads

import numpy as np

cdef extern from *:
    """
    #define EN_BORROWED
    #include "parallel/chain.h"
    static const char *const activation_names[] = {
        "linear", "softmax",
    #define CHAIN_NAME(name, saves) #name,
        CHAIN_ACTIVATIONS(CHAIN_NAME)
    };
    static void use_own_activations(void) { en_the_activations = &activation_functions; }
    """
    void use_own_activations()
    const char *activation_names[]
    int CHAIN_ACTIVATION_COUNT, CHAIN_DENSE, CHAIN_ACTIVATION, CHAIN_BATCHNORM, CHAIN_IDENTITY, CHAIN_linear
    int EN_F32, EN_F64
    const void *en_the_pool
    ctypedef struct en_memory:
        void *take(size_t bytes) nogil
        void give_back(void *start) nogil
    const en_memory *en_the_memory
    ctypedef struct chain_node:
        int kind, activation, trains, batch
        Py_ssize_t n_in, n_out
        void *weights
        void *bias
        void *d_weights
        void *d_bias
        void *mean
        void *var
        double eps, momentum
    ctypedef struct chain_place:
        const void *x
        void *z
        void *y
        void *room
        const void *delta
        void *mean
        void *var
        void *inv_std
        void *gamma
        void **extra
    ctypedef struct chain_pass:
        int dtype, count, training, keep_z
        Py_ssize_t rows
        const chain_node *node
        chain_place *place
    size_t chain_layout(chain_pass *state, char *memory) nogil
    int chain_forward(chain_pass *state, const void *x, void *y) nogil
    int chain_infer(const chain_pass *state, const void *x, void *y, char *scratch, size_t half) nogil
    int chain_backward(chain_pass *state, const void *dy, int at_pre_activation, int params, int lowest, void *dx,
                       const char *added) nogil
    Py_ssize_t first_non_finite(int dtype, const void *x, Py_ssize_t n) nogil
    void en_borrow_gemm(void *tables)
    void en_borrow_norm(void *tables)
    void en_borrow_optim(void *tables)
    void en_borrow_pointwise(void *tables)

cdef extern from "runtime/dispatch.h":
    int en_isa
    int EN_ISA_COUNT
    bint en_isa_supported(int isa)

cdef void *tables_of(module) except NULL:
    return PyCapsule_GetPointer(module.tables, b"enilnets._ext.tables")

en_the_pool = PyCapsule_GetPointer(_threads.pool, b"enilnets._ext.threads.pool")
en_the_memory = <const en_memory *>PyCapsule_GetPointer(_memory.functions, b"enilnets._ext.memory.functions")
en_borrow_gemm(tables_of(_gemm))
en_borrow_norm(tables_of(_norm))
en_borrow_optim(tables_of(_optim))
en_borrow_pointwise(tables_of(_pointwise))
use_own_activations()

cdef enum:
    SMALL = 16384  # bytes of scratch that inference takes from the stack
    LARGE = 32768  # bytes from which on an array lies in memory that is used again

cdef object np_empty = np.empty
cdef object ndarray = np.ndarray
cdef object Block = _memory.Block


cdef object fresh(tuple shape, Py_ssize_t rows, Py_ssize_t columns, object dtype):
    """A new array of rows x columns elements in this shape."""
    cdef Py_ssize_t size = rows * columns * (4 if dtype.char == "f" else 8)
    return np_empty(shape, dtype) if size < LARGE else ndarray(shape, dtype, Block(size))

cdef dict KINDS = {"dense": CHAIN_DENSE, "activation": CHAIN_ACTIVATION, "batchnorm": CHAIN_BATCHNORM,
                   "identity": CHAIN_IDENTITY}
cdef dict ACTIVATIONS = {activation_names[i].decode(): i for i in range(CHAIN_ACTIVATION_COUNT)}


def select(Py_ssize_t isa):
    """Run the kernels that were built for instruction set number ``isa`` from now on."""
    global en_isa
    if not 0 <= isa < EN_ISA_COUNT or not en_isa_supported(<int>isa):
        raise ValueError(f"isa: expected an instruction set that this CPU has, got number {isa}")
    en_isa = <int>isa


cdef object listed(dict table, str name, value):
    number = table.get(value) if isinstance(value, str) else None
    if number is None:
        raise ValueError(f"{name}: expected one of {', '.join(table)}, got {value!r}")
    return number


cdef class Program:
    """A chain of nodes, each a tuple (kind, n_in, n_out, activation, arrays, gradients, batch, eps, momentum).

    kind : "dense", "activation", "batchnorm" or "identity"
    arrays : (weights (n_out, n_in), bias (n_out,) or None), or (gamma, beta, mean, var) of (n_out,), or ()
    gradients : two parameters with ``grad`` and ``fresh``, or None for what is not to be trained
    batch : whether a normalisation uses and learns the statistics of the batch in training
    """
    cdef chain_node *nodes
    cdef int count, dtype_number
    cdef Py_ssize_t widest
    cdef tuple held  # the arrays that nodes point to
    cdef list parameters  # two per node
    cdef bint flat_only
    cdef readonly object dtype
    cdef readonly Py_ssize_t n_in, n_out

    def __cinit__(self, nodes, dtype):
        cdef Arrays a
        cdef chain_node *node
        cdef int i
        cdef object kind, activation, arrays, gradients, batch, first, second, grads, weights, bias, gamma, beta, mean, var
        nodes = list(nodes)
        if not nodes:
            raise ValueError("nodes: expected at least one")
        self.dtype = np.dtype(dtype)
        if self.dtype.char not in "fd":
            raise TypeError(f"dtype: expected float32 or float64, got {self.dtype}")
        self.dtype_number = EN_F32 if self.dtype.char == "f" else EN_F64
        self.count = len(nodes)
        self.nodes = <chain_node *>PyMem_Calloc(self.count, sizeof(chain_node))
        if self.nodes == NULL:
            raise MemoryError()
        self.parameters = []
        held = []
        for i in range(self.count):
            kind, n_in, n_out, activation, arrays, gradients, batch, eps, momentum = nodes[i]
            node = &self.nodes[i]
            node.kind, node.n_in, node.n_out = listed(KINDS, "kind", kind), n_in, n_out
            node.activation = listed(ACTIVATIONS, "activation", activation)
            node.batch, node.eps, node.momentum = bool(batch), eps, momentum
            node.trains = any(parameter is not None for parameter in gradients)
            if n_in < 0 or n_out < 0 or (i and n_in != self.nodes[i - 1].n_out) or (n_in != n_out and kind != "dense"):
                raise ValueError(f"nodes: {kind} {i} of {n_in} -> {n_out} does not fit")
            if activation != "linear" and kind not in ("dense", "activation"):
                raise ValueError(f"nodes: {kind} has no activation")
            a.count = 0
            try:
                if kind == "dense":
                    weights, bias = arrays
                    node.weights = real(&a, weights, "weights", 2, False, node.n_out, node.n_in)
                    node.bias = optional(&a, bias, "bias", 1, False, node.n_out)
                elif kind == "batchnorm":
                    gamma, beta, mean, var = arrays
                    node.weights = real(&a, gamma, "gamma", 1, False, node.n_out)
                    node.bias = real(&a, beta, "beta", 1, False, node.n_out)
                    node.mean = real(&a, mean, "mean", 1, bool(batch), node.n_out)
                    node.var = real(&a, var, "var", 1, bool(batch), node.n_out)
                    self.flat_only = True
                elif arrays:
                    raise ValueError(f"nodes: {kind} has no arrays")
                first, second = gradients
                grads = [None if p is None else p.grad for p in gradients]
                if first is not None:
                    node.d_weights = (real(&a, grads[0], "gradient", 2, True, node.n_out, node.n_in) if kind == "dense"
                                      else real(&a, grads[0], "gradient", 1, True, node.n_out))
                if second is not None:
                    node.d_bias = real(&a, grads[1], "gradient", 1, True, node.n_out)
                if node.trains and (first is None or kind not in ("dense", "batchnorm")
                                    or (second is None and kind == "batchnorm")):
                    raise ValueError(f"gradients: {kind} cannot have these alone")
                if a.count and a.dtype != self.dtype_number:
                    raise TypeError(f"nodes: expected {self.dtype} arrays")
            finally:
                release(&a)
            held.append((arrays, grads))
            self.parameters.extend(gradients)
            self.widest = max(self.widest, node.n_out)
        self.held = tuple(held)
        self.n_in, self.n_out = self.nodes[0].n_in, self.nodes[self.count - 1].n_out

    def __dealloc__(self):
        PyMem_Free(self.nodes)

    def __len__(self):
        return self.count

    cdef Py_ssize_t rows_of(self, Py_buffer *view) except -1:
        """Number of rows of an input; its last axis has to be the first node's."""
        if view.ndim < 2 or (self.flat_only and view.ndim != 2) or view.shape[view.ndim - 1] != self.n_in:
            raise ValueError(f"x: expected shape (..., {self.n_in}), got {tuple([view.shape[i] for i in range(view.ndim)])}")
        return view.len // (view.itemsize * self.n_in) if self.n_in else view.shape[0]

    def infer(self, x):
        """Return the output for ``x`` (..., n_in) in inference mode; keeps nothing."""
        cdef Arrays a
        a.count = 0
        try:
            self.take_real(&a, x, "x", False)
            rows = self.rows_of(&a.held[0])
            y = fresh((*x.shape[:x.ndim - 1], self.n_out), rows, self.n_out, self.dtype)
            self.run(&a, y, rows)
            return y
        finally:
            release(&a)

    def act(self, x):
        """Return the output for a vector or matrix, or None for anything that is not just finite numbers of our dtype."""
        cdef Arrays a
        cdef Py_buffer *view
        if type(x) is not ndarray:
            return None
        a.count = 0
        try:
            try:
                view = take(&a, x, "x", False)
            except (TypeError, ValueError):
                return None
            if (type_code(view) != (c"f" if self.dtype_number == EN_F32 else c"d") or not 1 <= view.ndim <= 2
                    or view.shape[view.ndim - 1] != self.n_in or view.len == 0):
                return None
            a.dtype = self.dtype_number
            if first_non_finite(a.dtype, view.buf, view.len // view.itemsize) >= 0:
                return None
            rows = view.shape[0] if view.ndim == 2 else 1
            y = fresh((rows, self.n_out), rows, self.n_out, self.dtype)
            self.run(&a, y, rows)
            return y
        finally:
            release(&a)

    cdef int run(self, Arrays *a, object y, Py_ssize_t rows) except -1:
        """Infer from the first array of ``a`` into ``y``."""
        cdef chain_pass state
        cdef char small[SMALL]
        cdef char *scratch = small
        cdef size_t half = (<size_t>(rows * self.widest * (8 if a.dtype == EN_F64 else 4)) + 63) & ~<size_t>63
        cdef int failed
        y_ = flat(a, y, "y", True)
        state.dtype, state.count, state.rows, state.node = a.dtype, self.count, rows, self.nodes
        x_ = a.held[0].buf
        if 2 * half > SMALL:
            scratch = <char *>en_the_memory.take(2 * half)
            if scratch == NULL:
                raise MemoryError(f"{2 * half} bytes")
        with nogil:
            failed = chain_infer(&state, x_, y_, scratch, half)
        if scratch != small:
            en_the_memory.give_back(scratch)
        if failed:
            raise MemoryError("no workspace")
        return 0

    cdef int take_real(self, Arrays *a, object array, str name, bint write) except -1:
        flat(a, array, name, write)
        if a.dtype != self.dtype_number:
            raise TypeError(f"{name}: expected {self.dtype}")
        return 0

    def forward(self, x, bint training, bint keep_z):
        """Run forward and return a Pass, whose ``y`` is the output."""
        cdef Arrays a
        cdef Pass made
        cdef int failed
        a.count = 0
        try:
            self.take_real(&a, x, "x", False)
            made = Pass.__new__(Pass)
            made.program, made.x, made.shape = self, x, x.shape[:x.ndim - 1]
            made.state.dtype, made.state.count, made.state.node = a.dtype, self.count, self.nodes
            made.state.training, made.state.keep_z = training, keep_z
            made.state.rows = self.rows_of(&a.held[0])
            made.reserve()
            made.y = fresh((*made.shape, self.n_out), made.state.rows, self.n_out, self.dtype)
            y_ = flat(&a, made.y, "y", True)
            x_ = a.held[0].buf
            with nogil:
                failed = chain_forward(&made.state, x_, y_)
            if failed:
                raise MemoryError("no workspace")
            return made
        finally:
            release(&a)


cdef class Pass:
    """One run of a Program: what it keeps, as arrays that refer to it, and the way back."""
    cdef Program program
    cdef chain_pass state
    cdef readonly object x, y
    cdef object dy
    cdef tuple shape
    cdef char *memory
    cdef Py_ssize_t size, offset
    cdef bint going_back

    def __dealloc__(self):
        if self.memory != NULL:
            en_the_memory.give_back(self.memory)

    cdef int reserve(self) except -1:
        """Take the memory for all nodes in one piece: the places first, then what they point to."""
        self.offset = (self.state.count * <Py_ssize_t>sizeof(chain_place) + 63) & ~<Py_ssize_t>63
        self.state.place = NULL
        self.size = self.offset + <Py_ssize_t>chain_layout(&self.state, NULL)
        self.memory = <char *>en_the_memory.take(<size_t>self.size)
        if self.memory == NULL:
            raise MemoryError(f"{self.size} bytes")
        self.state.place = <chain_place *>self.memory
        chain_layout(&self.state, self.memory + self.offset)
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        # The places are no data: only what they point to can be seen.
        PyBuffer_FillInfo(view, self, self.memory + self.offset, self.size - self.offset, 0, flags)

    cdef object view(self, const void *start, shape):
        """The array at ``start``: the input, the output, the last gradient, or a view of this pass."""
        if start == NULL:
            return None
        if self.memory + self.offset <= <const char *>start < self.memory + self.size:
            return ndarray(shape, self.program.dtype, self, <const char *>start - self.memory - self.offset)
        for array in (self.x, self.y, self.dy):
            if array is not None and <size_t>array.ctypes.data == <size_t>start and array.shape == shape:
                return array
        return None

    def kept(self, Py_ssize_t i):
        """What node ``i`` keeps: x, z, y, delta, mean, var, inv_std, gamma, or None; the activation and eps it ran with."""
        if not 0 <= i < self.state.count:
            raise IndexError(f"expected a node below {self.state.count}, got {i}")
        cdef chain_place *place = &self.state.place[i]
        cdef const chain_node *node = &self.state.node[i]
        cdef tuple inputs = (*self.shape, node.n_in), outputs = (*self.shape, node.n_out), features = (node.n_out,)
        y = self.view(place.y, outputs)
        z = self.view(place.z, outputs)
        if z is None and self.state.keep_z and node.kind == CHAIN_DENSE and node.activation == CHAIN_linear:
            z = y
        return {
            "x": self.view(place.x, inputs), "z": z, "y": y, "delta": self.view(place.delta, outputs),
            "mean": self.view(place.mean, features), "var": self.view(place.var, features),
            "inv_std": self.view(place.inv_std, features), "gamma": self.view(place.gamma, features),
            "activation": activation_names[node.activation].decode(), "eps": node.eps,
        }

    def backward(self, dy, bint at_pre_activation=False, bint params=True, bint inputs=False, int lowest=0):
        """Write parameter gradients, or add them to those that are fresh, and return the input's if ``inputs``.

        Nodes below ``lowest`` are not visited; with ``inputs`` it has to be 0.
        """
        cdef Arrays a
        cdef char small[64]
        cdef char *added = small
        cdef int i, failed
        cdef Program program = self.program
        cdef void *dx_ = NULL
        if program is None:
            raise TypeError("a Pass comes from Program.forward")
        if not 0 <= lowest <= self.state.count or (inputs and lowest):
            raise ValueError(f"lowest: expected a node below {self.state.count}, got {lowest}")
        if self.going_back:
            raise RuntimeError("this pass is already on its way back in another thread")
        a.count = 0
        dx = None
        flags = None
        if 2 * self.state.count > 64:
            flags = bytearray(2 * self.state.count)
            added = flags
        try:
            program.take_real(&a, dy, "dy", False)
            if dy.shape != self.y.shape:
                raise ValueError(f"dy: expected shape {self.y.shape}, got {dy.shape}")
            if inputs:
                dx = fresh(self.x.shape, self.state.rows, program.n_in, program.dtype)
                dx_ = flat(&a, dx, "dx", True)
            for i in range(2 * self.state.count):
                parameter = program.parameters[i]
                added[i] = parameter is not None and parameter.fresh
            self.going_back, self.dy = True, dy
            dy_ = a.held[0].buf
            with nogil:
                failed = chain_backward(&self.state, dy_, at_pre_activation, params, lowest, dx_, added)
            self.going_back = False
            if failed:
                raise MemoryError("no workspace")
            if params:
                for i in range(2 * lowest, 2 * self.state.count):
                    parameter = program.parameters[i]
                    if parameter is not None:
                        if added[i] and (i % 2 or program.nodes[i // 2].kind == CHAIN_BATCHNORM):
                            parameter.accumulate(self.view(self.state.place[i // 2].extra[i % 2], parameter.grad.shape))
                        parameter.fresh = True
            return dx
        finally:
            release(&a)
