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

/* Runs `update` on w[i], g' for every i, block by block; stops before a block whose gradients are not all usable. */
#define FOR_USABLE_BLOCKS(update) \
    for (ptrdiff_t start = 0; start < n; start += EN_STEP_BLOCK) { \
        ptrdiff_t stop = n - start < EN_STEP_BLOCK ? n : start + EN_STEP_BLOCK; \
        if (!EN_NAME(all_usable)(g + start, scale, stop - start)) \
            return start + EN_NAME(first_unusable)(g + start, scale, stop - start); \
        for (ptrdiff_t i = start; i < stop; ++i) { \
            REAL gi = scale * g[i] + l2 * w[i]; \
            update \
        } \
    } \
    return -1;

/* sgd_step.  velocity <- momentum velocity - lr g';   w <- w + velocity             Polyak 1964, heavy ball */
static ptrdiff_t EN_NAME(sgd_step)(REAL *restrict w, REAL *restrict velocity, const REAL *restrict g,
                                   REAL lr, REAL momentum, REAL l2, REAL scale, ptrdiff_t n)
{
    FOR_USABLE_BLOCKS({
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
    FOR_USABLE_BLOCKS({
        v[i] = keep * v[i] + share * gi * gi;
        w[i] -= lr * gi / (SQRT(v[i]) + eps);
    })
}

/* adagrad_step.  v <- v + g'^2;   w <- w - lr g' / (sqrt(v) + eps)                   Duchi, Hazan & Singer 2011 */
static ptrdiff_t EN_NAME(adagrad_step)(REAL *restrict w, REAL *restrict v, const REAL *restrict g,
                                       REAL lr, REAL eps, REAL l2, REAL scale, ptrdiff_t n)
{
    FOR_USABLE_BLOCKS({
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
    FOR_USABLE_BLOCKS({
        m[i] = keep1 * m[i] + share1 * gi;
        v[i] = keep2 * v[i] + share2 * gi * gi;
        w[i] -= rate * m[i] / (SQRT(v[i]) * root + eps);
    })
}

#undef EXPONENT_BITS
#undef SIGN_BIT
#undef FOR_USABLE_BLOCKS
#undef MOST_GRADIENT
#endif
