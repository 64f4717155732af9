#ifndef REAL
#define EN_SELFTEST "conv.c"
#include "kernels/conv.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_CONV
#define EN_SELFTEST_CONV
/* n, c, h, w, o, kh, kw, strides, padding above and left, outputs: see tests/reference/conv.py */
static const conv_geometry geometries[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1},
    {2, 3, 7, 5, 4, 3, 3, 1, 1, 0, 0, 5, 3},
    {3, 2, 11, 13, 8, 3, 3, 1, 1, 1, 1, 11, 13},
    {2, 5, 9, 34, 9, 3, 2, 1, 1, 0, 0, 7, 33},
    {2, 7, 8, 33, 7, 1, 2, 1, 1, 0, 0, 8, 32},
    {1, 3, 24, 24, 17, 1, 1, 1, 1, 0, 0, 24, 24},
    {3, 4, 6, 5, 33, 6, 5, 1, 1, 0, 0, 1, 1},
    {2, 2, 10, 11, 5, 2, 3, 3, 5, 0, 0, 3, 2},
    {2, 3, 12, 15, 31, 3, 5, 2, 2, 0, 1, 6, 8},
    {1, 2, 5, 4, 3, 4, 4, 3, 2, 5, 6, 6, 9},
    {0, 3, 6, 6, 4, 3, 3, 1, 1, 0, 0, 4, 4},
    {2, 0, 6, 6, 4, 3, 3, 1, 1, 0, 0, 4, 4},
    {2, 3, 6, 6, 0, 3, 3, 1, 1, 0, 0, 4, 4},
    {2, 3, 0, 4, 2, 3, 3, 1, 1, 1, 1, 1, 4},
    {130, 1, 3, 3, 2, 2, 2, 1, 1, 0, 0, 2, 2},
    {3, 40, 9, 9, 20, 3, 3, 1, 1, 1, 1, 9, 9},
};

/* Where tap (channel, ky, kx) of output pixel (i, j) reads image number `image`, or -1 in the padding. */
static ptrdiff_t read_at(const conv_geometry *g, ptrdiff_t image, ptrdiff_t channel, ptrdiff_t i, ptrdiff_t j,
                         ptrdiff_t ky, ptrdiff_t kx)
{
    const ptrdiff_t row = i * g->stride_h + ky - g->pad_top, column = j * g->stride_w + kx - g->pad_left;
    const int inside = row >= 0 && row < g->h && column >= 0 && column < g->w;
    return inside ? ((image * g->c + channel) * g->h + row) * g->w + column : -1;
}

/* Every (image, output pixel, tap): x_at is where it reads, or -1; col_at and tap are its place in col and weights. */
#define FOR_TAPS \
    EACH(image, g->n) EACH(i, g->oh) EACH(j, g->ow) EACH(channel, g->c) EACH(ky, g->kh) EACH(kx, g->kw) \
        for (ptrdiff_t x_at = read_at(g, image, channel, i, j, ky, kx), tap = (channel * g->kh + ky) * g->kw + kx, \
                       col_at = ((image * g->oh + i) * g->ow + j) * g->c * g->kh * g->kw + tap, once = 1; \
             once-- && ((void)col_at, (void)x_at, 1);)
#define FOR_GEOMETRIES \
    for (const conv_geometry *g = geometries; g < geometries + LENGTH(geometries) \
         && (begin_case("geometry %d", (int)(g - geometries)), 1); ++g)
#define X_SIZE (g->n * g->c * g->h * g->w)
#define Y_SIZE (g->n * g->o * g->oh * g->ow)
#define TAPS (g->c * g->kh * g->kw)
#define PIXELS (g->n * g->oh * g->ow)
#define Y_AT(o) (((image * g->o + (o)) * g->oh + i) * g->ow + j)
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

TEST(im2col)
{
    FOR_GEOMETRIES {
        const REAL *x = RANDOM(X_SIZE, -1, 1);
        REAL *col = UNSET(PIXELS * TAPS);
        CALL(im2col)(col, x, g);
        FOR_TAPS
            agree("col", col_at, col[col_at], x_at < 0 ? 0 : x[x_at], 0);
    }
}

TEST(col2im)
{
    FOR_GEOMETRIES {
        const REAL *col = RANDOM(PIXELS * TAPS, -1, 1);
        REAL *x = UNSET(X_SIZE);
        CALL(col2im)(x, col, g);
        WIDE(x_, X_SIZE)
        FOR_TAPS
            if (x_at >= 0)
                ADD(x_, x_at, col[col_at]);
        AGREE(x, X_SIZE, g->kh * g->kw)
    }
}

TEST(conv2d)
{
    FOR_GEOMETRIES {
        const REAL *x = RANDOM(X_SIZE, -1, 1), *weights = RANDOM(g->o * TAPS, -1, 1), *b = RANDOM(g->o, -1, 1);
        REAL *y = UNSET(Y_SIZE), *without_bias = UNSET(Y_SIZE), *work = UNSET(conv2d_workspace(g));
        CALL(conv2d)(y, x, weights, b, work, g);
        CALL(conv2d)(without_bias, x, weights, NULL, work, g);
        WIDE(y_, Y_SIZE)
        FOR_TAPS
            EACH(o, g->o)
                if (x_at >= 0)
                    ADD(y_, Y_AT(o), (wide)x[x_at] * weights[o * TAPS + tap]);
        EACH(at, Y_SIZE)
            agree("y without bias", at, without_bias[at], y_[at], (wide)TAPS * EPS * y__size[at]);
        EACH(at, Y_SIZE)
            ADD(y_, at, b[at / (g->oh * g->ow) % g->o]);
        AGREE(y, Y_SIZE, TAPS + 1)
    }
}

TEST(conv2d_backward_input)
{
    FOR_GEOMETRIES {
        const REAL *dy = RANDOM(Y_SIZE, -1, 1), *weights = RANDOM(g->o * TAPS, -1, 1);
        REAL *dx = UNSET(X_SIZE);
        CALL(conv2d_backward_input)(dx, dy, weights, UNSET(conv2d_backward_input_workspace(g)), g);
        WIDE(dx_, X_SIZE)
        FOR_TAPS
            EACH(o, g->o)
                if (x_at >= 0)
                    ADD(dx_, x_at, (wide)dy[Y_AT(o)] * weights[o * TAPS + tap]);
        AGREE(dx, X_SIZE, g->o * g->kh * g->kw)
    }
}

TEST(conv2d_backward_weights)
{
    FOR_GEOMETRIES {
        const REAL *dy = RANDOM(Y_SIZE, -1, 1), *x = RANDOM(X_SIZE, -1, 1);
        REAL *dw = UNSET(g->o * TAPS), *db = UNSET(g->o), *alone = UNSET(g->o * TAPS);
        CALL(conv2d_backward_weights)(dw, db, dy, x, UNSET(conv2d_backward_weights_workspace(g)), g);
        CALL(conv2d_backward_weights)(alone, NULL, dy, x, UNSET(conv2d_backward_weights_workspace(g)), g);
        WIDE(dw_, g->o * TAPS)
        WIDE(db_, g->o)
        FOR_TAPS
            EACH(o, g->o)
                if (x_at >= 0)
                    ADD(dw_, o * TAPS + tap, (wide)dy[Y_AT(o)] * x[x_at]);
        EACH(at, Y_SIZE)
            ADD(db_, at / (g->oh * g->ow) % g->o, dy[at]);
        AGREE(dw, g->o * TAPS, PIXELS)
        AGREE(db, g->o, PIXELS)
        EACH(at, g->o * TAPS)
            agree("dw alone", at, alone[at], dw[at], 0);
    }
}

#undef WIDE
#undef ADD
#undef AGREE
#endif
