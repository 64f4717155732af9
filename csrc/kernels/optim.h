/* Optimizer steps over a flat vector of parameters; the kernels are in optim.c.
 *
 * w: in/out (n), parameters   m, v, u, d, velocity: in/out (n), state   g: in (n), gradients
 * Every step first forms  g' = scale g + l2 w  (clipping factor, L2 penalty), then applies its rule to g'. The rules
 * that take `decay` instead of `l2` shrink the parameters themselves (decoupled weight decay), and  g' = scale g.
 * The steps return -1, or the index of the first gradient that is unusable: NaN, or beyond 1e18 (float) or 1e150
 * (double) after scaling, whose squares could not be summed. Then the block of EN_STEP_BLOCK elements that holds it,
 * and everything after it, is left as it was. */
#ifndef EN_OPTIM_H
#define EN_OPTIM_H

#define EN_CONCERN optim
#define EN_KERNELS(KERNEL) \
    KERNEL(ptrdiff_t, sgd_step, (REAL *restrict w, REAL *restrict velocity, const REAL *restrict g, \
                                 REAL lr, REAL momentum, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, rmsprop_step, (REAL *restrict w, REAL *restrict v, const REAL *restrict g, \
                                     REAL lr, double rho, REAL eps, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, adagrad_step, (REAL *restrict w, REAL *restrict v, const REAL *restrict g, \
                                     REAL lr, REAL eps, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, adam_step, (REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g, \
                                  REAL lr, double beta1, double beta2, REAL eps, \
                                  REAL correction1, REAL correction2, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, nesterov_step, (REAL *restrict w, REAL *restrict velocity, const REAL *restrict g, \
                                      REAL lr, REAL momentum, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, adadelta_step, (REAL *restrict w, REAL *restrict d, REAL *restrict v, const REAL *restrict g, \
                                      REAL lr, double rho, REAL eps, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, adamw_step, (REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g, \
                                   REAL lr, double beta1, double beta2, REAL eps, \
                                   REAL correction1, REAL correction2, REAL decay, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, amsgrad_step, (REAL *restrict w, REAL *restrict m, REAL *restrict v, REAL *restrict u, \
                                     const REAL *restrict g, REAL lr, double beta1, double beta2, REAL eps, \
                                     REAL correction1, REAL correction2, REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, adamax_step, (REAL *restrict w, REAL *restrict m, REAL *restrict u, const REAL *restrict g, \
                                    REAL lr, double beta1, REAL beta2, REAL eps, REAL correction1, \
                                    REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, nadam_step, (REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g, \
                                   REAL lr_g, REAL lr_m, double beta1, double beta2, REAL eps, REAL correction2, \
                                   REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, radam_step, (REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g, \
                                   REAL plain, REAL adaptive, double beta1, double beta2, REAL eps, \
                                   REAL l2, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, lion_step, (REAL *restrict w, REAL *restrict m, const REAL *restrict g, \
                                  REAL lr, double beta1, double beta2, REAL decay, REAL scale, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, lamb_moments, (const REAL *restrict w, REAL *restrict m, REAL *restrict v, \
                                     const REAL *restrict g, double beta1, double beta2, REAL eps, \
                                     REAL correction1, REAL correction2, REAL decay, REAL scale, \
                                     double *restrict squares, ptrdiff_t n)) \
    KERNEL(void, lamb_apply, (REAL *restrict w, const REAL *restrict m, const REAL *restrict v, REAL rate, REAL eps, \
                              REAL correction1, REAL correction2, REAL decay, ptrdiff_t n)) \
    KERNEL(double, sum_of_squares, (const REAL *restrict x, ptrdiff_t n)) \
    KERNEL(ptrdiff_t, first_non_finite, (const REAL *restrict x, ptrdiff_t n))
#include "kernels/table.h"

#define EN_STEP_BLOCK 1024

#define sgd_step(dtype, ...) EN_CALL(optim, sgd_step, dtype, __VA_ARGS__)
#define rmsprop_step(dtype, ...) EN_CALL(optim, rmsprop_step, dtype, __VA_ARGS__)
#define adagrad_step(dtype, ...) EN_CALL(optim, adagrad_step, dtype, __VA_ARGS__)
#define adam_step(dtype, ...) EN_CALL(optim, adam_step, dtype, __VA_ARGS__)
#define nesterov_step(dtype, ...) EN_CALL(optim, nesterov_step, dtype, __VA_ARGS__)
#define adadelta_step(dtype, ...) EN_CALL(optim, adadelta_step, dtype, __VA_ARGS__)
#define adamw_step(dtype, ...) EN_CALL(optim, adamw_step, dtype, __VA_ARGS__)
#define amsgrad_step(dtype, ...) EN_CALL(optim, amsgrad_step, dtype, __VA_ARGS__)
#define adamax_step(dtype, ...) EN_CALL(optim, adamax_step, dtype, __VA_ARGS__)
#define nadam_step(dtype, ...) EN_CALL(optim, nadam_step, dtype, __VA_ARGS__)
#define radam_step(dtype, ...) EN_CALL(optim, radam_step, dtype, __VA_ARGS__)
#define lion_step(dtype, ...) EN_CALL(optim, lion_step, dtype, __VA_ARGS__)
#define lamb_moments(dtype, ...) EN_CALL(optim, lamb_moments, dtype, __VA_ARGS__)
#define lamb_apply(dtype, ...) EN_CALL(optim, lamb_apply, dtype, __VA_ARGS__)
#define sum_of_squares(dtype, ...) EN_CALL(optim, sum_of_squares, dtype, __VA_ARGS__)
#define first_non_finite(dtype, ...) EN_CALL(optim, first_non_finite, dtype, __VA_ARGS__)
#endif
