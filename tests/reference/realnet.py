"""NumPy oracles of csrc/kernels/realnet.c: one step after the other, and the gradient by the chain rule, in float64."""

from math import erf

import numpy as np

from enilnets._ext import realnet
from tests.reference.sparse import rows as by_rows

EPS = 1e-5
#: steps, rows, neurons, length of the input (0: none, -1: no sequence but the same at every step, -2: at the first)
SIZES = ((1, 1, 1, -2), (4, 3, 2, -2), (3, 2, 5, -1), (5, 4, 7, 3), (2, 33, 17, 5), (3, 40, 70, -2), (4, 2, 3, 0))


def gelu(z):
    share = 0.5 * (1 + np.vectorize(erf, otypes=[float])(z / np.sqrt(2)))
    return z * share, share + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


def layernorm(g, gamma, beta, eps):
    xhat = (g - g.mean(-1, keepdims=True)) / np.sqrt(g.var(-1, keepdims=True) + eps)
    return xhat * gamma + beta, xhat


def inputs_of(x, x_steps, t):
    if x is None or t >= x_steps:
        return 0
    return x[:, t] if x.ndim == 3 else x


def forward(steps, x, x_steps, state, weights, bias, gamma, beta, gain, eps):
    """States, and per step what backward needs: state before, slope, xhat, inv_std."""
    h, states, kept = state, [], []
    for t in range(steps):
        z = (0 if h is None else h @ weights) + bias + inputs_of(x, x_steps, t)
        g, slope = gelu(np.broadcast_to(z, gain[t].shape))
        n, xhat = layernorm(g, gamma, beta, eps)
        kept.append((h, slope, xhat, 1 / np.sqrt(g.var(-1, keepdims=True) + eps)))
        h = n * gain[t]
        states.append(h)
    return np.array(states), kept


def backward(dstates, kept, weights, gamma, gain):
    """dz of all steps, dweights, (db, dgamma, dbeta), dstate for the gradients of all states."""
    dz, dweights, sums, carried = np.zeros(dstates.shape), np.zeros(weights.shape), np.zeros((3, len(gamma))), 0
    for t in reversed(range(len(dstates))):
        before, slope, xhat, inv_std = kept[t]
        dn = (dstates[t] + carried) * gain[t]
        dx = dn * gamma
        dg = inv_std * (dx - dx.mean(-1, keepdims=True) - xhat * (dx * xhat).mean(-1, keepdims=True))
        dz[t] = dg * slope
        sums += dz[t].sum(0), (dn * xhat).sum(0), dn.sum(0)
        if before is not None:
            dweights += before.T @ dz[t]
        carried = dz[t] @ weights.T
    return dz, dweights, sums, carried


def problem(rng, dtype, steps, rows, n, length, state):
    """Arguments of both passes; float32 numbers that the oracle reads as they are."""
    x, x_steps = None, 0
    if length:
        x = rng.normal(size=(rows, length, n) if length > 0 else (rows, n)).astype(dtype)
        x_steps = min(length, steps) if length > 0 else steps if length == -1 else 1
    parameters = [a.astype(dtype) for a in (rng.normal(size=(n, n)) / np.sqrt(n), *rng.normal(size=(3, n)))]
    before = rng.normal(size=(rows, n)).astype(dtype) if state or x is None else None
    gain = np.where(rng.random((steps, rows, n)) < 0.8, 1.25, 0).astype(dtype)
    return x, x_steps, before, parameters, gain


def wide(*arrays):
    return [None if a is None else np.asarray(a, np.float64) for a in arrays]


def run(dtype, steps, rows, n, kept, *arguments):
    states, g, slope = np.full((steps, rows, n), 9, dtype), *np.full((2, kept, rows, n), 9, dtype)
    statistics = np.full((3, kept, rows), 9, dtype)
    realnet.forward(states, g, slope, statistics, *arguments, EPS)
    return states, g, slope, statistics


def tolerance(dtype, steps):
    """Errors grow with every step: a normalisation may double them."""
    return 30 * 2**steps * np.finfo(dtype).eps


def case_realnet_excite(rng, dtype):
    for steps, rows, n, length in SIZES:
        for state in (False, True):
            x, x_steps, before, parameters, gain = problem(rng, dtype, steps, rows, n, length, state)
            arguments = (x, x_steps, before, *parameters, gain)
            wide_x, wide_before, *wide_parameters, wide_gain = wide(x, before, *parameters, gain)
            want, _ = forward(steps, wide_x, x_steps, wide_before, *wide_parameters, wide_gain, EPS)
            bound = tolerance(dtype, steps)
            for kept in {1, steps}:
                states, *_ = run(dtype, steps, rows, n, kept, *arguments)
                np.testing.assert_allclose(states, want, rtol=bound, atol=10 * bound)
            plain, *_ = run(dtype, steps, rows, n, 1, *arguments[:-1], None)
            want, _ = forward(steps, wide_x, x_steps, wide_before, *wide_parameters, np.ones_like(wide_gain), EPS)
            np.testing.assert_allclose(plain, want, rtol=bound, atol=10 * bound)
    check_gelu(dtype)


def check_gelu(dtype):
    """Value and slope over the whole range, infinities included, through one neuron whose g and slope are kept."""
    z = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -0.0, 1e-30, 50, -50, 1e30, -1e30, np.inf, -np.inf, np.nan]])
    z = z.astype(dtype)[:, None]
    zero, one = np.zeros(1, dtype), np.ones(1, dtype)
    _, g, slope, _ = run(dtype, 1, len(z), 1, 1, z, 1, None, zero[:, None], zero, one, zero, None)
    limits = {np.inf: (np.inf, 1), -np.inf: (0, 0)}
    with np.errstate(invalid="ignore", over="ignore"):
        want = np.array([limits.get(float(a), [float(b) for b in gelu(np.float64(a))]) for a in z[:, 0]])
    want[np.abs(z[:, 0]) == 1e30] = [[float(z[-5, 0]), 1], [0, 0]]
    bound = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(g[0, :, 0], want[:, 0], rtol=bound, atol=bound)
    np.testing.assert_allclose(slope[0, :, 0], want[:, 1], rtol=bound, atol=bound)


def case_realnet_multiply(rng, dtype):
    for steps, rows, n, length in SIZES:
        for state in (False, True):
            x, x_steps, before, (weights, bias, gamma, beta), gain = problem(rng, dtype, steps, rows, n, length, state)
            passed = run(dtype, steps, rows, n, steps, x, x_steps, before, weights, bias, gamma, beta, gain)
            wide_x, wide_before, w, b, c, d, f = wide(x, before, weights, bias, gamma, beta, gain)
            _, kept = forward(steps, wide_x, x_steps, wide_before, w, b, c, d, f, EPS)
            check_backward(rng, dtype, passed, kept, before, weights, gamma, gain)


def check_backward(rng, dtype, passed, kept, before, weights, gamma, gain):
    steps, rows, n = passed[0].shape
    dstates = rng.normal(size=passed[0].shape).astype(dtype)
    for sequence in (True, False):
        if not sequence:
            dstates[:-1] = 0
        for add in (False, True):
            dz, dn = np.full((2, steps, rows, n), 9, dtype)
            dweights, sums, dstate = np.ones((n, n), dtype), np.full((3, n), 9, dtype), np.full((rows, n), 9, dtype)
            dn[...] = dstates
            realnet.backward(dz, dn, dweights, sums, dstate, sequence, add, *passed, before, weights, gamma, gain)
            want = backward(*wide(dstates), kept, *wide(weights, gamma, gain))
            got = dz, dweights - add, sums, dstate
            for mine, theirs in zip(got, want, strict=True):
                bound = tolerance(dtype, steps) * max(1, float(np.abs(theirs).max()))
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=10 * bound)
        alone, dn[...] = np.full_like(dz, 9), dstates
        realnet.backward(alone, dn, None, None, None, sequence, False, *passed, before, weights, gamma, gain)
        np.testing.assert_array_equal(alone, dz)


def case_realnet_columns(rng, dtype):
    for steps, rows, n, length in SIZES:
        x, x_steps, before, (weights, *vectors), gain = problem(rng, dtype, steps, rows, n, length, steps % 2)
        weights[rng.random(weights.shape) < 0.5] = 0
        wide_x, wide_before, w, *rest = wide(x, before, weights, *vectors)
        want, _ = forward(steps, wide_x, x_steps, wide_before, w, *rest, np.ones(gain.shape), EPS)
        if x is not None:
            x = np.ascontiguousarray(x.T if x.ndim == 2 else x[:, :x_steps].transpose(1, 2, 0))
        state = None if before is None else np.ascontiguousarray(before.T)
        states = np.full((steps, n, rows), 9, dtype)
        realnet.sparse_forward(states, x, x_steps, state, *by_rows(np.ascontiguousarray(weights.T)), *vectors, EPS)
        bound = tolerance(dtype, steps)
        np.testing.assert_allclose(states.transpose(0, 2, 1), want, rtol=bound, atol=10 * bound)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "realnet_columns": case_realnet_columns,
    "realnet_excite": case_realnet_excite,
    "realnet_multiply": case_realnet_multiply,
}
