/* Dropout with random bits that depend on a key and the element's index alone; the kernels are in dropout.c.
 *
 * first: index of x[0] among the elements that the key numbers, a multiple of EN_DROPOUT_BLOCK
 * y, dx: out (n)   x, dy: in (n)   mask: (n), 1 where the element is kept   rate in [0, 1), the share that is dropped
 * Nothing is remembered between calls, so the bits of any element can be had again from its key and index, and the
 * result is the same for every instruction set and for every way of cutting the work. */
#ifndef EN_DROPOUT_H
#define EN_DROPOUT_H

#define EN_CONCERN dropout
#define EN_KERNELS(KERNEL) \
    KERNEL(void, dropout_forward, (REAL *restrict y, uint8_t *restrict mask, const REAL *restrict x, \
                                   uint64_t key, double rate, ptrdiff_t first, ptrdiff_t n)) \
    KERNEL(void, dropout_backward, (REAL *restrict dx, const REAL *restrict dy, const uint8_t *restrict mask, \
                                    double rate, ptrdiff_t n))
#include "kernels/table.h"

#define EN_DROPOUT_BLOCK 256

#define dropout_forward(dtype, ...) EN_CALL(dropout, dropout_forward, dtype, __VA_ARGS__)
#define dropout_backward(dtype, ...) EN_CALL(dropout, dropout_backward, dtype, __VA_ARGS__)
#endif
