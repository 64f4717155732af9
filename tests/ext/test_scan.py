"""enilnets._ext.scan called directly: what is refused, threads; results are in tests/reference/scan.py."""

import numpy as np
import pytest

from enilnets._ext import scan
from enilnets.ops.threads import num_threads

MASK = np.zeros((5, 2), bool)


@pytest.mark.parametrize(
    "error, change",
    [
        (TypeError, {"rewards": None}),
        (TypeError, {"rewards": [[1.0, 2.0]] * 5}),
        (TypeError, {"rewards": np.ones((5, 2), np.float16)}),
        (TypeError, {"rewards": np.ones((5, 2), np.float32)}),
        (ValueError, {"rewards": np.ones(10)}),
        (ValueError, {"rewards": np.ones((2, 5)).T}),
        (ValueError, {"rewards": np.ones((4, 2))}),
        (ValueError, {"returns": np.ones((4, 2))}),
        (TypeError, {"dones": np.zeros((5, 2))}),
        (TypeError, {"dones": None}),
        (ValueError, {"dones": np.zeros((5, 3), bool)}),
        (ValueError, {"dones": np.zeros((2, 5), bool).T}),
        (TypeError, {"gamma": "1"}),
    ],
)
def test_discounted_returns_refuses(error, change):
    arguments = {"returns": np.zeros((5, 2)), "rewards": np.ones((5, 2)), "dones": MASK, "gamma": 0.9, **change}
    with pytest.raises(error):
        scan.discounted_returns(**arguments)
    assert "returns" in change or not arguments["returns"].any()


@pytest.mark.parametrize(
    "error, change",
    [
        (ValueError, {"values": np.ones((5, 2))}),
        (ValueError, {"values": np.ones((6, 3))}),
        (TypeError, {"values": np.ones((6, 2), np.float32)}),
        (ValueError, {"next_values": np.ones((6, 2))}),  # and values has a row too many
        (ValueError, {"values": np.ones((5, 2)), "next_values": np.ones((4, 2))}),
        (ValueError, {"advantages": np.ones((5, 1))}),
        (TypeError, {"advantages": np.ones((5, 2), np.float32)}),
        (TypeError, {"terminated": np.zeros((5, 2), np.int8)}),
        (ValueError, {"truncated": np.zeros((6, 2), bool)}),
    ],
)
def test_gae_refuses(error, change):
    arguments = {
        "advantages": np.zeros((5, 2)),
        "returns": np.zeros((5, 2)),
        "rewards": np.ones((5, 2)),
        "values": np.ones((6, 2)),
        "next_values": None,
        "terminated": MASK,
        "truncated": MASK,
        "gamma": 0.9,
        "decay": 0.9,
        **change,
    }
    with pytest.raises(error):
        scan.gae(**arguments)
    assert not arguments["returns"].any()
    assert "advantages" in change or not arguments["advantages"].any()


def test_refuses_read_only_and_overlapping_outputs():
    rewards, returns = np.ones((5, 2)), np.zeros((5, 2))
    with pytest.raises(ValueError, match="overlaps"):
        scan.discounted_returns(rewards, rewards, MASK, 0.9)
    with pytest.raises(ValueError, match="overlaps"):
        scan.gae(returns, returns, rewards, np.ones((6, 2)), None, MASK, MASK, 0.9, 0.9)
    returns.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        scan.discounted_returns(returns, rewards, MASK, 0.9)


def test_bits_depend_on_no_number_of_threads(isa, dtype, rng):
    steps, n = 300, 1000
    rewards, values = (rng.normal(size=(rows, n)).astype(dtype) for rows in (steps, steps + 1))
    terminated, truncated = rng.random((2, steps, n)) < 0.01
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        returns, advantages, targets = np.full((3, steps, n), 9, dtype)
        with num_threads(threads):
            scan.discounted_returns(returns, rewards, terminated, 0.99)
            scan.gae(advantages, targets, rewards, values, None, terminated, truncated, 0.99, 0.95)
        seen.add((returns.tobytes(), advantages.tobytes(), targets.tobytes()))
    assert len(seen) == 1
