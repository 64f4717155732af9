"""Two-dimensional convolution over channels-first images. No arithmetic here: see kernels/conv.c.

Every function takes the strides, the zero padding above and to the left, and as many outputs as its arrays say; what a
window covers below and to the right of the image is padding too.
"""
from arrays cimport ANY, EN_F64, Arrays, axis, optional, real, release

cdef extern from "kernels/conv.h" nogil:
    ctypedef struct conv_geometry:
        Py_ssize_t n, c, h, w, o, kh, kw, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, oh, ow
    Py_ssize_t EN_CONV_MOST
    void im2col_kernel "im2col"(int dtype, void *col, void *x, conv_geometry *g)
    void col2im_kernel "col2im"(int dtype, void *x, void *col, conv_geometry *g)

include "runtime/module.pxi"

cdef extern from "parallel/conv.h" nogil:
    ctypedef struct conv_call:
        conv_geometry geometry
        int dtype, relu, threads
        void *y
        void *dw
        void *db
        const void *x
        const void *weights
        const void *b
        const void *dy
        const void *positive
    void conv_prepare(conv_call *call)
    void conv_prepare_input(conv_call *call)
    void conv_prepare_weights(conv_call *call)
    Py_ssize_t conv_workspace(conv_call *call, Py_ssize_t threads)
    void conv_take_work(conv_call *call, void *work, Py_ssize_t elements)
    void conv_run_forward(conv_call *call)
    void conv_run_input(conv_call *call)
    void conv_run_weights(conv_call *call)

MOST = EN_CONV_MOST  # stride, padding, kernel side and extent of all windows


cdef int check_axis(str name, Py_ssize_t outputs, Py_ssize_t kernel, Py_ssize_t stride, Py_ssize_t pad,
                    Py_ssize_t dilation) except -1:
    """Refuse what the kernels cannot index along one axis."""
    if outputs < 1 or kernel < 1:
        raise ValueError(f"{name}: expected at least one output and one tap, got {outputs} and {kernel}")
    if not 1 <= stride <= EN_CONV_MOST or not 0 <= pad <= EN_CONV_MOST or not 1 <= dilation <= EN_CONV_MOST:
        raise ValueError(f"{name}: expected 1 <= stride, 0 <= padding and 1 <= dilation, at most {EN_CONV_MOST}; "
                         f"got {stride}, {pad}, {dilation}")
    if (kernel - 1 > (EN_CONV_MOST - 1) // dilation
            or outputs - 1 > (EN_CONV_MOST - 1 - (kernel - 1) * dilation) // stride):
        raise ValueError(f"{name}: {outputs} outputs of kernel {kernel}, stride {stride} and dilation {dilation} span too much")
    return 0


cdef int check_geometry(conv_geometry *g) except -1:
    check_axis("height", g.oh, g.kh, g.stride_h, g.pad_top, g.dilation_h)
    check_axis("width", g.ow, g.kw, g.stride_w, g.pad_left, g.dilation_w)
    return 0


cdef int set_steps(conv_geometry *g, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top, Py_ssize_t pad_left,
                   Py_ssize_t dilation_h, Py_ssize_t dilation_w, Py_ssize_t groups) except -1:
    """Set everything but the shapes."""
    if groups < 1:
        raise ValueError(f"groups: expected at least 1, got {groups}")
    g.stride_h, g.stride_w, g.pad_top, g.pad_left = stride_h, stride_w, pad_top, pad_left
    g.dilation_h, g.dilation_w, g.groups = dilation_h, dilation_w, groups
    return 0


cdef int check_groups(conv_geometry *g) except -1:
    if g.c % g.groups or g.o % g.groups:
        raise ValueError(f"groups: expected a divisor of {g.c} channels and {g.o} output channels, got {g.groups}")
    return 0


cdef int take_work(Arrays *arrays, conv_call *call, object work) except -1:
    """Give a prepared pass its workspace: at least what one thread needs, and no more threads than it is enough for."""
    pointer = real(arrays, work, "work", 1, True)
    cdef Py_ssize_t needed = conv_workspace(call, 1), elements = axis(arrays, arrays.count - 1, 0)
    if elements < needed:
        raise ValueError(f"work: expected at least {needed} elements, got {elements}")
    conv_take_work(call, pointer, elements)
    return 0


cdef void *take_image(Arrays *arrays, conv_geometry *g, object x, str name, bint write) except NULL:
    """Pointer to ``x`` (n, c, h, w), whose shape becomes that of ``g``."""
    pointer = real(arrays, x, name, 4, write)
    cdef int index = arrays.count - 1
    g.n, g.c, g.h, g.w = axis(arrays, index, 0), axis(arrays, index, 1), axis(arrays, index, 2), axis(arrays, index, 3)
    return pointer


cdef void *take_weights(Arrays *arrays, conv_geometry *g, object w, str name, bint write) except NULL:
    """Pointer to ``w`` (o, c / groups, kh, kw) for the channels of ``g``, which gets the other sizes."""
    pointer = real(arrays, w, name, 4, write, ANY, g.c // g.groups)
    cdef int index = arrays.count - 1
    g.o, g.kh, g.kw = axis(arrays, index, 0), axis(arrays, index, 2), axis(arrays, index, 3)
    check_groups(g)
    return pointer


cdef void *take_outputs(Arrays *arrays, conv_geometry *g, object y, str name, bint write) except NULL:
    """Pointer to ``y`` (n, o, oh, ow); with its size ``g`` is complete, and checked."""
    pointer = real(arrays, y, name, 4, write, g.n, g.o)
    cdef int index = arrays.count - 1
    g.oh, g.ow = axis(arrays, index, 2), axis(arrays, index, 3)
    check_geometry(g)
    return pointer


cdef void *take_columns(Arrays *arrays, object col, conv_geometry *g, bint write) except NULL:
    """Pointer to ``col`` (n oh ow, c kh kw); the products are Python integers, which cannot overflow."""
    rows, taps = g.n * <object>g.oh * g.ow, g.c * <object>g.kh * g.kw
    if max(rows, taps) > EN_CONV_MOST:
        raise ValueError(f"col: ({rows}, {taps}) is too large")
    return real(arrays, col, "col", 2, write, rows, taps)


def workspace(x_shape, w_shape, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top, Py_ssize_t pad_left,
              Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t dilation_h=1, Py_ssize_t dilation_w=1, Py_ssize_t groups=1):
    """Elements of ``work`` for conv2d, conv2d_backward_input and conv2d_backward_weights, for each the least it needs
    and what it needs to run on as many threads as it now would."""
    cdef conv_call call
    cdef conv_geometry *g = &call.geometry
    g.n, g.c, g.h, g.w = x_shape
    g.o, _, g.kh, g.kw = w_shape
    set_steps(g, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups)
    g.oh, g.ow = oh, ow
    if min(g.n, g.c, g.h, g.w, g.o) < 0:
        raise ValueError(f"shape: expected no negative size, got {tuple(x_shape)} and {tuple(w_shape)}")
    check_groups(g)
    check_geometry(g)
    call.dtype = EN_F64  # which takes the most time, hence threads
    conv_prepare(&call)
    forward = conv_workspace(&call, 1), conv_workspace(&call, call.threads)
    conv_prepare_input(&call)
    backward = conv_workspace(&call, 1), conv_workspace(&call, call.threads)
    conv_prepare_weights(&call)
    return forward, backward, (conv_workspace(&call, 1), conv_workspace(&call, call.threads))


def im2col(x, col, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
           Py_ssize_t pad_left, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t dilation_h=1, Py_ssize_t dilation_w=1):
    """Write the window of every output pixel of ``x`` (n, c, h, w) into a row of ``col`` (n, oh, ow, c kh kw)."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, 1)
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
           Py_ssize_t pad_left, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t dilation_h=1, Py_ssize_t dilation_w=1):
    """Overwrite ``x`` (n, c, h, w) with the sums of the elements of ``col`` that im2col takes from each place."""
    cdef Arrays a
    cdef conv_geometry g
    a.count = 0
    set_steps(&g, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, 1)
    g.o, g.kh, g.kw, g.oh, g.ow = 0, kh, kw, oh, ow
    check_geometry(&g)
    try:
        x_ = take_image(&a, &g, x, "x", True)
        col_ = take_columns(&a, col, &g, False)
        with nogil:
            col2im_kernel(a.dtype, x_, col_, &g)
    finally:
        release(&a)


def conv2d(x, w, b, y, work, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top, Py_ssize_t pad_left,
           Py_ssize_t dilation_h=1, Py_ssize_t dilation_w=1, Py_ssize_t groups=1, bint relu=False):
    """Write ``x`` (n, c, h, w) correlated with ``w`` (o, c / groups, kh, kw), plus ``b`` (o) or None, into ``y``
    (n, o, oh, ow); with 0 instead of what is negative if ``relu``."""
    cdef Arrays a
    cdef conv_call call
    cdef conv_geometry *g = &call.geometry
    a.count = 0
    set_steps(g, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups)
    try:
        call.x = take_image(&a, g, x, "x", False)
        call.weights = take_weights(&a, g, w, "w", False)
        call.y = take_outputs(&a, g, y, "y", True)
        call.b = optional(&a, b, "b", 1, False, g.o)
        call.relu, call.dtype = relu, a.dtype
        conv_prepare(&call)
        take_work(&a, &call, work)
        with nogil:
            conv_run_forward(&call)
    finally:
        release(&a)


def conv2d_backward_input(dy, w, dx, work, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
                          Py_ssize_t pad_left, Py_ssize_t dilation_h=1, Py_ssize_t dilation_w=1, Py_ssize_t groups=1,
                          positive=None):
    """Overwrite ``dx`` (n, c, h, w) with the gradient at the input, from ``dy`` (n, o, oh, ow) and ``w``; with 0 where
    ``positive`` (n, c, h, w), if given, is not positive."""
    cdef Arrays a
    cdef conv_call call
    cdef conv_geometry *g = &call.geometry
    a.count = 0
    set_steps(g, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups)
    try:
        call.y = take_image(&a, g, dx, "dx", True)
        call.positive = NULL
        if positive is not None:
            call.positive = real(&a, positive, "positive", 4, False, g.n, g.c, g.h, g.w)
        call.weights = take_weights(&a, g, w, "w", False)
        call.x = take_outputs(&a, g, dy, "dy", False)
        call.dtype = a.dtype
        conv_prepare_input(&call)
        take_work(&a, &call, work)
        with nogil:
            conv_run_input(&call)
    finally:
        release(&a)


def conv2d_backward_weights(dy, x, dw, db, work, Py_ssize_t stride_h, Py_ssize_t stride_w, Py_ssize_t pad_top,
                            Py_ssize_t pad_left, Py_ssize_t dilation_h=1, Py_ssize_t dilation_w=1, Py_ssize_t groups=1):
    """Overwrite ``dw`` (o, c / groups, kh, kw) and ``db`` (o), or None, with the gradients at the parameters."""
    cdef Arrays a
    cdef conv_call call
    cdef conv_geometry *g = &call.geometry
    a.count = 0
    set_steps(g, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups)
    try:
        call.x = take_image(&a, g, x, "x", False)
        call.dw = take_weights(&a, g, dw, "dw", True)
        call.dy = take_outputs(&a, g, dy, "dy", False)
        call.db = optional(&a, db, "db", 1, True, g.o)
        call.dtype = a.dtype
        conv_prepare_weights(&call)
        take_work(&a, &call, work)
        with nogil:
            conv_run_weights(&call)
    finally:
        release(&a)
