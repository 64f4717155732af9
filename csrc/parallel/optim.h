/* Optimizer steps and the passes over gradients, over threads: blocks are ranges of the vector, or of a parameter where
 * a rule needs norms of whole parameters (LAMB). */
#ifndef EN_PARALLEL_OPTIM_H
#define EN_PARALLEL_OPTIM_H
#include <math.h>
#include "kernels/optim.h"
#include "parallel/blocks.h"

enum { SGD, RMSPROP, ADAGRAD, ADAM, NESTEROV, ADADELTA, ADAMW, AMSGRAD, ADAMAX, NADAM, RADAM, LION, LAMB };

/* One step over `spans` rows of (start, stop, penalised), which lie within n and do not overlap. */
typedef struct {
    int rule, dtype;
    void *w, *m, *v, *u;
    const void *g;
    const double *settings; /* of the rule, in the order of the kernel's arguments */
    double l2, scale; /* l2 is the decay of the rules that take one */
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
    void *u = en_at(dtype, call->u, start);
    const void *g = en_at(dtype, call->g, start);
    switch (call->rule) {
    case SGD: return sgd_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
    case RMSPROP: return rmsprop_step(dtype, w, v, g, s[0], s[1], s[2], l2, scale, n);
    case ADAGRAD: return adagrad_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
    case NESTEROV: return nesterov_step(dtype, w, v, g, s[0], s[1], l2, scale, n);
    case ADADELTA: return adadelta_step(dtype, w, m, v, g, s[0], s[1], s[2], l2, scale, n);
    case ADAMW: return adamw_step(dtype, w, m, v, g, s[0], s[1], s[2], s[3], s[4], s[5], l2, scale, n);
    case AMSGRAD: return amsgrad_step(dtype, w, m, v, u, g, s[0], s[1], s[2], s[3], s[4], s[5], l2, scale, n);
    case ADAMAX: return adamax_step(dtype, w, m, v, g, s[0], s[1], s[2], s[3], s[4], l2, scale, n);
    case NADAM: return nadam_step(dtype, w, m, v, g, s[0], s[1], s[2], s[3], s[4], s[5], l2, scale, n);
    case RADAM: return radam_step(dtype, w, m, v, g, s[0], s[1], s[2], s[3], s[4], l2, scale, n);
    case LION: return lion_step(dtype, w, v, g, s[0], s[1], s[2], l2, scale, n);
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

/* One row of spans on its way through LAMB: the moments and sums of squares of its blocks, or the step of `rate`. */
typedef struct {
    optim_call *call;
    ptrdiff_t start, n, block;
    double decay, rate;
    double squares[EN_MOST_SUMS][2]; /* of parameters and of directions, per block */
} lamb_row;

static inline void lamb_moments_block(void *context, ptrdiff_t block, int worker)
{
    lamb_row *row = context;
    optim_call *call = row->call;
    const int dtype = call->dtype;
    const double *s = call->settings;
    const ptrdiff_t start = row->start + block * row->block, n = en_least(row->block, row->n - block * row->block);
    (void)worker;
    row->squares[block][0] = row->squares[block][1] = 0;
    const ptrdiff_t bad = lamb_moments(dtype, en_at(dtype, call->w, start), en_at(dtype, call->m, start),
                                       en_at(dtype, call->v, start), en_at(dtype, call->g, start), s[1], s[2], s[3],
                                       s[4], s[5], row->decay, call->scale, row->squares[block], n);
    if (bad >= 0)
        en_report(&call->bad, start + bad);
}

static inline void lamb_apply_block(void *context, ptrdiff_t block, int worker)
{
    const lamb_row *row = context;
    const optim_call *call = row->call;
    const int dtype = call->dtype;
    const double *s = call->settings;
    const ptrdiff_t start = row->start + block * row->block, n = en_least(row->block, row->n - block * row->block);
    (void)worker;
    lamb_apply(dtype, en_at(dtype, call->w, start), en_at(dtype, call->m, start), en_at(dtype, call->v, start),
               row->rate, s[3], s[4], s[5], row->decay, n);
}

static inline void lamb_run_row(lamb_row *row, ptrdiff_t i, en_body run)
{
    const int64_t *span = row->call->spans + 3 * i;
    row->start = (ptrdiff_t)span[0], row->n = (ptrdiff_t)(span[1] - span[0]);
    row->decay = span[2] ? row->call->l2 : 0;
    row->block = en_sum_block(row->n, EN_BLOCK);
    if (row->n > 0)
        en_parallel(en_threads((double)row->n * (row->call->dtype == EN_F32 ? 0.5 : 1)),
                    en_blocks(row->n, row->block), run, row);
}

/* LAMB: the rows that follow each other with the same owner belong to one parameter, whose step is as long as
 *     lr |w|,  or lr |direction| where one of the two norms is 0.
 * Returns what optim_run returns; a parameter with an unusable gradient and those behind it have not changed. */
static inline ptrdiff_t lamb_run(optim_call *call, const int64_t *owners)
{
    lamb_row row; /* not initialised as a whole, like the passes below */
    row.call = call;
    en_lowest_start(&call->bad);
    for (ptrdiff_t first = 0, end; first < call->count; first = end) {
        double w = 0, direction = 0;
        for (end = first; end < call->count && owners[end] == owners[first]; ++end) {
            lamb_run_row(&row, end, lamb_moments_block);
            if (en_lowest_so_far(&call->bad) != PTRDIFF_MAX)
                return en_lowest_so_far(&call->bad);
            for (ptrdiff_t block = 0; block < en_blocks(row.n, row.block); ++block)
                w += row.squares[block][0], direction += row.squares[block][1];
        }
        row.rate = call->settings[0] * (w > 0 && direction > 0 ? sqrt(w) / sqrt(direction) : 1);
        for (ptrdiff_t i = first; i < end; ++i)
            lamb_run_row(&row, i, lamb_apply_block);
    }
    return -1;
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
