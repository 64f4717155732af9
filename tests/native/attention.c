#ifndef REAL
#define EN_SELFTEST "attention.c"
#include "kernels/attention.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_ATTENTION
#define EN_SELFTEST_ATTENTION
/* keys, queries: parts of a unit, whole ones, whole tiles; remainders of the four rows that are taken together */
static const ptrdiff_t attention_sizes[][2] = {{1, 1}, {3, 5}, {4, 16}, {7, 17}, {6, 33}, {128, 64}, {5, 64}};

static ptrdiff_t attention_width(ptrdiff_t queries)
{
    return (queries + EN_ATTENTION_UNIT - 1) / EN_ATTENTION_UNIT * EN_ATTENTION_UNIT;
}
#endif

#define FOR_TILES \
    for (ptrdiff_t shape = 0, keys, queries, width; shape < LENGTH(attention_sizes) \
         && (keys = attention_sizes[shape][0], queries = attention_sizes[shape][1], width = attention_width(queries), \
             begin_case("keys = %d, queries = %d of %d", (int)keys, (int)queries, (int)width), 1); ++shape)
#define FOR_PAIRS EACH(j, keys) EACH(i, queries)

TEST(attention_scores)
{
    FOR_TILES {
        REAL *s = RANDOM(keys * width, -2, 2), *before = UNSET(keys * width), *added = RANDOM(keys * queries, -1, 1);
        uint8_t *seen = unset_array(1, keys * queries);
        EACH(k, keys * queries)
            seen[k] = random_bits() % 4 != 0;
        memcpy(before, s, (size_t)(keys * width) * sizeof *s);
        const attention_bias bias = {.key = 10, .query = 12, .above = 1, .below = 3, .scale = 0.5, .slope = 0.25,
                                     .seen = seen, .added = added, .mask_query = keys, .mask_key = 1};
        CALL(attention_scores)(s, &bias, keys, queries, width);
        FOR_PAIRS {
            const ptrdiff_t distance = 12 + i - (10 + j);
            const wide want = 0.5L * before[j * width + i] - 0.25L * (distance < 0 ? -distance : distance)
                            + added[i * keys + j];
            const int visible = seen[i * keys + j] && distance >= -1 && distance <= 3;
            agree("s", j * width + i, s[j * width + i], visible ? want : -INFINITY, 8 * EPS * (magnitude(want) + 20));
        }
    }
}

TEST(attention_softmax)
{
    FOR_TILES {
        REAL *s = RANDOM(keys * width, -4, 4), *before = UNSET(keys * width), *shrink = UNSET(width);
        REAL *top = RANDOM(width, -3, 3), *sum = RANDOM(width, 1, 2), *top0 = UNSET(width), *sum0 = UNSET(width);
        top[0] = -INFINITY, sum[0] = 0; /* a query that has seen nothing yet, and still sees nothing */
        EACH(j, keys)
            s[j * width] = -INFINITY;
        memcpy(before, s, (size_t)(keys * width) * sizeof *s);
        memcpy(top0, top, (size_t)width * sizeof *s);
        memcpy(sum0, sum, (size_t)width * sizeof *s);
        CALL(attention_softmax)(s, top, sum, shrink, 1.5, keys, width);
        EACH(i, queries) {
            wide most = top0[i], total;
            EACH(j, keys)
                most = 1.5L * before[j * width + i] > most ? 1.5L * before[j * width + i] : most;
            const wide level = i == 0 ? 0 : most;
            total = sum0[i] * expl(top0[i] - level);
            agree("top", i, top[i], most, 4 * EPS * magnitude(level));
            agree("shrink", i, shrink[i], expl(top0[i] - level), 32 * EPS);
            EACH(j, keys) {
                const wide p = expl(1.5L * before[j * width + i] - level);
                agree("p", j * width + i, s[j * width + i], p, 32 * EPS);
                total += p;
            }
            agree("sum", i, sum[i], total, 64 * EPS * (total + (wide)keys * EPS));
        }
    }
}

TEST(attention_rows)
{
    FOR_TILES {
        const ptrdiff_t step = keys + 3;
        REAL *y = RANDOM(queries * step, -1, 1), *before = UNSET(queries * step), *lse = UNSET(queries);
        REAL *top = RANDOM(queries, -3, 3), *factor = RANDOM(queries, 1, 5);
        factor[0] = 0;
        memcpy(before, y, (size_t)(queries * step) * sizeof *y);
        CALL(attention_rows)(y, lse, top, factor, queries, keys, step);
        EACH(i, queries) {
            agree("lse", i, lse[i], i == 0 ? INFINITY : top[i] + logl(factor[i]), 8 * EPS * 4);
            EACH(k, step)
                agree("y", i * step + k, y[i * step + k],
                      k >= keys ? before[i * step + k] : i == 0 ? 0 : before[i * step + k] / (wide)factor[i], 4 * EPS);
        }
        memcpy(y, before, (size_t)(queries * step) * sizeof *y);
        CALL(attention_rows)(y, NULL, NULL, factor, queries, keys, step);
        EACH(i, queries) EACH(k, keys)
            agree("scaled y", i * step + k, y[i * step + k], before[i * step + k] * (wide)factor[i], 8 * EPS);
    }
}

TEST(attention_delta)
{
    FOR_TILES {
        REAL *dy = RANDOM(queries * (keys + 2), -1, 1), *y = RANDOM(queries * (keys + 5), -1, 1), *delta = UNSET(queries);
        CALL(attention_delta)(delta, dy, y, queries, keys, keys + 2, keys + 5);
        EACH(i, queries) {
            wide want = 0;
            EACH(k, keys)
                want += (wide)dy[i * (keys + 2) + k] * y[i * (keys + 5) + k];
            agree("delta", i, delta[i], want, 4 * EPS * (wide)keys);
        }
    }
}

TEST(attention_gradient)
{
    FOR_TILES {
        REAL *s = RANDOM(keys * width, -4, 4), *dp = RANDOM(keys * width, -1, 1), *lse = RANDOM(width, 4, 6);
        REAL *delta = RANDOM(width, -1, 1), *s0 = UNSET(keys * width), *dp0 = UNSET(keys * width);
        lse[0] = INFINITY;
        memcpy(s0, s, (size_t)(keys * width) * sizeof *s);
        memcpy(dp0, dp, (size_t)(keys * width) * sizeof *s);
        CALL(attention_gradient)(s, dp, lse, delta, 0.5, 0.25, keys, width);
        FOR_PAIRS {
            const ptrdiff_t at = j * width + i;
            const wide p = expl(0.5L * s0[at] - lse[i]);
            agree("p", at, s[at], p, 32 * EPS);
            agree("ds", at, dp[at], 0.25L * p * ((wide)dp0[at] - delta[i]), 32 * EPS);
        }
    }
}

TEST(attention_dropout)
{
    FOR_TILES {
        REAL *x = RANDOM(keys * width, 1, 2), *before = UNSET(keys * width);
        memcpy(before, x, (size_t)(keys * width) * sizeof *x);
        CALL(attention_dropout)(x, 0, 0, 1000, 0.25, keys, queries, width);
        /* splitmix64 of key 0: the first numbers are e220a8397b1dcdaf, 6e789e6aa1b965f4, 06c45d188009454f, all but the
         * last above a quarter of 2^64. */
        const int kept[] = {1, 1, 0};
        EACH(j, lesser(keys, 3))
            agree("x", j * width, x[j * width], kept[j] ? before[j * width] / 0.75L : 0, 8 * EPS);
        FOR_PAIRS
            expect("dropped or scaled", x[j * width + i] == 0
                                            || magnitude(x[j * width + i] * 0.75L - before[j * width + i]) < 8 * EPS);
        EACH(j, keys)
            for (ptrdiff_t i = queries; i < width; ++i)
                agree("behind the queries", j * width + i, x[j * width + i], before[j * width + i], 0);
    }
}

TEST(attention_rotate)
{
    FOR_TILES { /* `keys` tokens of `queries` pairs, in rows of two of them and some more */
        const ptrdiff_t row = 2 * queries + width % 3;
        REAL *x = RANDOM(keys * row, -1, 1), *before = UNSET(keys * row);
        REAL *cosines = RANDOM(keys * queries, -1, 1), *sines = RANDOM(keys * queries, -1, 1);
        memcpy(before, x, (size_t)(keys * row) * sizeof *x);
        CALL(attention_rotate)(x, cosines, sines, keys, queries, row);
        FOR_PAIRS {
            const wide a = before[j * row + i], b = before[j * row + queries + i];
            const wide c = cosines[j * queries + i], s = sines[j * queries + i];
            agree("first", j * row + i, x[j * row + i], a * c - b * s, 4 * EPS);
            agree("second", j * row + i, x[j * row + queries + i], a * s + b * c, 4 * EPS);
        }
        EACH(j, keys)
            for (ptrdiff_t i = 2 * queries; i < row; ++i)
                agree("behind the pairs", j * row + i, x[j * row + i], before[j * row + i], 0);
    }
}

#undef FOR_TILES
#undef FOR_PAIRS
#endif
