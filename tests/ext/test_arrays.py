"""csrc/arrays.pxd, the gate of every compiled function, seen through one of them."""

import array
import ctypes
import multiprocessing

import numpy as np
import pytest

from enilnets._ext import losses, norm, optim, pointwise, pool
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


def test_structured_and_dated_arrays_are_refused():
    with pytest.raises(TypeError):
        optim.squared_norm(np.zeros(3, [("a", "f8")]))
    with pytest.raises((TypeError, ValueError)):
        optim.squared_norm(np.zeros(3, "M8[s]"))


@pytest.mark.parametrize("x", [np.zeros(3, "V0"), np.zeros(3, np.dtype([])), type("E", (ctypes.Structure,), {})()])
def test_elements_without_a_size_are_refused(x):
    with pytest.raises(TypeError, match="x: expected elements of some size"):
        optim.squared_norm(x)


def test_memory_without_an_address_is_refused():
    with pytest.raises(ValueError, match="x: expected an array with an address"):
        optim.squared_norm((ctypes.c_float * 0).from_address(0))


def test_an_empty_array_may_lie_anywhere():
    """array.array hands out a single byte of its own, which need not be aligned."""
    assert optim.squared_norm(array.array("d")) == 0
    assert optim.squared_norm(np.zeros(9, np.int8)[1:1].view(np.float64)) == 0


def test_more_memory_than_the_shape_says():
    """ctypes can enlarge an array's memory while its shape stays: no row of no columns may be counted in it."""
    y = (ctypes.c_float * 0)()
    ctypes.resize(y, 16)
    for call in (
        lambda: pointwise.softmax(y, np.zeros(4, "f4")),
        lambda: pointwise.softmax_backward(y, np.zeros(4, "f4"), np.zeros(4, "f4")),
        lambda: pointwise.column_sums(np.zeros(0, "f4"), y),
    ):
        call()


def test_countless_rows_of_nothing_take_no_time():
    o = np.zeros((2**50, 0))
    assert losses.cross_entropy_at_softmax(o, o.copy(), None, o.copy()) == 0
    maps = np.zeros((2**50, 1, 0, 0))
    pool.maxpool2d_backward(maps, maps.copy(), maps.astype(np.int32))
    x, one = np.zeros((2**50, 1, 0)), np.ones(1)
    dgamma, dbeta = np.full((2, 1), np.nan)
    norm.batchnorm_inference_backward(x, dgamma, dbeta, x.copy(), x.copy(), one, one, one, 1e-5)
    assert dgamma[0] == dbeta[0] == 0
