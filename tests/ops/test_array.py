"""enilnets.ops.array: what a kernel may be handed, and what users may bring."""

import numpy as np
import pytest

from enilnets.errors import DataError, DTypeError, ShapeError
from enilnets.ops import array
from tests.ext.spoil import read_only, unaligned


def test_what_a_kernel_can_read_is_not_copied(dtype):
    for x in (np.ones((3, 4), dtype), np.ones((), dtype), np.ones((0, 4), dtype)):
        x.flags.writeable = False
        assert array.real("test", "x", x) is x
        assert array.real("test", "x", x, x.ndim) is x


@pytest.mark.parametrize(
    "change", [np.transpose, unaligned, lambda x: x[:, ::-1], lambda x: x.astype(x.dtype.newbyteorder())]
)
def test_anything_else_is_copied_once(change, dtype, rng):
    x = change(rng.normal(size=(3, 4)).astype(dtype))
    y = array.real("test", "x", x)
    assert y.dtype == dtype and y.dtype.isnative and y.flags.c_contiguous and y.flags.aligned
    np.testing.assert_array_equal(y, x)


def test_subclasses_are_read_like_arrays(dtype):
    assert array.real("test", "x", np.ones(3, dtype).view(np.recarray)).sum() == 3


@pytest.mark.parametrize("x", [[1.0], None, 1.0, "x", np.ones(3, int), np.ones(3, "f2"), np.ones(3, complex)])
def test_what_is_no_real_array_is_refused(x):
    with pytest.raises(DTypeError, match=r"test\(x\): expected a float32 or float64 array"):
        array.real("test", "x", x)


@pytest.mark.parametrize("ndim", [0, 1, 3])
def test_other_numbers_of_axes_are_refused(ndim, dtype):
    with pytest.raises(ShapeError, match=f"{ndim} axes"):
        array.real("test", "x", np.ones((3, 4), dtype), ndim)


def test_same_shape_and_dtype():
    x = np.ones((2, 3), np.float32)
    array.same_shape("test", "x", x, (2, 3))
    array.same_dtype("test", "x", x, np.dtype("f4"))
    with pytest.raises(ShapeError, match=r"test\(x\): expected shape \(3, 2\)"):
        array.same_shape("test", "x", x, (3, 2))
    with pytest.raises(DTypeError, match=r"test\(x\): expected dtype float64 .* got dtype float32"):
        array.same_dtype("test", "x", x, np.dtype("f8"))


def test_output_is_what_was_given_or_new(dtype):
    out = np.empty((2, 3), dtype)
    assert array.output("test", out, (2, 3), dtype) is out
    new = array.output("test", None, (2, 3), dtype)
    assert new.shape == (2, 3) and new.dtype == dtype
    other = np.float32 if dtype == np.float64 else np.float64
    for bad in (out[:1], out.astype(other), np.empty((3, 2), dtype).T, read_only(out)):
        with pytest.raises(ShapeError, match=r"test\(out\)"):
            array.output("test", bad, (2, 3), dtype)


@pytest.mark.parametrize(
    "x", [[[0, 1], [2, 3]], ((0, 1), (2, 3)), np.arange(4).reshape(2, 2), np.arange(4, dtype=">f2").reshape(2, 2)]
)
def test_data_of_any_kind_is_cast(x, dtype):
    y = array.as_data("test", "x", x, dtype)
    assert y.dtype == dtype and y.tolist() == [[0, 1], [2, 3]]
    assert array.as_data("test", "x", y, dtype) is y
    assert array.as_data("test", "x", np.ma.masked_array(y), dtype).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    "error, x",
    [
        (DTypeError, [[1], [1, 2]]),
        (DTypeError, ["a"]),
        (DTypeError, None),
        (DTypeError, [1j]),
        (DTypeError, np.array(["2020"], "M8[Y]")),
        (DataError, [1, np.nan]),
        (DataError, [np.inf]),
        (DataError, np.ma.masked_array([1, 2], [True, False])),
    ],
)
def test_data_that_is_no_finite_numbers_is_refused(error, x, dtype):
    with pytest.raises(error, match=r"test\(x\)"):
        array.as_data("test", "x", x, dtype)


@pytest.mark.parametrize("gate", [array.as_numbers, lambda where, name, x: array.as_reals(where, **{name: x})])
def test_masked_entries_are_refused_by_every_gate(gate):
    with pytest.raises(DataError, match=r"test\(x\): expected numbers without gaps"):
        gate("test", "x", np.ma.masked_array([1, 2], [True, False]))


def test_numbers_too_large_for_float32_are_refused():
    with pytest.raises(DataError, match=r"inf at index \(1,\)"):
        array.as_data("test", "x", [1, 1e39], np.dtype("f4"))


def test_numbers_keep_their_dtype():
    for x in ([True], np.ones(3, np.int8), np.ones(3, ">f4"), 1.0):
        assert array.as_numbers("test", "x", x).dtype == np.asarray(x).dtype


def test_first_non_finite_is_named(dtype):
    x = np.zeros((2, 3), dtype)
    array.check_finite("test", "x", x)
    array.check_finite("test", "x", x[:0])
    x[1, 0], x[1, 2] = -np.inf, np.nan
    with pytest.raises(DataError, match=r"-inf at index \(1, 0\)"):
        array.check_finite("test", "x", x)
