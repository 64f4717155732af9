"""csrc/arrays.pxd, the gate of every compiled function, seen through one of them."""

import ctypes
import multiprocessing

import numpy as np
import pytest

from enilnets._ext import optim
from enilnets.ops.array import as_data


@pytest.mark.parametrize("kind, dtype", [(ctypes.c_float, np.float32), (ctypes.c_double, np.float64)])
def test_memory_shared_with_other_processes(kind, dtype):
    """Arrays made by ctypes spell out their byte order, which is the native one."""
    x = np.ctypeslib.as_array(multiprocessing.RawArray(kind, 5))
    x[:] = 2
    assert x.dtype == dtype and optim.squared_norm(x) == 20
    assert as_data("test", "x", x, np.dtype(dtype)).sum() == 10


@pytest.mark.parametrize(
    "x", [np.ones(3, ">f8"), np.ones(3, "f2"), np.ones(3, "i8"), np.ones(3, "c16"), np.ones(3, "V8")]
)
def test_other_types_are_refused(x):
    with pytest.raises(TypeError, match="x: expected float32 or float64"):
        optim.squared_norm(x)


@pytest.mark.parametrize("dtype", ["V0", "S0", "U0"])
def test_elements_without_size_are_refused(dtype):
    with pytest.raises(TypeError, match="x: expected"):
        optim.squared_norm(np.empty(3, dtype))


def test_structured_and_dated_arrays_are_refused():
    with pytest.raises(TypeError):
        optim.squared_norm(np.zeros(3, [("a", "f8")]))
    with pytest.raises((TypeError, ValueError)):
        optim.squared_norm(np.zeros(3, "M8[s]"))
