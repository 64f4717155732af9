#ifndef REAL
#define EN_BODY "kernels/recurrent.c"
#include "kernels/recurrent.h"
#include "runtime/portable.h"
#include "kernels/instantiate.h"
#else
#include "kernels/elementary.h"

/* Elements of a row that are computed at a time: whole vectors, two of them so that their chains overlap. */
#define CHUNK ((ptrdiff_t)(2 * EN_VECTOR / sizeof(REAL)))

/* x <- f(x), in whole chunks; the last one is filled up, because a scalar exponential takes as long as a vector of them. */
#define EN_IN_CHUNKS(name, function) \
    EN_NOINLINE void EN_NAME(name)(REAL *x, ptrdiff_t n) \
    { \
        REAL rest[CHUNK]; \
        for (ptrdiff_t j = 0; j < n; j += CHUNK) { \
            const ptrdiff_t count = n - j < CHUNK ? n - j : CHUNK; \
            REAL *at = count < CHUNK ? rest : x + j; \
            if (count < CHUNK) \
                for (ptrdiff_t k = 0; k < CHUNK; ++k) \
                    rest[k] = k < count ? x[j + k] : C(0); \
            for (ptrdiff_t k = 0; k < CHUNK; ++k) \
                at[k] = EN_NAME(function)(at[k]); \
            if (count < CHUNK) \
                for (ptrdiff_t k = 0; k < count; ++k) \
                    x[j + k] = rest[k]; \
        } \
    }
EN_IN_CHUNKS(sigmoid_row, sigmoid)
EN_IN_CHUNKS(tanh_row, tanh)
#undef EN_IN_CHUNKS

/* lstm_forward.  i, f, o <- sigmoid, g <- tanh;   c = f c_prev + i g,   h = o tanh(c)
 *                                                  Hochreiter & Schmidhuber 1997; Gers et al. 2000 for the gate f */
static void EN_NAME(lstm_forward)(REAL *restrict gates, REAL *restrict h, REAL *restrict c,
                                  const REAL *restrict c_prev, ptrdiff_t rows, ptrdiff_t hidden)
{
    for (ptrdiff_t row = 0; row < rows; ++row, gates += 4 * hidden, h += hidden, c += hidden, c_prev += hidden) {
        REAL *restrict i = gates, *restrict f = i + hidden, *restrict g = f + hidden, *restrict o = g + hidden;
        EN_NAME(sigmoid_row)(i, 2 * hidden);
        EN_NAME(tanh_row)(g, hidden);
        EN_NAME(sigmoid_row)(o, hidden);
        for (ptrdiff_t j = 0; j < hidden; ++j)
            h[j] = c[j] = f[j] * c_prev[j] + i[j] * g[j];
        EN_NAME(tanh_row)(h, hidden);
        for (ptrdiff_t j = 0; j < hidden; ++j)
            h[j] *= o[j];
    }
}

/* lstm_backward.  With c = f c_prev + i g, s = tanh(c) and dh the whole gradient of h:
 *   do = dh s o (1 - o)            dc' = dc + dh o (1 - s^2)
 *   di = dc' g i (1 - i)           df = dc' c_prev f (1 - f)       dg = dc' i (1 - g^2)
 *   dc <- dc' f                    dh <- 0 */
static void EN_NAME(lstm_backward)(REAL *restrict dgates, REAL *restrict dh, REAL *restrict dc,
                                   const REAL *restrict dy, const REAL *restrict gates, const REAL *restrict c_prev,
                                   ptrdiff_t rows, ptrdiff_t hidden)
{
    for (ptrdiff_t row = 0; row < rows; ++row) {
        const REAL *restrict i = gates + 4 * row * hidden, *restrict f = i + hidden;
        const REAL *restrict g = f + hidden, *restrict o = g + hidden, *restrict before = c_prev + row * hidden;
        REAL *restrict di = dgates + 4 * row * hidden, *restrict df = di + hidden;
        REAL *restrict dg = df + hidden, *restrict d_o = dg + hidden;
        REAL *restrict dhr = dh + row * hidden, *restrict dcr = dc + row * hidden;
        for (ptrdiff_t j = 0; j < hidden; ++j)
            d_o[j] = f[j] * before[j] + i[j] * g[j];
        EN_NAME(tanh_row)(d_o, hidden);
        if (dy)
            for (ptrdiff_t j = 0; j < hidden; ++j)
                dhr[j] += dy[row * hidden + j];
        for (ptrdiff_t j = 0; j < hidden; ++j) {
            const REAL s = d_o[j], through = dhr[j] * o[j], total = dcr[j] + through * (C(1) - s * s);
            d_o[j] = through * s * (C(1) - o[j]);
            di[j] = total * g[j] * i[j] * (C(1) - i[j]);
            df[j] = total * before[j] * f[j] * (C(1) - f[j]);
            dg[j] = total * i[j] * (C(1) - g[j] * g[j]);
            dcr[j] = total * f[j];
            dhr[j] = 0;
        }
    }
}

/* gru_forward.  r, z <- sigmoid,   n <- tanh(n + r q),   h = (1 - z) n + z h_prev
 *                                          Cho et al. 2014, with the reset after the product as in cuDNN and PyTorch */
static void EN_NAME(gru_forward)(REAL *restrict gates, REAL *restrict h, const REAL *restrict h_prev, ptrdiff_t rows,
                                 ptrdiff_t hidden)
{
    for (ptrdiff_t row = 0; row < rows; ++row, gates += 4 * hidden, h += hidden, h_prev += hidden) {
        REAL *restrict n = gates, *restrict r = n + hidden, *restrict z = r + hidden;
        const REAL *restrict q = z + hidden;
        EN_NAME(sigmoid_row)(r, 2 * hidden);
        for (ptrdiff_t j = 0; j < hidden; ++j)
            n[j] += r[j] * q[j];
        EN_NAME(tanh_row)(n, hidden);
        for (ptrdiff_t j = 0; j < hidden; ++j)
            h[j] = n[j] + z[j] * (h_prev[j] - n[j]);
    }
}

/* gru_backward.  With dh the whole gradient of h:
 *   dn = dh (1 - z) (1 - n^2)      dz = dh (h_prev - n) z (1 - z)
 *   dq = dn r                      dr = dn q r (1 - r)             dh <- dh z */
static void EN_NAME(gru_backward)(REAL *restrict dgates, REAL *restrict dh, const REAL *restrict dy,
                                  const REAL *restrict gates, const REAL *restrict h_prev, ptrdiff_t rows,
                                  ptrdiff_t hidden)
{
    for (ptrdiff_t row = 0; row < rows; ++row) {
        const REAL *restrict n = gates + 4 * row * hidden, *restrict r = n + hidden;
        const REAL *restrict z = r + hidden, *restrict q = z + hidden, *restrict before = h_prev + row * hidden;
        REAL *restrict dn = dgates + 4 * row * hidden, *restrict dr = dn + hidden;
        REAL *restrict dz = dr + hidden, *restrict dq = dz + hidden, *restrict dhr = dh + row * hidden;
        if (dy)
            for (ptrdiff_t j = 0; j < hidden; ++j)
                dhr[j] += dy[row * hidden + j];
        for (ptrdiff_t j = 0; j < hidden; ++j) {
            const REAL total = dhr[j], d = total * (C(1) - z[j]) * (C(1) - n[j] * n[j]);
            dn[j] = d;
            dr[j] = d * q[j] * r[j] * (C(1) - r[j]);
            dz[j] = total * (before[j] - n[j]) * z[j] * (C(1) - z[j]);
            dq[j] = d * r[j];
            dhr[j] = total * z[j];
        }
    }
}

/* rnn_forward.  h = gates <- tanh(gates), or max(gates, 0)                                                  Elman 1990 */
static void EN_NAME(rnn_forward)(REAL *restrict gates, REAL *restrict h, int relu, ptrdiff_t rows, ptrdiff_t hidden)
{
    const ptrdiff_t n = rows * hidden;
    if (relu)
        for (ptrdiff_t j = 0; j < n; ++j)
            gates[j] = gates[j] < C(0) ? C(0) : gates[j];
    else
        EN_NAME(tanh_row)(gates, n);
    for (ptrdiff_t j = 0; j < n; ++j)
        h[j] = gates[j];
}

/* rnn_backward.  dgates = dh (1 - h^2), or dh where h > 0,   dh <- 0 */
static void EN_NAME(rnn_backward)(REAL *restrict dgates, REAL *restrict dh, const REAL *restrict dy,
                                  const REAL *restrict gates, int relu, ptrdiff_t rows, ptrdiff_t hidden)
{
    if (dy)
        for (ptrdiff_t j = 0; j < rows * hidden; ++j)
            dh[j] += dy[j];
    for (ptrdiff_t row = 0; row < rows; ++row, dgates += hidden, dh += hidden, gates += hidden)
        for (ptrdiff_t j = 0; j < hidden; ++j) {
            const REAL slope = gates[j] > C(0) ? C(1) : C(0);
            dgates[j] = dh[j] * (relu ? slope : C(1) - gates[j] * gates[j]);
            dh[j] = 0;
        }
}

/* multiply_into.  y = x mask, or y + x mask if `add` */
static void EN_NAME(multiply_into)(REAL *restrict y, const REAL *restrict x, const REAL *restrict mask, int add,
                                   ptrdiff_t n)
{
    for (ptrdiff_t j = 0; j < n; ++j)
        y[j] = x[j] * mask[j] + (add ? y[j] : C(0));
}

#undef CHUNK
#endif
