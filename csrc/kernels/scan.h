/* Scans backwards over time; the kernels are in scan.c.
 *
 * Arrays are (steps, n): time, then what runs side by side. Kernels work on columns `first` to `stop`, at most
 * EN_SCAN_COLUMNS of them. What is carried from step to step is a double for float too, so that columns may be long.
 * terminated, truncated, dones: (steps, n), 1 where the step was the last of its episode. */
#ifndef EN_SCAN_H
#define EN_SCAN_H

#define EN_CONCERN scan
#define EN_KERNELS(KERNEL) \
    KERNEL(void, discounted_returns, (REAL *restrict returns, const REAL *restrict rewards, \
                                      const uint8_t *restrict dones, double gamma, ptrdiff_t steps, ptrdiff_t n, \
                                      ptrdiff_t first, ptrdiff_t stop)) \
    KERNEL(void, gae, (REAL *restrict advantages, REAL *restrict returns, const REAL *restrict rewards, \
                       const REAL *values, const REAL *next_values, const uint8_t *terminated, \
                       const uint8_t *truncated, double gamma, double lambda, ptrdiff_t steps, ptrdiff_t n, \
                       ptrdiff_t first, ptrdiff_t stop))
#include "kernels/table.h"

#define EN_SCAN_COLUMNS ((ptrdiff_t)64)

#define discounted_returns(dtype, ...) EN_CALL(scan, discounted_returns, dtype, __VA_ARGS__)
#define gae(dtype, ...) EN_CALL(scan, gae, dtype, __VA_ARGS__)
#endif
