/* Batch normalisation; the kernels are in norm.c.
 *
 * x, y, dx, dy: (n, c, s), where s is the number of pixels, or 1   everything else: (c)
 * Sums are accumulated in double precision, in an order that depends on the shape and the instruction set alone. */
#ifndef EN_NORM_H
#define EN_NORM_H

#define EN_CONCERN norm
#define EN_KERNELS(KERNEL) \
    KERNEL(void, batchnorm, (REAL *restrict y, REAL *restrict mean, REAL *restrict var, REAL *restrict inv_std, \
                             const REAL *restrict x, const REAL *restrict gamma, const REAL *restrict beta, \
                             double eps, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)) \
    KERNEL(void, batchnorm_backward, (REAL *restrict dx, REAL *restrict dgamma, REAL *restrict dbeta, \
                                      const REAL *restrict dy, const REAL *restrict x, const REAL *restrict mean, \
                                      const REAL *restrict inv_std, const REAL *restrict gamma, \
                                      ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)) \
    KERNEL(void, batchnorm_inference, (REAL *restrict y, const REAL *restrict x, const REAL *restrict mean, \
                                       const REAL *restrict var, const REAL *restrict gamma, \
                                       const REAL *restrict beta, double eps, \
                                       ptrdiff_t n, ptrdiff_t c, ptrdiff_t s)) \
    KERNEL(void, batchnorm_inference_backward, (REAL *restrict dx, REAL *restrict dgamma, REAL *restrict dbeta, \
                                                const REAL *restrict dy, const REAL *restrict x, \
                                                const REAL *restrict mean, const REAL *restrict var, \
                                                const REAL *restrict gamma, double eps, \
                                                ptrdiff_t n, ptrdiff_t c, ptrdiff_t s))
#include "kernels/table.h"

#define batchnorm(dtype, ...) EN_CALL(norm, batchnorm, dtype, __VA_ARGS__)
#define batchnorm_backward(dtype, ...) EN_CALL(norm, batchnorm_backward, dtype, __VA_ARGS__)
#define batchnorm_inference(dtype, ...) EN_CALL(norm, batchnorm_inference, dtype, __VA_ARGS__)
#define batchnorm_inference_backward(dtype, ...) EN_CALL(norm, batchnorm_inference_backward, dtype, __VA_ARGS__)
#endif
