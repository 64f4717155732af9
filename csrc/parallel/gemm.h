/* A matrix product over threads: c is cut into blocks, which are parts that the kernel computes by themselves. */
#ifndef EN_PARALLEL_GEMM_H
#define EN_PARALLEL_GEMM_H
#include "kernels/gemm.h"
#include "runtime/dispatch.h"
#include "runtime/threads.h"

/* A planned product and how it is cut: matrices x rows x columns blocks, numbered in this order. */
typedef struct {
    gemm_problem problem;
    int dtype, threads;
    ptrdiff_t matrices, rows, columns;
    ptrdiff_t workspace; /* elements of `work` per thread */
    void *c, *work;
    const void *a, *b, *column_bias, *row_bias;
} gemm_call;

enum { EN_GEMM_BLOCKS_PER_THREAD = 4, EN_GEMM_LEAST_ROWS = 24, EN_GEMM_WIDE = 512 };

/* Bounds of block number `block` of `blocks`, in whole units of `unit`. */
static inline void gemm_bounds(ptrdiff_t size, ptrdiff_t unit, ptrdiff_t blocks, ptrdiff_t block, ptrdiff_t *first,
                               ptrdiff_t *stop)
{
    const ptrdiff_t units = (size + unit - 1) / unit;
    *first = gemm_least(units * block / blocks * unit, size);
    *stop = gemm_least(units * (block + 1) / blocks * unit, size);
}

/* Columns of one panel, which blocks are made of. */
static inline ptrdiff_t gemm_panel(int dtype)
{
    return EN_GEMM_PANEL_BYTES(en_isa) / (dtype == EN_F32 ? 4 : 8);
}

/* Plans call->problem, whose sizes and strides are filled in, and cuts it into blocks if that is worth it. Few large
 * blocks cost less packing; more of them leave less to wait for where threads do not run at the same speed. */
static inline void gemm_prepare(gemm_call *call)
{
    gemm_problem *p = &call->problem;
    gemm_plan(p, call->row_bias != NULL);
    const gemm_part all = gemm_whole(p);
    const double flops = 2.0 * (double)p->m * (double)p->n * (double)p->k * (double)all.stop_matrix;
    const double matrices = (double)all.stop_matrix, elements = (double)p->k * ((double)p->m + (double)p->n);
    const double computing = flops / (call->dtype == EN_F32 ? 150 : 75);
    const double reading = matrices * elements * (call->dtype == EN_F32 ? 4 : 8) / 20; /* few rows: every weight once */
    const double nanoseconds = computing > reading ? computing : reading;
    call->matrices = call->rows = call->columns = 1;
    call->threads = en_threads(nanoseconds);
    if (call->threads > 1) {
        if (p->form == EN_GEMM_PACKED && !gemm_scattered(p) && p->n < call->threads * (ptrdiff_t)EN_GEMM_WIDE && p->m <= 4 * EN_GEMM_WIDE)
            p->form = EN_GEMM_PANEL; /* each thread would pack all of a for a few columns */
        ptrdiff_t wanted = (p->form == EN_GEMM_PACKED ? 1 : EN_GEMM_BLOCKS_PER_THREAD) * call->threads;
        wanted = gemm_least(wanted, (ptrdiff_t)(2 * nanoseconds / EN_WORTH_A_THREAD));
        call->matrices = gemm_least(wanted, all.stop_matrix);
        wanted = (wanted + call->matrices - 1) / call->matrices;
        call->columns = gemm_least(wanted, (p->n + gemm_panel(call->dtype) - 1) / gemm_panel(call->dtype));
        wanted = (wanted + call->columns - 1) / call->columns;
        call->rows = gemm_least(wanted, (p->m + EN_GEMM_LEAST_ROWS - 1) / EN_GEMM_LEAST_ROWS);
        call->threads = (int)gemm_least(call->threads, call->matrices * call->columns * call->rows);
    }
    const ptrdiff_t most = p->n / call->columns + 2 * gemm_panel(call->dtype);
    call->workspace = gemm_workspace(p, p->m, gemm_least(p->n, most));
}

static inline void gemm_block(void *context, ptrdiff_t block, int worker)
{
    const gemm_call *call = context;
    const gemm_problem *p = &call->problem;
    const gemm_part all = gemm_whole(p);
    const ptrdiff_t column = block % call->columns, row = block / call->columns % call->rows;
    gemm_part part;
    gemm_bounds(all.stop_matrix, 1, call->matrices, block / call->columns / call->rows, &part.first_matrix, &part.stop_matrix);
    gemm_bounds(p->m, EN_GEMM_LEAST_ROWS / 2, call->rows, row, &part.first_row, &part.stop_row);
    gemm_bounds(p->n, gemm_panel(call->dtype), call->columns, column, &part.first_column, &part.stop_column);
    char *work = call->work ? (char *)call->work + worker * call->workspace * (call->dtype == EN_F32 ? 4 : 8) : NULL;
    matrix_product(call->dtype, call->c, call->a, call->b, call->column_bias, call->row_bias, (void *)work, p, &part);
}

/* Computes a prepared product; `work` has threads x workspace elements. */
static inline void gemm_run(gemm_call *call)
{
    en_parallel(call->threads, call->matrices * call->rows * call->columns, gemm_block, call);
}
#endif
