"""NumPy oracles of the kernels in csrc/kernels/dropout.c: the hash in uint64 arithmetic, bit for bit."""

import numpy as np

from enilnets._ext import dropout

SIZES = (0, 1, 2, 3, 15, 255, 256, 257, 1000, 5001)


def splitmix64(key, count):
    """The numbers 1..count of splitmix64 started at ``key``."""
    z = np.full(count, key, np.uint64) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def kept(key, rate, n):
    """Element 2j looks at the low, element 2j + 1 at the high half of hash j."""
    hashes = splitmix64(key, (n + 1) // 2)
    bits = np.stack([hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32)], axis=1).reshape(-1)[:n]
    return bits.astype(np.float64) >= min(rate * 2.0**32, 2.0**32 - 1)


def scaled(x, mask, rate):
    return np.where(mask, x / x.dtype.type(1 - rate), x.dtype.type(0))


def case_dropout_forward(rng, dtype):
    for n in SIZES:
        for rate in (0.0, 1e-12, 0.1, 0.5, 0.9, np.nextafter(1, 0)):
            for key in (0, 1, 2**64 - 1, int(rng.integers(2**63))):
                x = rng.normal(size=n).astype(dtype)
                y, mask = np.full(n, 7, dtype), np.full(n, 7, np.uint8)
                dropout.forward(y, mask, x, key, rate)
                expected = kept(key, rate, n)
                np.testing.assert_array_equal(mask, expected)
                np.testing.assert_array_equal(y, scaled(x, expected, rate))


def case_dropout_backward(rng, dtype):
    for n in SIZES:
        for rate in (0.0, 0.1, 0.9):
            dy, mask, dx = rng.normal(size=n).astype(dtype), rng.random(n) < 0.5, np.full(n, 7, dtype)
            dropout.backward(dx, dy, mask, rate)
            np.testing.assert_array_equal(dx, scaled(dy, mask, rate))


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {"dropout_forward": case_dropout_forward, "dropout_backward": case_dropout_backward}
