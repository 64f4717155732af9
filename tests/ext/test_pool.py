"""enilnets._ext.pool called directly: results are in tests/reference/pool.py, here what it must refuse."""

import ctypes
import sys

import numpy as np
import pytest

from enilnets._ext import pool
from enilnets.ops.threads import num_threads
from tests.ext.spoil import WRONG_KINDS

SHAPE, POOLED = (2, 3, 5, 6), (2, 3, 2, 3)


def arguments(dtype):
    return {
        "y": np.full(POOLED, 9, dtype),
        "argmax": np.zeros(POOLED, np.int32),
        "x": np.ones(SHAPE, dtype),
        "dx": np.full(SHAPE, 9, dtype),
        "dy": np.ones(POOLED, dtype),
        "p": 2,
    }


TAKES = {
    "maxpool2d": ("y", "argmax", "x", "p"),
    "maxpool2d_backward": ("dx", "dy", "argmax"),
    "avgpool2d": ("y", "x", "p"),
    "avgpool2d_backward": ("dx", "dy", "p"),
    "adaptive_maxpool2d": ("y", "argmax", "x"),
    "adaptive_avgpool2d": ("y", "x"),
    "adaptive_avgpool2d_backward": ("dx", "dy"),
}
ARRAYS = [(kernel, name) for kernel, names in TAKES.items() for name in names if name != "p"]
WINDOWED = [kernel for kernel, names in TAKES.items() if "p" in names]


def call(kernel, dtype, **changed):
    given = {**arguments(dtype), **changed}
    return getattr(pool, kernel)(*[given[name] for name in TAKES[kernel]])


@pytest.mark.parametrize("kernel, name", ARRAYS)
@pytest.mark.parametrize(
    "error, spoil",
    [
        *WRONG_KINDS,
        (ValueError, lambda a: a[..., :0].copy()),
        (ValueError, lambda a: a[:1]),
        (ValueError, lambda a: a[:, :2].copy()),
        (ValueError, lambda a: a.reshape(6, *a.shape[2:])),
        (ValueError, lambda a: a.transpose(0, 1, 3, 2)),
        (ValueError, lambda a: np.repeat(a, 2, axis=3)[..., ::2]),
        (ValueError, lambda a: np.zeros(0, a.dtype)),
    ],
)
def test_bad_arrays_are_refused(kernel, name, error, spoil, dtype):
    with pytest.raises(error):
        call(kernel, dtype, **{name: spoil(arguments(dtype)[name])})


@pytest.mark.parametrize("kernel, name", ARRAYS)
def test_what_is_written_must_be_writable_and_its_own(kernel, name, dtype):
    given = arguments(dtype)[name]
    given.flags.writeable = False
    written = ("y", "dx") if kernel == "maxpool2d_backward" else ("y", "argmax", "dx")
    if name in written:
        with pytest.raises(ValueError, match="writable"):
            call(kernel, dtype, **{name: given})
    else:
        call(kernel, dtype, **{name: given})
    memory = np.zeros(2000, np.int8)  # int8 views let arrays of different dtype share memory
    arrays = {other: a for other, a in arguments(dtype).items() if other in TAKES[kernel] and other != "p"}
    shared = {other: memory[: a.nbytes].view(a.dtype).reshape(a.shape) for other, a in arrays.items()}
    with pytest.raises(ValueError, match="overlaps"):
        call(kernel, dtype, **shared)


@pytest.mark.parametrize("kernel", WINDOWED)
@pytest.mark.parametrize("p", [0, -1, 3, 6, 7, 2**62, -(2**62), -(2**63)])
def test_windows_that_do_not_fit_are_refused(kernel, p, dtype):
    with pytest.raises(ValueError):
        call(kernel, dtype, p=p)


@pytest.mark.parametrize("kernel", WINDOWED)
@pytest.mark.parametrize("p, error", [(2**63, OverflowError), (2.0, TypeError), ("2", TypeError), (None, TypeError)])
def test_windows_that_are_no_sizes_are_refused(kernel, p, error, dtype):
    with pytest.raises(error):
        call(kernel, dtype, p=p)


@pytest.mark.parametrize("kernel", WINDOWED)
def test_no_window_fits_an_empty_plane(kernel, dtype):
    for shape in ((2, 3, 0, 4), (2, 3, 4, 0)):
        images, maps = np.ones(shape, dtype), np.ones((2, 3, 0, 0), dtype)
        for p in (0, 1, 2):
            with pytest.raises(ValueError):
                call(kernel, dtype, p=p, x=images, dx=images, y=maps, dy=maps)


@pytest.mark.parametrize("place", [-1, 30, 31, 2**31 - 1, -(2**31), -30])
@pytest.mark.parametrize("index", [(0, 0, 0, 0), (0, 1, 1, 2), (1, 2, 1, 2)])
def test_a_place_outside_its_plane_is_refused_and_never_written(place, index, isa, dtype):
    memory = np.full((4, *SHAPE[1:]), 9, dtype)
    argmax = np.zeros(POOLED, np.int32)
    argmax[index] = place
    with pytest.raises(ValueError, match=f"planes of 5 x 6, got {place} at index"):
        call("maxpool2d_backward", dtype, dx=memory[1:3], argmax=argmax)
    assert (memory[[0, 3]] == 9).all()


@pytest.mark.parametrize("place", [0, 29])
def test_the_first_and_the_last_place_are_written(place, isa, dtype):
    dx = np.full(SHAPE, 9, dtype)
    call("maxpool2d_backward", dtype, dx=dx, argmax=np.full(POOLED, place, np.int32))
    assert (dx.reshape(6, 30)[:, place] == 6).all() and dx.sum() == 36


def test_planes_that_int32_cannot_count_are_refused():
    """The array only claims to be that large; a kernel that touched it would crash."""
    pixels = np.ones(1)
    huge = np.ctypeslib.as_array((ctypes.c_float * (2**31)).from_address(pixels.ctypes.data)).view(np.float32)
    for shape in ((1, 1, 2**16, 2**15), (1, 1, 2**31, 1), (1, 1, 1, 2**31)):
        with pytest.raises(ValueError, match=r"2\*\*31"):
            pool.maxpool2d(np.ones((1, 1, 1, 1), np.float32), None, huge.reshape(shape), 1)


@pytest.mark.parametrize("kernel", TAKES)
def test_no_planes_at_all(kernel, isa, dtype):
    for n, c in ((0, 3), (2, 0)):
        empty = {name: a[:n, :c].copy() for name, a in arguments(dtype).items() if name != "p"}
        call(kernel, dtype, **empty)


@pytest.mark.parametrize("kernel", TAKES)
def test_nothing_is_written_beyond_the_output(kernel, isa, dtype):
    name = "dx" if kernel.endswith("backward") else "y"
    for h in range(2, 12):
        for w in range(2, 40, 3):
            pooled = (1, 2, h // 2, w // 2)
            shape = (1, 2, h, w) if name == "dx" else pooled
            memory = np.full(np.prod(shape) + 64, 0.5, dtype)
            out = memory[32:-32].reshape(shape)
            places = np.full(np.prod(pooled) + 64, 7, np.int32)
            given = {
                "x": np.ones((1, 2, h, w), dtype),
                "dy": np.ones(pooled, dtype),
                "argmax": places[32:-32].reshape(pooled),
                name: out,
            }
            if kernel == "maxpool2d_backward":
                given["argmax"][:] = 0
            call(kernel, dtype, **given)
            assert (memory[:32] == 0.5).all() and (memory[-32:] == 0.5).all()
            assert (places[:32] == 7).all() and (places[-32:] == 7).all()
            assert (out != 0.5).all()


@pytest.mark.parametrize("kernel", TAKES)
def test_references_are_returned_after_errors(kernel, dtype):
    given = arguments(dtype)
    last = [name for name in TAKES[kernel] if name != "p"][-1]
    given[last] = given[last][:1].copy()
    before = {name: sys.getrefcount(a) for name, a in given.items() if name != "p"}
    for _ in range(1000):
        with pytest.raises(ValueError):
            getattr(pool, kernel)(*[given[name] for name in TAKES[kernel]])
    assert {name: sys.getrefcount(a) for name, a in given.items() if name != "p"} == before


@pytest.mark.parametrize("shape, p", [((31, 17, 20, 27), 2), ((3, 7, 101, 91), 3), ((2, 3, 190, 190), 5)])
def test_bits_depend_on_no_number_of_threads(shape, p, isa, dtype, rng):
    n, c, h, w = shape
    x, dy = rng.normal(size=shape).astype(dtype), rng.normal(size=(n, c, h // p, w // p)).astype(dtype)
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        (y, mean), (dx, spread) = np.full((2, *dy.shape), 9, dtype), np.full((2, *shape), 9, dtype)
        argmax = np.full(dy.shape, -1, np.int32)
        with num_threads(threads):
            pool.maxpool2d(y, argmax, x, p)
            pool.maxpool2d_backward(dx, dy, argmax)
            pool.avgpool2d(mean, x, p)
            pool.avgpool2d_backward(spread, dy, p)
        seen.add(tuple(a.tobytes() for a in (y, argmax, dx, mean, spread)))
    assert len(seen) == 1


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_first_bad_place_is_named_whatever_the_threads(threads, dtype):
    dx, dy = np.zeros((40, 10, 32, 32), dtype), np.zeros((40, 10, 16, 16), dtype)
    argmax = np.zeros(dy.shape, np.int32)
    argmax.flat[[50_000, 50_001, 90_000]] = 1024, -1, 5000
    with num_threads(threads), pytest.raises(ValueError, match="got 1024 at index 50000"):
        pool.maxpool2d_backward(dx, dy, argmax)
