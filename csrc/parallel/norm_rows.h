/* Normalisation of rows over threads: blocks are ranges of rows, or of channels where their gradients are summed. */
#ifndef EN_PARALLEL_NORM_ROWS_H
#define EN_PARALLEL_NORM_ROWS_H
#include "kernels/norm.h"
#include "parallel/blocks.h"

enum { LAYERNORM, LAYERNORM_BACKWARD, LAYERNORM_SUMS };

/* A call of any of the kernels; what does not apply is left out. */
typedef struct {
    int kernel, dtype;
    void *y, *mean, *inv_std, *rest;
    void *dx, *dgamma, *dbeta;
    const void *x, *dy, *gamma, *beta;
    double eps;
    ptrdiff_t rows, groups, c, s, block, count;
} rows_call;

static inline void rows_block(void *context, ptrdiff_t block, int worker)
{
    const rows_call *p = context;
    const ptrdiff_t first = block * p->block, stop = en_least(p->count, first + p->block);
    (void)worker;
    switch (p->kernel) {
    case LAYERNORM:
        layernorm(p->dtype, p->y, p->mean, p->inv_std, p->rest, p->x, p->gamma, p->beta, p->eps, p->groups, p->c, p->s,
                  first, stop);
        break;
    case LAYERNORM_BACKWARD:
        layernorm_backward(p->dtype, p->dx, p->dy, p->x, p->mean, p->inv_std, p->rest, p->gamma, p->groups, p->c, p->s,
                           first, stop);
        break;
    default:
        layernorm_sums(p->dtype, p->dgamma, p->dbeta, p->dy, p->x, p->mean, p->inv_std, p->rest, p->rows, p->groups,
                       p->c, p->s, first, stop);
    }
}

static inline void rows_run(rows_call *call)
{
    const ptrdiff_t row = call->c * call->s;
    const double elements = (double)call->rows * (double)row;
    const int sums = call->kernel == LAYERNORM_SUMS;
    const int threads = en_threads(elements * 0.6 * (call->dtype == EN_F32 ? 1 : 2));
    call->count = sums ? call->groups * call->c : call->rows;
    call->block = threads == 1 ? call->count
        : sums ? (call->s == 1 && call->groups == 1 ? EN_NORM_COLUMNS : 1)
        : row < EN_BLOCK ? EN_BLOCK / row : 1;
    if (call->count > 0)
        en_parallel(threads, en_blocks(call->count, call->block), rows_block, call);
}
#endif
