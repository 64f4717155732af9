"""enilnets.ops.scan: inputs of every kind, and what it refuses; formulas are in tests/reference/scan.py."""

import numpy as np
import pytest

from enilnets.errors import DTypeError, ShapeError
from enilnets.ops.scan import discounted_returns, gae


def test_worked_by_hand(dtype, isa):
    # backwards with gamma 1/2: 8;  4 + 8/2 = 8;  2 (its episode ends);  1 + 2/2 = 2
    rewards, dones = np.array([1, 2, 4, 8], dtype), np.array([0, 1, 0, 0], bool)
    returns = discounted_returns(rewards, 0.5, dones)
    assert returns.dtype == dtype
    assert returns.tolist() == [2, 2, 8, 8]
    # deltas with V = 2 everywhere, gamma 1/2: r - 1, or r - 2 where terminated: 0, 0, 3, 7; decay 1/4
    values = np.full(5, 2, dtype)
    advantages, targets = gae(rewards, values, 0.5, 0.5, terminated=dones)
    assert advantages.tolist() == [0, 0, 4.75, 7]
    assert targets.tolist() == [2, 2, 6.75, 9]
    advantages, _ = gae(rewards, values, 0.5, 0.5, truncated=dones)  # delta of the cut step keeps its next value: 1
    assert advantages.tolist() == [0.25, 1, 4.75, 7]
    advantages, _ = gae(rewards, values[:-1], 0.5, 0.5, truncated=dones, next_values=np.array([2, 6, 2, 2], dtype))
    assert advantages.tolist() == [0.75, 3, 4.75, 7]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (6,), (6, 2), (6, 2, 3), (3, 70)])
def test_columns_are_independent_episodes(dtype, isa, rng, shape):
    rewards = rng.normal(size=shape).astype(dtype)
    values = rng.normal(size=(shape[0] + 1, *shape[1:])).astype(dtype)
    returns = discounted_returns(rewards, 0.9)
    advantages, targets = gae(rewards, values, 0.9, 0.8)
    assert returns.shape == advantages.shape == targets.shape == shape
    tolerance = dict(rtol=50 * np.finfo(dtype).eps, atol=50 * np.finfo(dtype).eps)
    for place in np.ndindex(*shape[1:]):
        column = (slice(None), *place)
        np.testing.assert_allclose(returns[column], discounted_returns(rewards[column], 0.9), **tolerance)
        alone = gae(rewards[column], values[column], 0.9, 0.8)
        np.testing.assert_allclose(advantages[column], alone[0], **tolerance)
        np.testing.assert_allclose(targets[column], alone[1], **tolerance)


def test_any_strides_byte_orders_and_read_only(dtype, rng):
    rewards, dones = rng.normal(size=(3, 8)).astype(dtype).T, (rng.random((3, 8)) < 0.3).T
    expected = discounted_returns(np.ascontiguousarray(rewards), 0.9, np.ascontiguousarray(dones))
    rewards.flags.writeable = False
    np.testing.assert_array_equal(discounted_returns(rewards, 0.9, dones), expected)
    np.testing.assert_array_equal(discounted_returns(rewards.astype(dtype.newbyteorder()), 0.9, dones), expected)


def test_refuses():
    rewards, values = np.ones(3), np.ones(4)
    for bad in (np.ones((4, 1)), np.ones(3), np.ones((1, 4))):
        with pytest.raises(ShapeError, match=r"gae\(values\)"):
            gae(rewards, bad, 0.9, 0.9)
    with pytest.raises(ShapeError, match="next_values"):
        gae(rewards, np.ones(3), 0.9, 0.9, next_values=values)
    with pytest.raises(DTypeError, match="values"):
        gae(rewards, values.astype(np.float32), 0.9, 0.9)
    with pytest.raises(DTypeError, match="boolean"):
        discounted_returns(rewards, 0.9, np.zeros(3))
    with pytest.raises(ShapeError, match="dones"):
        discounted_returns(rewards, 0.9, np.zeros((3, 1), bool))
    with pytest.raises(ShapeError, match="single number"):
        discounted_returns(np.array(1.0), 0.9)
    with pytest.raises(DTypeError, match="rewards"):
        gae([1.0], values, 0.9, 0.9)
