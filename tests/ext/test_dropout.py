"""enilnets._ext.dropout called directly: the hash, and what is refused; results are in tests/reference/dropout.py."""

import numpy as np
import pytest

from enilnets._ext import dropout
from enilnets.ops.threads import num_threads
from tests.reference.dropout import kept, splitmix64


def test_hash_is_the_published_splitmix64():
    # The first outputs of Vigna's splitmix64.c for the seed 1234567, as published with many ports of it.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert splitmix64(1234567, 4).tolist() == expected


@pytest.mark.parametrize(
    "error, change",
    [
        (TypeError, {"y": None}),
        (TypeError, {"x": [1.0] * 10}),
        (TypeError, {"x": np.ones(10, np.float16)}),
        (TypeError, {"mask": np.ones(10)}),
        (TypeError, {"mask": np.ones(10, np.int8)}),
        (ValueError, {"x": np.ones(9)}),
        (ValueError, {"x": np.ones((10, 1))}),
        (ValueError, {"x": np.ones(20)[::2]}),
        (ValueError, {"mask": np.ones(11, bool)}),
        (ValueError, {"mask": np.ones(20, bool)[::2]}),
        (TypeError, {"x": np.ones(10, np.float32)}),
        (OverflowError, {"key": -1}),
        (OverflowError, {"key": 2**64}),
        (ValueError, {"rate": 1.0}),
        (ValueError, {"rate": np.nan}),
    ],
)
def test_bad_arguments_are_refused_and_change_nothing(error, change):
    arguments = {"y": np.zeros(10), "mask": np.zeros(10, bool), "x": np.ones(10), "key": 1, "rate": 0.5, **change}
    with pytest.raises(error):
        dropout.forward(**arguments)
    if arguments["y"] is not None:
        assert not arguments["y"].any()
    assert "mask" in change or not arguments["mask"].any()
    if "key" not in change:
        names = {"y": "dx", "x": "dy", "mask": "mask", "rate": "rate"}
        with pytest.raises(error):
            dropout.backward(**{names[k]: v for k, v in arguments.items() if k in names})


def test_refuses_read_only_and_overlapping_outputs():
    y, mask, x = np.zeros(16), np.zeros(16, bool), np.ones(16)
    with pytest.raises(ValueError, match="overlaps"):
        dropout.forward(y, y[:2].view(bool), y, 1, 0.5)
    y.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        dropout.forward(y, mask, x, 1, 0.5)


def test_read_only_gradient_is_refused():
    dx = np.zeros(16)
    with pytest.raises(ValueError, match="overlaps"):
        dropout.backward(dx, dx, np.ones(16, bool), 0.5)
    dx.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        dropout.backward(dx, np.ones(16), np.ones(16, bool), 0.5)


def test_bits_depend_on_no_number_of_threads(isa, dtype, rng):
    n = 300_011
    x, dy = rng.normal(size=(2, n)).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        (y, dx), mask = np.full((2, n), 9, dtype), np.full(n, 9, np.uint8)
        with num_threads(threads):
            dropout.forward(y, mask, x, 77, 0.3)
            dropout.backward(dx, dy, mask, 0.3)
        seen.add((y.tobytes(), dx.tobytes(), mask.tobytes()))
    assert len(seen) == 1
    np.testing.assert_array_equal(mask, kept(77, 0.3, n))
