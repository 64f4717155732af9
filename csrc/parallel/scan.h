/* Scans over threads: blocks are groups of columns, which know nothing of each other. */
#ifndef EN_PARALLEL_SCAN_H
#define EN_PARALLEL_SCAN_H
#include "kernels/scan.h"
#include "parallel/blocks.h"

/* Discounted returns where `advantages` is NULL, with truncated for dones; GAE otherwise. Without `next_values` the next
 * value of a step is the next row of `values`, which has one more. */
typedef struct {
    int dtype;
    void *advantages, *returns;
    const void *rewards, *values, *next_values;
    const uint8_t *terminated, *truncated;
    double gamma, lambda;
    ptrdiff_t steps, n;
} scan_call;

static inline void scan_block(void *context, ptrdiff_t block, int worker)
{
    const scan_call *call = context;
    const ptrdiff_t first = block * EN_SCAN_COLUMNS, stop = en_least(call->n, first + EN_SCAN_COLUMNS);
    (void)worker;
    if (call->advantages)
        gae(call->dtype, call->advantages, call->returns, call->rewards, call->values, call->next_values,
            call->terminated, call->truncated, call->gamma, call->lambda, call->steps, call->n, first, stop);
    else
        discounted_returns(call->dtype, call->returns, call->rewards, call->truncated, call->gamma, call->steps,
                           call->n, first, stop);
}

static inline void scan_run(scan_call *call)
{
    if (!call->next_values)
        call->next_values = en_at(call->dtype, call->values, call->n);
    if (call->n > 0)
        en_parallel(en_threads((double)call->steps * (double)call->n), en_blocks(call->n, EN_SCAN_COLUMNS),
                    scan_block, call);
}
#endif
