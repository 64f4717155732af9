/* How drivers cut a range into blocks, and two results that blocks may have besides what they write. */
#ifndef EN_BLOCKS_H
#define EN_BLOCKS_H
#include "runtime/dispatch.h"
#include "runtime/threads.h"

/* Elements of a block that is only written: enough to be worth handing out, few enough to stay in the second-level
 * cache. A multiple of every vector. */
#define EN_BLOCK ((ptrdiff_t)16384)

/* Blocks whose results are added: few enough for their results to stand on the stack. */
#define EN_MOST_SUMS ((ptrdiff_t)256)

static inline ptrdiff_t en_least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/* Blocks of `size` that n elements make. */
static inline ptrdiff_t en_blocks(ptrdiff_t n, ptrdiff_t size)
{
    return n / size + (n % size != 0);
}

/* Elements per block where at most EN_MOST_SUMS blocks are summed: a multiple of `unit` that depends on n alone. */
static inline ptrdiff_t en_sum_block(ptrdiff_t n, ptrdiff_t unit)
{
    const ptrdiff_t units = en_blocks(n, unit), least = en_blocks(units, EN_MOST_SUMS);
    return (least > 1 ? least : 1) * unit;
}

static inline double en_total(const double *sums, ptrdiff_t blocks)
{
    double total = 0;
    for (ptrdiff_t block = 0; block < blocks; ++block)
        total += sums[block];
    return total;
}

/* Address of element i of an array of the dtype; NULL stays NULL. */
static inline void *en_at(int dtype, const void *start, ptrdiff_t i)
{
    return start ? (char *)start + i * (dtype == EN_F32 ? 4 : 8) : NULL;
}

/* The lowest of the indices that any block reported, or PTRDIFF_MAX. Without atomics there are no threads either. */
#if defined(__STDC_NO_ATOMICS__)
typedef ptrdiff_t en_lowest;
#define en_lowest_start(lowest) (*(lowest) = PTRDIFF_MAX)
#define en_lowest_so_far(lowest) (*(lowest))
static inline void en_report(en_lowest *lowest, ptrdiff_t index)
{
    *lowest = en_least(*lowest, index);
}
#else
#include <stdatomic.h>
typedef _Atomic ptrdiff_t en_lowest;
#define en_lowest_start(lowest) atomic_init(lowest, PTRDIFF_MAX)
#define en_lowest_so_far(lowest) atomic_load_explicit(lowest, memory_order_relaxed)
static inline void en_report(en_lowest *lowest, ptrdiff_t index)
{
    ptrdiff_t before = en_lowest_so_far(lowest);
    while (index < before && !atomic_compare_exchange_weak(lowest, &before, index))
        ;
}
#endif
#endif
