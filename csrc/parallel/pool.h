/* Pooling over threads: blocks are planes. */
#ifndef EN_PARALLEL_POOL_H
#define EN_PARALLEL_POOL_H
#include "kernels/pool.h"
#include "parallel/blocks.h"

enum {
    MAXPOOL,
    MAXPOOL_BACKWARD,
    AVGPOOL,
    AVGPOOL_BACKWARD,
    ADAPTIVE_MAXPOOL,
    ADAPTIVE_AVGPOOL,
    ADAPTIVE_AVGPOOL_BACKWARD
};

/* A call of any of the kernels; what does not apply is left out. x, dx: (planes, h, w)   y, dy, argmax: (planes, oh, ow) */
typedef struct {
    int kernel, dtype;
    const void *x, *dy;
    void *y, *dx;
    int32_t *argmax;
    ptrdiff_t planes, h, w, oh, ow, p, block;
    en_lowest bad; /* index of an argmax outside its plane */
} pool_call;

static inline void pool_block(void *context, ptrdiff_t block, int worker)
{
    pool_call *call = context;
    const int dtype = call->dtype;
    const ptrdiff_t first = block * call->block, planes = en_least(call->block, call->planes - first);
    const ptrdiff_t large = first * call->h * call->w, small = first * call->oh * call->ow;
    int32_t *argmax = call->argmax ? call->argmax + small : NULL;
    ptrdiff_t bad;
    (void)worker;
    switch (call->kernel) {
    case MAXPOOL:
        maxpool2d(dtype, en_at(dtype, call->y, small), argmax, en_at(dtype, call->x, large), planes, call->h, call->w,
                  call->p);
        break;
    case MAXPOOL_BACKWARD:
        bad = maxpool2d_backward(dtype, en_at(dtype, call->dx, large), en_at(dtype, call->dy, small), argmax, planes,
                                 call->h, call->w, call->oh, call->ow);
        if (bad >= 0)
            en_report(&call->bad, small + bad);
        break;
    case AVGPOOL:
        avgpool2d(dtype, en_at(dtype, call->y, small), en_at(dtype, call->x, large), planes, call->h, call->w, call->p);
        break;
    case ADAPTIVE_MAXPOOL:
        adaptive_maxpool2d(dtype, en_at(dtype, call->y, small), argmax, en_at(dtype, call->x, large), planes, call->h,
                           call->w, call->oh, call->ow);
        break;
    case ADAPTIVE_AVGPOOL:
        adaptive_avgpool2d(dtype, en_at(dtype, call->y, small), en_at(dtype, call->x, large), planes, call->h, call->w,
                           call->oh, call->ow);
        break;
    case ADAPTIVE_AVGPOOL_BACKWARD:
        adaptive_avgpool2d_backward(dtype, en_at(dtype, call->dx, large), en_at(dtype, call->dy, small), planes,
                                    call->h, call->w, call->oh, call->ow);
        break;
    default:
        avgpool2d_backward(dtype, en_at(dtype, call->dx, large), en_at(dtype, call->dy, small), planes, call->h,
                           call->w, call->p);
    }
}

/* Runs a call; returns -1, or the lowest index of an argmax outside its plane. */
static inline ptrdiff_t pool_run(pool_call *call)
{
    const ptrdiff_t plane = call->h * call->w;
    const int threads = en_threads((double)call->planes * (double)plane * (call->dtype == EN_F32 ? 0.2 : 0.4));
    call->block = threads == 1 ? call->planes : plane < EN_BLOCK ? EN_BLOCK / plane : 1;
    en_lowest_start(&call->bad);
    if (call->planes > 0)
        en_parallel(threads, en_blocks(call->planes, call->block), pool_block, call);
    const ptrdiff_t bad = en_lowest_so_far(&call->bad);
    return bad == PTRDIFF_MAX ? -1 : bad;
}
#endif
