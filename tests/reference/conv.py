"""NumPy oracles of the kernels in csrc/kernels/conv.c, in float64, from the definition of the sum over each window.

A geometry is (stride_h, stride_w, pad_top, pad_left, oh, ow, dilation_h, dilation_w, groups), the last three optional.
Every oracle also returns, for each element of its result, a bound on the rounding error of a sum in any order: (number
of terms) eps (sum of their absolute values).
"""

import numpy as np

from enilnets._ext import conv

#: x (n, c, h, w), output channels, kernel, strides, padding above and left, outputs, and where they are not 1,
#: dilations and groups. Each is there for a reason.
SHAPES = [
    ((1, 1, 1, 1), 1, (1, 1), (1, 1), (0, 0), (1, 1)),  # the smallest
    ((2, 3, 7, 5), 4, (3, 3), (1, 1), (0, 0), (5, 3)),  # fewer pixels than one tile: images share panels
    ((3, 2, 11, 13), 8, (3, 3), (1, 1), (1, 1), (11, 13)),  # padding, primes
    ((2, 5, 9, 34), 9, (3, 2), (1, 1), (0, 0), (7, 33)),  # one more than a tile of rows and of columns
    ((2, 7, 8, 33), 7, (1, 2), (1, 1), (0, 0), (8, 32)),  # exactly one tile of columns per row
    ((1, 3, 24, 24), 17, (1, 1), (1, 1), (0, 0), (24, 24)),  # kernel 1: rows without a gap
    ((3, 4, 6, 5), 33, (6, 5), (1, 1), (0, 0), (1, 1)),  # the kernel is the image
    ((2, 2, 10, 11), 5, (2, 3), (3, 5), (0, 0), (3, 2)),  # strides above the kernel, rows and columns left over
    ((2, 3, 12, 15), 31, (3, 5), (2, 2), (0, 1), (6, 8)),  # asymmetric "same" padding, stride 2
    ((1, 2, 5, 4), 3, (4, 4), (3, 2), (5, 6), (6, 9)),  # windows that see nothing but padding
    ((0, 3, 6, 6), 4, (3, 3), (1, 1), (0, 0), (4, 4)),  # no images
    ((2, 0, 6, 6), 4, (3, 3), (1, 1), (0, 0), (4, 4)),  # no channels: y is the bias
    ((2, 3, 6, 6), 0, (3, 3), (1, 1), (0, 0), (4, 4)),  # no outputs: dx is zero
    ((2, 3, 0, 4), 2, (3, 3), (1, 1), (1, 1), (1, 4)),  # nothing but padding
    ((130, 1, 3, 3), 2, (2, 2), (1, 1), (0, 0), (2, 2)),  # more images than one group
    ((3, 40, 9, 9), 20, (3, 3), (1, 1), (1, 1), (9, 9)),  # longer sums
    ((2, 3, 5, 32), 13, (3, 3), (1, 1), (1, 1), (5, 32)),  # whole vectors in every row: nothing is packed
    (
        (2, 2, 9, 16),
        5,
        (3, 3),
        (1, 1),
        (3, 4),
        (12, 20),
    ),  # more padding than taps: the input gradient sees a part of dy
    ((2, 3, 12, 13), 5, (3, 2), (1, 1), (2, 1), (12, 12), (2, 3)),  # dilation with padding
    ((2, 2, 16, 15), 4, (3, 3), (2, 3), (0, 2), (6, 5), (2, 2)),  # dilation and stride with and without common factor
    ((1, 1, 3, 40), 2, (2, 4), (5, 7), (0, 0), (1, 2), (1, 9)),  # stride above, dilation above the stride
    ((2, 6, 8, 9), 10, (3, 3), (1, 1), (1, 1), (8, 9), (1, 1), 2),  # groups
    ((3, 7, 7, 16), 7, (3, 3), (1, 1), (1, 1), (7, 16), (1, 1), 7),  # depthwise
    ((2, 5, 9, 11), 5, (3, 3), (2, 2), (1, 1), (5, 6), (1, 1), 5),  # depthwise with stride
    ((2, 3, 6, 37), 6, (1, 5), (1, 1), (0, 4), (6, 37), (1, 2), 3),  # depthwise, two kernels per channel, dilation
    ((2, 66, 4, 4), 70, (2, 2), (1, 1), (0, 0), (3, 3), (1, 1), 2),  # groups of more than one block of outputs
    ((2, 0, 4, 4), 0, (2, 2), (1, 1), (0, 0), (3, 3), (1, 1), 4),  # groups of nothing
]


def dilations_and_groups(geometry):
    return (*geometry[6:8], geometry[8]) if len(geometry) > 6 else (1, 1, 1)


def windows(x, kernel, geometry):
    """View of x as (n, c, oh, ow, kh, kw), on a zero-padded copy."""
    stride_h, stride_w, pad_top, pad_left, oh, ow = geometry[:6]
    dilation_h, dilation_w, _ = dilations_and_groups(geometry)
    span = (kernel[0] - 1) * dilation_h + 1, (kernel[1] - 1) * dilation_w + 1
    height, width = (oh - 1) * stride_h + span[0], (ow - 1) * stride_w + span[1]
    padded = np.zeros((*x.shape[:2], max(height, x.shape[2] + pad_top), max(width, x.shape[3] + pad_left)))
    padded[:, :, pad_top : pad_top + x.shape[2], pad_left : pad_left + x.shape[3]] = x
    view = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(2, 3), writeable=True)
    view = view[:, :, : height - span[0] + 1 : stride_h, : width - span[1] + 1 : stride_w]
    return padded, view[..., ::dilation_h, ::dilation_w]


def by_group(function, geometry, axes, *arrays):
    """Apply ``function`` to every group of ``arrays``, cut along ``axes``; join the results along the second axis."""
    groups = dilations_and_groups(geometry)[2]
    cut = [np.split(a, groups, axis) for a, axis in zip(arrays, axes, strict=True)]
    return [np.concatenate(results, min(1, results[0].ndim - 1)) for results in zip(*map(function, *cut), strict=True)]


def im2col(x, kernel, geometry):
    shape = len(x) * geometry[4] * geometry[5], x.shape[1] * kernel[0] * kernel[1]
    return windows(x, kernel, geometry)[1].transpose(0, 2, 3, 1, 4, 5).reshape(shape)


def scatter(cols, x_shape, kernel, geometry):
    """The adjoint of ``windows``: cols (n, c, oh, ow, kh, kw) added up into x."""
    padded, view = windows(np.zeros(x_shape), kernel, geometry)
    for i in range(geometry[4]):
        for j in range(geometry[5]):
            view[:, :, i, j] += cols[:, :, i, j]
    top, left = geometry[2:4]
    return padded[:, :, top : top + x_shape[2], left : left + x_shape[3]]


def conv2d(x, w, b, geometry, eps=0.0):
    def outputs(x, w):
        view = windows(x, w.shape[2:], geometry)[1]
        return [np.einsum("nchwij,ocij->nohw", *pair) for pair in ((view, w), (abs(view), abs(w)))]

    y, size = by_group(outputs, geometry, (1, 0), x, w)
    if b is not None:
        y, size = y + b[:, None, None], size + abs(b)[:, None, None]
    return y, (w[0:1].size + 1) * eps * size


def conv2d_backward_input(dy, w, x_shape, geometry, eps=0.0):
    groups = dilations_and_groups(geometry)[2]

    def gradient(dy, w):
        shape = x_shape[0], x_shape[1] // groups, *x_shape[2:]
        return [
            scatter(np.einsum("nohw,ocij->nchwij", *pair), shape, w.shape[2:], geometry)
            for pair in ((dy, w), (abs(dy), abs(w)))
        ]

    dx, size = by_group(gradient, geometry, (1, 0), dy, w)
    return dx, len(w) * w[0, 0].size * eps * size if w.size else 0.0


def conv2d_backward_weights(dy, x, kernel, geometry, eps=0.0):
    def gradient(dy, x):
        view = windows(x, kernel, geometry)[1]
        return [np.einsum("nohw,nchwij->coij", *pair) for pair in ((dy, view), (abs(dy), abs(view)))]

    terms = dy[:, :1].size
    dw, size = [a.swapaxes(0, 1) for a in by_group(gradient, geometry, (1, 1), dy, x)]
    return dw, terms * eps * size, dy.sum((0, 2, 3)), terms * eps * abs(dy).sum((0, 2, 3))


def close(got, want, bound):
    assert got.shape == want.shape
    assert (abs(got - want) <= bound).all(), f"error {abs(got - want).max()}, bound {np.max(bound)}"


def work_for(which, x, w, geometry, dtype):
    """Exactly as much workspace as asked for, filled with NaN so that nothing unset can leak into a result."""
    return np.full(conv.workspace(x.shape, w.shape, *geometry)[which][1], np.nan, dtype)


def arrays(rng, dtype):
    """For every entry of SHAPES: x, w, b, dy in ``dtype``, and the geometry."""
    for x_shape, outputs, kernel, strides, padding, size, *more in SHAPES:
        dilations, groups = (*more, (1, 1), 1)[:2] if len(more) != 1 else (more[0], 1)
        shapes = x_shape, (outputs, x_shape[1] // groups, *kernel), (outputs,), (x_shape[0], outputs, *size)
        yield (
            *[rng.normal(size=shape).astype(dtype) for shape in shapes],
            (*strides, *padding, *size, *dilations, groups),
        )


def steps(geometry):
    """What the compiled convolutions take behind the workspace."""
    return (*geometry[:4], *geometry[6:])


def double(*arrays):
    return [a.astype(np.float64) for a in arrays]


def case_im2col(rng, dtype):
    for x, w, _, _, geometry in arrays(rng, dtype):
        want = im2col(x, w.shape[2:], geometry)
        col = np.full(want.shape, np.nan, dtype)
        conv.im2col(x, col, *w.shape[2:], *geometry[:8])
        np.testing.assert_array_equal(col, want)


def case_col2im(rng, dtype):
    for x, w, _, _, geometry in arrays(rng, dtype):
        n, c, kernel, size = *x.shape[:2], w.shape[2:], geometry[4:6]
        col = rng.normal(size=(n * size[0] * size[1], c * kernel[0] * kernel[1])).astype(dtype)
        cols = col.astype(np.float64).reshape(n, *size, c, *kernel).transpose(0, 3, 1, 2, 4, 5)
        got = np.full_like(x, np.nan)
        conv.col2im(col, got, *kernel, *geometry[:8])
        bound = kernel[0] * kernel[1] * np.finfo(dtype).eps * scatter(abs(cols), x.shape, kernel, geometry)
        close(got, scatter(cols, x.shape, kernel, geometry), bound)


def case_conv2d(rng, dtype):
    for x, w, b, dy, geometry in arrays(rng, dtype):
        for bias in (b, None):
            y, positive = np.full_like(dy, np.nan), np.full_like(dy, np.nan)
            work = work_for(0, x, w, geometry, dtype)
            conv.conv2d(x, w, bias, y, work, *steps(geometry))
            conv.conv2d(x, w, bias, positive, work, *steps(geometry), relu=True)
            np.testing.assert_array_equal(positive, np.maximum(y, 0))
            bias = bias if bias is None else bias.astype(float)
            close(y, *conv2d(*double(x, w), bias, geometry, np.finfo(dtype).eps))


def case_conv2d_backward_input(rng, dtype):
    for x, w, _, dy, geometry in arrays(rng, dtype):
        dx = np.full_like(x, np.nan)
        conv.conv2d_backward_input(dy, w, dx, work_for(1, x, w, geometry, dtype), *steps(geometry))
        close(dx, *conv2d_backward_input(*double(dy, w), x.shape, geometry, np.finfo(dtype).eps))
        positive = np.full_like(x, np.nan)
        work = work_for(1, x, w, geometry, dtype)
        conv.conv2d_backward_input(dy, w, positive, work, *steps(geometry), positive=x)
        np.testing.assert_array_equal(positive, np.where(x > 0, dx, 0))


def case_conv2d_backward_weights(rng, dtype):
    for x, w, b, dy, geometry in arrays(rng, dtype):
        want = conv2d_backward_weights(*double(dy, x), w.shape[2:], geometry, np.finfo(dtype).eps)
        for db in (np.full_like(b, np.nan), None):
            dw = np.full_like(w, np.nan)
            work = work_for(2, x, w, geometry, dtype)
            conv.conv2d_backward_weights(dy, x, dw, db, work, *steps(geometry))
            close(dw, *want[:2])
            if db is not None:
                close(db, *want[2:])


#: One case per kernel: runs it in the given dtype and compares with the oracle.
CASES = {
    "im2col": case_im2col,
    "col2im": case_col2im,
    "conv2d": case_conv2d,
    "conv2d_backward_input": case_conv2d_backward_input,
    "conv2d_backward_weights": case_conv2d_backward_weights,
    "conv2d_add_weights": case_conv2d_backward_weights,
}
