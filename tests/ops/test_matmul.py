"""The matrix product at the ops door: worked numbers, NumPy's broadcasting, odd values, and what it refuses."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enilnets.errors import ConfigError, DTypeError, EnilnetsError, ShapeError
from enilnets.ops.activation import activation
from enilnets.ops.matmul import matmul
from tests.reference import gemm as oracle


def test_worked_by_hand(isa, dtype):
    a, b = np.array([[1, 2], [3, -4]], dtype), np.array([[5, 6, 7], [8, 9, 10]], dtype)
    np.testing.assert_array_equal(matmul(a, b), [[21, 24, 27], [-17, -18, -19]])
    out = np.ones((2, 3), dtype)
    bias, row_bias = np.array([1, 0, -1], dtype), np.array([0, 17], dtype)
    assert matmul(a, b, out, bias=bias, row_bias=row_bias, accumulate=True, activation="relu") is out
    np.testing.assert_array_equal(out, [[23, 25, 27], [2, 0, 0]])


@pytest.mark.parametrize(
    "a_shape, b_shape",
    [
        ((3,), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3,)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
        ((1, 6, 2, 3), (5, 1, 3, 4)),
        ((0, 2, 3), (3, 4)),
        ((0, 2, 3), (1, 3, 4)),
        ((5, 0, 3), (3, 4)),
        ((5, 2, 0), (0, 4)),
        ((2, 1, 2, 1, 2, 33, 17), (2, 1, 2, 1, 17, 40)),
        ((2, 130, 40), (40, 50)),
    ],
)
def test_leading_axes_are_broadcast_as_numpy_does_it(dtype, isa, rng, a_shape, b_shape):
    a, b = rng.normal(size=a_shape).astype(dtype), rng.normal(size=b_shape).astype(dtype)
    want = np.matmul(a.astype(float), b.astype(float))
    bound = 100 * np.finfo(dtype).eps
    for left, right in (
        (a, b),
        (np.asfortranarray(a), np.asfortranarray(b)),
        (a[..., ::-1], b[::-1] if b.ndim == 1 else b[..., ::-1, :]),
    ):
        got = matmul(left, right)
        assert got.dtype == dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=bound, atol=bound)
    out = np.full(want.shape, np.nan, dtype)
    assert matmul(a, b, out) is out
    np.testing.assert_allclose(out, want, rtol=bound, atol=bound)


@pytest.mark.parametrize("m, k, n", [(1, 9, 40), (40, 9, 1), (20, 9, 40), (130, 70, 40)])
def test_nan_and_infinity_go_where_they_go_in_numpy(dtype, isa, rng, m, k, n):
    for _ in range(20):
        a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(n, k)).astype(dtype).T
        for x in (a, b):
            for value in (np.nan, np.inf, -np.inf, 0.0, -0.0):
                x[tuple(rng.integers(0, x.shape))] = value
        with np.errstate(invalid="ignore"):
            want = np.matmul(a, b)
        finite = np.isfinite(want)
        for left, right in ((a, b), (a, np.ascontiguousarray(b))):
            got = matmul(left, right)
            np.testing.assert_array_equal(np.isfinite(got), finite)
            np.testing.assert_array_equal(got[~finite], want[~finite])
            rectified = matmul(left, right, activation="relu")
            np.testing.assert_array_equal(np.isnan(rectified), np.isnan(want))


def test_out_without_accumulate_is_never_read(dtype, isa):
    for m, k, n in ((1, 0, 5), (5, 0, 1), (3, 2, 4), (130, 400, 130)):
        out = np.full((m, n), np.nan, dtype)
        assert (matmul(np.ones((m, k), dtype), np.ones((k, n), dtype), out) == k).all()


def test_no_depth_gives_the_bias(dtype, isa):
    a, b, bias = np.ones((3, 0), dtype), np.ones((0, 2), dtype), np.array([-1, 2], dtype)
    np.testing.assert_array_equal(matmul(a, b, bias=bias), [[-1, 2]] * 3)
    np.testing.assert_array_equal(matmul(a, b, bias=bias, activation="relu"), [[0, 2]] * 3)
    np.testing.assert_array_equal(matmul(a, b, np.ones((3, 2), dtype), bias=bias, accumulate=True), [[0, 3]] * 3)


def test_read_only_odd_and_foreign_operands(dtype):
    a, b = np.arange(6.0).reshape(2, 3).astype(dtype), np.arange(12.0).reshape(3, 4).astype(dtype)
    want = a @ b
    for x in (a, b):
        x.flags.writeable = False
    unaligned = np.zeros(a.nbytes + 1, np.int8)[1:].view(dtype).reshape(a.shape)
    unaligned[...] = a
    within = np.zeros(a.shape, [("x", dtype), ("y", np.int8)])["x"]
    within[...] = a
    for left in (a, unaligned, within, a.astype(dtype.newbyteorder()), a.view(np.matrix), np.ma.asarray(a)):
        got = matmul(left, b)
        assert type(got) is np.ndarray and got.dtype == dtype
        np.testing.assert_array_equal(got, want)


A, B = np.ones((2, 3)), np.ones((3, 4))
A2 = np.ones((3, 3))


@pytest.mark.parametrize(
    "error, words, call",
    [
        (ShapeError, "b", lambda: matmul(A, A)),
        (ShapeError, "b", lambda: matmul(np.ones(2), B)),
        (ShapeError, "a", lambda: matmul(np.ones(()), B)),
        (ShapeError, "leading", lambda: matmul(np.ones((2, 2, 3)), np.ones((3, 3, 4)))),
        (ShapeError, "out", lambda: matmul(A, B, np.ones((4, 2)))),
        (ShapeError, "out", lambda: matmul(A, B, np.ones((1, 2, 4)))),
        (ShapeError, "out", lambda: matmul(A, B, accumulate=True)),
        (ShapeError, "out", lambda: matmul(A[0], B, accumulate=True)),
        (ShapeError, "out", lambda: matmul(A[0], B, np.ones((1, 4)))),
        (ShapeError, "out", lambda: matmul(A, B, np.broadcast_to(np.ones(4), (2, 4)))),
        (ShapeError, "overlap", lambda: matmul(np.ones((3, 3)), A2, A2)),
        (ShapeError, "bias", lambda: matmul(A, B, bias=np.ones(2))),
        (ShapeError, "row_bias", lambda: matmul(A, B, row_bias=np.ones(4))),
        (DTypeError, "bias", lambda: matmul(A, B, bias=np.ones(4, np.float32))),
        (DTypeError, "bias", lambda: matmul(A, B, bias=[1.0] * 4)),
        (DTypeError, "b", lambda: matmul(A, B.astype(np.float32))),
        (DTypeError, "a", lambda: matmul(A.astype(int), B)),
        (DTypeError, "a", lambda: matmul(A.astype(np.float16), B.astype(np.float16))),
        (DTypeError, "b", lambda: matmul(A, B.astype(complex))),
        (DTypeError, "a", lambda: matmul(A.tolist(), B)),
        (DTypeError, "b", lambda: matmul(A, None)),
        (DTypeError, "out", lambda: matmul(A, B, np.ones((2, 4), np.float32))),
        (DTypeError, "out", lambda: matmul(A, B, [[0.0] * 4] * 2)),
    ],
)
def test_what_does_not_fit_is_named(error, words, call):
    with pytest.raises(error, match=words) as raised:
        call()
    assert isinstance(raised.value, EnilnetsError)


def test_threads_do_not_share_their_workspace(dtype, rng):
    a, b = rng.normal(size=(420, 330)).astype(dtype), rng.normal(size=(330, 50)).astype(dtype)
    want, got = matmul(a, b), {}

    def work(number):
        got[number] = [matmul(a, b) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((product == want).all() for products in got.values() for product in products) and len(got) == 4


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_stack_agrees_with_numpy(data):
    sizes = st.integers(0, 20) | st.integers(1, 4)
    m, k, n = (data.draw(sizes) for _ in range(3))
    leading = data.draw(st.lists(st.integers(0, 3), max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    dtype = data.draw(st.sampled_from(["float32", "float64"]))
    operands = []
    for rows, columns in ((m, k), (k, n)):
        axes = [data.draw(st.sampled_from([1, size])) for size in leading]
        x = rng.normal(size=(*axes[data.draw(st.integers(0, len(axes))) :], rows, columns)).astype(dtype)
        if data.draw(st.booleans()):
            x = np.swapaxes(np.swapaxes(x, -1, -2).copy(), -1, -2)
        operands.append(
            np.flip(x, data.draw(st.sets(st.sampled_from(range(x.ndim))))) if data.draw(st.booleans()) else x
        )
    a, b = operands
    got = matmul(a, b)
    oracle.close(got, *oracle.matmul(a, b, eps=np.finfo(dtype).eps))


def test_activations_on_the_way_have_the_bits_of_those_behind(dtype, isa, rng):
    a, b = rng.normal(size=(37, 50)).astype(dtype), rng.normal(size=(50, 41)).astype(dtype)
    a[3], b[:, 5] = np.inf, 1
    a[4] = np.nan
    for name in ("relu", "leakyrelu"):
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(matmul(a, b, activation=name), activation(name, matmul(a, b))[0])


@pytest.mark.parametrize("name", ["tanh", "softmax", "", 3, None.__class__])
def test_other_activations_are_refused(name):
    with pytest.raises(ConfigError, match="activation"):
        matmul(np.ones((2, 2)), np.ones((2, 2)), activation=name)
