/* Two-dimensional convolution (cross-correlation) over channels-first images; the kernels are in conv.c.
 *
 * x, dx, positive: (n, c, h, w)   weights, dw: (o, c / groups, kh, kw)   b, db: (o), or NULL   y, dy: (n, o, oh, ow)
 * col: (n oh ow, c kh kw), one row per output pixel   work: scratch of conv2d_workspace and so on, in elements
 * Whatever a window covers outside of the image is zero; pad_top and pad_left say where the first window begins, oh and
 * ow where the last one does. Output channels and channels lie in `groups` equal groups, and the weights of a group see
 * the channels of that group alone. The caller has checked that no size is negative, oh, ow, kh, kw, strides, dilations
 * and groups are at least 1, c and o multiples of groups, and paddings and (oh - 1) stride + (kernel - 1) dilation + 1
 * at most EN_CONV_MOST.
 *
 * A kernel computes a part, whose bounds do not change the bits of a result. */
#ifndef EN_CONV_H
#define EN_CONV_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
    ptrdiff_t n, c, h, w, o, kh, kw, stride_h, stride_w, pad_top, pad_left, dilation_h, dilation_w, groups, oh, ow;
} conv_geometry;

/* What to compute of y: pixels, counted through all images. Of dx: the same if conv_gathers, else images and channels. Of
 * the sums of dw: images, and units of output channels (see conv_layout). */
typedef struct {
    ptrdiff_t first, stop;
    ptrdiff_t first_channel, stop_channel;
} conv_part;

#define EN_CONCERN conv
#define EN_KERNELS(KERNEL) \
    KERNEL(void, im2col, (REAL *restrict col, const REAL *restrict x, const conv_geometry *g)) \
    KERNEL(void, col2im, (REAL *restrict x, const REAL *restrict col, const conv_geometry *g)) \
    KERNEL(void, conv2d, (REAL *restrict y, const REAL *restrict x, const REAL *restrict weights, \
                          const REAL *restrict b, int relu, REAL *restrict work, const conv_geometry *g, \
                          const conv_part *part)) \
    KERNEL(void, conv2d_backward_input, (REAL *restrict dx, const REAL *restrict dy, const REAL *restrict weights, \
                                         const REAL *restrict positive, REAL *restrict work, \
                                         const conv_geometry *g, const conv_part *part)) \
    KERNEL(void, conv2d_backward_weights, (REAL *restrict sums, const REAL *restrict dy, const REAL *restrict x, \
                                           REAL *restrict work, const conv_geometry *g, const conv_part *part)) \
    KERNEL(void, conv2d_add_weights, (REAL *restrict dw, REAL *restrict db, REAL *restrict sums, \
                                      const conv_geometry *g, const conv_part *part))
#include "kernels/table.h"

#define im2col(dtype, ...) EN_CALL(conv, im2col, dtype, __VA_ARGS__)
#define col2im(dtype, ...) EN_CALL(conv, col2im, dtype, __VA_ARGS__)

/* The workspace is the same for every instruction set, so it is sized for the widest: columns of a tile, and elements
 * to which its parts are aligned. */
enum {
    EN_CONV_COLUMNS = 32,
    EN_CONV_ALIGN = 16,
    EN_CONV_NARROW = 3,      /* channels of a group that are too few for a register tile */
    EN_CONV_ROWS = 144,      /* taps of dcol that exist at a time, unless one channel has more */
    EN_CONV_SUM = 512,       /* pixels whose weight gradient is summed at once, if the images have fewer */
    EN_CONV_CHUNK = 2048,    /* pixels of one partial sum of the weight gradient, at least */
    EN_CONV_MOST_CHUNKS = 8, /* and the number of those */
};
#define EN_CONV_MOST ((ptrdiff_t)1 << 40)

/* Images the kernels read and write are first taken apart by phase: pixel (i, j) of the padded image lies in the plane
 * (i mod stride_h, j mod stride_w) at (i / stride_h, j / stride_w). Then neighbouring output pixels read neighbouring
 * elements at any stride and dilation, and padding is ordinary zeros. Phases behind the last tap are left out. */
typedef struct {
    ptrdiff_t c, o;                 /* channels and output channels of one group */
    ptrdiff_t phases_h, phases_w;   /* planes kept per channel */
    ptrdiff_t rows, columns, plane; /* of one plane; plane = rows columns */
    ptrdiff_t channel, image;       /* elements of all planes of a channel, and of the channels of a group */
    ptrdiff_t window, taps, pixels; /* kh kw, c kh kw and oh ow */
    ptrdiff_t together;             /* images whose pixels share panels: several where one has too few pixels */
    ptrdiff_t summed;               /* images whose weight gradient is summed at once */
    ptrdiff_t units;                /* of EN_CONV_COLUMNS output channels, the last one of a group with what is left */
    int direct;                     /* the image already is its only phase, without padding */
} conv_layout;

/* Products and sums of sizes, none of them negative; what does not fit is PTRDIFF_MAX, which no workspace has. */
static inline ptrdiff_t conv_times(ptrdiff_t a, ptrdiff_t b)
{
#if EN_GNU_C
    ptrdiff_t product;
    return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;
#else
    return b > 0 && a > PTRDIFF_MAX / b ? PTRDIFF_MAX : a * b;
#endif
}

static inline ptrdiff_t conv_plus(ptrdiff_t a, ptrdiff_t b)
{
#if EN_GNU_C
    ptrdiff_t sum;
    return __builtin_add_overflow(a, b, &sum) ? PTRDIFF_MAX : sum;
#else
    return a > PTRDIFF_MAX - b ? PTRDIFF_MAX : a + b;
#endif
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
    const ptrdiff_t reach_h = (g->kh - 1) * g->dilation_h, reach_w = (g->kw - 1) * g->dilation_w;
    conv_layout at;
    at.c = g->c / g->groups;
    at.o = g->o / g->groups;
    at.phases_h = conv_least(g->stride_h, reach_h + 1);
    at.phases_w = conv_least(g->stride_w, reach_w + 1);
    at.rows = g->oh + reach_h / g->stride_h;
    at.columns = g->ow + reach_w / g->stride_w;
    at.plane = conv_times(at.rows, at.columns);
    at.channel = conv_times(conv_times(at.phases_h, at.phases_w), at.plane);
    at.image = conv_times(at.c, at.channel);
    at.window = conv_times(g->kh, g->kw);
    at.taps = conv_times(at.c, at.window);
    at.pixels = conv_times(g->oh, g->ow);
    /* Four panels leave at most a quarter of the columns unused; more than 2^20 elements would leave the cache. */
    at.together = conv_least(conv_quotient_up(4 * EN_CONV_COLUMNS, at.pixels), ((ptrdiff_t)1 << 20) / conv_most(at.image, 1));
    at.together = conv_most(conv_least(at.together, g->n), 1);
    at.summed = conv_least(EN_CONV_SUM / at.pixels, ((ptrdiff_t)1 << 18) / conv_most(at.image, 1));
    at.summed = conv_most(conv_least(at.summed, g->n), 1);
    at.units = conv_times(g->groups, conv_quotient_up(at.o, EN_CONV_COLUMNS));
    at.direct = g->groups == 1 && g->stride_h == 1 && g->stride_w == 1 && g->pad_top == 0 && g->pad_left == 0
             && at.rows == g->h && at.columns == g->w;
    return at;
}

/* Elements of a part of the workspace: aligned, and with a vector to spare behind it. */
static inline ptrdiff_t conv_room(ptrdiff_t n)
{
    return conv_plus(n, 2 * EN_CONV_ALIGN - 1) / EN_CONV_ALIGN * EN_CONV_ALIGN;
}

/* Elements of three tables of taps, and one of a window: integers, each as large as two floats. */
static inline ptrdiff_t conv_tables_room(const conv_layout *at)
{
    return conv_room(conv_times(2, conv_plus(at->window, conv_times(3, at->taps))));
}

/* Elements of `work` that conv2d needs: the tables, images, one panel. */
static inline ptrdiff_t conv2d_workspace(const conv_geometry *g)
{
    conv_layout at = conv_layout_of(g);
    ptrdiff_t images = conv_room(conv_times(at.together, at.image));
    return conv_plus(conv_plus(EN_CONV_ALIGN, conv_tables_room(&at)), conv_plus(images, conv_room(conv_times(at.taps, EN_CONV_COLUMNS))));
}

/* Channels whose part of dcol exists at a time. */
static inline ptrdiff_t conv_channels(const conv_layout *at)
{
    return conv_most(conv_least(EN_CONV_ROWS / at->window, at->c), 1);
}

/* Whether groups are so small that vectors run along the pixels alone, as those of a depthwise convolution are. */
static inline int conv_is_narrow(const conv_geometry *g)
{
    return g->c / g->groups <= EN_CONV_NARROW && g->o / g->groups <= EN_CONV_NARROW;
}

/* Whether the gradient at the input is computed as a convolution itself: of dy, with the weights turned around. That is
 * less work where it reads dy directly (see conv_reads_directly, conv_narrow.h) and where there are not many more inputs than outputs;
 * else, and at larger strides, what every output contributes is added up. */
static inline int conv_gathers(const conv_geometry *g)
{
    return g->stride_h == 1 && g->stride_w == 1 && g->h > 0 && g->w > 0
        && (g->w % EN_CONV_ALIGN == 0 || (g->kh == 1 && g->kw == 1) || conv_is_narrow(g))
        && conv_times(g->h, g->w) / 3 <= conv_times(g->oh, g->ow) / 2;
}

/* That convolution. Its paddings may be negative: then it sees a part of dy. */
static inline conv_geometry conv_transposed(const conv_geometry *g)
{
    conv_geometry turned = *g;
    turned.c = g->o, turned.h = g->oh, turned.w = g->ow;
    turned.o = g->c, turned.oh = g->h, turned.ow = g->w;
    turned.pad_top = (g->kh - 1) * g->dilation_h - g->pad_top;
    turned.pad_left = (g->kw - 1) * g->dilation_w - g->pad_left;
    return turned;
}

/* Elements of `work` that conv2d_backward_input needs: the tables, images, a panel of dy and one of dcol. */
static inline ptrdiff_t conv2d_backward_input_workspace(const conv_geometry *g)
{
    if (conv_gathers(g)) {
        conv_geometry turned = conv_transposed(g);
        return conv2d_workspace(&turned);
    }
    conv_layout at = conv_layout_of(g);
    ptrdiff_t images = conv_room(conv_times(at.together, at.image));
    ptrdiff_t panels = conv_plus(conv_room(conv_times(at.o, EN_CONV_COLUMNS)),
                                 conv_room(conv_times(conv_times(conv_channels(&at), at.window), EN_CONV_COLUMNS)));
    return conv_plus(conv_plus(EN_CONV_ALIGN, conv_tables_room(&at)), conv_plus(images, panels));
}

/* Elements of `work` that conv2d_backward_weights needs: the tables, images, and dy with channels last. */
static inline ptrdiff_t conv2d_backward_weights_workspace(const conv_geometry *g)
{
    conv_layout at = conv_layout_of(g);
    ptrdiff_t outputs = conv_times(conv_times(at.summed, at.pixels), EN_CONV_COLUMNS);
    return conv_plus(conv_plus(EN_CONV_ALIGN, conv_tables_room(&at)), conv_plus(conv_room(conv_times(at.summed, at.image)), conv_room(outputs)));
}

/* The weight gradient is summed in chunks of images, whose sums are added in the order of the batch. */
static inline ptrdiff_t conv_chunks(const conv_geometry *g)
{
    ptrdiff_t pixels = conv_times(g->n, conv_times(g->oh, g->ow));
    return conv_most(conv_least(conv_least(pixels / EN_CONV_CHUNK, EN_CONV_MOST_CHUNKS), g->n), 1);
}

/* Elements of `sums` for one chunk: for every unit, one row per tap and one for the bias. */
static inline ptrdiff_t conv_sums(const conv_layout *at)
{
    return conv_times(conv_times(at->units, EN_CONV_COLUMNS), conv_plus(at->taps, 1));
}
#endif
