/* Dropout over threads: blocks are ranges of elements, whose random bits depend on their index alone. */
#ifndef EN_PARALLEL_DROPOUT_H
#define EN_PARALLEL_DROPOUT_H
#include "kernels/dropout.h"
#include "parallel/blocks.h"

/* Either direction: y is dx and x is dy in the backward pass. */
typedef struct {
    int backward, dtype;
    void *y;
    uint8_t *mask;
    const void *x;
    uint64_t key;
    double rate;
    ptrdiff_t n;
} dropout_call;

static inline void dropout_range(const dropout_call *call, ptrdiff_t start, ptrdiff_t n)
{
    void *y = en_at(call->dtype, call->y, start);
    const void *x = en_at(call->dtype, call->x, start);
    if (call->backward)
        dropout_backward(call->dtype, y, x, call->mask + start, call->rate, n);
    else
        dropout_forward(call->dtype, y, call->mask + start, x, call->key, call->rate, start, n);
}

static inline void dropout_block(void *context, ptrdiff_t block, int worker)
{
    const dropout_call *call = context;
    const ptrdiff_t start = block * EN_BLOCK;
    (void)worker;
    dropout_range(call, start, en_least(EN_BLOCK, call->n - start));
}

static inline void dropout_run(dropout_call *call)
{
    const int threads = en_threads((double)call->n * (call->dtype == EN_F32 ? 0.25 : 0.4));
    if (threads == 1)
        dropout_range(call, 0, call->n);
    else
        en_parallel(threads, en_blocks(call->n, EN_BLOCK), dropout_block, call);
}
#endif
