"""Convolution at the ops door: worked numbers, every shape against the oracle, adjointness and finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enilnets.errors import ConfigError, DTypeError, ShapeError
from enilnets.ops import conv
from enilnets.ops import isa as instruction_sets
from tests.reference import conv as oracle


def draw(rng, dtype, x_shape, w_shape):
    return [rng.normal(size=shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1])]


def check_against_oracle(rng, dtype, x_shape, w_shape, stride, padding, dilation=1, groups=1):
    """Forward and both backwards against the oracle, whose geometry is worked out here on its own."""
    x, w, b = draw(rng, dtype, x_shape, w_shape)
    strides, dilations, kernel = np.broadcast_to(stride, 2), np.broadcast_to(dilation, 2), np.array(w_shape[2:])
    span = (kernel - 1) * dilations + 1
    if padding == "same":
        size = np.ceil(np.array(x_shape[2:]) / strides).astype(int)
        before = np.maximum((size - 1) * strides + span - x_shape[2:], 0) // 2
    else:
        before = np.broadcast_to(padding, 2)
        size = (x_shape[2:] + 2 * before - span) // strides + 1
    geometry = tuple(int(v) for v in (*strides, *before, *size, *dilations, groups))
    eps = np.finfo(dtype).eps
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    y, saved = conv.conv2d(x, w, b, **how)
    assert y.dtype == dtype and y.shape == conv.conv2d_shape("test", x_shape, w_shape, **how)
    oracle.close(y, *oracle.conv2d(*oracle.double(x, w, b), geometry, eps))
    np.testing.assert_array_equal(conv.conv2d(x, w, b, relu=True, **how)[0], np.maximum(y, 0))
    dy = rng.normal(size=y.shape).astype(dtype)
    dx, dw, db = conv.conv2d_backward(dy, saved, w)
    oracle.close(dx, *oracle.conv2d_backward_input(*oracle.double(dy, w), x_shape, geometry, eps))
    want = oracle.conv2d_backward_weights(*oracle.double(dy, x), tuple(kernel), geometry, eps)
    oracle.close(dw, *want[:2])
    oracle.close(db, *want[2:])
    return x, w, b, y, saved, dy, dx


def test_worked_by_hand(isa, dtype):
    x = np.array([[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]], dtype)
    w = np.array([[[[1, 0], [0, -1]]]], dtype)
    y, saved = conv.conv2d(x, w, np.array([10], dtype))
    np.testing.assert_array_equal(y, [[[[6, 6], [6, 6]]]])  # 10 + 1 - 5, 10 + 2 - 6, ...
    dx, dw, db = conv.conv2d_backward(np.array([[[[1, 2], [3, 4]]]], dtype), saved, w)
    np.testing.assert_array_equal(dx, [[[[1, 2, 0], [3, 3, -2], [0, -3, -4]]]])
    np.testing.assert_array_equal(dw, [[[[1 + 4 + 12 + 20, 2 + 6 + 15 + 24], [4 + 10 + 21 + 32, 5 + 12 + 24 + 36]]]])
    np.testing.assert_array_equal(db, [10])


def test_same_padding_puts_the_odd_zero_below_and_right(isa):
    x, w = np.arange(1.0, 5).reshape(1, 1, 1, 4), np.array([[[[1.0, 10, 100]]]])
    np.testing.assert_array_equal(conv.conv2d(x, w, stride=2, padding="same")[0], [[[[321, 43]]]])
    np.testing.assert_array_equal(conv.conv2d(x, w, stride=1, padding="same")[0], [[[[210, 321, 432, 43]]]])
    np.testing.assert_array_equal(conv.conv2d(x, w[..., :2], stride=1, padding="same")[0], [[[[21, 32, 43, 4]]]])


#: x, w, stride, padding. Tiles are 4 or 8 outputs by 6 to 32 pixels; weight tiles 6 or 8 taps by 4 to 32 outputs.
CASES = [
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0),
    ((1, 1, 1, 1), (3, 1, 3, 3), 1, "same"),
    ((3, 2, 5, 5), (4, 2, 5, 5), 1, 0),
    ((1, 3, 11, 13), (5, 3, 3, 3), 2, "same"),
    ((3, 3, 12, 17), (7, 3, 5, 3), (2, 3), "same"),
    ((2, 3, 10, 10), (9, 3, 2, 2), 3, 0),
    ((2, 1, 9, 31), (1, 1, 1, 3), 1, (0, 1)),
    ((1, 4, 8, 32), (8, 4, 3, 3), 1, 1),
    ((1, 4, 8, 33), (33, 4, 1, 1), 1, 0),
    ((1, 5, 3, 200), (16, 5, 3, 7), (1, 2), (0, 3)),
    ((1, 2, 200, 3), (17, 2, 7, 3), (4, 1), (2, 1)),
    ((70, 2, 4, 4), (3, 2, 3, 3), 1, 0),
    ((0, 2, 4, 4), (3, 2, 3, 3), 1, 0),
    ((2, 0, 4, 4), (3, 0, 3, 3), 1, 1),
    ((2, 2, 4, 4), (0, 2, 3, 3), 1, 0),
    ((1, 130, 6, 6), (2, 130, 3, 3), 1, 1),
]


@pytest.mark.parametrize("x_shape, w_shape, stride, padding", CASES)
def test_agrees_with_the_oracle(rng, dtype, isa, x_shape, w_shape, stride, padding):
    check_against_oracle(rng, dtype, x_shape, w_shape, stride, padding)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_shape_agrees_with_the_oracle(data):
    sizes, small = st.integers(1, 40), st.integers(1, 6)
    groups = data.draw(st.integers(1, 5))
    n, c, o = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 35))
    image = data.draw(sizes), data.draw(sizes)
    kernel, stride = (data.draw(small), data.draw(small)), (data.draw(small), data.draw(small))
    dilation = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    padding = data.draw(st.one_of(st.just("same"), st.tuples(st.integers(0, 7), st.integers(0, 7))))
    dtype = np.dtype(data.draw(st.sampled_from(["float32", "float64"])))
    shapes = (n, c * groups, *image), (o * groups, c, *kernel)
    how = stride, padding, dilation, groups
    with instruction_sets.using(data.draw(st.sampled_from(instruction_sets.available()))):
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if padding != "same" and any(i + 2 * p < k for i, p, k in zip(image, padding, spans, strict=True)):
            with pytest.raises(ShapeError, match="does not fit"):
                conv.conv2d_shape("test", *shapes, *how)
        else:
            rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
            check_against_oracle(rng, dtype, *shapes, *how)


#: x, w, stride, padding, dilation, groups
OTHERS = [
    ((2, 4, 9, 10), (6, 2, 3, 3), 1, 1, 1, 2),
    ((2, 5, 9, 16), (5, 1, 3, 3), 1, 1, 1, 5),
    ((2, 5, 9, 10), (10, 1, 3, 3), 2, "same", 1, 5),
    ((1, 3, 12, 13), (4, 3, 3, 3), 1, "same", 2, 1),
    ((1, 2, 11, 40), (4, 1, 2, 3), (2, 3), (3, 1), (3, 2), 2),
    ((3, 33, 4, 4), (66, 1, 2, 2), 1, 0, 2, 33),
    ((0, 4, 5, 5), (4, 1, 3, 3), 1, 0, 2, 4),
]


@pytest.mark.parametrize("x_shape, w_shape, stride, padding, dilation, groups", OTHERS)
def test_dilation_and_groups(rng, dtype, isa, x_shape, w_shape, stride, padding, dilation, groups):
    x, w, b, y, *_ = check_against_oracle(rng, dtype, x_shape, w_shape, stride, padding, dilation, groups)
    each = [
        conv.conv2d(*part, stride=stride, padding=padding, dilation=dilation)[0]
        for part in zip(np.split(x, groups, 1), np.split(w, groups), np.split(b, groups), strict=True)
    ]
    np.testing.assert_array_equal(y, np.concatenate(each, 1))  # to the bit: a group is a convolution of its own


def test_a_dilated_kernel_is_one_with_zeros_between_its_taps(rng, dtype, isa):
    x, w, b = draw(rng, dtype, (2, 3, 14, 15), (4, 3, 3, 2))
    spread = np.zeros((4, 3, 5, 4), dtype)
    spread[:, :, ::2, ::3] = w
    y, saved = conv.conv2d(x, w, b, dilation=(2, 3), padding=1, stride=(1, 2))
    want, saved_spread = conv.conv2d(x, spread, b, padding=1, stride=(1, 2))
    np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)
    got, wanted = (conv.conv2d_backward(y, *pair) for pair in ((saved, w), (saved_spread, spread)))
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(got[1], wanted[1][:, :, ::2, ::3], rtol=1e-4, atol=1e-3)


def test_sequences_are_images_of_one_row(rng, dtype, isa):
    x, w, b = rng.normal(size=(3, 4, 23)).astype(dtype), rng.normal(size=(6, 2, 3)).astype(dtype), np.ones(6, dtype)
    how = {"stride": 2, "padding": 3, "dilation": 2, "groups": 2}
    y, saved = conv.conv1d(x, w, b, relu=True, **how)
    assert y.shape == (3, 6, 13) and (y >= 0).all()
    wide = np.pad(x, ((0, 0), (0, 0), (3, 3))).astype(float)
    want = [
        [(w[o] * wide[n, o // 3 * 2 : o // 3 * 2 + 2, 2 * i : 2 * i + 5 : 2]).sum() + 1 for i in range(13)]
        for n in range(3)
        for o in range(6)
    ]
    np.testing.assert_allclose(y, np.maximum(np.reshape(want, y.shape), 0), rtol=1e-4, atol=1e-5)
    dy = rng.normal(size=y.shape).astype(dtype)
    dw, db = np.empty(w.size, dtype), np.empty(6, dtype)
    got = conv.conv1d_backward(dy, saved, w, dw=dw, db=db)
    same = conv.conv2d_backward(dy[:, :, None], saved, w[:, :, None])
    assert [a.shape for a in got] == [x.shape, w.shape, b.shape] and np.shares_memory(got[1], dw)
    for array, wanted in zip(got, same, strict=True):
        np.testing.assert_array_equal(array, wanted.reshape(array.shape))
    assert conv.conv1d_backward(dy, saved, w, params=False)[1:] == (None, None)
    assert conv.conv1d(x, w[:, :, :1], padding="same", groups=2)[0].shape == (3, 6, 23)
    assert conv.conv1d_backward(dy, saved, w, inputs=False)[0] is None


def test_what_sequences_and_groups_must_fit(rng):
    x, w = np.ones((2, 4, 9)), np.ones((6, 2, 3))
    for bad in (
        {"stride": (1, 1)},
        {"padding": (0, 1)},
        {"dilation": 0},
        {"groups": 0},
        {"groups": 2.5},
        {"padding": "valid"},
    ):
        with pytest.raises(ConfigError):
            conv.conv1d(x, w, **{"groups": 2, **bad})
    for args in ((x[0], w), (x, w[0]), (x, w[:5]), (x[:, :3], w)):
        with pytest.raises(ShapeError):
            conv.conv1d(*args, groups=2)
    with pytest.raises(ShapeError, match="dilation 1x5"):
        conv.conv1d(x, w, groups=2, dilation=5)
    with pytest.raises(ShapeError, match="each of 3 groups"):
        conv.conv2d(np.ones((1, 4, 5, 5)), np.ones((6, 2, 3, 3)), groups=3)
    _, saved = conv.conv1d(x, w, groups=2)
    for dy, weights in (
        (np.ones((2, 6, 8)), w),
        (np.ones((2, 6, 7)), w[:5]),
        (np.ones((2, 6)), w),
        (np.ones((2, 6, 7)), w[0]),
    ):
        with pytest.raises(ShapeError):
            conv.conv1d_backward(dy, saved, weights)


def test_im2col_with_dilation_is_the_convolution(rng, dtype, isa):
    x, w, _ = draw(rng, dtype, (2, 3, 12, 11), (4, 3, 3, 2))
    col = conv.im2col(x, 3, 2, (2, 1), 2, (2, 3))
    y = conv.conv2d(x, w, stride=(2, 1), padding=2, dilation=(2, 3))[0]
    np.testing.assert_allclose(
        (col @ w.reshape(4, -1).T).T.reshape(4, 2, *y.shape[2:]).swapaxes(0, 1), y, rtol=1e-4, atol=1e-4
    )
    other = rng.normal(size=col.shape).astype(dtype)
    back = conv.col2im(other, x.shape, 3, 2, (2, 1), 2, (2, 3))
    assert abs((col * other).sum() - (x * back).sum()) <= 1e-4 * (1 + abs(col * other).sum())


@pytest.mark.parametrize("x_shape, w_shape, stride, padding", CASES)
def test_backward_is_the_adjoint_of_forward(rng, isa, x_shape, w_shape, stride, padding):
    """<conv(x, w), dy> = <x, dx> = <w, dw>, since the convolution is linear in each."""
    x, w, _ = draw(rng, np.float64, x_shape, w_shape)
    y, saved = conv.conv2d(x, w, stride=stride, padding=padding)
    dy = rng.normal(size=y.shape)
    dx, dw, _ = conv.conv2d_backward(dy, saved, w)
    want, size = (y * dy).sum(), np.sqrt((y**2).sum() * (dy**2).sum())
    for got in ((x * dx).sum(), (w * dw).sum()):
        assert abs(got - want) <= 1e-12 * size


@pytest.mark.parametrize("x_shape, w_shape, stride, padding", [case for case in CASES if 0 not in case[0] + case[1]])
def test_directional_finite_differences(rng, isa, x_shape, w_shape, stride, padding):
    arrays = draw(rng, np.float64, x_shape, w_shape)
    directions = draw(rng, np.float64, x_shape, w_shape)

    def loss(step):
        x, w, b = (a + step * d for a, d in zip(arrays, directions, strict=True))
        return np.sin(conv.conv2d(x, w, b, stride=stride, padding=padding)[0]).sum()

    y, saved = conv.conv2d(*arrays, stride=stride, padding=padding)
    gradients = conv.conv2d_backward(np.cos(y), saved, arrays[1])
    terms = [(g * d).sum() for g, d in zip(gradients, directions, strict=True)]
    step = 1e-6
    difference = (loss(step) - loss(-step)) / (2 * step)
    assert abs(difference - sum(terms)) <= 1e-6 * (abs(difference) + y.size)


@pytest.mark.parametrize("x_shape, w_shape, stride, padding", CASES)
def test_im2col_is_the_convolution_and_col2im_its_adjoint(rng, dtype, isa, x_shape, w_shape, stride, padding):
    x, w, _ = draw(rng, dtype, x_shape, w_shape)
    pad = 1 if padding == "same" else padding
    col = conv.im2col(x, *w_shape[2:], stride, pad)
    n, o, oh, ow = conv.conv2d_shape("test", x_shape, w_shape, stride, pad)
    assert col.shape == (n * oh * ow, w_shape[1] * w_shape[2] * w_shape[3]) and col.dtype == dtype
    y = (col @ w.reshape(o, col.shape[1]).T).reshape(n, oh, ow, o).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(conv.conv2d(x, w, stride=stride, padding=pad)[0], y, rtol=1e-4, atol=1e-4)
    other = rng.normal(size=col.shape).astype(dtype)
    back = conv.col2im(other, x_shape, *w_shape[2:], stride, pad)
    assert abs((col * other).sum() - (x * back).sum()) <= 1e-4 * (1 + abs(col * other).sum())


@pytest.mark.contract("F4")
def test_im2col_follows_its_documented_layout():
    x = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    col = conv.im2col(x, 2, 3, stride=2, pad=1).reshape(2, 3, 3, 3, 2, 3)  # n, i, j, channel, ky, kx
    assert col[1, 1, 1, 2, 0, 1] == x[1, 2, 1, 2]
    assert (col[:, 0, :, :, 0] == 0).all() and (col[:, :, 0, :, :, 0] == 0).all()  # above, left
    np.testing.assert_array_equal(col[1, 1, 1, 2], x[1, 2, 1:3, 1:4])


def test_outputs_do_not_depend_on_the_rest_of_the_batch(rng, dtype, isa):
    for size in (3, 9, 26):
        x, w, b = draw(rng, dtype, (20, 3, size, size), (10, 3, 3, 3))
        y, _ = conv.conv2d(x, w, b)
        for i in (0, 7, 19):
            np.testing.assert_array_equal(y[i : i + 1], conv.conv2d(x[i : i + 1], w, b)[0])


def test_same_bits_wherever_the_arrays_lie(rng, dtype, isa):
    x, w, b = draw(rng, dtype, (3, 3, 10, 9), (10, 3, 3, 3))
    dy = rng.normal(size=(3, 10, 8, 7)).astype(dtype)
    want = None
    for offset in (0, 1, 5):
        moved = [np.zeros(a.size + offset, dtype)[offset:].reshape(a.shape) for a in (x, w, b, dy)]
        for a, values in zip(moved, (x, w, b, dy), strict=True):
            a[...] = values
        y, saved = conv.conv2d(*moved[:3])
        got = [y, *conv.conv2d_backward(moved[3], saved, moved[1])]
        for a, values in zip(got, want or got, strict=True):
            np.testing.assert_array_equal(a, values)
        want = got


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_values_reach_what_they_touch_and_nothing_else(rng, dtype, isa, bad):
    x, w, b = draw(rng, dtype, (2, 2, 9, 10), (5, 2, 3, 3))
    x[1, 1, 0, 9] = bad
    y, saved = conv.conv2d(x, w, b)
    np.testing.assert_array_equal(np.argwhere(~np.isfinite(y))[:, [0, 2, 3]], [[1, 0, 7]] * 5)
    dy = np.ones_like(y)
    _, dw, db = conv.conv2d_backward(dy, saved, w)
    np.testing.assert_array_equal(np.argwhere(~np.isfinite(dw))[:, 1:], [[1, 0, 2]] * 5)
    assert np.isfinite(db).all()
    dy[1, 3, 6, 7] = bad
    dx = conv.conv2d_backward(dy, saved, w, params=False)[0]
    places = np.argwhere(~np.isfinite(dx))
    assert len(places) == 2 * 9 and (places.min(0) == [1, 0, 6, 7]).all() and (places.max(0) == [1, 1, 8, 9]).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.repeat(a, 2, -1)[..., ::2],
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: np.concatenate([np.zeros(1, np.int8), a.ravel().view(np.int8)])[1:].view(a.dtype).reshape(a.shape),
        lambda a: np.lib.stride_tricks.as_strided(a, a.shape, a.strides, writeable=False),
    ],
    ids=["strided", "fortran", "byte-swapped", "unaligned", "read-only"],
)
def test_any_memory_layout_of_the_inputs_is_read(rng, dtype, change):
    arrays = draw(rng, dtype, (2, 3, 9, 8), (4, 3, 3, 2))
    y, saved = conv.conv2d(*arrays)
    dy = rng.normal(size=y.shape).astype(dtype)
    want = conv.conv2d_backward(dy, saved, arrays[1])
    changed_y, changed_saved = conv.conv2d(*[change(a) for a in arrays])
    np.testing.assert_array_equal(changed_y, y)
    for got, wanted in zip(conv.conv2d_backward(change(dy), changed_saved, change(arrays[1])), want, strict=True):
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == dtype
    np.testing.assert_array_equal(conv.im2col(change(arrays[0]), 3, 2), conv.im2col(arrays[0], 3, 2))
    col = conv.im2col(arrays[0], 3, 2)
    np.testing.assert_array_equal(conv.col2im(change(col), (2, 3, 9, 8), 3, 2), conv.col2im(col, (2, 3, 9, 8), 3, 2))


def test_results_are_written_where_asked(rng, dtype):
    x, w, b = draw(rng, dtype, (2, 3, 9, 8), (4, 3, 3, 2))
    y, saved = conv.conv2d(x, w, b)
    out = np.full_like(y, np.nan)
    assert conv.conv2d(x, w, b, out=out)[0] is out
    np.testing.assert_array_equal(out, y)
    dy = rng.normal(size=y.shape).astype(dtype)
    dx, dw, db = conv.conv2d_backward(dy, saved, w)
    arena = np.full(w.size + b.size, np.nan, dtype)
    got = conv.conv2d_backward(dy, saved, w, dw=arena[: w.size], db=arena[w.size :])
    np.testing.assert_array_equal(arena, np.concatenate([dw.ravel(), db]))
    for array, want in zip(got, (dx, dw, db), strict=True):
        np.testing.assert_array_equal(array, want)
    shaped = np.full_like(w, np.nan)
    conv.conv2d_backward(dy, saved, w, dw=shaped, inputs=False)
    np.testing.assert_array_equal(shaped, dw)


def test_only_what_is_asked_for_is_returned(rng):
    x, w, b = draw(rng, np.float64, (2, 3, 9, 8), (4, 3, 3, 2))
    y, saved = conv.conv2d(x, w, b)
    assert saved[0] is x
    for params in (True, False):
        for inputs in (True, False):
            dx, dw, db = conv.conv2d_backward(y, saved, w, params=params, inputs=inputs)
            assert [a is not None for a in (dx, dw, db)] == [inputs, params, params]


def test_arguments_are_never_written(rng, dtype):
    arrays = draw(rng, dtype, (2, 3, 9, 8), (4, 3, 3, 2))
    before = [a.copy() for a in arrays]
    y, saved = conv.conv2d(*arrays)
    kept = y.copy()
    conv.conv2d_backward(y, saved, arrays[1])
    for a, b in zip([*arrays, y], [*before, kept], strict=True):
        np.testing.assert_array_equal(a, b)


X, W, B = np.ones((2, 3, 8, 8)), np.ones((4, 3, 3, 3)), np.ones(4)


@pytest.mark.parametrize(
    "error, message, arguments",
    [
        (ShapeError, r"expected shape \(batch, channels, height, width\)", {"x": X[0]}),
        (ShapeError, r"out_channels, channels", {"w": W[0]}),
        (ShapeError, r"3 channels", {"x": X[:, :2]}),
        (ShapeError, r"expected shape \(4,\)", {"b": B[:3]}),
        (
            ShapeError,
            r"the 3x3 kernel, which does not fit the 2x8 image; use padding= or a smaller",
            {"x": X[:, :, :2]},
        ),
        (ShapeError, r"at least 1x1", {"w": W[:, :, :0]}),
        (ShapeError, r"does not fit the 0x8 image", {"x": X[:, :, :0], "padding": "same"}),
        (ConfigError, r"stride.*>= 1", {"stride": 0}),
        (ConfigError, r"stride.*>= 1", {"stride": (1, 2, 3)}),
        (ConfigError, r"stride", {"stride": 1.5}),
        (ConfigError, r"stride", {"stride": 2**70}),
        (ConfigError, r"stride", {"stride": None}),
        (ConfigError, r"padding.*>= 0", {"padding": -1}),
        (ConfigError, r"padding", {"padding": (0, -1)}),
        (ConfigError, r'padding.*"same".*valid', {"padding": "valid"}),
        (DTypeError, r"dtype float64 like the other arrays, got dtype float32", {"w": W.astype(np.float32)}),
        (DTypeError, r"float64", {"b": B.astype(np.float32)}),
        (DTypeError, r"float32 or float64", {"x": X.astype(int)}),
        (DTypeError, r"float32 or float64", {"w": W.tolist()}),
        (ShapeError, r"out.*\(2, 4, 6, 6\)", {"out": np.zeros((2, 4, 6, 7))}),
        (ValueError, r"overlap", {"x": np.zeros((2, 4, 3, 3)), "w": np.ones((4, 4, 1, 1)), "out": "x"}),
    ],
)
def test_forward_says_what_is_wrong(error, message, arguments):
    arguments = {"x": X, "w": W, "b": B, **arguments}
    if isinstance(arguments.get("out"), str):
        arguments["out"] = arguments[arguments["out"]]
    with pytest.raises(error, match=message):
        conv.conv2d(arguments.pop("x"), arguments.pop("w"), arguments.pop("b"), **arguments)


@pytest.mark.parametrize(
    "error, message, arguments",
    [
        (ShapeError, r"dy.*\(2, 4, 6, 6\)", {"dy": np.ones((2, 4, 6, 5))}),
        (ShapeError, r"3 channels", {"w": W[:, :2]}),
        (ShapeError, r"dy", {"w": W[:3]}),
        (ShapeError, r"dw", {"dw": np.ones(7)}),
        (ShapeError, r"dw", {"dw": np.ones(2 * W.size)[::2]}),
        (ShapeError, r"dw", {"dw": W.astype(np.float32)}),
        (ShapeError, r"db", {"db": [0.0] * 4}),
        (DTypeError, r"dy.*float64", {"dy": np.ones((2, 4, 6, 6), np.float32)}),
    ],
)
def test_backward_says_what_is_wrong(error, message, arguments):
    saved = conv.conv2d(X, W, B)[1]
    arguments = {"dy": np.ones((2, 4, 6, 6)), "w": W, **arguments}
    with pytest.raises(error, match=message):
        conv.conv2d_backward(arguments.pop("dy"), saved, arguments.pop("w"), **arguments)


@pytest.mark.parametrize(
    "error, call",
    [
        (ShapeError, lambda: conv.im2col(X[0], 3, 3)),
        (ShapeError, lambda: conv.im2col(X, 9, 3)),
        (ConfigError, lambda: conv.im2col(X, 0, 3)),
        (ConfigError, lambda: conv.im2col(X, 3, 3, stride=0)),
        (ConfigError, lambda: conv.im2col(X, 3, 3, pad=-1)),
        (DTypeError, lambda: conv.im2col(X.astype(int), 3, 3)),
        (ShapeError, lambda: conv.col2im(np.ones((72, 26)), X.shape, 3, 3)),
        (ShapeError, lambda: conv.col2im(np.ones((72, 27)), (2, 3, 8), 3, 3)),
        (ShapeError, lambda: conv.col2im(np.ones((72, 27)), (-2, 3, 8, 8), 3, 3)),
        (ShapeError, lambda: conv.col2im(np.ones((72, 27)), 5, 3, 3)),
        (ShapeError, lambda: conv.col2im(np.ones(72), X.shape, 3, 3)),
    ],
)
def test_im2col_and_col2im_say_what_is_wrong(error, call):
    with pytest.raises(error):
        call()


def test_shape_of_the_output():
    def outputs(size, k, stride, padding):
        return conv.conv2d_shape("test", (2, 3, size, size), (4, 3, k, k), stride, padding)

    for size, k, stride, padding, expected in (
        (28, 3, 1, 0, 26),
        (28, 3, 1, 1, 28),
        (7, 3, 2, 0, 3),
        *[(size, 3, 2, "same", -(-size // 2)) for size in (1, 2, 5, 6)],
    ):
        assert outputs(size, k, stride, padding) == (2, 4, expected, expected)
    with pytest.raises(ShapeError, match="does not fit"):
        outputs(3, 5, 1, 0)
    with pytest.raises(ShapeError, match="at least 1x1"):
        outputs(3, 0, 1, 0)
    for bad in (
        (3, 1, 0, 0),
        (3, 1, 1, -1),
        (3, 1, 1, "valid"),
        (3, 1, 1, None),
        (3, 1, (1, 1, 1), 0),
        (3, 1, 2**41, 0),
    ):
        with pytest.raises(ConfigError):
            outputs(*bad)
