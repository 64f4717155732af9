"""enilnets.ops.pool: worked numbers, gradients, inputs of every kind, and what it refuses."""

import ctypes
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enilnets.errors import ConfigError, DTypeError, ShapeError, StateError
from enilnets.ops import pool
from tests.reference import pool as oracle

X = np.array([[[[1, 5, 2, 2, 9], [3, 4, 2, 2, 9], [-1, -2, 0, 7, 9], [-3, -4, 8, 6, 9], [9, 9, 9, 9, 9]]]], np.float64)


def pooled(kind, x, p):
    """(y, dx for dy = 1, 2, 3, ...)."""
    y, saved = getattr(pool, kind)(x, p)
    dy = np.arange(1, y.size + 1, dtype=y.dtype).reshape(y.shape)
    return y, getattr(pool, f"{kind}_backward")(dy, saved)


def test_maximum_by_hand(isa, dtype):
    y, dx = pooled("maxpool2d", X.astype(dtype), 2)
    assert y.dtype == dx.dtype == dtype
    assert y.tolist() == [[[[5, 2], [-1, 8]]]]
    expected = np.zeros((5, 5))
    expected[0, 1], expected[0, 2], expected[2, 0], expected[3, 2] = 1, 2, 3, 4  # of four equal maxima, the first
    np.testing.assert_array_equal(dx[0, 0], expected)


def test_mean_by_hand(isa, dtype):
    y, dx = pooled("avgpool2d", X.astype(dtype), 2)
    assert y.dtype == dx.dtype == dtype
    assert y.tolist() == [[[[3.25, 2], [-2.5, 5.25]]]]
    expected = np.zeros((5, 5))
    expected[:2, :2], expected[:2, 2:4], expected[2:4, :2], expected[2:4, 2:4] = 0.25, 0.5, 0.75, 1
    np.testing.assert_array_equal(dx[0, 0], expected)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 17])
def test_nan_propagates_and_takes_the_gradient(p, isa, dtype):
    x = np.zeros((1, 1, p, 5 * p), dtype)
    x[0, 0, p - 1, 3 * p] = x[0, 0, p - 1, 4 * p - 1] = np.nan
    x[0, 0, 0, 2 * p] = np.inf
    x[0, 0, :, :p] = -np.inf
    y, dx = pooled("maxpool2d", x, p)
    np.testing.assert_array_equal(y[0, 0, 0], [-np.inf, 0, np.inf, np.nan, 0])
    assert dx[0, 0, 0, 0] == 1 and dx[0, 0, p - 1, 3 * p] == 4 and dx.sum() == 15
    np.testing.assert_array_equal(pool.maxpool2d(x, p, backward=False)[0], y)
    np.testing.assert_array_equal(np.isnan(pool.avgpool2d(x, p)[0][0, 0, 0]), [False, False, False, True, False])


@given(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 24), st.integers(1, 50)),
    st.integers(1, 24),
    st.sampled_from(["f4", "f8"]),
    st.integers(0, 2**32 - 1),
)
def test_any_shape(shape, p, dtype, seed):
    p = min(p, shape[2], shape[3])
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, size=shape).astype(dtype)
    y, saved = pool.maxpool2d(x, p)
    expected, places = oracle.maxpool2d(x, p) if x.size else (y, saved.argmax)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(saved.argmax, places)
    dy = rng.integers(-3, 4, size=y.shape).astype(dtype)
    dx = pool.maxpool2d_backward(dy, saved)
    np.testing.assert_array_equal(dx, oracle.maxpool2d_backward(dy, places, shape))
    y, saved = pool.avgpool2d(x, p)
    np.testing.assert_allclose(y, oracle.avgpool2d(x, p) if x.size else y, atol=1e-5)
    np.testing.assert_allclose(pool.avgpool2d_backward(dy, saved), oracle.avgpool2d_backward(dy, shape, p), rtol=1e-6)


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
@pytest.mark.parametrize("p", [1, 2, 3, 5])
def test_gradient_along_a_direction(kind, p, rng, isa):
    x = rng.permutation(2 * 3 * 11 * 13).reshape(2, 3, 11, 13) / 100  # no two maxima within the step of one another
    direction = rng.normal(size=x.shape)
    forward, backward = getattr(pool, kind), getattr(pool, f"{kind}_backward")
    y, saved = forward(x, p)
    dy = rng.normal(size=y.shape)
    step = 1e-4
    slope = np.sum(dy * (forward(x + step * direction, p)[0] - forward(x - step * direction, p)[0])) / (2 * step)
    np.testing.assert_allclose(np.sum(backward(dy, saved) * direction), slope, rtol=1e-8)


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
def test_inputs_of_every_layout_give_the_same(kind, rng, dtype):
    x = rng.normal(size=(2, 3, 8, 9)).astype(dtype)
    y, dx = pooled(kind, x, 2)
    frozen = x.copy()
    frozen.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(dtype).reshape(x.shape)
    for other in (
        np.repeat(x, 2, axis=3)[..., ::2],
        x.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0),
        x[:, :, ::-1].copy()[:, :, ::-1],
        x.astype(dtype.newbyteorder()),
        frozen,
        unaligned,
    ):
        got, got_dx = pooled(kind, other, 2)
        np.testing.assert_array_equal(got, y)
        np.testing.assert_array_equal(got_dx, dx)
        dy, saved = getattr(pool, kind)(other, 2)
        for gradient in (dy.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0), dy.astype(dtype.newbyteorder())):
            np.testing.assert_array_equal(
                getattr(pool, f"{kind}_backward")(gradient, saved), getattr(pool, f"{kind}_backward")(dy, saved)
            )


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
def test_out_is_used(kind, rng, dtype):
    x = rng.normal(size=(2, 3, 8, 9)).astype(dtype)
    out = np.full((2, 3, 4, 4), 9, dtype)
    y, _ = getattr(pool, kind)(x, 2, out=out)
    assert y is out
    np.testing.assert_array_equal(y, getattr(pool, kind)(x, 2)[0])
    wrong = (np.empty((2, 3, 4, 5), dtype), np.empty((2, 3, 4, 4), np.float16), np.empty((2, 3, 4, 8), dtype)[..., ::2])
    for bad in wrong:
        with pytest.raises(ShapeError):
            getattr(pool, kind)(x, 2, out=bad)
    with pytest.raises(ValueError, match="overlaps"):
        getattr(pool, kind)(x, 2, out=x.reshape(-1)[: out.size].reshape(out.shape))


def test_without_backward_nothing_is_saved(rng, dtype):
    x = rng.normal(size=(2, 3, 8, 9)).astype(dtype)
    y, saved = pool.maxpool2d(x, 2, backward=False)
    assert saved is None
    np.testing.assert_array_equal(y, pool.maxpool2d(x, 2)[0])
    with pytest.raises(StateError, match="backward=True"):
        pool.maxpool2d_backward(y, saved)


def test_numpy_integers_are_window_sizes(dtype):
    x = X.astype(dtype)
    for kind in ("maxpool2d", "avgpool2d"):
        for got, want in zip(pooled(kind, x, np.uint8(2)), pooled(kind, x, 2), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
@pytest.mark.parametrize("p", [0, -1, 2.0, 1.5, True, "2", None, (2, 2), np.nan, np.array([2])])
def test_a_window_must_be_a_positive_int(kind, p):
    with pytest.raises(ConfigError, match=re.escape(f"{kind}(p): expected an integer >= 1")):
        getattr(pool, kind)(X, p)


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
@pytest.mark.parametrize(
    "shape, p",
    [((1, 1, 5, 5), 6), ((1, 1, 1, 9), 2), ((1, 1, 9, 1), 2), ((0, 1, 0, 4), 1), ((1, 1, 5, 5), 10**30)],
)
def test_a_window_larger_than_the_map_is_refused_with_a_way_out(kind, shape, p):
    with pytest.raises(ShapeError, match="use a smaller window"):
        getattr(pool, kind)(np.ones(shape), p)


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
def test_what_is_no_batch_of_images_is_refused(kind):
    for shape in ((), (4,), (4, 4), (3, 4, 4), (1, 1, 1, 4, 4)):
        with pytest.raises(ShapeError, match="batch, channels, height, width"):
            getattr(pool, kind)(np.ones(shape), 2)
    for bad in (X.astype(int), X.astype(np.float16), X.astype(complex), X.astype(object), X.tolist()):
        with pytest.raises(DTypeError):
            getattr(pool, kind)(bad, 2)


def test_planes_that_int32_cannot_count_are_refused():
    """The array only claims to be that large; reading it would crash."""
    pixels = np.ones(1)
    huge = np.ctypeslib.as_array((ctypes.c_float * (2**31)).from_address(pixels.ctypes.data)).view(np.float32)
    huge = huge.reshape(1, 1, 2**16, 2**15)
    with pytest.raises(ShapeError, match="cut it into tiles"):
        pool.maxpool2d(huge, 2)


@pytest.mark.parametrize("kind", ["maxpool2d", "avgpool2d"])
def test_gradients_of_another_shape_or_type_are_refused(kind):
    y, saved = getattr(pool, kind)(X, 2)
    backward = getattr(pool, f"{kind}_backward")
    for bad in (y[:, :, :1], y[0], np.ones((2, 1, 2, 2)), np.ones((1, 1, 5, 5))):
        with pytest.raises(ShapeError):
            backward(bad, saved)
    with pytest.raises(DTypeError):
        backward(y.astype(int), saved)


def test_places_that_were_tampered_with_are_refused():
    y, saved = pool.maxpool2d(X, 2)
    saved.argmax[0, 0, 1, 1] = 25
    with pytest.raises(ValueError, match="got 25 at index 3"):
        pool.maxpool2d_backward(y, saved)
