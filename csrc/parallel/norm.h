/* Batch normalisation over threads: blocks are ranges of channels, which keeps the order of every sum. */
#ifndef EN_PARALLEL_NORM_H
#define EN_PARALLEL_NORM_H
#include "kernels/norm.h"
#include "parallel/blocks.h"

static const en_activations *en_the_activations; /* set when the module is imported */

enum { BATCHNORM, BATCHNORM_BACKWARD, BATCHNORM_INFERENCE, BATCHNORM_INFERENCE_BACKWARD };
enum { NO_ACTIVATION = -1 };

/* A call of any of the kernels; what does not apply is left out. */
typedef struct {
    int kernel, dtype;
    int activation; /* place in the list of forward or backward kernels, or NO_ACTIVATION */
    void *y, *z, *mean, *var, *inv_std;
    void *dx, *dgamma, *dbeta;
    const void *x, *dy, *saved, *gamma, *beta;
    double eps;
    ptrdiff_t n, c, s, block;
    en_activation function;
} norm_call;

static inline void norm_channels(const norm_call *p, ptrdiff_t first, ptrdiff_t stop)
{
    switch (p->kernel) {
    case BATCHNORM:
        batchnorm(p->dtype, p->y, p->z, p->mean, p->var, p->inv_std, p->x, p->gamma, p->beta, p->eps, p->function,
                  p->n, p->c, p->s, first, stop);
        break;
    case BATCHNORM_BACKWARD:
        batchnorm_backward(p->dtype, p->dx, p->dgamma, p->dbeta, p->dy, p->saved, p->x, p->mean, p->inv_std, p->gamma,
                           p->function, p->n, p->c, p->s, first, stop);
        break;
    case BATCHNORM_INFERENCE:
        batchnorm_inference(p->dtype, p->y, p->z, p->x, p->mean, p->var, p->gamma, p->beta, p->eps, p->function,
                            p->n, p->c, p->s, first, stop);
        break;
    default:
        batchnorm_inference_backward(p->dtype, p->dx, p->dgamma, p->dbeta, p->dy, p->saved, p->x, p->mean, p->var,
                                     p->gamma, p->eps, p->function, p->n, p->c, p->s, first, stop);
    }
}

static inline void norm_block(void *context, ptrdiff_t block, int worker)
{
    const norm_call *call = context;
    (void)worker;
    norm_channels(call, block * call->block, en_least(call->c, (block + 1) * call->block));
}

static inline void norm_run(norm_call *call)
{
    const int backward = call->kernel == BATCHNORM_BACKWARD || call->kernel == BATCHNORM_INFERENCE_BACKWARD;
    const double elements = (double)call->n * (double)call->c * (double)call->s;
    const int threads = en_threads(elements * (backward ? 0.5 : 0.3) * (call->dtype == EN_F32 ? 1 : 2));
    call->block = threads > 1 ? EN_NORM_BLOCK(call->s) : call->c;
    call->function = NULL;
    if (call->activation != NO_ACTIVATION)
        call->function = (backward ? en_the_activations->backward : en_the_activations->forward)(call->activation,
                                                                                                 call->dtype);
    if (call->c > 0)
        en_parallel(threads, en_blocks(call->c, call->block), norm_block, call);
}
#endif
