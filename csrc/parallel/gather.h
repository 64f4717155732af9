/* Gathering and summing rows over threads: blocks are ranges of rows, each of which one thread makes alone. */
#ifndef EN_PARALLEL_GATHER_H
#define EN_PARALLEL_GATHER_H
#include "kernels/gather.h"
#include "parallel/blocks.h"

/* A call of either kernel; what does not apply is left out. Sums have `rows`, n is then their number. */
typedef struct {
    int dtype, add;
    void *y, *dtable;
    const void *table, *dy;
    const int64_t *ids, *rows, *starts, *order;
    ptrdiff_t v, e, n, block;
    en_lowest bad; /* place of an id that is no row */
} gather_call;

static inline void gather_block(void *context, ptrdiff_t block, int worker)
{
    gather_call *call = context;
    const ptrdiff_t first = block * call->block, stop = en_least(call->n, first + call->block);
    (void)worker;
    if (call->rows) {
        sum_rows(call->dtype, call->dtable, call->dy, call->rows, call->starts, call->order, call->add, call->e, first,
                 stop);
        return;
    }
    const ptrdiff_t bad = gather_rows(call->dtype, en_at(call->dtype, call->y, first * call->e), call->table,
                                      call->ids + first, call->v, call->e, stop - first);
    if (bad >= 0)
        en_report(&call->bad, first + bad);
}

/* Runs a call over `elements` elements; returns -1, or the lowest place of an id that is no row. */
static inline ptrdiff_t gather_run(gather_call *call, ptrdiff_t elements)
{
    const int threads = en_threads((double)elements * (call->dtype == EN_F32 ? 0.2 : 0.4) + 20.0 * (double)call->n);
    call->block = threads == 1 ? call->n : call->e < EN_BLOCK / 4 ? EN_BLOCK / 4 / (call->e + 1) + 1 : 1;
    en_lowest_start(&call->bad);
    if (call->n > 0)
        en_parallel(threads, en_blocks(call->n, call->block), gather_block, call);
    const ptrdiff_t bad = en_lowest_so_far(&call->bad);
    return bad == PTRDIFF_MAX ? -1 : bad;
}
#endif
