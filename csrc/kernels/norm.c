#ifndef REAL
#define EN_BODY "kernels/norm.c"
#include "kernels/norm.h"
#include "kernels/instantiate.h"
#else

/* Two loop orders. Channels of many elements are taken one at a time, and the vectors run along s. Channels of at most
 * MOST_SHORT elements are taken in blocks of at most MOST_COLUMNS adjacent columns of the matrix (n, c s), and the
 * vectors run across channels: with s = 1, as after a dense layer, there is nothing to vectorise inside a channel. */
#define MOST_COLUMNS 128
#define MOST_SHORT 32

/* A vector of doubles that fills a register, and as many REALs. */
typedef double EN_NAME(doubles) __attribute__((vector_size(EN_VECTOR)));
#define DOUBLES EN_NAME(doubles)
#define DOUBLE_LANES ((ptrdiff_t)(EN_VECTOR / sizeof(double)))
typedef REAL EN_NAME(reals) __attribute__((vector_size(EN_VECTOR / sizeof(double) * sizeof(REAL))));

static inline DOUBLES EN_NAME(load)(const REAL *restrict x)
{
    EN_NAME(reals) v;
    memcpy(&v, x, sizeof v);
    return __builtin_convertvector(v, DOUBLES);
}

static inline double EN_NAME(total)(DOUBLES v)
{
    double sum = 0;
    for (ptrdiff_t lane = 0; lane < DOUBLE_LANES; ++lane)
        sum += v[lane];
    return sum;
}

/* Channels per block. */
static inline ptrdiff_t EN_NAME(block)(ptrdiff_t s)
{
    return s > MOST_SHORT ? 1 : s > 1 ? MOST_COLUMNS / s : MOST_COLUMNS;
}

/* The sums of one long channel over its n runs of s elements: sum of d and of d^2, d = x - shift. */
static inline void EN_NAME(long_moments)(double *restrict sum, double *restrict squares, const REAL *restrict x,
                                         REAL shift, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s)
{
    DOUBLES sum0 = {0}, sum1 = {0}, sum2 = {0}, sum3 = {0}, sq0 = {0}, sq1 = {0}, sq2 = {0}, sq3 = {0};
    double rest = 0, rest_squares = 0;
    for (ptrdiff_t i = 0; i < n; ++i, x += stride) {
        ptrdiff_t j = 0;
        for (; j + 4 * DOUBLE_LANES <= s; j += 4 * DOUBLE_LANES) {
            const DOUBLES d0 = EN_NAME(load)(x + j) - (double)shift;
            const DOUBLES d1 = EN_NAME(load)(x + j + DOUBLE_LANES) - (double)shift;
            const DOUBLES d2 = EN_NAME(load)(x + j + 2 * DOUBLE_LANES) - (double)shift;
            const DOUBLES d3 = EN_NAME(load)(x + j + 3 * DOUBLE_LANES) - (double)shift;
            sum0 += d0, sum1 += d1, sum2 += d2, sum3 += d3;
            sq0 += d0 * d0, sq1 += d1 * d1, sq2 += d2 * d2, sq3 += d3 * d3;
        }
        for (; j + DOUBLE_LANES <= s; j += DOUBLE_LANES) {
            const DOUBLES d = EN_NAME(load)(x + j) - (double)shift;
            sum0 += d;
            sq0 += d * d;
        }
        for (; j < s; ++j) {
            const double d = (double)x[j] - (double)shift;
            rest += d;
            rest_squares += d * d;
        }
    }
    *sum = EN_NAME(total)((sum0 + sum1) + (sum2 + sum3)) + rest;
    *squares = EN_NAME(total)((sq0 + sq1) + (sq2 + sq3)) + rest_squares;
}

/* The sums of one long channel in the backward pass: of dy, of dy d and of d, with d = x - mean. */
static inline void EN_NAME(long_products)(double *restrict sum_dy, double *restrict sum_dyd, double *restrict sum_d,
                                          const REAL *restrict dy, const REAL *restrict x, REAL mean,
                                          ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s)
{
    DOUBLES dy0 = {0}, dy1 = {0}, dyd0 = {0}, dyd1 = {0}, total0 = {0}, total1 = {0};
    double rest_dy = 0, rest_dyd = 0, rest_d = 0;
    for (ptrdiff_t i = 0; i < n; ++i, x += stride, dy += stride) {
        ptrdiff_t j = 0;
        for (; j + 2 * DOUBLE_LANES <= s; j += 2 * DOUBLE_LANES) {
            const DOUBLES g0 = EN_NAME(load)(dy + j), d0 = EN_NAME(load)(x + j) - (double)mean;
            const DOUBLES g1 = EN_NAME(load)(dy + j + DOUBLE_LANES);
            const DOUBLES d1 = EN_NAME(load)(x + j + DOUBLE_LANES) - (double)mean;
            dy0 += g0, dy1 += g1;
            dyd0 += g0 * d0, dyd1 += g1 * d1;
            total0 += d0, total1 += d1;
        }
        for (; j < s; ++j) {
            const double d = (double)x[j] - (double)mean;
            rest_dy += (double)dy[j];
            rest_dyd += (double)dy[j] * d;
            rest_d += d;
        }
    }
    *sum_dy = EN_NAME(total)(dy0 + dy1) + rest_dy;
    *sum_dyd = EN_NAME(total)(dyd0 + dyd1) + rest_dyd;
    *sum_d = EN_NAME(total)(total0 + total1) + rest_d;
}

/* One value per channel becomes one per column. */
static inline void EN_NAME(spread)(REAL *restrict columns, const REAL *restrict channels, ptrdiff_t m, ptrdiff_t s)
{
    for (ptrdiff_t k = 0; k < m; ++k)
        for (ptrdiff_t j = 0; j < s; ++j)
            columns[k * s + j] = channels[k];
}

/* One sum per column becomes one per channel. */
static inline void EN_NAME(gather)(double *restrict channels, const double *restrict columns, ptrdiff_t m, ptrdiff_t s)
{
    for (ptrdiff_t k = 0; k < m; ++k) {
        channels[k] = 0;
        for (ptrdiff_t j = 0; j < s; ++j)
            channels[k] += columns[k * s + j];
    }
}

/* moments of m channels: sum = sum of d, squares = sum of d^2, d = x - shift. */
static void EN_NAME(moments)(double *restrict sum, double *restrict squares, const REAL *restrict x,
                             const REAL *restrict shift, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        EN_NAME(long_moments)(sum, squares, x, shift[0], n, stride, s);
        return;
    }
    double column_sum[MOST_COLUMNS] = {0}, column_squares[MOST_COLUMNS] = {0};
    REAL column_shift[MOST_COLUMNS];
    const ptrdiff_t width = m * s;
    EN_NAME(spread)(column_shift, shift, m, s);
    for (ptrdiff_t i = 0; i < n; ++i, x += stride)
        for (ptrdiff_t j = 0; j < width; ++j) {
            const double d = (double)x[j] - (double)column_shift[j];
            column_sum[j] += d;
            column_squares[j] += d * d;
        }
    EN_NAME(gather)(sum, column_sum, m, s);
    EN_NAME(gather)(squares, column_squares, m, s);
}

/* products of m channels: the sums of dy, of dy d and of d, with d = x - mean. */
static void EN_NAME(products)(double *restrict sum_dy, double *restrict sum_dyd, double *restrict sum_d,
                              const REAL *restrict dy, const REAL *restrict x, const REAL *restrict mean,
                              ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        EN_NAME(long_products)(sum_dy, sum_dyd, sum_d, dy, x, mean[0], n, stride, s);
        return;
    }
    double column_dy[MOST_COLUMNS] = {0}, column_dyd[MOST_COLUMNS] = {0}, column_d[MOST_COLUMNS] = {0};
    REAL column_mean[MOST_COLUMNS];
    const ptrdiff_t width = m * s;
    EN_NAME(spread)(column_mean, mean, m, s);
    for (ptrdiff_t i = 0; i < n; ++i, x += stride, dy += stride)
        for (ptrdiff_t j = 0; j < width; ++j) {
            const double d = (double)x[j] - (double)column_mean[j];
            column_dy[j] += (double)dy[j];
            column_dyd[j] += (double)dy[j] * d;
            column_d[j] += d;
        }
    EN_NAME(gather)(sum_dy, column_dy, m, s);
    EN_NAME(gather)(sum_dyd, column_dyd, m, s);
    EN_NAME(gather)(sum_d, column_d, m, s);
}

/* scaled: y = (x - mean) scale + offset for m channels. The subtraction comes first: mean scale may be huge. */
static void EN_NAME(scaled)(REAL *restrict y, const REAL *restrict x, const REAL *restrict mean,
                            const REAL *restrict scale, const REAL *restrict offset,
                            ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        const REAL mean_ = mean[0], scale_ = scale[0], offset_ = offset[0];
        for (ptrdiff_t i = 0; i < n; ++i, x += stride, y += stride)
            for (ptrdiff_t j = 0; j < s; ++j)
                y[j] = (x[j] - mean_) * scale_ + offset_;
        return;
    }
    REAL column_mean[MOST_COLUMNS], column_scale[MOST_COLUMNS], column_offset[MOST_COLUMNS];
    const ptrdiff_t width = m * s;
    EN_NAME(spread)(column_mean, mean, m, s);
    EN_NAME(spread)(column_scale, scale, m, s);
    EN_NAME(spread)(column_offset, offset, m, s);
    for (ptrdiff_t i = 0; i < n; ++i, x += stride, y += stride)
        for (ptrdiff_t j = 0; j < width; ++j)
            y[j] = (x[j] - column_mean[j]) * column_scale[j] + column_offset[j];
}

/* centred: dx = scale (dy - level - (x - mean) slope) for m channels. */
static void EN_NAME(centred)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x,
                             const REAL *restrict mean, const REAL *restrict scale, const REAL *restrict level,
                             const REAL *restrict slope, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        const REAL mean_ = mean[0], scale_ = scale[0], level_ = level[0], slope_ = slope[0];
        for (ptrdiff_t i = 0; i < n; ++i, x += stride, dy += stride, dx += stride)
            for (ptrdiff_t j = 0; j < s; ++j)
                dx[j] = scale_ * (dy[j] - level_ - (x[j] - mean_) * slope_);
        return;
    }
    REAL column_mean[MOST_COLUMNS], column_scale[MOST_COLUMNS], column_level[MOST_COLUMNS], column_slope[MOST_COLUMNS];
    const ptrdiff_t width = m * s;
    EN_NAME(spread)(column_mean, mean, m, s);
    EN_NAME(spread)(column_scale, scale, m, s);
    EN_NAME(spread)(column_level, level, m, s);
    EN_NAME(spread)(column_slope, slope, m, s);
    for (ptrdiff_t i = 0; i < n; ++i, x += stride, dy += stride, dx += stride)
        for (ptrdiff_t j = 0; j < width; ++j)
            dx[j] = column_scale[j] * (dy[j] - column_level[j] - (x[j] - column_mean[j]) * column_slope[j]);
}

/* batchnorm.  y: out (n, c, s)   mean, var, inv_std: out (c)   x: in (n, c, s), n s >= 1   gamma, beta: in (c)
 * With M = n s:  mean = sum x / M;  var = sum (x - mean)^2 / M;  inv_std = 1 / sqrt(var + eps);
 *                y = gamma (x - mean) inv_std + beta                            Ioffe & Szegedy 2015, algorithm 1
 * The variance is taken around a shift near the mean, in one pass:  M var = sum d^2 - (sum d)^2 / M,  d = x - shift
 * (Chan, Golub & LeVeque 1983, equation 1.8). The shift is the mean of an eighth of the batch, which by Cauchy-Schwarz
 * is at most sqrt(8) standard deviations from the mean whatever the data are, so cancellation costs at most 3 bits;
 * the first element alone would cost up to log2 M bits where it is an outlier. The mean is used as the sum of two
 * REALs, because rounding it to one moves y by |mean| / std times the unit roundoff. */
static void EN_NAME(batchnorm)(REAL *restrict y, REAL *restrict mean, REAL *restrict var, REAL *restrict inv_std,
                               const REAL *restrict x, const REAL *restrict gamma, const REAL *restrict beta,
                               double eps, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)
{
    const ptrdiff_t block = EN_NAME(block)(s), pilot = (n + 7) / 8;
    const double count = (double)n * (double)s;
    for (ptrdiff_t first = 0; first < c; first += block) {
        const ptrdiff_t m = c - first < block ? c - first : block;
        double sum[MOST_COLUMNS], squares[MOST_COLUMNS];
        REAL shift[MOST_COLUMNS] = {0}, scale[MOST_COLUMNS] = {0}, offset[MOST_COLUMNS] = {0};
        for (ptrdiff_t k = 0; k < m; ++k)
            shift[k] = x[(first + k) * s];
        EN_NAME(moments)(sum, squares, x + first * s, shift, pilot, c * s, s, m);
        for (ptrdiff_t k = 0; k < m; ++k)
            shift[k] += (REAL)(sum[k] / ((double)pilot * (double)s));
        EN_NAME(moments)(sum, squares, x + first * s, shift, n, c * s, s, m);
        for (ptrdiff_t k = 0; k < m; ++k) {
            const ptrdiff_t channel = first + k;
            const double above_shift = sum[k] / count;
            const double spread = (squares[k] - sum[k] * above_shift) / count;
            const double exact_var = spread < 0 ? 0 : spread;
            const double factor = 1 / sqrt(exact_var + eps);
            mean[channel] = (REAL)((double)shift[k] + above_shift);
            var[channel] = (REAL)exact_var;
            inv_std[channel] = (REAL)factor;
            scale[k] = (REAL)((double)gamma[channel] * factor);
            const double rest = ((double)shift[k] - (double)mean[channel]) + above_shift;
            offset[k] = (REAL)((double)beta[channel] - rest * (double)gamma[channel] * factor);
        }
        EN_NAME(scaled)(y + first * s, x + first * s, mean + first, scale, offset, n, c * s, s, m);
    }
}

/* batchnorm_backward.  dx: out (n, c, s) or NULL   dgamma, dbeta: out (c)   dy, x: in (n, c, s)
 *                      mean, inv_std, gamma: in (c), the mean and inv_std of x that batchnorm gave
 * With xhat = (x - mean) inv_std and M = n s:   dbeta = sum dy;   dgamma = sum dy xhat;
 *                dx = gamma inv_std / M (M dy - dbeta - xhat dgamma)            Ioffe & Szegedy 2015, section 3
 * sum (x - mean) / M is what rounding the mean to REAL cost; it is put back. */
static void EN_NAME(batchnorm_backward)(REAL *restrict dx, REAL *restrict dgamma, REAL *restrict dbeta,
                                        const REAL *restrict dy, const REAL *restrict x, const REAL *restrict mean,
                                        const REAL *restrict inv_std, const REAL *restrict gamma,
                                        ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)
{
    const ptrdiff_t block = EN_NAME(block)(s);
    const double count = (double)n * (double)s;
    for (ptrdiff_t first = 0; first < c; first += block) {
        const ptrdiff_t m = c - first < block ? c - first : block;
        double sum_dy[MOST_COLUMNS], sum_dyd[MOST_COLUMNS], sum_d[MOST_COLUMNS];
        REAL scale[MOST_COLUMNS] = {0}, level[MOST_COLUMNS] = {0}, slope[MOST_COLUMNS] = {0};
        EN_NAME(products)(sum_dy, sum_dyd, sum_d, dy + first * s, x + first * s, mean + first, n, c * s, s, m);
        for (ptrdiff_t k = 0; k < m; ++k) {
            const ptrdiff_t channel = first + k;
            const double factor = (double)inv_std[channel], rest = sum_d[k] / count;
            const double exact_dgamma = (sum_dyd[k] - rest * sum_dy[k]) * factor;
            const double exact_slope = factor * exact_dgamma / count;
            dbeta[channel] = (REAL)sum_dy[k];
            dgamma[channel] = (REAL)exact_dgamma;
            scale[k] = (REAL)((double)gamma[channel] * factor);
            level[k] = (REAL)(sum_dy[k] / count - rest * exact_slope);
            slope[k] = (REAL)exact_slope;
        }
        if (dx)
            EN_NAME(centred)(dx + first * s, dy + first * s, x + first * s, mean + first, scale, level, slope,
                             n, c * s, s, m);
    }
}

/* batchnorm_inference.  y: out (n, c, s)   x: in (n, c, s)   mean, var, gamma, beta: in (c)
 *                y = gamma (x - mean) / sqrt(var + eps) + beta                  Ioffe & Szegedy 2015, algorithm 2 */
static void EN_NAME(batchnorm_inference)(REAL *restrict y, const REAL *restrict x, const REAL *restrict mean,
                                         const REAL *restrict var, const REAL *restrict gamma,
                                         const REAL *restrict beta, double eps, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)
{
    const ptrdiff_t block = EN_NAME(block)(s);
    for (ptrdiff_t first = 0; first < c; first += block) {
        const ptrdiff_t m = c - first < block ? c - first : block;
        REAL scale[MOST_COLUMNS] = {0};
        for (ptrdiff_t k = 0; k < m; ++k)
            scale[k] = (REAL)((double)gamma[first + k] / sqrt((double)var[first + k] + eps));
        EN_NAME(scaled)(y + first * s, x + first * s, mean + first, scale, beta + first, n, c * s, s, m);
    }
}

/* batchnorm_inference_backward.  dx: out (n, c, s) or NULL   dgamma, dbeta: out (c), or both NULL
 *                                dy, x: in (n, c, s)   mean, var, gamma: in (c)
 * The statistics are constants:  dbeta = sum dy;  dgamma = sum dy (x - mean) / sqrt(var + eps);
 *                                dx = gamma dy / sqrt(var + eps) */
static void EN_NAME(batchnorm_inference_backward)(REAL *restrict dx, REAL *restrict dgamma, REAL *restrict dbeta,
                                                  const REAL *restrict dy, const REAL *restrict x,
                                                  const REAL *restrict mean, const REAL *restrict var,
                                                  const REAL *restrict gamma, double eps,
                                                  ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)
{
    static const REAL zeros[MOST_COLUMNS];
    const ptrdiff_t block = EN_NAME(block)(s);
    for (ptrdiff_t first = 0; first < c; first += block) {
        const ptrdiff_t m = c - first < block ? c - first : block;
        REAL scale[MOST_COLUMNS] = {0};
        for (ptrdiff_t k = 0; k < m; ++k)
            scale[k] = (REAL)((double)gamma[first + k] / sqrt((double)var[first + k] + eps));
        if (dx)
            EN_NAME(scaled)(dx + first * s, dy + first * s, zeros, scale, zeros, n, c * s, s, m);
        if (dgamma && dbeta) {
            double sum_dy[MOST_COLUMNS], sum_dyd[MOST_COLUMNS], sum_d[MOST_COLUMNS];
            EN_NAME(products)(sum_dy, sum_dyd, sum_d, dy + first * s, x + first * s, mean + first, n, c * s, s, m);
            for (ptrdiff_t k = 0; k < m; ++k) {
                dbeta[first + k] = (REAL)sum_dy[k];
                dgamma[first + k] = (REAL)(sum_dyd[k] / sqrt((double)var[first + k] + eps));
            }
        }
    }
}

#undef MOST_COLUMNS
#undef MOST_SHORT
#undef DOUBLES
#undef DOUBLE_LANES
#endif
