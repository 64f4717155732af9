#ifndef REAL
#define EN_BODY "kernels/scan.c"
#include "kernels/scan.h"
#include "kernels/instantiate.h"
#else

/* One column is a chain of dependent steps: with `carried` a single number and `width` known to be 1 the compiler keeps
 * it in a register, where it would otherwise go through memory at every step. */

static inline void EN_NAME(discount_columns)(REAL *restrict returns, const REAL *restrict rewards,
                                             const uint8_t *restrict dones, double gamma, ptrdiff_t steps, ptrdiff_t n,
                                             ptrdiff_t width, double *restrict carried)
{
    for (ptrdiff_t t = steps - 1; t >= 0; --t)
        for (ptrdiff_t j = 0; j < width; ++j) {
            const ptrdiff_t i = t * n + j;
            carried[j] = rewards[i] + gamma * (dones[i] ? 0 : carried[j]);
            returns[i] = (REAL)carried[j];
        }
}

/* discounted_returns.  G_t = r_t + gamma G_{t+1},  without the second term where done_t, and G_steps = 0
 *                                                                    Sutton & Barto 2018, equations 3.8 and 3.9 */
static void EN_NAME(discounted_returns)(REAL *restrict returns, const REAL *restrict rewards,
                                        const uint8_t *restrict dones, double gamma, ptrdiff_t steps, ptrdiff_t n,
                                        ptrdiff_t first, ptrdiff_t stop)
{
    returns += first, rewards += first, dones += first;
    if (stop - first == 1) {
        double one = 0;
        EN_NAME(discount_columns)(returns, rewards, dones, gamma, steps, n, 1, &one);
    } else {
        double carried[EN_SCAN_COLUMNS] = {0};
        EN_NAME(discount_columns)(returns, rewards, dones, gamma, steps, n, stop - first, carried);
    }
}

static inline void EN_NAME(gae_columns)(REAL *restrict advantages, REAL *restrict returns,
                                        const REAL *restrict rewards, const REAL *values, const REAL *next_values,
                                        const uint8_t *terminated, const uint8_t *truncated, double gamma,
                                        double lambda, ptrdiff_t steps, ptrdiff_t n, ptrdiff_t width,
                                        double *restrict carried)
{
    const double decay = gamma * lambda;
    for (ptrdiff_t t = steps - 1; t >= 0; --t)
        for (ptrdiff_t j = 0; j < width; ++j) {
            const ptrdiff_t i = t * n + j;
            const double value = values[i], next = terminated[i] ? 0 : next_values[i];
            const double delta = rewards[i] + gamma * next - value;
            carried[j] = delta + decay * (terminated[i] | truncated[i] ? 0 : carried[j]);
            advantages[i] = (REAL)carried[j];
            returns[i] = (REAL)(carried[j] + value);
        }
}

/* gae.  delta_t = r_t + gamma V'_t - V_t, without V'_t where terminated_t
 *       A_t = delta_t + gamma lambda A_{t+1}, without A_{t+1} where terminated_t or truncated_t, and A_steps = 0
 *       returns_t = A_t + V_t                          Schulman et al. 2016, "Generalized advantage", equations 11, 16 */
static void EN_NAME(gae)(REAL *restrict advantages, REAL *restrict returns, const REAL *restrict rewards,
                         const REAL *values, const REAL *next_values, const uint8_t *terminated,
                         const uint8_t *truncated, double gamma, double lambda, ptrdiff_t steps, ptrdiff_t n,
                         ptrdiff_t first, ptrdiff_t stop)
{
    advantages += first, returns += first, rewards += first, values += first, next_values += first;
    terminated += first, truncated += first;
    if (stop - first == 1) {
        double one = 0;
        EN_NAME(gae_columns)(advantages, returns, rewards, values, next_values, terminated, truncated, gamma, lambda,
                             steps, n, 1, &one);
    } else {
        double carried[EN_SCAN_COLUMNS] = {0};
        EN_NAME(gae_columns)(advantages, returns, rewards, values, next_values, terminated, truncated, gamma, lambda,
                             steps, n, stop - first, carried);
    }
}

#endif
