"""enilnets._ext.conv called directly: results are in tests/reference/conv.py, here what it must refuse."""

import sys

import numpy as np
import pytest

from enilnets._ext import conv
from enilnets.ops.threads import num_threads
from tests.ext.spoil import WRONG_KINDS

HUGE = sys.maxsize


def arguments(dtype):
    """Fitting arguments of every function, by name: two 3x8x8 images, four 3x2 kernels, stride 2 and 1."""
    x, w, y = np.ones((2, 3, 8, 8), dtype), np.ones((4, 3, 3, 2), dtype), np.ones((2, 4, 3, 7), dtype)
    b = np.ones(4, dtype)
    work = [np.zeros(needed, dtype) for needed, _ in conv.workspace(x.shape, w.shape, 2, 1, 0, 0, 3, 7)]
    steps = {"stride_h": 2, "stride_w": 1, "pad_top": 0, "pad_left": 0, "dilation_h": 1, "dilation_w": 1}
    window = dict(kh=3, kw=2, oh=3, ow=7, **steps)
    steps["groups"] = 1
    col = np.ones((2 * 3 * 7, 3 * 3 * 2), dtype)
    return {
        "conv2d": dict(x=x, w=w, b=b, y=y, work=work[0], **steps),
        "conv2d_backward_input": dict(dy=y, w=w, dx=x, work=work[1], **steps),
        "conv2d_backward_weights": dict(dy=y, x=x, dw=w, db=b, work=work[2], **steps),
        "im2col": dict(x=x, col=col, **window),
        "col2im": dict(col=col, x=x, **window),
    }


FUNCTIONS = tuple(arguments(np.float32))


@pytest.fixture(params=FUNCTIONS)
def function(request):
    return request.param


def call(name, given):
    return getattr(conv, name)(**given)


def test_arguments_fit(function, dtype, isa):
    call(function, arguments(dtype)[function])


@pytest.mark.parametrize(
    "error, change",
    [
        *WRONG_KINDS,
        (TypeError, lambda a: a.astype(np.float64 if a.dtype == np.float32 else np.float32)),
        (ValueError, lambda a: a[..., None]),
        (ValueError, lambda a: a.sum()),
        (ValueError, lambda a: a[:-1]),
        (ValueError, lambda a: np.repeat(a, 2, -1)[..., ::2]),
    ],
)
def test_bad_arrays_are_refused(function, dtype, error, change):
    given = arguments(dtype)[function]
    for name, array in given.items():
        if isinstance(array, np.ndarray):
            with pytest.raises(error):
                call(function, {**given, name: change(array)})


def test_missing_arrays_are_refused_but_for_the_bias(function, dtype):
    given = arguments(dtype)[function]
    for name, array in given.items():
        if name in ("b", "db"):
            call(function, {**given, name: None})
        elif isinstance(array, np.ndarray):
            with pytest.raises(TypeError):
                call(function, {**given, name: None})


def test_every_axis_must_fit(function, dtype):
    """One more along any axis is refused, except where it means padding, fewer taps used, or unused workspace."""
    given = arguments(dtype)[function]
    free = {"conv2d": {("x", 2), ("x", 3), ("y", 2), ("y", 3), ("w", 2), ("w", 3), ("work", 0)}}
    free["conv2d_backward_input"] = {("dx", 2), ("dx", 3), ("dy", 2), ("dy", 3), ("w", 2), ("w", 3), ("work", 0)}
    free["conv2d_backward_weights"] = {("x", 2), ("x", 3), ("dy", 2), ("dy", 3), ("dw", 2), ("dw", 3), ("work", 0)}
    free["im2col"] = free["col2im"] = {("x", 2), ("x", 3)}
    for name, array in given.items():
        for axis in range(array.ndim if isinstance(array, np.ndarray) else 0):
            changed = {**given, name: np.ones([n + (i == axis) for i, n in enumerate(array.shape)], dtype)}
            if "work" in given:
                changed["work"] = np.zeros(10**5, dtype)
            if (name, axis) in free[function]:
                call(function, changed)
            else:
                with pytest.raises(ValueError):
                    call(function, changed)


@pytest.mark.parametrize("bad", [-1, -HUGE - 1, HUGE, HUGE // 2, 2**40 + 1])
def test_numbers_out_of_range_are_refused(function, dtype, bad):
    given = arguments(dtype)[function]
    for name, value in given.items():
        if isinstance(value, int):
            with pytest.raises(ValueError):
                call(function, {**given, name: bad})
            with pytest.raises((OverflowError, TypeError)):
                call(function, {**given, name: 2**70})


@pytest.mark.parametrize("name", ["stride_h", "stride_w", "dilation_h", "dilation_w", "groups", "kh", "kw", "oh", "ow"])
def test_zero_is_refused_where_it_means_nothing(function, dtype, name):
    given = arguments(dtype)[function]
    if name in given:
        with pytest.raises(ValueError):
            call(function, {**given, name: 0})


@pytest.mark.parametrize("name", ["pad_top", "pad_left"])
def test_padding_beyond_everything_gives_zeros(dtype, isa, name):
    given = arguments(dtype)
    for padding in (9, 100, 2**40):
        call("conv2d", {**given["conv2d"], name: padding})
        assert (given["conv2d"]["y"] == 1).all()  # the bias
        call("conv2d_backward_input", {**given["conv2d_backward_input"], name: padding})
        assert (given["conv2d_backward_input"]["dx"] == 0).all()
        given = arguments(dtype)
        call("conv2d_backward_weights", {**given["conv2d_backward_weights"], name: padding})
        assert (given["conv2d_backward_weights"]["dw"] == 0).all()
        given = arguments(dtype)


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_groups_must_divide_channels_and_fit_the_weights(dtype, groups):
    for function in FUNCTIONS[:3]:
        with pytest.raises(ValueError):
            call(function, {**arguments(dtype)[function], "groups": groups})
    with pytest.raises(ValueError, match="groups"):
        conv.workspace((2, 6, 8, 8), (4, 2, 3, 2), 2, 1, 0, 0, 3, 7, groups=3)


def test_short_workspace_is_refused(dtype):
    for which, name in enumerate(FUNCTIONS[:3]):
        given = arguments(dtype)[name]
        needed = conv.workspace((2, 3, 8, 8), (4, 3, 3, 2), 2, 1, 0, 0, 3, 7)[which][0]
        with pytest.raises(ValueError, match=f"at least {needed} elements, got {needed - 1}"):
            call(name, {**given, "work": np.zeros(needed - 1, dtype)})


def test_a_workspace_for_one_thread_is_enough_whatever_the_limit(dtype, rng):
    x, w = rng.normal(size=(8, 8, 32, 32)).astype(dtype), rng.normal(size=(32, 8, 3, 3)).astype(dtype)
    results = []
    for threads in (1, 3):
        with num_threads(threads):
            needed = conv.workspace(x.shape, w.shape, 1, 1, 1, 1, 32, 32)
            assert all((least < most) == (threads > 1) for least, most in needed)
            least = [np.full(size, np.nan, dtype) for size, _ in needed]
            y, dx, dw = np.empty((8, 32, 32, 32), dtype), np.empty_like(x), np.empty_like(w)
            conv.conv2d(x, w, None, y, least[0], 1, 1, 1, 1)
            conv.conv2d_backward_input(y, w, dx, least[1], 1, 1, 1, 1)
            conv.conv2d_backward_weights(y, x, dw, None, least[2], 1, 1, 1, 1)
            results.append(b"".join(a.tobytes() for a in (y, dx, dw)))
    assert results[0] == results[1]


#: x, outputs, kernel, stride, padding, dilation, groups; images are cut into pixels and channels where there are few,
#: and sums into chunks.
THREADED = [
    ((64, 1, 28, 28), 32, 3, 1, 0, 1, 1),
    ((7, 9, 16, 17), 70, 3, 1, 1, 1, 1),
    ((1, 40, 26, 26), 64, 3, 1, 0, 1, 1),
    ((300, 24, 4, 4), 40, 3, 1, 1, 1, 1),
    ((9, 5, 16, 32), 33, 3, 1, 1, 1, 1),
    ((5, 36, 31, 33), 72, 3, 2, 1, 1, 3),
    ((40, 48, 20, 20), 48, 3, 1, 2, 2, 48),
    ((1, 48, 64, 64), 48, 3, 1, 1, 1, 48),
]


@pytest.mark.parametrize("x_shape, outputs, kernel, stride, padding, dilation, groups", THREADED)
def test_bits_depend_on_no_number_of_threads(
    dtype, isa, rng, x_shape, outputs, kernel, stride, padding, dilation, groups
):
    x = rng.normal(size=x_shape).astype(dtype)
    w = rng.normal(size=(outputs, x_shape[1] // groups, kernel, kernel)).astype(dtype)
    b = rng.normal(size=outputs).astype(dtype)
    size = [(n + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1 for n in x_shape[2:]]
    dy = rng.normal(size=(len(x), outputs, *size)).astype(dtype)
    before, behind = (stride, stride, padding, padding), (dilation, dilation, groups)
    seen = set()
    for threads in (1, 2, 3, 4, 8):
        with num_threads(threads):
            needed = conv.workspace(x.shape, w.shape, *before, *size, *behind)
            work = [np.full(most, np.nan, dtype) for _, most in needed]
            assert all((least < most) == (threads > 1) for least, most in needed)
            results = y, dx, dw, db = [np.full(a.shape, np.nan, dtype) for a in (dy, x, w, b)]
            conv.conv2d(x, w, b, y, work[0], *before, *behind)
            conv.conv2d_backward_input(dy, w, dx, work[1], *before, *behind)
            conv.conv2d_backward_weights(dy, x, dw, db, work[2], *before, *behind)
        seen.add(b"".join(a.tobytes() for a in results))
    assert len(seen) == 1 and not any(np.isnan(a).any() for a in results)


def test_workspace_of_absurd_sizes_is_absurd_not_small():
    for shape in [(1, 2**62, 1, 1), (2**62, 3, 3, 3), (0, 2**40, 2**40, 2**40)]:
        for needed in conv.workspace(shape, (2**30, shape[1], 2**39, 2**39), 1, 1, 0, 0, 2**39, 2**39):
            assert min(needed) > 2**61


@pytest.mark.parametrize(
    "shapes", [((-1, 1, 1, 1), (1, 1, 1, 1)), ((1, 1, 1, 1), (-1, 1, 1, 1)), ((1, 1), (1, 1, 1, 1))]
)
def test_workspace_refuses_what_is_no_shape(shapes):
    with pytest.raises(ValueError):
        conv.workspace(*shapes, 1, 1, 0, 0, 1, 1)


def test_empty_arrays_of_absurd_shape_are_refused_or_done_at_once(dtype):
    x = np.zeros((0, 2**20, 2**20, 2**10), dtype)
    y = np.zeros((0, 1, 2**20, 2**10), dtype)
    with pytest.raises(ValueError, match="work"):
        conv.conv2d(x, np.zeros((1, 2**20, 1, 1), dtype), None, y, np.zeros(10, dtype), 1, 1, 0, 0)
    conv.im2col(np.zeros((2**30, 0, 1, 1), dtype), np.zeros((2**40, 0), dtype), 1, 1, 1, 1, 0, 0, 2**5, 2**5)
    conv.col2im(np.zeros((2**40, 0), dtype), np.zeros((2**30, 0, 1, 1), dtype), 1, 1, 1, 1, 0, 0, 2**5, 2**5)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_overlapping_and_read_only_results_are_refused(function, dtype):
    given = arguments(dtype)[function]
    arrays = [name for name, value in given.items() if isinstance(value, np.ndarray)]
    written = {"conv2d": ["y", "work"], "conv2d_backward_input": ["dx", "work"], "im2col": ["col"], "col2im": ["x"]}
    for name in written.get(function, ["dw", "db", "work"]):
        frozen = given[name].copy()
        frozen.flags.writeable = False
        with pytest.raises(ValueError, match="writable"):
            call(function, {**given, name: frozen})
        for other in set(arrays) - {name}:
            block = np.zeros(2 * 10**4, dtype)
            views = {key: block[: given[key].size].reshape(given[key].shape) for key in (name, other)}
            with pytest.raises(ValueError, match="overlap"):
                call(function, {**given, **views})


def test_references_are_returned_after_errors(function, dtype):
    given = arguments(dtype)[function]
    arrays = [value for value in given.values() if isinstance(value, np.ndarray)]
    before = [sys.getrefcount(array) for array in arrays]
    for _ in range(100):
        with pytest.raises(ValueError):
            call(function, {**given, "stride_h": 0})
    for name in given:
        if isinstance(given[name], np.ndarray):
            with pytest.raises(ValueError):
                call(function, {**given, name: np.zeros((0, 0, 0), dtype)})
    assert [sys.getrefcount(array) for array in arrays] == before
