/* The register tile that matrix products are made of. No guard: a kernel body includes it
 * once per dtype and instruction set (see instantiate.h), for which it defines
 *   TILE_ROWS, TILE_COLUMNS      the largest tile of gemm_tile
 *   EN_NAME(gemm_tile), EN_NAME(pack_rows)
 *
 * A tile keeps TILE_ROWS x TILE_VECTORS accumulators in registers and leaves room for one row of b and one broadcast
 * element of a: 16 of the 32 registers of AVX-512, 12 of the 16 of AVX2 and SSE2. Fewer rows than TILE_ROWS run a tile
 * of their own rather than a padded one: split rows with gemm_row, evenly. */
#undef TILE_ROWS
#undef TILE_VECTORS
#undef TILE_COLUMNS

#if EN_VECTOR == 64
#define TILE_ROWS 8
#define TILE_VECTORS 2
#else
#define TILE_ROWS 4
#define TILE_VECTORS 3
#endif
#define TILE_COLUMNS (TILE_VECTORS * LANES)

#ifndef EN_GEMM_TILE_H
#define EN_GEMM_TILE_H

/* Number of tiles that `rows` rows need, at most `most` rows each. */
static inline ptrdiff_t gemm_tiles(ptrdiff_t rows, ptrdiff_t most)
{
    return rows / most + (rows % most != 0);
}

/* First row of tile number `tile` of `tiles`: sizes differ by at most one, so 9 rows are 5 + 4, not 8 + 1. */
static inline ptrdiff_t gemm_row(ptrdiff_t tile, ptrdiff_t tiles, ptrdiff_t rows)
{
    ptrdiff_t longer = rows % tiles;
    return tile * (rows / tiles) + (tile < longer ? tile : longer);
}
#endif

/* pack_rows.  packed: out (depth, rows)   a: in, element (row, k) at a[row * row_stride + k * k_stride] */
static inline void EN_NAME(pack_rows)(REAL *restrict packed, const REAL *restrict a, ptrdiff_t row_stride,
                                      ptrdiff_t k_stride, ptrdiff_t rows, ptrdiff_t depth)
{
    for (ptrdiff_t k = 0; k < depth; ++k)
        for (ptrdiff_t row = 0; row < rows; ++row)
            packed[k * rows + row] = a[row * row_stride + k * k_stride];
}

EN_INLINE void EN_NAME(gemm_tile_of)(const int rows, REAL *restrict c, ptrdiff_t c_stride,
                                          const REAL *restrict a, const REAL *restrict b,
                                          const REAL *restrict start, ptrdiff_t depth)
{
    VECTOR sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
        VECTOR first = (VECTOR){0} + (start ? start[i] : 0);
#pragma GCC unroll 4
        for (int j = 0; j < TILE_VECTORS; ++j)
            sum[i][j] = first;
    }
    for (ptrdiff_t k = 0; k < depth; ++k) {
        VECTOR row[TILE_VECTORS];
#pragma GCC unroll 4
        for (int j = 0; j < TILE_VECTORS; ++j)
            row[j] = LOAD(b + k * TILE_COLUMNS + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            VECTOR factor = (VECTOR){0} + a[k * rows + i];
#pragma GCC unroll 4
            for (int j = 0; j < TILE_VECTORS; ++j)
                sum[i][j] += factor * row[j];
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < TILE_VECTORS; ++j)
            STORE(c + i * c_stride + j * LANES, sum[i][j]);
}

/* gemm_tile.  c: out (rows, TILE_COLUMNS), rows c_stride apart   a: in (depth, rows)   b: in (depth, TILE_COLUMNS)
 *             start: in (rows), or NULL for zeros            1 <= rows <= TILE_ROWS
 * c[i][j] = start[i] + sum_k a[k][i] b[k][j], summed in the order of k.
 *                            Goto & van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication, section 4 */
static void EN_NAME(gemm_tile)(REAL *restrict c, ptrdiff_t c_stride, const REAL *restrict a, const REAL *restrict b,
                               const REAL *restrict start, ptrdiff_t rows, ptrdiff_t depth)
{
    switch (rows) {
    case 1: EN_NAME(gemm_tile_of)(1, c, c_stride, a, b, start, depth); break;
    case 2: EN_NAME(gemm_tile_of)(2, c, c_stride, a, b, start, depth); break;
    case 3: EN_NAME(gemm_tile_of)(3, c, c_stride, a, b, start, depth); break;
    case 4: EN_NAME(gemm_tile_of)(4, c, c_stride, a, b, start, depth); break;
#if TILE_ROWS == 8
    case 5: EN_NAME(gemm_tile_of)(5, c, c_stride, a, b, start, depth); break;
    case 6: EN_NAME(gemm_tile_of)(6, c, c_stride, a, b, start, depth); break;
    case 7: EN_NAME(gemm_tile_of)(7, c, c_stride, a, b, start, depth); break;
    case 8: EN_NAME(gemm_tile_of)(8, c, c_stride, a, b, start, depth); break;
#endif
    }
}
