"""Two-dimensional convolution over channels-first images. No arithmetic here: see kernels/conv.c.

Every function takes the strides, the zero padding above and to the left, and as many outputs as its arrays say; what a
window covers below and to the right of the image is padding too.
"""
from arrays cimport ANY, Arrays, axis, optional, real, release

cdef extern from "kernels/conv.h" nogil:
    ctypedef struct conv_geometry:
        Py_ssize_t n, c, h, w, o, kh, kw, stride_h, stride_w, pad_top, pad_left, oh, ow
    Py_ssize_t EN_CONV_MOST
    Py_ssize_t conv2d_workspace(conv_geometry *g)
    Py_ssize_t conv2d_backward_input_workspace(conv_geometry *g)
    Py_ssize_t conv2d_backward_weights_workspace(conv_geometry *g)
    void im2col_kernel "im2col"(int dtype, void *col, void *x, conv_geometry *g)
    void col2im_kernel "col2im"(int dtype, void *x, void *col, conv_geometry *g)
    void conv2d_kernel "conv2d"(int dtype, void *y, void *x, void *weights, void *b, void *work, conv_geometry *g)
    void conv2d_backward_input_kernel "conv2d_backward_input"(
        int dtype, void *dx, void *dy, void *weights, void *work, conv_geometry *g)
    void conv2d_backward_weights_kernel "conv2d_backward_weights"(
        int dtype, void *dw, void *db, void *dy, void *x, void *work, conv_geometry *g)

include "runtime/module.pxi"

MOST = EN_CONV_MOST  # stride, padding, kernel side and extent of all windows


cdef int check_axis(str name, Py_ssize_t outputs, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad) except -1:
    """Refuse what the kernels cannot index along one axis."""
    if outputs < 1 or kernel < 1:
        raise ValueError(f"{name}: expected at least one output and one tap, got {outputs} and {kernel}")
    if not 1 <= stride <= EN_CONV_MOST or not 0 <= pad <= EN_CONV_MOST:
        raise ValueError(f"{name}: expected 1 <= stride and 0 <= padding, at most {EN_CONV_MOST}; got {stride}, {pad}")
    if kernel > EN_CONV_MOST or outputs - 1 > (EN_CONV_MOST - kernel) // stride:
        raise ValueError(f"{name}: {outputs} outputs of kernel {kernel} and stride {stride} span too much")
    return 0


cdef int check_geometry(conv_geometry *g) except -1:
    check_axis("height", g.oh, g.kh, g.stride_h, g.pad_top)
    check_axis("width", g.ow, g.kw, g.stride_w, g.pad_left)
    return 0


cdef void *take_work(Arrays *arrays, object work, Py_ssize_t needed) except NULL:
    """Pointer to a vector of at least ``needed`` elements."""
    pointer = real(arrays, work, "work", 1, True)
    if axis(arrays, arrays.count - 1, 0) < needed:
        raise ValueError(f"work: expected at least {needed} elements, got {axis(arrays, arrays.count - 1, 0)}")
    return pointer


cdef void set_steps(conv_geometry *g, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
                    Py_ssize_t pad_left) noexcept:
    g.stride_h, g.stride_w, g.pad_top, g.pad_left = stride_h, stride_w, pad_top, pad_left


cdef void *take_image(Arrays *arrays, conv_geometry *g, object x, str name, bint write) except NULL:
    """Pointer to ``x`` (n, c, h, w), whose shape becomes that of ``g``."""
    pointer = real(arrays, x, name, 4, write)
    cdef int index = arrays.count - 1
    g.n, g.c, g.h, g.w = axis(arrays, index, 0), axis(arrays, index, 1), axis(arrays, index, 2), axis(arrays, index, 3)
    return pointer


cdef void *take_weights(Arrays *arrays, conv_geometry *g, object w, str name, bint write) except NULL:
    """Pointer to ``w`` (o, c, kh, kw) for the channels of ``g``, which gets the other sizes."""
    pointer = real(arrays, w, name, 4, write, ANY, g.c)
    cdef int index = arrays.count - 1
    g.o, g.kh, g.kw = axis(arrays, index, 0), axis(arrays, index, 2), axis(arrays, index, 3)
    return pointer


cdef void *take_outputs(Arrays *arrays, conv_geometry *g, object y, str name, bint write) except NULL:
    """Pointer to ``y`` (n, o, oh, ow); with its size ``g`` is complete, and checked."""
    pointer = real(arrays, y, name, 4, write, g.n, g.o)
    cdef int index = arrays.count - 1
    g.oh, g.ow = axis(arrays, index, 2), axis(arrays, index, 3)
    check_geometry(g)
    return pointer


def workspace(x_shape, w_shape, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top, Py_ssize_t pad_left,
              Py_ssize_t oh, Py_ssize_t ow):
    """Elements of ``work`` that conv2d, conv2d_backward_input and conv2d_backward_weights need."""
    cdef conv_geometry g
    g.n, g.c, g.h, g.w = x_shape
    g.o, _, g.kh, g.kw = w_shape
    set_steps(&g, stride_h, stride_w, pad_top, pad_left)
    g.oh, g.ow = oh, ow
    if min(g.n, g.c, g.h, g.w, g.o) < 0:
        raise ValueError(f"shape: expected no negative size, got {tuple(x_shape)} and {tuple(w_shape)}")
    check_geometry(&g)
    return (conv2d_workspace(&g), conv2d_backward_input_workspace(&g), conv2d_backward_weights_workspace(&g))


def im2col(x, col, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
           Py_ssize_t pad_left, Py_ssize_t oh, Py_ssize_t ow):
    """Write the window of every output pixel of ``x`` (n, c, h, w) into a row of ``col`` (n, oh, ow, c kh kw)."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left)
    g.o, g.kh, g.kw, g.oh, g.ow = 0, kh, kw, oh, ow
    check_geometry(&g)
    try:
        x_ = take_image(&a, &g, x, "x", False)
        col_ = take_columns(&a, col, &g, True)
        with nogil:
            im2col_kernel(a.dtype, col_, x_, &g)
    finally:
        release(&a)


def col2im(col, x, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
           Py_ssize_t pad_left, Py_ssize_t oh, Py_ssize_t ow):
    """Overwrite ``x`` (n, c, h, w) with the sums of the elements of ``col`` that im2col takes from each place."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left)
    g.o, g.kh, g.kw, g.oh, g.ow = 0, kh, kw, oh, ow
    check_geometry(&g)
    try:
        x_ = take_image(&a, &g, x, "x", True)
        col_ = take_columns(&a, col, &g, False)
        with nogil:
            col2im_kernel(a.dtype, x_, col_, &g)
    finally:
        release(&a)


cdef void *take_columns(Arrays *arrays, object col, conv_geometry *g, bint write) except NULL:
    """Pointer to ``col`` (n oh ow, c kh kw); the products are Python integers, which cannot overflow."""
    rows, taps = g.n * <object>g.oh * g.ow, g.c * <object>g.kh * g.kw
    if max(rows, taps) > EN_CONV_MOST:
        raise ValueError(f"col: ({rows}, {taps}) is too large")
    return real(arrays, col, "col", 2, write, rows, taps)


def conv2d(x, w, b, y, work, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top, Py_ssize_t pad_left):
    """Write ``x`` (n, c, h, w) correlated with ``w`` (o, c, kh, kw), plus ``b`` (o) or None, into ``y`` (n, o, oh, ow)."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left)
    try:
        x_ = take_image(&a, &g, x, "x", False)
        w_ = take_weights(&a, &g, w, "w", False)
        y_ = take_outputs(&a, &g, y, "y", True)
        b_ = optional(&a, b, "b", 1, False, g.o)
        work_ = take_work(&a, work, conv2d_workspace(&g))
        with nogil:
            conv2d_kernel(a.dtype, y_, x_, w_, b_, work_, &g)
    finally:
        release(&a)


def conv2d_backward_input(dy, w, dx, work, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
                          Py_ssize_t pad_left):
    """Overwrite ``dx`` (n, c, h, w) with the gradient at the input, from ``dy`` (n, o, oh, ow) and ``w``."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left)
    try:
        dx_ = take_image(&a, &g, dx, "dx", True)
        w_ = take_weights(&a, &g, w, "w", False)
        dy_ = take_outputs(&a, &g, dy, "dy", False)
        work_ = take_work(&a, work, conv2d_backward_input_workspace(&g))
        with nogil:
            conv2d_backward_input_kernel(a.dtype, dx_, dy_, w_, work_, &g)
    finally:
        release(&a)


def conv2d_backward_weights(dy, x, dw, db, work, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
                            Py_ssize_t pad_left):
    """Overwrite ``dw`` (o, c, kh, kw) and ``db`` (o), or None, with the gradients at the parameters."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left)
    try:
        x_ = take_image(&a, &g, x, "x", False)
        dw_ = take_weights(&a, &g, dw, "dw", True)
        dy_ = take_outputs(&a, &g, dy, "dy", False)
        db_ = optional(&a, db, "db", 1, True, g.o)
        work_ = take_work(&a, work, conv2d_backward_weights_workspace(&g))
        with nogil:
            conv2d_backward_weights_kernel(a.dtype, dw_, db_, dy_, x_, work_, &g)
    finally:
        release(&a)
