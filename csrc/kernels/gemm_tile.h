/* The register tile that matrix products are made of. No guard: a kernel body includes it
 * once per dtype and instruction set (see instantiate.h), for which it defines
 *   TILE_ROWS, TILE_COLUMNS      its largest size
 *   EN_NAME(tile_of), EN_NAME(pack_lines)
 *
 * A tile keeps TILE_ROWS x TILE_VECTORS accumulators in registers and leaves room for one row of b and one broadcast
 * element of a: 24 of the 32 registers of AVX-512, 12 of the 16 of AVX2 and SSE2. Fewer rows than TILE_ROWS run a tile
 * of their own rather than a padded one: split rows with gemm_row, evenly. */
#undef TILE_ROWS
#undef TILE_VECTORS
#undef TILE_COLUMNS
#undef TILE_MOST_VECTORS

#if EN_VECTOR == 64
#define TILE_ROWS 12
#define TILE_VECTORS 2
#else
#define TILE_ROWS 4
#define TILE_VECTORS 3
#endif
#define TILE_COLUMNS (TILE_VECTORS * LANES)
#define TILE_MOST_VECTORS 8 /* of tiles with fewer rows */

#ifndef EN_GEMM_TILE_H
#define EN_GEMM_TILE_H
#include "kernels/activations.h"
/* Both GCC and clang have __builtin_shufflevector since the version tested here; without it, plain loops. */
#if EN_GNU_C && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define EN_CAN_INTERLEAVE 1
#endif
#endif
#ifndef EN_CAN_INTERLEAVE
#define EN_CAN_INTERLEAVE 0
#endif
#define EN_INTERLEAVE_2(a, b, from) __builtin_shufflevector(a, b, from, from + 2)
#define EN_INTERLEAVE_4(a, b, from) __builtin_shufflevector(a, b, from, from + 4, from + 1, from + 5)
#define EN_INTERLEAVE_8(a, b, from) \
    __builtin_shufflevector(a, b, from, from + 8, from + 1, from + 9, from + 2, from + 10, from + 3, from + 11)
#define EN_INTERLEAVE_16(a, b, from) \
    __builtin_shufflevector(a, b, from, from + 16, from + 1, from + 17, from + 2, from + 18, from + 3, from + 19, \
                            from + 4, from + 20, from + 5, from + 21, from + 6, from + 22, from + 7, from + 23)

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

/* a0 b0 a1 b1 ... from the lower halves of a and b, and from their upper halves. */
#if EN_CAN_INTERLEAVE
EN_INLINE VECTOR EN_NAME(interleave_low)(VECTOR a, VECTOR b)
{
#if EN_VECTOR == 64 && !EN_IS_DOUBLE
    return EN_INTERLEAVE_16(a, b, 0);
#elif EN_VECTOR == 64 || (EN_VECTOR == 32 && !EN_IS_DOUBLE)
    return EN_INTERLEAVE_8(a, b, 0);
#elif EN_VECTOR == 32 || !EN_IS_DOUBLE
    return EN_INTERLEAVE_4(a, b, 0);
#else
    return EN_INTERLEAVE_2(a, b, 0);
#endif
}

EN_INLINE VECTOR EN_NAME(interleave_high)(VECTOR a, VECTOR b)
{
#if EN_VECTOR == 64 && !EN_IS_DOUBLE
    return EN_INTERLEAVE_16(a, b, 8);
#elif EN_VECTOR == 64 || (EN_VECTOR == 32 && !EN_IS_DOUBLE)
    return EN_INTERLEAVE_8(a, b, 4);
#elif EN_VECTOR == 32 || !EN_IS_DOUBLE
    return EN_INTERLEAVE_4(a, b, 2);
#else
    return EN_INTERLEAVE_2(a, b, 1);
#endif
}

/* Transposes LANES vectors. Interleaving the first half with the second moves the top bit of a row's number to the
 * bottom of the lanes' numbers; doing so once per bit exchanges the two. */
EN_INLINE void EN_NAME(transpose)(VECTOR *row)
{
EN_UNROLL(4)
    for (int stage = 1; stage < LANES; stage *= 2) {
        VECTOR next[LANES];
EN_UNROLL(8)
        for (int i = 0; i < LANES / 2; ++i) {
            next[2 * i] = EN_NAME(interleave_low)(row[i], row[i + LANES / 2]);
            next[2 * i + 1] = EN_NAME(interleave_high)(row[i], row[i + LANES / 2]);
        }
EN_UNROLL(16)
        for (int i = 0; i < LANES; ++i)
            row[i] = next[i];
    }
}
#endif

/* The vector whose lane i is the sum of the lanes of row[i]; row has LANES vectors and is overwritten. */
EN_INLINE VECTOR EN_NAME(lane_sums)(VECTOR *row)
{
#if EN_CAN_INTERLEAVE
EN_UNROLL(4)
    for (int half = LANES / 2; half > 0; half /= 2)
EN_UNROLL(8)
        for (int i = 0; i < half; ++i)
            row[i] = EN_NAME(interleave_low)(row[i], row[i + half]) + EN_NAME(interleave_high)(row[i], row[i + half]);
    return row[0];
#else
    VECTOR sums;
    for (int i = 0; i < LANES; ++i) {
        LANE(sums, i) = 0;
        for (int lane = 0; lane < LANES; ++lane)
            LANE(sums, i) += LANE(row[i], lane);
    }
    return sums;
#endif
}

/* Transposes `count` <= LANES lines of `depth` elements: packed[k * width] = lines' elements k, zero behind `count`.
 * Writes whole vectors in the order of k: what lies behind one is overwritten by the next. */
EN_NOINLINE void EN_NAME(pack_few_lines)(REAL *restrict packed, const REAL *restrict lines, ptrdiff_t line_stride,
                                    ptrdiff_t count, ptrdiff_t width, ptrdiff_t depth)
{
#if EN_CAN_INTERLEAVE
    if (depth >= LANES) {
        for (ptrdiff_t k = 0;;) {
            VECTOR row[LANES];
EN_UNROLL(16)
            for (int i = 0; i < LANES; ++i)
                row[i] = i < count ? LOAD(lines + i * line_stride + k) : (VECTOR){0};
            EN_NAME(transpose)(row);
EN_UNROLL(16)
            for (int i = 0; i < LANES; ++i)
                STORE(packed + (k + i) * width, row[i]);
            if (k == depth - LANES)
                return;
            k = k + LANES < depth - LANES ? k + LANES : depth - LANES;
        }
    }
#endif
    for (ptrdiff_t k = 0; k < depth; ++k)
        for (ptrdiff_t i = 0; i < LANES; ++i)
            packed[k * width + i] = i < count ? lines[i * line_stride + k] : 0;
}

/* pack_lines.  packed: out (depth, width), and up to LANES - 1 elements behind it
 *              lines: in, element (i, k) at lines[i * line_stride + k * k_stride]      0 < count <= width
 *              readable: lines from the first one on that exist, at least `count`
 * Columns behind `count` are zero, or other lines. */
EN_NOINLINE void EN_NAME(pack_lines)(REAL *restrict packed, const REAL *restrict lines, ptrdiff_t line_stride,
                                ptrdiff_t k_stride, ptrdiff_t count, ptrdiff_t readable, ptrdiff_t width,
                                ptrdiff_t depth)
{
    const ptrdiff_t vectors = gemm_tiles(width, LANES);
    if (k_stride == 1 && line_stride != 1) {
        /* From the last lines to the first: the first ones have a whole vector, so nothing they write is too much. */
        for (ptrdiff_t first = (vectors - 1) * LANES; first >= 0; first -= LANES) {
            ptrdiff_t few = count - first < LANES ? count - first : LANES;
            EN_NAME(pack_few_lines)(packed + first, lines + (few > 0 ? first * line_stride : 0), line_stride,
                                    few > 0 ? few : 0, width, depth);
        }
    } else if (line_stride == 1 && readable >= vectors * LANES) {
        for (ptrdiff_t k = 0; k < depth; ++k)
            for (ptrdiff_t i = 0; i < vectors; ++i) {
                STORE(packed + k * width + i * LANES, LOAD(lines + k * k_stride + i * LANES));
                EN_KEEP_LOOP();
            }
    } else {
        for (ptrdiff_t k = 0; k < depth; ++k) {
            for (ptrdiff_t i = 0; i < count; ++i)
                packed[k * width + i] = lines[i * line_stride + k * k_stride];
            for (ptrdiff_t i = count; i < width; ++i)
                packed[k * width + i] = 0;
        }
    }
}

/* 0 where x < 0, else x: NaN stays NaN. */
EN_INLINE VECTOR EN_NAME(positive_part)(VECTOR x)
{
    return SELECT(x < (VECTOR){0}, (VECTOR){0}, x);
}

#undef LEAKYRELU_SLOPE
#define LEAKYRELU_SLOPE C(0.01)

/* x < 0 ? 0.01 x : x, as pointwise.c has it. */
EN_INLINE VECTOR EN_NAME(leaky)(VECTOR x)
{
    return SELECT(x < (VECTOR){0}, BROADCAST(LEAKYRELU_SLOPE) * x, x);
}

/* What becomes of a finished sum: c = sum, or c + sum; then the bias of its column and of its row; then an activation of
 * activations.h. */
typedef struct {
    const REAL *column_bias, *row_bias; /* from the tile's first column and row on, or NULL */
    int add, activation;
} EN_NAME(finish);

/* tile_of.  c: out (rows, vectors LANES), or in/out if finish says so, rows c_stride apart
 *           a: in, element (i, k) at a[i * a_row + k * a_step]   b: in (depth, vectors LANES), rows b_step apart
 *           start: in (rows) or NULL, where the sums begin       finish: what to do with them, or NULL to store them
 * c[i][j] = start[i] + sum_k a[i][k] b[k][j], summed in the order of k.
 *                            Goto & van de Geijn 2008, Anatomy of High-Performance Matrix Multiplication, section 4 */
EN_INLINE void EN_NAME(tile_of)(const int rows, const int vectors, REAL *restrict c, ptrdiff_t c_stride,
                                     const REAL *restrict a, ptrdiff_t a_row, ptrdiff_t a_step,
                                     const REAL *restrict b, ptrdiff_t b_step, const REAL *restrict start,
                                     const EN_NAME(finish) *finish, ptrdiff_t depth)
{
    VECTOR sum[TILE_ROWS][TILE_MOST_VECTORS];
    const REAL *third[(TILE_ROWS + 2) / 3]; /* every third row: the two behind it are one addressing mode away */
EN_UNROLL(4)
    for (int i = 0; i < (rows + 2) / 3; ++i)
        third[i] = a + 3 * i * a_row;
EN_UNROLL(16)
    for (int i = 0; i < rows; ++i) {
        VECTOR first = start ? BROADCAST(start[i]) : (VECTOR){0};
EN_UNROLL(8)
        for (int j = 0; j < vectors; ++j)
            sum[i][j] = first;
    }
    for (ptrdiff_t k = 0; k < depth; ++k) {
        VECTOR row[TILE_MOST_VECTORS];
EN_UNROLL(8)
        for (int j = 0; j < vectors; ++j)
            row[j] = LOAD(b + j * LANES);
EN_UNROLL(16)
        for (int i = 0; i < rows; ++i) {
            VECTOR factor = BROADCAST(third[i / 3][i % 3 * a_row]);
EN_UNROLL(8)
            for (int j = 0; j < vectors; ++j)
                sum[i][j] += factor * row[j];
        }
        b += b_step;
EN_UNROLL(4)
        for (int i = 0; i < (rows + 2) / 3; ++i)
            third[i] += a_step;
    }
    /* One branch per step and tile: the compiler would turn branches inside of one loop into a loop for each case. */
#define EACH_SUM(update) \
    EN_UNROLL(16) for (int i = 0; i < rows; ++i) \
        EN_UNROLL(8) for (int j = 0; j < vectors; ++j) \
            update
    if (finish && finish->add)
        EACH_SUM(sum[i][j] = LOAD(c + i * c_stride + j * LANES) + sum[i][j];)
    if (finish && finish->column_bias)
        EACH_SUM(sum[i][j] += LOAD(finish->column_bias + j * LANES);)
    if (finish && finish->row_bias)
        EACH_SUM(sum[i][j] += BROADCAST(finish->row_bias[i]);)
    if (finish && finish->activation == EN_RELU)
        EACH_SUM(sum[i][j] = EN_NAME(positive_part)(sum[i][j]);)
    if (finish && finish->activation == EN_LEAKYRELU)
        EACH_SUM(sum[i][j] = EN_NAME(leaky)(sum[i][j]);)
    EACH_SUM(STORE(c + i * c_stride + j * LANES, sum[i][j]);)
#undef EACH_SUM
}
