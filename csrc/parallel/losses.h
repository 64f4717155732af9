/* Losses over threads: blocks are ranges of elements or of rows, cut by the shape alone; their sums are added in order. */
#ifndef EN_PARALLEL_LOSSES_H
#define EN_PARALLEL_LOSSES_H
#include "kernels/losses.h"
#include "parallel/blocks.h"

enum { MSE, MAE, HUBER, HINGE, WASSERSTEIN, /* of elements: a few products */
       FOCAL, FOCAL_AT_SIGMOID, BINARY_CROSS_ENTROPY, BINARY_CROSS_ENTROPY_AT_SIGMOID, BCE_LOGITS, CROSS_ENTROPY,
       CROSS_ENTROPY_AT_SOFTMAX, SOFTMAX_CROSS_ENTROPY /* of rows */ };

/* rows of `width` elements; a loss of elements has a width of 1. */
typedef struct {
    int loss, dtype;
    void *each, *grad;
    const void *o, *t;
    double scale;
    double option[2]; /* delta, or alpha and gamma */
    ptrdiff_t rows, width, block;
    double *sums;
} loss_call;

static inline double loss_range(const loss_call *call, ptrdiff_t first, ptrdiff_t rows)
{
    const int dtype = call->dtype;
    const ptrdiff_t start = first * call->width;
    void *each = en_at(dtype, call->each, call->loss == SOFTMAX_CROSS_ENTROPY ? first : start);
    void *grad = en_at(dtype, call->grad, start);
    const void *o = en_at(dtype, call->o, start), *t = en_at(dtype, call->t, start);
    const double scale = call->scale;
    switch (call->loss) {
    case MSE: return mse(dtype, each, grad, o, t, scale, rows);
    case MAE: return mae(dtype, each, grad, o, t, scale, rows);
    case HUBER: return huber(dtype, each, grad, o, t, scale, rows, call->option[0]);
    case HINGE: return hinge(dtype, each, grad, o, t, scale, rows);
    case WASSERSTEIN: return wasserstein(dtype, each, grad, o, t, scale, rows);
    case FOCAL: return focal(dtype, each, grad, o, t, scale, rows, call->option[0], call->option[1]);
    case FOCAL_AT_SIGMOID:
        return focal_at_sigmoid(dtype, each, grad, o, t, scale, rows, call->option[0], call->option[1]);
    case BINARY_CROSS_ENTROPY: return binary_cross_entropy(dtype, each, grad, o, t, scale, rows);
    case BINARY_CROSS_ENTROPY_AT_SIGMOID: return binary_cross_entropy_at_sigmoid(dtype, each, grad, o, t, scale, rows);
    case BCE_LOGITS: return bce_logits(dtype, each, grad, o, t, scale, rows);
    case CROSS_ENTROPY: return cross_entropy(dtype, each, grad, o, t, scale, rows);
    case CROSS_ENTROPY_AT_SOFTMAX: return cross_entropy_at_softmax(dtype, each, grad, o, t, scale, rows, call->width);
    default: return softmax_cross_entropy(dtype, each, grad, o, t, scale, rows, call->width);
    }
}

static inline void loss_block(void *context, ptrdiff_t block, int worker)
{
    const loss_call *call = context;
    const ptrdiff_t first = block * call->block;
    (void)worker;
    call->sums[block] = loss_range(call, first, en_least(call->block, call->rows - first));
}

static inline double loss_run(loss_call *call)
{
    const double elements = (double)call->rows * (double)call->width;
    const ptrdiff_t width = call->width > 1 ? call->width : 1;
    call->block = en_sum_block(call->rows, width < EN_BLOCK ? EN_BLOCK / width : 1);
    if (call->rows <= call->block)
        return loss_range(call, 0, call->rows);
    double sums[EN_MOST_SUMS];
    const ptrdiff_t blocks = en_blocks(call->rows, call->block);
    call->sums = sums;
    en_parallel(en_threads(elements * (call->loss <= WASSERSTEIN ? 0.4 : 1.5) * (call->dtype == EN_F32 ? 1 : 2)), blocks,
                loss_block, call);
    return en_total(sums, blocks);
}
#endif
