/* A sparse product over threads: blocks are groups of columns of the dense side, which know nothing of each other. */
#ifndef EN_PARALLEL_SPARSE_H
#define EN_PARALLEL_SPARSE_H
#include "kernels/sparse.h"
#include "parallel/blocks.h"

/* A matrix by rows, m of them; `count` elements in all. */
typedef struct {
    const void *values;
    const int32_t *index;
    const int64_t *start;
    ptrdiff_t m, count;
} sparse_matrix;

typedef struct {
    int dtype;
    void *y;
    const void *x;
    sparse_matrix a;
    ptrdiff_t columns;
} sparse_call;

/* Nanoseconds that one product with a block of columns takes. */
static inline double sparse_time(int dtype, const sparse_matrix *a)
{
    return (double)a->count * (dtype == EN_F32 ? 1.5 : 3);
}

static inline void sparse_block(void *context, ptrdiff_t block, int worker)
{
    const sparse_call *call = context;
    const ptrdiff_t at = block * EN_SPARSE_COLUMNS, width = en_least(EN_SPARSE_COLUMNS, call->columns - at);
    (void)worker;
    sparse_product(call->dtype, en_at(call->dtype, call->y, at), call->a.values, call->a.index, call->a.start,
                   en_at(call->dtype, call->x, at), call->columns, width, 0, call->a.m);
}

static inline void sparse_run(sparse_call *call)
{
    const ptrdiff_t blocks = en_blocks(call->columns, EN_SPARSE_COLUMNS);
    en_parallel(en_threads((double)blocks * sparse_time(call->dtype, &call->a)), blocks, sparse_block, call);
}
#endif
