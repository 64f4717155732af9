#ifndef REAL
#define EN_SELFTEST "sparse.c"
#include "parallel/sparse.h"
#include "instantiate.h"
#else

TEST(sparse_product)
{
    static const ptrdiff_t sizes[][4] = {{1, 1, 1, 1}, {5, 3, 7, 9}, {4, 6, 32, 32}, {9, 9, 32, 40}, {3, 8, 31, 70}};
    EACH(size, LENGTH(sizes)) {
        const ptrdiff_t m = sizes[size][0], k = sizes[size][1], width = sizes[size][2], stride = sizes[size][3];
        begin_case("m = %d, k = %d, width = %d of %d", (int)m, (int)k, (int)width, (int)stride);
        REAL *values = RANDOM(m * k, -1, 1), *x = RANDOM(k * stride, -1, 1), *y = UNSET(m * stride);
        int32_t *index = unset_array(sizeof *index, m * k);
        int64_t *start = unset_array(sizeof *start, m + 1);
        ptrdiff_t count = 0;
        EACH(i, m) { /* row i has the columns that share no remainder with it */
            start[i] = count;
            EACH(j, k)
                if ((i + j) % 3)
                    index[count++] = (int32_t)j;
        }
        start[m] = count;
        CALL(sparse_product)(y, values, index, start, x, stride, width, 0, m / 2);
        CALL(sparse_product)(y, values, index, start, x, stride, width, m / 2, m);
        EACH(i, m)
            EACH(j, stride) {
                wide sum = 0;
                for (int64_t at = start[i]; at < start[i + 1]; ++at)
                    sum += (wide)values[at] * x[index[at] * stride + j];
                if (j < width)
                    agree("y", i * stride + j, y[i * stride + j], sum, EPS * (wide)(2 * k));
                else
                    expect("other columns are left alone", y[i * stride + j] != y[i * stride + j]);
            }
    }
}
#endif
