#ifndef REAL
#define EN_SELFTEST "gather.c"
#include "parallel/gather.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_GATHER
#define EN_SELFTEST_GATHER
/* rows of the table, width, ids: vector remainders, more ids than rows, nothing at all */
static const ptrdiff_t gather_shapes[][3] = {
    {1, 1, 1}, {5, 3, 7}, {7, 1, 40}, {40, 17, 9}, {11, 64, 100}, {300, 33, 70}, {6, 0, 4}, {6, 5, 0},
};
#endif

#define FOR_TABLES \
    for (ptrdiff_t shape = 0, v, e, n; shape < LENGTH(gather_shapes) \
         && (v = gather_shapes[shape][0], e = gather_shapes[shape][1], n = gather_shapes[shape][2], \
             begin_case("v = %d, e = %d, n = %d", (int)v, (int)e, (int)n), 1); ++shape)

TEST(gather_rows)
{
    FOR_TABLES {
        REAL *table = RANDOM(v * e, -1, 1), *y = UNSET(n * e);
        int64_t *ids = unset_array(sizeof(int64_t), n);
        EACH(i, n)
            ids[i] = (int64_t)(random_bits() % (uint64_t)v);
        expect("every id is a row", CALL(gather_rows)(y, table, ids, v, e, n) == -1);
        EACH(i, n * e)
            agree("y", i, y[i], table[ids[i / e] * e + i % e], 0);
        const int64_t bad[] = {-1, v, INT64_MIN, INT64_MAX};
        EACH(k, n > 0 ? LENGTH(bad) : 0) {
            ids[n / 2] = bad[k];
            expect("an id outside is found", CALL(gather_rows)(y, table, ids, v, e, n) == n / 2);
        }
    }
}

/* Every row gets the places i with i mod r equal to its number, in descending order; one row gets none. */
TEST(sum_rows)
{
    FOR_TABLES for (int add = 0; add < 2; ++add) {
        const ptrdiff_t r = lesser(v, 4);
        REAL *dy = RANDOM(n * e, -1, 1), *dtable = RANDOM(v * e, -1, 1), *before = UNSET(v * e);
        int64_t *rows = unset_array(sizeof(int64_t), r), *starts = unset_array(sizeof(int64_t), r + 1);
        int64_t *order = unset_array(sizeof(int64_t), n), places = 0;
        memcpy(before, dtable, (size_t)(v * e) * sizeof(REAL));
        EACH(k, r) {
            rows[k] = v - r + k;
            starts[k] = places;
            for (ptrdiff_t i = n - 1; i >= 0; --i)
                if (i % r == k)
                    order[places++] = i;
        }
        starts[r] = places;
        CALL(sum_rows)(dtable, dy, rows, starts, order, add, e, 0, r / 2);
        CALL(sum_rows)(dtable, dy, rows, starts, order, add, e, r / 2, r);
        EACH(at, v * e) {
            const ptrdiff_t k = at / e - (v - r);
            wide want = k < 0 || add ? before[at] : 0, size = magnitude(want);
            for (ptrdiff_t i = k < 0 ? n : 0; i < n; ++i)
                if (i % r == k) {
                    want += dy[i * e + at % e];
                    size += magnitude(dy[i * e + at % e]);
                }
            agree("dtable", at, dtable[at], want, (wide)n * EPS * size);
        }
    }
}

#undef FOR_TABLES
#endif
