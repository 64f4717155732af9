/* A chain of dense, activation and normalisation layers as one program: an array of nodes that is run forward and
 * backward without returning to Python in between. Every step is a kernel that the layers' own ops call too, in the
 * same order, so the bits are the same; there is no arithmetic here.
 *
 * x: in (rows, n_in)   y: out (rows, n_out)   A pass keeps, node by node, what the way back needs. */
#ifndef EN_CHAIN_H
#define EN_CHAIN_H
#include <string.h>
#include "kernels/optim.h"
#include "parallel/norm.h"
#include "parallel/pointwise.h"
#include "parallel/product.h"

/* Kinds of nodes. IDENTITY is what dropout is in inference. */
enum { CHAIN_DENSE, CHAIN_ACTIVATION, CHAIN_BATCHNORM, CHAIN_IDENTITY };

/* Activations: none, softmax over the columns, or one of the pairs of pointwise.h, which read their output or input. */
#define CHAIN_ACTIVATIONS(A) \
    A(relu, OUTPUT) A(leakyrelu, OUTPUT) A(elu, OUTPUT) A(selu, OUTPUT) A(sigmoid, OUTPUT) A(tanh, OUTPUT) \
    A(softplus, OUTPUT) A(gelu, INPUT) A(swish, INPUT) A(mish, INPUT)
#define CHAIN_NUMBER(name, saves) CHAIN_##name,
enum { CHAIN_linear, CHAIN_softmax, CHAIN_ACTIVATIONS(CHAIN_NUMBER) CHAIN_ACTIVATION_COUNT };
#undef CHAIN_NUMBER
enum { CHAIN_NOTHING, CHAIN_OUTPUT, CHAIN_INPUT };

typedef struct {
    int kind, activation;
    int trains;    /* whether gradients of its parameters are wanted */
    int batch;     /* normalise with the statistics of the batch, and learn the running ones */
    ptrdiff_t n_in, n_out;
    void *weights, *bias;     /* gamma and beta of a normalisation */
    void *d_weights, *d_bias; /* where their gradients go */
    void *mean, *var;         /* running statistics */
    double eps, momentum;
} chain_node;

/* What one pass keeps of a node; NULL where there is nothing. */
typedef struct {
    const void *x;
    void *z;     /* before the activation, if that was kept */
    void *y;
    void *room;        /* where the gradient of y is written, and then that before the activation */
    const void *delta; /* the latter: in the room, or where the way back found it */
    void *mean, *var, *inv_std, *gamma; /* what was normalised with */
    void *extra[2]; /* gradients that have to be added to others, or are only needed on the way */
} chain_place;

typedef struct {
    int dtype, count;
    int training, keep_z;
    ptrdiff_t rows;
    const chain_node *node;
    chain_place *place;
} chain_pass;

static inline int chain_saves(int activation)
{
#define CHAIN_SAVES(name, saves) case CHAIN_##name: return CHAIN_##saves;
    switch (activation) {
    CHAIN_ACTIVATIONS(CHAIN_SAVES)
    case CHAIN_softmax: return CHAIN_OUTPUT;
    default: return CHAIN_NOTHING;
    }
#undef CHAIN_SAVES
}

/* The activation's kernel on the way forward or back, by its number in pointwise.h. */
static inline int chain_kernel(int activation, int backward)
{
#define CHAIN_KERNEL(name, saves) \
    case CHAIN_##name: return backward ? (int)NUMBER_OF_##name##_backward : (int)NUMBER_OF_##name##_forward;
    switch (activation) {
    CHAIN_ACTIVATIONS(CHAIN_KERNEL)
    default: return -1;
    }
#undef CHAIN_KERNEL
}

/* The activation as a product applies it itself, or EN_LINEAR. */
static inline int chain_fused(int activation)
{
    return activation == CHAIN_relu ? EN_RELU : activation == CHAIN_leakyrelu ? EN_LEAKYRELU : EN_LINEAR;
}

/* y = f(x), which may be x itself. */
static inline void chain_activate(int activation, int dtype, void *y, const void *x, ptrdiff_t rows, ptrdiff_t cols)
{
    pointwise_call call = {.dtype = dtype, .y = y, .x = x, .rows = rows, .cols = cols, .n = rows * cols};
    call.kernel = chain_kernel(activation, 0);
    if (call.kernel >= 0)
        pointwise_forward(&call);
    else if (activation == CHAIN_softmax && cols > 0)
        pointwise_softmax(&call);
    else if (y != x)
        memcpy(y, x, (size_t)(rows * cols * itemsize(dtype)));
}

/* dx = dy f'(saved); with `sums` also the sums of its columns. dx may be dy itself. */
static inline void chain_activate_backward(int activation, int dtype, void *dx, void *sums, const void *dy,
                                           const void *saved, ptrdiff_t rows, ptrdiff_t cols)
{
    pointwise_call call = {.dtype = dtype, .y = dx, .sums = sums, .x = dy, .saved = saved, .rows = rows, .cols = cols,
                           .n = rows * cols};
    call.kernel = chain_kernel(activation, 1);
    if (cols == 0)
        return;
    if (call.kernel < 0) {
        if (activation == CHAIN_softmax)
            pointwise_softmax(&call);
        else
            call.y = (void *)dy;
        call.x = call.y, call.saved = NULL;
    } else if (!sums)
        pointwise_backward(&call);
    if (sums)
        pointwise_sums(&call);
}

/* z = x W' + b */
static inline int chain_dense(const chain_node *node, int dtype, void *z, const void *x, ptrdiff_t rows, int activation)
{
    return matrix_multiply(dtype, z, (strided_matrix){x, node->n_in, 1}, (strided_matrix){node->weights, 1, node->n_in}, rows,
                         node->n_in, node->n_out, node->bias, 0, activation);
}

/* Whether the node normalises with the statistics of these rows. */
static inline int chain_uses_batch(const chain_node *node, int training, ptrdiff_t rows)
{
    return training && node->batch && rows > 1;
}

/* Lays out what a pass keeps from `memory` on, or only counts if that is NULL; returns the bytes. */
static inline size_t chain_layout(chain_pass *pass, char *memory)
{
    size_t used = 0;
#define CHAIN_TAKE(member, elements) \
    do { \
        if (memory) \
            place->member = memory + used; \
        used += ((size_t)(elements) * (size_t)itemsize(pass->dtype) + 63) & ~(size_t)63; \
    } while (0)
    if (memory)
        memset(pass->place, 0, (size_t)pass->count * sizeof(chain_place));
    for (int i = 0; i < pass->count; ++i) {
        const chain_node *node = pass->node + i;
        chain_place *place = pass->place + i;
        const ptrdiff_t outputs = pass->rows * node->n_out;
        if (node->kind == CHAIN_DENSE && node->activation != CHAIN_linear
            && (pass->keep_z || chain_saves(node->activation) == CHAIN_INPUT))
            CHAIN_TAKE(z, outputs);
        if (node->kind != CHAIN_IDENTITY && i < pass->count - 1)
            CHAIN_TAKE(y, outputs);
        CHAIN_TAKE(room, outputs);
        if (node->kind == CHAIN_BATCHNORM) {
            CHAIN_TAKE(mean, node->n_out);
            CHAIN_TAKE(var, node->n_out);
            CHAIN_TAKE(inv_std, node->n_out);
            CHAIN_TAKE(gamma, node->n_out);
        }
        if (node->kind == CHAIN_BATCHNORM || node->kind == CHAIN_DENSE) {
            CHAIN_TAKE(extra[0], node->kind == CHAIN_DENSE ? 0 : node->n_out);
            CHAIN_TAKE(extra[1], node->n_out);
        }
    }
#undef CHAIN_TAKE
    return used;
}

/* The normalisation at `place`, with the statistics of its rows, which the running ones then learn from, or with those. */
static inline void chain_normalise(const chain_node *node, int dtype, chain_place *place, int batch, ptrdiff_t rows)
{
    const size_t bytes = (size_t)(node->n_out * itemsize(dtype));
    norm_call call = {.kernel = batch ? BATCHNORM : BATCHNORM_INFERENCE, .dtype = dtype, .activation = NO_ACTIVATION,
                      .y = place->y, .mean = place->mean, .var = place->var, .inv_std = place->inv_std, .x = place->x,
                      .gamma = node->weights, .beta = node->bias, .eps = node->eps, .n = rows, .c = node->n_out, .s = 1};
    memcpy(place->gamma, node->weights, bytes);
    if (!batch) {
        place->inv_std = NULL;
        memcpy(place->mean, node->mean, bytes);
        memcpy(place->var, node->var, bytes);
    }
    norm_run(&call);
    if (batch) {
        blend(dtype, node->mean, place->mean, node->momentum, node->n_out);
        blend(dtype, node->var, place->var, node->momentum, node->n_out);
    }
}

/* Runs the pass from x to y, the last node's output; -1 if there is no memory. */
static inline int chain_forward(chain_pass *pass, const void *x, void *y)
{
    const ptrdiff_t rows = pass->rows;
    const int dtype = pass->dtype;
    for (int i = 0; i < pass->count; ++i) {
        const chain_node *node = pass->node + i;
        chain_place *place = pass->place + i;
        place->x = x;
        if (i == pass->count - 1)
            place->y = y;
        switch (node->kind) {
        case CHAIN_DENSE: {
            void *z = place->z ? place->z : place->y;
            const int fused = z == place->y ? chain_fused(node->activation) : EN_LINEAR;
            if (chain_dense(node, dtype, z, x, rows, fused) < 0)
                return -1;
            if (!fused && (node->activation != CHAIN_linear || z != place->y))
                chain_activate(node->activation, dtype, place->y, z, rows, node->n_out);
            break;
        }
        case CHAIN_ACTIVATION:
            chain_activate(node->activation, dtype, place->y, x, rows, node->n_out);
            break;
        case CHAIN_BATCHNORM:
            chain_normalise(node, dtype, place, chain_uses_batch(node, pass->training, rows), rows);
            break;
        default:
            if (i == pass->count - 1)
                memcpy(y, x, (size_t)(rows * node->n_out * itemsize(dtype)));
            else
                place->y = (void *)x;
        }
        x = place->y;
    }
    return 0;
}

/* Runs the program in inference mode from x to y; nothing is kept but in `scratch`, twice rows x the widest node. */
static inline int chain_infer(const chain_pass *pass, const void *x, void *y, char *scratch, size_t half)
{
    for (int i = 0; i < pass->count; ++i) {
        const chain_node *node = pass->node + i;
        void *to = i == pass->count - 1 ? y : scratch + (i % 2) * half;
        switch (node->kind) {
        case CHAIN_DENSE:
            if (chain_dense(node, pass->dtype, to, x, pass->rows, chain_fused(node->activation)) < 0)
                return -1;
            if (!chain_fused(node->activation))
                chain_activate(node->activation, pass->dtype, to, to, pass->rows, node->n_out);
            break;
        case CHAIN_BATCHNORM:
            norm_run(&(norm_call){.kernel = BATCHNORM_INFERENCE, .dtype = pass->dtype, .activation = NO_ACTIVATION,
                                  .y = to, .mean = node->mean, .var = node->var, .x = x, .gamma = node->weights,
                                  .beta = node->bias, .eps = node->eps, .n = pass->rows, .c = node->n_out, .s = 1});
            break;
        default:
            chain_activate(node->activation, pass->dtype, to, x, pass->rows, node->n_out);
        }
        x = to;
    }
    return 0;
}

/* Where a node's gradient number k goes: `added[k]` says that it is to be added to what is there, which is left to the
 * caller but for weights. NULL where it is not wanted. */
static inline void *chain_gradient(const chain_node *node, const chain_place *place, int k, int params, const char *added)
{
    void *wanted = params && node->trains ? (k ? node->d_bias : node->d_weights) : NULL;
    return wanted && added[k] ? place->extra[k] : wanted;
}

/* Gradients of the weights and of the input, which dx may be NULL for, from a dense node's delta. */
static inline int chain_dense_backward(const chain_pass *pass, int i, void *dx, int params, const char *added)
{
    const chain_node *node = pass->node + i;
    const chain_place *place = pass->place + i;
    const ptrdiff_t rows = pass->rows, n_in = node->n_in, n_out = node->n_out;
    const strided_matrix dz = {place->delta, n_out, 1}, dz_transposed = {place->delta, 1, n_out};
    if (dx
        && matrix_multiply(pass->dtype, dx, dz, (strided_matrix){node->weights, n_in, 1}, rows, n_out, n_in, NULL, 0, 0) < 0)
        return -1;
    if (!params || !node->trains)
        return 0;
    return matrix_multiply(pass->dtype, node->d_weights, dz_transposed, (strided_matrix){place->x, n_in, 1}, n_out, rows, n_in,
                         NULL, added[0], 0);
}

/* Gradients of a normalisation; dx may be NULL. */
static inline void chain_normalise_backward(const chain_pass *pass, int i, void *dx, int params, const char *added)
{
    const chain_node *node = pass->node + i;
    const chain_place *place = pass->place + i;
    void *d_gamma = chain_gradient(node, place, 0, params, added), *d_beta = chain_gradient(node, place, 1, params, added);
    norm_run(&(norm_call){.kernel = place->inv_std ? BATCHNORM_BACKWARD : BATCHNORM_INFERENCE_BACKWARD,
                          .dtype = pass->dtype, .activation = NO_ACTIVATION, .dx = dx,
                          .dgamma = d_gamma ? d_gamma : place->extra[0], .dbeta = d_beta ? d_beta : place->extra[1],
                          .dy = place->delta, .x = place->x, .mean = place->mean, .var = place->var,
                          .inv_std = place->inv_std, .gamma = place->gamma, .eps = node->eps, .n = pass->rows,
                          .c = node->n_out, .s = 1});
}

/* Runs the pass back from dy, the gradient of its output (of the last pre-activation if `at_pre_activation`), down to
 * node `lowest`, whose input's gradient goes to dx unless that is NULL. added: two flags per node, see above. */
static inline int chain_backward(chain_pass *pass, const void *dy, int at_pre_activation, int params, int lowest, void *dx,
                                 const char *added)
{
    const int last = pass->count - 1, dtype = pass->dtype;
    const ptrdiff_t rows = pass->rows;
    for (int i = last; i >= lowest; --i) {
        const chain_node *node = pass->node + i;
        chain_place *place = pass->place + i;
        const int shaped = node->activation != CHAIN_linear && !(at_pre_activation && i == last);
        void *d_bias = node->kind == CHAIN_DENSE ? chain_gradient(node, place, 1, params, added + 2 * i) : NULL;
        place->delta = shaped ? place->room : dy;
        if (shaped || d_bias)
            chain_activate_backward(shaped ? node->activation : CHAIN_linear, dtype, place->room, d_bias, dy,
                                    chain_saves(node->activation) == CHAIN_OUTPUT ? place->y
                                    : node->kind == CHAIN_DENSE                   ? place->z
                                                                                  : place->x,
                                    rows, node->n_out);
        const void *next = i > lowest ? pass->place[i - 1].room : dx;
        if (node->kind == CHAIN_IDENTITY || node->kind == CHAIN_ACTIVATION) {
            if (i > lowest)
                next = place->delta;
            else if (dx)
                memcpy(dx, place->delta, (size_t)(rows * node->n_out * itemsize(dtype)));
        } else if (node->kind == CHAIN_BATCHNORM)
            chain_normalise_backward(pass, i, (void *)next, params, added + 2 * i);
        else if (chain_dense_backward(pass, i, (void *)next, params, added + 2 * i) < 0)
            return -1;
        dy = next;
    }
    return 0;
}
#endif
