# What every module of kernels offers besides its kernels. Included behind the module's first `cdef extern` block, whose
# header kernels/<concern>.h lists them: C sees the headers in the order of these blocks.

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from enilnets._ext import threads as _threads

cdef extern from "runtime/threads.h":
    const void *en_the_pool

en_the_pool = PyCapsule_GetPointer(_threads.pool, b"enilnets._ext.threads.pool")

cdef extern from "runtime/dispatch.h":
    int en_isa
    int EN_ISA_COUNT
    bint en_isa_supported(int isa)

cdef extern from *:
    """
    static const char *const kernel_names[] = {EN_KERNELS(EN_KERNEL_NAME) NULL};
    static const void *const kernel_tables[] = {EN_JOIN2(EN_CONCERN, f32), EN_JOIN2(EN_CONCERN, f64)};
    """
    const char *kernel_names[]
    const void *kernel_tables[]

tables = PyCapsule_New(<void *>kernel_tables, b"enilnets._ext.tables", NULL)

def kernels():
    """Names of the kernels in this module; each exists for every dtype and instruction set."""
    names = []
    cdef int i = 0
    while kernel_names[i] != NULL:
        names.append(kernel_names[i].decode())
        i += 1
    return names


def select(Py_ssize_t isa):
    """Run the kernels that were built for instruction set number ``isa`` from now on."""
    global en_isa
    if not 0 <= isa < EN_ISA_COUNT or not en_isa_supported(<int>isa):
        raise ValueError(f"isa: expected an instruction set that this CPU has, got number {isa}")
    en_isa = <int>isa
