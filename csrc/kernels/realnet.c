#ifndef REAL
#define EN_BODY "kernels/realnet.c"
#include "kernels/realnet.h"
#include "kernels/instantiate.h"
#else

#include "kernels/elementwise.h"
#include "kernels/elementary.h"
#include "kernels/gelu_erf.h"

/* Over whole vectors only; see pointwise.c. */
EN_NOINLINE void EN_NAME(gelu_tiles)(REAL *g, REAL *restrict slope, ptrdiff_t n)
{
    ELEMENTWISE for (ptrdiff_t i = 0; i < (n & -(ptrdiff_t)LANES); ++i)
        g[i] = EN_NAME(gelu_erf)(g[i], slope + i);
}

/* realnet_excite.  g, slope: out (rows, n)   product, x: in (rows, n), rows of x x_row apart; either may be NULL
 * With z = product + bias + x:   g = gelu(z);   slope = gelu'(z)                   for rows `first` to `stop` */
static void EN_NAME(realnet_excite)(REAL *restrict g, REAL *restrict slope, const REAL *restrict product,
                                    const REAL *restrict bias, const REAL *restrict x, ptrdiff_t x_row, ptrdiff_t n,
                                    ptrdiff_t first, ptrdiff_t stop)
{
    for (ptrdiff_t r = first; r < stop; ++r) {
        REAL *restrict row = g + r * n;
        if (product)
            for (ptrdiff_t j = 0; j < n; ++j)
                row[j] = product[r * n + j] + bias[j];
        else
            memcpy(row, bias, (size_t)n * sizeof(REAL));
        if (x)
            for (ptrdiff_t j = 0; j < n; ++j)
                row[j] += x[r * x_row + j];
    }
    const ptrdiff_t all = (stop - first) * n, whole = all & -(ptrdiff_t)LANES;
    g += first * n, slope += first * n;
    EN_NAME(gelu_tiles)(g, slope, whole);
    if (all > whole) {
        REAL tile[LANES] = {0}, slopes[LANES];
        memcpy(tile, g + whole, (size_t)(all - whole) * sizeof(REAL));
        EN_NAME(gelu_tiles)(tile, slopes, LANES);
        memcpy(g + whole, tile, (size_t)(all - whole) * sizeof(REAL));
        memcpy(slope + whole, slopes, (size_t)(all - whole) * sizeof(REAL));
    }
}

/* realnet_multiply.  y <- y x */
static void EN_NAME(realnet_multiply)(REAL *restrict y, const REAL *restrict x, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        y[i] *= x[i];
}

/* Sums are taken of what is left of the first row, so that they stay exact where a column is nearly constant. */
EN_INLINE void EN_NAME(columns_of)(REAL *restrict h, const REAL *restrict bias, const REAL *restrict x,
                                   const REAL *restrict gamma, const REAL *restrict beta, double eps, ptrdiff_t n,
                                   ptrdiff_t stride, ptrdiff_t width)
{
    double sums[EN_REALNET_COLUMNS] = {0}, squares[EN_REALNET_COLUMNS] = {0};
    REAL first[EN_REALNET_COLUMNS], scale[EN_REALNET_COLUMNS], level[EN_REALNET_COLUMNS], slope;
    for (ptrdiff_t i = 0; i < n; ++i) {
        REAL *restrict row = h + i * stride;
        const REAL bias_ = bias[i];
        if (x)
            for (ptrdiff_t j = 0; j < width; ++j)
                row[j] += x[i * stride + j];
        for (ptrdiff_t j = 0; j < width; ++j)
            row[j] = EN_NAME(gelu_erf)(row[j] + bias_, &slope);
        if (i == 0)
            memcpy(first, row, (size_t)width * sizeof(REAL));
        for (ptrdiff_t j = 0; j < width; ++j) {
            const double left = (double)(row[j] - first[j]);
            sums[j] += left;
            squares[j] += left * left;
        }
    }
    for (ptrdiff_t j = 0; j < width; ++j) {
        const double mean = sums[j] / (double)n, var = squares[j] / (double)n - mean * mean;
        const double inv_std = 1 / sqrt((var < 0 ? 0 : var) + eps);
        scale[j] = (REAL)inv_std, level[j] = (REAL)(mean * inv_std);
    }
    for (ptrdiff_t i = 0; i < n; ++i) {
        REAL *restrict row = h + i * stride;
        const REAL gamma_ = gamma[i], beta_ = beta[i];
        for (ptrdiff_t j = 0; j < width; ++j)
            row[j] = ((row[j] - first[j]) * scale[j] - level[j]) * gamma_ + beta_;
    }
}

/* realnet_columns.  h: in out (n, width)   x: in (n, width) or NULL   rows of both `stride` apart, width <= 32
 * With g = gelu(h + bias + x):   h <- gamma (g - mean) / sqrt(var + eps) + beta,   mean and var over the n of a column */
static void EN_NAME(realnet_columns)(REAL *restrict h, const REAL *restrict bias, const REAL *restrict x,
                                     const REAL *restrict gamma, const REAL *restrict beta, double eps, ptrdiff_t n,
                                     ptrdiff_t stride, ptrdiff_t width)
{
    if (width == EN_REALNET_COLUMNS)
        EN_NAME(columns_of)(h, bias, x, gamma, beta, eps, n, stride, EN_REALNET_COLUMNS);
    else
        EN_NAME(columns_of)(h, bias, x, gamma, beta, eps, n, stride, width);
}
#endif
