"""enilnets._ext.sparse called directly: what is refused, threads; results are in tests/reference/sparse.py."""

import numpy as np
import pytest

from enilnets._ext import sparse
from enilnets.ops.threads import num_threads
from tests.reference.sparse import rows


def arguments():
    values, index, start = np.ones(3), np.array([0, 2, 1], np.int32), np.array([0, 2, 3])
    return {"y": np.zeros((2, 4)), "values": values, "index": index, "start": start, "x": np.ones((3, 4))}


@pytest.mark.parametrize(
    "error, change",
    [
        (TypeError, {"x": None}),
        (TypeError, {"x": np.ones((3, 4), np.float32)}),
        (ValueError, {"x": np.ones((4, 3)).T}),
        (ValueError, {"x": np.ones((2, 4))}),  # the matrix has a column 2
        (ValueError, {"y": np.zeros((2, 5))}),
        (ValueError, {"y": np.zeros((3, 4))}),
        (TypeError, {"values": np.ones(3, int)}),
        (ValueError, {"values": np.ones(4)}),
        (TypeError, {"index": np.array([0, 2, 1])}),
        (ValueError, {"index": np.array([0, -1, 1], np.int32)}),
        (ValueError, {"index": np.array([0, 3, 1], np.int32)}),
        (TypeError, {"start": np.array([0, 2, 3], np.int32)}),
        (ValueError, {"start": np.array([0, 2, 4])}),
        (ValueError, {"start": np.array([1, 2, 3])}),
        (ValueError, {"start": np.array([0, 4, 3])}),
        (ValueError, {"start": np.array([0, -1, 3])}),
    ],
)
def test_refuses(error, change):
    given = {**arguments(), **change}
    with pytest.raises(error):
        sparse.product(**given)
    assert not given["y"].any()


def test_refuses_overlap():
    y = np.ones((3, 3))
    with pytest.raises(ValueError, match="overlaps"):
        sparse.product(y, np.ones(0), np.zeros(0, np.int32), np.zeros(4, np.int64), y)


def test_bits_depend_on_no_number_of_threads(isa, dtype, rng):
    a = rng.normal(size=(400, 300)).astype(dtype) * (rng.random((400, 300)) < 0.2)
    x, seen = rng.normal(size=(300, 200)).astype(dtype), set()
    for threads in (1, 2, 4):
        y = np.full((400, 200), 9, dtype)
        with num_threads(threads):
            sparse.product(y, *rows(a), x)
        seen.add(y.tobytes())
    assert len(seen) == 1
