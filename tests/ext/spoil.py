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


#: Error and change for what no kernel takes: no array, numbers of another kind, byte order or alignment.
WRONG_KINDS = [
    (TypeError, lambda a: a.tolist()),
    (TypeError, lambda a: 3),
    (TypeError, lambda a: a.astype(np.float16)),
    (TypeError, lambda a: a.astype(np.int16)),
    (TypeError, lambda a: a.astype(complex)),
    (TypeError, lambda a: a.astype(object)),
    (TypeError, lambda a: a.astype(a.dtype.newbyteorder())),
    (ValueError, unaligned),
]
