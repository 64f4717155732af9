/* Matrix products for drivers that run several kernels in one call: they take their workspace from the kept memory.
 * The module borrows the tables of gemm and sets en_the_memory, as chain.pyx does. */
#ifndef EN_PRODUCT_H
#define EN_PRODUCT_H
#include "parallel/gemm.h"
#include "runtime/memory.h"

static const en_memory *en_the_memory;

static inline ptrdiff_t itemsize(int dtype)
{
    return dtype == EN_F32 ? 4 : 8;
}

/* A matrix for matrix_multiply: element (i, j) at start[i * row + j * column]. */
typedef struct {
    const void *start;
    ptrdiff_t row, column;
} strided_matrix;

/* c (m, n) = f(a b + bias), or c + a b, with f of activations.h; -1 if there is no memory for a workspace. */
static inline int matrix_multiply(int dtype, void *c, strided_matrix a, strided_matrix b, ptrdiff_t m, ptrdiff_t k,
                                  ptrdiff_t n, const void *bias, int accumulate, int activation)
{
    gemm_call call;
    gemm_problem *p = &call.problem;
    p->m = m, p->n = n, p->k = k;
    p->a_row = a.row, p->a_column = a.column, p->b_row = b.row, p->b_column = b.column;
    p->c_row = n, p->c_column = 1;
    p->axes = 0, p->accumulate = accumulate, p->activation = activation;
    call.dtype = dtype, call.c = c, call.a = a.start, call.b = b.start;
    call.column_bias = bias, call.row_bias = call.work = NULL;
    gemm_prepare(&call);
    if (call.workspace > 0) {
        call.work = en_the_memory->take((size_t)(call.threads * call.workspace * itemsize(dtype)));
        if (!call.work)
            return -1;
    }
    gemm_run(&call);
    en_the_memory->give_back(call.work);
    return 0;
}
#endif
