#ifndef REAL
#define EN_BODY "kernels/sparse.c"
#include "kernels/sparse.h"
#include "kernels/instantiate.h"
#else

enum { EN_NAME(PARTS) = EN_SPARSE_COLUMNS / LANES };

/* sparse_product.  y: out (m, width) <- a (m, k) x (k, width);   rows of x and y `stride` apart, width <= 32
 * For rows `first` to `stop`. All columns of x are taken side by side, so that an element of a is multiplied with whole
 * vectors; every sum is added in the order in which the row lists its elements. */
static void EN_NAME(sparse_product)(REAL *restrict y, const REAL *restrict values, const int32_t *restrict index,
                                    const int64_t *restrict start, const REAL *restrict x, ptrdiff_t stride,
                                    ptrdiff_t width, ptrdiff_t first, ptrdiff_t stop)
{
    for (ptrdiff_t i = first; i < stop; ++i) {
        const ptrdiff_t end = (ptrdiff_t)start[i + 1];
        REAL *restrict out = y + i * stride;
        if (width == EN_SPARSE_COLUMNS) {
            VECTOR sums[EN_NAME(PARTS)];
            EN_UNROLL(32)
            for (int part = 0; part < EN_NAME(PARTS); ++part)
                sums[part] = BROADCAST(C(0));
            for (ptrdiff_t k = (ptrdiff_t)start[i]; k < end; ++k) {
                const REAL *restrict row = x + index[k] * stride;
                const VECTOR value = BROADCAST(values[k]);
                EN_UNROLL(32)
                for (int part = 0; part < EN_NAME(PARTS); ++part)
                    sums[part] += value * LOAD(row + part * LANES);
            }
            EN_UNROLL(32)
            for (int part = 0; part < EN_NAME(PARTS); ++part)
                STORE(out + part * LANES, sums[part]);
        } else {
            REAL sums[EN_SPARSE_COLUMNS] = {0};
            for (ptrdiff_t k = (ptrdiff_t)start[i]; k < end; ++k) {
                const REAL *restrict row = x + index[k] * stride;
                for (ptrdiff_t j = 0; j < width; ++j)
                    sums[j] += values[k] * row[j];
            }
            memcpy(out, sums, (size_t)width * sizeof(REAL));
        }
    }
}
#endif
