#ifndef REAL
#define EN_SELFTEST "conv.c"
#include "parallel/conv.h"
#include "runtime/threads_pool.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_CONV
#define EN_SELFTEST_CONV
/* n, c, h, w, o, kh, kw, strides, padding above and left, dilations, groups, outputs: see tests/reference/conv.py */
static const conv_geometry geometries[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1},
    {2, 3, 7, 5, 4, 3, 3, 1, 1, 0, 0, 1, 1, 1, 5, 3},
    {3, 2, 11, 13, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 11, 13},
    {2, 5, 9, 34, 9, 3, 2, 1, 1, 0, 0, 1, 1, 1, 7, 33},
    {2, 7, 8, 33, 7, 1, 2, 1, 1, 0, 0, 1, 1, 1, 8, 32},
    {1, 3, 24, 24, 17, 1, 1, 1, 1, 0, 0, 1, 1, 1, 24, 24},
    {3, 4, 6, 5, 33, 6, 5, 1, 1, 0, 0, 1, 1, 1, 1, 1},
    {2, 2, 10, 11, 5, 2, 3, 3, 5, 0, 0, 1, 1, 1, 3, 2},
    {2, 3, 12, 15, 31, 3, 5, 2, 2, 0, 1, 1, 1, 1, 6, 8},
    {1, 2, 5, 4, 3, 4, 4, 3, 2, 5, 6, 1, 1, 1, 6, 9},
    {0, 3, 6, 6, 4, 3, 3, 1, 1, 0, 0, 1, 1, 1, 4, 4},
    {2, 0, 6, 6, 4, 3, 3, 1, 1, 0, 0, 1, 1, 1, 4, 4},
    {2, 3, 6, 6, 0, 3, 3, 1, 1, 0, 0, 1, 1, 1, 4, 4},
    {2, 3, 0, 4, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 4},
    {130, 1, 3, 3, 2, 2, 2, 1, 1, 0, 0, 1, 1, 1, 2, 2},
    {3, 40, 9, 9, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 9, 9},
    {2, 3, 5, 32, 13, 3, 3, 1, 1, 1, 1, 1, 1, 1, 5, 32},
    {2, 2, 9, 16, 5, 3, 3, 1, 1, 3, 4, 1, 1, 1, 12, 20},
    {2, 3, 12, 13, 5, 3, 2, 1, 1, 2, 1, 2, 3, 1, 12, 12},
    {2, 2, 16, 15, 4, 3, 3, 2, 3, 0, 2, 2, 2, 1, 6, 5},
    {1, 1, 3, 40, 2, 2, 4, 5, 7, 0, 0, 1, 9, 1, 1, 2},
    {2, 6, 8, 9, 10, 3, 3, 1, 1, 1, 1, 1, 1, 2, 8, 9},
    {3, 7, 7, 16, 7, 3, 3, 1, 1, 1, 1, 1, 1, 7, 7, 16},
    {2, 5, 9, 11, 5, 3, 3, 2, 2, 1, 1, 1, 1, 5, 5, 6},
    {2, 3, 6, 37, 6, 1, 5, 1, 1, 0, 4, 1, 2, 3, 6, 37},
    {2, 66, 4, 4, 70, 2, 2, 1, 1, 0, 0, 1, 1, 2, 3, 3},
    {2, 0, 4, 4, 0, 2, 2, 1, 1, 0, 0, 1, 1, 4, 3, 3},
};

/* So many pixels that the weight gradient is summed in chunks. */
static const conv_geometry in_chunks[] = {
    {5, 2, 32, 32, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 32, 32},
    {20, 4, 20, 21, 4, 2, 3, 1, 2, 0, 1, 1, 1, 4, 19, 11},
};

/* Where tap (channel, ky, kx) of output pixel (i, j) reads image number `image`, or -1 in the padding. */
static ptrdiff_t read_at(const conv_geometry *g, ptrdiff_t image, ptrdiff_t channel, ptrdiff_t i, ptrdiff_t j,
                         ptrdiff_t ky, ptrdiff_t kx)
{
    const ptrdiff_t row = i * g->stride_h + ky * g->dilation_h - g->pad_top;
    const ptrdiff_t column = j * g->stride_w + kx * g->dilation_w - g->pad_left;
    const int inside = row >= 0 && row < g->h && column >= 0 && column < g->w;
    return inside ? ((image * g->c + channel) * g->h + row) * g->w + column : -1;
}

/* Three threads for seven parts of a prepared pass, whatever it would do by itself. */
static void cut(conv_call *call, ptrdiff_t unit)
{
    call->threads = 3;
    call->unit = unit;
    conv_cut(call, 7);
}

/* Every (image, output pixel, tap): x_at is where it reads, or -1; col_at is its place in col. */
#define FOR_TAPS \
    EACH(image, g->n) EACH(i, g->oh) EACH(j, g->ow) EACH(channel, g->c) EACH(ky, g->kh) EACH(kx, g->kw) \
        for (ptrdiff_t x_at = read_at(g, image, channel, i, j, ky, kx), once = 1, \
                       col_at = (((image * g->oh + i) * g->ow + j) * g->c + channel) * g->kh * g->kw + ky * g->kw + kx; \
             once-- && ((void)col_at, (void)x_at, 1);)
/* The same with every output channel o of the channel's group, where the tap reads the image; tap: its place in weights */
#define FOR_PRODUCTS \
    FOR_TAPS \
        for (ptrdiff_t o = channel / IN_GROUP * OF_GROUP, stop = o + OF_GROUP, \
                       tap = (channel % IN_GROUP * g->kh + ky) * g->kw + kx; x_at >= 0 && o < stop; ++o)
#define FOR_GEOMETRIES(list) \
    for (const conv_geometry *g = list; g < list + LENGTH(list) \
         && (begin_case(#list " %d", (int)(g - list)), 1); ++g)
#define IN_GROUP (g->c / g->groups)
#define OF_GROUP (g->o / g->groups)
#define X_SIZE (g->n * g->c * g->h * g->w)
#define Y_SIZE (g->n * g->o * g->oh * g->ow)
#define TAPS (IN_GROUP * g->kh * g->kw)
#define PIXELS (g->n * g->oh * g->ow)
#define COL_SIZE (PIXELS * g->c * g->kh * g->kw)
#define Y_AT (((image * g->o + o) * g->oh + i) * g->ow + j)
#endif

/* A sum in wide numbers, with the sum of its terms' sizes. */
#define WIDE(name, count) \
    wide *name = unset_array(sizeof(wide), count), *name##_size = unset_array(sizeof(wide), count); \
    EACH(zero, count) \
        name[zero] = name##_size[zero] = 0;
#define ADD(name, at, term) \
    do { \
        const wide term_ = (term); \
        name[at] += term_; \
        name##_size[at] += magnitude(term_); \
    } while (0)
#define AGREE(name, count, terms) \
    EACH(at, count) \
        agree(#name, at, name[at], name##_[at], (wide)(terms) * EPS * name##__size[at]);

/* Runs a prepared pass with a workspace of its own; `when_cut` cuts it first if `parts` says so. */
#define RUN(call, prepare, parts, when_cut, run) \
    en_the_pool = &en_pool_functions; \
    prepare(&call); \
    if (parts) \
        when_cut; \
    conv_take_work(&call, UNSET(conv_workspace(&call, call.threads)), conv_workspace(&call, call.threads)); \
    run(&call);

TEST(im2col)
{
    FOR_GEOMETRIES(geometries) {
        const REAL *x = RANDOM(X_SIZE, -1, 1);
        REAL *col = UNSET(COL_SIZE);
        CALL(im2col)(col, x, g);
        FOR_TAPS
            agree("col", col_at, col[col_at], x_at < 0 ? 0 : x[x_at], 0);
    }
}

TEST(col2im)
{
    FOR_GEOMETRIES(geometries) {
        const REAL *col = RANDOM(COL_SIZE, -1, 1);
        REAL *x = UNSET(X_SIZE);
        CALL(col2im)(x, col, g);
        WIDE(x_, X_SIZE)
        FOR_TAPS
            if (x_at >= 0)
                ADD(x_, x_at, col[col_at]);
        AGREE(x, X_SIZE, g->kh * g->kw)
    }
}

static REAL *NAME(outputs)(const conv_geometry *g, const REAL *x, const REAL *weights, const REAL *b, int relu, int parts)
{
    conv_call call = {.geometry = *g, .dtype = DTYPE, .relu = relu, .y = UNSET(Y_SIZE), .x = x, .weights = weights, .b = b};
    RUN(call, conv_prepare, parts, cut(&call, 5), conv_run_forward)
    return call.y;
}

TEST(conv2d)
{
    FOR_GEOMETRIES(geometries) {
        const REAL *x = RANDOM(X_SIZE, -1, 1), *weights = RANDOM(g->o * TAPS, -1, 1), *b = RANDOM(g->o, -1, 1);
        const REAL *y = NAME(outputs)(g, x, weights, b, 0, 0), *without_bias = NAME(outputs)(g, x, weights, NULL, 0, 0);
        const REAL *in_parts = NAME(outputs)(g, x, weights, b, 0, 1), *relu = NAME(outputs)(g, x, weights, b, 1, 1);
        WIDE(y_, Y_SIZE)
        FOR_PRODUCTS
            ADD(y_, Y_AT, (wide)x[x_at] * weights[o * TAPS + tap]);
        EACH(at, Y_SIZE)
            agree("y without bias", at, without_bias[at], y_[at], (wide)TAPS * EPS * y__size[at]);
        EACH(at, Y_SIZE)
            ADD(y_, at, b[at / (g->oh * g->ow) % g->o]);
        AGREE(y, Y_SIZE, TAPS + 1)
        EACH(at, Y_SIZE) {
            agree("y in parts", at, in_parts[at], y[at], 0);
            agree("relu", at, relu[at], y[at] > 0 ? y[at] : 0, 0);
        }
    }
}

static REAL *NAME(input_gradient)(const conv_geometry *g, const REAL *dy, const REAL *weights, const REAL *positive,
                                  int parts)
{
    conv_call call = {
        .geometry = *g, .dtype = DTYPE, .y = UNSET(X_SIZE), .x = dy, .weights = weights, .positive = positive};
    RUN(call, conv_prepare_input, parts, cut(&call, conv_gathers(g) ? 5 : call.unit), conv_run_input)
    return call.y;
}

TEST(conv2d_backward_input)
{
    FOR_GEOMETRIES(geometries) {
        const REAL *dy = RANDOM(Y_SIZE, -1, 1), *weights = RANDOM(g->o * TAPS, -1, 1);
        const REAL *x = RANDOM(X_SIZE, -1, 1), *dx = NAME(input_gradient)(g, dy, weights, NULL, 0);
        const REAL *in_parts = NAME(input_gradient)(g, dy, weights, NULL, 1);
        const REAL *positive = NAME(input_gradient)(g, dy, weights, x, 1);
        WIDE(dx_, X_SIZE)
        FOR_PRODUCTS
            ADD(dx_, x_at, (wide)dy[Y_AT] * weights[o * TAPS + tap]);
        AGREE(dx, X_SIZE, OF_GROUP * g->kh * g->kw)
        EACH(at, X_SIZE) {
            agree("dx in parts", at, in_parts[at], dx[at], 0);
            agree("dx before relu", at, positive[at], x[at] > 0 ? dx[at] : 0, 0);
        }
    }
}

static REAL *NAME(weights_gradient)(const conv_geometry *g, const REAL *dy, const REAL *x, REAL *db, int parts)
{
    conv_call call = {.geometry = *g, .dtype = DTYPE, .dw = UNSET(g->o * TAPS), .db = db, .x = x, .dy = dy};
    RUN(call, conv_prepare_weights, parts, (call.threads = 3, call.ranges = conv_most(call.channels, 1)), conv_run_weights)
    return call.dw;
}

/* Both kernels of the gradient at weights and bias; the second one adds what the first one leaves. */
static void NAME(check_weights)(const conv_geometry *g)
{
    const REAL *dy = RANDOM(Y_SIZE, -1, 1), *x = RANDOM(X_SIZE, -1, 1);
    REAL *db = UNSET(g->o), *db_in_parts = UNSET(g->o);
    const REAL *dw = NAME(weights_gradient)(g, dy, x, db, 0), *alone = NAME(weights_gradient)(g, dy, x, NULL, 0);
    const REAL *in_parts = NAME(weights_gradient)(g, dy, x, db_in_parts, 1);
    WIDE(dw_, g->o * TAPS)
    WIDE(db_, g->o)
    FOR_PRODUCTS
        ADD(dw_, o * TAPS + tap, (wide)dy[Y_AT] * x[x_at]);
    EACH(at, Y_SIZE)
        ADD(db_, at / (g->oh * g->ow) % g->o, dy[at]);
    AGREE(dw, g->o * TAPS, PIXELS)
    AGREE(db, g->o, PIXELS)
    EACH(at, g->o * TAPS) {
        agree("dw alone", at, alone[at], dw[at], 0);
        agree("dw in parts", at, in_parts[at], dw[at], 0);
    }
    EACH(at, g->o)
        agree("db in parts", at, db_in_parts[at], db[at], 0);
}

TEST(conv2d_backward_weights)
{
    FOR_GEOMETRIES(geometries)
        NAME(check_weights)(g);
}

TEST(conv2d_add_weights)
{
    FOR_GEOMETRIES(in_chunks) {
        expect("there are several chunks", conv_chunks(g) > 1);
        NAME(check_weights)(g);
    }
}

#undef WIDE
#undef ADD
#undef AGREE
#undef RUN
#endif
