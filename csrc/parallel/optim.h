/* Optimizer steps and the passes over gradients, over threads: blocks are ranges of the vector. */
#ifndef EN_PARALLEL_OPTIM_H
#define EN_PARALLEL_OPTIM_H
#include "kernels/optim.h"
#include "parallel/blocks.h"

enum { SGD, RMSPROP, ADAGRAD, ADAM };

/* One step over `spans` rows of (start, stop, penalised), which lie within n and do not overlap. */
typedef struct {
    int rule, dtype;
    void *w, *m, *v;
    const void *g;
    const double *settings; /* of the rule, in the order of the kernel's arguments */
    double l2, scale;
    const int64_t *spans;
    ptrdiff_t count, n;
    ptrdiff_t block; /* elements of the vector per block */
    en_lowest bad;   /* index of an unusable gradient */
} optim_call;

/* Steps over n elements from `start` on; what the kernel returns. */
static inline ptrdiff_t optim_range(const optim_call *call, ptrdiff_t start, ptrdiff_t n, double l2)
{
    const int dtype = call->dtype;
    const double *s = call->settings, scale = call->scale;
    void *w = en_at(dtype, call->w, start), *m = en_at(dtype, call->m, start), *v = en_at(dtype, call->v, start);
    const void *g = en_at(dtype, call->g, start);
    switch (call->rule) {
    case SGD: return sgd_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
    case RMSPROP: return rmsprop_step(dtype, w, v, g, s[0], s[1], s[2], l2, scale, n);
    case ADAGRAD: return adagrad_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
    default: return adam_step(dtype, w, m, v, g, s[0], s[1], s[2], s[3], s[4], s[5], l2, scale, n);
    }
}

/* The first of the spans that ends behind `first`. */
static inline ptrdiff_t optim_first_span(const optim_call *call, ptrdiff_t first)
{
    ptrdiff_t low = 0, high = call->count;
    while (low < high) {
        const ptrdiff_t middle = low + (high - low) / 2;
        if (call->spans[3 * middle + 1] > first)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Steps over what of the spans lies in this block, unless a block before it has met an unusable gradient. Spans are cut
 * to the block, so nothing outside is touched even if another thread of the program changes them meanwhile. */
static inline void optim_block(void *context, ptrdiff_t block, int worker)
{
    optim_call *call = context;
    const ptrdiff_t first = block * call->block, last = en_least(call->n, first + call->block);
    (void)worker;
    for (ptrdiff_t i = optim_first_span(call, first); i < call->count && en_lowest_so_far(&call->bad) > first; ++i) {
        const ptrdiff_t from = (ptrdiff_t)call->spans[3 * i], to = (ptrdiff_t)call->spans[3 * i + 1];
        const ptrdiff_t start = from > first ? from : first, stop = en_least(to, last);
        if (from >= last)
            return;
        if (start >= stop)
            continue;
        const ptrdiff_t bad = optim_range(call, start, stop - start, call->spans[3 * i + 2] ? call->l2 : 0);
        if (bad >= 0) {
            en_report(&call->bad, start + bad);
            return;
        }
    }
}

/* Runs a step; returns -1, or the lowest index of an unusable gradient. Where the spans are few rows of a large table,
 * blocks span more of the vector, so that there are as many as the work is worth. */
static inline ptrdiff_t optim_run(optim_call *call)
{
    ptrdiff_t elements = 0;
    for (ptrdiff_t i = 0; i < call->count; ++i)
        elements += (ptrdiff_t)(call->spans[3 * i + 1] - call->spans[3 * i]);
    const int threads = en_threads((double)elements * (call->dtype == EN_F32 ? 0.5 : 1));
    call->block = threads > 1 && elements > 0 ? EN_BLOCK * (call->n / elements) : call->n;
    en_lowest_start(&call->bad);
    if (call->n > 0)
        en_parallel(threads, en_blocks(call->n, call->block), optim_block, call);
    const ptrdiff_t bad = en_lowest_so_far(&call->bad);
    return bad == PTRDIFF_MAX ? -1 : bad;
}

/* A pass over a vector that ends in one number. */
typedef struct {
    int dtype;
    const void *x;
    ptrdiff_t n, block;
    double sums[EN_MOST_SUMS];
    en_lowest bad;
} optim_pass;

static inline void squares_block(void *context, ptrdiff_t block, int worker)
{
    optim_pass *pass = context;
    const ptrdiff_t start = block * pass->block;
    (void)worker;
    pass->sums[block] = sum_of_squares(pass->dtype, en_at(pass->dtype, pass->x, start),
                                       en_least(pass->block, pass->n - start));
}

static inline double optim_squares(int dtype, const void *x, ptrdiff_t n)
{
    optim_pass pass; /* not initialised as a whole: its sums would cost more than a short vector's */
    pass.dtype = dtype, pass.x = x, pass.n = n, pass.block = en_sum_block(n, EN_BLOCK);
    const ptrdiff_t blocks = en_blocks(n, pass.block);
    en_parallel(en_threads((double)n * (dtype == EN_F32 ? 0.1 : 0.2)), blocks, squares_block, &pass);
    return en_total(pass.sums, blocks);
}

static inline void finite_block(void *context, ptrdiff_t block, int worker)
{
    optim_pass *pass = context;
    const ptrdiff_t start = block * pass->block;
    (void)worker;
    if (en_lowest_so_far(&pass->bad) < start)
        return;
    const ptrdiff_t bad = first_non_finite(pass->dtype, en_at(pass->dtype, pass->x, start),
                                           en_least(pass->block, pass->n - start));
    if (bad >= 0)
        en_report(&pass->bad, start + bad);
}

/* The lowest index of a NaN or infinity, or -1. */
static inline ptrdiff_t optim_find_non_finite(int dtype, const void *x, ptrdiff_t n)
{
    const int threads = en_threads((double)n * (dtype == EN_F32 ? 0.07 : 0.14));
    if (threads == 1)
        return first_non_finite(dtype, x, n);
    optim_pass pass;
    pass.dtype = dtype, pass.x = x, pass.n = n, pass.block = 2 * EN_BLOCK;
    en_lowest_start(&pass.bad);
    en_parallel(threads, en_blocks(n, pass.block), finite_block, &pass);
    const ptrdiff_t bad = en_lowest_so_far(&pass.bad);
    return bad == PTRDIFF_MAX ? -1 : bad;
}
#endif
