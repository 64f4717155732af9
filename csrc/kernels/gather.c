#ifndef REAL
#define EN_BODY "kernels/gather.c"
#include "kernels/gather.h"
#include "kernels/instantiate.h"
#else

/* gather_rows.  y: out (n, e)   table: in (v, e)   ids: in (n)          y_i = table_{ids_i}
 * Returns -1, or the first i whose id is no row of the table; the rows before it are written. */
static ptrdiff_t EN_NAME(gather_rows)(REAL *restrict y, const REAL *restrict table, const int64_t *restrict ids,
                                      ptrdiff_t v, ptrdiff_t e, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i) {
        if (ids[i] < 0 || ids[i] >= v)
            return i;
        memcpy(y + i * e, table + (ptrdiff_t)ids[i] * e, (size_t)e * sizeof(REAL));
    }
    return -1;
}

/* sum_rows.  dtable: out, or in/out with `add` (v, e)   dy: in (n, e)   rows, starts, order: in
 * dtable_{rows_k} = sum of dy_{order_i} over i from starts_k to starts_{k+1}, for k from `first` to `stop`; with `add`
 * that is added to what is there. No other row is touched. */
static void EN_NAME(sum_rows)(REAL *restrict dtable, const REAL *restrict dy, const int64_t *restrict rows,
                              const int64_t *restrict starts, const int64_t *restrict order, int add, ptrdiff_t e,
                              ptrdiff_t first, ptrdiff_t stop)
{
    for (ptrdiff_t k = first; k < stop; ++k) {
        REAL *restrict row = dtable + (ptrdiff_t)rows[k] * e;
        int64_t i = starts[k];
        if (!add && i == starts[k + 1])
            memset(row, 0, (size_t)e * sizeof(REAL));
        else if (!add)
            memcpy(row, dy + (ptrdiff_t)order[i++] * e, (size_t)e * sizeof(REAL));
        for (; i < starts[k + 1]; ++i) {
            const REAL *restrict g = dy + (ptrdiff_t)order[i] * e;
            for (ptrdiff_t j = 0; j < e; ++j)
                row[j] += g[j];
        }
    }
}
#endif
