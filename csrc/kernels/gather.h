/* Rows of a table by their numbers, and sums of gradients per row; the kernels are in gather.c.
 *
 * table, dtable: (v, e)   y, dy: (n, e)   ids: (n), row numbers
 * rows: (r), different rows of dtable   starts: (r + 1), ascending from 0 to n   order: (n), places in dy
 * The gradients that belong to rows[k] are dy[order[i]] for starts[k] <= i < starts[k + 1], added in this order. */
#ifndef EN_GATHER_H
#define EN_GATHER_H

#define EN_CONCERN gather
#define EN_KERNELS(KERNEL) \
    KERNEL(ptrdiff_t, gather_rows, (REAL *restrict y, const REAL *restrict table, const int64_t *restrict ids, \
                                    ptrdiff_t v, ptrdiff_t e, ptrdiff_t n)) \
    KERNEL(void, sum_rows, (REAL *restrict dtable, const REAL *restrict dy, const int64_t *restrict rows, \
                            const int64_t *restrict starts, const int64_t *restrict order, int add, ptrdiff_t e, \
                            ptrdiff_t first, ptrdiff_t stop))
#include "kernels/table.h"

#define gather_rows(dtype, ...) EN_CALL(gather, gather_rows, dtype, __VA_ARGS__)
#define sum_rows(dtype, ...) EN_CALL(gather, sum_rows, dtype, __VA_ARGS__)
#endif
