/* The loop over time of a recurrent layer, in one call: a step is one product with the state and a kernel of recurrent.h.
 * The input takes part in that product where it is narrow, and has one for all steps before the loop where it is not. What
 * one sequence computes no other one needs, so that threads take a part of the batch each and go through all of time by
 * themselves. There is no arithmetic here.
 *
 * Inside, time is the first axis. With `reverse` step s of a sequence is its position lengths[b] - 1 - s; positions from
 * lengths[b] on are padding, which changes no state, gives zeros, and has no gradient.
 *
 *   x, dx: (batch, time, n_in)   y, dy: (batch, time, hidden)   gates, dgates: (time, batch, width)
 *   hs, cs: (time + 1, batch, hidden): the state before every step, and the one after the last
 *   xh: (time, batch, n_in + 1 + hidden): what the products read: x, a one, whose weight is the bias, and hs times the
 *   mask (batch, hidden) if there is one
 *   w: (3 or 4 or 1) hidden rows of n_in   u: as many rows of hidden   b: as many numbers, 4 hidden for a GRU */
#ifndef EN_PARALLEL_RECURRENT_H
#define EN_PARALLEL_RECURRENT_H
#include <stdint.h>
#include <string.h>
#include "parallel/blocks.h"
#define EN_BORROWED
#include "parallel/product.h"
#undef EN_BORROWED
#include "kernels/recurrent.h"

enum { RNN_TANH, RNN_RELU, LSTM, GRU };

typedef struct {
    int cell, dtype, reverse;
    ptrdiff_t batch, time, n_in, hidden;
    const void *x, *w, *u, *b, *mask;
    void *y, *xh, *gates, *hs, *cs;
    const int64_t *lengths; /* (batch), or NULL: all of time */
    const uint8_t *reset;   /* (batch, time), or NULL: 1 where an episode begins */
    /* the way back */
    const void *dy;
    void *dgates, *dh, *dc, *dw, *du, *db, *dx;
    /* what the driver makes of it */
    void *room; /* (batch, hidden) */
    ptrdiff_t rows_per_block;
} recurrent_call;

/* Columns of `gates`, and those of them from `first` on that come from the state. */
typedef struct {
    ptrdiff_t width, first, count;
} gate_columns;

static inline gate_columns gate_layout(const recurrent_call *p)
{
    const ptrdiff_t n = p->hidden;
    switch (p->cell) {
    case LSTM: return (gate_columns){4 * n, 0, 4 * n};
    case GRU: return (gate_columns){4 * n, n, 3 * n};
    default: return (gate_columns){n, 0, n};
    }
}

/* Columns of `gates` and the rows of w that make them. Those of a GRU stand in another order: r, z, n become n, r, z. */
typedef struct {
    ptrdiff_t column, row, count;
} gate_piece;

static inline int gate_pieces(const recurrent_call *p, gate_piece *pieces)
{
    const ptrdiff_t n = p->hidden;
    pieces[0] = (gate_piece){0, 0, p->cell == LSTM ? 4 * n : n};
    if (p->cell != GRU)
        return 1;
    pieces[0] = (gate_piece){0, 2 * n, n};
    pieces[1] = (gate_piece){n, 0, 2 * n};
    return 2;
}

/* Whether the input takes part in the product of every step: then no sums go to memory and back before the loop (64
 * steps, 32 sequences, 32 to 128, one thread beside other work, best of 300: 3.6 ms instead of 5.2). A wide input is better multiplied once, and of a GRU's gates one
 * has no part from the state, and one none from the input. */
static inline int takes_input(const recurrent_call *p)
{
    return p->cell != GRU && p->n_in <= p->hidden && p->batch > EN_GEMM_FEW;
}

/* Columns of xh. */
static inline ptrdiff_t xh_width(const recurrent_call *p)
{
    return p->n_in + 1 + p->hidden;
}

static inline ptrdiff_t sequence_length(const recurrent_call *p, ptrdiff_t b)
{
    return p->lengths ? (ptrdiff_t)p->lengths[b] : p->time;
}

/* Position in sequence b of step s, which is not padding. */
static inline ptrdiff_t step_position(const recurrent_call *p, ptrdiff_t b, ptrdiff_t s)
{
    return p->reverse ? sequence_length(p, b) - 1 - s : s;
}

/* Whether the state is zeroed before step s: between position t and t - 1 where an episode begins at t. */
static inline int step_resets(const recurrent_call *p, ptrdiff_t b, ptrdiff_t s)
{
    if (!p->reset || s >= sequence_length(p, b))
        return 0;
    if (!p->reverse)
        return p->reset[b * p->time + s];
    return s > 0 && p->reset[b * p->time + step_position(p, b, s) + 1];
}

/* Copies x (batch, time, n) to the beginnings of rows (time, batch, stride) in the order of steps, or back; padding
 * becomes zeros. */
static inline void reorder(const recurrent_call *p, void *to, const void *from, ptrdiff_t n, ptrdiff_t stride, int back)
{
    const size_t bytes = (size_t)(n * itemsize(p->dtype));
    for (ptrdiff_t b = 0; b < p->batch; ++b)
        for (ptrdiff_t s = 0; s < p->time; ++s) {
            const int padding = s >= sequence_length(p, b);
            const ptrdiff_t outside = (b * p->time + (padding ? s : step_position(p, b, s))) * n;
            const ptrdiff_t inside = (s * p->batch + b) * stride;
            void *target = en_at(p->dtype, to, back ? outside : inside);
            if (padding)
                memset(target, 0, bytes);
            else
                memcpy(target, en_at(p->dtype, from, back ? inside : outside), bytes);
        }
}

/* c (m, n) [+]= a b [+ bias] with rows of c `c_row` apart, over threads; -1 without memory. With `pack` both factors are
 * packed, a by every thread, for its columns: those of weight gradients are long and come from far, and read where they
 * lie a would be fetched once more for every panel of columns. */
static inline int wide_product(int dtype, void *c, ptrdiff_t c_row, strided_matrix a, strided_matrix b, ptrdiff_t m,
                               ptrdiff_t k, ptrdiff_t n, const void *bias, int accumulate, int pack)
{
    gemm_call call = {.dtype = dtype, .c = c, .a = a.start, .b = b.start, .column_bias = bias};
    gemm_problem *p = &call.problem;
    p->m = m, p->n = n, p->k = k;
    p->a_row = a.row, p->a_column = a.column, p->b_row = b.row, p->b_column = b.column;
    p->c_row = c_row, p->c_column = 1;
    p->axes = 0, p->accumulate = accumulate, p->activation = EN_LINEAR;
    gemm_prepare(&call);
    if (pack && !p->transposed && p->form == EN_GEMM_PANEL && k > EN_GEMM_DEPTH) {
        p->form = EN_GEMM_PACKED;
        call.matrices = call.rows = 1;
        call.columns = call.threads = (int)en_least(call.threads, en_blocks(n, gemm_panel(dtype)));
        call.workspace = gemm_workspace(p, m, n);
    }
    if (call.workspace > 0) {
        call.work = en_the_memory->take((size_t)(call.threads * call.workspace * itemsize(dtype)));
        if (!call.work)
            return -1;
    }
    gemm_run(&call);
    en_the_memory->give_back(call.work);
    return 0;
}

/* The product of a step, c [+]= a b with the same b at every step: b is packed once, as panels of columns that
 * the kernel then reads where they lie. Each part is a gemm_problem: the whole panels, and the columns that are left. For
 * few rows one product reads b along its depth, and there are no panels. */
typedef struct {
    gemm_problem problem[2];
    const void *b[2];
    ptrdiff_t column[2];
    int count;
} step_product;

/* Adds c (m, n) += a (m, k) b (k, n) to the product, for columns from `column` on. */
static inline gemm_problem *add_part(step_product *made, ptrdiff_t column, const void *b, ptrdiff_t m, ptrdiff_t k,
                                     ptrdiff_t n, ptrdiff_t a_row, ptrdiff_t c_row, ptrdiff_t b_row, ptrdiff_t b_column)
{
    gemm_problem *p = made->problem + made->count;
    made->b[made->count] = b, made->column[made->count++] = column;
    *p = (gemm_problem){.m = m, .n = n, .k = k, .a_row = a_row, .a_column = 1, .b_row = b_row, .b_column = b_column,
                        .c_row = c_row, .c_column = 1, .activation = EN_LINEAR};
    return p;
}

#define EN_PACK(name, type) \
    static inline void name(type *restrict to, const type *restrict from, ptrdiff_t row, ptrdiff_t column, ptrdiff_t k, \
                            ptrdiff_t n) \
    { \
        for (ptrdiff_t i0 = 0; i0 < k; i0 += 16) \
            for (ptrdiff_t j = 0; j < n; ++j) \
                for (ptrdiff_t i = i0; i < en_least(k, i0 + 16); ++i) \
                    to[i * n + j] = from[i * row + j * column]; \
    }
EN_PACK(pack_4, uint32_t)
EN_PACK(pack_8, uint64_t)
#undef EN_PACK

/* to (k, n), contiguous, by lines of 16 elements that lie along k <- columns from `column` on of b, of any strides; returns what lies behind */
static inline void *pack_columns(int dtype, void *to, strided_matrix b, ptrdiff_t column, ptrdiff_t k, ptrdiff_t n)
{
    const void *from = en_at(dtype, b.start, column * b.column);
    if (dtype == EN_F32)
        pack_4(to, from, b.row, b.column, k, n);
    else
        pack_8(to, from, b.row, b.column, k, n);
    return en_at(dtype, to, k * n);
}

/* Matrices that lie above each other as one: those of `part` have depth[part] rows. */
typedef struct {
    strided_matrix part[3];
    ptrdiff_t depth[3];
    int count;
} stacked_matrix;

/* Plans c (m, n) [+]= a (m, k) b (k, n), with rows of a and c a_row and c_row apart. room: k n elements */
static inline void pack_step(step_product *made, int dtype, const stacked_matrix *b, int accumulate, ptrdiff_t m,
                             ptrdiff_t n, ptrdiff_t a_row, ptrdiff_t c_row, void *room)
{
    const ptrdiff_t panel = gemm_panel(dtype), whole = n / panel * panel;
    ptrdiff_t k = 0;
    for (int i = 0; i < b->count; ++i)
        k += b->depth[i];
    made->count = 0;
    if (m <= EN_GEMM_FEW && k >= EN_GEMM_DOT_DEPTH && b->count == 1) {
        strided_matrix only = b->part[0];
        if (only.row != 1) {
            pack_columns(dtype, room, (strided_matrix){only.start, only.column, only.row}, 0, n, k);
            only = (strided_matrix){room, 1, k};
        }
        add_part(made, 0, only.start, m, k, n, a_row, c_row, only.row, only.column);
    } else {
        void *to = room;
        for (ptrdiff_t column = 0; column < n; column += panel) {
            const ptrdiff_t count = en_least(panel, n - column);
            if (column == 0 && whole > 0) {
                gemm_problem *p = add_part(made, 0, to, m, k, panel, a_row, c_row, panel, 1);
                p->axes = 1, p->size[0] = whole / panel, p->a_step[0] = 0, p->b_step[0] = panel * k;
                p->c_step[0] = panel;
            }
            if (column == whole)
                add_part(made, whole, to, m, k, count, a_row, c_row, count, 1);
            for (int i = 0; i < b->count; ++i)
                to = pack_columns(dtype, to, b->part[i], column, b->depth[i], count);
        }
    }
    for (int i = 0; i < made->count; ++i) {
        gemm_problem *p = made->problem + i;
        gemm_plan(p, 0);
        if (p->form == EN_GEMM_PACKED)
            p->form = EN_GEMM_PANEL; /* b is packed already */
        p->direct = p->b_column == 1, p->accumulate = accumulate;
    }
}

/* Rows `first` to `stop` of c += a b; rows of a product do not depend on which others are computed with them. */
static inline void step_multiply(const step_product *product, int dtype, void *c, const void *a, ptrdiff_t first,
                                 ptrdiff_t stop)
{
    for (int i = 0; i < product->count; ++i) {
        const gemm_problem *p = product->problem + i;
        gemm_part part = gemm_whole(p);
        if (p->transposed)
            part.first_column = first, part.stop_column = stop;
        else
            part.first_row = first, part.stop_row = stop;
        matrix_product(dtype, en_at(dtype, c, product->column[i]), a, product->b[i], NULL, NULL, NULL, p, &part);
    }
}

/* A call together with the product of its steps, for the threads. */
typedef struct {
    recurrent_call *call;
    step_product product;
} recurrent_loop;

/* The sequences from `row` on, before `stop`, that step s finds alive: returns how many follow each other. */
static inline ptrdiff_t rows_alive(const recurrent_call *p, ptrdiff_t *row, ptrdiff_t stop, ptrdiff_t s)
{
    if (!p->lengths)
        return stop - *row;
    while (*row < stop && s >= p->lengths[*row])
        ++*row;
    ptrdiff_t end = *row;
    while (end < stop && s < p->lengths[end])
        ++end;
    return end - *row;
}

static inline void zero_rows(int dtype, void *start, ptrdiff_t rows, ptrdiff_t n)
{
    memset(start, 0, (size_t)(rows * n * itemsize(dtype)));
}

static inline void copy_rows(int dtype, void *to, const void *from, ptrdiff_t rows, ptrdiff_t n)
{
    memcpy(to, from, (size_t)(rows * n * itemsize(dtype)));
}

/* The kernel of step s for `rows` sequences from `row` on. */
static inline void step_forward(const recurrent_call *p, ptrdiff_t width, ptrdiff_t s, ptrdiff_t row, ptrdiff_t rows)
{
    const ptrdiff_t n = p->hidden, before = (s * p->batch + row) * n, after = before + p->batch * n;
    void *gates = en_at(p->dtype, p->gates, (s * p->batch + row) * width), *h = en_at(p->dtype, p->hs, after);
    if (p->cell == LSTM)
        lstm_forward(p->dtype, gates, h, en_at(p->dtype, p->cs, after), en_at(p->dtype, p->cs, before), rows, n);
    else if (p->cell == GRU)
        gru_forward(p->dtype, gates, h, en_at(p->dtype, p->hs, before), rows, n);
    else
        rnn_forward(p->dtype, gates, h, p->cell == RNN_RELU, rows, n);
}

static inline void forward_rows(void *context, ptrdiff_t block, int worker)
{
    const recurrent_loop *loop = context;
    const recurrent_call *p = loop->call;
    const gate_columns layout = gate_layout(p);
    const int together = takes_input(p);
    const ptrdiff_t n = p->hidden, wide = xh_width(p), first = block * p->rows_per_block;
    const ptrdiff_t stop = en_least(p->batch, first + p->rows_per_block);
    (void)worker;
    for (ptrdiff_t s = 0; s < p->time; ++s) {
        const ptrdiff_t state = s * p->batch * n, after = state + p->batch * n;
        for (ptrdiff_t b = first; p->reset && b < stop; ++b)
            if (step_resets(p, b, s)) {
                zero_rows(p->dtype, en_at(p->dtype, p->hs, state + b * n), 1, n);
                if (p->cs)
                    zero_rows(p->dtype, en_at(p->dtype, p->cs, state + b * n), 1, n);
            }
        void *xh = en_at(p->dtype, p->xh, s * p->batch * wide), *gates = en_at(p->dtype, p->gates, s * p->batch * layout.width);
        for (ptrdiff_t b = first; b < stop; ++b) {
            void *fed = en_at(p->dtype, xh, b * wide + p->n_in + 1);
            const void *h = en_at(p->dtype, p->hs, state + b * n);
            if (p->mask)
                multiply_into(p->dtype, fed, h, en_at(p->dtype, p->mask, b * n), 0, n);
            else
                copy_rows(p->dtype, fed, h, 1, n);
        }
        ptrdiff_t row = first, rows = rows_alive(p, &row, stop, s);
        if (rows > 0)
            step_multiply(&loop->product, p->dtype, en_at(p->dtype, gates, layout.first),
                          en_at(p->dtype, xh, together ? 0 : p->n_in + 1), first, stop);
        for (ptrdiff_t done = first; done < stop; done = row, rows = rows_alive(p, &row, stop, s)) {
            for (ptrdiff_t b = done; b < row; ++b) { /* those that have ended */
                copy_rows(p->dtype, en_at(p->dtype, p->hs, after + b * n), en_at(p->dtype, p->hs, state + b * n), 1, n);
                if (p->cs)
                    copy_rows(p->dtype, en_at(p->dtype, p->cs, after + b * n), en_at(p->dtype, p->cs, state + b * n), 1, n);
                if (p->y)
                    zero_rows(p->dtype, en_at(p->dtype, p->y, (b * p->time + s) * n), 1, n);
            }
            if (rows > 0)
                step_forward(p, layout.width, s, row, rows);
            for (ptrdiff_t b = row; p->y && b < row + rows; ++b)
                copy_rows(p->dtype, en_at(p->dtype, p->y, (b * p->time + step_position(p, b, s)) * n),
                          en_at(p->dtype, p->hs, after + b * n), 1, n);
            row += rows;
        }
    }
}

/* The kernel of step s on the way back for `rows` sequences from `row` on; dy: their gradients of the output, or NULL. */
static inline void step_backward(const recurrent_call *p, ptrdiff_t width, ptrdiff_t s, ptrdiff_t row, ptrdiff_t rows,
                                 const void *dy)
{
    const ptrdiff_t n = p->hidden, state = (s * p->batch + row) * n, gate = (s * p->batch + row) * width;
    void *dgates = en_at(p->dtype, p->dgates, gate), *dh = en_at(p->dtype, p->dh, row * n);
    const void *gates = en_at(p->dtype, p->gates, gate);
    if (p->cell == LSTM)
        lstm_backward(p->dtype, dgates, dh, en_at(p->dtype, p->dc, row * n), dy, gates, en_at(p->dtype, p->cs, state),
                      rows, n);
    else if (p->cell == GRU)
        gru_backward(p->dtype, dgates, dh, dy, gates, en_at(p->dtype, p->hs, state), rows, n);
    else
        rnn_backward(p->dtype, dgates, dh, dy, gates, p->cell == RNN_RELU, rows, n);
}

static inline void backward_rows(void *context, ptrdiff_t block, int worker)
{
    const recurrent_loop *loop = context;
    const recurrent_call *p = loop->call;
    const gate_columns layout = gate_layout(p);
    const ptrdiff_t n = p->hidden, first = block * p->rows_per_block;
    const ptrdiff_t stop = en_least(p->batch, first + p->rows_per_block);
    (void)worker;
    for (ptrdiff_t s = p->time - 1; s >= 0; --s) {
        void *dgates = en_at(p->dtype, p->dgates, s * p->batch * layout.width);
        ptrdiff_t row = first, rows = rows_alive(p, &row, stop, s);
        const int any = rows > 0;
        for (ptrdiff_t done = first; done < stop; done = row, rows = rows_alive(p, &row, stop, s)) {
            zero_rows(p->dtype, en_at(p->dtype, dgates, done * layout.width), row - done, layout.width);
            for (ptrdiff_t b = row; p->dy && b < row + rows; ++b)
                copy_rows(p->dtype, en_at(p->dtype, p->room, b * n),
                          en_at(p->dtype, p->dy, (b * p->time + step_position(p, b, s)) * n), 1, n);
            if (rows > 0)
                step_backward(p, layout.width, s, row, rows, p->dy ? en_at(p->dtype, p->room, row * n) : NULL);
            row += rows;
        }
        if (any && p->mask) {
            zero_rows(p->dtype, en_at(p->dtype, p->room, first * n), stop - first, n);
            step_multiply(&loop->product, p->dtype, p->room, en_at(p->dtype, dgates, layout.first), first, stop);
            for (ptrdiff_t b = first; b < stop; ++b) /* row by row: where a vector ends must not depend on the threads */
                multiply_into(p->dtype, en_at(p->dtype, p->dh, b * n), en_at(p->dtype, p->room, b * n),
                              en_at(p->dtype, p->mask, b * n), 1, n);
        } else if (any)
            step_multiply(&loop->product, p->dtype, p->dh, en_at(p->dtype, dgates, layout.first), first, stop);
        for (ptrdiff_t b = first; p->reset && b < stop; ++b)
            if (step_resets(p, b, s)) {
                zero_rows(p->dtype, en_at(p->dtype, p->dh, b * n), 1, n);
                if (p->dc)
                    zero_rows(p->dtype, en_at(p->dtype, p->dc, b * n), 1, n);
            }
    }
}

enum { EN_RECURRENT_LEAST_ROWS = 4 };

/* Runs `body` over the batch. A thread goes through all of time by itself, so that they meet once per call. */
static inline void recurrent_run(recurrent_loop *loop, en_body body)
{
    recurrent_call *p = loop->call;
    const gate_columns layout = gate_layout(p);
    const double cells = (double)p->batch * (double)p->time * (double)p->hidden, width = p->dtype == EN_F32 ? 1 : 2;
    const double nanoseconds = cells * width * ((double)layout.count / 60 + 2);
    const ptrdiff_t most = en_blocks(p->batch, EN_RECURRENT_LEAST_ROWS);
    const int threads = (int)en_least(en_threads(nanoseconds), most);
    if (p->batch == 0)
        return;
    p->rows_per_block = en_blocks(p->batch, threads);
    en_parallel(threads, en_blocks(p->batch, p->rows_per_block), body, loop);
}

/* The column of xh behind the input. */
static inline void write_ones(const recurrent_call *p)
{
    for (ptrdiff_t i = 0; i < p->time * p->batch; ++i)
        if (p->dtype == EN_F32)
            ((float *)p->xh)[i * xh_width(p) + p->n_in] = 1;
        else
            ((double *)p->xh)[i * xh_width(p) + p->n_in] = 1;
}

/* Makes the gates' sums from the input and the biases before the loop; -1 without memory. */
static inline int input_product(const recurrent_call *p)
{
    const gate_columns layout = gate_layout(p);
    const ptrdiff_t n = p->hidden, all = p->time * p->batch;
    gate_piece pieces[2];
    const int count = gate_pieces(p, pieces);
    int failed = 0;
    for (int i = 0; i < count && !failed; ++i)
        failed = wide_product(p->dtype, en_at(p->dtype, p->gates, pieces[i].column), layout.width,
                              (strided_matrix){p->xh, xh_width(p), 1},
                              (strided_matrix){en_at(p->dtype, p->w, pieces[i].row * p->n_in), 1, p->n_in}, all,
                              p->n_in, pieces[i].count, en_at(p->dtype, p->b, pieces[i].row), 0, 0);
    for (ptrdiff_t i = 0; p->cell == GRU && i < all; ++i) /* q has no part from the input */
        copy_rows(p->dtype, en_at(p->dtype, p->gates, i * layout.width + 3 * n), en_at(p->dtype, p->b, 3 * n), 1, n);
    return failed;
}

/* From x, w, u, b, the mask and the first state, hs[0] and cs[0], to everything else of the way forward; -1 without
 * memory. */
static inline int recurrent_forward(recurrent_call *p)
{
    const gate_columns layout = gate_layout(p);
    const ptrdiff_t n = p->hidden, n_in = p->n_in, wide = xh_width(p);
    const int together = takes_input(p);
    const stacked_matrix state = {.part = {{p->u, 1, n}}, .depth = {n}, .count = 1};
    const stacked_matrix all = {.part = {{p->w, 1, n_in}, {p->b, 0, 1}, {p->u, 1, n}}, .depth = {n_in, 1, n}, .count = 3};
    recurrent_loop loop = {.call = p};
    void *room = en_the_memory->take((size_t)(wide * layout.count * itemsize(p->dtype)));
    if (!room)
        return -1;
    reorder(p, p->xh, p->x, n_in, wide, 0);
    write_ones(p);
    const int failed = together ? 0 : input_product(p);
    if (!failed) {
        pack_step(&loop.product, p->dtype, together ? &all : &state, !together, p->batch, layout.count, wide,
                  layout.width, room);
        recurrent_run(&loop, forward_rows);
    }
    en_the_memory->give_back(room);
    return failed;
}

/* Gradients of the gates' sums, and of the first state in place of those of the last in dh and dc; -1 without memory. */
static inline int recurrent_backward(recurrent_call *p)
{
    const gate_columns layout = gate_layout(p);
    const ptrdiff_t n = p->hidden, packed = (layout.count * n + 15) & ~(ptrdiff_t)15;
    const stacked_matrix u = {.part = {{p->u, n, 1}}, .depth = {layout.count}, .count = 1};
    recurrent_loop loop = {.call = p};
    void *room = en_the_memory->take((size_t)((packed + p->batch * n) * itemsize(p->dtype)));
    if (!room)
        return -1;
    p->room = en_at(p->dtype, room, packed);
    pack_step(&loop.product, p->dtype, &u, 1, p->batch, n, layout.width, n, room);
    recurrent_run(&loop, backward_rows);
    en_the_memory->give_back(room);
    return 0;
}

/* c (rows, columns) = rows of xh, transposed, times columns of dgates. */
static inline int weight_product(const recurrent_call *p, void *c, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t column,
                                 ptrdiff_t columns)
{
    return wide_product(p->dtype, c, columns, (strided_matrix){en_at(p->dtype, p->xh, row), 1, xh_width(p)},
                        (strided_matrix){en_at(p->dtype, p->dgates, column), gate_layout(p).width, 1}, rows,
                        p->time * p->batch, columns, NULL, 0, 1);
}

/* to (count, rows), contiguous <- columns from `column` on of made, which is `columns` wide, transposed */
static inline void take_gradient(int dtype, void *to, const void *made, ptrdiff_t columns, ptrdiff_t column,
                                 ptrdiff_t count, ptrdiff_t rows)
{
    pack_columns(dtype, to, (strided_matrix){en_at(dtype, made, column), 1, columns}, 0, count, rows);
}

/* dw, du and db. Where the same gates have both weights it is one product, transposed, as the packed product likes it. */
static inline int weight_gradients(const recurrent_call *p)
{
    const gate_columns layout = gate_layout(p);
    const ptrdiff_t n = p->hidden, n_in = p->n_in, from_input = p->cell == GRU ? 3 * n : layout.width;
    const int dtype = p->dtype, apart = p->cell == GRU;
    gate_piece pieces[2];
    const int count = gate_pieces(p, pieces);
    void *room = en_the_memory->take((size_t)(xh_width(p) * layout.width * itemsize(dtype)));
    if (!room)
        return -1;
    int failed = weight_product(p, room, 0, apart ? n_in + 1 : xh_width(p), 0, from_input);
    for (int i = 0; i < count && !failed; ++i) {
        const gate_piece piece = pieces[i];
        take_gradient(dtype, en_at(dtype, p->dw, piece.row * n_in), room, from_input, piece.column, piece.count, n_in);
        take_gradient(dtype, en_at(dtype, p->db, piece.row), en_at(dtype, room, n_in * from_input), from_input,
                      piece.column, piece.count, 1);
    }
    if (apart && !failed) /* r, z, q */
        failed = weight_product(p, room, n_in, 1 + n, layout.first, layout.count);
    const void *of_state = en_at(dtype, room, (apart ? 1 : n_in + 1) * layout.count);
    if (!failed)
        take_gradient(dtype, p->du, of_state, layout.count, 0, layout.count, n);
    if (apart && !failed)
        take_gradient(dtype, en_at(dtype, p->db, 3 * n), room, layout.count, 2 * n, n, 1);
    en_the_memory->give_back(room);
    return failed;
}

/* From dgates to the gradients that are wanted: of w, u, b together, and of x; -1 without memory. */
static inline int recurrent_gradients(recurrent_call *p)
{
    const gate_columns layout = gate_layout(p);
    const ptrdiff_t n_in = p->n_in, all = p->time * p->batch;
    gate_piece pieces[2];
    const int count = gate_pieces(p, pieces);
    int failed = 0;
    if (p->dw)
        failed = weight_gradients(p);
    if (p->dx && !failed) {
        void *dxs = en_the_memory->take((size_t)((all + 1) * n_in * itemsize(p->dtype)));
        failed = !dxs;
        for (int i = 0; i < count && !failed; ++i)
            failed = wide_product(p->dtype, dxs, n_in,
                                  (strided_matrix){en_at(p->dtype, p->dgates, pieces[i].column), layout.width, 1},
                                  (strided_matrix){en_at(p->dtype, p->w, pieces[i].row * n_in), n_in, 1}, all,
                                  pieces[i].count, n_in, NULL, i > 0, 0);
        if (!failed)
            reorder(p, p->dx, dxs, n_in, n_in, 1);
        en_the_memory->give_back(dxs);
    }
    return failed ? -1 : 0;
}
#endif
