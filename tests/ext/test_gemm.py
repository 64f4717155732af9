"""enilnets._ext.gemm called directly: what it must refuse, parts of a product, and which way is taken."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enilnets._ext import gemm
from enilnets.ops import isa as instruction_sets
from enilnets.ops.threads import num_threads
from tests.ext.spoil import WRONG_KINDS
from tests.reference import gemm as oracle


def arguments(dtype, m=5, k=6, n=7):
    return dict(
        a=np.ones((m, k), dtype),
        b=np.ones((k, n), dtype),
        out=np.zeros((m, n), dtype),
        bias=np.ones(n, dtype),
        row_bias=np.ones(m, dtype),
    )


def test_arguments_fit(dtype, isa):
    given = arguments(dtype)
    gemm.matmul(**given)
    assert (given["out"] == 8).all()


@pytest.mark.parametrize(
    "error, change",
    [
        *WRONG_KINDS,
        (TypeError, lambda a: a.astype(np.float64 if a.dtype == np.float32 else np.float32)),
        (ValueError, lambda a: a[..., None]),
        (ValueError, lambda a: a.sum()),
        (ValueError, lambda a: a[:-1]),
        (ValueError, lambda a: a[..., :-1]),
        (ValueError, lambda a: np.zeros(a.size, [("x", a.dtype), ("y", np.int8)])["x"].reshape(a.shape)),
    ],
)
def test_bad_arrays_are_refused(dtype, error, change):
    given = arguments(dtype)
    for name, array in given.items():
        with pytest.raises(error):
            gemm.matmul(**{**given, name: change(array)})


@pytest.mark.parametrize("name", ["a", "b", "out"])
def test_missing_arrays_are_refused(dtype, name):
    with pytest.raises(TypeError, match=name):
        gemm.matmul(**{**arguments(dtype), name: None})


def test_results_that_cannot_be_written_are_refused(dtype):
    given = arguments(dtype)
    frozen = given["out"].copy()
    frozen.flags.writeable = False
    shared = np.lib.stride_tricks.as_strided(given["out"], (5, 7), (given["out"].itemsize,) * 2)
    rows = np.lib.stride_tricks.as_strided(given["out"], (5, 7), (0, given["out"].itemsize))
    for out in (frozen, shared, rows):
        with pytest.raises(ValueError, match="out"):
            gemm.matmul(**{**given, "out": out})
    stack = np.zeros((7, 5, 7), dtype).transpose(1, 0, 2)  # 5 matrices, interleaved
    with pytest.raises(ValueError, match="out"):
        gemm.matmul(np.ones((5, 7, 2), dtype), np.ones((2, 7), dtype), stack)


def test_overlap_is_refused_whatever_the_strides(dtype):
    block = np.zeros(400, dtype)
    given = arguments(dtype)
    for name in ("a", "b", "bias", "row_bias"):
        operand = block[100 : 100 + given[name].size].reshape(given[name].shape)
        for first in (100, 70, 99 + given[name].size):
            with pytest.raises(ValueError, match="overlap"):
                gemm.matmul(**{**given, name: operand, "out": block[first : first + 35].reshape(5, 7)})
            with pytest.raises(ValueError, match="overlap"):
                gemm.matmul(**{**given, name: operand, "out": block[first : first + 35].reshape(5, 7)[::-1, ::-1]})
        for first in (65, 100 + given[name].size):
            gemm.matmul(**{**given, name: operand, "out": block[first : first + 35].reshape(5, 7)})
    square = np.ones((6, 6), dtype)
    gemm.matmul(square, square.T, np.zeros((6, 6), dtype))  # the operands may be one array


@pytest.mark.parametrize("activation", ["tanh", "", 1, True, b"relu"])
def test_other_activations_are_refused(activation):
    with pytest.raises(ValueError, match="activation"):
        gemm.matmul(**arguments(float), activation=activation)


@num_threads(1)
def test_workspace(dtype, isa):
    m, k, n = 450, 300, 40
    given = dict(a=np.ones((m, k), dtype), b=np.ones((k, n), dtype), out=np.zeros((m, n), dtype))
    form, needed, threads = gemm.form(**given)
    assert threads == 1 and form == "packed" and needed > 0
    gemm.matmul(**given, workspace=lambda n, dtype: np.zeros(n, dtype))
    assert (given["out"] == k).all()
    for wrong in (None, lambda n, dtype: np.zeros(n - 1, dtype), lambda n, dtype: given["out"].reshape(-1)):
        with pytest.raises((TypeError, ValueError), match="workspace"):
            gemm.matmul(**given, workspace=wrong)
    with pytest.raises(ZeroDivisionError):
        gemm.matmul(**given, workspace=lambda n, dtype: 1 / 0)


@pytest.mark.parametrize("part", [(-1, 2, 0, 7), (0, 6, 0, 7), (3, 2, 0, 7), (0, 5, 0, 8), (0, 5, 4, 3)])
def test_parts_outside_are_refused(dtype, part):
    with pytest.raises(ValueError, match="part"):
        gemm.matmul(**arguments(dtype), part=part)


@pytest.mark.parametrize(
    "shape", [(1, 100, 300), (300, 100, 2), (3, 700, 50), (50, 33, 90), (150, 330, 100), (420, 330, 60)]
)
@pytest.mark.parametrize("flip", [False, True])
def test_parts_have_the_bits_of_the_whole(dtype, isa, rng, shape, flip):
    """What a thread computes does not depend on where the result is cut."""
    m, k, n = shape
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(n, k)).astype(dtype).T
    if flip:
        b = np.ascontiguousarray(b)
    bias, row_bias = rng.normal(size=n).astype(dtype), rng.normal(size=m).astype(dtype)
    whole, parts = np.full((m, n), np.nan, dtype), np.full((m, n), np.nan, dtype)
    rest = (bias, row_bias, False, "relu", oracle.workspace)
    gemm.matmul(a, b, whole, *rest)
    rows, columns = (sorted({0, size, *rng.integers(0, size + 1, 3).tolist()}) for size in (m, n))
    for i0, i1 in pairwise(rows):
        for j0, j1 in pairwise(columns):
            gemm.matmul(a, b, parts, *rest, part=(i0, i1, j0, j1))
            assert np.isnan(parts[i1:]).all() and np.isnan(parts[i0:i1, j1:]).all()  # nothing else is written
    np.testing.assert_array_equal(parts, whole)


@num_threads(1)
def test_more_columns_than_one_block(dtype, isa, rng):
    a, b = rng.normal(size=(1400, 95)).astype(dtype), rng.normal(size=(2053, 95)).astype(dtype).T
    out = np.full((1400, 2053), np.nan, dtype)
    assert gemm.form(a, b, out)[0] == "packed"
    gemm.matmul(a, b, out, workspace=oracle.workspace)
    oracle.close(out, *oracle.matmul(a, b, eps=np.finfo(dtype).eps))


def test_bits_depend_on_neither_strides_nor_addresses(dtype, isa, rng):
    for m, k, n in oracle.SHAPES[:-3]:
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
        seen = set()
        for left in list(oracle.views(rng, (m, k), dtype))[:7]:
            for right in list(oracle.views(rng, (k, n), dtype))[:7]:
                left[...], right[...] = a, b
                for out in oracle.results((m, n), dtype):
                    gemm.matmul(left, right, out, workspace=oracle.workspace)
                    seen.add(out.tobytes())
        for shift in (0, 1, 3, 16):
            moved = [np.zeros(x.size + shift, dtype)[shift:].reshape(x.shape) for x in (a, b, np.zeros((m, n)))]
            moved[0][...], moved[1][...] = a, b
            gemm.matmul(*moved, workspace=oracle.workspace)
            seen.add(moved[2].tobytes())
        assert len(seen) == 1, (m, k, n)


@num_threads(1)
def test_packed_products_have_the_bits_of_parts_read_in_place(dtype, isa, rng):
    a, b = rng.normal(size=(420, 321)).astype(dtype), rng.normal(size=(321, 40)).astype(dtype)
    whole, top = np.full((420, 40), np.nan, dtype), np.full((100, 40), np.nan, dtype)
    assert gemm.form(a, b, whole)[0] == "packed" and gemm.form(a[:100], b, top)[0] == "panel"
    gemm.matmul(a, b, whole, workspace=oracle.workspace)
    gemm.matmul(a[:100], b, top)
    np.testing.assert_array_equal(whole[:100], top)


def test_work_with_views_goes_on_where_rows_of_a_stack_go_on(dtype, isa, rng):
    """A stack times one matrix is one product of more rows: that has the bits of the flattened one."""
    a, b = rng.normal(size=(3, 4, 5, 6)).astype(dtype), rng.normal(size=(6, 7)).astype(dtype)
    out, flat = np.full((3, 4, 5, 7), np.nan, dtype), np.full((60, 7), np.nan, dtype)
    gemm.matmul(a, b, out)
    gemm.matmul(a.reshape(60, 6), b, flat)
    np.testing.assert_array_equal(out.reshape(60, 7), flat)


def test_absurd_sizes(dtype):
    one = np.ones((1, 1), dtype)
    wide = np.broadcast_to(one, (2**40, 2**18))
    out = np.zeros((0, 2**18), dtype)
    gemm.matmul(np.zeros((0, 2**40), dtype), wide, out, workspace=oracle.workspace)
    gemm.matmul(np.zeros((2**40, 0, 3), dtype), np.zeros((3, 4), dtype), np.zeros((2**40, 0, 4), dtype))
    far = np.lib.stride_tricks.as_strided(np.ones(1, dtype), (2**40, 2), (2**40, 8))
    with pytest.raises(ValueError, match="within memory"):
        gemm.matmul(far, np.ones((2, 1), dtype), np.zeros((2**10, 1), dtype))


def test_references_are_returned_after_errors(dtype):
    given = arguments(dtype)
    before = [sys.getrefcount(array) for array in given.values()]
    for _ in range(50):
        gemm.matmul(**given)
        with pytest.raises(ValueError):
            gemm.matmul(**{**given, "row_bias": np.ones(4, dtype)})
        with pytest.raises(ValueError):
            gemm.matmul(**given, part=(0, 9, 0, 9))
    assert [sys.getrefcount(array) for array in given.values()] == before


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_shape_agrees_with_the_oracle(data):
    m, n = (data.draw(st.integers(0, 70) | st.integers(95, 100)) for _ in range(2))
    k = data.draw(st.integers(0, 40) | st.integers(318, 323))
    dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"])))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    a, b = (list(oracle.views(rng, shape, dtype))[data.draw(st.integers(0, 8))] for shape in ((m, k), (k, n)))
    out = list(oracle.results((m, n), dtype))[data.draw(st.integers(0, 4))]
    with instruction_sets.using(data.draw(st.sampled_from(instruction_sets.available()))):
        gemm.matmul(a, b, out, workspace=oracle.workspace)
    oracle.close(out, *oracle.matmul(a, b, eps=np.finfo(dtype).eps))


@pytest.mark.parametrize("shape", [(128, 784, 256), (512, 300, 512), (3, 4000, 900), (900, 4000, 3), (2000, 70, 1100)])
def test_bits_depend_on_no_number_of_threads(dtype, isa, rng, shape):
    m, k, n = shape
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(n, k)).astype(dtype).T
    bias, row_bias = rng.normal(size=n).astype(dtype), rng.normal(size=m).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        out = np.full((m, n), np.nan, dtype)
        with num_threads(threads):
            gemm.matmul(a, b, out, bias, row_bias, False, "relu", oracle.workspace)
            assert (gemm.form(a, b, out)[2] > 1) == (threads > 1)
        seen.add(out.tobytes())
    assert len(seen) == 1


def test_stacks_are_split_over_threads(dtype, isa, rng):
    a, b = rng.normal(size=(3, 1, 60, 70)).astype(dtype), rng.normal(size=(7, 70, 65)).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 8):
        out = np.full((3, 7, 60, 65), np.nan, dtype)
        with num_threads(threads):
            gemm.matmul(a, b, out, workspace=oracle.workspace)
            assert (gemm.form(a, b, out)[2] > 1) == (threads > 1)
        seen.add(out.tobytes())
    assert len(seen) == 1
    oracle.close(out, *oracle.matmul(a, b, eps=np.finfo(dtype).eps))
