"""ops.gather: what ids may be, sums by row, and what is refused."""

import numpy as np
import pytest

from enilnets.errors import DTypeError, LabelError, ShapeError
from enilnets.ops.gather import add_by_row, as_ids, embedding, embedding_backward


@pytest.mark.parametrize(
    "x",
    [
        [[0, 3], [2, 1]],
        np.array([[0, 3], [2, 1]], np.int8),
        np.array([[0, 3], [2, 1]], ">u4"),
        np.array([[0.0, 3.0], [2.0, 1.0]], np.float32),
        np.array([[0.0, 3.0], [2.0, 1.0]], np.float16),
        np.array([[0, 2], [3, 1]]).T,
        np.array([[0, 9, 3, 9], [2, 9, 1, 9]])[:, ::2],
    ],
    ids=str,
)
def test_ids_of_every_kind(x):
    ids = as_ids("f", "x", x, 4)
    assert ids.dtype == np.int64 and ids.flags.c_contiguous and ids.tolist() == [[0, 3], [2, 1]]


def test_ids_that_fit_are_not_copied():
    ids = np.array([[1, 2]])
    assert as_ids("f", "x", ids, 3) is ids
    assert as_ids("f", "x", [], 3).shape == (0,)


def test_large_ids_lose_nothing():
    large = 2**53 + 1
    assert as_ids("f", "x", [large]).tolist() == [large]
    assert as_ids("f", "x", np.array([2**63 - 1], np.uint64)).tolist() == [2**63 - 1]


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 0), (1, 2, 3)])
def test_embedding_is_indexing(shape, dtype, rng):
    table, ids = rng.normal(size=(7, 3)).astype(dtype), rng.integers(0, 7, shape)
    y, saved = embedding(ids, table)
    assert np.array_equal(y, table[ids]) and y.dtype == dtype and np.array_equal(saved, ids)
    dy = rng.normal(size=y.shape).astype(dtype)
    want = np.zeros((7, 3))
    np.add.at(want, ids, dy.astype(np.float64))
    np.testing.assert_allclose(embedding_backward(dy, saved, 7), want, rtol=0, atol=20 * np.finfo(dtype).eps)


def test_gradients_of_one_row_are_added_in_their_order():
    """In float32, 1e8 + 1 - 1e8 is 0 and 1e8 - 1e8 + 1 is 1."""
    dtable = np.zeros((2, 1), np.float32)
    for dy, want in (([1e8, 1, -1e8], 0), ([1e8, -1e8, 1], 1)):
        rows = add_by_row(dtable, np.array(dy, np.float32)[:, None], np.ones(3, np.int64), add=False)
        assert dtable.ravel().tolist() == [0, want] and rows.tolist() == [1]


def test_refusals(dtype):
    table = np.ones((4, 2), dtype)
    for ids in ([4], [-1], [0.5]):
        with pytest.raises(LabelError):
            embedding(np.array(ids), table)
    with pytest.raises(DTypeError):
        embedding(np.array([True]), table)
    with pytest.raises(ShapeError):
        embedding(np.array([1]), table[0])
    with pytest.raises(ShapeError):
        embedding_backward(np.ones((3, 2), dtype), np.array([1, 2]), 4)
    with pytest.raises(ShapeError):
        add_by_row(table, np.ones((2, 3), dtype), np.array([0, 1]))
    with pytest.raises(DTypeError):
        add_by_row(table, np.ones((1, 2), "f4" if dtype == "f8" else "f8"), np.array([0]))
