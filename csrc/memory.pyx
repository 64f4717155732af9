"""Memory for large arrays that is used again when nobody refers to it any more: see runtime/memory.c."""
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pycapsule cimport PyCapsule_New

cdef extern from "runtime/memory_module.h":
    ctypedef struct en_memory:
        void *take(size_t bytes) nogil
        void give_back(void *start) nogil
    const en_memory en_memory_functions
    int EN_KEEPS_MEMORY
    void en_memory_start()
    size_t en_memory_in_use()
    size_t en_memory_kept()
    void en_memory_release()

KEEPS_MEMORY = bool(EN_KEEPS_MEMORY)

en_memory_start()
functions = PyCapsule_New(<void *>&en_memory_functions, b"enilnets._ext.memory.functions", NULL)


cdef class Block:
    """A writable buffer of at least ``size`` bytes, aligned to 64; its content is whatever was there before.

    It goes back to the pool when the last array that refers to it is gone, and not before.
    """
    cdef void *start
    cdef readonly Py_ssize_t size

    def __cinit__(self, Py_ssize_t size):
        if size < 0:
            raise ValueError(f"size: expected no negative number of bytes, got {size}")
        self.start = en_memory_functions.take(<size_t>size)
        if self.start == NULL:
            raise MemoryError(f"{size} bytes")
        self.size = size

    def __dealloc__(self):
        en_memory_functions.give_back(self.start)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.start, self.size, 0, flags)


def in_use():
    """Bytes that live blocks and workspaces take, or 0 unless ``KEEPS_MEMORY``."""
    return en_memory_in_use()


def kept():
    """Bytes that are kept for later."""
    return en_memory_kept()


def release():
    """Give what is kept back to the system."""
    en_memory_release()
