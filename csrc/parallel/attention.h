/* Attention over threads: going forward, blocks are ranges of (batch, head, queries of a tile); going back, ranges of
 * (batch, head of the keys), whose gradients add up over the queries. What a tile computes does not depend on who does. */
#ifndef EN_PARALLEL_ATTENTION_H
#define EN_PARALLEL_ATTENTION_H
#include "parallel/blocks.h"
#include "parallel/product.h"
#include <string.h>

/* An array (batch, heads, tokens, width): strides in elements, that of the last axis is 1. */
typedef struct {
    char *start;
    ptrdiff_t batch, head, token;
} attention_array;

/* A call; what does not apply is NULL or 0. */
typedef struct {
    int dtype, causal, threads;
    ptrdiff_t batch, heads, kv_heads, tokens, keys, d;
    attention_array q, k, v, y, dy, dq, dk, dv;
    void *lse; /* (batch, heads, tokens) */
    double scale;
    ptrdiff_t window;       /* 0: all */
    const int64_t *lengths; /* (batch) */
    const void *slopes;     /* (heads) */
    const uint8_t *seen;
    const void *added;
    ptrdiff_t mask_batch, mask_head, mask_query, mask_key;
    double dropout;         /* share of the weights that are dropped, by random bits of dropout_key */
    uint64_t dropout_key;
    ptrdiff_t units, block;
    char *work;
} attention_call;

enum {
    ATTENTION_TILE = EN_ATTENTION_QUERIES * EN_ATTENTION_KEYS,
    ATTENTION_WORK = 2 * ATTENTION_TILE + 3 * EN_ATTENTION_QUERIES, /* elements per thread */
};

/* Some tokens of one head. */
typedef struct {
    char *start;
    ptrdiff_t token;
} attention_rows_of;

static inline attention_rows_of rows_of(const attention_call *p, const attention_array *a, ptrdiff_t b, ptrdiff_t h,
                                        ptrdiff_t token)
{
    return (attention_rows_of){en_at(p->dtype, a->start, b * a->batch + h * a->head + token * a->token), a->token};
}

/* c (m, n), rows c_row apart, = or += a b; small enough for the product to need no workspace. */
static inline void tile_product(int dtype, void *c, ptrdiff_t c_row, strided_matrix a, strided_matrix b, ptrdiff_t m,
                                ptrdiff_t k, ptrdiff_t n, int accumulate)
{
    gemm_problem p;
    p.m = m, p.n = n, p.k = k;
    p.a_row = a.row, p.a_column = a.column, p.b_row = b.row, p.b_column = b.column, p.c_row = c_row, p.c_column = 1;
    p.axes = 0, p.accumulate = accumulate, p.activation = EN_LINEAR;
    p.form = EN_GEMM_PANEL, p.transposed = 0, p.direct = 0;
    const gemm_part part = {0, m, 0, n, 0, 1};
    matrix_product(dtype, c, a.start, b.start, NULL, NULL, NULL, &p, &part);
}

/* Scores of `keys` keys and `queries` queries: the products of their rows, columns behind the last query zero. */
static inline void tile_scores(int dtype, void *s, attention_rows_of k, attention_rows_of q, ptrdiff_t keys,
                               ptrdiff_t queries, ptrdiff_t width, ptrdiff_t d)
{
    tile_product(dtype, s, width, (strided_matrix){k.start, k.token, 1}, (strided_matrix){q.start, 1, q.token}, keys, d,
                 queries, 0);
    if (queries < width)
        for (ptrdiff_t j = 0; j < keys; ++j)
            memset(en_at(dtype, s, j * width + queries), 0, (size_t)((width - queries) * itemsize(dtype)));
}

/* What the queries from `query` on are held to: the keys that any of `queries` of them may see are first to stop. */
static inline attention_bias bias_of(const attention_call *p, ptrdiff_t b, ptrdiff_t h, ptrdiff_t query,
                                     ptrdiff_t queries, ptrdiff_t *first, ptrdiff_t *stop)
{
    const ptrdiff_t far = PTRDIFF_MAX / 4, at = b * p->mask_batch + h * p->mask_head + query * p->mask_query;
    attention_bias bias = {.query = query + p->keys - p->tokens, .scale = p->scale, .mask_query = p->mask_query,
                           .mask_key = p->mask_key};
    bias.below = p->window > 0 ? en_least(p->window - 1, far) : far;
    bias.above = p->causal ? 0 : bias.below;
    if (p->slopes)
        bias.slope = p->dtype == EN_F32 ? ((const float *)p->slopes)[h] : ((const double *)p->slopes)[h];
    bias.seen = p->seen ? p->seen + at : NULL;
    bias.added = en_at(p->dtype, p->added, at);
    const ptrdiff_t length = p->lengths ? en_least((ptrdiff_t)p->lengths[b], p->keys) : p->keys;
    *first = bias.query - bias.below > 0 ? bias.query - bias.below : 0;
    *stop = en_least(length, bias.query + queries + bias.above);
    return bias;
}

/* Puts bias and mask on the tile that begins with key `key`; returns the factor that the scores still lack. */
static inline double tile_bias(const attention_call *p, void *s, attention_bias bias, ptrdiff_t key, ptrdiff_t keys,
                               ptrdiff_t queries, ptrdiff_t width)
{
    const int whole = key + keys - 1 <= bias.query + bias.above && key >= bias.query + queries - 1 - bias.below;
    if (whole && bias.slope == 0 && !bias.seen && !bias.added)
        return bias.scale;
    bias.key = key;
    bias.seen = bias.seen ? bias.seen + key * bias.mask_key : NULL;
    bias.added = en_at(p->dtype, bias.added, key * bias.mask_key);
    attention_scores(p->dtype, s, &bias, keys, queries, width);
    return 1;
}

/* Drops weights of a tile, or their gradients. */
static inline void tile_dropout(const attention_call *p, void *x, ptrdiff_t b, ptrdiff_t h, ptrdiff_t query, ptrdiff_t key,
                                ptrdiff_t keys, ptrdiff_t queries, ptrdiff_t width)
{
    const uint64_t row = ((uint64_t)b * (uint64_t)p->heads + (uint64_t)h) * (uint64_t)p->tokens + (uint64_t)query;
    if (p->dropout > 0)
        attention_dropout(p->dtype, x, p->dropout_key, row * (uint64_t)p->keys + (uint64_t)key, p->keys, p->dropout,
                          keys, queries, width);
}

static inline void clear_rows(int dtype, attention_rows_of a, ptrdiff_t rows, ptrdiff_t width)
{
    for (ptrdiff_t i = 0; i < rows; ++i)
        memset(en_at(dtype, a.start, i * a.token), 0, (size_t)(width * itemsize(dtype)));
}

/* n elements: `count` from x, then `rest`. */
static inline void fill(int dtype, void *to, const void *x, ptrdiff_t count, ptrdiff_t n, double rest)
{
    if (count > 0)
        memcpy(to, x, (size_t)(count * itemsize(dtype)));
    for (ptrdiff_t i = count; i < n; ++i)
        if (dtype == EN_F32)
            ((float *)to)[i] = (float)rest;
        else
            ((double *)to)[i] = rest;
}

/* The queries of one tile against all keys that they see. */
static inline void attention_forward_unit(const attention_call *p, ptrdiff_t unit, char *work)
{
    const int dtype = p->dtype;
    const ptrdiff_t tiles = en_blocks(p->tokens, EN_ATTENTION_QUERIES);
    const ptrdiff_t query = unit % tiles * EN_ATTENTION_QUERIES, h = unit / tiles % p->heads, b = unit / tiles / p->heads;
    const ptrdiff_t queries = en_least(p->tokens - query, EN_ATTENTION_QUERIES), kv = h / (p->heads / p->kv_heads);
    const ptrdiff_t width = en_blocks(queries, EN_ATTENTION_UNIT) * EN_ATTENTION_UNIT;
    void *top = work, *sum = en_at(dtype, top, width), *shrink = en_at(dtype, sum, width);
    void *s = en_at(dtype, shrink, width), *lse = en_at(dtype, p->lse, (b * p->heads + h) * p->tokens + query);
    const attention_rows_of q = rows_of(p, &p->q, b, h, query), y = rows_of(p, &p->y, b, h, query);
    ptrdiff_t key, stop, first;
    const attention_bias bias = bias_of(p, b, h, query, queries, &first, &stop);
    fill(dtype, top, NULL, 0, width, -HUGE_VAL);
    fill(dtype, sum, NULL, 0, width, 0);
    for (key = first; key < stop; key += EN_ATTENTION_KEYS) {
        const ptrdiff_t keys = en_least(stop - key, EN_ATTENTION_KEYS);
        const attention_rows_of k = rows_of(p, &p->k, b, kv, key), v = rows_of(p, &p->v, b, kv, key);
        tile_scores(dtype, s, k, q, keys, queries, width, p->d);
        const double scale = tile_bias(p, s, bias, key, keys, queries, width);
        attention_softmax(dtype, s, top, sum, shrink, scale, keys, width);
        tile_dropout(p, s, b, h, query, key, keys, queries, width);
        if (key > first)
            attention_rows(dtype, (void *)y.start, NULL, NULL, shrink, queries, p->d, y.token);
        tile_product(dtype, y.start, y.token, (strided_matrix){s, 1, width}, (strided_matrix){v.start, v.token, 1},
                     queries, keys, p->d, key > first);
    }
    attention_rows(dtype, (void *)y.start, lse, top, sum, queries, p->d, y.token);
}

/* The gradients that the queries of one tile give to themselves and to one head of the keys, added to those that are
 * there if `add`. */
static inline void attention_backward_tile(const attention_call *p, ptrdiff_t b, ptrdiff_t h, ptrdiff_t query, int add,
                                           char *work)
{
    const int dtype = p->dtype;
    const ptrdiff_t queries = en_least(p->tokens - query, EN_ATTENTION_QUERIES), kv = h / (p->heads / p->kv_heads);
    const ptrdiff_t width = en_blocks(queries, EN_ATTENTION_UNIT) * EN_ATTENTION_UNIT;
    void *lse = work, *delta = en_at(dtype, lse, width), *s = en_at(dtype, delta, width);
    void *dp = en_at(dtype, s, ATTENTION_TILE);
    const attention_rows_of q = rows_of(p, &p->q, b, h, query), dq = rows_of(p, &p->dq, b, h, query);
    const attention_rows_of y = rows_of(p, &p->y, b, h, query), dy = rows_of(p, &p->dy, b, h, query);
    ptrdiff_t first, stop;
    const attention_bias bias = bias_of(p, b, h, query, queries, &first, &stop);
    if (first >= stop)
        clear_rows(dtype, dq, queries, p->d);
    fill(dtype, lse, en_at(dtype, p->lse, (b * p->heads + h) * p->tokens + query), queries, width, HUGE_VAL);
    fill(dtype, delta, NULL, 0, width, 0);
    attention_delta(dtype, delta, (void *)dy.start, (void *)y.start, queries, p->d, dy.token, y.token);
    for (ptrdiff_t key = first; key < stop; key += EN_ATTENTION_KEYS) {
        const ptrdiff_t keys = en_least(stop - key, EN_ATTENTION_KEYS);
        const attention_rows_of k = rows_of(p, &p->k, b, kv, key), v = rows_of(p, &p->v, b, kv, key);
        const attention_rows_of dk = rows_of(p, &p->dk, b, kv, key), dv = rows_of(p, &p->dv, b, kv, key);
        tile_scores(dtype, s, k, q, keys, queries, width, p->d);
        const double scale = tile_bias(p, s, bias, key, keys, queries, width);
        tile_scores(dtype, dp, v, dy, keys, queries, width, p->d);
        tile_dropout(p, dp, b, h, query, key, keys, queries, width);
        attention_gradient(dtype, s, dp, lse, delta, scale, p->scale, keys, width);
        tile_dropout(p, s, b, h, query, key, keys, queries, width);
        tile_product(dtype, dv.start, dv.token, (strided_matrix){s, width, 1}, (strided_matrix){dy.start, dy.token, 1},
                     keys, queries, p->d, add);
        tile_product(dtype, dk.start, dk.token, (strided_matrix){dp, width, 1}, (strided_matrix){q.start, q.token, 1},
                     keys, queries, p->d, add);
        tile_product(dtype, dq.start, dq.token, (strided_matrix){dp, 1, width}, (strided_matrix){k.start, k.token, 1},
                     queries, keys, p->d, key > first);
    }
}

/* All queries of the heads that share one head of the keys. */
static inline void attention_backward_unit(const attention_call *p, ptrdiff_t unit, char *work)
{
    const ptrdiff_t group = p->heads / p->kv_heads, kv = unit % p->kv_heads, b = unit / p->kv_heads;
    const int all = !p->causal && !p->window && !p->lengths; /* the first queries see every key */
    if (!all) {
        clear_rows(p->dtype, rows_of(p, &p->dk, b, kv, 0), p->keys, p->d);
        clear_rows(p->dtype, rows_of(p, &p->dv, b, kv, 0), p->keys, p->d);
    }
    for (ptrdiff_t h = kv * group; h < (kv + 1) * group; ++h)
        for (ptrdiff_t query = 0; query < p->tokens; query += EN_ATTENTION_QUERIES)
            attention_backward_tile(p, b, h, query, !all || h > kv * group || query > 0, work);
}

static inline void attention_block(void *context, ptrdiff_t block, int worker)
{
    const attention_call *p = context;
    char *work = en_at(p->dtype, p->work, (ptrdiff_t)worker * ATTENTION_WORK);
    for (ptrdiff_t unit = block * p->block; unit < en_least(p->units, (block + 1) * p->block); ++unit)
        if (p->dq.start)
            attention_backward_unit(p, unit, work);
        else
            attention_forward_unit(p, unit, work);
}

/* Rotations of all heads, in place. */
typedef struct {
    int dtype;
    attention_array x;
    const void *cosines, *sines;
    ptrdiff_t batch, heads, tokens, pairs, block;
} rotary_call;

static inline void rotary_block(void *context, ptrdiff_t block, int worker)
{
    const rotary_call *p = context;
    (void)worker;
    for (ptrdiff_t i = block * p->block; i < en_least(p->batch * p->heads, (block + 1) * p->block); ++i)
        attention_rotate(p->dtype, en_at(p->dtype, p->x.start, i / p->heads * p->x.batch + i % p->heads * p->x.head),
                         p->cosines, p->sines, p->tokens, p->pairs, p->x.token);
}

static inline void rotary_run(rotary_call *p)
{
    const ptrdiff_t heads = p->batch * p->heads;
    const double elements = (double)heads * (double)p->tokens * (double)p->pairs;
    const int threads = en_threads(elements * (p->dtype == EN_F32 ? 0.5 : 1));
    p->block = threads > 1 ? en_blocks(heads, 8 * threads) : heads;
    if (heads > 0)
        en_parallel(threads, en_blocks(heads, p->block), rotary_block, p);
}

/* Runs a call, backward if it has a dq; -1 if there is no memory for a workspace. */
static inline int attention_run(attention_call *p)
{
    const double pairs = (double)p->batch * (double)p->heads * (double)p->tokens * (double)p->keys;
    const double products = pairs * (double)p->d * (p->dq.start ? 5 : 2) / (p->dtype == EN_F32 ? 50 : 25);
    p->units = p->batch * (p->dq.start ? p->kv_heads : p->heads * en_blocks(p->tokens, EN_ATTENTION_QUERIES));
    p->threads = en_threads(products + pairs * (p->dtype == EN_F32 ? 0.3 : 0.6));
    p->block = p->threads > 1 ? en_blocks(p->units, 16 * p->threads) : p->units;
    p->work = en_the_memory->take((size_t)(p->threads * ATTENTION_WORK * itemsize(p->dtype)));
    if (!p->work)
        return -1;
    if (p->units > 0)
        en_parallel(p->threads, en_blocks(p->units, p->block), attention_block, p);
    en_the_memory->give_back(p->work);
    return 0;
}
#endif
