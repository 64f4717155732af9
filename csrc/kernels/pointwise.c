#ifndef REAL
#define EN_BODY "kernels/pointwise.c"
#include "kernels/pointwise.h"
#include "kernels/instantiate.h"
#else

#include "kernels/elementary.h"
#include "kernels/elementwise.h"
#include "kernels/reductions.h"

#define LEAKYRELU_SLOPE C(0.01)
#define SELU_SCALE C(1.0507009873554805)
#define SELU_FLOOR C(1.6732632423543772 * 1.0507009873554805)
#define GELU_CUBE C(0.044715)
#define GELU_TWICE_SCALE C(1.59576912160573071176) /* 2 sqrt(2 / pi) */

/* Gated activations x g(x) have reached their limits here (e^-1000 is 0 in any precision). Holding the argument there
 * keeps infinities from meeting the zero of the gate. */
#define FAR C(1000)
/* The argument of gelu's sigmoid has x^3 in it: at 30 its exponential is e^-1975. */
#define GELU_FAR C(30)

/* FORWARD(name) { return f(x); } and BACKWARD(name, saved) { return f'(saved) times dy; } define a kernel by what it
 * does to one element. It runs over whole vectors only: the last few elements go through a padded tile, which is
 * faster than a scalar rest and keeps that rest out of the binary (231 kB without, 147 kB with). */
#define FORWARD(name) \
    EN_INLINE REAL EN_NAME(name##_element)(REAL x); \
    EN_NOINLINE void EN_NAME(name##_tiles)(REAL *y, const REAL *x, ptrdiff_t n) \
    { \
        ELEMENTWISE for (ptrdiff_t i = 0; i < (n & -(ptrdiff_t)LANES); ++i) \
            y[i] = EN_NAME(name##_element)(x[i]); \
    } \
    static void EN_NAME(name)(REAL *y, const REAL *x, ptrdiff_t n) \
    { \
        ptrdiff_t whole = n & -(ptrdiff_t)LANES; \
        EN_NAME(name##_tiles)(y, x, whole); \
        if (n > whole) { \
            REAL tile[LANES] = {0}; \
            memcpy(tile, x + whole, (size_t)(n - whole) * sizeof(REAL)); \
            EN_NAME(name##_tiles)(tile, tile, LANES); \
            memcpy(y + whole, tile, (size_t)(n - whole) * sizeof(REAL)); \
        } \
    } \
    EN_INLINE REAL EN_NAME(name##_element)(REAL x)
#define BACKWARD(name, saved) \
    EN_INLINE REAL EN_NAME(name##_element)(REAL dy, REAL saved); \
    EN_NOINLINE void EN_NAME(name##_tiles)(REAL *dx, const REAL *dy, const REAL *saved, ptrdiff_t n) \
    { \
        ELEMENTWISE for (ptrdiff_t i = 0; i < (n & -(ptrdiff_t)LANES); ++i) \
            dx[i] = EN_NAME(name##_element)(dy[i], saved[i]); \
    } \
    static void EN_NAME(name)(REAL *dx, const REAL *dy, const REAL *saved, ptrdiff_t n) \
    { \
        ptrdiff_t whole = n & -(ptrdiff_t)LANES; \
        EN_NAME(name##_tiles)(dx, dy, saved, whole); \
        if (n > whole) { \
            REAL tile[2][LANES] = {{0}}; \
            memcpy(tile[0], dy + whole, (size_t)(n - whole) * sizeof(REAL)); \
            memcpy(tile[1], saved + whole, (size_t)(n - whole) * sizeof(REAL)); \
            EN_NAME(name##_tiles)(tile[0], tile[0], tile[1], LANES); \
            memcpy(dx + whole, tile[0], (size_t)(n - whole) * sizeof(REAL)); \
        } \
    } \
    EN_INLINE REAL EN_NAME(name##_element)(REAL dy, REAL saved)

/* exponential.  y = e^x */
FORWARD(exponential)
{
    return EN_NAME(exp)(x);
}

/* exponential_minus_one.  y = e^x - 1 */
FORWARD(exponential_minus_one)
{
    return EN_NAME(expm1)(x);
}

/* logarithm.  y = log x */
FORWARD(logarithm)
{
    return EN_NAME(log)(x);
}

/* logarithm_of_one_plus.  y = log(1 + x) */
FORWARD(logarithm_of_one_plus)
{
    return EN_NAME(log1p)(x);
}

/* relu.  y = max(x, 0);   y' = 1 if y > 0 else 0                                       Nair & Hinton 2010 */
FORWARD(relu_forward)
{
    return x < 0 ? 0 : x;
}

BACKWARD(relu_backward, y)
{
    return y > 0 ? dy : 0;
}

/* leakyrelu.  y = x if x > 0 else 0.01 x;   y' = 1 if y > 0 else 0.01          Maas, Hannun & Ng 2013, eq. 2 */
FORWARD(leakyrelu_forward)
{
    return x > 0 ? x : LEAKYRELU_SLOPE * x;
}

BACKWARD(leakyrelu_backward, y)
{
    return y > 0 ? dy : LEAKYRELU_SLOPE * dy;
}

/* elu.  y = x if x > 0 else e^x - 1;   y' = 1 if y > 0 else y + 1   Clevert, Unterthiner & Hochreiter 2016, eq. 15 */
FORWARD(elu_forward)
{
    REAL below = EN_NAME(expm1)(x);
    return x > 0 ? x : below;
}

BACKWARD(elu_backward, y)
{
    return y > 0 ? dy : dy * (y + 1);
}

/* selu.  y = s x if x > 0 else s a (e^x - 1);   y' = s if y > 0 else y + s a           Klambauer et al. 2017, eq. 2 */
FORWARD(selu_forward)
{
    REAL below = SELU_FLOOR * EN_NAME(expm1)(x);
    return x > 0 ? SELU_SCALE * x : below;
}

BACKWARD(selu_backward, y)
{
    return dy * (y > 0 ? SELU_SCALE : y + SELU_FLOOR);
}

/* sigmoid.  y = 1 / (1 + e^-x);   y' = y (1 - y) */
FORWARD(sigmoid_forward)
{
    return EN_NAME(sigmoid)(x);
}

BACKWARD(sigmoid_backward, y)
{
    return dy * (y * (1 - y));
}

/* tanh.  y = tanh x;   y' = 1 - y^2 = (1 - y)(1 + y), which does not cancel near |y| = 1 */
FORWARD(tanh_forward)
{
    return EN_NAME(tanh)(x);
}

BACKWARD(tanh_backward, y)
{
    return dy * ((1 - y) * (1 + y));
}

/* log(1 + e) = 2 atanh(e / (2 + e)) for 0 <= e <= 1. Here s = 2 e / (2 + e) <= 2/3, and the series in z = s^2 / 4 needs
 * no reduction: softplus takes 0.38 ns per float32 element with AVX-512, against 0.66 ns with log1p. */
EN_INLINE REAL EN_NAME(log1p_of_fraction)(REAL e)
{
    REAL s = (e + e) / (2 + e), z = s * s * C(0.25), w = z * z;
#if EN_IS_DOUBLE
    REAL odd = C(1.0 / 29), even = C(1.0 / 31);
    odd = odd * w + C(1.0 / 25), even = even * w + C(1.0 / 27);
    odd = odd * w + C(1.0 / 21), even = even * w + C(1.0 / 23);
    odd = odd * w + C(1.0 / 17), even = even * w + C(1.0 / 19);
    odd = odd * w + C(1.0 / 13), even = even * w + C(1.0 / 15);
#else
    REAL odd = C(1.0 / 13), even = C(1.0 / 15);
#endif
    odd = odd * w + C(1.0 / 9), even = even * w + C(1.0 / 11);
    odd = odd * w + C(1.0 / 5), even = even * w + C(1.0 / 7);
    return s + s * z * (C(1.0 / 3) + z * (odd + z * even));
}

/* softplus.  y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|);   y' = 1 - e^-y               Dugas et al. 2001 */
FORWARD(softplus_forward)
{
    REAL positive = x > 0 ? x : 0;
    return positive + EN_NAME(log1p_of_fraction)(EN_NAME(exp)(-FABS(x)));
}

BACKWARD(softplus_backward, y)
{
    return dy * -EN_NAME(expm1)(-y);
}

/* s = sigmoid(x), and 1 - s = sigmoid(-x) without the cancellation, which the gates' derivatives would magnify by x. */
EN_INLINE REAL EN_NAME(sigmoid_and_rest)(REAL x, REAL *rest)
{
    REAL e = EN_NAME(exp)(-FABS(x)), larger = 1 / (1 + e), smaller = e * larger;
    *rest = x < 0 ? larger : smaller;
    return x < 0 ? smaller : larger;
}

/* gelu.  y = x/2 (1 + tanh u) = x sigmoid(2u),   u = sqrt(2/pi) (x + 0.044715 x^3);
 *        y' = s (1 + x (1 - s) 2u'),   s = sigmoid(2u)                       Hendrycks & Gimpel 2016, section 2 */
FORWARD(gelu_forward)
{
    REAL z = x < -GELU_FAR ? -GELU_FAR : x;
    return z * EN_NAME(sigmoid)(GELU_TWICE_SCALE * (z + GELU_CUBE * z * z * z));
}

BACKWARD(gelu_backward, z)
{
    REAL x = z < -GELU_FAR ? -GELU_FAR : z;
    x = x > GELU_FAR ? GELU_FAR : x;
    REAL rest, gate = EN_NAME(sigmoid_and_rest)(GELU_TWICE_SCALE * (x + GELU_CUBE * x * x * x), &rest);
    REAL slope = GELU_TWICE_SCALE * (1 + 3 * GELU_CUBE * x * x);
    return dy * (gate * (1 + x * rest * slope));
}

/* swish.  y = x s,   s = sigmoid(x);   y' = s (1 + x (1 - s))                               Ramachandran et al. 2017 */
FORWARD(swish_forward)
{
    REAL z = x < -FAR ? -FAR : x;
    return z * EN_NAME(sigmoid)(z);
}

BACKWARD(swish_backward, z)
{
    REAL x = z < -FAR ? -FAR : z;
    x = x > FAR ? FAR : x;
    REAL rest, gate = EN_NAME(sigmoid_and_rest)(x, &rest);
    return dy * (gate * (1 + x * rest));
}

/* mish.  y = x t,   t = tanh(log(1 + e^x)) = (w^2 - 1) / (w^2 + 1) with w = 1 + e^x                   Misra 2020
 * In e = e^-|x| and with numerator and denominator p and q of t:
 *   x < 0:   p = e (e + 2),   q = p + 2,      t' = 4 e (1 + e) / q^2
 *   x >= 0:  p = 1 + 2 e,     q = p + 2 e^2,  t' = 4 e^2 (1 + e) / q^2
 * y' = t + x t'.  No logarithm, one division, and nothing cancels but the two terms of y' themselves. */
FORWARD(mish_forward)
{
    REAL z = x < -FAR ? -FAR : x;
    REAL e = EN_NAME(exp)(-FABS(z));
    REAL p = z < 0 ? e * (e + 2) : 1 + 2 * e;
    REAL q = p + (z < 0 ? C(2) : 2 * e * e);
    return z * (p / q);
}

BACKWARD(mish_backward, z)
{
    REAL x = z < -FAR ? -FAR : z;
    x = x > FAR ? FAR : x;
    REAL e = EN_NAME(exp)(-FABS(x));
    REAL p = x < 0 ? e * (e + 2) : 1 + 2 * e;
    REAL q = p + (x < 0 ? C(2) : 2 * e * e);
    REAL slope = 4 * (x < 0 ? e : e * e) * (1 + e);
    return dy * ((p * q + x * slope) / (q * q));
}

/* Sums over a row stay in REAL, so that all of a vector's lanes work: REAL_SUMS partial sums of at most SUM_BLOCK
 * elements each time. The order is the same on every instruction set, and the rounding error grows with
 * SUM_BLOCK / REAL_SUMS and n / SUM_BLOCK instead of n. */
#define REAL_SUMS 16
#define SUM_BLOCK 1024
#define SUM(term) \
    REAL total = 0; \
    for (ptrdiff_t start = 0; start < n; start += SUM_BLOCK) { \
        ptrdiff_t i = start, stop = n - start < SUM_BLOCK ? n : start + SUM_BLOCK; \
        REAL sum = 0; \
        if (stop - start >= REAL_SUMS) { \
            REAL partial[REAL_SUMS] = {0}; \
            for (; i + REAL_SUMS <= stop; i += REAL_SUMS) \
                for (int lane = 0; lane < REAL_SUMS; ++lane) \
                    partial[lane] += term(i + lane); \
            for (int half = REAL_SUMS / 2; half > 0; half /= 2) \
                for (int lane = 0; lane < half; ++lane) \
                    partial[lane] += partial[lane + half]; \
            sum = partial[0]; \
        } \
        for (; i < stop; ++i) \
            sum += term(i); \
        total += sum; \
    } \
    return total;

static inline REAL EN_NAME(sum)(const REAL *x, ptrdiff_t n)
{
#define ELEMENT(i) x[i]
    SUM(ELEMENT)
#undef ELEMENT
}

static inline REAL EN_NAME(dot)(const REAL *x, const REAL *y, ptrdiff_t n)
{
#define PRODUCT(i) x[i] * y[i]
    SUM(PRODUCT)
#undef PRODUCT
}

/* softmax.  x: in, y: out (rows, cols);   y_c = e^(x_c - m) / sum_k e^(x_k - m),   m = max_k x_k       Bridle 1990
 * A NaN, or a maximum of +inf or -inf, makes the whole row NaN. Short rows share one loop of exponentials, so that
 * it does not end every few elements. */
#define SOFTMAX_BLOCK 1024
static void EN_NAME(softmax)(REAL *y, const REAL *x, ptrdiff_t rows, ptrdiff_t cols)
{
    if (rows == 0 || cols == 0)
        return;
    ptrdiff_t block = cols < SOFTMAX_BLOCK ? SOFTMAX_BLOCK / cols : 1;
    for (ptrdiff_t start = 0; start < rows; start += block) {
        ptrdiff_t stop = rows - start < block ? rows : start + block;
        for (ptrdiff_t r = start; r < stop; ++r) {
            REAL m = EN_NAME(maximum)(x + r * cols, cols);
            ELEMENTWISE for (ptrdiff_t i = r * cols; i < (r + 1) * cols; ++i)
                y[i] = x[i] - m;
        }
        EN_NAME(exponential)(y + start * cols, y + start * cols, (stop - start) * cols);
        for (ptrdiff_t r = start; r < stop; ++r) {
            REAL scale = 1 / EN_NAME(sum)(y + r * cols, cols);
            for (ptrdiff_t i = r * cols; i < (r + 1) * cols; ++i)
                y[i] *= scale;
        }
    }
}

/* softmax_backward.  dy, y: in, dx: out (rows, cols);   dx_c = y_c (dy_c - sum_k dy_k y_k) */
static void EN_NAME(softmax_backward)(REAL *dx, const REAL *dy, const REAL *y, ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t r = 0; r < rows; ++r) {
        REAL mean = EN_NAME(dot)(dy + r * cols, y + r * cols, cols);
        ELEMENTWISE for (ptrdiff_t i = r * cols; i < (r + 1) * cols; ++i)
            dx[i] = y[i] * (dy[i] - mean);
    }
}

/* Running sums of at most EN_SUM_COLS neighbouring columns. Blocks of SUM_ROWS rows are summed plainly; their sums are
 * added with the rounding error carried along (Kahan 1965), so the error stays that of one block however many rows there
 * are. */
#define SUM_ROWS 32
struct EN_NAME(sums) {
    REAL total[EN_SUM_COLS], lost[EN_SUM_COLS];
};

/* Adds 1 to SUM_ROWS rows of `width` columns, `stride` elements apart. */
static inline void EN_NAME(add_rows)(struct EN_NAME(sums) *restrict sums, const REAL *restrict x, ptrdiff_t rows,
                                     ptrdiff_t width, ptrdiff_t stride)
{
    REAL partial[EN_SUM_COLS];
    for (ptrdiff_t c = 0; c < width; ++c)
        partial[c] = x[c];
    for (ptrdiff_t r = 1; r < rows; ++r)
        for (ptrdiff_t c = 0; c < width; ++c)
            partial[c] += x[r * stride + c];
    for (ptrdiff_t c = 0; c < width; ++c) {
        REAL term = partial[c] - sums->lost[c], sum = sums->total[c] + term;
        sums->lost[c] = FABS(sum) < C(INFINITY) ? (sum - sums->total[c]) - term : 0; /* not inf - inf */
        sums->total[c] = sum;
    }
}

/* dx = dy f'(saved) for some rows of `width` columns, `stride` elements apart. */
typedef void (*EN_NAME(backward))(REAL *dx, const REAL *dy, const REAL *saved, ptrdiff_t n);
static inline void EN_NAME(backward_rows)(EN_NAME(backward) backward, REAL *dx, const REAL *dy, const REAL *saved,
                                          ptrdiff_t rows, ptrdiff_t width, ptrdiff_t stride)
{
    if (width == stride)
        backward(dx, dy, saved, rows * width);
    else
        for (ptrdiff_t i = 0; i < rows * stride; i += stride)
            backward(dx + i, dy + i, saved + i, width);
}

/* out_c = sum_r x_rc, where x is first made from dy and saved block by block, while it is in the first-level cache, if
 * `backward` is given. `fold` rows of a narrow matrix are treated as one long row, so that its loops are long enough. */
EN_INLINE void EN_NAME(made_and_summed)(REAL *restrict out, const REAL *x, EN_NAME(backward) backward, REAL *dx,
                                        const REAL *dy, const REAL *saved, ptrdiff_t rows, ptrdiff_t cols,
                                        ptrdiff_t stride)
{
    const ptrdiff_t fold = cols == stride && cols < EN_SUM_COLS / 4 ? EN_SUM_COLS / 4 / cols : 1;
    for (ptrdiff_t first = 0; first < cols; first += EN_SUM_COLS) {
        const ptrdiff_t width = cols - first < EN_SUM_COLS ? cols - first : EN_SUM_COLS;
        struct EN_NAME(sums) sums;
        for (ptrdiff_t c = 0; c < fold * width; ++c)
            sums.total[c] = sums.lost[c] = 0;
        ptrdiff_t row = 0;
        for (ptrdiff_t left = rows / fold; left > 0; left -= SUM_ROWS) {
            const ptrdiff_t count = left < SUM_ROWS ? left : SUM_ROWS, i = row * stride + first;
            if (backward)
                EN_NAME(backward_rows)(backward, dx + i, dy + i, saved + i, count * fold, width, stride);
            EN_NAME(add_rows)(&sums, x + i, count, fold * width, fold * stride);
            row += count * fold;
        }
        if (backward)
            EN_NAME(backward_rows)(backward, dx + row * stride + first, dy + row * stride + first,
                                   saved + row * stride + first, rows - row, width, stride);
        for (ptrdiff_t c = 0; c < width; ++c) {
            REAL sum = 0;
            for (ptrdiff_t i = 0; i < fold; ++i)
                sum += sums.total[i * width + c];
            for (ptrdiff_t r = row; r < rows; ++r)
                sum += x[r * stride + first + c];
            out[first + c] = sum;
        }
    }
}

/* column_sums.  x: in (rows, cols), rows `stride` elements apart, out: out (cols);   out_c = sum_r x_rc */
static void EN_NAME(column_sums)(REAL *restrict out, const REAL *restrict x, ptrdiff_t rows, ptrdiff_t cols,
                                 ptrdiff_t stride)
{
    EN_NAME(made_and_summed)(out, x, NULL, NULL, NULL, NULL, rows, cols, stride);
}

/* activation_backward_sums.  dy, saved: in, dx: out (rows, cols), rows `stride` apart, sums: out (cols)
 * dx = dy f'(saved) by the activation's place in EN_BACKWARD_KERNELS, and column_sums of dx, in one pass over memory. */
static void EN_NAME(activation_backward_sums)(REAL *dx, REAL *restrict sums, const REAL *dy, const REAL *saved,
                                              int activation, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t stride)
{
#define POINTER(result, name, parameters) EN_NAME(name),
    static const EN_NAME(backward) backward[] = {EN_BACKWARD_KERNELS(POINTER)};
#undef POINTER
    EN_NAME(made_and_summed)(sums, dx, backward[activation], dx, dy, saved, rows, cols, stride);
}

#undef LEAKYRELU_SLOPE
#undef SELU_SCALE
#undef SELU_FLOOR
#undef GELU_CUBE
#undef GELU_TWICE_SCALE
#undef FAR
#undef GELU_FAR
#undef FORWARD
#undef BACKWARD
#undef REAL_SUMS
#undef SUM_BLOCK
#undef SUM
#undef SOFTMAX_BLOCK
#undef SUM_ROWS
#endif
