#ifndef REAL
#define EN_BODY "kernels/attention.c"
#include "kernels/attention.h"
#include "kernels/instantiate.h"
#else
#include "kernels/elementary.h"
#include "kernels/reductions.h"

/* The compiler sees that a width is a multiple of the unit, and makes no loop for a rest. */
#define WHOLE_UNITS(width) ((width) / EN_ATTENTION_UNIT * EN_ATTENTION_UNIT)

static inline ptrdiff_t EN_NAME(within)(ptrdiff_t i, ptrdiff_t n)
{
    return i < 0 ? 0 : i < n ? i : n;
}

/* attention_scores.  s: in/out (keys, width)
 * s <- scale s - slope |i - j| + added, -inf where query i may not see key j     Press, Smith & Lewis 2022, section 3 */
static void EN_NAME(attention_scores)(REAL *restrict s, const attention_bias *bias, ptrdiff_t keys, ptrdiff_t queries,
                                      ptrdiff_t width)
{
    const REAL scale = (REAL)bias->scale, slope = (REAL)bias->slope;
    const uint8_t *seen = bias->seen;
    const REAL *added = bias->added;
    const ptrdiff_t n = WHOLE_UNITS(width), step = bias->mask_query;
    for (ptrdiff_t j = 0; j < keys; ++j, s += width) {
        const ptrdiff_t distance = bias->query - bias->key - j; /* of the first query from this key */
        const ptrdiff_t first = EN_NAME(within)(-bias->above - distance, queries);
        const ptrdiff_t stop = EN_NAME(within)(bias->below - distance + 1, queries);
        for (ptrdiff_t i = 0; i < n; ++i)
            s[i] *= scale;
        if (slope != 0)
            for (ptrdiff_t i = 0; i < queries; ++i)
                s[i] -= slope * FABS((REAL)(distance + i));
        if (added)
            for (ptrdiff_t i = 0; i < queries; ++i)
                s[i] += added[i * step + j * bias->mask_key];
        if (seen)
            for (ptrdiff_t i = 0; i < queries; ++i)
                s[i] = seen[i * step + j * bias->mask_key] ? s[i] : -C(INFINITY);
        for (ptrdiff_t i = 0; i < first; ++i)
            s[i] = -C(INFINITY);
        for (ptrdiff_t i = stop; i < queries; ++i)
            s[i] = -C(INFINITY);
    }
}

/* attention_softmax.  s: in/out (keys, width)   top, sum: in/out (width)   shrink: out (width)
 * Takes more keys into a softmax that is under way:  t' = max(t, max_j scale s_j);  shrink = e^(t - t');
 *                p_j = e^(scale s_j - t') takes the place of s_j;  sum <- sum shrink + sum_j p_j
 *                            Milakov & Gimelshein 2018, algorithm 3; Dao et al. 2022, FlashAttention, algorithm 1 */
static void EN_NAME(attention_softmax)(REAL *restrict s, REAL *restrict top, REAL *restrict sum, REAL *restrict shrink,
                                       double scale, ptrdiff_t keys, ptrdiff_t width)
{
    const ptrdiff_t n = WHOLE_UNITS(width);
    const REAL factor = (REAL)scale;
    for (ptrdiff_t i = 0; i < n; ++i)
        shrink[i] = top[i];
    ptrdiff_t j = 0;
    for (; j + 4 <= keys; j += 4) {
        const REAL *restrict row = s + j * width, *restrict next = row + width, *restrict third = next + width;
        const REAL *restrict fourth = third + width;
        for (ptrdiff_t i = 0; i < n; ++i) {
            REAL a = row[i] * factor, b = next[i] * factor, c = third[i] * factor, d = fourth[i] * factor, t = top[i];
            a = a > b ? a : b;
            c = c > d ? c : d;
            a = a > c ? a : c;
            top[i] = a > t ? a : t;
        }
    }
    for (; j < keys; ++j) {
        const REAL *restrict row = s + j * width;
        for (ptrdiff_t i = 0; i < n; ++i) {
            REAL a = row[i] * factor, t = top[i];
            top[i] = a > t ? a : t;
        }
    }
    for (ptrdiff_t i = 0; i < n; ++i) {
        /* -inf as long as no key was seen: then nothing is to be shrunk, and -inf - -inf would be NaN. */
        REAL t = top[i] > -C(INFINITY) ? top[i] : C(0);
        shrink[i] = EN_NAME(exp)(shrink[i] - t);
        sum[i] *= shrink[i];
    }
    for (j = 0; j < keys; ++j) {
        REAL *restrict row = s + j * width;
        for (ptrdiff_t i = 0; i < n; ++i) {
            REAL t = top[i] > -C(INFINITY) ? top[i] : C(0);
            REAL p = EN_NAME(exp)(row[i] * factor - t);
            row[i] = p;
            sum[i] += p;
        }
    }
}

/* attention_rows.  y: in/out (rows, width)   lse: out (rows), or NULL   top, factor: in (rows)
 * Without lse, y <- factor y. With it, factor is the sum of the weights: y <- y / sum, lse = top + log(sum); for a query
 * that sees nothing, whose sum is 0, y = 0 and lse = inf, so that e^(s - lse) = 0. */
static void EN_NAME(attention_rows)(REAL *restrict y, REAL *restrict lse, const REAL *restrict top,
                                    const REAL *restrict factor, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t y_row)
{
    for (ptrdiff_t i = 0; i < rows; ++i, y += y_row) {
        const int seen = factor[i] != 0; /* NaN is no zero: it goes on into y */
        const REAL by = !lse ? factor[i] : C(1) / factor[i];
        if (lse)
            lse[i] = seen ? top[i] + EN_NAME(log)(factor[i]) : C(INFINITY);
        if (lse && !seen)
            for (ptrdiff_t k = 0; k < width; ++k)
                y[k] = 0;
        else
            for (ptrdiff_t k = 0; k < width; ++k)
                y[k] *= by;
    }
}

/* attention_delta.  delta: out (rows)   dy, y: in (rows, width)
 * delta = sum_k dy y, which is sum_j p_j dp_j                                        Dao et al. 2022, appendix B.2 */
static void EN_NAME(attention_delta)(REAL *restrict delta, const REAL *restrict dy, const REAL *restrict y,
                                     ptrdiff_t rows, ptrdiff_t width, ptrdiff_t dy_row, ptrdiff_t y_row)
{
    for (ptrdiff_t i = 0; i < rows; ++i, dy += dy_row, y += y_row) {
        double sums[DOUBLE_SUMS] = {0};
#define PRODUCT(k) (double)dy[k] * (double)y[k]
        ADD_TERMS(sums, PRODUCT, width);
#undef PRODUCT
        delta[i] = (REAL)EN_NAME(total_of)(sums);
    }
}

/* attention_gradient.  s, dp: in/out (keys, width)   lse, delta: in (width)
 * p = e^(scale s - lse) takes the place of s, ds = dscale p (dp - delta) that of dp
 *                                                              Dao et al. 2022, FlashAttention, algorithm 4 */
static void EN_NAME(attention_gradient)(REAL *restrict s, REAL *restrict dp, const REAL *restrict lse,
                                        const REAL *restrict delta, double scale, double dscale, ptrdiff_t keys,
                                        ptrdiff_t width)
{
    const ptrdiff_t n = WHOLE_UNITS(width);
    const REAL factor = (REAL)scale, slope = (REAL)dscale;
    for (ptrdiff_t j = 0; j < keys; ++j, s += width, dp += width)
        for (ptrdiff_t i = 0; i < n; ++i) {
            REAL p = EN_NAME(exp)(s[i] * factor - lse[i]);
            s[i] = p;
            dp[i] = p * (dp[i] - delta[i]) * slope;
        }
}

/* attention_dropout.  x: in/out (keys, width)   first: number of the pair of the first key and query among all pairs;
 * that of the next query is `step` more, that of the next key 1
 * x <- x / (1 - rate) where 32 random bits of the pair >= rate 2^32, else 0             Srivastava et al. 2014, section 10
 * The bits are splitmix64's of key and number (Steele, Lea & Flood 2014, figure 16): the way back finds the same ones. */
static void EN_NAME(attention_dropout)(REAL *restrict x, uint64_t key, uint64_t first, ptrdiff_t step, double rate,
                                       ptrdiff_t keys, ptrdiff_t queries, ptrdiff_t width)
{
    const uint64_t threshold = (uint64_t)(rate * 4294967296.0);
    const REAL more = (REAL)(1 / (1 - rate));
    for (ptrdiff_t j = 0; j < keys; ++j, x += width)
        for (ptrdiff_t i = 0; i < queries; ++i) {
            uint64_t z = key + (first + (uint64_t)(j + i * step) + 1) * 0x9E3779B97F4A7C15u;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
            z ^= z >> 31;
            x[i] = z >> 32 < threshold ? 0 : x[i] * more;
        }
}

/* attention_rotate.  x: in/out (tokens, 2 pairs)   cosines, sines: in (tokens, pairs), of the angles a
 * (x_i, x_j) <- (x_i cos a - x_j sin a, x_i sin a + x_j cos a),  j = i + pairs        Su et al. 2021, RoFormer, equation 34 */
static void EN_NAME(attention_rotate)(REAL *restrict x, const REAL *restrict cosines, const REAL *restrict sines,
                                      ptrdiff_t tokens, ptrdiff_t pairs, ptrdiff_t x_row)
{
    for (ptrdiff_t t = 0; t < tokens; ++t, x += x_row, cosines += pairs, sines += pairs) {
        REAL *restrict first = x, *restrict second = x + pairs;
        for (ptrdiff_t i = 0; i < pairs; ++i) {
            const REAL a = first[i], b = second[i];
            first[i] = a * cosines[i] - b * sines[i];
            second[i] = a * sines[i] + b * cosines[i];
        }
    }
}

#undef WHOLE_UNITS
#endif
