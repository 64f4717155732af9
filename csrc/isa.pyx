"""Which instruction sets the kernels are built for and which of them this CPU can run."""

cdef extern from "runtime/isa.h":
    int EN_ISA_COUNT
    const char *en_isa_name(int isa)
    bint en_isa_supported(int isa)


def names():
    """Names of all instruction sets, from the plainest to the most preferred; the index is the set's number."""
    return [en_isa_name(i).decode() for i in range(EN_ISA_COUNT)]


def supported():
    """Numbers of the instruction sets that this CPU and operating system can run, in rising order of preference."""
    return [i for i in range(EN_ISA_COUNT) if en_isa_supported(i)]
