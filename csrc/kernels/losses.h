/* Losses with their gradients in one pass over the data; the kernels are in losses.c.
 *
 * each: out (n) or NULL, the loss of every element (softmax_cross_entropy: of every row)
 * grad: out (n) or NULL, scale times the gradient     o: in (n), outputs     t: in (n), targets
 * n is rows classes for kernels that work by rows. Every kernel returns the sum of the losses: the loss of an element
 * is formed in REAL, the sum in double precision with eight partial sums in a fixed order. A NaN comes out as NaN. */
#ifndef EN_LOSSES_H
#define EN_LOSSES_H

#define EN_CONCERN losses
#define EN_KERNELS(KERNEL) \
    KERNEL(double, mse, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t, \
                         double scale, ptrdiff_t n)) \
    KERNEL(double, mae, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t, \
                         double scale, ptrdiff_t n)) \
    KERNEL(double, huber, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t, \
                           double scale, ptrdiff_t n, double delta)) \
    KERNEL(double, hinge, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t, \
                           double scale, ptrdiff_t n)) \
    KERNEL(double, wasserstein, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                 const REAL *restrict t, double scale, ptrdiff_t n)) \
    KERNEL(double, focal, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, const REAL *restrict t, \
                           double scale, ptrdiff_t n, double alpha, double gamma)) \
    KERNEL(double, focal_at_sigmoid, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                      const REAL *restrict t, double scale, ptrdiff_t n, double alpha, \
                                      double gamma)) \
    KERNEL(double, binary_cross_entropy, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                          const REAL *restrict t, double scale, ptrdiff_t n)) \
    KERNEL(double, binary_cross_entropy_at_sigmoid, (REAL *restrict each, REAL *restrict grad, \
                                                     const REAL *restrict o, const REAL *restrict t, double scale, \
                                                     ptrdiff_t n)) \
    KERNEL(double, bce_logits, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                const REAL *restrict t, double scale, ptrdiff_t n)) \
    KERNEL(double, cross_entropy, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                   const REAL *restrict t, double scale, ptrdiff_t n)) \
    KERNEL(double, cross_entropy_at_softmax, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                              const REAL *restrict t, double scale, ptrdiff_t rows, \
                                              ptrdiff_t classes)) \
    KERNEL(double, softmax_cross_entropy, (REAL *restrict each, REAL *restrict grad, const REAL *restrict o, \
                                           const REAL *restrict t, double scale, ptrdiff_t rows, ptrdiff_t classes))
#include "kernels/table.h"

#define EN_LOSS_BLOCK 512 /* elements at a time: their losses stay in the first-level cache */

#define mse(dtype, ...) EN_CALL(losses, mse, dtype, __VA_ARGS__)
#define mae(dtype, ...) EN_CALL(losses, mae, dtype, __VA_ARGS__)
#define huber(dtype, ...) EN_CALL(losses, huber, dtype, __VA_ARGS__)
#define hinge(dtype, ...) EN_CALL(losses, hinge, dtype, __VA_ARGS__)
#define wasserstein(dtype, ...) EN_CALL(losses, wasserstein, dtype, __VA_ARGS__)
#define focal(dtype, ...) EN_CALL(losses, focal, dtype, __VA_ARGS__)
#define focal_at_sigmoid(dtype, ...) EN_CALL(losses, focal_at_sigmoid, dtype, __VA_ARGS__)
#define binary_cross_entropy(dtype, ...) EN_CALL(losses, binary_cross_entropy, dtype, __VA_ARGS__)
#define binary_cross_entropy_at_sigmoid(dtype, ...) EN_CALL(losses, binary_cross_entropy_at_sigmoid, dtype, __VA_ARGS__)
#define bce_logits(dtype, ...) EN_CALL(losses, bce_logits, dtype, __VA_ARGS__)
#define cross_entropy(dtype, ...) EN_CALL(losses, cross_entropy, dtype, __VA_ARGS__)
#define cross_entropy_at_softmax(dtype, ...) EN_CALL(losses, cross_entropy_at_softmax, dtype, __VA_ARGS__)
#define softmax_cross_entropy(dtype, ...) EN_CALL(losses, softmax_cross_entropy, dtype, __VA_ARGS__)
#endif
