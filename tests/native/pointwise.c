#ifndef REAL
#define EN_SELFTEST "pointwise.c"
#include "parallel/pointwise.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_POINTWISE
#define EN_SELFTEST_POINTWISE
static const ptrdiff_t pointwise_sizes[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 1001};
static const ptrdiff_t matrices[][2] = {{0, 3}, {3, 0}, {1, 1}, {1, 300}, {31, 1}, {5, 2}, {700, 3}, {65, 10}, {3, 16},
                                        {9, 33}, {33, 63}, {40, 64}, {3, 1025}, {2, 1500}};

static const wide selu_scale = 1.0507009873554805L, selu_alpha = 1.6732632423543772L;
static const wide pi = 3.14159265358979323846L;

/* Written without cancellation: in an overflow of expl the quotient is 0, as it should be. */
static wide sigmoid_of(wide x)
{
    return 1 / (1 + expl(-x));
}

static wide gelu_argument(wide x)
{
    return sqrtl(2 / pi) * (x + 0.044715L * x * x * x);
}

static wide gelu_slope(wide x)
{
    const wide gate = sigmoid_of(2 * gelu_argument(x)), rest = sigmoid_of(-2 * gelu_argument(x));
    return gate + x * gate * rest * 2 * sqrtl(2 / pi) * (1 + 3 * 0.044715L * x * x);
}

static wide swish_slope(wide x)
{
    return sigmoid_of(x) * (1 + x * sigmoid_of(-x));
}

static wide mish_gate(wide x)
{
    return tanhl(log1pl(expl(x)));
}

static wide mish_slope(wide x)
{
    const wide gate = mish_gate(x);
    return gate + x * sigmoid_of(x) * (1 - gate) * (1 + gate);
}
#endif

/* Numbers of every size, as far as exponentials reach. */
static REAL *NAME(samples)(ptrdiff_t n, int positive)
{
    REAL *x = RANDOM(n, positive ? 0 : -1, 1);
    EACH(i, n)
        x[i] = (REAL)(i % 5 == 0 ? 80 * x[i] : i % 5 == 1 ? x[i] * 1e-5 : 4 * x[i]);
    return x;
}

/* y = of(x) into an array of its own and in place. `extra` is the rounding error of an argument, in eps, that the
 * function magnifies. */
#define CHECK_FORWARD(kernel, of, positive, extra) \
    EACH(size, LENGTH(pointwise_sizes)) { \
        const ptrdiff_t n = pointwise_sizes[size]; \
        begin_case("n = %d", (int)n); \
        REAL *in = NAME(samples)(n, positive), *y = UNSET(n), *same = UNSET(n); \
        memcpy(same, in, (size_t)n * sizeof(REAL)); \
        CALL(kernel)(y, in, n); \
        CALL(kernel)(same, same, n); \
        EACH(i, n) { \
            const wide x = in[i], want = of; \
            agree("y", i, y[i], want, (5 + extra) * EPS * magnitude(want) + TINY); \
            agree("y in place", i, same[i], y[i], 0); \
        } \
    }
#define FORWARD(kernel, of) TEST(kernel) { CHECK_FORWARD(kernel, of, 0, 0) }

FORWARD(exponential, expl(x))
FORWARD(exponential_minus_one, expm1l(x))
TEST(logarithm) { CHECK_FORWARD(logarithm, logl(x), 1, 0) }
TEST(logarithm_of_one_plus) { CHECK_FORWARD(logarithm_of_one_plus, log1pl(x), 1, 0) }
FORWARD(relu_forward, x > 0 ? x : 0)
FORWARD(leakyrelu_forward, x > 0 ? x : 0.01L * x)
FORWARD(elu_forward, x > 0 ? x : expm1l(x))
FORWARD(selu_forward, selu_scale * (x > 0 ? x : selu_alpha * expm1l(x)))
FORWARD(sigmoid_forward, sigmoid_of(x))
FORWARD(tanh_forward, tanhl(x))
FORWARD(softplus_forward, (x > 0 ? x : 0) + log1pl(expl(-magnitude(x))))
TEST(gelu_forward)
{
    CHECK_FORWARD(gelu_forward, x * sigmoid_of(2 * gelu_argument(x)), 0, 6 * magnitude(gelu_argument(x)))
}
FORWARD(swish_forward, x * sigmoid_of(x))
FORWARD(mish_forward, x * mish_gate(x))

/* dx = dy times slope, where the kernel reads saved(x): the output, which is rounded, or the input. */
#define BACKWARD(kernel, saved_of, slope) \
    TEST(kernel) \
    { \
        EACH(size, LENGTH(pointwise_sizes)) { \
            const ptrdiff_t n = pointwise_sizes[size]; \
            begin_case("n = %d", (int)n); \
            REAL *in = NAME(samples)(n, 0), *dy = RANDOM(n, -1, 1), *saved = UNSET(n), *dx = UNSET(n); \
            EACH(i, n) { \
                const wide x = in[i]; \
                saved[i] = (REAL)(saved_of); \
            } \
            CALL(kernel)(dx, dy, saved, n); \
            EACH(i, n) { \
                const wide x = in[i], want = dy[i] * (slope); \
                agree("dx", i, dx[i], want, EPS * (8 * magnitude(want) + 4)); \
            } \
            CALL(kernel)(dy, dy, saved, n); \
            EACH(i, n) \
                agree("dx in place", i, dy[i], dx[i], 0); \
        } \
    }

BACKWARD(relu_backward, x > 0 ? x : 0, x > 0)
BACKWARD(leakyrelu_backward, x > 0 ? x : 0.01L * x, x > 0 ? 1 : 0.01L)
BACKWARD(elu_backward, x > 0 ? x : expm1l(x), x > 0 ? 1 : expl(x))
BACKWARD(selu_backward, selu_scale * (x > 0 ? x : selu_alpha * expm1l(x)), selu_scale * (x > 0 ? 1 : selu_alpha * expl(x)))
BACKWARD(sigmoid_backward, sigmoid_of(x), sigmoid_of(x) * sigmoid_of(-x))
BACKWARD(tanh_backward, tanhl(x), (1 - tanhl(x)) * (1 + tanhl(x)))
BACKWARD(softplus_backward, (x > 0 ? x : 0) + log1pl(expl(-magnitude(x))), sigmoid_of(x))
BACKWARD(gelu_backward, x, gelu_slope(x))
BACKWARD(swish_backward, x, swish_slope(x))
BACKWARD(mish_backward, x, mish_slope(x))

/* Runs the body for every shape, with rows and cols. */
#define FOR_MATRICES \
    for (ptrdiff_t shape = 0, rows, cols; shape < LENGTH(matrices) \
         && (rows = matrices[shape][0], cols = matrices[shape][1], begin_case("%d x %d", (int)rows, (int)cols), 1); ++shape)

TEST(softmax)
{
    FOR_MATRICES {
        REAL *x = RANDOM(rows * cols, -9, 9), *y = UNSET(rows * cols);
        CALL(softmax)(y, x, rows, cols);
        EACH(row, rows) {
            wide sum = 0;
            EACH(i, cols)
                sum += expl(x[row * cols + i]);
            for (ptrdiff_t i = row * cols; i < (row + 1) * cols; ++i)
                agree("y", i, y[i], expl(x[i]) / sum, 20 * EPS * expl(x[i]) / sum);
        }
    }
}

TEST(softmax_backward)
{
    FOR_MATRICES {
        REAL *y = RANDOM(rows * cols, 0, 1), *dy = RANDOM(rows * cols, -1, 1), *dx = UNSET(rows * cols);
        CALL(softmax_backward)(dx, dy, y, rows, cols);
        EACH(row, rows) {
            wide mean = 0, size = 0;
            EACH(i, cols) {
                mean += (wide)dy[row * cols + i] * y[row * cols + i];
                size += magnitude((wide)dy[row * cols + i] * y[row * cols + i]);
            }
            for (ptrdiff_t i = row * cols; i < (row + 1) * cols; ++i) /* 1024 / 16 terms and 16 partial sums at a time */
                agree("dx", i, dx[i], y[i] * (dy[i] - mean), EPS * y[i] * (2 + (wide)lesser(cols, 84) * size));
        }
    }
}

/* Rows of a wider matrix, three columns of which are left alone. Blocks of 32 rows, 64 folded ones and the rest are added. */
#define STRIDE (cols + (shape % 2 ? 3 : 0))

static void NAME(check_sums)(const REAL *out, const REAL *x, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t stride)
{
    EACH(c, cols) {
        wide sum = 0, size = 0;
        EACH(r, rows) {
            sum += x[r * stride + c];
            size += magnitude(x[r * stride + c]);
        }
        agree("sums", c, out[c], sum, (wide)lesser(rows, 160) * EPS * size);
    }
}

TEST(column_sums)
{
    FOR_MATRICES {
        if (cols == 0)
            continue; /* callers see to that */
        REAL *x = RANDOM(rows * STRIDE, -1, 1), *out = UNSET(cols);
        CALL(column_sums)(out, x, rows, cols, STRIDE);
        NAME(check_sums)(out, x, rows, cols, STRIDE);
    }
}

TEST(activation_backward_sums)
{
    enum { RELU }; /* first in EN_BACKWARD_KERNELS */
    FOR_MATRICES {
        if (cols == 0)
            continue;
        const ptrdiff_t stride = STRIDE;
        REAL *dy = RANDOM(rows * stride, -1, 1), *y = RANDOM(rows * stride, -1, 1), *dx = UNSET(rows * stride);
        REAL *sums = UNSET(cols);
        CALL(activation_backward_sums)(dx, sums, dy, y, RELU, rows, cols, stride);
        EACH(r, rows)
            EACH(c, cols)
                agree("dx", r * stride + c, dx[r * stride + c], y[r * stride + c] > 0 ? dy[r * stride + c] : 0, 0);
        NAME(check_sums)(sums, dx, rows, cols, stride);
    }
}

#undef STRIDE
#undef CHECK_FORWARD
#undef FORWARD
#undef BACKWARD
#undef FOR_MATRICES
#endif
