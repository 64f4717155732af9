/* Kernels against plain loops in wide arithmetic, one step at a time. */
#ifndef REAL
#define EN_SELFTEST "recurrent.c"
#include "kernels/recurrent.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_RECURRENT
#define EN_SELFTEST_RECURRENT
static const struct { ptrdiff_t rows, hidden; } step_sizes[] = {{1, 1}, {3, 7}, {2, 16}, {2, 33}, {5, 40}};

static wide logistic(wide x) { return 1 / (1 + expl(-x)); }
#endif

#define ROUNDING (40 * EPS)

#define EACH_SIZE \
    EACH(size, LENGTH(step_sizes)) \
        for (ptrdiff_t rows = step_sizes[size].rows, n = step_sizes[size].hidden, once = 1; once; once = 0)

TEST(lstm_forward)
{
    EACH_SIZE {
        begin_case("rows = %d, hidden = %d", (int)rows, (int)n);
        REAL *gates = RANDOM(rows * 4 * n, -3, 3), *h = UNSET(rows * n), *c = UNSET(rows * n);
        REAL *before = RANDOM(rows * n, -2, 2), *sums = UNSET(rows * 4 * n);
        memcpy(sums, gates, (size_t)(rows * 4 * n) * sizeof(REAL));
        CALL(lstm_forward)(gates, h, c, before, rows, n);
        EACH(r, rows)
            EACH(j, n) {
                const REAL *s = sums + r * 4 * n + j;
                const wide i = logistic(s[0]), f = logistic(s[n]), g = tanhl(s[2 * n]), o = logistic(s[3 * n]);
                const wide now = f * before[r * n + j] + i * g;
                agree("c", r * n + j, c[r * n + j], now, ROUNDING);
                agree("h", r * n + j, h[r * n + j], o * tanhl(now), ROUNDING);
                agree("i", r * n + j, gates[r * 4 * n + j], i, ROUNDING);
                agree("o", r * n + j, gates[r * 4 * n + 3 * n + j], o, ROUNDING);
            }
    }
}

TEST(lstm_backward)
{
    EACH_SIZE {
        begin_case("rows = %d, hidden = %d", (int)rows, (int)n);
        REAL *gates = RANDOM(rows * 4 * n, 0.1, 0.9), *dgates = UNSET(rows * 4 * n), *dy = RANDOM(rows * n, -1, 1);
        REAL *before = RANDOM(rows * n, -2, 2), *dh = RANDOM(rows * n, -1, 1), *dc = RANDOM(rows * n, -1, 1);
        REAL *dh0 = UNSET(rows * n), *dc0 = UNSET(rows * n);
        memcpy(dh0, dh, (size_t)(rows * n) * sizeof(REAL));
        memcpy(dc0, dc, (size_t)(rows * n) * sizeof(REAL));
        CALL(lstm_backward)(dgates, dh, dc, size % 2 ? dy : NULL, gates, before, rows, n);
        EACH(r, rows)
            EACH(j, n) {
                const ptrdiff_t at = r * n + j;
                const REAL *v = gates + r * 4 * n + j, *d = dgates + r * 4 * n + j;
                const wide i = v[0], f = v[n], g = v[2 * n], o = v[3 * n], s = tanhl(f * before[at] + i * g);
                const wide total = dh0[at] + (size % 2 ? dy[at] : 0), cell = dc0[at] + total * o * (1 - s * s);
                agree("di", at, d[0], cell * g * i * (1 - i), ROUNDING);
                agree("df", at, d[n], cell * before[at] * f * (1 - f), ROUNDING);
                agree("dg", at, d[2 * n], cell * i * (1 - g * g), ROUNDING);
                agree("do", at, d[3 * n], total * s * o * (1 - o), ROUNDING);
                agree("dc", at, dc[at], cell * f, ROUNDING);
                expect("dh goes through the gates alone", dh[at] == 0);
            }
    }
}

TEST(gru_forward)
{
    EACH_SIZE {
        begin_case("rows = %d, hidden = %d", (int)rows, (int)n);
        REAL *gates = RANDOM(rows * 4 * n, -3, 3), *h = UNSET(rows * n), *before = RANDOM(rows * n, -1, 1);
        REAL *sums = UNSET(rows * 4 * n);
        memcpy(sums, gates, (size_t)(rows * 4 * n) * sizeof(REAL));
        CALL(gru_forward)(gates, h, before, rows, n);
        EACH(r, rows)
            EACH(j, n) {
                const REAL *s = sums + r * 4 * n + j;
                const wide reset = logistic(s[n]), z = logistic(s[2 * n]), new = tanhl(s[0] + reset * s[3 * n]);
                agree("h", r * n + j, h[r * n + j], (1 - z) * new + z * before[r * n + j], ROUNDING);
                agree("n", r * n + j, gates[r * 4 * n + j], new, ROUNDING);
                expect("q stays", gates[r * 4 * n + 3 * n + j] == s[3 * n]);
            }
    }
}

TEST(gru_backward)
{
    EACH_SIZE {
        begin_case("rows = %d, hidden = %d", (int)rows, (int)n);
        REAL *gates = RANDOM(rows * 4 * n, 0.1, 0.9), *dgates = UNSET(rows * 4 * n), *dy = RANDOM(rows * n, -1, 1);
        REAL *before = RANDOM(rows * n, -1, 1), *dh = RANDOM(rows * n, -1, 1), *dh0 = UNSET(rows * n);
        memcpy(dh0, dh, (size_t)(rows * n) * sizeof(REAL));
        CALL(gru_backward)(dgates, dh, size % 2 ? dy : NULL, gates, before, rows, n);
        EACH(r, rows)
            EACH(j, n) {
                const ptrdiff_t at = r * n + j;
                const REAL *v = gates + r * 4 * n + j, *d = dgates + r * 4 * n + j;
                const wide new = v[0], reset = v[n], z = v[2 * n], q = v[3 * n];
                const wide total = dh0[at] + (size % 2 ? dy[at] : 0), dn = total * (1 - z) * (1 - new * new);
                agree("dn", at, d[0], dn, ROUNDING);
                agree("dr", at, d[n], dn * q * reset * (1 - reset), ROUNDING);
                agree("dz", at, d[2 * n], total * (before[at] - new) * z * (1 - z), ROUNDING);
                agree("dq", at, d[3 * n], dn * reset, ROUNDING);
                agree("dh", at, dh[at], total * z, ROUNDING);
            }
    }
}

TEST(rnn_forward)
{
    EACH_SIZE
        for (int relu = 0; relu < 2; ++relu) {
            begin_case("rows = %d, hidden = %d, relu = %d", (int)rows, (int)n, relu);
            REAL *gates = RANDOM(rows * n, -3, 3), *h = UNSET(rows * n), *sums = UNSET(rows * n);
            memcpy(sums, gates, (size_t)(rows * n) * sizeof(REAL));
            CALL(rnn_forward)(gates, h, relu, rows, n);
            EACH(j, rows * n) {
                agree("h", j, h[j], relu ? (sums[j] > 0 ? sums[j] : 0) : tanhl(sums[j]), ROUNDING);
                expect("gates hold h", gates[j] == h[j]);
            }
        }
}

TEST(rnn_backward)
{
    EACH_SIZE
        for (int relu = 0; relu < 2; ++relu) {
            begin_case("rows = %d, hidden = %d, relu = %d", (int)rows, (int)n, relu);
            REAL *gates = RANDOM(rows * n, -0.9, 0.9), *dgates = UNSET(rows * n), *dy = RANDOM(rows * n, -1, 1);
            REAL *dh = RANDOM(rows * n, -1, 1), *dh0 = UNSET(rows * n);
            memcpy(dh0, dh, (size_t)(rows * n) * sizeof(REAL));
            CALL(rnn_backward)(dgates, dh, size % 2 ? dy : NULL, gates, relu, rows, n);
            EACH(j, rows * n) {
                const wide total = dh0[j] + (size % 2 ? dy[j] : 0), h = gates[j];
                agree("dgates", j, dgates[j], total * (relu ? h > 0 : 1 - h * h), ROUNDING);
                expect("dh goes through the gates alone", dh[j] == 0);
            }
        }
}

TEST(multiply_into)
{
    EACH_SIZE
        for (int add = 0; add < 2; ++add) {
            begin_case("n = %d, add = %d", (int)(rows * n), add);
            REAL *y = RANDOM(rows * n, -1, 1), *x = RANDOM(rows * n, -1, 1), *mask = RANDOM(rows * n, 0, 2);
            REAL *y0 = UNSET(rows * n);
            memcpy(y0, y, (size_t)(rows * n) * sizeof(REAL));
            CALL(multiply_into)(y, x, mask, add, rows * n);
            EACH(j, rows * n)
                agree("y", j, y[j], (wide)x[j] * mask[j] + (add ? y0[j] : 0), ROUNDING);
        }
}

#undef ROUNDING
#undef EACH_SIZE
#endif
