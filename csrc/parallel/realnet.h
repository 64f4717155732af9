/* All steps of a RealNet in one call, forward and back. The products are those of gemm, the normalisation is norm's, and
 * the sums over a batch are pointwise's; rows, and groups of columns of the sparse form, are split over threads.
 *
 *   z_t = h_{t-1} W + b + I_t,   h_t = gain_t LayerNorm(gelu(z_t)),   h_{-1} = the state, or 0, which is not multiplied
 *
 * All arrays of steps are (steps, rows, n). Where nothing is to be kept for the way back, `kept` is 0 and g, slope and the
 * statistics hold the running step alone. */
#ifndef EN_PARALLEL_REALNET_H
#define EN_PARALLEL_REALNET_H
#include <string.h>
#include "kernels/realnet.h"
#include "parallel/norm_rows.h"
#include "parallel/pointwise.h"
#include "parallel/product.h"
#include "parallel/sparse.h"

typedef struct {
    int dtype, kept;
    void *states, *g, *slope, *statistics; /* mean, inv_std and rest of every row, each (steps or 1, rows) */
    const void *x;                         /* the input of step t < x_steps is at x + t x_step, its rows x_row apart */
    ptrdiff_t x_steps, x_step, x_row;
    const void *state, *weights, *bias, *gamma, *beta, *gain; /* state and gain may be NULL */
    double eps;
    ptrdiff_t steps, rows, n;
    /* The way back: dn holds the gradient of the last state, or of all if `sequence`, and takes those of what the
     * normalisation puts out; dz those of z; sums db, dgamma, dbeta (3, n). */
    void *dz, *dn, *dweights, *sums, *dstate;
    int sequence, add;
    /* The running step */
    ptrdiff_t step, block;
} realnet_call;

/* Nanoseconds that an element takes, forward and back: measured, float32. */
#define EN_REALNET_FORWARD 1.5
#define EN_REALNET_BACKWARD 1.0

static inline void *realnet_at(const realnet_call *p, const void *start, ptrdiff_t step)
{
    return en_at(p->dtype, start, step * p->rows * p->n);
}

static inline void *realnet_statistic(const realnet_call *p, int which, ptrdiff_t step)
{
    const ptrdiff_t steps = p->kept ? p->steps : 1;
    return en_at(p->dtype, p->statistics, (which * steps + (p->kept ? step : 0)) * p->rows);
}

static inline void realnet_each_block(realnet_call *p, double nanoseconds, en_body body)
{
    const int threads = en_threads((double)p->rows * (double)p->n * nanoseconds * (p->dtype == EN_F32 ? 1 : 2));
    p->block = threads > 1 ? en_blocks(p->rows, 2 * threads) : p->rows;
    if (p->rows > 0)
        en_parallel(threads, en_blocks(p->rows, p->block), body, p);
}

static inline void realnet_forward_block(void *context, ptrdiff_t block, int worker)
{
    const realnet_call *p = context;
    const ptrdiff_t first = block * p->block, stop = en_least(p->rows, first + p->block), t = p->step;
    const int dtype = p->dtype;
    void *h = realnet_at(p, p->states, t), *g = realnet_at(p, p->g, p->kept ? t : 0);
    (void)worker;
    realnet_excite(dtype, g, realnet_at(p, p->slope, p->kept ? t : 0), t > 0 || p->state ? h : NULL, p->bias,
                   t < p->x_steps ? en_at(dtype, p->x, t * p->x_step) : NULL, p->x_row, p->n, first, stop);
    layernorm(dtype, h, realnet_statistic(p, 0, t), realnet_statistic(p, 1, t), realnet_statistic(p, 2, t), g, p->gamma,
              p->beta, p->eps, 1, p->n, 1, first, stop);
    if (p->gain)
        realnet_multiply(dtype, en_at(dtype, h, first * p->n), en_at(dtype, realnet_at(p, p->gain, t), first * p->n),
                         (stop - first) * p->n);
}

/* Runs all steps; -1 if there is no memory for a workspace. */
static inline int realnet_forward(realnet_call *p)
{
    const strided_matrix weights = {p->weights, p->n, 1};
    for (p->step = 0; p->step < p->steps; ++p->step) {
        const void *before = p->step > 0 ? realnet_at(p, p->states, p->step - 1) : p->state;
        if (before && matrix_multiply(p->dtype, realnet_at(p, p->states, p->step), (strided_matrix){before, p->n, 1},
                                      weights, p->rows, p->n, p->n, NULL, 0, EN_LINEAR))
            return -1;
        realnet_each_block(p, EN_REALNET_FORWARD, realnet_forward_block);
    }
    return 0;
}

static inline void realnet_backward_block(void *context, ptrdiff_t block, int worker)
{
    const realnet_call *p = context;
    const ptrdiff_t first = block * p->block, stop = en_least(p->rows, first + p->block), t = p->step;
    const ptrdiff_t at = first * p->n, count = (stop - first) * p->n;
    const int dtype = p->dtype;
    void *dn = realnet_at(p, p->dn, t), *dz = realnet_at(p, p->dz, t);
    (void)worker;
    if (p->gain)
        realnet_multiply(dtype, en_at(dtype, dn, at), en_at(dtype, realnet_at(p, p->gain, t), at), count);
    layernorm_backward(dtype, dz, dn, realnet_at(p, p->g, t), realnet_statistic(p, 0, t), realnet_statistic(p, 1, t),
                       realnet_statistic(p, 2, t), p->gamma, 1, p->n, 1, first, stop);
    realnet_multiply(dtype, en_at(dtype, dz, at), en_at(dtype, realnet_at(p, p->slope, t), at), count);
}

/* Gradients of all parameters from the stacked steps: dW = sum_t h_{t-1}' dz_t is one product. */
static inline int realnet_sums(const realnet_call *p)
{
    const ptrdiff_t n = p->n, rows = p->rows * p->steps;
    const int later = p->steps > 1, add = p->add;
    if (later && matrix_multiply(p->dtype, p->dweights, (strided_matrix){p->states, 1, n},
                                 (strided_matrix){realnet_at(p, p->dz, 1), n, 1}, n, rows - p->rows, n, NULL, add, EN_LINEAR))
        return -1;
    if (p->state && matrix_multiply(p->dtype, p->dweights, (strided_matrix){p->state, 1, n},
                                    (strided_matrix){p->dz, n, 1}, n, p->rows, n, NULL, later || add, EN_LINEAR))
        return -1;
    if (!later && !p->state && !add)
        memset(p->dweights, 0, (size_t)(n * n * itemsize(p->dtype)));
    pointwise_call sums = {.dtype = p->dtype, .sums = p->sums, .x = p->dz, .rows = rows, .cols = n, .n = rows * n};
    pointwise_sums(&sums);
    rows_call norm = {.kernel = LAYERNORM_SUMS, .dtype = p->dtype, .dgamma = en_at(p->dtype, p->sums, n),
                      .dbeta = en_at(p->dtype, p->sums, 2 * n), .dy = p->dn, .x = p->g,
                      .mean = realnet_statistic(p, 0, 0), .inv_std = realnet_statistic(p, 1, 0),
                      .rest = realnet_statistic(p, 2, 0), .rows = rows, .groups = 1, .c = n, .s = 1};
    rows_run(&norm);
    return 0;
}

/* Goes back through all steps, and then sums up what belongs to parameters if `dweights` is given. */
static inline int realnet_backward(realnet_call *p)
{
    const strided_matrix transposed = {p->weights, 1, p->n};
    for (p->step = p->steps - 1; p->step >= 0; --p->step) {
        realnet_each_block(p, EN_REALNET_BACKWARD, realnet_backward_block);
        void *before = p->step > 0 ? realnet_at(p, p->dn, p->step - 1) : p->dstate;
        if (before && matrix_multiply(p->dtype, before, (strided_matrix){realnet_at(p, p->dz, p->step), p->n, 1},
                                      transposed, p->rows, p->n, p->n, NULL, p->sequence && p->step > 0, EN_LINEAR))
            return -1;
    }
    return p->dweights ? realnet_sums(p) : 0;
}

/* The sparse form, inference only: states (steps, n, rows), `a` the transposed weights. A group of columns goes through
 * all steps by itself. */
typedef struct {
    int dtype;
    void *states;
    const void *x, *state, *bias, *gamma, *beta; /* x (x_steps, n, rows), or the same for all steps if x_step is 0 */
    ptrdiff_t x_steps, x_step, steps, n, rows;
    double eps;
    sparse_matrix a;
} realnet_sparse_call;

static inline void realnet_sparse_block(void *context, ptrdiff_t block, int worker)
{
    const realnet_sparse_call *p = context;
    const ptrdiff_t at = block * EN_SPARSE_COLUMNS, width = en_least(EN_SPARSE_COLUMNS, p->rows - at);
    const int dtype = p->dtype;
    const void *before = en_at(dtype, p->state, at);
    (void)worker;
    for (ptrdiff_t t = 0; t < p->steps; ++t) {
        char *h = en_at(dtype, p->states, t * p->n * p->rows + at);
        if (before)
            sparse_product(dtype, (void *)h, p->a.values, p->a.index, p->a.start, before, p->rows, width, 0, p->n);
        else
            for (ptrdiff_t i = 0; i < p->n; ++i)
                memset(h + i * p->rows * itemsize(dtype), 0, (size_t)(width * itemsize(dtype)));
        realnet_columns(dtype, (void *)h, p->bias, t < p->x_steps ? en_at(dtype, p->x, t * p->x_step + at) : NULL,
                        p->gamma, p->beta, p->eps, p->n, p->rows, width);
        before = h;
    }
}

static inline void realnet_sparse_run(realnet_sparse_call *p)
{
    const ptrdiff_t blocks = en_blocks(p->rows, EN_SPARSE_COLUMNS);
    const double step = sparse_time(p->dtype, &p->a) + (double)p->n * 60;
    en_parallel(en_threads((double)blocks * (double)p->steps * step), blocks, realnet_sparse_block, p);
}
#endif
