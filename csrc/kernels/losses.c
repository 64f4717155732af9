#ifndef REAL
#define EN_BODY "kernels/losses.c"
#include "kernels/losses.h"
#include "kernels/instantiate.h"
#else

#include "kernels/elementary.h"
#include "kernels/reductions.h"

/* Outputs that are probabilities are held inside [LOWEST, highest], where the logarithms are finite. */
#define LOWEST ((REAL)1e-12)
#if EN_IS_DOUBLE
#define BELOW_ONE (1 - 1e-12)
#else
#define BELOW_ONE (1 - 0x1p-23f) /* 1 - 1e-12 would round to 1, whose log(1 - o) is infinite */
#endif

static inline REAL EN_NAME(clip)(REAL o, REAL highest)
{
    o = o < LOWEST ? LOWEST : o;
    return o > highest ? highest : o;
}

/* 0 where the clip is active, `slope` elsewhere; a NaN is not clipped. */
static inline REAL EN_NAME(slope_inside)(REAL slope, REAL o, REAL highest)
{
    slope = o < LOWEST ? 0 : slope;
    return o > highest ? 0 : slope;
}

/* Adds the n numbers x to the partial sums. */
static inline void EN_NAME(add_to)(double *restrict partial, const REAL *restrict x, ptrdiff_t n)
{
#define ELEMENT(i) (double)x[i]
    ADD_TERMS(partial, ELEMENT, n);
#undef ELEMENT
}

/* mse.  (o - t)^2;   d/do = 2 (o - t). The sum's squares are taken in double, where no float overflows. */
static double EN_NAME(mse)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t,
                           double scale, ptrdiff_t n)
{
    const REAL step = (REAL)(2 * scale);
    double partial[DOUBLE_SUMS] = {0};
    for (ptrdiff_t start = 0; start < n; start += EN_LOSS_BLOCK, o += EN_LOSS_BLOCK, t += EN_LOSS_BLOCK) {
        const ptrdiff_t count = n - start < EN_LOSS_BLOCK ? n - start : EN_LOSS_BLOCK;
#define SQUARE(i) (double)(o[i] - t[i]) * (double)(o[i] - t[i])
        ADD_TERMS(partial, SQUARE, count);
#undef SQUARE
        if (each)
            for (ptrdiff_t i = 0; i < count; ++i)
                each[start + i] = (o[i] - t[i]) * (o[i] - t[i]);
        if (grad)
            for (ptrdiff_t i = 0; i < count; ++i)
                grad[start + i] = step * (o[i] - t[i]);
    }
    return EN_NAME(total_of)(partial);
}

/* A kernel whose elements are independent: value and slope = d value / do are expressions of o[i] and t[i], with a loop
 * for each of them. In one loop, a product that both use is rounded before it is added, in a loop without gradient it may
 * be fused with the addition, and the sum would depend on whether the gradient is asked for. */
#define OVER_BLOCKS(value, slope) OVER_BLOCKS_FILLED(for (ptrdiff_t i = 0; i < count; ++i) loss[i] = value;, slope)

/* And for a value that several kernels have in common: `fill` writes the block's. */
#define OVER_BLOCKS_FILLED(fill, slope) \
    const REAL step = (REAL)scale; \
    double partial[DOUBLE_SUMS] = {0}; \
    REAL loss[EN_LOSS_BLOCK]; \
    for (ptrdiff_t start = 0; start < n; start += EN_LOSS_BLOCK, o += EN_LOSS_BLOCK, t += EN_LOSS_BLOCK) { \
        const ptrdiff_t count = n - start < EN_LOSS_BLOCK ? n - start : EN_LOSS_BLOCK; \
        fill \
        for (ptrdiff_t i = 0; grad && i < count; ++i) \
            grad[start + i] = step * slope; \
        EN_NAME(add_to)(partial, loss, count); \
        if (each) \
            memcpy(each + start, loss, (size_t)count * sizeof(REAL)); \
    } \
    return EN_NAME(total_of)(partial);

/* mae.  |o - t|;   d/do = the sign of o - t, 0 where they are equal */
static inline REAL EN_NAME(distance)(REAL o, REAL t) { return FABS(o - t); }

static inline REAL EN_NAME(sign)(REAL o, REAL t)
{
    REAL d = o - t;
    return d > 0 ? 1 : d < 0 ? -1 : d;
}

static double EN_NAME(mae)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t,
                           double scale, ptrdiff_t n)
{
    OVER_BLOCKS(EN_NAME(distance)(o[i], t[i]), EN_NAME(sign)(o[i], t[i]))
}

/* huber.  With d = o - t:   d^2 / 2 if |d| <= delta else delta (|d| - delta / 2);
 *         d/do = d held inside [-delta, delta]                                                              Huber 1964 */
static inline REAL EN_NAME(huber_value)(REAL o, REAL t, REAL delta)
{
    REAL distance = FABS(o - t);
    return distance <= delta ? C(0.5) * distance * distance : delta * (distance - C(0.5) * delta);
}

static inline REAL EN_NAME(huber_slope)(REAL o, REAL t, REAL delta)
{
    REAL d = o - t;
    d = d > delta ? delta : d;
    return d < -delta ? -delta : d;
}

static double EN_NAME(huber)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t,
                             double scale, ptrdiff_t n, double delta)
{
    const REAL bend = (REAL)delta;
    OVER_BLOCKS(EN_NAME(huber_value)(o[i], t[i], bend), EN_NAME(huber_slope)(o[i], t[i], bend))
}

/* hinge.  m = 1 - t o:   max(0, m);   d/do = -t where m > 0, else 0                             Cortes & Vapnik 1995 */
static inline REAL EN_NAME(hinge_value)(REAL o, REAL t)
{
    REAL m = 1 - t * o;
    return m < 0 ? 0 : m;
}

static inline REAL EN_NAME(hinge_slope)(REAL o, REAL t)
{
    REAL m = 1 - t * o;
    return m > 0 ? -t : m <= 0 ? 0 : m;
}

static double EN_NAME(hinge)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t,
                             double scale, ptrdiff_t n)
{
    OVER_BLOCKS(EN_NAME(hinge_value)(o[i], t[i]), EN_NAME(hinge_slope)(o[i], t[i]))
}

/* wasserstein.  -o t;   d/do = -t                                             Arjovsky, Chintala & Bottou 2017, eq. 2 */
static inline REAL EN_NAME(critic_value)(REAL o, REAL t) { return -o * t; }

static inline REAL EN_NAME(critic_slope)(REAL o, REAL t) { return o == o ? -t : o; }

static double EN_NAME(wasserstein)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                   const REAL *restrict t, double scale, ptrdiff_t n)
{
    OVER_BLOCKS(EN_NAME(critic_value)(o[i], t[i]), EN_NAME(critic_slope)(o[i], t[i]))
}

/* focal.  With c = o clipped to [1e-12, BELOW_ONE] and q = 1 - pt = c (1 - t) + t (1 - c):
 *   q^gamma b,   b = -(alpha t log c + (1 - alpha) (1 - t) log(1 - c));
 *   d/do = q^gamma (b' + gamma (1 - 2 t) b / q), 0 where the clip is active                  Lin et al. 2017, eq. 5
 * q is at least 1e-12 for t in [0, 1]. */
static inline REAL EN_NAME(focal_entropy)(REAL c, REAL t, REAL alpha)
{
    return -(alpha * t * EN_NAME(log)(c) + (1 - alpha) * (1 - t) * EN_NAME(log1p)(-c));
}

static inline REAL EN_NAME(focal_value)(REAL o, REAL t, REAL alpha, REAL gamma)
{
    REAL c = EN_NAME(clip)(o, BELOW_ONE), q = c * (1 - t) + t * (1 - c);
    return EN_NAME(exp)(gamma * EN_NAME(log)(q)) * EN_NAME(focal_entropy)(c, t, alpha);
}

EN_NOINLINE void EN_NAME(focal_values)(REAL *restrict loss, const REAL *restrict o, const REAL *restrict t, REAL alpha,
                                       REAL gamma, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        loss[i] = EN_NAME(focal_value)(o[i], t[i], alpha, gamma);
}

static inline REAL EN_NAME(focal_slope)(REAL o, REAL t, REAL alpha, REAL gamma)
{
    REAL c = EN_NAME(clip)(o, BELOW_ONE), q = c * (1 - t) + t * (1 - c);
    REAL slope = (1 - alpha) * (1 - t) / (1 - c) - alpha * t / c;
    slope += gamma * (1 - 2 * t) * EN_NAME(focal_entropy)(c, t, alpha) / q;
    return EN_NAME(slope_inside)(EN_NAME(exp)(gamma * EN_NAME(log)(q)) * slope, o, BELOW_ONE);
}

static double EN_NAME(focal)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t,
                             double scale, ptrdiff_t n, double alpha, double gamma)
{
    const REAL a = (REAL)alpha, focus = (REAL)gamma;
    OVER_BLOCKS_FILLED(EN_NAME(focal_values)(loss, o, t, a, focus, count);, EN_NAME(focal_slope)(o[i], t[i], a, focus))
}

/* focal_at_sigmoid.  The same value for o = sigmoid(z), with the gradient at z, d/do times o (1 - o):
 *   q^gamma ((1 - alpha) (1 - t) o - alpha t (1 - o) + gamma (1 - 2 t) o (1 - o) b / q)
 * The clip is left out of the factors o and 1 - o, so a sample with o = 1 - t to the last bit keeps its full pull. */
static inline REAL EN_NAME(focal_slope_at_sigmoid)(REAL o, REAL t, REAL alpha, REAL gamma)
{
    REAL c = EN_NAME(clip)(o, BELOW_ONE), q = c * (1 - t) + t * (1 - c);
    REAL slope = (1 - alpha) * (1 - t) * o - alpha * t * (1 - o);
    slope += gamma * (1 - 2 * t) * o * (1 - o) * EN_NAME(focal_entropy)(c, t, alpha) / q;
    return EN_NAME(exp)(gamma * EN_NAME(log)(q)) * slope;
}

static double EN_NAME(focal_at_sigmoid)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                        const REAL *restrict t, double scale, ptrdiff_t n, double alpha, double gamma)
{
    const REAL a = (REAL)alpha, focus = (REAL)gamma;
    OVER_BLOCKS_FILLED(EN_NAME(focal_values)(loss, o, t, a, focus, count);,
                       EN_NAME(focal_slope_at_sigmoid)(o[i], t[i], a, focus))
}

/* binary_cross_entropy.  -(t log c + (1 - t) log(1 - c)),  c = o clipped to [1e-12, BELOW_ONE];
 *                        d/do = (c - t) / (c (1 - c)), 0 where the clip is active */
static inline REAL EN_NAME(binary_value)(REAL o, REAL t)
{
    REAL c = EN_NAME(clip)(o, BELOW_ONE);
    return -(t * EN_NAME(log)(c) + (1 - t) * EN_NAME(log1p)(-c));
}

EN_NOINLINE void EN_NAME(binary_values)(REAL *restrict loss, const REAL *restrict o, const REAL *restrict t, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        loss[i] = EN_NAME(binary_value)(o[i], t[i]);
}

static inline REAL EN_NAME(binary_slope)(REAL o, REAL t)
{
    REAL c = EN_NAME(clip)(o, BELOW_ONE);
    return EN_NAME(slope_inside)((c - t) / (c * (1 - c)), o, BELOW_ONE);
}

static double EN_NAME(binary_cross_entropy)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                            const REAL *restrict t, double scale, ptrdiff_t n)
{
    OVER_BLOCKS_FILLED(EN_NAME(binary_values)(loss, o, t, count);, EN_NAME(binary_slope)(o[i], t[i]))
}

/* binary_cross_entropy_at_sigmoid.  The same value for o = sigmoid(z), with the gradient at z:  d/dz = o - t.
 * The clip is left out of the gradient, so a sample with o = 1 - t to the last bit keeps its full pull. */
static inline REAL EN_NAME(difference)(REAL o, REAL t) { return o - t; }

static double EN_NAME(binary_cross_entropy_at_sigmoid)(REAL *restrict each, REAL *restrict grad,
                                                       const REAL *restrict o, const REAL *restrict t, double scale,
                                                       ptrdiff_t n)
{
    OVER_BLOCKS_FILLED(EN_NAME(binary_values)(loss, o, t, count);, EN_NAME(difference)(o[i], t[i]))
}

/* bce_logits.  max(o, 0) - o t + log(1 + e^-|o|);   d/do = sigmoid(o) - t */
static inline REAL EN_NAME(logit_value)(REAL o, REAL t)
{
    REAL positive = o < 0 ? 0 : o;
    return positive - o * t + EN_NAME(log1p)(EN_NAME(exp)(-FABS(o)));
}

static inline REAL EN_NAME(logit_slope)(REAL o, REAL t) { return EN_NAME(sigmoid)(o) - t; }

static double EN_NAME(bce_logits)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                  const REAL *restrict t, double scale, ptrdiff_t n)
{
    OVER_BLOCKS(EN_NAME(logit_value)(o[i], t[i]), EN_NAME(logit_slope)(o[i], t[i]))
}

/* cross_entropy.  -t log c,  c = o clipped to [1e-12, 1];   d/do = -t / c, 0 where the clip is active */
static inline REAL EN_NAME(entropy_value)(REAL o, REAL t)
{
    return -t * EN_NAME(log)(EN_NAME(clip)(o, 1));
}

static inline REAL EN_NAME(entropy_slope)(REAL o, REAL t)
{
    return EN_NAME(slope_inside)(-t / EN_NAME(clip)(o, 1), o, 1);
}

static double EN_NAME(cross_entropy)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                     const REAL *restrict t, double scale, ptrdiff_t n)
{
    OVER_BLOCKS(EN_NAME(entropy_value)(o[i], t[i]), EN_NAME(entropy_slope)(o[i], t[i]))
}

static inline double EN_NAME(sum)(const REAL *restrict x, ptrdiff_t n)
{
    double partial[DOUBLE_SUMS] = {0};
    EN_NAME(add_to)(partial, x, n);
    return EN_NAME(total_of)(partial);
}

/* cross_entropy_at_softmax.  The same value for o = softmax(z) by rows, with the gradient at z:
 * d/dz_i = o_i sum_j t_j - t_i. The clip is left out of the gradient, as above. */
static double EN_NAME(cross_entropy_at_softmax)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                                const REAL *restrict t, double scale, ptrdiff_t rows,
                                                ptrdiff_t classes)
{
    const REAL step = (REAL)scale;
    if (classes == 0)
        return 0;
    for (ptrdiff_t row = 0; grad && row < rows; ++row) {
        const REAL *restrict o_row = o + row * classes, *restrict t_row = t + row * classes;
        REAL *restrict g = grad + row * classes;
        const REAL mass = (REAL)EN_NAME(sum)(t_row, classes);
        for (ptrdiff_t i = 0; i < classes; ++i)
            g[i] = step * (o_row[i] * mass - t_row[i]);
    }
    return EN_NAME(cross_entropy)(each, NULL, o, t, scale, rows * classes);
}

/* What a row of softmax_cross_entropy needs to know of all its classes, with z = o - max o. */
struct EN_NAME(row_sums) {
    double exponentials; /* sum e^z */
    double mass;         /* sum t */
    double expected;     /* sum t z; 0 where t is 0, so that a logit of -infinity switches a class off */
};

static inline void EN_NAME(add_row)(struct EN_NAME(row_sums) *sums, const REAL *restrict e, const REAL *restrict o,
                                    const REAL *restrict t, REAL top, ptrdiff_t n)
{
    double expected[DOUBLE_SUMS] = {0};
#define PRODUCT(i) (double)(t[i] == 0 ? 0 : t[i] * (o[i] - top))
    ADD_TERMS(expected, PRODUCT, n);
#undef PRODUCT
    sums->exponentials += EN_NAME(sum)(e, n);
    sums->mass += EN_NAME(sum)(t, n);
    sums->expected += EN_NAME(total_of)(expected);
}

/* Loss of one row: mass log(sum e^z) - expected. The largest class contributes e^0 = 1 to the sum, so log1p of the
 * rest keeps the digits of a small loss, which log(1 + rest) would lose. */
static inline double EN_NAME(row_loss)(const struct EN_NAME(row_sums) *sums, REAL log_sum)
{
    return sums->mass * (double)log_sum - sums->expected;
}

/* A row of any length: the exponentials are made twice, since there is no place for all of them. */
static double EN_NAME(long_row)(REAL *restrict grad, const REAL *restrict o, const REAL *restrict t, double scale,
                                ptrdiff_t classes)
{
    const REAL top = EN_NAME(maximum)(o, classes);
    struct EN_NAME(row_sums) sums = {0, 0, 0};
    for (ptrdiff_t start = 0; start < classes; start += EN_LOSS_BLOCK) {
        ptrdiff_t count = classes - start < EN_LOSS_BLOCK ? classes - start : EN_LOSS_BLOCK;
        REAL e[EN_LOSS_BLOCK];
        for (ptrdiff_t i = 0; i < count; ++i)
            e[i] = EN_NAME(exp)(o[start + i] - top);
        EN_NAME(add_row)(&sums, e, o + start, t + start, top, count);
    }
    const REAL step = (REAL)scale, weight = (REAL)(scale * sums.mass / sums.exponentials);
    if (grad)
        for (ptrdiff_t i = 0; i < classes; ++i)
            grad[i] = weight * EN_NAME(exp)(o[i] - top) - step * t[i];
    return EN_NAME(row_loss)(&sums, EN_NAME(log1p)((REAL)(sums.exponentials - 1)));
}

/* As many whole rows as fit a block, side by side, so that short rows fill the vectors too. Returns their sum. */
static double EN_NAME(short_rows)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                  const REAL *restrict t, double scale, ptrdiff_t rows, ptrdiff_t classes)
{
    REAL e[EN_LOSS_BLOCK], top[EN_LOSS_BLOCK], log_sum[EN_LOSS_BLOCK];
    struct EN_NAME(row_sums) sums[EN_LOSS_BLOCK];
    double total = 0;
    for (ptrdiff_t row = 0; row < rows; ++row) {
        top[row] = EN_NAME(maximum)(o + row * classes, classes);
        for (ptrdiff_t i = 0; i < classes; ++i)
            e[row * classes + i] = o[row * classes + i] - top[row];
    }
    for (ptrdiff_t i = 0; i < rows * classes; ++i)
        e[i] = EN_NAME(exp)(e[i]);
    for (ptrdiff_t row = 0; row < rows; ++row) {
        const ptrdiff_t start = row * classes;
        sums[row] = (struct EN_NAME(row_sums)){0, 0, 0};
        EN_NAME(add_row)(&sums[row], e + start, o + start, t + start, top[row], classes);
        log_sum[row] = (REAL)(sums[row].exponentials - 1);
    }
    for (ptrdiff_t row = 0; row < rows; ++row)
        log_sum[row] = EN_NAME(log1p)(log_sum[row]);
    for (ptrdiff_t row = 0; row < rows; ++row) {
        const double loss = EN_NAME(row_loss)(&sums[row], log_sum[row]);
        total += loss;
        if (each)
            each[row] = (REAL)loss;
    }
    for (ptrdiff_t row = 0; grad && row < rows; ++row) {
        const REAL step = (REAL)scale, weight = (REAL)(scale * sums[row].mass / sums[row].exponentials);
        for (ptrdiff_t i = row * classes; i < (row + 1) * classes; ++i)
            grad[i] = weight * e[i] - step * t[i];
    }
    return total;
}

/* softmax_cross_entropy.  With z = o - max o by rows:   sum_i t_i (log(sum_j e^z_j) - z_i);
 *                         d/do_i = softmax(o)_i sum_j t_j - t_i                             Bridle 1990 */
static double EN_NAME(softmax_cross_entropy)(REAL *restrict each, REAL *restrict grad, const REAL *restrict o,
                                             const REAL *restrict t, double scale, ptrdiff_t rows, ptrdiff_t classes)
{
    double total = 0;
    if (classes == 0) {
        if (each)
            memset(each, 0, (size_t)rows * sizeof(REAL));
        return 0;
    }
    const ptrdiff_t together = classes < EN_LOSS_BLOCK ? EN_LOSS_BLOCK / classes : 1;
    for (ptrdiff_t row = 0; row < rows; row += together) {
        const ptrdiff_t start = row * classes, count = rows - row < together ? rows - row : together;
        REAL *each_row = each ? each + row : NULL, *g = grad ? grad + start : NULL;
        if (classes <= EN_LOSS_BLOCK) {
            total += EN_NAME(short_rows)(each_row, g, o + start, t + start, scale, count, classes);
        } else {
            const double loss = EN_NAME(long_row)(g, o + start, t + start, scale, classes);
            total += loss;
            if (each)
                *each_row = (REAL)loss;
        }
    }
    return total;
}

#undef LOWEST
#undef BELOW_ONE
#undef OVER_BLOCKS
#undef OVER_BLOCKS_APART
#endif
