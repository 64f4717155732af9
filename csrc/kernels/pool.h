/* Pooling of non-overlapping p x p windows, and of a given number of bins; the kernels are in pool.c.
 *
 * x, dx: (planes, h, w)   y, dy, argmax: (planes, oh, ow) with oh = h / p, ow = w / p, rounded down
 * argmax: index into the h w elements of the plane, so h w < 2^31. Rows and columns past the last window are dropped:
 * they do not enter y, and their gradient is zero. Callers see to 1 <= p <= min(h, w).
 * Adaptive pooling has oh x ow bins of nearly equal size over any plane with elements; it goes back from the maxima
 * with maxpool2d_backward. */
#ifndef EN_POOL_H
#define EN_POOL_H

#define EN_CONCERN pool
#define EN_KERNELS(KERNEL) \
    KERNEL(void, maxpool2d, (REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x, \
                             ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)) \
    KERNEL(ptrdiff_t, maxpool2d_backward, (REAL *restrict dx, const REAL *restrict dy, \
                                           const int32_t *restrict argmax, ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, \
                                           ptrdiff_t oh, ptrdiff_t ow)) \
    KERNEL(void, avgpool2d, (REAL *restrict y, const REAL *restrict x, \
                             ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)) \
    KERNEL(void, avgpool2d_backward, (REAL *restrict dx, const REAL *restrict dy, \
                                      ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)) \
    KERNEL(void, adaptive_maxpool2d, (REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x, \
                                      ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t oh, ptrdiff_t ow)) \
    KERNEL(void, adaptive_avgpool2d, (REAL *restrict y, const REAL *restrict x, \
                                      ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t oh, ptrdiff_t ow)) \
    KERNEL(void, adaptive_avgpool2d_backward, (REAL *restrict dx, const REAL *restrict dy, ptrdiff_t planes, \
                                               ptrdiff_t h, ptrdiff_t w, ptrdiff_t oh, ptrdiff_t ow))
#include "kernels/table.h"

#define maxpool2d(dtype, ...) EN_CALL(pool, maxpool2d, dtype, __VA_ARGS__)
#define maxpool2d_backward(dtype, ...) EN_CALL(pool, maxpool2d_backward, dtype, __VA_ARGS__)
#define avgpool2d(dtype, ...) EN_CALL(pool, avgpool2d, dtype, __VA_ARGS__)
#define avgpool2d_backward(dtype, ...) EN_CALL(pool, avgpool2d_backward, dtype, __VA_ARGS__)
#define adaptive_maxpool2d(dtype, ...) EN_CALL(pool, adaptive_maxpool2d, dtype, __VA_ARGS__)
#define adaptive_avgpool2d(dtype, ...) EN_CALL(pool, adaptive_avgpool2d, dtype, __VA_ARGS__)
#define adaptive_avgpool2d_backward(dtype, ...) EN_CALL(pool, adaptive_avgpool2d_backward, dtype, __VA_ARGS__)
#endif
