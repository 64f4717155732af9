#ifndef REAL
#define EN_SELFTEST "realnet.c"
#include "kernels/realnet.h"
#include "runtime/dispatch.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_REALNET
#define EN_SELFTEST_REALNET
static wide gelu_wide(wide z, wide *slope)
{
    const wide share = erfcl(-z / sqrtl(2)) / 2;
    *slope = share + z * expl(-z * z / 2) / sqrtl(2 * 3.14159265358979323846L);
    return z * share;
}
#endif

TEST(realnet_excite)
{
    static const ptrdiff_t sizes[][2] = {{1, 1}, {3, 2}, {5, 7}, {4, 33}, {2, 100}};
    EACH(size, LENGTH(sizes))
        EACH(parts, 4) {
            const ptrdiff_t rows = sizes[size][0], n = sizes[size][1], all = rows * n;
            begin_case("rows = %d, n = %d, product and input: %d", (int)rows, (int)n, (int)parts);
            REAL *g = UNSET(all), *slope = UNSET(all), *product = RANDOM(all, -4, 4), *bias = RANDOM(n, -1, 1);
            REAL *x = RANDOM(2 * all, -2, 2); /* rows of every other row */
            const REAL *with = parts & 1 ? product : NULL, *input = parts & 2 ? x : NULL;
            CALL(realnet_excite)(g, slope, with, bias, input, 2 * n, n, 0, rows / 2);
            CALL(realnet_excite)(g, slope, with, bias, input, 2 * n, n, rows / 2, rows);
            EACH(i, all) {
                wide z = bias[i % n], want_slope;
                z += with ? product[i] : 0;
                z += input ? x[i / n * 2 * n + i % n] : 0;
                const wide want = gelu_wide(z, &want_slope);
                agree("g", i, g[i], want, 16 * EPS * (1 + magnitude(z)));
                agree("slope", i, slope[i], want_slope, 16 * EPS * (1 + magnitude(z)));
            }
        }
}

TEST(realnet_multiply)
{
    EACH(n, 40) {
        begin_case("n = %d", (int)n);
        REAL *y = RANDOM(n, -1, 1), *x = RANDOM(n, -1, 1), *before = UNSET(n);
        memcpy(before, y, (size_t)n * sizeof(REAL));
        CALL(realnet_multiply)(y, x, n);
        EACH(i, n)
            agree("y", i, y[i], (wide)before[i] * x[i], EPS);
    }
}

TEST(realnet_columns)
{
    static const ptrdiff_t sizes[][3] = {{1, 1, 1}, {2, 3, 5}, {7, 32, 32}, {30, 32, 70}, {9, 31, 31}};
    const double eps = 1e-5;
    EACH(size, LENGTH(sizes))
        EACH(with, 2) {
            const ptrdiff_t n = sizes[size][0], width = sizes[size][1], stride = sizes[size][2];
            begin_case("n = %d, width = %d of %d, input: %d", (int)n, (int)width, (int)stride, (int)with);
            REAL *h = RANDOM(n * stride, -3, 3), *before = UNSET(n * stride), *x = RANDOM(n * stride, -1, 1);
            REAL *bias = RANDOM(n, -1, 1), *gamma = RANDOM(n, 0.5, 2), *beta = RANDOM(n, -1, 1);
            memcpy(before, h, (size_t)(n * stride) * sizeof(REAL));
            CALL(realnet_columns)(h, bias, with ? x : NULL, gamma, beta, eps, n, stride, width);
            EACH(j, stride) {
                wide mean = 0, var = 0, slope;
#define EXCITED(i) gelu_wide((wide)before[(i) * stride + j] + bias[i] + (with ? x[(i) * stride + j] : 0), &slope)
                EACH(i, n)
                    mean += EXCITED(i) / (wide)n;
                EACH(i, n)
                    var += (EXCITED(i) - mean) * (EXCITED(i) - mean) / (wide)n;
                const wide factor = 1 / sqrtl(var + (wide)eps);
                EACH(i, n)
                    if (j < width)
                        agree("h", i * stride + j, h[i * stride + j], (EXCITED(i) - mean) * factor * gamma[i] + beta[i],
                              64 * EPS * (1 + factor));
                    else
                        agree("other columns", i * stride + j, h[i * stride + j], before[i * stride + j], 0);
#undef EXCITED
            }
        }
}
#endif
