/* Two-dimensional convolution (cross-correlation) over channels-first images; the kernels are in conv.c.
 *
 * x, dx: (n, c, h, w)   weights, dw: (o, c, kh, kw)   b, db: (o), or NULL   y, dy: (n, o, oh, ow)
 * col: (n oh ow, c kh kw), one row per output pixel   work: scratch of conv2d_workspace and so on, in elements
 * Whatever a window covers outside of the image is zero; pad_top and pad_left say where the first window begins, oh and
 * ow where the last one does. The caller has checked that no size is negative, oh, ow, kh, kw and strides are at least
 * 1, and paddings and (oh - 1) stride + kernel stay below EN_CONV_MOST. */
#ifndef EN_CONV_H
#define EN_CONV_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
    ptrdiff_t n, c, h, w, o, kh, kw, stride_h, stride_w, pad_top, pad_left, oh, ow;
} conv_geometry;

#define EN_CONCERN conv
#define EN_KERNELS(KERNEL) \
    KERNEL(void, im2col, (REAL *restrict col, const REAL *restrict x, const conv_geometry *g)) \
    KERNEL(void, col2im, (REAL *restrict x, const REAL *restrict col, const conv_geometry *g)) \
    KERNEL(void, conv2d, (REAL *restrict y, const REAL *restrict x, const REAL *restrict weights, \
                          const REAL *restrict b, REAL *restrict work, const conv_geometry *g)) \
    KERNEL(void, conv2d_backward_input, (REAL *restrict dx, const REAL *restrict dy, const REAL *restrict weights, \
                                         REAL *restrict work, const conv_geometry *g)) \
    KERNEL(void, conv2d_backward_weights, (REAL *restrict dw, REAL *restrict db, const REAL *restrict dy, \
                                           const REAL *restrict x, REAL *restrict work, const conv_geometry *g))
#include "kernels/table.h"

#define im2col(dtype, ...) EN_CALL(conv, im2col, dtype, __VA_ARGS__)
#define col2im(dtype, ...) EN_CALL(conv, col2im, dtype, __VA_ARGS__)
#define conv2d(dtype, ...) EN_CALL(conv, conv2d, dtype, __VA_ARGS__)
#define conv2d_backward_input(dtype, ...) EN_CALL(conv, conv2d_backward_input, dtype, __VA_ARGS__)
#define conv2d_backward_weights(dtype, ...) EN_CALL(conv, conv2d_backward_weights, dtype, __VA_ARGS__)

/* The workspace is the same for every instruction set, so it is sized for the widest: columns of a tile, and elements
 * to which its parts are aligned. */
enum { EN_CONV_COLUMNS = 32, EN_CONV_ALIGN = 16 };
#define EN_CONV_MOST ((ptrdiff_t)1 << 40)

/* Images the kernels read and write are first taken apart by phase: pixel (i, j) of the padded image lies in the plane
 * (i mod stride_h, j mod stride_w) at (i / stride_h, j / stride_w). Then neighbouring output pixels read neighbouring
 * elements at any stride, and padding is ordinary zeros. Phases that no tap of the kernel meets are left out. */
typedef struct {
    ptrdiff_t phases_h, phases_w;   /* planes kept per channel */
    ptrdiff_t rows, columns, plane; /* of one plane; plane = rows columns */
    ptrdiff_t image;                /* elements of all planes of all channels */
    ptrdiff_t taps, pixels;         /* c kh kw and oh ow */
    ptrdiff_t group;                /* images whose pixels share panels: several where one has too few pixels */
    int direct;                     /* the image already is its only phase, without padding */
} conv_layout;

/* Products and sums of sizes; what does not fit is PTRDIFF_MAX, which no workspace has. */
static inline ptrdiff_t conv_times(ptrdiff_t a, ptrdiff_t b)
{
    ptrdiff_t product;
    return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;
}

static inline ptrdiff_t conv_plus(ptrdiff_t a, ptrdiff_t b)
{
    ptrdiff_t sum;
    return __builtin_add_overflow(a, b, &sum) ? PTRDIFF_MAX : sum;
}

static inline ptrdiff_t conv_least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static inline ptrdiff_t conv_most(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}

/* a / b rounded up, for a >= 0 and b >= 1 */
static inline ptrdiff_t conv_quotient_up(ptrdiff_t a, ptrdiff_t b)
{
    return a / b + (a % b != 0);
}

static inline conv_layout conv_layout_of(const conv_geometry *g)
{
    conv_layout at;
    at.phases_h = conv_least(g->stride_h, g->kh);
    at.phases_w = conv_least(g->stride_w, g->kw);
    at.rows = g->oh - 1 + conv_quotient_up(g->kh, g->stride_h);
    at.columns = g->ow - 1 + conv_quotient_up(g->kw, g->stride_w);
    at.plane = conv_times(at.rows, at.columns);
    at.image = conv_times(conv_times(g->c, conv_times(at.phases_h, at.phases_w)), at.plane);
    at.taps = conv_times(g->c, conv_times(g->kh, g->kw));
    at.pixels = conv_times(g->oh, g->ow);
    /* Four panels leave at most a quarter of the columns unused; more than 2^20 elements would leave the cache. */
    at.group = conv_least(conv_quotient_up(4 * EN_CONV_COLUMNS, at.pixels), ((ptrdiff_t)1 << 20) / conv_most(at.image, 1));
    at.group = conv_most(conv_least(at.group, g->n), 1);
    at.direct = g->stride_h == 1 && g->stride_w == 1 && g->pad_top == 0 && g->pad_left == 0 && at.rows == g->h
             && at.columns == g->w;
    return at;
}

/* Elements of a part of the workspace: aligned, and with a vector to spare behind it. */
static inline ptrdiff_t conv_part(ptrdiff_t n)
{
    return conv_plus(n, 2 * EN_CONV_ALIGN - 1) / EN_CONV_ALIGN * EN_CONV_ALIGN;
}

/* Elements of `work` that conv2d needs: packed weights, images, one panel. */
static inline ptrdiff_t conv2d_workspace(const conv_geometry *g)
{
    conv_layout at = conv_layout_of(g);
    ptrdiff_t n = conv_plus(conv_part(conv_times(g->o, at.taps)), conv_part(conv_times(at.group, at.image)));
    return conv_plus(EN_CONV_ALIGN, conv_plus(n, conv_part(conv_times(at.taps, EN_CONV_COLUMNS))));
}

/* Elements of `work` that conv2d_backward_input needs: packed weights, images, a panel of dy and one of columns. */
static inline ptrdiff_t conv2d_backward_input_workspace(const conv_geometry *g)
{
    return conv_plus(conv2d_workspace(g), conv_part(conv_times(g->o, EN_CONV_COLUMNS)));
}

/* Elements of `work` that conv2d_backward_weights needs: an image, dy with channels last, and the sums. */
static inline ptrdiff_t conv2d_backward_weights_workspace(const conv_geometry *g)
{
    conv_layout at = conv_layout_of(g);
    ptrdiff_t outputs = conv_times(conv_quotient_up(g->o, EN_CONV_COLUMNS), EN_CONV_COLUMNS);
    ptrdiff_t sums = conv_part(conv_times(conv_plus(at.taps, 1), outputs));
    return conv_plus(EN_CONV_ALIGN,
                     conv_plus(conv_part(at.image), conv_plus(conv_part(conv_times(at.pixels, outputs)), sums)));
}
#endif
