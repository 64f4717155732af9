"""enilnets._ext.gather called directly: results are in tests/reference/gather.py, here what it must refuse."""

import numpy as np
import pytest

from enilnets._ext import gather
from enilnets.ops.threads import num_threads
from tests.ext.spoil import WRONG_KINDS

TAKES = {"gather_rows": ("y", "table", "ids"), "sum_rows": ("dtable", "dy", "rows", "starts", "order")}
WRITTEN = {"gather_rows": "y", "sum_rows": "dtable"}
ARRAYS = [(kernel, name) for kernel, names in TAKES.items() for name in names]


def arguments(dtype):
    return {
        "y": np.full((4, 3), 9, dtype),
        "table": np.ones((5, 3), dtype),
        "ids": np.array([4, 0, 4, 1]),
        "dtable": np.full((5, 3), 9, dtype),
        "dy": np.ones((4, 3), dtype),
        "rows": np.array([0, 1, 4]),
        "starts": np.array([0, 1, 2, 4]),
        "order": np.array([1, 3, 0, 2]),
    }


def call(kernel, dtype, **changed):
    given = {**arguments(dtype), **changed}
    return getattr(gather, kernel)(*[given[name] for name in TAKES[kernel]])


@pytest.mark.parametrize("kernel, name", ARRAYS)
@pytest.mark.parametrize(
    "error, spoil",
    [
        *WRONG_KINDS,
        (ValueError, lambda a: a[None]),
        (ValueError, lambda a: np.repeat(a, 2, axis=-1)[..., ::2]),
    ],
)
def test_bad_arrays_are_refused(kernel, name, error, spoil, dtype):
    with pytest.raises(error):
        call(kernel, dtype, **{name: spoil(arguments(dtype)[name])})


@pytest.mark.parametrize("kernel, name", ARRAYS)
def test_what_is_written_must_be_writable_and_its_own(kernel, name, dtype):
    given = arguments(dtype)[name]
    given.flags.writeable = False
    if name != WRITTEN[kernel]:
        call(kernel, dtype, **{name: given})
        other = arguments(dtype)[WRITTEN[kernel]]
        memory = np.zeros(max(given.nbytes, other.nbytes), np.int8)
        shared = {
            n: memory[: a.nbytes].view(a.dtype).reshape(a.shape) for n, a in ((name, given), (WRITTEN[kernel], other))
        }
        with pytest.raises(ValueError, match="overlaps"):
            call(kernel, dtype, **shared)
        return
    with pytest.raises(ValueError, match="writable"):
        call(kernel, dtype, **{name: given})


@pytest.mark.parametrize(
    "changed",
    [
        dict(rows=np.array([0, 1, 5])),
        dict(rows=np.array([-1, 1, 4])),
        dict(rows=np.array([0, 4, 4])),
        dict(rows=np.array([0, 4, 1])),
        dict(rows=np.array([0, 1])),
        dict(starts=np.array([0, 1, 2, 3])),
        dict(starts=np.array([1, 1, 2, 4])),
        dict(starts=np.array([0, 3, 2, 4])),
        dict(starts=np.array([0, 1, 2**40, 4])),
        dict(starts=np.array([0, 4])),
        dict(order=np.array([1, 3, 0, 4])),
        dict(order=np.array([1, 3, -1, 2])),
        dict(order=np.array([1, 3, 0])),
    ],
    ids=str,
)
def test_places_outside_are_refused_and_never_written(changed, dtype):
    dtable = np.full((5, 3), 9, dtype)
    with pytest.raises(ValueError):
        call("sum_rows", dtype, dtable=dtable, **changed)
    assert (dtable == 9).all()


def test_bits_depend_on_no_number_of_threads(dtype, isa, rng):
    v, e, n = 3000, 50, 20_000
    table, dy = rng.normal(size=(v, e)).astype(dtype), rng.normal(size=(n, e)).astype(dtype)
    ids = np.minimum(rng.integers(0, v, n), rng.integers(0, v, n))
    order = np.argsort(ids, kind="stable")
    rows, starts = np.unique(ids[order], return_index=True)
    starts = np.append(starts, n)
    seen = set()
    for threads in (1, 2, 3, 8):
        y, dtable = np.zeros((n, e), dtype), table.copy()
        with num_threads(threads):
            assert gather.gather_rows(y, table, ids) == -1
            gather.sum_rows(dtable, dy, rows, starts, order, True)
        seen.add((y.tobytes(), dtable.tobytes()))
    assert len(seen) == 1


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_lowest_bad_id_is_reported_whatever_the_threads(threads, dtype):
    table, ids = np.ones((10, 40), dtype), np.zeros(50_000, np.int64)
    ids[[30_000, 30_001, 49_999]] = 10
    with num_threads(threads):
        assert gather.gather_rows(np.zeros((50_000, 40), dtype), table, ids) == 30_000
