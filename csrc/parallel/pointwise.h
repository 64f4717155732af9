/* Elementwise functions and their relatives over threads: blocks are ranges of elements, of rows or of columns. */
#ifndef EN_PARALLEL_POINTWISE_H
#define EN_PARALLEL_POINTWISE_H
#include "kernels/activations.h"
#include "kernels/pointwise.h"
#include "parallel/blocks.h"

/* The numbers by which kernels are called: RELU_FORWARD's place in EN_FORWARD_KERNELS, and so on. */
#define EN_NUMBER(result, name, parameters) NUMBER_OF_##name,
enum { EN_FORWARD_KERNELS(EN_NUMBER) COUNT_OF_FORWARD_KERNELS };
enum { EN_BACKWARD_KERNELS(EN_NUMBER) COUNT_OF_BACKWARD_KERNELS };
#undef EN_NUMBER

/* A call; what does not apply is left out. y and x stand for dx and dy in backward passes. */
typedef struct {
    int kernel, dtype;
    void *y, *sums;
    const void *x, *saved;
    ptrdiff_t n, rows, cols, block;
} pointwise_call;

#define EN_CASE(result, name, parameters) case NUMBER_OF_##name: EN_CALL(pointwise, name, dtype, ARGUMENTS); break;
static inline void run_forward(int kernel, int dtype, void *y, const void *x, ptrdiff_t n)
{
#define ARGUMENTS y, x, n
    switch (kernel) { EN_FORWARD_KERNELS(EN_CASE) }
#undef ARGUMENTS
}

static inline void run_backward(int kernel, int dtype, void *dx, const void *dy, const void *saved, ptrdiff_t n)
{
#define ARGUMENTS dx, dy, saved, n
    switch (kernel) { EN_BACKWARD_KERNELS(EN_CASE) }
#undef ARGUMENTS
}
#undef EN_CASE

/* What this module offers to the others; see activations.h. */
#define EN_CASE(result, name, parameters) \
    case NUMBER_OF_##name: \
        return dtype == EN_F32 ? (en_activation)pointwise_f32[en_isa]->name : (en_activation)pointwise_f64[en_isa]->name;
static en_activation forward_function(int kernel, int dtype)
{
    switch (kernel) { EN_FORWARD_KERNELS(EN_CASE) }
    return NULL;
}

static en_activation backward_function(int kernel, int dtype)
{
    switch (kernel) { EN_BACKWARD_KERNELS(EN_CASE) }
    return NULL;
}
#undef EN_CASE
static const en_activations activation_functions = {forward_function, backward_function};

static inline void forward_block(void *context, ptrdiff_t block, int worker)
{
    const pointwise_call *call = context;
    const ptrdiff_t start = block * EN_BLOCK;
    (void)worker;
    run_forward(call->kernel, call->dtype, en_at(call->dtype, call->y, start), en_at(call->dtype, call->x, start),
                en_least(EN_BLOCK, call->n - start));
}

static inline void backward_block(void *context, ptrdiff_t block, int worker)
{
    const pointwise_call *call = context;
    const ptrdiff_t start = block * EN_BLOCK;
    (void)worker;
    run_backward(call->kernel, call->dtype, en_at(call->dtype, call->y, start), en_at(call->dtype, call->x, start),
                 en_at(call->dtype, call->saved, start), en_least(EN_BLOCK, call->n - start));
}

/* Nanoseconds that one thread takes for n elements: comparisons run at the speed of the cache, exponentials do not. */
static inline double forward_time(int kernel, int dtype, ptrdiff_t n)
{
    const int cheap = kernel == NUMBER_OF_relu_forward || kernel == NUMBER_OF_leakyrelu_forward;
    return (double)n * (cheap ? 0.1 : 0.4) * (dtype == EN_F32 ? 1 : cheap ? 2 : 3);
}

static inline double backward_time(int kernel, int dtype, ptrdiff_t n)
{
    const int dear = kernel >= NUMBER_OF_softplus_backward; /* the others are a few products */
    return (double)n * (dear ? 0.5 : 0.15) * (dtype == EN_F32 ? 1 : dear ? 3 : 2);
}

static inline void pointwise_forward(pointwise_call *call)
{
    const int threads = en_threads(forward_time(call->kernel, call->dtype, call->n));
    if (threads == 1)
        run_forward(call->kernel, call->dtype, call->y, call->x, call->n);
    else
        en_parallel(threads, en_blocks(call->n, EN_BLOCK), forward_block, call);
}

static inline void pointwise_backward(pointwise_call *call)
{
    const int threads = en_threads(backward_time(call->kernel, call->dtype, call->n));
    if (threads == 1)
        run_backward(call->kernel, call->dtype, call->y, call->x, call->saved, call->n);
    else
        en_parallel(threads, en_blocks(call->n, EN_BLOCK), backward_block, call);
}

/* Whole rows: saved is NULL on the way forward. */
static inline void softmax_rows(const pointwise_call *call, ptrdiff_t first, ptrdiff_t rows)
{
    const ptrdiff_t start = first * call->cols;
    void *y = en_at(call->dtype, call->y, start);
    const void *x = en_at(call->dtype, call->x, start);
    if (call->saved)
        softmax_backward(call->dtype, y, x, en_at(call->dtype, call->saved, start), rows, call->cols);
    else
        softmax(call->dtype, y, x, rows, call->cols);
}

static inline void softmax_block(void *context, ptrdiff_t block, int worker)
{
    const pointwise_call *call = context;
    const ptrdiff_t first = block * call->block;
    (void)worker;
    softmax_rows(call, first, en_least(call->block, call->rows - first));
}

/* Softmax of rows x cols elements, or its gradient where `saved` is given; cols > 0. */
static inline void pointwise_softmax(pointwise_call *call)
{
    const double elements = (double)call->rows * (double)call->cols;
    const int threads = en_threads(elements * (call->saved ? 0.3 : 0.6) * (call->dtype == EN_F32 ? 1 : 3));
    if (threads == 1) {
        softmax_rows(call, 0, call->rows);
        return;
    }
    call->block = call->cols < EN_BLOCK ? EN_BLOCK / call->cols : 1;
    en_parallel(threads, en_blocks(call->rows, call->block), softmax_block, call);
}

/* Columns from `first` on: their sums, after the gradient of the activation where `saved` is given. */
static inline void sums_of_columns(const pointwise_call *call, ptrdiff_t first, ptrdiff_t width)
{
    const int dtype = call->dtype;
    void *sums = en_at(dtype, call->sums, first), *y = en_at(dtype, call->y, first);
    const void *x = en_at(dtype, call->x, first), *saved = en_at(dtype, call->saved, first);
    if (saved)
        activation_backward_sums(dtype, y, sums, x, saved, call->kernel, call->rows, width, call->cols);
    else
        column_sums(dtype, sums, x, call->rows, width, call->cols);
}

static inline void columns_block(void *context, ptrdiff_t block, int worker)
{
    const pointwise_call *call = context;
    const ptrdiff_t first = block * EN_SUM_COLS;
    (void)worker;
    sums_of_columns(call, first, en_least(EN_SUM_COLS, call->cols - first));
}

/* Sums of the columns of rows x cols elements, split by columns, which keeps the order of every sum. Where `saved` is
 * given, x is first turned into y as by pointwise_backward; of a narrow matrix the threads share that part only. */
static inline void pointwise_sums(pointwise_call *call)
{
    const double n = (double)call->rows * (double)call->cols;
    const double gradient = call->saved ? backward_time(call->kernel, call->dtype, call->rows * call->cols) : 0;
    const int threads = en_threads(gradient + n * (call->dtype == EN_F32 ? 0.05 : 0.1));
    const ptrdiff_t blocks = en_blocks(call->cols, EN_SUM_COLS);
    if (threads > 1 && blocks < threads && call->saved) {
        call->n = call->rows * call->cols;
        pointwise_backward(call);
        call->x = call->y, call->saved = NULL;
    }
    if (threads == 1 || blocks == 1)
        sums_of_columns(call, 0, call->cols);
    else
        en_parallel(threads, blocks, columns_block, call);
}
#endif
