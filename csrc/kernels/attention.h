/* Softmax attention, tile by tile; the kernels are in attention.c, the products between them are gemm's.
 *
 * A tile holds the scores of some keys (rows) and queries (columns), s[j * width + i], so that what softmax needs of a
 * query lies in one lane of a vector. width: the queries, rounded up to a multiple of EN_ATTENTION_UNIT; columns
 * behind the last query may hold anything finite. Tiles are not kept: what is as large as queries x keys never exists. */
#ifndef EN_ATTENTION_H
#define EN_ATTENTION_H
#include <stddef.h>
#include <stdint.h>

enum { EN_ATTENTION_UNIT = 16, EN_ATTENTION_QUERIES = 64, EN_ATTENTION_KEYS = 128 };

/* What is done to the scores of one tile. Query i (counted on the keys' scale) sees keys i - below to i + above. */
typedef struct {
    ptrdiff_t key, query; /* of the first row and column */
    ptrdiff_t above, below;
    double scale, slope;
    const uint8_t *seen; /* of the first row and column, or NULL: which pairs are seen */
    const void *added;   /* the same: what is added to the scores */
    ptrdiff_t mask_query, mask_key; /* strides of either, in elements */
} attention_bias;

#define EN_CONCERN attention
#define EN_KERNELS(KERNEL) \
    KERNEL(void, attention_scores, (REAL *restrict s, const attention_bias *bias, ptrdiff_t keys, ptrdiff_t queries, \
                                    ptrdiff_t width)) \
    KERNEL(void, attention_softmax, (REAL *restrict s, REAL *restrict top, REAL *restrict sum, REAL *restrict shrink, \
                                     double scale, ptrdiff_t keys, ptrdiff_t width)) \
    KERNEL(void, attention_rows, (REAL *restrict y, REAL *restrict lse, const REAL *restrict top, \
                                  const REAL *restrict factor, ptrdiff_t rows, ptrdiff_t width, ptrdiff_t y_row)) \
    KERNEL(void, attention_delta, (REAL *restrict delta, const REAL *restrict dy, const REAL *restrict y, \
                                   ptrdiff_t rows, ptrdiff_t width, ptrdiff_t dy_row, ptrdiff_t y_row)) \
    KERNEL(void, attention_gradient, (REAL *restrict s, REAL *restrict dp, const REAL *restrict lse, \
                                      const REAL *restrict delta, double scale, double dscale, ptrdiff_t keys, \
                                      ptrdiff_t width))
#include "kernels/table.h"

#define attention_scores(dtype, ...) EN_CALL(attention, attention_scores, dtype, __VA_ARGS__)
#define attention_softmax(dtype, ...) EN_CALL(attention, attention_softmax, dtype, __VA_ARGS__)
#define attention_rows(dtype, ...) EN_CALL(attention, attention_rows, dtype, __VA_ARGS__)
#define attention_delta(dtype, ...) EN_CALL(attention, attention_delta, dtype, __VA_ARGS__)
#define attention_gradient(dtype, ...) EN_CALL(attention, attention_gradient, dtype, __VA_ARGS__)
#endif
