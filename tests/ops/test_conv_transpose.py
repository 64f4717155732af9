"""Transposed convolution beside its definition, and what it refuses."""

import itertools

import numpy as np
import pytest

from enilnets import num_threads
from enilnets.errors import ConfigError, DTypeError, ShapeError
from enilnets.ops.conv_transpose import conv_transpose2d, conv_transpose2d_backward
from tests.gradients import check_direction

#: (batch, channels, height, width), weights, and steps.
CASES = [
    ((1, 1, 1, 1), (1, 1, 1, 1), {}),
    ((2, 3, 4, 5), (3, 2, 3, 3), {}),
    ((2, 3, 4, 5), (3, 2, 3, 2), {"stride": 2, "padding": 1, "output_padding": 1}),
    ((1, 4, 3, 2), (4, 3, 2, 3), {"stride": (3, 2), "padding": (0, 2), "output_padding": (2, 0), "groups": 2}),
    ((3, 2, 3, 4), (2, 2, 2, 2), {"dilation": (3, 1), "output_padding": (2, 0)}),
    ((2, 5, 6, 5), (5, 1, 3, 3), {"stride": 2, "groups": 5}),
    ((2, 16, 8, 8), (16, 32, 4, 4), {"stride": 2, "padding": 1}),
]


def stamped(x, w, b, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """The definition: every pixel adds its kernels to the output."""
    (sh, sw), (ph, pw), (eh, ew), (dh, dw) = (
        v if isinstance(v, tuple) else (v, v) for v in (stride, padding, output_padding, dilation)
    )
    n, c, height, width = x.shape
    each, kh, kw = w.shape[1:]
    size = (height - 1) * sh + (kh - 1) * dh + 1 + eh, (width - 1) * sw + (kw - 1) * dw + 1 + ew
    full = np.zeros((n, each * groups, *size))
    for channel, i, j, p, q in itertools.product(*map(range, (c, height, width, kh, kw))):
        first = channel // (c // groups) * each
        place = full[:, first : first + each, i * sh + p * dh, j * sw + q * dw]
        place += x[:, channel, i, j, None] * w[channel, :, p, q]
    return full[:, :, ph : full.shape[2] - ph, pw : full.shape[3] - pw] + b[:, None, None]


@pytest.mark.parametrize("x_shape, w_shape, steps", CASES, ids=str)
def test_every_pixel_stamps_its_kernel(x_shape, w_shape, steps, dtype, isa, rng):
    x, w = rng.normal(size=x_shape).astype(dtype), rng.normal(size=w_shape).astype(dtype)
    b = rng.normal(size=w_shape[1] * steps.get("groups", 1)).astype(dtype)
    y, _ = conv_transpose2d(x, w, b, **steps)
    assert y.dtype == dtype
    eps = 1000 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, stamped(x, w, b, **steps), rtol=eps, atol=eps)


@pytest.mark.parametrize("x_shape, w_shape, steps", CASES, ids=str)
def test_gradients(x_shape, w_shape, steps, rng):
    x, w, b = rng.normal(size=x_shape), rng.normal(size=w_shape), rng.normal(size=w_shape[1] * steps.get("groups", 1))
    y, saved = conv_transpose2d(x, w, b, **steps)
    dy = rng.normal(size=y.shape)
    dx, dw, db = conv_transpose2d_backward(dy, saved, w)
    check_direction(lambda x: float(np.sum(stamped(x, w, b, **steps) * dy)), x, dx, rng)
    check_direction(lambda w: float(np.sum(stamped(x, w, b, **steps) * dy)), w, dw, rng)
    check_direction(lambda b: float(np.sum(stamped(x, w, b, **steps) * dy)), b, db, rng)
    assert conv_transpose2d_backward(dy, saved, w, params=False)[1:] == (None, None)
    assert conv_transpose2d_backward(dy, saved, w, inputs=False)[0] is None


def test_bits_do_not_depend_on_threads(dtype, rng):
    x, w = rng.normal(size=(8, 16, 12, 12)).astype(dtype), rng.normal(size=(16, 24, 3, 3)).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 8):
        with num_threads(threads):
            y, saved = conv_transpose2d(x, w, stride=2)
            dx, dw, db = conv_transpose2d_backward(np.ones_like(y), saved, w)
        seen.add((y.tobytes(), dx.tobytes(), dw.tobytes(), db.tobytes()))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "change, error, name",
    [
        ({"x": np.zeros((2, 4, 3, 3))}, ShapeError, "x"),
        ({"x": np.zeros((2, 3, 3))}, ShapeError, "x"),
        ({"w": np.zeros((3, 2, 2))}, ShapeError, "x"),
        ({"w": np.zeros((3, 2, 2, 2), np.float32)}, DTypeError, "w"),
        ({"b": np.zeros(3)}, ShapeError, "b"),
        ({"stride": 0}, ConfigError, "stride"),
        ({"padding": -1}, ConfigError, "padding"),
        ({"padding": "same"}, ConfigError, "padding"),
        ({"padding": 3}, ShapeError, "padding"),
        ({"output_padding": 1}, ConfigError, "output_padding"),
        ({"groups": 2}, ShapeError, "groups"),
        ({"dilation": (1, 2, 3)}, ConfigError, "dilation"),
    ],
)
def test_refusals(change, error, name):
    arguments = {"x": np.zeros((2, 3, 3, 3)), "w": np.zeros((3, 2, 2, 2)), "b": np.zeros(2), **change}
    with pytest.raises(error, match=name):
        conv_transpose2d(**arguments)


def test_backward_refuses_other_shapes(rng):
    w = rng.normal(size=(3, 2, 2, 2))
    y, saved = conv_transpose2d(np.zeros((2, 3, 3, 3)), w)
    for dy, weights in ((y[:1], w), (y, w[:, :1]), (y, w[:2])):
        with pytest.raises(ShapeError):
            conv_transpose2d_backward(dy, saved, weights)
