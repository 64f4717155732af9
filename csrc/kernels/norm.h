/* Batch normalisation, alone or with an activation behind it, and normalisation of rows by themselves; the kernels are
 * in norm.c, those of rows in norm_rows.h, which says what their arrays are.
 *
 * x, y, z, dx, dy, saved: (n, c, s), where s is the number of pixels, or 1   everything else: (c)
 * Kernels work on channels `first` to `stop`, which may be cut at multiples of EN_NORM_BLOCK(s).
 * An activation is a kernel of pointwise.h, or NULL: y = activate(z) with z the normalised x, which is kept where there
 * is an array for it; backward turns dy into dy f'(saved) on the way, saved being what that kernel reads.
 * Sums are accumulated in double precision, in an order that depends on the shape and the instruction set alone. */
#ifndef EN_NORM_H
#define EN_NORM_H
#include "kernels/activations.h"

#define EN_CONCERN norm
#define EN_KERNELS(KERNEL) \
    KERNEL(void, batchnorm, (REAL *y, REAL *z, REAL *restrict mean, REAL *restrict var, REAL *restrict inv_std, \
                             const REAL *restrict x, const REAL *restrict gamma, const REAL *restrict beta, \
                             double eps, en_activation activate, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s, \
                             ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, batchnorm_backward, (REAL *dx, REAL *restrict dgamma, REAL *restrict dbeta, const REAL *dy, \
                                      const REAL *saved, const REAL *x, const REAL *restrict mean, \
                                      const REAL *restrict inv_std, const REAL *restrict gamma, \
                                      en_activation backward, ptrdiff_t n, ptrdiff_t c, ptrdiff_t s, \
                                      ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, batchnorm_inference, (REAL *y, REAL *z, const REAL *restrict x, const REAL *restrict mean, \
                                       const REAL *restrict var, const REAL *restrict gamma, \
                                       const REAL *restrict beta, double eps, en_activation activate, \
                                       ptrdiff_t n, ptrdiff_t c, ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, batchnorm_inference_backward, (REAL *dx, REAL *restrict dgamma, REAL *restrict dbeta, \
                                                const REAL *dy, const REAL *saved, const REAL *x, \
                                                const REAL *restrict mean, const REAL *restrict var, \
                                                const REAL *restrict gamma, double eps, en_activation backward, \
                                                ptrdiff_t n, ptrdiff_t c, ptrdiff_t s, ptrdiff_t first, \
                                                ptrdiff_t stop)) \
    KERNEL(void, layernorm, (REAL *restrict y, REAL *restrict mean, REAL *restrict inv_std, REAL *restrict rest, \
                             const REAL *restrict x, const REAL *restrict gamma, const REAL *restrict beta, \
                             double eps, ptrdiff_t groups, ptrdiff_t c, ptrdiff_t s, ptrdiff_t first, \
                             ptrdiff_t stop)) \
    KERNEL(void, layernorm_backward, (REAL *restrict dx, const REAL *restrict dy, const REAL *restrict x, \
                                      const REAL *restrict mean, const REAL *restrict inv_std, \
                                      const REAL *restrict rest, const REAL *restrict gamma, ptrdiff_t groups, \
                                      ptrdiff_t c, ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, layernorm_sums, (REAL *restrict dgamma, REAL *restrict dbeta, const REAL *restrict dy, \
                                  const REAL *restrict x, const REAL *restrict mean, const REAL *restrict inv_std, \
                                  const REAL *restrict rest, ptrdiff_t rows, ptrdiff_t groups, ptrdiff_t c, \
                                  ptrdiff_t s, ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, blend, (REAL *restrict x, const REAL *restrict y, double weight, ptrdiff_t n))
#include "kernels/table.h"

#define EN_NORM_COLUMNS 128 /* at most as many neighbouring columns of (n, c s) are taken together */
#define EN_NORM_SHORT 32    /* elements of a channel up to which that is done */
#define EN_NORM_BLOCK(s) ((s) > EN_NORM_SHORT ? 1 : (s) > 1 ? EN_NORM_COLUMNS / (s) : EN_NORM_COLUMNS)

#define batchnorm(dtype, ...) EN_CALL(norm, batchnorm, dtype, __VA_ARGS__)
#define batchnorm_backward(dtype, ...) EN_CALL(norm, batchnorm_backward, dtype, __VA_ARGS__)
#define batchnorm_inference(dtype, ...) EN_CALL(norm, batchnorm_inference, dtype, __VA_ARGS__)
#define batchnorm_inference_backward(dtype, ...) EN_CALL(norm, batchnorm_inference_backward, dtype, __VA_ARGS__)
#define layernorm(dtype, ...) EN_CALL(norm, layernorm, dtype, __VA_ARGS__)
#define layernorm_backward(dtype, ...) EN_CALL(norm, layernorm_backward, dtype, __VA_ARGS__)
#define layernorm_sums(dtype, ...) EN_CALL(norm, layernorm_sums, dtype, __VA_ARGS__)
#define blend(dtype, ...) EN_CALL(norm, blend, dtype, __VA_ARGS__)
#endif
