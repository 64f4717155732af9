/* Normalisation of rows by themselves, as layer, group and instance normalisation do; included inside norm.c behind
 * norm_sums.h, and therefore without a guard.
 *
 * A row is what one mean and variance belong to: c channels of s elements each. Row r has the channels
 * (r mod groups) c and following; gamma and beta hold one value per channel. */

/* layernorm.  y: out (rows, c, s)   mean, inv_std, rest: out (rows)   x: in (rows, c, s)   gamma, beta: in (groups c)
 * With M = c s:  mean = sum x / M;  var = sum (x - mean)^2 / M;  inv_std = 1 / sqrt(var + eps);
 *                y = gamma (x - mean) inv_std + beta          Ba, Kiros & Hinton 2016, eq. 4; Wu & He 2018, eq. 1
 * Rounding the mean to a REAL moves (x - mean) inv_std by `rest`, which is kept and put back. */
static void EN_NAME(layernorm)(REAL *restrict y, REAL *restrict mean, REAL *restrict inv_std, REAL *restrict rest,
                               const REAL *restrict x, const REAL *restrict gamma, const REAL *restrict beta,
                               double eps, ptrdiff_t groups, ptrdiff_t c, ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t n = c * s;
    for (ptrdiff_t r = first; r < stop; ++r) {
        const REAL *restrict row = x + r * n, *restrict scale = gamma + r % groups * c;
        const REAL *restrict offset = beta + r % groups * c;
        REAL *restrict out = y + r * n;
        double sum, squares;
        EN_NAME(long_moments)(&sum, &squares, row, row[0], 1, 0, n);
        const REAL mean_ = (REAL)((double)row[0] + sum / (double)n);
        EN_NAME(long_moments)(&sum, &squares, row, mean_, 1, 0, n);
        const double left = sum / (double)n, var = (squares - sum * left) / (double)n;
        const double factor = 1 / sqrt((var < 0 ? 0 : var) + eps);
        const REAL inv_std_ = (REAL)factor, rest_ = (REAL)(left * factor);
        mean[r] = mean_, inv_std[r] = inv_std_, rest[r] = rest_;
        if (s == 1) {
            for (ptrdiff_t j = 0; j < c; ++j)
                out[j] = ((row[j] - mean_) * inv_std_ - rest_) * scale[j] + offset[j];
            continue;
        }
        for (ptrdiff_t k = 0; k < c; ++k, row += s, out += s) {
            const REAL scale_ = scale[k], offset_ = offset[k];
            for (ptrdiff_t j = 0; j < s; ++j)
                out[j] = ((row[j] - mean_) * inv_std_ - rest_) * scale_ + offset_;
        }
    }
}

/* layernorm_backward.  dx: out (rows, c, s)   dy, x: in (rows, c, s)   mean, inv_std, rest: in (rows), from layernorm
 * With g = dy gamma, xhat = (x - mean) inv_std - rest and M = c s:
 *                dx = inv_std (g - sum g / M - xhat sum (g xhat) / M) */
static void EN_NAME(layernorm_backward)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x,
                                        const REAL *restrict mean, const REAL *restrict inv_std,
                                        const REAL *restrict rest, const REAL *restrict gamma, ptrdiff_t groups,
                                        ptrdiff_t c, ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)
{
    const ptrdiff_t n = c * s;
    for (ptrdiff_t r = first; r < stop; ++r) {
        const REAL *restrict row = x + r * n, *restrict g = dy + r * n, *restrict scale = gamma + r % groups * c;
        const REAL mean_ = mean[r], inv_std_ = inv_std[r], rest_ = rest[r];
        REAL *restrict out = dx + r * n;
        double sums[DOUBLE_SUMS] = {0}, products[DOUBLE_SUMS] = {0};
#define XHAT(j) ((row[j] - mean_) * inv_std_ - rest_)
        if (s == 1) {
#define GRADIENT(j) (double)(g[j] * scale[j])
#define PRODUCT(j) (double)(g[j] * scale[j]) * (double)XHAT(j)
            ADD_TERMS(sums, GRADIENT, c);
            ADD_TERMS(products, PRODUCT, c);
            const REAL level = (REAL)(EN_NAME(total_of)(sums) / (double)n);
            const REAL slope = (REAL)(EN_NAME(total_of)(products) / (double)n);
            for (ptrdiff_t j = 0; j < c; ++j)
                out[j] = inv_std_ * (g[j] * scale[j] - level - XHAT(j) * slope);
#undef GRADIENT
#undef PRODUCT
            continue;
        }
        for (ptrdiff_t k = 0; k < c; ++k, row += s, g += s) {
            const REAL scale_ = scale[k];
#define GRADIENT(j) (double)(g[j] * scale_)
#define PRODUCT(j) (double)(g[j] * scale_) * (double)XHAT(j)
            ADD_TERMS(sums, GRADIENT, s);
            ADD_TERMS(products, PRODUCT, s);
#undef GRADIENT
#undef PRODUCT
        }
        const REAL level = (REAL)(EN_NAME(total_of)(sums) / (double)n);
        const REAL slope = (REAL)(EN_NAME(total_of)(products) / (double)n);
        row -= n, g -= n;
        for (ptrdiff_t k = 0; k < c; ++k, row += s, g += s, out += s) {
            const REAL scale_ = scale[k];
            for (ptrdiff_t j = 0; j < s; ++j)
                out[j] = inv_std_ * (g[j] * scale_ - level - XHAT(j) * slope);
        }
#undef XHAT
    }
}

/* layernorm_sums.  dgamma, dbeta: out (groups c)   dy, x: in (rows, c, s)   mean, inv_std, rest: in (rows)
 * Over all elements of a channel:  dbeta = sum dy;   dgamma = sum dy xhat          for channels `first` to `stop` */
static void EN_NAME(layernorm_sums)(REAL *restrict dgamma, REAL *restrict dbeta, const REAL *restrict dy,
                                    const REAL *restrict x, const REAL *restrict mean, const REAL *restrict inv_std,
                                    const REAL *restrict rest, ptrdiff_t rows, ptrdiff_t groups, ptrdiff_t c,
                                    ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)
{
    if (s == 1 && groups == 1) { /* neighbouring channels together, or there would be nothing to vectorise */
        for (; first < stop; first += MOST_COLUMNS) {
            const ptrdiff_t width = stop - first < MOST_COLUMNS ? stop - first : MOST_COLUMNS;
            double sums[MOST_COLUMNS] = {0}, products[MOST_COLUMNS] = {0};
            for (ptrdiff_t r = 0; r < rows; ++r) {
                const REAL *restrict row = x + r * c + first, *restrict g = dy + r * c + first;
                const REAL mean_ = mean[r], inv_std_ = inv_std[r], rest_ = rest[r];
                for (ptrdiff_t j = 0; j < width; ++j) {
                    const double xhat = (double)((row[j] - mean_) * inv_std_ - rest_);
                    sums[j] += (double)g[j];
                    products[j] += (double)g[j] * xhat;
                }
            }
            for (ptrdiff_t j = 0; j < width; ++j)
                dbeta[first + j] = (REAL)sums[j], dgamma[first + j] = (REAL)products[j];
        }
        return;
    }
    for (; first < stop; ++first) {
        double sums[DOUBLE_SUMS] = {0}, products[DOUBLE_SUMS] = {0};
        for (ptrdiff_t r = first / c; r < rows; r += groups) {
            const ptrdiff_t at = (r * c + first % c) * s;
            const REAL mean_ = mean[r], inv_std_ = inv_std[r], rest_ = rest[r];
#define GRADIENT(j) (double)dy[at + (j)]
#define PRODUCT(j) (double)dy[at + (j)] * (double)((x[at + (j)] - mean_) * inv_std_ - rest_)
            ADD_TERMS(sums, GRADIENT, s);
            ADD_TERMS(products, PRODUCT, s);
#undef GRADIENT
#undef PRODUCT
        }
        dbeta[first] = (REAL)EN_NAME(total_of)(sums);
        dgamma[first] = (REAL)EN_NAME(total_of)(products);
    }
}
