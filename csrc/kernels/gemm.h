/* Matrix products over any strides; the kernels are in gemm.c.
 *
 * c (m, n) <- a (m, k) b (k, n), and leading axes over which all three step. A product is described by gemm_problem,
 * whose sizes and strides the caller fills in and gemm_plan completes. The bits of a result depend on values, sizes and
 * instruction set, but not on strides, addresses, or what part of c is computed by itself: DOT is chosen by shape alone,
 * and PANEL and PACKED add in the same order. */
#ifndef EN_GEMM_H
#define EN_GEMM_H
#include <stddef.h>
#include "kernels/activations.h"

enum { EN_GEMM_MOST_AXES = 62 };

/* How a product is computed:
 *   DOT    few rows or columns: vectors run along k, and nothing is packed where that is the contiguous axis;
 *   PANEL  a is read where it lies, b too if `direct`, or one panel of columns at a time is packed on the stack;
 *   PACKED a and b are packed block by block into the workspace. */
enum { EN_GEMM_DOT, EN_GEMM_PANEL, EN_GEMM_PACKED };

typedef struct {
    ptrdiff_t m, n, k;
    ptrdiff_t a_row, a_column, b_row, b_column, c_row, c_column; /* strides, in elements */
    int axes;                                                    /* leading axes */
    ptrdiff_t size[EN_GEMM_MOST_AXES], a_step[EN_GEMM_MOST_AXES], b_step[EN_GEMM_MOST_AXES], c_step[EN_GEMM_MOST_AXES];
    int accumulate;
    int activation; /* of the finished sums; see activations.h */
    /* What gemm_plan decides. If transposed, sizes and strides describe c' = b' a'. */
    int form, transposed, direct;
} gemm_problem;

/* The part of c to compute: rows and columns of c as it is planned, and matrices counted over all leading axes. */
typedef struct {
    ptrdiff_t first_row, stop_row, first_column, stop_column, first_matrix, stop_matrix;
} gemm_part;

#define EN_CONCERN gemm
#define EN_KERNELS(KERNEL) \
    KERNEL(void, matrix_product, (REAL *restrict c, const REAL *restrict a, const REAL *restrict b, \
                                  const REAL *column_bias, const REAL *row_bias, REAL *restrict work, \
                                  const gemm_problem *p, const gemm_part *part))
#include "kernels/table.h"

/* Bytes of a row of one panel of b, which gemm_tile.h makes of an instruction set's registers. */
#define EN_GEMM_PANEL_BYTES(isa) ((isa) == EN_ISA_AVX512 ? 128 : (isa) == EN_ISA_AVX2 ? 96 : 48)

#define matrix_product(dtype, ...) EN_CALL(gemm, matrix_product, dtype, __VA_ARGS__)

/* Blocks, in elements, for every dtype and instruction set: a panel of EN_GEMM_DEPTH x 128 bytes stays in the first
 * level of cache, EN_GEMM_ROWS x EN_GEMM_DEPTH of a in the second, EN_GEMM_DEPTH x EN_GEMM_COLUMNS of b in the third. */
enum {
    EN_GEMM_DEPTH = 320,
    EN_GEMM_ROWS = 192,
    EN_GEMM_COLUMNS = 2016, /* whole panels for every dtype and instruction set */
    EN_GEMM_WIDEST = 32, /* columns of a panel, at most */
    EN_GEMM_NEAR = 1 << 17, /* of a in one block of depth: as much is read where it lies */
    EN_GEMM_SCATTERED_DEPTH = 1024, /* and elements of c from which on a transposed a is packed however near it is */
    EN_GEMM_SCATTERED = 1 << 15,
    EN_GEMM_DIRECT_ROWS = 128, /* as many rows read b where it lies */
    EN_GEMM_FEW = 4,       /* rows or columns of a DOT product, at most */
    EN_GEMM_DOT_DEPTH = 8, /* and its depth, at least */
    EN_GEMM_DOT_BLOCK = 640, /* of depth: whole vectors, so that only the last block ends between two */
};

static inline ptrdiff_t gemm_least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static inline void gemm_exchange(ptrdiff_t *a, ptrdiff_t *b)
{
    ptrdiff_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Elements of `work` that matrix_product needs for parts of at most m x n of a planned problem: none unless packed. */
static inline ptrdiff_t gemm_workspace(const gemm_problem *p, ptrdiff_t m, ptrdiff_t n)
{
    if (p->form != EN_GEMM_PACKED)
        return 0;
    ptrdiff_t depth = gemm_least(p->k, EN_GEMM_DEPTH);
    ptrdiff_t columns = gemm_least(n, EN_GEMM_COLUMNS) + EN_GEMM_WIDEST;
    return depth * (gemm_least(m, EN_GEMM_ROWS) + columns) + 4 * EN_GEMM_WIDEST;
}

/* Whether a tile would read a new line of memory for every k, far from the last one, and often enough for packing to
 * pay: a deep transposed factor, as in the gradient of weights (128 x 2048 x 512: 140 GFLOP/s packed, 99 otherwise). */
static inline int gemm_scattered(const gemm_problem *p)
{
    return p->a_row == 1 && p->a_column > EN_GEMM_WIDEST && p->k >= EN_GEMM_SCATTERED_DEPTH
        && p->m * p->n >= EN_GEMM_SCATTERED;
}

/* Chooses by shape, here and nowhere else. The thresholds are measured: see docs/decisions/0008-matrix-product.md. */
static inline void gemm_plan(gemm_problem *p, int row_bias)
{
    /* Leading axes along which b stays and the rows of a and c go on are more rows. */
    while (p->axes > 0 && !row_bias && p->m > EN_GEMM_FEW && p->b_step[p->axes - 1] == 0
           && p->a_step[p->axes - 1] == p->m * p->a_row && p->c_step[p->axes - 1] == p->m * p->c_row)
        p->m *= p->size[--p->axes];
    /* Vectors run along the columns of c, so these are to be contiguous, and more than a few. */
    p->transposed = p->n <= EN_GEMM_FEW || p->m <= EN_GEMM_FEW ? p->m > p->n : p->c_column != 1 && p->c_row == 1;
    if (p->transposed) {
        gemm_exchange(&p->m, &p->n);
        gemm_exchange(&p->a_row, &p->b_column);
        gemm_exchange(&p->a_column, &p->b_row);
        gemm_exchange(&p->c_row, &p->c_column);
        for (int i = 0; i < p->axes; ++i)
            gemm_exchange(&p->a_step[i], &p->b_step[i]);
    }
    if (p->m <= EN_GEMM_FEW && p->k >= EN_GEMM_DOT_DEPTH)
        p->form = EN_GEMM_DOT;
    else if (p->n <= EN_GEMM_WIDEST
             || (!gemm_scattered(p) && p->m <= EN_GEMM_NEAR / gemm_least(p->k > 0 ? p->k : 1, EN_GEMM_DEPTH)))
        p->form = EN_GEMM_PANEL;
    else
        p->form = EN_GEMM_PACKED;
    p->direct = p->b_column == 1 && p->m <= EN_GEMM_DIRECT_ROWS;
}

/* All of a planned problem. */
static inline gemm_part gemm_whole(const gemm_problem *p)
{
    ptrdiff_t matrices = 1;
    for (int i = 0; i < p->axes; ++i)
        matrices *= p->size[i];
    return (gemm_part){0, p->m, 0, p->n, 0, matrices};
}
#endif
