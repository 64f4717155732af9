"""enilnets.returns: numbers worked by hand, dtypes, and what is refused."""

import numpy as np
import pytest

import enilnets
from enilnets import NeuralNet
from enilnets.errors import ConfigError, DataError, DTypeError, ShapeError
from enilnets.generative import sampling
from enilnets.returns import compute_returns, gae


@pytest.mark.contract("R5")
@pytest.mark.defect("O8")
def test_compute_returns():
    # 1 + 0.9 (2 + 0.9 * 3) = 5.23
    expected = [5.23, 4.7, 3.0]
    for rewards in ([1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3], np.int8)):
        returns = compute_returns(rewards, gamma=0.9)
        assert returns.dtype == np.float64
        np.testing.assert_allclose(returns, expected, rtol=1e-15)
    np.testing.assert_array_equal(NeuralNet().compute_returns([1, 2, 3], 0.9), compute_returns([1, 2, 3], 0.9))
    assert compute_returns(np.ones(3, np.float32)).dtype == np.float32
    assert compute_returns([0, 0, 1])[0] == pytest.approx(0.99**2)  # the default
    assert compute_returns([]).shape == (0,) and compute_returns(np.ones((4, 1))).shape == (4, 1)


def test_compute_returns_with_dones():
    np.testing.assert_allclose(compute_returns([1, 2, 3], 0.9, dones=[False, True, False]), [2.8, 2, 3])
    two = compute_returns(np.array([[1, 1], [2, 2], [3, 3]]), 0.9, [[False, False], [True, False], [False, False]])
    np.testing.assert_allclose(two, [[2.8, 5.23], [2, 4.7], [3, 3]])


@pytest.mark.contract("R6", "P3")
def test_gae():
    assert sampling.gae is enilnets.gae is gae
    # deltas: 1 + 0.9 * 4 - 2 = 2.6 and 3 + 0.9 * 8 - 4 = 6.2; decay 0.9 * 0.5
    advantages, returns = gae([1, 3], [2, 4, 8], gamma=0.9, lambda_=0.5)
    np.testing.assert_allclose(advantages, [2.6 + 0.45 * 6.2, 6.2], rtol=1e-14)
    np.testing.assert_allclose(returns, [4.6 + 0.45 * 6.2, 10.2], rtol=1e-14)
    by_default = gae([1, 3], [2, 4, 8])[0]
    deltas = 1 + 0.99 * 4 - 2, 3 + 0.99 * 8 - 4
    np.testing.assert_allclose(by_default, [deltas[0] + 0.99 * 0.95 * deltas[1], deltas[1]], rtol=1e-14)
    assert gae(np.ones(2, np.float32), np.ones(3, np.float32))[0].dtype == np.float32
    assert gae(np.ones(2, np.float32), np.ones(3))[0].dtype == np.float64


def test_lambda_0_and_1(rng):
    rewards, values = rng.normal(size=50), rng.normal(size=51)
    advantages, _ = gae(rewards, values, 0.9, 0.0)
    np.testing.assert_allclose(advantages, rewards + 0.9 * values[1:] - values[:-1], rtol=1e-12, atol=1e-14)
    whole = compute_returns(np.append(rewards, values[-1]), 0.9)[:-1]  # the last value stands for what follows
    np.testing.assert_allclose(gae(rewards, values, 0.9, 1.0)[1], whole, rtol=1e-12, atol=1e-13)


@pytest.mark.defect("G9")
def test_gae_ends_episodes():
    rewards, values = [1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]
    end = [False, True, False]
    terminated, _ = gae(rewards, values, 1.0, 1.0, terminated=end)
    assert terminated.tolist() == [1 + 2 - 1 + (1 - 2), 1 - 2, 1 + 4 - 3]
    truncated, _ = gae(rewards, values, 1.0, 1.0, truncated=end)
    assert truncated.tolist() == [1 + 2 - 1 + (1 + 3 - 2), 1 + 3 - 2, 1 + 4 - 3]
    # The state behind the cut was worth 10; row 2 of values belongs to the next episode.
    reset, returns = gae(rewards, values[:3], 1.0, 1.0, truncated=end, next_values=[2.0, 10.0, 4.0])
    assert reset.tolist() == [1 + 2 - 1 + (1 + 10 - 2), 1 + 10 - 2, 1 + 4 - 3]
    assert returns.tolist() == [12, 11, 5]
    both, _ = gae(rewards, values, 1.0, 1.0, terminated=end, truncated=[False, True, True])
    assert both.tolist() == terminated.tolist()


@pytest.mark.parametrize(
    "error, arguments, message",
    [
        (ConfigError, ([1.0], 1.1), r"gamma\): expected a number in \[0, 1\]"),
        (ConfigError, ([1.0], np.nan), "gamma"),
        (ConfigError, ([1.0], True), "gamma"),
        (DataError, ([np.nan],), "nan at index"),
        (DataError, (np.ma.array([1.0], mask=[True]),), "gaps"),
        (DTypeError, (["a"],), "real numbers"),
        (DTypeError, ([[1], [1, 2]],), "rectangular"),
        (ShapeError, (1.0,), r"^compute_returns\(rewards\): .*single number"),
        (ShapeError, ([1.0, 2.0], 0.9, [True]), r"dones\): expected shape \(2,\)"),
        (ShapeError, ([1.0, 2.0], 0.9, [[True], [False]]), "dones"),
        (DTypeError, ([1.0, 2.0], 0.9, [0, 1]), "booleans"),
        (DataError, ([1.0, 2.0], 0.9, np.ma.array([True, False], mask=[True, False])), r"dones\): .*gaps"),
    ],
)
def test_compute_returns_refuses(error, arguments, message):
    with pytest.raises(error, match=message):
        compute_returns(*arguments)


@pytest.mark.parametrize(
    "error, change, message",
    [
        (ShapeError, {"values": np.ones(3)}, r"values\): expected shape \(4,\)"),
        (ShapeError, {"values": np.ones((4, 1))}, "values"),
        (ShapeError, {"rewards": np.ones((3, 1))}, r"shape \(4, 1\)"),
        (ShapeError, {"next_values": np.ones(4), "values": np.ones(3)}, "next_values"),
        (ShapeError, {"terminated": True}, "terminated"),
        (DTypeError, {"truncated": np.zeros(3)}, "booleans"),
        (ConfigError, {"lambda_": -0.1}, "lambda_"),
        (ConfigError, {"gamma": "0.9"}, "gamma"),
        (DataError, {"values": [1, 2, np.inf, 4]}, "values"),
    ],
)
def test_gae_refuses(error, change, message):
    with pytest.raises(error, match=message):
        gae(**{"rewards": np.ones(3), "values": np.ones(4), **change})
