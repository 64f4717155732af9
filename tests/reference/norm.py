"""NumPy oracles of the kernels in csrc/kernels/norm.c, in float64, straight from Ioffe & Szegedy 2015 and, for rows
that are normalised by themselves, Ba, Kiros & Hinton 2016."""

import numpy as np

from enilnets._ext import norm, pointwise

EPS = 1e-5
AXES = (0, 2)

#: (batch, channels, pixels): both loop orders, their border, vector remainders, several blocks of channels.
SHAPES = [
    (1, 1, 1),
    (1, 300, 1),
    (7, 5, 1),
    (64, 131, 1),
    (5, 3, 2),
    (4, 70, 4),
    (3, 40, 7),
    (3, 9, 31),
    (3, 9, 32),
    (3, 9, 33),
    (2, 4, 49),
    (5, 2, 196),
    (1, 3, 1000),
    (4, 0, 5),
    (4, 0, 50),
]


def channel(v):
    return np.asarray(v, np.float64)[:, None]


def batchnorm_inference(x, mean, var, gamma, beta, eps):
    return channel(gamma) * (x - channel(mean)) / np.sqrt(channel(var) + eps) + channel(beta)


def batchnorm(x, gamma, beta, eps):
    mean, var = x.mean(axis=AXES), x.var(axis=AXES)
    return batchnorm_inference(x, mean, var, gamma, beta, eps), mean, var


def batchnorm_backward(dy, x, gamma, eps):
    """(dx, dgamma, dbeta) by the paper's chain: through xhat, then the variance, then the mean."""
    count = x.shape[0] * x.shape[2]
    mean, var = channel(x.mean(axis=AXES)), channel(x.var(axis=AXES))
    d, root = x - mean, np.sqrt(var + eps)
    dxhat = dy * channel(gamma)
    dvar = channel((dxhat * d).sum(axis=AXES)) * -0.5 / root**3
    dmean = channel(-(dxhat / root).sum(axis=AXES)) + dvar * channel((-2 * d).sum(axis=AXES)) / count
    dx = dxhat / root + dvar * 2 * d / count + dmean / count
    return dx, (dy * d / root).sum(axis=AXES), dy.sum(axis=AXES)


def batchnorm_inference_backward(dy, x, mean, var, gamma, eps):
    root = np.sqrt(channel(var) + eps)
    return dy * channel(gamma) / root, (dy * (x - channel(mean)) / root).sum(axis=AXES), dy.sum(axis=AXES)


def data(rng, dtype, n, c, s):
    """x, dy (n, c, s) and gamma, beta, mean (c), var (c); channels of very different mean and spread."""
    x = rng.normal(size=(n, c, s)) * channel(rng.uniform(0.5, 20, c)) + channel(rng.normal(size=c) * 10)
    arrays = (x, rng.normal(size=(n, c, s)), *rng.normal(size=(3, c)), rng.uniform(0.1, 3, c))
    return [a.astype(dtype) for a in arrays]


def compare(dtype, pairs, scale=1.0):
    """A sum of n terms may lose some bits relative to the largest term, so zero is compared at the array's scale."""
    eps = np.finfo(dtype).eps
    for got, want in pairs:
        size = np.abs(want).max(initial=0)
        np.testing.assert_allclose(got, want, rtol=64 * eps * scale, atol=64 * eps * scale * size)


def case_batchnorm(rng, dtype):
    for shape in SHAPES:
        x, y, gamma, beta, *_ = data(rng, dtype, *shape)
        mean, var, inv_std = np.full((3, shape[1]), 9, dtype)
        norm.batchnorm(y, mean, var, inv_std, x, gamma, beta, EPS)
        expected, expected_mean, expected_var = batchnorm(x.astype(np.float64), gamma, beta, EPS)
        inverse = 1 / np.sqrt(expected_var + EPS)
        compare(dtype, [(mean, expected_mean), (var, expected_var), (inv_std, inverse), (y, expected)])
        fused_forward(norm.batchnorm, shape, (mean, var, inv_std), (x, gamma, beta, EPS), dtype)


def case_batchnorm_backward(rng, dtype):
    for shape in SHAPES:
        x, dy, gamma, *_ = data(rng, dtype, *shape)
        x64, dy64 = x.astype(np.float64), dy.astype(np.float64)
        mean = x64.mean(axis=AXES).astype(dtype)
        inv_std = (1 / np.sqrt(x64.var(axis=AXES) + EPS)).astype(dtype)
        dx = np.full(shape, 9, dtype)
        dgamma, dbeta = np.full((2, shape[1]), 9, dtype)
        norm.batchnorm_backward(dx, dgamma, dbeta, dy, x, mean, inv_std, gamma)
        expected = batchnorm_backward(dy64, x64, gamma, EPS)
        if shape[0] * shape[2] > 1:
            compare(dtype, zip((dx, dgamma, dbeta), expected, strict=True), scale=4)
        else:  # a batch of one: nothing depends on x; the oracle divides rounding errors by sqrt(eps)
            assert not dx.any() and not dgamma.any()
            np.testing.assert_array_equal(dbeta, dy[0, :, 0])
        again = np.full((2, shape[1]), 9, dtype)
        norm.batchnorm_backward(None, *again, dy, x, mean, inv_std, gamma)
        np.testing.assert_array_equal(again, (dgamma, dbeta))
        fused_backward(norm.batchnorm_backward, shape, dy, (x, mean, inv_std, gamma), rng, dtype)


def case_batchnorm_inference(rng, dtype):
    for shape in [*SHAPES, (0, 3, 1), (3, 4, 0)]:
        x, y, gamma, beta, mean, var = data(rng, dtype, *shape)
        norm.batchnorm_inference(y, x, mean, var, gamma, beta, EPS)
        compare(dtype, [(y, batchnorm_inference(x.astype(np.float64), mean, var, gamma, beta, EPS))])
        fused_forward(norm.batchnorm_inference, shape, (), (x, mean, var, gamma, beta, EPS), dtype)


def case_batchnorm_inference_backward(rng, dtype):
    for shape in [*SHAPES, (0, 3, 1), (3, 4, 0)]:
        x, dy, gamma, _, mean, var = data(rng, dtype, *shape)
        dx = np.full(shape, 9, dtype)
        dgamma, dbeta = np.full((2, shape[1]), 9, dtype)
        norm.batchnorm_inference_backward(dx, dgamma, dbeta, dy, x, mean, var, gamma, EPS)
        expected = batchnorm_inference_backward(dy.astype(np.float64), x.astype(np.float64), mean, var, gamma, EPS)
        compare(dtype, zip((dx, dgamma, dbeta), expected, strict=True))
        again = np.full(shape, 9, dtype)
        norm.batchnorm_inference_backward(again, None, None, dy, x, mean, var, gamma, EPS)
        np.testing.assert_array_equal(again, dx)
        again = np.full((2, shape[1]), 9, dtype)
        norm.batchnorm_inference_backward(None, *again, dy, x, mean, var, gamma, EPS)
        np.testing.assert_array_equal(again, (dgamma, dbeta))
        fused_backward(norm.batchnorm_inference_backward, shape, dy, (x, mean, var, gamma, EPS), rng, dtype)


#: (batch, groups, channels of a group, elements of a channel): layer, group and instance normalisation.
ROWS = [
    (1, 1, 1, 1),
    (3, 1, 2, 1),
    (5, 1, 7, 1),
    (4, 1, 130, 1),
    (33, 1, 65, 1),
    (2, 3, 2, 5),
    (3, 2, 3, 1),
    (2, 4, 1, 33),
    (3, 1, 5, 49),
    (0, 1, 4, 1),
    (0, 2, 2, 3),
]


def layernorm(x, gamma, beta, eps):
    """(y, mean, inv_std) of x (batch, groups, c, s), gamma and beta (groups, c)."""
    mean, var = x.mean(axis=(2, 3), keepdims=True), x.var(axis=(2, 3), keepdims=True)
    inv_std = 1 / np.sqrt(var + eps)
    y = (x - mean) * inv_std * gamma[None, :, :, None] + beta[None, :, :, None]
    return y, mean.ravel(), inv_std.ravel()


def layernorm_backward(dy, x, gamma, eps):
    """(dx, dgamma, dbeta) by the chain through the variance and the mean."""
    axes, count = (2, 3), x.shape[2] * x.shape[3]
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    d, root = x - mean, np.sqrt(var + eps)
    dxhat = dy * gamma[None, :, :, None]
    dvar = (dxhat * d).sum(axis=axes, keepdims=True) * -0.5 / root**3
    dmean = -(dxhat / root).sum(axis=axes, keepdims=True)
    return dxhat / root + dvar * 2 * d / count + dmean / count, (dy * d / root).sum(axis=(0, 3)), dy.sum(axis=(0, 3))


def row_data(rng, dtype, n, groups, c, s):
    """x, dy (n, groups, c, s), gamma, beta (groups, c); rows of very different mean and spread."""
    x = rng.normal(size=(n, groups, c, s)) * rng.uniform(0.5, 20, (n, groups, 1, 1)) + 10 * rng.normal(
        size=(n, 1, 1, 1)
    )
    arrays = (x, rng.normal(size=x.shape), *rng.normal(size=(2, groups, c)))
    return [a.astype(dtype) for a in arrays]


def run_layernorm(x, gamma, beta, dtype):
    """What the kernel makes of x, as (y, statistics, x as it takes it)."""
    rows = x.shape[0] * x.shape[1], *x.shape[2:]
    y, statistics = np.full(rows, 9, dtype), np.full((3, rows[0]), 9, dtype)
    norm.layernorm(y, *statistics, x.reshape(rows), gamma.ravel(), beta.ravel(), EPS)
    return y, statistics, x.reshape(rows)


def case_layernorm(rng, dtype):
    for shape in ROWS:
        x, _, gamma, beta = row_data(rng, dtype, *shape)
        y, (mean, inv_std, rest), _ = run_layernorm(x, gamma, beta, dtype)
        want, want_mean, want_inv_std = layernorm(x.astype(np.float64), gamma, beta, EPS)
        compare(dtype, [(y, want.reshape(y.shape)), (mean, want_mean), (inv_std, want_inv_std)])
        assert (np.abs(rest) <= 64 * np.finfo(dtype).eps * (np.abs(want_mean) + 1) * want_inv_std).all()


def case_layernorm_backward(rng, dtype):
    for shape in ROWS:
        x, dy, gamma, beta = row_data(rng, dtype, *shape)
        _, statistics, rows = run_layernorm(x, gamma, beta, dtype)
        dx = np.full(rows.shape, 9, dtype)
        norm.layernorm_backward(dx, dy.reshape(rows.shape), rows, *statistics, gamma.ravel())
        want = layernorm_backward(dy.astype(np.float64), x.astype(np.float64), gamma, EPS)[0]
        if shape[2] * shape[3] == 1:  # nothing depends on x; the oracle divides rounding errors by sqrt(eps)
            want = np.zeros(dx.shape)
        size = np.abs(dy).max(initial=0) * np.abs(gamma).max() * statistics[1].max(initial=0)  # before terms cancel
        np.testing.assert_allclose(dx, want.reshape(dx.shape), rtol=0, atol=64 * np.finfo(dtype).eps * size)


def case_layernorm_sums(rng, dtype):
    for shape in ROWS:
        x, dy, gamma, beta = row_data(rng, dtype, *shape)
        _, statistics, rows = run_layernorm(x, gamma, beta, dtype)
        dgamma, dbeta = np.full((2, gamma.size), 9, dtype)
        norm.layernorm_sums(dgamma, dbeta, dy.reshape(rows.shape), rows, *statistics)
        _, want_gamma, want_beta = layernorm_backward(dy.astype(np.float64), x.astype(np.float64), gamma, EPS)
        compare(dtype, [(dgamma, want_gamma.ravel()), (dbeta, want_beta.ravel())], scale=4)


def case_blend(rng, dtype):
    for n in (0, 1, 7, 100):
        for weight in (0, 0.1, 0.999, 1):
            x, y = rng.normal(size=(2, n)).astype(dtype)
            want = (1 - weight) * x.astype(np.float64) + weight * y
            norm.blend(x, y, weight)
            np.testing.assert_allclose(x, want, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


ACTIVATIONS = ("relu", "tanh", "gelu")


def fused_forward(kernel, shape, before, after, dtype):
    """``kernel(y, *before, x, ...)`` with activations has the bits of two passes, and keeps z where it is told to."""
    plain, y, z, want = np.full((4, *shape), 9, dtype)
    kernel(plain, *before, *after)
    for name in ACTIVATIONS:
        pointwise.forward(name, want, plain)
        for keep in (None, z):
            kernel(y, *before, *after, name, keep)
            np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(z, plain)


def fused_backward(kernel, shape, dy, after, rng, dtype):
    """``kernel(dx, dgamma, dbeta, dy, ...)`` with activations has the bits of the two passes."""
    saved = rng.normal(size=shape).astype(dtype)
    for name in ACTIVATIONS:
        dz, want, dx = np.full((3, *shape), 9, dtype)
        wanted, got = np.full((2, 2, shape[1]), 9, dtype)
        pointwise.backward(name, dz, dy, saved)
        kernel(want, *wanted, dz, *after)
        kernel(dx, *got, dy, *after, name, saved)
        np.testing.assert_array_equal(dx, want)
        np.testing.assert_array_equal(got, wanted)
        got[:] = 9
        kernel(None, *got, dy, *after, name, saved)
        np.testing.assert_array_equal(got, wanted)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "batchnorm": case_batchnorm,
    "batchnorm_backward": case_batchnorm_backward,
    "batchnorm_inference": case_batchnorm_inference,
    "batchnorm_inference_backward": case_batchnorm_inference_backward,
    "layernorm": case_layernorm,
    "layernorm_backward": case_layernorm_backward,
    "layernorm_sums": case_layernorm_sums,
    "blend": case_blend,
}
