"""NumPy oracles of the kernels in csrc/kernels/pointwise.c.

The formulas are the textbook's, in the next wider precision: np.longdouble for float64, float64 for float32.
"""

import numpy as np

from enilnets._ext import pointwise

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def wider(dtype):
    return np.dtype(np.longdouble if dtype == np.float64 else np.float64)


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def gelu_argument(x):
    return np.sqrt(2 / np.arccos(x.dtype.type(-1))) * (x + x.dtype.type(0.044715) * x**3)


def gelu_argument_derivative(x):
    return np.sqrt(2 / np.arccos(x.dtype.type(-1))) * (1 + 3 * x.dtype.type(0.044715) * x**2)


def mish_gate(x):
    return np.tanh(np.logaddexp(0, x))


#: y of x.
FUNCTIONS = {
    "exponential": np.exp,
    "exponential_minus_one": np.expm1,
    "logarithm": np.log,
    "logarithm_of_one_plus": np.log1p,
    "relu": lambda x: np.maximum(x, 0),
    "leakyrelu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "gelu": lambda x: x * sigmoid(2 * gelu_argument(x)),  # (1 + tanh u) / 2, which cancels in any precision
    "swish": lambda x: x * sigmoid(x),
    "mish": lambda x: x * mish_gate(x),
}

#: dy/dx of x.
DERIVATIVES = {
    "relu": lambda x: (x > 0).astype(x.dtype),
    "leakyrelu": lambda x: np.where(x > 0, 1, 0.01).astype(x.dtype),
    "elu": lambda x: np.exp(np.minimum(x, 0)),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0))),
    "sigmoid": lambda x: sigmoid(x) * sigmoid(-x),
    "tanh": lambda x: 1 / np.cosh(x) ** 2,
    "softplus": sigmoid,
    "gelu": lambda x: (
        0.5 * (1 + np.tanh(gelu_argument(x)))
        + 0.5 * x * gelu_argument_derivative(x) / np.cosh(np.clip(gelu_argument(x), -300, 300)) ** 2
    ),
    "swish": lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
    "mish": lambda x: mish_gate(x) + x * sigmoid(x) / np.cosh(np.logaddexp(0, x)) ** 2,
}

#: What the backward kernel reads: the output, except for these.
SAVES_INPUT = {"gelu", "swish", "mish"}


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_backward(dy, y):
    jacobian = np.einsum("rc,ck->rck", y, np.eye(y.shape[-1])) - np.einsum("rc,rk->rck", y, y)
    return np.einsum("rck,rk->rc", jacobian, dy)


def samples(rng, dtype, positive=False):
    """Both sides of zero at every scale, and a number of elements that is no multiple of a vector."""
    x = np.concatenate([rng.normal(size=1001), 20 * rng.normal(size=500), np.exp(rng.normal(scale=9, size=202)) - 1e-3])
    return (np.abs(x) if positive else np.clip(x, -80, 80)).astype(dtype)


def case_forward(name):
    def case(rng, dtype):
        eps = np.finfo(dtype).eps
        for n in (0, 1, 2, 7, 8, 17, 1703):
            x = samples(rng, dtype, positive=name.startswith("logarithm"))[:n]
            y = np.full_like(x, np.nan)
            pointwise.forward(name, y, x)
            want = FUNCTIONS[name](x.astype(wider(dtype)))
            error = 5 * eps
            if name == "gelu":  # e^-2u magnifies the rounding of its argument
                error = error + 6 * eps * np.abs(gelu_argument(x.astype(wider(dtype))))
            assert (np.abs(y - want) <= error * np.abs(want) + np.finfo(dtype).tiny).all()

    return case


def case_backward(name):
    def case(rng, dtype):
        eps = np.finfo(dtype).eps
        for n in (0, 1, 2, 7, 8, 17, 1703):
            x = samples(rng, dtype)[:n]
            dy = rng.uniform(-1, 1, size=n).astype(dtype)
            wide = x.astype(wider(dtype))
            saved = x if name in SAVES_INPUT else FUNCTIONS[name](wide).astype(dtype)
            dx = np.full_like(x, np.nan)
            pointwise.backward(name, dx, dy, saved)
            # The output is known to half an eps only; where the derivative is small, that half eps is all the error.
            np.testing.assert_allclose(dx, dy * DERIVATIVES[name](wide), rtol=8 * eps, atol=4 * eps)

    return case


def case_softmax(rng, dtype):
    for shape in [(0, 3), (3, 0), (1, 1), (5, 2), (700, 3), (64, 10), (3, 16), (9, 33), (3, 1025), (1, 5000)]:
        x = (5 * rng.normal(size=shape)).astype(dtype)
        y = np.full_like(x, np.nan)
        pointwise.softmax(y, x)
        if x.size:
            np.testing.assert_allclose(y, softmax(x.astype(wider(dtype))), rtol=20 * np.finfo(dtype).eps)


def case_softmax_backward(rng, dtype):
    for shape in [(0, 3), (3, 0), (1, 1), (5, 2), (64, 10), (3, 16), (9, 33), (2, 1500)]:
        dy = rng.normal(size=shape).astype(dtype)
        y = softmax(rng.normal(size=shape)).astype(dtype) if dy.size else dy
        dx = np.full_like(dy, np.nan)
        pointwise.softmax_backward(dx, dy, y)
        want = softmax_backward(dy.astype(np.float64), y.astype(np.float64))
        np.testing.assert_allclose(dx, want, rtol=8 * np.finfo(dtype).eps, atol=8 * np.finfo(dtype).eps)


def case_column_sums(rng, dtype):
    for shape in [(0, 3), (3, 0), (1, 300), (31, 1), (70000, 1), (65, 3), (4001, 10), (33, 63), (100, 64), (97, 600)]:
        x = rng.uniform(0.5, 1.5, size=shape).astype(dtype)
        out = np.full(shape[1], np.nan, dtype)
        pointwise.column_sums(out, x)
        np.testing.assert_allclose(out, x.astype(np.longdouble).sum(0), rtol=8 * np.finfo(dtype).eps)


def case_activation_backward_sums(rng, dtype):
    """The very bits of the two separate passes."""
    for rows, cols in [(0, 3), (3, 0), (1, 300), (31, 1), (65, 3), (401, 10), (33, 63), (100, 64), (97, 600)]:
        dy, saved = rng.normal(size=(2, rows, cols)).astype(dtype)
        for name in DERIVATIVES:
            dx, want = np.full((2, rows, cols), np.nan, dtype)
            sums, want_sums = np.full((2, cols), np.nan, dtype)
            pointwise.backward_sums(name, dx, sums, dy, saved)
            pointwise.backward(name, want, dy, saved)
            pointwise.column_sums(want_sums, want)
            np.testing.assert_array_equal(dx, want)
            np.testing.assert_array_equal(sums, want_sums)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    **{name: case_forward(name) for name in FUNCTIONS if name not in DERIVATIVES},
    **{f"{name}_forward": case_forward(name) for name in DERIVATIVES},
    **{f"{name}_backward": case_backward(name) for name in DERIVATIVES},
    "softmax": case_softmax,
    "softmax_backward": case_softmax_backward,
    "column_sums": case_column_sums,
    "activation_backward_sums": case_activation_backward_sums,
}
