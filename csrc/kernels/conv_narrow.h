/* Convolutions with few channels per group, above all depthwise ones: too few rows for a register tile, so that vectors
 * run along the pixels alone. No guard: conv.c includes it once per dtype and instruction set. */
#undef NARROW_VECTORS
#undef NARROW_TAPS
#define NARROW_VECTORS 8 /* of pixels whose sums are in registers */
#define NARROW_TAPS 9    /* whose gradients are */

/* The same as convolve, to the bit. */
static void EN_NAME(convolve_narrow)(REAL *restrict y, const REAL *restrict phases, const EN_NAME(filters) *filters,
                                     ptrdiff_t pixel, ptrdiff_t stop, const conv_tables *tables, const conv_geometry *g,
                                     const conv_layout *at)
{
    conv_walk walk = conv_walk_from(g, at, pixel);
    while (pixel < stop) {
        const REAL *from[NARROW_VECTORS];
        REAL *to[NARROW_VECTORS];
        ptrdiff_t count[NARROW_VECTORS];
        for (int j = 0; j < NARROW_VECTORS; ++j) {
            count[j] = conv_least(walk.width - walk.column, conv_least(stop - pixel, LANES));
            from[j] = count[j] ? phases + walk.image * at->image + walk.row * at->columns + walk.column : phases;
            to[j] = y + walk.image * g->o * at->pixels + walk.row * walk.width + walk.column;
            pixel += count[j];
            conv_step(&walk, count[j]);
        }
        for (ptrdiff_t o = 0; o < at->o; ++o) {
            const REAL *weights = filters->weights + o * filters->by.row;
            VECTOR sum[NARROW_VECTORS];
EN_UNROLL(8)
            for (int j = 0; j < NARROW_VECTORS; ++j)
                sum[j] = filters->b ? BROADCAST(filters->b[o]) : (VECTOR){0};
            for (ptrdiff_t k = 0; k < at->taps; ++k) {
                const VECTOR factor = BROADCAST(weights[tables->factors[k]]);
                const ptrdiff_t place = tables->images[k];
EN_UNROLL(8)
                for (int j = 0; j < NARROW_VECTORS; ++j)
                    sum[j] += factor * LOAD(from[j] + place);
            }
EN_UNROLL(8)
            for (int j = 0; j < NARROW_VECTORS; ++j) {
                REAL results[LANES];
                STORE(results, filters->relu ? EN_NAME(positive_part)(sum[j]) : sum[j]);
                EN_NAME(copy)(to[j] + o * at->pixels, results, count[j]);
            }
        }
    }
}

static inline REAL EN_NAME(sum_of_lanes)(VECTOR v)
{
    REAL sum = LANE(v, 0);
    for (int lane = 1; lane < LANES; ++lane)
        sum += LANE(v, lane);
    return sum;
}

/* One output channel's gradients at NARROW_TAPS taps, and at the bias. sums: in/out (taps), `width` apart; bias: in/out
 * dy: in, pixels of the first image, `dy_image` elements from one to the next   taps: in, where each reads the first */
static void EN_NAME(add_narrow_taps)(REAL *restrict sums, ptrdiff_t width, ptrdiff_t count, REAL *restrict bias,
                                     const REAL *restrict dy, ptrdiff_t dy_image, const REAL *const *taps,
                                     const conv_pixels *over)
{
    VECTOR sum[NARROW_TAPS], bias_sum = {0};
EN_UNROLL(9)
    for (int i = 0; i < NARROW_TAPS; ++i)
        sum[i] = (VECTOR){0};
    for (ptrdiff_t image = 0; image < over->images; ++image)
        for (ptrdiff_t y = 0; y < over->rows; ++y) {
            const REAL *row = dy + image * dy_image + y * over->width;
            const ptrdiff_t first = image * over->image + y * over->columns;
            ptrdiff_t x = 0;
            for (; x + LANES <= over->width; x += LANES) {
                const VECTOR outputs = LOAD(row + x);
                bias_sum += outputs;
EN_UNROLL(9)
                for (int i = 0; i < NARROW_TAPS; ++i)
                    sum[i] += outputs * LOAD(taps[i] + first + x);
            }
            if (x < over->width) { /* what lies behind the row is not even multiplied by zero: it may be infinite */
                const EN_NAME(mask) mask = LANES_BEFORE(over->width - x);
                REAL rest[LANES] = {0};
                EN_NAME(copy)(rest, row + x, over->width - x);
                const VECTOR outputs = LOAD(rest);
                bias_sum += outputs;
EN_UNROLL(9)
                for (int i = 0; i < NARROW_TAPS; ++i)
                    sum[i] += outputs * SELECT(mask, LOAD(taps[i] + first + x), (VECTOR){0});
            }
        }
EN_UNROLL(9)
    for (int i = 0; i < NARROW_TAPS; ++i)
        if (i < count)
            sums[i * width] += EN_NAME(sum_of_lanes)(sum[i]);
    if (bias)
        *bias += EN_NAME(sum_of_lanes)(bias_sum);
}

/* Adds what some images contribute to one block of output channels, like add_block, from dy itself. */
static void EN_NAME(add_narrow_block)(REAL *restrict sums, const REAL *restrict phases, const REAL *restrict dy,
                                      ptrdiff_t dy_image, const conv_outputs *block, const conv_pixels *over,
                                      const ptrdiff_t *restrict table, const conv_layout *at)
{
    for (ptrdiff_t o = 0; o < block->count; ++o)
        for (ptrdiff_t tap = 0; tap < conv_most(at->taps, 1); tap += NARROW_TAPS) {
            const REAL *taps[NARROW_TAPS];
            for (ptrdiff_t i = 0; i < NARROW_TAPS; ++i) /* a tap behind the last one is the first one again */
                taps[i] = phases + (at->taps > 0 ? table[tap + i < at->taps ? tap + i : 0] : 0);
            EN_NAME(add_narrow_taps)(sums + tap * block->width + o, block->width, at->taps - tap,
                                     tap == 0 ? sums + at->taps * block->width + o : NULL, dy + o * at->pixels, dy_image,
                                     taps, over);
        }
}
