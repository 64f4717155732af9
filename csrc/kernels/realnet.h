/* The step of a RealNet around its matrix product; the kernels are in realnet.c.
 *
 * Rows are samples and columns neurons, (rows, n), but for realnet_columns, where the samples of a batch lie side by
 * side: (n, columns). */
#ifndef EN_REALNET_H
#define EN_REALNET_H

#define EN_CONCERN realnet
#define EN_KERNELS(KERNEL) \
    KERNEL(void, realnet_excite, (REAL *restrict g, REAL *restrict slope, const REAL *restrict product, \
                                  const REAL *restrict bias, const REAL *restrict x, ptrdiff_t x_row, ptrdiff_t n, \
                                  ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, realnet_multiply, (REAL *restrict y, const REAL *restrict x, ptrdiff_t n)) \
    KERNEL(void, realnet_columns, (REAL *restrict h, const REAL *restrict bias, const REAL *restrict x, \
                                   const REAL *restrict gamma, const REAL *restrict beta, double eps, ptrdiff_t n, \
                                   ptrdiff_t stride, ptrdiff_t width))
#include "kernels/table.h"

#define EN_REALNET_COLUMNS ((ptrdiff_t)32) /* of realnet_columns, at most */

#define realnet_excite(dtype, ...) EN_CALL(realnet, realnet_excite, dtype, __VA_ARGS__)
#define realnet_multiply(dtype, ...) EN_CALL(realnet, realnet_multiply, dtype, __VA_ARGS__)
#define realnet_columns(dtype, ...) EN_CALL(realnet, realnet_columns, dtype, __VA_ARGS__)
#endif
