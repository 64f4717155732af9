#ifndef REAL
#define EN_BODY "kernels/gemm.c"
#include "kernels/gemm.h"
#include "kernels/instantiate.h"
#else
#include "kernels/gemm_tile.h"

/* Columns whose products with 2, and with 3 or 4 rows are summed at a time: as many as registers hold. */
#if TILE_ROWS == 12
#define DOT_COLUMNS_2 8
#define DOT_COLUMNS_4 4
#else
#define DOT_COLUMNS_2 4
#define DOT_COLUMNS_4 2
#endif

_Static_assert(EN_GEMM_COLUMNS % TILE_COLUMNS == 0 && TILE_COLUMNS <= EN_GEMM_WIDEST, "blocks hold whole panels");

/* One factor, or the result, of a product: element (i, j) at at[i * row + j * column]. */
typedef struct {
    const REAL *at;
    ptrdiff_t row, column;
} EN_NAME(matrix);

/* Writes `count` columns of a tile to c, which may have any strides, and does on the way what `finish` says. */
EN_NOINLINE void EN_NAME(store_part)(REAL *restrict c, ptrdiff_t c_row, ptrdiff_t c_column, REAL *restrict tile,
                                        ptrdiff_t tile_row, ptrdiff_t rows, ptrdiff_t count,
                                        const EN_NAME(finish) *finish)
{
    for (ptrdiff_t i = 0; i < rows; ++i, c += c_row, tile += tile_row) {
        if (finish->add)
            for (ptrdiff_t j = 0; j < count; ++j)
                tile[j] = c[j * c_column] + tile[j];
        if (finish->column_bias)
            for (ptrdiff_t j = 0; j < count; ++j)
                tile[j] += finish->column_bias[j];
        if (finish->row_bias)
            for (ptrdiff_t j = 0; j < count; ++j)
                tile[j] += finish->row_bias[i];
        if (finish->activation == EN_RELU)
            for (ptrdiff_t j = 0; j < count; ++j)
                tile[j] = tile[j] < 0 ? 0 : tile[j];
        if (finish->activation == EN_LEAKYRELU)
            for (ptrdiff_t j = 0; j < count; ++j)
                tile[j] = tile[j] < 0 ? LEAKYRELU_SLOPE * tile[j] : tile[j];
        if (c_column == 1)
            for (ptrdiff_t j = 0; j < count; ++j)
                c[j] = tile[j];
        else
            for (ptrdiff_t j = 0; j < count; ++j)
                c[j * c_column] = tile[j];
    }
}

/* A tile of at most TILE_ROWS rows and TILE_VECTORS vectors; a with rows next to each other, or of any strides. */
EN_NOINLINE void EN_NAME(any_tile)(REAL *restrict c, ptrdiff_t c_row, const EN_NAME(matrix) *a, const REAL *restrict b,
                              ptrdiff_t b_row, const EN_NAME(finish) *finish, ptrdiff_t rows, ptrdiff_t vectors,
                              ptrdiff_t depth)
{
#define TILE_CASE_OF(rows, vectors) \
    case rows * 4 + vectors: \
        if (a->row == 1) \
            EN_NAME(tile_of)(rows, vectors, c, c_row, a->at, 1, a->column, b, b_row, NULL, finish, depth); \
        else \
            EN_NAME(tile_of)(rows, vectors, c, c_row, a->at, a->row, a->column, b, b_row, NULL, finish, depth); \
        break;
#if TILE_VECTORS == 3
#define TILE_CASE(rows) TILE_CASE_OF(rows, 1) TILE_CASE_OF(rows, 2) TILE_CASE_OF(rows, 3)
#else
#define TILE_CASE(rows) TILE_CASE_OF(rows, 1) TILE_CASE_OF(rows, 2)
#endif
    switch (rows * 4 + vectors) {
    TILE_CASE(1)
    TILE_CASE(2)
    TILE_CASE(3)
    TILE_CASE(4)
#if TILE_ROWS == 12
    TILE_CASE(5)
    TILE_CASE(6)
    TILE_CASE(7)
    TILE_CASE(8)
    TILE_CASE(9)
    TILE_CASE(10)
    TILE_CASE(11)
    TILE_CASE(12)
#endif
    }
#undef TILE_CASE
#undef TILE_CASE_OF
}

/* any_tile, of whose columns the first `count` go to c, which may have any strides. */
static inline void EN_NAME(tile_into)(REAL *restrict c, ptrdiff_t c_row, ptrdiff_t c_column,
                                      const EN_NAME(matrix) *a,                                      const REAL *restrict b, ptrdiff_t b_row, const EN_NAME(finish) *finish,
                                      ptrdiff_t rows, ptrdiff_t vectors, ptrdiff_t count, ptrdiff_t depth)
{
    if (c_column == 1 && count == vectors * LANES) {
        EN_NAME(any_tile)(c, c_row, a, b, b_row, finish, rows, vectors, depth);
        return;
    }
    REAL tile[TILE_ROWS * TILE_COLUMNS];
    const EN_NAME(finish) plain = {NULL, NULL, 0, 0};
    EN_NAME(any_tile)(tile, vectors * LANES, a, b, b_row, &plain, rows, vectors, depth);
    EN_NAME(store_part)(c, c_row, c_column, tile, vectors * LANES, rows, count, finish);
}

/* The finish of the tile at (i, j) in block number `block` of `blocks` along k. Biases and activation come with the last. */
static inline EN_NAME(finish) EN_NAME(finish_at)(const REAL *column_bias, const REAL *row_bias, const gemm_problem *p,
                                                 ptrdiff_t i, ptrdiff_t j, ptrdiff_t block, ptrdiff_t blocks)
{
    const int last = block == blocks - 1;
    return (EN_NAME(finish)){last && column_bias ? column_bias + j : NULL, last && row_bias ? row_bias + i : NULL,
                             p->accumulate || block > 0, last ? p->activation : EN_LINEAR};
}

/* The parts of a product that is computed: what matrix_product gives to the forms below. */
#define EN_PARTS \
    REAL *restrict c, EN_NAME(matrix) a, EN_NAME(matrix) b, const REAL *column_bias, const REAL *row_bias, \
    const gemm_problem *p, ptrdiff_t m, ptrdiff_t n

/* a where it lies times one panel of columns after the other, packed on the stack unless it can be read in place. */
EN_NOINLINE void EN_NAME(by_panel)(EN_PARTS)
{
    _Alignas(64) REAL packed[EN_GEMM_DEPTH * TILE_COLUMNS + LANES];
    const ptrdiff_t blocks = gemm_tiles(p->k, EN_GEMM_DEPTH), tiles = gemm_tiles(m, TILE_ROWS);
    for (ptrdiff_t j = 0; j < n; j += TILE_COLUMNS) {
        const ptrdiff_t count = gemm_least(n - j, TILE_COLUMNS), vectors = gemm_tiles(count, LANES);
        const int direct = p->direct && count == vectors * LANES;
        for (ptrdiff_t block = 0; block < blocks; ++block) {
            const ptrdiff_t k = gemm_row(block, blocks, p->k), depth = gemm_row(block + 1, blocks, p->k) - k;
            const REAL *from = b.at + k * b.row + j * b.column;
            if (!direct)
                EN_NAME(pack_lines)(packed, from, b.column, b.row, count, n - j, vectors * LANES, depth);
            for (ptrdiff_t t = 0; t < tiles; ++t) {
                const ptrdiff_t i = gemm_row(t, tiles, m), rows = gemm_row(t + 1, tiles, m) - i;
                const EN_NAME(finish) finish = EN_NAME(finish_at)(column_bias, row_bias, p, i, j, block, blocks);
                const EN_NAME(matrix) left = {a.at + i * a.row + k * a.column, a.row, a.column};
                EN_NAME(tile_into)(c + i * p->c_row + j * p->c_column, p->c_row, p->c_column, &left,
                                   direct ? from : packed, direct ? b.row : vectors * LANES, &finish, rows, vectors,
                                   count, depth);
            }
        }
    }
}

/* Blocks of a and b packed into the workspace, so that every tile reads both in order and from near.
 *                            Goto & van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication, figure 8 */
EN_NOINLINE void EN_NAME(by_block)(EN_PARTS, REAL *restrict work)
{
    const ptrdiff_t blocks = gemm_tiles(p->k, EN_GEMM_DEPTH), heights = gemm_tiles(m, EN_GEMM_ROWS);
    REAL *packed_a = (REAL *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
    REAL *packed_b = packed_a + (gemm_least(p->k, EN_GEMM_DEPTH) * gemm_least(m, EN_GEMM_ROWS) + 2 * LANES - 1)
                              / LANES * LANES;
    for (ptrdiff_t j0 = 0; j0 < n; j0 += EN_GEMM_COLUMNS)
        for (ptrdiff_t block = 0; block < blocks; ++block) {
            const ptrdiff_t k = gemm_row(block, blocks, p->k), depth = gemm_row(block + 1, blocks, p->k) - k;
            const ptrdiff_t j1 = gemm_least(n, j0 + EN_GEMM_COLUMNS);
            for (ptrdiff_t j = j0; j < j1; j += TILE_COLUMNS) {
                const ptrdiff_t count = gemm_least(n - j, TILE_COLUMNS);
                EN_NAME(pack_lines)(packed_b + (j - j0) * depth, b.at + k * b.row + j * b.column, b.column, b.row,
                                    count, n - j, gemm_tiles(count, LANES) * LANES, depth);
            }
            for (ptrdiff_t height = 0; height < heights; ++height) {
                const ptrdiff_t i0 = gemm_row(height, heights, m), most = gemm_row(height + 1, heights, m) - i0;
                const ptrdiff_t tiles = gemm_tiles(most, TILE_ROWS);
                for (ptrdiff_t t = 0; t < tiles; ++t) {
                    const ptrdiff_t i = gemm_row(t, tiles, most), rows = gemm_row(t + 1, tiles, most) - i;
                    EN_NAME(pack_lines)(packed_a + i * depth, a.at + (i0 + i) * a.row + k * a.column, a.row, a.column,
                                        rows, m - i0 - i, rows, depth);
                }
                for (ptrdiff_t j = j0; j < j1; j += TILE_COLUMNS) {
                    const ptrdiff_t count = gemm_least(n - j, TILE_COLUMNS), vectors = gemm_tiles(count, LANES);
                    for (ptrdiff_t t = 0; t < tiles; ++t) {
                        const ptrdiff_t i = gemm_row(t, tiles, most), rows = gemm_row(t + 1, tiles, most) - i;
                        const EN_NAME(finish) finish
                            = EN_NAME(finish_at)(column_bias, row_bias, p, i0 + i, j, block, blocks);
                        const EN_NAME(matrix) left = {packed_a + i * depth, 1, rows};
                        EN_NAME(tile_into)(c + (i0 + i) * p->c_row + j * p->c_column, p->c_row, p->c_column, &left,
                                           packed_b + (j - j0) * depth, vectors * LANES, &finish, rows, vectors,
                                           count, depth);
                    }
                }
            }
        }
}

/* sums[i][j] = the products of row i of a and column j of b, lane by lane, for as many k as
 * whole vectors have. Columns behind `count` repeat the last one. */
EN_INLINE void EN_NAME(dots_of)(const int rows, const int columns, VECTOR (*sums)[LANES], const REAL *restrict a,
                                     ptrdiff_t a_row, const REAL *restrict b, ptrdiff_t b_column, ptrdiff_t count,
                                     ptrdiff_t depth)
{
    for (ptrdiff_t j = 0; j < LANES && j < count; j += columns) {
        VECTOR sum[EN_GEMM_FEW][8];
        const REAL *column[8];
EN_UNROLL(8)
        for (int jj = 0; jj < columns; ++jj) {
            column[jj] = b + gemm_least(j + jj, count - 1) * b_column;
EN_UNROLL(4)
            for (int i = 0; i < rows; ++i)
                sum[i][jj] = (VECTOR){0};
        }
        ptrdiff_t k = 0;
        for (; k + LANES <= depth; k += LANES) {
            VECTOR left[EN_GEMM_FEW];
EN_UNROLL(4)
            for (int i = 0; i < rows; ++i)
                left[i] = LOAD(a + i * a_row + k);
EN_UNROLL(8)
            for (int jj = 0; jj < columns; ++jj) {
                VECTOR right = LOAD(column[jj] + k);
EN_UNROLL(4)
                for (int i = 0; i < rows; ++i)
                    sum[i][jj] += left[i] * right;
            }
        }
EN_UNROLL(8)
        for (int jj = 0; jj < columns; ++jj)
EN_UNROLL(4)
            for (int i = 0; i < rows; ++i)
                if (j + jj < LANES)
                    sums[i][j + jj] = sum[i][jj];
    }
}

/* Few rows times columns, LANES of them at a time, packed on the stack unless they are contiguous along k. */
EN_NOINLINE void EN_NAME(by_dot)(EN_PARTS)
{
    const ptrdiff_t blocks = gemm_tiles(p->k, EN_GEMM_DOT_BLOCK);
    REAL rows_of_a[EN_GEMM_FEW * EN_GEMM_DOT_BLOCK], columns_of_b[LANES * EN_GEMM_DOT_BLOCK + LANES];
    for (ptrdiff_t block = 0; block < blocks; ++block) {
        const ptrdiff_t k = block * EN_GEMM_DOT_BLOCK, depth = gemm_least(p->k - k, EN_GEMM_DOT_BLOCK);
        EN_NAME(matrix) left = {a.at + k * a.column, a.row, a.column};
        if (a.column != 1) {
            for (ptrdiff_t i = 0; i < m; ++i)
                for (ptrdiff_t kk = 0; kk < depth; ++kk)
                    rows_of_a[i * EN_GEMM_DOT_BLOCK + kk] = left.at[i * a.row + kk * a.column];
            left = (EN_NAME(matrix)){rows_of_a, EN_GEMM_DOT_BLOCK, 1};
        }
        for (ptrdiff_t j = 0; j < n; j += LANES) {
            const ptrdiff_t count = gemm_least(n - j, LANES);
            const EN_NAME(finish) finish = EN_NAME(finish_at)(column_bias, row_bias, p, 0, j, block, blocks);
            EN_NAME(matrix) right = {b.at + k * b.row + j * b.column, 1, b.column};
            if (b.row != 1) {
                EN_NAME(pack_lines)(columns_of_b, right.at, b.row, b.column, depth, depth, depth, count);
                right = (EN_NAME(matrix)){columns_of_b, 1, depth};
            }
            VECTOR sums[EN_GEMM_FEW][LANES];
            REAL tile[EN_GEMM_FEW * LANES];
            switch (m) {
            case 1: EN_NAME(dots_of)(1, 8, sums, left.at, left.row, right.at, right.column, count, depth); break;
            case 2: EN_NAME(dots_of)(2, DOT_COLUMNS_2, sums, left.at, left.row, right.at, right.column, count, depth); break;
            case 3: EN_NAME(dots_of)(3, DOT_COLUMNS_4, sums, left.at, left.row, right.at, right.column, count, depth); break;
            default: EN_NAME(dots_of)(4, DOT_COLUMNS_4, sums, left.at, left.row, right.at, right.column, count, depth); break;
            }
            for (ptrdiff_t i = 0; i < m; ++i) {
                for (ptrdiff_t jj = count; jj < LANES; ++jj)
                    sums[i][jj] = (VECTOR){0};
                STORE(tile + i * LANES, EN_NAME(lane_sums)(sums[i]));
                for (ptrdiff_t jj = 0; jj < count; ++jj)
                    for (ptrdiff_t kk = depth / LANES * LANES; kk < depth; ++kk)
                        tile[i * LANES + jj] += left.at[i * left.row + kk] * right.at[jj * right.column + kk];
            }
            EN_NAME(store_part)(c + j * p->c_column, p->c_row, p->c_column, tile, LANES, m, count, &finish);
        }
    }
}

/* No products to add: c is what `finish` makes of zero. */
EN_NOINLINE void EN_NAME(without_depth)(EN_PARTS)
{
    for (ptrdiff_t i = 0; i < m; ++i)
        for (ptrdiff_t j = 0; j < n; ++j) {
            const EN_NAME(finish) finish = EN_NAME(finish_at)(column_bias, row_bias, p, i, j, 0, 1);
            REAL zero[1] = {0};
            EN_NAME(store_part)(c + i * p->c_row + j * p->c_column, 0, 0, zero, 0, 1, 1, &finish);
        }
    (void)a;
    (void)b;
}

/* matrix_product.  c[i][j] = f([c[i][j] +] sum_k a[i][k] b[k][j] [+ column_bias[j]] [+ row_bias[i]]),   f(x) = x, max(x, 0), or x < 0 ? 0.01 x : x
 * with [c +] if p->accumulate and f as p->activation says, for the rows, columns and matrices of `part`. An element is the sum
 * over fixed blocks of k, each summed in the order of k (lane by lane in the DOT form), wherever it lies in a tile.
 * work: gemm_workspace elements, or NULL. */
static void EN_NAME(matrix_product)(REAL *restrict c, const REAL *restrict a, const REAL *restrict b,
                                    const REAL *column_bias, const REAL *row_bias, REAL *restrict work,
                                    const gemm_problem *p, const gemm_part *part)
{
    const ptrdiff_t i0 = part->first_row, j0 = part->first_column, m = part->stop_row - i0, n = part->stop_column - j0;
    ptrdiff_t index[EN_GEMM_MOST_AXES], left_out = part->first_matrix, matrices = part->stop_matrix - left_out;
    if (p->transposed) {
        const REAL *kept = a;
        a = b;
        b = kept;
        kept = column_bias;
        column_bias = row_bias;
        row_bias = kept;
    }
    if (m <= 0 || n <= 0 || matrices <= 0)
        return;
    for (int axis = p->axes - 1; axis >= 0; --axis) {
        index[axis] = left_out % p->size[axis];
        left_out /= p->size[axis];
        c += index[axis] * p->c_step[axis];
        a += index[axis] * p->a_step[axis];
        b += index[axis] * p->b_step[axis];
    }
    c += i0 * p->c_row + j0 * p->c_column;
    column_bias = column_bias ? column_bias + j0 : NULL;
    row_bias = row_bias ? row_bias + i0 : NULL;
    EN_NAME(matrix) left = {a + i0 * p->a_row, p->a_row, p->a_column};
    EN_NAME(matrix) right = {b + j0 * p->b_column, p->b_row, p->b_column};
    for (; matrices > 0; --matrices) {
        if (p->k == 0)
            EN_NAME(without_depth)(c, left, right, column_bias, row_bias, p, m, n);
        else if (p->form == EN_GEMM_DOT)
            EN_NAME(by_dot)(c, left, right, column_bias, row_bias, p, m, n);
        else if (p->form == EN_GEMM_PACKED)
            EN_NAME(by_block)(c, left, right, column_bias, row_bias, p, m, n, work);
        else
            EN_NAME(by_panel)(c, left, right, column_bias, row_bias, p, m, n);
        for (int axis = p->axes - 1; axis >= 0; --axis) {
            c += p->c_step[axis];
            left.at += p->a_step[axis];
            right.at += p->b_step[axis];
            if (++index[axis] < p->size[axis])
                break;
            c -= p->size[axis] * p->c_step[axis];
            left.at -= p->size[axis] * p->a_step[axis];
            right.at -= p->size[axis] * p->b_step[axis];
            index[axis] = 0;
        }
    }
}

#undef EN_PARTS
#undef DOT_COLUMNS_2
#undef DOT_COLUMNS_4
#endif
