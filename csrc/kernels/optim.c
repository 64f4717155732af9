#ifndef REAL
#define EN_BODY "kernels/optim.c"
#include "kernels/optim.h"
#include "kernels/instantiate.h"
#else

#include "kernels/reductions.h"

#if EN_IS_DOUBLE
#define EXPONENT_BITS 0x7ff0000000000000u
#define SIGN_BIT 0x8000000000000000u
#define MOST_GRADIENT 1e150
#else
#define EXPONENT_BITS 0x7f800000u
#define SIGN_BIT 0x80000000u
#define MOST_GRADIENT 1e18f
#endif

/* 1 if every x is finite. Adding one to the exponent carries into the place of the sign where all its bits are set;
 * and, add, or are all that this takes (SSE2 has no comparison of 64-bit integers). */
static inline int EN_NAME(all_finite)(const REAL *restrict x, ptrdiff_t n)
{
    BITS bad = 0;
    for (ptrdiff_t i = 0; i < n; ++i) {
        BITS bits;
        memcpy(&bits, x + i, sizeof bits);
        bad |= (bits & EXPONENT_BITS) + (SIGN_BIT - EXPONENT_BITS);
    }
    return (bad & SIGN_BIT) == 0;
}

/* first_non_finite.  The index of the first NaN or infinity in x, or -1. */
static ptrdiff_t EN_NAME(first_non_finite)(const REAL *restrict x, ptrdiff_t n)
{
    for (ptrdiff_t start = 0; start < n; start += EN_STEP_BLOCK) {
        ptrdiff_t stop = n - start < EN_STEP_BLOCK ? n : start + EN_STEP_BLOCK;
        if (!EN_NAME(all_finite)(x + start, stop - start))
            for (ptrdiff_t i = start; i < stop; ++i)
                if (!EN_NAME(all_finite)(x + i, 1))
                    return i;
    }
    return -1;
}

/* sum_of_squares.  Sum of x^2 in double precision, in the fixed order of reductions.h. */
static double EN_NAME(sum_of_squares)(const REAL *restrict x, ptrdiff_t n)
{
    double partial[DOUBLE_SUMS] = {0};
#define SQUARE(i) (double)x[i] * (double)x[i]
    ADD_TERMS(partial, SQUARE, n);
#undef SQUARE
    return EN_NAME(total_of)(partial);
}

/* 1 if every scale * g has a square that can be summed; a NaN has not. Larger ones would turn second moments into
 * infinities, after which those parameters never move again. */
static inline int EN_NAME(all_usable)(const REAL *restrict g, REAL scale, ptrdiff_t n)
{
    BITS bad = 0;
    for (ptrdiff_t i = 0; i < n; ++i)
        bad |= (BITS)!(FABS(scale * g[i]) <= MOST_GRADIENT);
    return bad == 0;
}

static ptrdiff_t EN_NAME(first_unusable)(const REAL *restrict g, REAL scale, ptrdiff_t n)
{
    ptrdiff_t i = 0;
    while (i < n && EN_NAME(all_usable)(g + i, scale, 1))
        ++i;
    return i;
}

/* Runs `update` for every i, block by block; stops before a block whose gradients are not all usable. */
#define FOR_USABLE_BLOCKS(update, after_block) \
    for (ptrdiff_t start = 0; start < n; start += EN_STEP_BLOCK) { \
        ptrdiff_t stop = n - start < EN_STEP_BLOCK ? n : start + EN_STEP_BLOCK; \
        if (!EN_NAME(all_usable)(g + start, scale, stop - start)) \
            return start + EN_NAME(first_unusable)(g + start, scale, stop - start); \
        for (ptrdiff_t i = start; i < stop; ++i) \
            update \
        after_block \
    } \
    return -1;

/* The same with g' of a rule that takes l2, and of one that takes decay. */
#define FOR_PENALISED(update) FOR_USABLE_BLOCKS({ const REAL gi = scale * g[i] + l2 * w[i]; update }, )
#define FOR_DECAYED(update, after_block) FOR_USABLE_BLOCKS({ const REAL gi = scale * g[i]; update }, after_block)

/* sgd_step.  velocity <- momentum velocity - lr g';   w <- w + velocity             Polyak 1964, heavy ball */
static ptrdiff_t EN_NAME(sgd_step)(REAL *restrict w, REAL *restrict velocity, const REAL *restrict g,
                                   REAL lr, REAL momentum, REAL l2, REAL scale, ptrdiff_t n)
{
    FOR_PENALISED({
        velocity[i] = momentum * velocity[i] - lr * gi;
        w[i] += velocity[i];
    })
}

/* 1 - rho comes from the double: float32 rounds 0.999 by 1.3e-8 of itself, which would be 1.3e-5 of the rest. */

/* rmsprop_step.  v <- rho v + (1 - rho) g'^2;   w <- w - lr g' / (sqrt(v) + eps)    Tieleman & Hinton 2012, lecture 6.5 */
static ptrdiff_t EN_NAME(rmsprop_step)(REAL *restrict w, REAL *restrict v, const REAL *restrict g,
                                       REAL lr, double rho, REAL eps, REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep = (REAL)rho, share = (REAL)(1 - rho);
    FOR_PENALISED({
        v[i] = keep * v[i] + share * gi * gi;
        w[i] -= lr * gi / (SQRT(v[i]) + eps);
    })
}

/* adagrad_step.  v <- v + g'^2;   w <- w - lr g' / (sqrt(v) + eps)                   Duchi, Hazan & Singer 2011 */
static ptrdiff_t EN_NAME(adagrad_step)(REAL *restrict w, REAL *restrict v, const REAL *restrict g,
                                       REAL lr, REAL eps, REAL l2, REAL scale, ptrdiff_t n)
{
    FOR_PENALISED({
        v[i] += gi * gi;
        w[i] -= lr * gi / (SQRT(v[i]) + eps);
    })
}

/* adam_step.  m <- beta1 m + (1 - beta1) g';   v <- beta2 v + (1 - beta2) g'^2;
 *             w <- w - lr (m / correction1) / (sqrt(v / correction2) + eps),   correction_k = 1 - beta_k^t
 *                                                                                    Kingma & Ba 2015, algorithm 1 */
static ptrdiff_t EN_NAME(adam_step)(REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g,
                                    REAL lr, double beta1, double beta2, REAL eps, REAL correction1, REAL correction2,
                                    REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    const REAL rate = lr / correction1, root = 1 / SQRT(correction2);
    FOR_PENALISED({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        w[i] -= rate * m[i] / (SQRT(v[i]) * root + eps);
    })
}

/* nesterov_step.  velocity <- momentum velocity - lr g';   w <- w + momentum velocity - lr g'
 *                                                     Nesterov 1983; Sutskever et al. 2013, equations 3 and 4 */
static ptrdiff_t EN_NAME(nesterov_step)(REAL *restrict w, REAL *restrict velocity, const REAL *restrict g,
                                        REAL lr, REAL momentum, REAL l2, REAL scale, ptrdiff_t n)
{
    FOR_PENALISED({
        velocity[i] = momentum * velocity[i] - lr * gi;
        w[i] += momentum * velocity[i] - lr * gi;
    })
}

/* adadelta_step.  v <- rho v + (1 - rho) g'^2;   step = sqrt(d + eps) / sqrt(v + eps) g';
 *                 d <- rho d + (1 - rho) step^2;   w <- w - lr step                       Zeiler 2012, algorithm 1 */
static ptrdiff_t EN_NAME(adadelta_step)(REAL *restrict w, REAL *restrict d, REAL *restrict v, const REAL *restrict g,
                                        REAL lr, double rho, REAL eps, REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep = (REAL)rho, share = (REAL)(1 - rho);
    FOR_PENALISED({
        v[i] = keep * v[i] + share * gi * gi;
        const REAL step = SQRT(d[i] + eps) / SQRT(v[i] + eps) * gi;
        d[i] = keep * d[i] + share * step * step;
        w[i] -= lr * step;
    })
}

/* adamw_step.  m, v as in adam_step;   w <- (1 - lr decay) w - lr (m / correction1) / (sqrt(v / correction2) + eps)
 *                                                                       Loshchilov & Hutter 2019, algorithm 2 */
static ptrdiff_t EN_NAME(adamw_step)(REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g,
                                     REAL lr, double beta1, double beta2, REAL eps, REAL correction1, REAL correction2,
                                     REAL decay, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    const REAL rate = lr / correction1, root = 1 / SQRT(correction2), shrink = 1 - lr * decay;
    FOR_DECAYED({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        w[i] = shrink * w[i] - rate * m[i] / (SQRT(v[i]) * root + eps);
    }, )
}

/* amsgrad_step.  m, v as in adam_step;   u <- max(u, v);
 *                w <- w - lr (m / correction1) / (sqrt(u / correction2) + eps)
 *                                                Reddi, Kale & Kumar 2018, algorithm 2, with Adam's corrections */
static ptrdiff_t EN_NAME(amsgrad_step)(REAL *restrict w, REAL *restrict m, REAL *restrict v, REAL *restrict u,
                                       const REAL *restrict g, REAL lr, double beta1, double beta2, REAL eps,
                                       REAL correction1, REAL correction2, REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    const REAL rate = lr / correction1, root = 1 / SQRT(correction2);
    FOR_PENALISED({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        u[i] = v[i] > u[i] ? v[i] : u[i];
        w[i] -= rate * m[i] / (SQRT(u[i]) * root + eps);
    })
}

/* adamax_step.  m <- beta1 m + (1 - beta1) g';   u <- max(beta2 u, |g'|);   w <- w - lr (m / correction1) / (u + eps)
 *                                  Kingma & Ba 2015, algorithm 2; eps keeps 0 / 0 away where there is no gradient */
static ptrdiff_t EN_NAME(adamax_step)(REAL *restrict w, REAL *restrict m, REAL *restrict u, const REAL *restrict g,
                                      REAL lr, double beta1, REAL beta2, REAL eps, REAL correction1,
                                      REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), rate = lr / correction1;
    FOR_PENALISED({
        const REAL old = beta2 * u[i];
        const REAL size = FABS(gi);
        m[i] = keep1 * m[i] + share1 * gi;
        u[i] = size > old ? size : old;
        w[i] -= rate * m[i] / (u[i] + eps);
    })
}

/* nadam_step.  m, v as in adam_step;   w <- w - (lr_g g' + lr_m m) / (sqrt(v / correction2) + eps)
 * where lr_g and lr_m hold the schedule of the momentum and its corrections               Dozat 2016, algorithm 2 */
static ptrdiff_t EN_NAME(nadam_step)(REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g,
                                     REAL lr_g, REAL lr_m, double beta1, double beta2, REAL eps, REAL correction2,
                                     REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    const REAL root = 1 / SQRT(correction2);
    FOR_PENALISED({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        w[i] -= (lr_g * gi + lr_m * m[i]) / (SQRT(v[i]) * root + eps);
    })
}

/* radam_step.  m, v as in adam_step;   w <- w - plain m - adaptive m / (sqrt(v) + eps)
 * where one of plain and adaptive is 0: while v rests on too few gradients, it is not used
 *                                                                                 Liu et al. 2020, algorithm 2 */
static ptrdiff_t EN_NAME(radam_step)(REAL *restrict w, REAL *restrict m, REAL *restrict v, const REAL *restrict g,
                                     REAL plain, REAL adaptive, double beta1, double beta2, REAL eps,
                                     REAL l2, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    FOR_PENALISED({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        w[i] -= plain * m[i] + adaptive * m[i] / (SQRT(v[i]) + eps);
    })
}

/* lion_step.  w <- (1 - lr decay) w - lr sign(beta1 m + (1 - beta1) g');   m <- beta2 m + (1 - beta2) g'
 *                                                                                 Chen et al. 2023, algorithm 2 */
static ptrdiff_t EN_NAME(lion_step)(REAL *restrict w, REAL *restrict m, const REAL *restrict g,
                                    REAL lr, double beta1, double beta2, REAL decay, REAL scale, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    const REAL shrink = 1 - lr * decay;
    FOR_DECAYED({
        const REAL way = keep1 * m[i] + share1 * gi;
        w[i] = shrink * w[i] - (way > 0 ? lr : way < 0 ? -lr : 0);
        m[i] = keep2 * m[i] + share2 * gi;
    }, )
}

/* The direction of LAMB:  Adam's step of rate 1 plus the decay. */
#define LAMB_DIRECTION(i) (unbias * m[i] / (SQRT(v[i]) * root + eps) + decay * w[i])

/* lamb_moments.  m, v as in adam_step;   squares[0] += sum of w^2,   squares[1] += sum of direction^2,
 * where  direction = (m / correction1) / (sqrt(v / correction2) + eps) + decay w;  w stays as it is
 *                                                                              You et al. 2020, algorithm 2 (LAMB) */
static ptrdiff_t EN_NAME(lamb_moments)(const REAL *restrict w, REAL *restrict m, REAL *restrict v,
                                       const REAL *restrict g, double beta1, double beta2, REAL eps,
                                       REAL correction1, REAL correction2, REAL decay, REAL scale,
                                       double *restrict squares, ptrdiff_t n)
{
    const REAL keep1 = (REAL)beta1, share1 = (REAL)(1 - beta1), keep2 = (REAL)beta2, share2 = (REAL)(1 - beta2);
    const REAL unbias = 1 / correction1, root = 1 / SQRT(correction2);
    REAL direction[EN_STEP_BLOCK];
    FOR_DECAYED({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        direction[i - start] = LAMB_DIRECTION(i);
    }, {
        squares[0] += EN_NAME(sum_of_squares)(w + start, stop - start);
        squares[1] += EN_NAME(sum_of_squares)(direction, stop - start);
    })
}

/* lamb_apply.  w <- w - rate direction,  after lamb_moments */
static void EN_NAME(lamb_apply)(REAL *restrict w, const REAL *restrict m, const REAL *restrict v, REAL rate, REAL eps,
                                REAL correction1, REAL correction2, REAL decay, ptrdiff_t n)
{
    const REAL unbias = 1 / correction1, root = 1 / SQRT(correction2);
    for (ptrdiff_t i = 0; i < n; ++i)
        w[i] -= rate * LAMB_DIRECTION(i);
}

#undef LAMB_DIRECTION
#undef EXPONENT_BITS
#undef SIGN_BIT
#undef FOR_PENALISED
#undef FOR_DECAYED
#undef FOR_USABLE_BLOCKS
#undef MOST_GRADIENT
#endif
