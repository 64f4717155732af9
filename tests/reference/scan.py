"""NumPy oracles of the kernels in csrc/kernels/scan.c: the sums written out, without a recursion."""

import numpy as np

from enilnets._ext import scan

SHAPES = ((0, 3), (3, 0), (1, 1), (2, 1), (300, 1), (40, 2), (7, 3), (5, 63), (30, 64), (30, 65), (6, 300))


def discounted_sum(terms, factor, dones):
    """Sum of factor**k terms[t + k] over k, up to and including the first done of each column from t on."""
    total = np.zeros(terms.shape)
    for t in range(len(terms)):
        alive = np.ones(terms.shape[1:])
        for k in range(len(terms) - t):
            total[t] += alive * factor**k * terms[t + k]
            alive = alive * ~dones[t + k]
    return total


def gae(rewards, values, next_values, terminated, truncated, gamma, decay):
    delta = rewards + gamma * np.where(terminated, 0, next_values) - values
    advantages = discounted_sum(delta, gamma * decay, terminated | truncated)
    return advantages, advantages + values


def case_discounted_returns(rng, dtype):
    tolerance = 100 * np.finfo(dtype).eps
    for shape in SHAPES:
        for gamma in (0.0, 0.97, 1.0):
            rewards, dones = rng.normal(size=shape).astype(dtype), rng.random(shape) < 0.1
            returns = np.full(shape, 7, dtype)
            scan.discounted_returns(returns, rewards, dones, gamma)
            expected = discounted_sum(rewards.astype(float), gamma, dones)
            np.testing.assert_allclose(returns, expected, rtol=tolerance, atol=tolerance)


def case_gae(rng, dtype):
    tolerance = 100 * np.finfo(dtype).eps
    for steps, n in SHAPES:
        for gamma, decay in ((0.97, 0.9), (1.0, 1.0), (0.9, 0.0)):
            rewards = rng.normal(size=(steps, n)).astype(dtype)
            values = rng.normal(size=(steps + 1, n)).astype(dtype)
            others = rng.normal(size=(steps, n)).astype(dtype)
            terminated, truncated = rng.random((2, steps, n)) < 0.1
            for mine, following in ((values, None), (values[:-1], others)):
                advantages, returns = np.full((2, steps, n), 7, dtype)
                scan.gae(advantages, returns, rewards, mine, following, terminated, truncated, gamma, decay)
                doubles = [a.astype(float) for a in (rewards, values[:-1], values[1:] if following is None else others)]
                expected = gae(*doubles, terminated, truncated, gamma, decay)
                np.testing.assert_allclose(advantages, expected[0], rtol=tolerance, atol=tolerance)
                np.testing.assert_allclose(returns, expected[1], rtol=tolerance, atol=tolerance)


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {"discounted_returns": case_discounted_returns, "gae": case_gae}
