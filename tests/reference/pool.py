"""NumPy oracles of the kernels in csrc/kernels/pool.c."""

import numpy as np

from enilnets._ext import pool

#: (batch, channels, height, width, window): vector remainders, dropped rows and columns, windows of every kind.
SHAPES = [
    *[(2, 3, 2 + width % 3, width, 2) for width in range(2, 40)],
    *[(1, 2, 7, width, 3) for width in range(3, 60, 4)],
    (2, 2, 5, 6, 1),
    (1, 3, 9, 13, 4),
    (2, 1, 23, 19, 7),
    (1, 1, 40, 45, 19),
    (3, 2, 2, 70, 2),
    (1, 1, 30, 30, 30),
    (0, 3, 4, 4, 2),
    (3, 0, 4, 4, 2),
]


def windows(x, p):
    """The windows of x as (n, c, oh, ow, p, p)."""
    n, c, h, w = x.shape
    cut = x[:, :, : h // p * p, : w // p * p]
    return cut.reshape(n, c, h // p, p, w // p, p).transpose(0, 1, 2, 4, 3, 5)


def maxpool2d(x, p):
    """Maxima and their places; np.argmax takes the first maximum and lets the first NaN win, as we do."""
    n, c, h, w = x.shape
    flat = windows(x, p).reshape(n, c, h // p, w // p, p * p)
    t = flat.argmax(axis=-1)
    i, j = np.meshgrid(np.arange(h // p), np.arange(w // p), indexing="ij")
    return np.take_along_axis(flat, t[..., None], -1)[..., 0], (i * p + t // p) * w + j * p + t % p


def maxpool2d_backward(dy, argmax, shape):
    n, c, h, w = shape
    dx = np.zeros((n * c, h * w))
    planes = np.arange(n * c).reshape(n, c, 1, 1)
    np.add.at(dx, (np.broadcast_to(planes, dy.shape), argmax), dy)
    return dx.reshape(shape)


def avgpool2d(x, p):
    return windows(x, p).astype(np.float64).mean(axis=(-2, -1))


def avgpool2d_backward(dy, shape, p):
    h, w = shape[2:]
    dx = np.zeros(shape)
    dx[:, :, : h // p * p, : w // p * p] = np.repeat(np.repeat(dy, p, axis=2), p, axis=3) / p**2
    return dx


def case_maxpool2d(rng, dtype):
    for n, c, h, w, p in SHAPES:
        x = rng.integers(-2, 3, size=(n, c, h, w)).astype(dtype)  # many ties
        x[x == 1] = -0.0  # equal to 0, so the first of them counts, with its sign
        for values in (x, rng.normal(size=x.shape).astype(dtype), np.where(x == 2, np.nan, x).astype(dtype)):
            y = np.full((n, c, h // p, w // p), 9, dtype)
            argmax = np.full(y.shape, -9, np.int32)
            expected_y, expected_argmax = maxpool2d(values, p)
            pool.maxpool2d(y, argmax, values, p)
            np.testing.assert_array_equal(y, expected_y)
            np.testing.assert_array_equal(np.signbit(y[y == 0]), np.signbit(expected_y[y == 0]))
            np.testing.assert_array_equal(argmax, expected_argmax)
            y[:] = 9
            pool.maxpool2d(y, None, values, p)
            np.testing.assert_array_equal(y, expected_y)


def case_maxpool2d_backward(rng, dtype):
    for n, c, h, w, p in SHAPES:
        dy = rng.integers(-9, 9, size=(n, c, h // p, w // p)).astype(dtype)
        dx = np.full((n, c, h, w), 9, dtype)
        genuine = maxpool2d(rng.normal(size=dx.shape), p)[1]
        for argmax in (genuine, rng.integers(0, h * w, size=dy.shape)):  # the latter with places named repeatedly
            pool.maxpool2d_backward(dx, dy, argmax.astype(np.int32))
            np.testing.assert_array_equal(dx, maxpool2d_backward(dy, argmax, dx.shape))


def case_avgpool2d(rng, dtype):
    for n, c, h, w, p in SHAPES:
        x = rng.normal(size=(n, c, h, w)).astype(dtype)
        y = np.full((n, c, h // p, w // p), 9, dtype)
        pool.avgpool2d(y, x, p)
        np.testing.assert_allclose(y, avgpool2d(x, p), rtol=0, atol=8 * np.finfo(dtype).eps)


def case_avgpool2d_backward(rng, dtype):
    for n, c, h, w, p in SHAPES:
        dy = rng.normal(size=(n, c, h // p, w // p)).astype(dtype)
        dx = np.full((n, c, h, w), 9, dtype)
        pool.avgpool2d_backward(dx, dy, p)
        np.testing.assert_allclose(dx, avgpool2d_backward(dy, dx.shape, p), rtol=2 * np.finfo(dtype).eps, atol=0)


#: (batch, channels, height, width, bins down, bins across): whole images, bins that share elements, more bins than
#: elements.
BINS = [
    (2, 3, 4, 6, 1, 1),
    (1, 2, 7, 5, 3, 2),
    (2, 1, 5, 33, 2, 9),
    (1, 3, 9, 9, 4, 9),
    (3, 1, 2, 3, 5, 4),
    (1, 1, 28, 31, 1, 7),
    (1, 1, 1, 1, 1, 1),
    (0, 3, 4, 4, 2, 2),
    (2, 0, 4, 4, 1, 1),
]


def bins(size, n):
    """Slices of n bins over ``size`` elements: from floor(i size / n) to ceil((i + 1) size / n)."""
    return [slice(int(np.floor(i * size / n)), int(np.ceil((i + 1) * size / n))) for i in range(n)]


def adaptive(reduce, x, oh, ow):
    """``reduce`` over every bin of x (n, c, h, w)."""
    y = np.empty((*x.shape[:2], oh, ow))
    for i, rows in enumerate(bins(x.shape[2], oh)):
        for j, columns in enumerate(bins(x.shape[3], ow)):
            y[:, :, i, j] = reduce(x[:, :, rows, columns], axis=(2, 3))
    return y


def case_adaptive_maxpool2d(rng, dtype):
    for n, c, h, w, oh, ow in BINS:
        x = rng.integers(-4, 5, size=(n, c, h, w)).astype(dtype)
        y, alone = np.full((2, n, c, oh, ow), 99, dtype)
        argmax = np.full((n, c, oh, ow), -1, np.int32)
        pool.adaptive_maxpool2d(y, argmax, x)
        pool.adaptive_maxpool2d(alone, None, x)
        want = adaptive(np.max, x, oh, ow)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(alone, want)
        for i, rows in enumerate(bins(h, oh)):  # the first of equals
            for j, columns in enumerate(bins(w, ow)):
                width = columns.stop - columns.start
                flat = x[:, :, rows, columns].reshape(n, c, (rows.stop - rows.start) * width)
                first = flat.argmax(axis=2)
                place = (rows.start + first // width) * w + columns.start + first % width
                np.testing.assert_array_equal(argmax[:, :, i, j], place)
        if x.size:
            x[0, 0, -1, -1] = np.nan
            pool.adaptive_maxpool2d(y, argmax, x)
            assert np.isnan(y[0, 0, -1, -1])


def case_adaptive_avgpool2d(rng, dtype):
    for n, c, h, w, oh, ow in BINS:
        x, y = rng.normal(size=(n, c, h, w)).astype(dtype), np.full((n, c, oh, ow), 99, dtype)
        pool.adaptive_avgpool2d(y, x)
        eps = 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(y, adaptive(np.mean, x.astype(np.float64), oh, ow), rtol=eps, atol=eps)


def case_adaptive_avgpool2d_backward(rng, dtype):
    for n, c, h, w, oh, ow in BINS:
        dx, dy = np.full((n, c, h, w), 99, dtype), rng.normal(size=(n, c, oh, ow)).astype(dtype)
        pool.adaptive_avgpool2d_backward(dx, dy)
        want = np.zeros((n, c, h, w))
        for i, rows in enumerate(bins(h, oh)):
            for j, columns in enumerate(bins(w, ow)):
                part = want[:, :, rows, columns]
                part += dy[:, :, i, j, None, None] / (part.shape[2] * part.shape[3])
        eps = 8 * np.finfo(dtype).eps
        np.testing.assert_allclose(dx, want, rtol=eps, atol=eps)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "maxpool2d": case_maxpool2d,
    "maxpool2d_backward": case_maxpool2d_backward,
    "avgpool2d": case_avgpool2d,
    "avgpool2d_backward": case_avgpool2d_backward,
    "adaptive_maxpool2d": case_adaptive_maxpool2d,
    "adaptive_avgpool2d": case_adaptive_avgpool2d,
    "adaptive_avgpool2d_backward": case_adaptive_avgpool2d_backward,
}
