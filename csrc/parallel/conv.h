/* Convolutions over threads: results are cut into parts, which the kernels compute by themselves. */
#ifndef EN_PARALLEL_CONV_H
#define EN_PARALLEL_CONV_H
#include "kernels/conv.h"
#include "runtime/dispatch.h"
#include "runtime/threads.h"

/* One pass, and how it is cut: stretches x ranges blocks, numbered in this order. Stretches are of images (or pixels),
 * ranges of channels. */
typedef struct {
    conv_geometry geometry;
    int dtype, relu, threads;
    ptrdiff_t size, unit, stretches;                     /* what stretches are cut from, and in what units */
    ptrdiff_t channels, channel_unit, ranges;            /* the same of ranges */
    ptrdiff_t workspace, shared;                         /* elements of `work`: per thread, and in front of those */
    void *y, *dw, *db, *work;                            /* y: or dx */
    const void *x, *weights, *b;                         /* x: or dy of the input gradient */
    const void *dy, *positive;
} conv_call;

enum {
    EN_CONV_BLOCKS_PER_THREAD = 6, /* more of them leave less to wait for where threads do not run at the same speed */
    EN_CONV_PIXELS = 96,           /* whole panels for every dtype and instruction set */
    EN_CONV_CHANNELS = 16,         /* a range reads all of dy: fewer would not pay for that */
};

/* Whole units from `first` to `stop` that stretch or range number `index` of `count` has. */
static inline void conv_bounds(ptrdiff_t size, ptrdiff_t unit, ptrdiff_t count, ptrdiff_t index, ptrdiff_t *first,
                               ptrdiff_t *stop)
{
    const ptrdiff_t units = conv_quotient_up(size, unit);
    *first = conv_least(units * index / count * unit, size);
    *stop = conv_least(units * (index + 1) / count * unit, size);
}

/* Nanoseconds that one pass takes one thread, about: products, and what is read and written. */
static inline double conv_nanoseconds(const conv_geometry *g, int dtype)
{
    const double pixels = (double)g->n * (double)g->oh * (double)g->ow;
    const double taps = (double)(g->c / g->groups) * (double)g->kh * (double)g->kw;
    const double moved = pixels * (double)g->o + (double)g->n * (double)g->c * (double)g->h * (double)g->w;
    return (2 * pixels * taps * (double)g->o / 150 + moved / 8) * (dtype == EN_F32 ? 1 : 2);
}

/* Blocks that a pass should have. */
static inline ptrdiff_t conv_wanted(conv_call *call)
{
    const double nanoseconds = conv_nanoseconds(&call->geometry, call->dtype);
    call->threads = en_threads(nanoseconds);
    if (call->threads == 1)
        return 1;
    const ptrdiff_t most = call->threads * EN_CONV_BLOCKS_PER_THREAD;
    const double useful = 2 * nanoseconds / EN_WORTH_A_THREAD;
    return useful < (double)most ? (ptrdiff_t)useful : most;
}

/* Cuts `size` into stretches and, if these are fewer than `wanted`, `channels` into ranges. */
static inline void conv_cut(conv_call *call, ptrdiff_t wanted)
{
    call->stretches = conv_most(conv_least(wanted, conv_quotient_up(call->size, call->unit)), 1);
    call->ranges = conv_quotient_up(wanted, call->stretches);
    call->ranges = conv_most(conv_least(call->ranges, conv_quotient_up(call->channels, call->channel_unit)), 1);
    call->threads = (int)conv_least(call->threads, call->stretches * call->ranges);
}

/* Part number `block`. */
static inline conv_part conv_part_of(const conv_call *call, ptrdiff_t block)
{
    conv_part part;
    conv_bounds(call->size, call->unit, call->stretches, block / call->ranges, &part.first, &part.stop);
    conv_bounds(call->channels, call->channel_unit, call->ranges, block % call->ranges, &part.first_channel,
                &part.stop_channel);
    return part;
}

static inline void *conv_at(const conv_call *call, ptrdiff_t element)
{
    return (char *)call->work + element * (call->dtype == EN_F32 ? 4 : 8);
}

/* The workspace of one thread. */
static inline void *conv_work(const conv_call *call, int worker)
{
    return conv_at(call, call->shared + worker * call->workspace);
}

static inline void conv_run_blocks(const conv_call *call, en_body body)
{
    en_parallel(call->threads, call->stretches * call->ranges, body, (void *)call);
}

/* Cuts `n` images of `pixels` pixels: whole images, or pixels where there are few. */
static inline void conv_cut_pixels(conv_call *call, ptrdiff_t n, ptrdiff_t pixels)
{
    const ptrdiff_t wanted = conv_wanted(call);
    call->size = conv_times(n, pixels);
    call->unit = n >= wanted ? pixels : EN_CONV_PIXELS;
    call->channels = call->channel_unit = 1;
    conv_cut(call, wanted);
}

/* Plans conv2d for call->geometry and call->dtype. */
static inline void conv_prepare(conv_call *call)
{
    const conv_geometry *g = &call->geometry;
    call->workspace = conv2d_workspace(g);
    call->shared = 0;
    conv_cut_pixels(call, g->n, conv_times(g->oh, g->ow));
}

static inline void conv_block_forward(void *context, ptrdiff_t block, int worker)
{
    const conv_call *call = context;
    const conv_part part = conv_part_of(call, block);
    EN_CALL(conv, conv2d, call->dtype, call->y, call->x, call->weights, call->b, call->relu, conv_work(call, worker),
            &call->geometry, &part);
}

/* Plans conv2d_backward_input: like conv2d if it is one, else images, and channels where there are few of those. Images
 * that share panels stay together, because the order in which a pixel of dx is summed depends on where panels begin. */
static inline void conv_prepare_input(conv_call *call)
{
    const conv_geometry *g = &call->geometry;
    call->workspace = conv2d_backward_input_workspace(g);
    call->shared = 0;
    if (conv_gathers(g)) {
        conv_cut_pixels(call, g->n, conv_times(g->h, g->w));
        return;
    }
    call->size = g->n;
    call->unit = conv_layout_of(g).together;
    call->channels = g->c;
    call->channel_unit = EN_CONV_CHANNELS;
    conv_cut(call, conv_wanted(call));
}

static inline void conv_block_input(void *context, ptrdiff_t block, int worker)
{
    const conv_call *call = context;
    const conv_part part = conv_part_of(call, block);
    EN_CALL(conv, conv2d_backward_input, call->dtype, call->y, call->x, call->weights, call->positive,
            conv_work(call, worker), &call->geometry, &part);
}

/* Plans conv2d_backward_weights: the chunks that the sums are cut into anyway, and units of output channels. */
static inline void conv_prepare_weights(conv_call *call)
{
    const conv_geometry *g = &call->geometry;
    const conv_layout at = conv_layout_of(g);
    const ptrdiff_t wanted = conv_wanted(call);
    call->size = g->n;
    call->unit = 1;
    call->channels = at.units;
    call->channel_unit = 1;
    call->workspace = conv2d_backward_weights_workspace(g);
    call->shared = conv_plus(EN_CONV_ALIGN, conv_times(conv_chunks(g), conv_sums(&at)));
    call->stretches = conv_chunks(g);
    call->ranges = conv_least(conv_quotient_up(wanted, call->stretches), conv_most(at.units, 1));
    call->threads = (int)conv_least(call->threads, call->stretches * call->ranges);
}

static inline void conv_block_weights(void *context, ptrdiff_t block, int worker)
{
    const conv_call *call = context;
    const conv_layout at = conv_layout_of(&call->geometry);
    const conv_part part = conv_part_of(call, block);
    EN_CALL(conv, conv2d_backward_weights, call->dtype, conv_at(call, block / call->ranges * conv_sums(&at)), call->dy,
            call->x, conv_work(call, worker), &call->geometry, &part);
}

static inline void conv_block_add(void *context, ptrdiff_t unit, int worker)
{
    const conv_call *call = context;
    const conv_part part = {0, 0, unit, unit + 1};
    (void)worker;
    EN_CALL(conv, conv2d_add_weights, call->dtype, call->dw, call->db, call->work, &call->geometry, &part);
}

/* Elements of `work` that a prepared pass uses with all its threads; one thread needs the least. */
static inline ptrdiff_t conv_workspace(const conv_call *call, ptrdiff_t threads)
{
    return conv_plus(call->shared, conv_times(threads, call->workspace));
}

/* Lets a prepared pass use no more threads than `elements` of `work` are enough for. */
static inline void conv_take_work(conv_call *call, void *work, ptrdiff_t elements)
{
    call->work = work;
    call->threads = (int)conv_least(call->threads, (elements - call->shared) / conv_most(call->workspace, 1));
}

static inline void conv_run_forward(conv_call *call)
{
    conv_run_blocks(call, conv_block_forward);
}

static inline void conv_run_input(conv_call *call)
{
    conv_run_blocks(call, conv_block_input);
}

static inline void conv_run_weights(conv_call *call)
{
    const conv_layout at = conv_layout_of(&call->geometry);
    conv_run_blocks(call, conv_block_weights);
    const double nanoseconds = (double)conv_chunks(&call->geometry) * (double)conv_sums(&at) / 4;
    en_parallel((int)conv_least(call->threads, en_threads(nanoseconds)), at.units, conv_block_add, call);
}
#endif
