#ifndef REAL
#define EN_SELFTEST "norm.c"
#include "parallel/norm.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_NORM
#define EN_SELFTEST_NORM
/* batch, channels, pixels: both loop orders, their border, vector remainders, several blocks of channels */
static const ptrdiff_t norm_shapes[][3] = {
    {1, 1, 1}, {1, 300, 1}, {7, 5, 1},  {64, 131, 1}, {5, 3, 2},   {4, 70, 4},   {3, 40, 7}, {3, 9, 31},
    {3, 9, 32}, {3, 9, 33}, {2, 4, 49}, {5, 2, 196},  {1, 3, 1000}, {4, 0, 5},   {4, 0, 50},
};
#endif

/* What every test has: statistics in wide numbers are those of channel `at` of x. */
#define FOR_BATCHES \
    for (ptrdiff_t shape = 0, n, c, s; shape < LENGTH(norm_shapes) \
         && (n = norm_shapes[shape][0], c = norm_shapes[shape][1], s = norm_shapes[shape][2], \
             begin_case("n = %d, c = %d, s = %d", (int)n, (int)c, (int)s), 1); ++shape)
#define FOR_CHANNEL(i, j) EACH(i, n) for (ptrdiff_t j = (i * c + at) * s; j < (i * c + at + 1) * s; ++j)

/* Channels of very different mean and spread. */
static REAL *NAME(batch)(ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)
{
    REAL *x = RANDOM(n * c * s, -1, 1);
    EACH(i, n * c * s)
        x[i] = (REAL)(x[i] * (1 + (double)(i / s % c % 7)) + (double)(i / s % c % 5) * 4 - 8);
    return x;
}

static void NAME(moments)(wide *mean, wide *var, const REAL *x, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s, ptrdiff_t at)
{
    *mean = *var = 0;
    FOR_CHANNEL(i, j)
        *mean += x[j];
    *mean /= (wide)(n * s);
    FOR_CHANNEL(i, j)
        *var += (x[j] - *mean) * (x[j] - *mean);
    *var /= (wide)(n * s);
}

/* Statistics are sums in double precision, so their errors are those of a few operations on results of this size. */
#define NEAR(size) (64 * EPS * (size))

/* The same output with an activation behind it, where z is kept and where it is not. */
static void NAME(twice)(REAL *y, const REAL *x, ptrdiff_t n)
{
    EACH(i, n)
        y[i] = 2 * x[i];
}

static void NAME(check_activated)(const REAL *x, const REAL *want, const REAL *gamma, const REAL *beta, ptrdiff_t n,
                                  ptrdiff_t c, ptrdiff_t s)
{
    REAL *y = UNSET(n * c * s), *z = UNSET(n * c * s), *y_alone = UNSET(n * c * s), *statistics = UNSET(3 * c);
    const en_activation activate = (en_activation)NAME(twice);
    CALL(batchnorm)(y, z, statistics, statistics + c, statistics + 2 * c, x, gamma, beta, 1e-5, activate, n, c, s, 0, c);
    CALL(batchnorm)(y_alone, NULL, statistics, statistics + c, statistics + 2 * c, x, gamma, beta, 1e-5, activate, n, c,
                    s, 0, c);
    EACH(i, n * c * s) {
        agree("z", i, z[i], want[i], 0);
        agree("activated y", i, y[i], 2 * want[i], 0);
        agree("activated y alone", i, y_alone[i], y[i], 0);
    }
}

/* Runs a call for the channels up to a cut and for those behind it. */
#define CUT(call) \
    for (ptrdiff_t cut = lesser(c, c / 2 / EN_NORM_BLOCK(s) * EN_NORM_BLOCK(s)), first = 0, stop = cut, part = 0; \
         part < 2; ++part, first = cut, stop = c) \
        call;

TEST(batchnorm)
{
    const double eps = 1e-5;
    FOR_BATCHES {
        REAL *x = NAME(batch)(n, c, s), *y = UNSET(n * c * s), *gamma = RANDOM(c, -2, 2), *beta = RANDOM(c, -2, 2);
        REAL *mean = UNSET(c), *var = UNSET(c), *inv_std = UNSET(c);
        CUT(CALL(batchnorm)(y, NULL, mean, var, inv_std, x, gamma, beta, eps, NULL, n, c, s, first, stop))
        NAME(check_activated)(x, y, gamma, beta, n, c, s);
        EACH(at, c) {
            wide mean_, var_;
            NAME(moments)(&mean_, &var_, x, n, c, s, at);
            const wide factor = 1 / sqrtl(var_ + eps);
            agree("mean", at, mean[at], mean_, NEAR(10));
            agree("var", at, var[at], var_, NEAR(20));
            agree("inv_std", at, inv_std[at], factor, NEAR(factor));
            FOR_CHANNEL(i, j)
                agree("y", j, y[j], gamma[at] * (x[j] - mean_) * factor + beta[at],
                      NEAR(magnitude(gamma[at]) * magnitude(x[j] - mean_) * factor + 2));
        }
    }
}

TEST(batchnorm_backward)
{
    FOR_BATCHES {
        REAL *x = NAME(batch)(n, c, s), *dy = RANDOM(n * c * s, -1, 1), *gamma = RANDOM(c, -2, 2);
        REAL *mean = UNSET(c), *inv_std = UNSET(c), *dx = UNSET(n * c * s), *again = UNSET(2 * c);
        REAL *dgamma = UNSET(c), *dbeta = UNSET(c);
        EACH(at, c) {
            wide mean_, var_;
            NAME(moments)(&mean_, &var_, x, n, c, s, at);
            mean[at] = (REAL)mean_;
            inv_std[at] = (REAL)(1 / sqrtl(var_ + 1));
        }
        CUT(CALL(batchnorm_backward)(dx, dgamma, dbeta, dy, NULL, x, mean, inv_std, gamma, NULL, n, c, s, first, stop))
        CALL(batchnorm_backward)(NULL, again, again + c, dy, NULL, x, mean, inv_std, gamma, NULL, n, c, s, 0, c);
        EACH(at, c) {
            wide mean_, var_, sum = 0, products = 0;
            const wide count = (wide)(n * s), factor = inv_std[at];
            NAME(moments)(&mean_, &var_, x, n, c, s, at);
            FOR_CHANNEL(i, j) {
                sum += dy[j];
                products += dy[j] * (x[j] - mean_) * factor;
            }
            agree("dbeta", at, dbeta[at], sum, NEAR(magnitude(sum) + 1));
            agree("dgamma", at, dgamma[at], products, NEAR(magnitude(products) + 1));
            agree("dgamma alone", at, again[at], dgamma[at], 0);
            agree("dbeta alone", at, again[c + at], dbeta[at], 0);
            FOR_CHANNEL(i, j)
                agree("dx", j, dx[j],
                      gamma[at] * factor / count * (count * dy[j] - sum - (x[j] - mean_) * factor * products), NEAR(4));
        }
    }
}

TEST(batchnorm_inference)
{
    const double eps = 1e-5;
    FOR_BATCHES {
        REAL *x = NAME(batch)(n, c, s), *y = UNSET(n * c * s), *gamma = RANDOM(c, -2, 2), *beta = RANDOM(c, -2, 2);
        REAL *mean = RANDOM(c, -1, 1), *var = RANDOM(c, 0.1, 3);
        CUT(CALL(batchnorm_inference)(y, NULL, x, mean, var, gamma, beta, eps, NULL, n, c, s, first, stop))
        EACH(at, c)
            FOR_CHANNEL(i, j) {
                const wide scaled = gamma[at] * ((wide)x[j] - mean[at]) / sqrtl(var[at] + (wide)eps);
                agree("y", j, y[j], scaled + beta[at], NEAR(magnitude(scaled) + 2));
            }
    }
}

TEST(batchnorm_inference_backward)
{
    const double eps = 1e-5;
    FOR_BATCHES {
        REAL *x = NAME(batch)(n, c, s), *dy = RANDOM(n * c * s, -1, 1), *gamma = RANDOM(c, -2, 2);
        REAL *mean = RANDOM(c, -1, 1), *var = RANDOM(c, 0.1, 3), *dx = UNSET(n * c * s), *again = UNSET(n * c * s);
        REAL *dgamma = UNSET(c), *dbeta = UNSET(c);
        CUT(CALL(batchnorm_inference_backward)(dx, dgamma, dbeta, dy, NULL, x, mean, var, gamma, eps, NULL, n, c, s, first,
                                               stop))
        CALL(batchnorm_inference_backward)(again, NULL, NULL, dy, NULL, x, mean, var, gamma, eps, NULL, n, c, s, 0, c);
        EACH(at, c) {
            const wide root = sqrtl(var[at] + (wide)eps);
            wide sum = 0, products = 0, size = 0;
            FOR_CHANNEL(i, j) {
                sum += dy[j];
                products += dy[j] * ((wide)x[j] - mean[at]) / root;
                size += magnitude(dy[j] * ((wide)x[j] - mean[at]) / root);
                agree("dx", j, dx[j], gamma[at] * dy[j] / root, NEAR(magnitude(gamma[at] * dy[j] / root)));
                agree("dx alone", j, again[j], dx[j], 0);
            }
            agree("dbeta", at, dbeta[at], sum, NEAR(magnitude(sum) + 1));
            agree("dgamma", at, dgamma[at], products, EPS * magnitude(products) * 4 + (wide)(n * s) * DBL_EPSILON * size);
        }
    }
}

/* Rows, groups, channels of a row, elements of a channel: layer, group and instance normalisation. */
#ifndef EN_SELFTEST_NORM_ROWS
#define EN_SELFTEST_NORM_ROWS
static const ptrdiff_t row_shapes[][4] = {
    {1, 1, 1, 1}, {3, 1, 2, 1}, {5, 1, 7, 1}, {4, 1, 130, 1}, {33, 1, 65, 1}, {6, 3, 2, 5}, {6, 2, 3, 1}, {8, 4, 1, 33}, {0, 1, 4, 1},
};
#endif
#define FOR_ROWS \
    for (ptrdiff_t shape = 0, rows, groups, c, s; shape < LENGTH(row_shapes) \
         && (rows = row_shapes[shape][0], groups = row_shapes[shape][1], c = row_shapes[shape][2], \
             s = row_shapes[shape][3], \
             begin_case("rows = %d, groups = %d, c = %d, s = %d", (int)rows, (int)groups, (int)c, (int)s), 1); ++shape)

/* Mean and variance of a row, and the channel of its element j. */
static void NAME(row_moments)(wide *mean, wide *var, const REAL *row, ptrdiff_t n)
{
    *mean = *var = 0;
    EACH(j, n)
        *mean += row[j] / (wide)n;
    EACH(j, n)
        *var += (row[j] - *mean) * (row[j] - *mean) / (wide)n;
}
#define CHANNEL(r, j) ((r) % groups * c + (j) / s)

TEST(layernorm)
{
    const double eps = 1e-5;
    FOR_ROWS {
        const ptrdiff_t n = c * s;
        REAL *x = NAME(batch)(rows, c, s), *gamma = RANDOM(groups * c, -2, 2), *beta = RANDOM(groups * c, -2, 2);
        REAL *y = UNSET(rows * n), *mean = UNSET(rows), *inv_std = UNSET(rows), *rest = UNSET(rows);
        CALL(layernorm)(y, mean, inv_std, rest, x, gamma, beta, eps, groups, c, s, 0, rows / 2);
        CALL(layernorm)(y, mean, inv_std, rest, x, gamma, beta, eps, groups, c, s, rows / 2, rows);
        EACH(r, rows) {
            wide mean_, var_;
            NAME(row_moments)(&mean_, &var_, x + r * n, n);
            const wide factor = 1 / sqrtl(var_ + eps);
            agree("mean", r, mean[r], mean_, NEAR(10));
            agree("inv_std", r, inv_std[r], factor, NEAR(factor));
            EACH(j, n)
                agree("y", r * n + j, y[r * n + j],
                      gamma[CHANNEL(r, j)] * (x[r * n + j] - mean_) * factor + beta[CHANNEL(r, j)],
                      NEAR(2 * magnitude(x[r * n + j] - mean_) * factor + 2));
        }
    }
}

TEST(layernorm_backward)
{
    FOR_ROWS {
        const ptrdiff_t n = c * s;
        REAL *x = NAME(batch)(rows, c, s), *gamma = RANDOM(groups * c, -2, 2), *dy = RANDOM(rows * n, -1, 1);
        REAL *dx = UNSET(rows * n), *mean = UNSET(rows), *inv_std = UNSET(rows), *rest = RANDOM(rows, -1, 1);
        EACH(r, rows) {
            wide mean_, var_;
            NAME(row_moments)(&mean_, &var_, x + r * n, n);
            mean[r] = (REAL)mean_;
            inv_std[r] = (REAL)(1 / sqrtl(var_ + 1));
        }
        CALL(layernorm_backward)(dx, dy, x, mean, inv_std, rest, gamma, groups, c, s, 0, rows / 2);
        CALL(layernorm_backward)(dx, dy, x, mean, inv_std, rest, gamma, groups, c, s, rows / 2, rows);
        EACH(r, rows) {
            wide sum = 0, products = 0;
#define XHAT(j) ((x[r * n + (j)] - (wide)mean[r]) * inv_std[r] - rest[r])
            EACH(j, n) {
                sum += (wide)dy[r * n + j] * gamma[CHANNEL(r, j)] / n;
                products += (wide)dy[r * n + j] * gamma[CHANNEL(r, j)] * XHAT(j) / n;
            }
            EACH(j, n)
                agree("dx", r * n + j, dx[r * n + j],
                      inv_std[r] * ((wide)dy[r * n + j] * gamma[CHANNEL(r, j)] - sum - XHAT(j) * products), NEAR(40));
#undef XHAT
        }
    }
}

TEST(layernorm_sums)
{
    FOR_ROWS {
        const ptrdiff_t n = c * s, channels = groups * c, cut = groups == 1 && s == 1 ? channels : channels / 2;
        REAL *x = NAME(batch)(rows, c, s), *dy = RANDOM(rows * n, -1, 1), *dgamma = UNSET(channels);
        REAL *dbeta = UNSET(channels), *mean = RANDOM(rows, -1, 1), *inv_std = RANDOM(rows, 0, 1);
        REAL *rest = RANDOM(rows, -1, 1);
        CALL(layernorm_sums)(dgamma, dbeta, dy, x, mean, inv_std, rest, rows, groups, c, s, 0, cut);
        CALL(layernorm_sums)(dgamma, dbeta, dy, x, mean, inv_std, rest, rows, groups, c, s, cut, channels);
        EACH(k, channels) {
            wide sum = 0, products = 0;
            EACH(r, rows)
                EACH(j, CHANNEL(r, 0) <= k && k < CHANNEL(r, 0) + c ? n : 0)
                    if (CHANNEL(r, j) == k) {
                        sum += dy[r * n + j];
                        products += dy[r * n + j] * ((x[r * n + j] - (wide)mean[r]) * inv_std[r] - rest[r]);
                    }
            agree("dbeta", k, dbeta[k], sum, NEAR(magnitude(sum) + 1));
            agree("dgamma", k, dgamma[k], products, NEAR(magnitude(products) + 20));
        }
    }
}

#undef CHANNEL
#undef FOR_ROWS

TEST(blend)
{
    EACH(n, 40) {
        begin_case("n = %d", (int)n);
        REAL *x = RANDOM(n, -1, 1), *y = RANDOM(n, -1, 1), *before = UNSET(n);
        memcpy(before, x, (size_t)n * sizeof(REAL));
        CALL(blend)(x, y, 0.1, n);
        EACH(i, n)
            agree("x", i, x[i], (1 - 0.1L) * before[i] + 0.1L * y[i], 4 * EPS);
    }
}

#undef CUT
#undef FOR_BATCHES
#undef FOR_CHANNEL
#undef NEAR
#endif
