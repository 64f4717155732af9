#ifndef REAL
#define EN_BODY "kernels/norm.c"
#include "kernels/norm.h"
#include "kernels/instantiate.h"
#else

#include "kernels/elementwise.h"
#include "kernels/reductions.h"
#include "kernels/norm_sums.h"
#include "kernels/norm_rows.h"

typedef void (*EN_NAME(forward))(REAL *y, const REAL *x, ptrdiff_t n);

/* scaled: z = (x - mean) scale + offset and y = activate(z) for m channels; z or x may be y itself. The subtraction
 * comes first: mean scale may be huge. */
static void EN_NAME(scaled)(REAL *y, REAL *z, const REAL *x, const REAL *restrict mean, const REAL *restrict scale,
                            const REAL *restrict offset, en_activation activate,
                            ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        const REAL mean_ = mean[0], scale_ = scale[0], offset_ = offset[0];
        for (ptrdiff_t i = 0; i < n; ++i, x += stride, y += stride, z += stride)
            for (ptrdiff_t start = 0; start < s; start += MOST_RUN) {
                const ptrdiff_t stop = s - start < MOST_RUN ? s : start + MOST_RUN;
                ELEMENTWISE for (ptrdiff_t j = start; j < stop; ++j)
                    z[j] = (x[j] - mean_) * scale_ + offset_;
                if (activate)
                    ((EN_NAME(forward))activate)(y + start, z + start, stop - start);
            }
        return;
    }
    REAL column_mean[MOST_COLUMNS], column_scale[MOST_COLUMNS], column_offset[MOST_COLUMNS];
    const ptrdiff_t width = m * s;
    EN_NAME(spread)(column_mean, mean, m, s);
    EN_NAME(spread)(column_scale, scale, m, s);
    EN_NAME(spread)(column_offset, offset, m, s);
    for (ptrdiff_t i = 0; i < n; ++i, x += stride, y += stride, z += stride) {
        ELEMENTWISE for (ptrdiff_t j = 0; j < width; ++j)
            z[j] = (x[j] - column_mean[j]) * column_scale[j] + column_offset[j];
        if (activate)
            ((EN_NAME(forward))activate)(y, z, width);
    }
}

/* centred: dx = scale (g - level - (x - mean) slope) for m channels; the gradient g may stand in dx. */
static void EN_NAME(centred)(REAL *dx, const REAL *g, const REAL *x, const REAL *restrict mean,
                             const REAL *restrict scale, const REAL *restrict level, const REAL *restrict slope,
                             ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        const REAL mean_ = mean[0], scale_ = scale[0], level_ = level[0], slope_ = slope[0];
        for (ptrdiff_t i = 0; i < n; ++i, x += stride, g += stride, dx += stride)
            ELEMENTWISE for (ptrdiff_t j = 0; j < s; ++j)
                dx[j] = scale_ * (g[j] - level_ - (x[j] - mean_) * slope_);
        return;
    }
    REAL column_mean[MOST_COLUMNS], column_scale[MOST_COLUMNS], column_level[MOST_COLUMNS], column_slope[MOST_COLUMNS];
    const ptrdiff_t width = m * s;
    EN_NAME(spread)(column_mean, mean, m, s);
    EN_NAME(spread)(column_scale, scale, m, s);
    EN_NAME(spread)(column_level, level, m, s);
    EN_NAME(spread)(column_slope, slope, m, s);
    for (ptrdiff_t i = 0; i < n; ++i, x += stride, g += stride, dx += stride)
        ELEMENTWISE for (ptrdiff_t j = 0; j < width; ++j)
            dx[j] = column_scale[j] * (g[j] - column_level[j] - (x[j] - column_mean[j]) * column_slope[j]);
}

/* batchnorm.  y: out (n, c, s)   z: out (n, c, s) or NULL   mean, var, inv_std: out (c)
 *             x: in (n, c, s), n s >= 1   gamma, beta: in (c)
 * With M = n s:  mean = sum x / M;  var = sum (x - mean)^2 / M;  inv_std = 1 / sqrt(var + eps);
 *                z = gamma (x - mean) inv_std + beta;  y = activate(z)          Ioffe & Szegedy 2015, algorithm 1
 * The variance is taken around a shift near the mean, in one pass:  M var = sum d^2 - (sum d)^2 / M,  d = x - shift
 * (Chan, Golub & LeVeque 1983, equation 1.8). The shift is the mean of an eighth of the batch, which by Cauchy-Schwarz
 * is at most sqrt(8) standard deviations from the mean whatever the data are, so cancellation costs at most 3 bits;
 * the first element alone would cost up to log2 M bits where it is an outlier. The mean is used as the sum of two
 * REALs, because rounding it to one moves y by |mean| / std times the unit roundoff. */
static void EN_NAME(batchnorm)(REAL *y, REAL *z, REAL *restrict mean, REAL *restrict var, REAL *restrict inv_std,
                               const REAL *restrict x, const REAL *restrict gamma, const REAL *restrict beta,
                               double eps, en_activation activate, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s,
                               ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t block = EN_NORM_BLOCK(s), pilot = (n + 7) / 8;
    const double count = (double)n * (double)s;
    for (; first < stop; first += block) {
        const ptrdiff_t m = stop - first < block ? stop - first : block;
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
        EN_NAME(scaled)(y + first * s, (z ? z : y) + first * s, x + first * s, mean + first, scale, offset, activate,
                        n, c * s, s, m);
    }
}

/* batchnorm_backward.  dx: out (n, c, s) or NULL   dgamma, dbeta: out (c)   dy, x: in (n, c, s)
 *                      saved: in (n, c, s), what `backward` reads   mean, inv_std, gamma: in (c), from batchnorm
 * With g = dy f'(saved), xhat = (x - mean) inv_std and M = n s:   dbeta = sum g;   dgamma = sum g xhat;
 *                dx = gamma inv_std / M (M g - dbeta - xhat dgamma)            Ioffe & Szegedy 2015, section 3
 * sum (x - mean) / M is what rounding the mean to REAL cost; it is put back. */
static void EN_NAME(batchnorm_backward)(REAL *dx, REAL *restrict dgamma, REAL *restrict dbeta, const REAL *dy,
                                        const REAL *saved, const REAL *x, const REAL *restrict mean,
                                        const REAL *restrict inv_std, const REAL *restrict gamma,
                                        en_activation backward, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s,
                                        ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t block = EN_NORM_BLOCK(s);
    const double count = (double)n * (double)s;
    for (; first < stop; first += block) {
        const ptrdiff_t m = stop - first < block ? stop - first : block, at = first * s;
        const struct EN_NAME(gradient) gradient = {dy + at, saved ? saved + at : NULL, dx ? dx + at : NULL, backward};
        double sum_g[MOST_COLUMNS], sum_gd[MOST_COLUMNS], sum_d[MOST_COLUMNS];
        REAL scale[MOST_COLUMNS] = {0}, level[MOST_COLUMNS] = {0}, slope[MOST_COLUMNS] = {0};
        EN_NAME(products)(sum_g, sum_gd, sum_d, &gradient, x + at, mean + first, n, c * s, s, m);
        for (ptrdiff_t k = 0; k < m; ++k) {
            const ptrdiff_t channel = first + k;
            const double factor = (double)inv_std[channel], rest = sum_d[k] / count;
            const double exact_dgamma = (sum_gd[k] - rest * sum_g[k]) * factor;
            const double exact_slope = factor * exact_dgamma / count;
            dbeta[channel] = (REAL)sum_g[k];
            dgamma[channel] = (REAL)exact_dgamma;
            scale[k] = (REAL)((double)gamma[channel] * factor);
            level[k] = (REAL)(sum_g[k] / count - rest * exact_slope);
            slope[k] = (REAL)exact_slope;
        }
        if (dx)
            EN_NAME(centred)(dx + at, backward ? dx + at : dy + at, x + at, mean + first, scale, level, slope,
                             n, c * s, s, m);
    }
}

/* batchnorm_inference.  y: out (n, c, s)   z: out (n, c, s) or NULL   x: in (n, c, s)   mean, var, gamma, beta: in (c)
 *                z = gamma (x - mean) / sqrt(var + eps) + beta;  y = activate(z)  Ioffe & Szegedy 2015, algorithm 2 */
static void EN_NAME(batchnorm_inference)(REAL *y, REAL *z, const REAL *restrict x, const REAL *restrict mean,
                                         const REAL *restrict var, const REAL *restrict gamma,
                                         const REAL *restrict beta, double eps, en_activation activate,
                                         ptrdiff_t n, ptrdiff_t c, ptrdiff_t s, ptrdiff_t first,
                                         ptrdiff_t stop)
{
    const ptrdiff_t block = EN_NORM_BLOCK(s);
    for (; first < stop; first += block) {
        const ptrdiff_t m = stop - first < block ? stop - first : block;
        REAL scale[MOST_COLUMNS] = {0};
        for (ptrdiff_t k = 0; k < m; ++k)
            scale[k] = (REAL)((double)gamma[first + k] / sqrt((double)var[first + k] + eps));
        EN_NAME(scaled)(y + first * s, (z ? z : y) + first * s, x + first * s, mean + first, scale, beta + first,
                        activate, n, c * s, s, m);
    }
}

/* batchnorm_inference_backward.  dx: out (n, c, s) or NULL   dgamma, dbeta: out (c), or both NULL
 *                                dy, saved, x: in (n, c, s)   mean, var, gamma: in (c)
 * The statistics are constants; with g = dy f'(saved):  dbeta = sum g;  dgamma = sum g (x - mean) / sqrt(var + eps);
 *                                dx = gamma g / sqrt(var + eps) */
static void EN_NAME(batchnorm_inference_backward)(REAL *dx, REAL *restrict dgamma, REAL *restrict dbeta,
                                                  const REAL *dy, const REAL *saved, const REAL *x,
                                                  const REAL *restrict mean, const REAL *restrict var,
                                                  const REAL *restrict gamma, double eps,
                                                  en_activation backward, ptrdiff_t n, ptrdiff_t c,
                                                  ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)
{
    static const REAL zeros[MOST_COLUMNS];
    const ptrdiff_t block = EN_NORM_BLOCK(s);
    for (; first < stop; first += block) {
        const ptrdiff_t m = stop - first < block ? stop - first : block, at = first * s;
        const struct EN_NAME(gradient) gradient = {dy + at, saved ? saved + at : NULL, dx ? dx + at : NULL, backward};
        double sum_g[MOST_COLUMNS], sum_gd[MOST_COLUMNS], sum_d[MOST_COLUMNS];
        REAL scale[MOST_COLUMNS] = {0};
        for (ptrdiff_t k = 0; k < m; ++k)
            scale[k] = (REAL)((double)gamma[first + k] / sqrt((double)var[first + k] + eps));
        if (dgamma || backward) /* the sums are made on the way to the gradient */
            EN_NAME(products)(sum_g, sum_gd, sum_d, &gradient, x + at, mean + first, n, c * s, s, m);
        for (ptrdiff_t k = 0; dgamma && k < m; ++k) {
            dbeta[first + k] = (REAL)sum_g[k];
            dgamma[first + k] = (REAL)(sum_gd[k] / sqrt((double)var[first + k] + eps));
        }
        if (dx)
            EN_NAME(scaled)(dx + at, dx + at, backward ? dx + at : dy + at, zeros, scale, zeros, NULL, n, c * s, s, m);
    }
}

/* blend.  x: in/out (n)   y: in (n)          x <- (1 - weight) x + weight y */
static void EN_NAME(blend)(REAL *restrict x, const REAL *restrict y, double weight, ptrdiff_t n)
{
    const REAL old = (REAL)(1 - weight), new = (REAL)weight;
    for (ptrdiff_t i = 0; i < n; ++i)
        x[i] = old * x[i] + new * y[i];
}
#endif
