"""Arrays as kernels cannot take them."""

import numpy as np


def unaligned(a):
    """A copy of ``a`` one byte off its alignment."""
    memory = np.zeros(a.nbytes + 1, np.int8)
    copy = memory[1:].view(a.dtype).reshape(a.shape)
    copy[...] = a
    return copy


def read_only(a):
    """A copy of ``a`` that cannot be written."""
    a = a.copy()
    a.flags.writeable = False
    return a
