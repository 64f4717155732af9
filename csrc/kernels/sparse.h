/* Products of a sparse matrix; the kernel is in sparse.c.
 *
 * A matrix (m, k) is given by rows ("compressed sparse rows"): row i has the elements values[start[i]] up to
 * values[start[i + 1]], in the columns that `index` names. */
#ifndef EN_SPARSE_H
#define EN_SPARSE_H

#define EN_CONCERN sparse
#define EN_KERNELS(KERNEL) \
    KERNEL(void, sparse_product, (REAL *restrict y, const REAL *restrict values, const int32_t *restrict index, \
                                  const int64_t *restrict start, const REAL *restrict x, ptrdiff_t stride, \
                                  ptrdiff_t width, ptrdiff_t first, ptrdiff_t stop))
#include "kernels/table.h"

#define EN_SPARSE_COLUMNS ((ptrdiff_t)32) /* of x, at most */

#define sparse_product(dtype, ...) EN_CALL(sparse, sparse_product, dtype, __VA_ARGS__)
#endif
