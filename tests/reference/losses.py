"""NumPy oracles of the kernels in csrc/kernels/losses.c, in float64: losses by element (or row) and their gradients."""

import itertools

import numpy as np

from enilnets._ext import losses

SIZES = (0, 1, 3, 7, 8, 9, 511, 512, 513, 3000)
FOCUS = [(0.25, 2.0), (0.5, 0.0), (0.9, 0.5), (0.0, 1.0), (1.0, 5.0)]
ROWS = ((0, 3), (3, 0), (1, 1), (5, 1), (300, 2), (7, 3), (64, 10), (3, 511), (2, 512), (3, 513), (2, 2000))


def highest(dtype):
    """Upper end of the clip of binary_cross_entropy."""
    return 1 - 1e-12 if dtype == np.float64 else 1 - 2.0**-23


def lowest(dtype):
    """Lower end of the clips, as the dtype has it."""
    return float(np.array(1e-12, dtype))


def mse(o, t, dtype):
    return (o - t) ** 2, 2 * (o - t)


def mae(o, t, dtype):
    return np.abs(o - t), np.sign(o - t)


def huber(o, t, dtype, delta=1.0):
    d = np.abs(o - t)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)), np.clip(o - t, -delta, delta)


def hinge(o, t, dtype):
    return np.maximum(0, 1 - t * o), np.where(t * o < 1, -t, 0)


def wasserstein(o, t, dtype):
    return -o * t, -t


def focal(o, t, dtype, alpha=0.25, gamma=2.0):
    """By the rule for products: the weight (1 - pt)^gamma and the weighted entropy, each with its slope."""
    c = np.clip(o, lowest(dtype), highest(dtype))
    q = 1 - (c * t + (1 - c) * (1 - t))
    weight, entropy = q**gamma, -(alpha * t * np.log(c) + (1 - alpha) * (1 - t) * np.log1p(-c))
    weight_slope = gamma * q ** (gamma - 1) * (1 - 2 * t) if gamma else 0
    entropy_slope = (1 - alpha) * (1 - t) / (1 - c) - alpha * t / c
    return weight * entropy, np.where(c == o, weight_slope * entropy + weight * entropy_slope, 0)


def focal_at_sigmoid(o, t, dtype, alpha=0.25, gamma=2.0):
    """The gradient at z: what is inside the clip by the chain rule, what is beyond by its limit."""
    value, slope = focal(o, t, dtype, alpha, gamma)
    c = np.clip(o, lowest(dtype), highest(dtype))
    q = c * (1 - t) + t * (1 - c)
    entropy = -(alpha * t * np.log(c) + (1 - alpha) * (1 - t) * np.log1p(-c))
    beyond = (1 - alpha) * (1 - t) * o - alpha * t * (1 - o) + gamma * (1 - 2 * t) * o * (1 - o) * entropy / q
    return value, np.where(c == o, slope * o * (1 - o), q**gamma * beyond)


def binary_cross_entropy(o, t, dtype):
    c = np.clip(o, lowest(dtype), highest(dtype))
    return -(t * np.log(c) + (1 - t) * np.log1p(-c)), np.where(c == o, (c - t) / (c * (1 - c)), 0)


def binary_cross_entropy_at_sigmoid(o, t, dtype):
    return binary_cross_entropy(o, t, dtype)[0], o - t


def bce_logits(o, t, dtype):
    return np.maximum(o, 0) - o * t + np.log1p(np.exp(-np.abs(o))), 0.5 * (1 + np.tanh(0.5 * o)) - t


def cross_entropy(o, t, dtype):
    c = np.clip(o, lowest(dtype), 1)
    return -t * np.log(c), np.where(c == o, -t / c, 0)


def cross_entropy_at_softmax(o, t, dtype):
    return cross_entropy(o, t, dtype)[0], o * t.sum(axis=-1, keepdims=True) - t


def softmax_cross_entropy(o, t, dtype):
    if o.shape[-1] == 0:
        return np.zeros(o.shape[:-1]), np.zeros(o.shape)
    z = o - o.max(axis=-1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=-1, keepdims=True)
    return np.sum(t * (np.log(total) - z), axis=-1), e / total * t.sum(axis=-1, keepdims=True) - t


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


def normal(rng, shape):
    return 3 * rng.normal(size=shape)


def probability(rng, shape):
    """Probabilities with zeros, ones and numbers beyond both ends of the clip among them."""
    o = rng.random(shape)
    odd = rng.random(shape) < 0.1
    return np.where(odd, rng.choice([0, 1, 1e-13, 1e-9, 1 - 1e-13, 1 - 1e-7, -0.5, 1.5], size=shape), o)


def probabilities(rng, shape):
    return softmax(10 * rng.normal(size=shape))


def check(name, oracle, outputs, shapes, settings=((),), ulps=20):
    kernel = getattr(losses, name)

    def case(rng, dtype):
        eps = np.finfo(dtype).eps
        for shape, options in itertools.product(shapes, settings):
            o, t = outputs(rng, shape).astype(dtype), rng.random(shape).astype(dtype)
            each, grad = oracle(o.astype(np.float64), t.astype(np.float64), dtype, *options)
            ours_each, ours_grad = np.full(each.shape, 7, dtype), np.full(shape, 7, dtype)
            total = kernel(o, t, ours_each, ours_grad, 0.3, *options)
            assert kernel(o, t, None, None, 1.0, *options) == total
            assert kernel(o, t, None, np.empty_like(o), 2.0, *options) == total
            np.testing.assert_allclose(ours_each, each, rtol=ulps * eps, atol=4 * eps)
            np.testing.assert_allclose(ours_grad, 0.3 * grad, rtol=ulps * eps, atol=4 * eps)
            # Rounding goes by what is added up, which may be far more than what is left where signs cancel.
            np.testing.assert_allclose(total, each.sum(), rtol=0, atol=eps * (1 + ulps * np.abs(each).sum()))

    return case


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "mse": check("mse", mse, normal, SIZES),
    "mae": check("mae", mae, normal, SIZES),
    "huber": check("huber", huber, normal, SIZES, [(1.0,), (0.25,), (3.5,)]),
    "hinge": check("hinge", hinge, normal, SIZES),
    "wasserstein": check("wasserstein", wasserstein, normal, SIZES),
    # q^gamma is exp(gamma log q), which magnifies the rounding of its exponent by up to gamma 28.
    "focal": check("focal", focal, probability, SIZES, FOCUS, ulps=200),
    "focal_at_sigmoid": check("focal_at_sigmoid", focal_at_sigmoid, probability, SIZES, FOCUS, ulps=200),
    "binary_cross_entropy": check("binary_cross_entropy", binary_cross_entropy, probability, SIZES),
    "binary_cross_entropy_at_sigmoid": check(
        "binary_cross_entropy_at_sigmoid", binary_cross_entropy_at_sigmoid, probability, SIZES
    ),
    "bce_logits": check("bce_logits", bce_logits, normal, SIZES),
    "cross_entropy": check("cross_entropy", cross_entropy, probability, SIZES),
    "cross_entropy_at_softmax": check("cross_entropy_at_softmax", cross_entropy_at_softmax, probabilities, ROWS),
    "softmax_cross_entropy": check("softmax_cross_entropy", softmax_cross_entropy, normal, ROWS),
}
