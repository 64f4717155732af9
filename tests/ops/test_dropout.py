"""enilnets.ops.dropout: numbers by hand, statistics, inputs of every kind, and what it refuses."""

import numpy as np
import pytest

from enilnets.errors import ConfigError, DTypeError, ShapeError
from enilnets.ops import isa as instruction_sets
from enilnets.ops.dropout import dropout, dropout_backward


def test_worked_by_hand(dtype, isa):
    # The hashes of the key 1234567 above: low halves and high halves against 0.5 * 2**32 = 2147483648.
    hashes = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    mask = np.array([half >= 2147483648 for h in hashes for half in (h % 2**32, h // 2**32)])
    assert 0 < mask.sum() < 8
    y, got = dropout(np.full((4, 2), 3, dtype), 0.5, 1234567)
    np.testing.assert_array_equal(got, mask.reshape(4, 2))
    np.testing.assert_array_equal(y, np.where(mask.reshape(4, 2), 6, 0))
    np.testing.assert_array_equal(dropout_backward(np.full((4, 2), 5, dtype), got, 0.5), np.where(got, 10, 0))


def test_same_bits_for_every_instruction_set_dtype_and_shape(rng):
    results = []
    x = rng.normal(size=(60, 41))
    for name in instruction_sets.available():
        with instruction_sets.using(name):
            for array in (x, x.astype(np.float32), x.reshape(-1), x.reshape(3, 4, 5, 41)):
                y, mask = dropout(array, 0.37, 99)
                assert mask.dtype == bool and y.dtype == array.dtype and y.shape == mask.shape == array.shape
                results.append((array.dtype, y.tobytes(), mask.tobytes()))
    assert len({mask for _, _, mask in results}) == 1
    assert len({y for kind, y, _ in results if kind == np.float64}) == 1
    assert len({y for kind, y, _ in results if kind == np.float32}) == 1


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5, 0.99])
def test_share_and_independence(rng, rate):
    n = 400_000
    first = dropout(np.ones(n, np.float32), rate, int(rng.integers(2**63)))[1]
    second = dropout(np.ones(n, np.float32), rate, int(rng.integers(2**63)))[1]
    deviation = np.sqrt(rate * (1 - rate) / n)
    assert abs(first.mean() - (1 - rate)) < 4.5 * deviation
    for a, b in ((first, second), (first[:-1], first[1:]), (first[:-2], first[2:]), (first[::2], first[1::2])):
        correlation = np.mean((a - (1 - rate)) * (b - (1 - rate))) / (rate * (1 - rate))
        assert abs(correlation) < 4.5 / np.sqrt(len(a))


def test_neighbouring_keys_give_unrelated_masks():
    masks = [dropout(np.ones(10_000), 0.5, key)[1] for key in range(20)]
    for i, a in enumerate(masks):
        for b in masks[:i]:
            assert abs((a == b).mean() - 0.5) < 0.03


def test_rate_zero_keeps_everything(dtype, isa, rng):
    x = rng.normal(size=(5, 7)).astype(dtype)
    y, mask = dropout(x, 0, 3)
    assert mask.all()
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_dropped_non_finite_becomes_zero_and_kept_stays(dtype, isa, bad):
    x = np.full(1001, bad, dtype)
    y, mask = dropout(x, 0.5, 5)
    np.testing.assert_array_equal(y, np.where(mask, dtype.type(bad), 0))
    np.testing.assert_array_equal(dropout_backward(x, mask, 0.5), np.where(mask, dtype.type(bad), 0))


def test_gradient_is_that_of_the_forward_pass(rng):
    x, dy, direction = rng.normal(size=(3, 6, 7))
    y, mask = dropout(x, 0.4, 11)
    moved, _ = dropout(x + direction, 0.4, 11)  # linear, so a whole step is exact up to rounding
    assert np.sum(dropout_backward(dy, mask, 0.4) * direction) == pytest.approx(np.sum(dy * (moved - y)), rel=1e-12)


def test_out_strides_empty_and_read_only(dtype, rng):
    x = rng.normal(size=(8, 6)).astype(dtype)
    expected, _ = dropout(np.ascontiguousarray(x.T), 0.5, 1)
    x.flags.writeable = False
    out = np.empty((6, 8), dtype)
    y, mask = dropout(x.T, 0.5, 1, out=out)
    assert y is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(
        dropout_backward(x.T, mask.T.copy().T, 0.5, out=out), np.where(mask, x.T / dtype.type(0.5), 0)
    )
    for shape in ((0,), (3, 0), ()):
        y, mask = dropout(np.ones(shape, dtype), 0.5, 1)
        assert y.shape == mask.shape == dropout_backward(y, mask, 0.5).shape == shape


@pytest.mark.parametrize("rate", [1, 1.0, 1.5, -0.1, np.nan, np.inf, "0.5", None, [0.5, 0.5]])
def test_rates_outside_the_range(rate):
    with pytest.raises(ConfigError, match=r"\[0, 1\)"):
        dropout(np.ones(3), rate, 1)
    with pytest.raises(ConfigError, match=r"\[0, 1\)"):
        dropout_backward(np.ones(3), np.ones(3, bool), rate)


@pytest.mark.parametrize("key", [-1, 2**64, 1.5, None, "1", np.int64(-3)])
def test_keys_outside_the_range(key):
    with pytest.raises(ConfigError, match=r"dropout\(key\): expected an integer"):
        dropout(np.ones(3), 0.5, key)


def test_bad_arrays():
    x = np.ones((2, 3))
    for bad in ([1.0], None, x.astype(int), x.astype(np.float16), x.astype(complex)):
        with pytest.raises(DTypeError):
            dropout(bad, 0.5, 1)
    for bad in (np.ones((2, 3)), np.ones((2, 3), np.int8), None, [[True] * 3] * 2):
        with pytest.raises(DTypeError):
            dropout_backward(x, bad, 0.5)
    with pytest.raises(ShapeError):
        dropout_backward(x, np.ones((3, 2), bool), 0.5)
    with pytest.raises(ShapeError):
        dropout(x, 0.5, 1, out=np.empty((2, 3), np.float32))
    with pytest.raises(ValueError, match="overlaps"):
        dropout(x, 0.5, 1, out=x)
