/* The sums of batch normalisation over a block of channels; included inside norm.c like reductions.h, and therefore
 * without a guard.
 *
 * Two loop orders. Channels of many elements are taken one at a time, and the vectors run along s. Channels of at most
 * MOST_SHORT elements are taken in blocks of at most MOST_COLUMNS adjacent columns of the matrix (n, c s), and the
 * vectors run across channels: with s = 1, as after a dense layer, there is nothing to vectorise inside a channel. */
#undef MOST_COLUMNS
#undef MOST_SHORT
#undef MOST_RUN
#undef COLUMN_ROWS
#undef DOUBLES
#undef DOUBLE_LANES
#define MOST_COLUMNS EN_NORM_COLUMNS
#define MOST_SHORT EN_NORM_SHORT
#define MOST_RUN 1024  /* elements of a long channel at a time: they stay in the first-level cache */
#define COLUMN_ROWS 16 /* rows of a block of columns at a time, whose sums stay in registers meanwhile */

/* A vector of doubles that fills a register. */
#define DOUBLES EN_NAME(doubles)
#if EN_GNU_C
typedef double DOUBLES __attribute__((vector_size(EN_VECTOR)));
#define DOUBLE_LANES ((ptrdiff_t)(EN_VECTOR / sizeof(double)))
#else
typedef double DOUBLES;
#define DOUBLE_LANES ((ptrdiff_t)1)
#endif

/* DOUBLE_LANES elements as doubles. Written out, because it is one instruction then; of __builtin_convertvector gcc 12
 * makes two halves and joins them, which took a third of the time of a batch of features. */
static inline DOUBLES EN_NAME(load)(const REAL *x)
{
#if !EN_GNU_C
    return (double)*x;
#elif EN_VECTOR == 64
    return (DOUBLES){x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
#elif EN_VECTOR == 32
    return (DOUBLES){x[0], x[1], x[2], x[3]};
#else
    return (DOUBLES){x[0], x[1]};
#endif
}

static inline DOUBLES EN_NAME(load_sums)(const double *restrict sums)
{
    DOUBLES v;
    memcpy(&v, sums, sizeof v);
    return v;
}

static inline double EN_NAME(total)(DOUBLES v)
{
    double sum = 0;
    for (ptrdiff_t lane = 0; lane < DOUBLE_LANES; ++lane)
        sum += LANE(v, lane);
    return sum;
}

/* Where the gradient at the output of the normalisation comes from: dy itself, or dy f'(saved) for an activation behind
 * it. That is made piece by piece, in dx, which takes the result later, or in a tile where there is no dx. */
typedef void (*EN_NAME(backward))(REAL *dx, const REAL *dy, const REAL *saved, ptrdiff_t n);
struct EN_NAME(gradient) {
    const REAL *dy, *saved;
    REAL *dx;               /* or NULL */
    en_activation backward; /* or NULL */
};

/* The gradient of the n elements from element i on. */
static inline const REAL *EN_NAME(gradient_at)(const struct EN_NAME(gradient) *gradient, ptrdiff_t i, ptrdiff_t n,
                                               REAL *tile)
{
    if (!gradient->backward)
        return gradient->dy + i;
    REAL *made = gradient->dx ? gradient->dx + i : tile;
    ((EN_NAME(backward))gradient->backward)(made, gradient->dy + i, gradient->saved + i, n);
    return made;
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

/* The sums of one long channel in the backward pass: of g, of g d and of d, with g the gradient and d = x - mean.
 * Element i of the gradient belongs to element i of x. */
static inline void EN_NAME(long_products)(double *restrict sum_g, double *restrict sum_gd, double *restrict sum_d,
                                          const struct EN_NAME(gradient) *gradient, const REAL *x, REAL mean,
                                          ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s)
{
    DOUBLES g0 = {0}, g1 = {0}, gd0 = {0}, gd1 = {0}, total0 = {0}, total1 = {0};
    double rest_g = 0, rest_gd = 0, rest_d = 0;
    REAL tile[MOST_RUN];
    for (ptrdiff_t i = 0; i < n; ++i)
        for (ptrdiff_t start = i * stride; start < i * stride + s; start += MOST_RUN) {
            const ptrdiff_t left = i * stride + s - start, run = left < MOST_RUN ? left : MOST_RUN;
            const REAL *g = EN_NAME(gradient_at)(gradient, start, run, tile), *v = x + start;
            ptrdiff_t j = 0;
            for (; j + 2 * DOUBLE_LANES <= run; j += 2 * DOUBLE_LANES) {
                const DOUBLES a0 = EN_NAME(load)(g + j), d0 = EN_NAME(load)(v + j) - (double)mean;
                const DOUBLES a1 = EN_NAME(load)(g + j + DOUBLE_LANES);
                const DOUBLES d1 = EN_NAME(load)(v + j + DOUBLE_LANES) - (double)mean;
                g0 += a0, g1 += a1;
                gd0 += a0 * d0, gd1 += a1 * d1;
                total0 += d0, total1 += d1;
            }
            for (; j < run; ++j) {
                const double d = (double)v[j] - (double)mean;
                rest_g += (double)g[j];
                rest_gd += (double)g[j] * d;
                rest_d += d;
            }
        }
    *sum_g = EN_NAME(total)(g0 + g1) + rest_g;
    *sum_gd = EN_NAME(total)(gd0 + gd1) + rest_gd;
    *sum_d = EN_NAME(total)(total0 + total1) + rest_d;
}

/* Adds some rows to the moments of `vectors` DOUBLES of columns, which stay in registers meanwhile. */
EN_INLINE void EN_NAME(add_moments)(double *restrict sum, double *restrict squares, const REAL *restrict x,
                                    const REAL *restrict shift, ptrdiff_t rows, ptrdiff_t stride, const int vectors)
{
    DOUBLES sums[4], sq[4], around[4];
    for (int k = 0; k < vectors; ++k) {
        sums[k] = EN_NAME(load_sums)(sum + k * DOUBLE_LANES), sq[k] = EN_NAME(load_sums)(squares + k * DOUBLE_LANES);
        around[k] = EN_NAME(load)(shift + k * DOUBLE_LANES);
    }
    for (ptrdiff_t r = 0; r < rows; ++r)
        for (int k = 0; k < vectors; ++k) {
            const DOUBLES d = EN_NAME(load)(x + r * stride + k * DOUBLE_LANES) - around[k];
            sums[k] += d;
            sq[k] += d * d;
        }
    memcpy(sum, sums, (size_t)vectors * sizeof *sums);
    memcpy(squares, sq, (size_t)vectors * sizeof *sq);
}

static inline void EN_NAME(column_moments)(double *restrict sum, double *restrict squares, const REAL *restrict x,
                                           const REAL *restrict shift, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t width)
{
    for (ptrdiff_t j = 0; j < width; ++j)
        sum[j] = squares[j] = 0;
    ptrdiff_t j = 0;
    for (; j + 4 * DOUBLE_LANES <= width; j += 4 * DOUBLE_LANES)
        EN_NAME(add_moments)(sum + j, squares + j, x + j, shift + j, n, stride, 4);
    for (; j + DOUBLE_LANES <= width; j += DOUBLE_LANES)
        EN_NAME(add_moments)(sum + j, squares + j, x + j, shift + j, n, stride, 1);
    for (; j < width; ++j)
        for (ptrdiff_t r = 0; r < n; ++r) {
            const double d = (double)x[r * stride + j] - (double)shift[j];
            sum[j] += d;
            squares[j] += d * d;
        }
}

/* Adds some rows to the products of `vectors` DOUBLES of columns. */
EN_INLINE void EN_NAME(add_products)(double *restrict sum_g, double *restrict sum_gd, double *restrict sum_d,
                                     const REAL *g, ptrdiff_t g_stride, const REAL *x, ptrdiff_t stride,
                                     const REAL *restrict mean, ptrdiff_t rows, const int vectors)
{
    DOUBLES gs[2], gds[2], ds[2], around[2];
    for (int k = 0; k < vectors; ++k) {
        gs[k] = EN_NAME(load_sums)(sum_g + k * DOUBLE_LANES), gds[k] = EN_NAME(load_sums)(sum_gd + k * DOUBLE_LANES);
        ds[k] = EN_NAME(load_sums)(sum_d + k * DOUBLE_LANES), around[k] = EN_NAME(load)(mean + k * DOUBLE_LANES);
    }
    for (ptrdiff_t r = 0; r < rows; ++r)
        for (int k = 0; k < vectors; ++k) {
            const DOUBLES a = EN_NAME(load)(g + r * g_stride + k * DOUBLE_LANES);
            const DOUBLES d = EN_NAME(load)(x + r * stride + k * DOUBLE_LANES) - around[k];
            gs[k] += a;
            gds[k] += a * d;
            ds[k] += d;
        }
    memcpy(sum_g, gs, (size_t)vectors * sizeof *gs);
    memcpy(sum_gd, gds, (size_t)vectors * sizeof *gds);
    memcpy(sum_d, ds, (size_t)vectors * sizeof *ds);
}

static inline void EN_NAME(column_products)(double *restrict sum_g, double *restrict sum_gd, double *restrict sum_d,
                                            const struct EN_NAME(gradient) *gradient, const REAL *x,
                                            const REAL *restrict mean, ptrdiff_t n, ptrdiff_t stride, ptrdiff_t width)
{
    REAL tile[COLUMN_ROWS * MOST_COLUMNS];
    const ptrdiff_t g_stride = gradient->backward && !gradient->dx ? MOST_COLUMNS : stride;
    for (ptrdiff_t j = 0; j < width; ++j)
        sum_g[j] = sum_gd[j] = sum_d[j] = 0;
    for (ptrdiff_t first = 0; first < n; first += COLUMN_ROWS) {
        const ptrdiff_t rows = n - first < COLUMN_ROWS ? n - first : COLUMN_ROWS;
        const REAL *v = x + first * stride, *g = EN_NAME(gradient_at)(gradient, first * stride, width, tile);
        for (ptrdiff_t r = 1; gradient->backward && r < rows; ++r)
            EN_NAME(gradient_at)(gradient, (first + r) * stride, width, tile + r * MOST_COLUMNS);
        ptrdiff_t j = 0;
        for (; j + 2 * DOUBLE_LANES <= width; j += 2 * DOUBLE_LANES)
            EN_NAME(add_products)(sum_g + j, sum_gd + j, sum_d + j, g + j, g_stride, v + j, stride, mean + j, rows, 2);
        for (; j + DOUBLE_LANES <= width; j += DOUBLE_LANES)
            EN_NAME(add_products)(sum_g + j, sum_gd + j, sum_d + j, g + j, g_stride, v + j, stride, mean + j, rows, 1);
        for (; j < width; ++j)
            for (ptrdiff_t r = 0; r < rows; ++r) {
                const double a = (double)g[r * g_stride + j], d = (double)v[r * stride + j] - (double)mean[j];
                sum_g[j] += a;
                sum_gd[j] += a * d;
                sum_d[j] += d;
            }
    }
}

/* One value per channel becomes one per column. */
static inline void EN_NAME(spread)(REAL *restrict columns, const REAL *restrict channels, ptrdiff_t m, ptrdiff_t s)
{
    if (s == 1)
        memcpy(columns, channels, (size_t)m * sizeof(REAL));
    else
        for (ptrdiff_t k = 0; k < m; ++k)
            for (ptrdiff_t j = 0; j < s; ++j)
                columns[k * s + j] = channels[k];
}

/* One sum per column becomes one per channel. */
static inline void EN_NAME(gather)(double *restrict channels, const double *restrict columns, ptrdiff_t m, ptrdiff_t s)
{
    if (s == 1)
        memcpy(channels, columns, (size_t)m * sizeof(double));
    else
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
    double column_sum[MOST_COLUMNS], column_squares[MOST_COLUMNS];
    REAL column_shift[MOST_COLUMNS];
    EN_NAME(spread)(column_shift, shift, m, s);
    EN_NAME(column_moments)(column_sum, column_squares, x, column_shift, n, stride, m * s);
    EN_NAME(gather)(sum, column_sum, m, s);
    EN_NAME(gather)(squares, column_squares, m, s);
}

/* products of m channels: the sums of the gradient g, of g d and of d, with d = x - mean. */
static void EN_NAME(products)(double *restrict sum_g, double *restrict sum_gd, double *restrict sum_d,
                              const struct EN_NAME(gradient) *gradient, const REAL *x, const REAL *restrict mean,
                              ptrdiff_t n, ptrdiff_t stride, ptrdiff_t s, ptrdiff_t m)
{
    if (s > MOST_SHORT) {
        EN_NAME(long_products)(sum_g, sum_gd, sum_d, gradient, x, mean[0], n, stride, s);
        return;
    }
    double column_g[MOST_COLUMNS], column_gd[MOST_COLUMNS], column_d[MOST_COLUMNS];
    REAL column_mean[MOST_COLUMNS];
    EN_NAME(spread)(column_mean, mean, m, s);
    EN_NAME(column_products)(column_g, column_gd, column_d, gradient, x, column_mean, n, stride, m * s);
    EN_NAME(gather)(sum_g, column_g, m, s);
    EN_NAME(gather)(sum_gd, column_gd, m, s);
    EN_NAME(gather)(sum_d, column_d, m, s);
}
