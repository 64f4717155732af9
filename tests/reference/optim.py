"""NumPy oracles of the kernels in csrc/kernels/optim.c, in float64, straight from the papers' equations."""

import numpy as np

from enilnets._ext import optim

SPANS = np.array([[0, 700, 1], [700, 2000, 0], [2100, 2500, 1]])
L2, SCALE = 0.01, 0.5


def gradient(w, g):
    """The gradient after clipping and the L2 penalty, on SPANS only."""
    full = SCALE * g
    inside = np.zeros(len(w), bool)
    for start, stop, penalised in SPANS:
        inside[start:stop] = True
        if penalised:
            full[start:stop] += L2 * w[start:stop]
    return full, inside


def sgd_step(w, velocity, g, lr, momentum):
    velocity = momentum * velocity - lr * g
    return w + velocity, velocity


def rmsprop_step(w, v, g, lr, rho, eps):
    v = rho * v + (1 - rho) * g**2
    return w - lr * g / (np.sqrt(v) + eps), v


def adagrad_step(w, v, g, lr, eps):
    v = v + g**2
    return w - lr * g / (np.sqrt(v) + eps), v


def adam_step(w, m, v, g, lr, beta1, beta2, eps, t):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps), m, v


def check_step(kernel, oracle, slots, arguments, oracle_arguments):
    def case(rng, dtype):
        n = 2500
        w, g = rng.normal(size=(2, n))
        state = [rng.random(n) for _ in range(slots)]
        ours = [a.astype(dtype) for a in (w, *state, g)]
        w, *state, g = [a.astype(np.float64) for a in ours]
        assert kernel(*ours, SPANS, *arguments, L2, SCALE) == -1
        g, inside = gradient(w, g)
        expected = [
            np.where(inside, new, old)
            for new, old in zip(oracle(w, *state, g, *oracle_arguments), (w, *state), strict=True)
        ]
        for got, want in zip(ours[:-1], expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=20 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)

    return case


def case_sum_of_squares(rng, dtype):
    for n in (0, 1, 7, 8, 9, 1023, 5000):
        x = rng.normal(size=n).astype(dtype)
        np.testing.assert_allclose(optim.squared_norm(x), np.sum(x.astype(np.float64) ** 2), rtol=1e-13)


def case_first_non_finite(rng, dtype):
    for n in (0, 1, 1023, 1024, 1025, 5000):
        x = rng.normal(size=n).astype(dtype)
        assert optim.find_non_finite(x) == -1
        for index in {0, n // 2, n - 1} - {-1} if n else ():
            for bad in (np.nan, np.inf, -np.inf):
                y = x.copy()
                y[index] = y[-1] = bad
                assert optim.find_non_finite(y) == index


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "sgd_step": check_step(optim.sgd, sgd_step, 1, (0.1, 0.9), (0.1, 0.9)),
    "rmsprop_step": check_step(optim.rmsprop, rmsprop_step, 1, (0.1, 0.99, 1e-8), (0.1, 0.99, 1e-8)),
    "adagrad_step": check_step(optim.adagrad, adagrad_step, 1, (0.1, 1e-8), (0.1, 1e-8)),
    "adam_step": check_step(
        optim.adam, adam_step, 2, (0.1, 0.9, 0.99, 1e-8, 1 - 0.9**3, 1 - 0.99**3), (0.1, 0.9, 0.99, 1e-8, 3)
    ),
    "sum_of_squares": case_sum_of_squares,
    "first_non_finite": case_first_non_finite,
}
