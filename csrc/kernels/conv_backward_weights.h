/* The gradients at weights and bias. No guard: conv.c includes it once per dtype and instruction set. */

/* Taps of one weights tile, and its width in vectors of output channels: like a tile of gemm_tile.h. */
#undef WEIGHT_ROWS
#undef WEIGHT_VECTORS
#undef WEIGHT_COLUMNS
#if EN_VECTOR == 64
#define WEIGHT_ROWS 12
#else
#define WEIGHT_ROWS 6
#endif
#define WEIGHT_VECTORS 2
#define WEIGHT_COLUMNS (WEIGHT_VECTORS * LANES)

#ifndef EN_CONV_BACKWARD_WEIGHTS_H
#define EN_CONV_BACKWARD_WEIGHTS_H
/* Block `block` of unit `unit`, `columns` wide; a last one of few channels is one vector of `lanes`. Its count is not
 * positive if there is none. */
static inline conv_outputs conv_outputs_of(const conv_layout *at, ptrdiff_t unit, ptrdiff_t block, ptrdiff_t columns,
                                           ptrdiff_t lanes)
{
    const ptrdiff_t units = conv_quotient_up(at->o, EN_CONV_COLUMNS), group = unit / units;
    const ptrdiff_t inside = unit % units * EN_CONV_COLUMNS + block * columns;
    conv_outputs outputs = {group * at->o + inside, conv_least(at->o - inside, columns), columns, 0};
    if (outputs.count <= lanes)
        outputs.width = lanes;
    outputs.sums = (unit * EN_CONV_COLUMNS + block * columns) * (at->taps + 1);
    return outputs;
}
#endif

EN_INLINE void EN_NAME(weights_tile_of)(const int rows, const int vectors, REAL *restrict sums,
                                        const REAL *const *taps, const REAL *restrict outputs, const conv_pixels *over)
{
    VECTOR sum[WEIGHT_ROWS][WEIGHT_VECTORS];
    const REAL *tap[WEIGHT_ROWS];
EN_UNROLL(12)
    for (int i = 0; i < rows; ++i) {
        tap[i] = taps[i];
EN_UNROLL(2)
        for (int j = 0; j < vectors; ++j)
            sum[i][j] = (VECTOR){0};
    }
    for (ptrdiff_t image = 0; image < over->images; ++image)
        for (ptrdiff_t y = 0; y < over->rows; ++y) {
            const ptrdiff_t first = image * over->image + y * over->columns;
            for (ptrdiff_t x = first; x < first + over->width; ++x, outputs += vectors * LANES) {
                VECTOR row[WEIGHT_VECTORS];
EN_UNROLL(2)
                for (int j = 0; j < vectors; ++j)
                    row[j] = LOAD(outputs + j * LANES);
EN_UNROLL(12)
                for (int i = 0; i < rows; ++i) {
                    VECTOR factor = BROADCAST(tap[i][x]);
EN_UNROLL(2)
                    for (int j = 0; j < vectors; ++j)
                        sum[i][j] += factor * row[j];
                }
            }
        }
EN_UNROLL(12)
    for (int i = 0; i < rows; ++i)
EN_UNROLL(2)
        for (int j = 0; j < vectors; ++j) {
            REAL *total = sums + (i * vectors + j) * LANES;
            STORE(total, LOAD(total) + sum[i][j]);
        }
}

/* weights_tile.  sums: in/out (rows, vectors LANES)   taps: in (rows), where each tap reads the first pixel
 *                outputs: in (pixels, vectors LANES)
 * sums[i][o] += sum_pixel taps[i][pixel] outputs[pixel][o] */
static void EN_NAME(weights_tile)(REAL *restrict sums, const REAL *const *taps, const REAL *restrict outputs,
                                  ptrdiff_t rows, ptrdiff_t vectors, const conv_pixels *over)
{
#define TILE_CASE(rows) \
    case 2 * rows: EN_NAME(weights_tile_of)(rows, 1, sums, taps, outputs, over); break; \
    case 2 * rows + 1: EN_NAME(weights_tile_of)(rows, 2, sums, taps, outputs, over); break;
    switch (2 * rows + vectors - 1) {
    TILE_CASE(1)
    TILE_CASE(2)
    TILE_CASE(3)
    TILE_CASE(4)
    TILE_CASE(5)
    TILE_CASE(6)
#if WEIGHT_ROWS == 12
    TILE_CASE(7)
    TILE_CASE(8)
    TILE_CASE(9)
    TILE_CASE(10)
    TILE_CASE(11)
    TILE_CASE(12)
#endif
    }
#undef TILE_CASE
}

/* sums: in/out (width)   outputs: in (pixels, width).  Four partial sums, added in a fixed order. */
static void EN_NAME(add_bias_gradient)(REAL *restrict sums, const REAL *restrict outputs, ptrdiff_t pixels,
                                       ptrdiff_t width)
{
    for (ptrdiff_t j = 0; j < width; j += LANES) {
        VECTOR sum[4] = {(VECTOR){0}, (VECTOR){0}, (VECTOR){0}, (VECTOR){0}};
        ptrdiff_t i = 0;
        for (; i + 4 <= pixels; i += 4)
EN_UNROLL(4)
            for (int part = 0; part < 4; ++part)
                sum[part] += LOAD(outputs + (i + part) * width + j);
        for (; i < pixels; ++i)
            sum[0] += LOAD(outputs + i * width + j);
        STORE(sums + j, LOAD(sums + j) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
    }
}

/* Adds what some images contribute to one block of output channels. sums: in/out, those of the block
 * outputs: in (pixels, block->width), dy with channels last   phases: in, the channels of its group */
static void EN_NAME(add_block)(REAL *restrict sums, const REAL *restrict phases, const REAL *restrict outputs,
                               const conv_outputs *block, const conv_pixels *over, const ptrdiff_t *restrict table,
                               const conv_layout *at)
{
    const ptrdiff_t tiles = gemm_tiles(at->taps, WEIGHT_ROWS);
    const REAL *taps[WEIGHT_ROWS];
    for (ptrdiff_t tile = 0; tile < tiles; ++tile) {
        const ptrdiff_t tap = gemm_row(tile, tiles, at->taps), rows = gemm_row(tile + 1, tiles, at->taps) - tap;
        for (ptrdiff_t i = 0; i < rows; ++i)
            taps[i] = phases + table[tap + i];
        EN_NAME(weights_tile)(sums + tap * block->width, taps, outputs, rows, block->width / LANES, over);
    }
    EN_NAME(add_bias_gradient)(sums + at->taps * block->width, outputs, over->images * at->pixels, block->width);
}

/* conv2d_backward_weights.  sums[tap, o] = sum_{image, i, j} dy[image, o, i, j] col[(image, i, j), tap]
 * over the images of the part, and for the tap behind the last, sum_{image, i, j} dy[image, o, i, j].
 * Vectors run along o, over dy with channels last; taps read the images themselves, so there is no col. */
static void EN_NAME(conv2d_backward_weights)(REAL *restrict sums, const REAL *restrict dy, const REAL *restrict x,
                                             REAL *restrict work, const conv_geometry *g, const conv_part *part)
{
    const conv_layout at = conv_layout_of(g);
    const ptrdiff_t units = conv_quotient_up(at.o, EN_CONV_COLUMNS), row = EN_CONV_COLUMNS * (at.taps + 1);
    const int gapless = at.columns == g->ow;
    const conv_factors by = {0, 0, 0};
    conv_tables tables;
    REAL *phases = EN_NAME(take_tables)(&tables, work, &by, g, &at);
    REAL *outputs = phases + conv_room(at.summed * at.image);

    EN_NAME(clear)(sums + part->first_channel * row, (part->stop_channel - part->first_channel) * row);
    for (ptrdiff_t first = part->first; first < part->stop; first += at.summed) {
        const ptrdiff_t images = conv_least(at.summed, part->stop - first);
        const conv_pixels over = {images, at.image, gapless ? 1 : g->oh, at.columns, gapless ? at.pixels : g->ow};
        const REAL *from = NULL;
        for (ptrdiff_t unit = part->first_channel; unit < part->stop_channel; ++unit) {
            if (!from || unit % units == 0) {
                const conv_block block = {first, images, unit / units * at.c, at.c, 0, at.rows};
                from = EN_NAME(take_phases)(phases, x, &block, g, &at);
            }
            for (ptrdiff_t block = 0; block < EN_CONV_COLUMNS / WEIGHT_COLUMNS; ++block) {
                const conv_outputs some = conv_outputs_of(&at, unit, block, WEIGHT_COLUMNS, LANES);
                if (some.count <= 0)
                    break;
                if (at.o <= EN_CONV_NARROW) {
                    EN_NAME(add_narrow_block)(sums + some.sums, from, dy + (first * g->o + some.o) * at.pixels,
                                              g->o * at.pixels, &some, &over, tables.images, &at);
                    continue;
                }
                for (ptrdiff_t image = 0; image < images; ++image)
                    EN_NAME(pack_lines)(outputs + image * at.pixels * some.width,
                                        dy + ((first + image) * g->o + some.o) * at.pixels, at.pixels, 1, some.count,
                                        some.count, some.width, at.pixels);
                EN_NAME(add_block)(sums + some.sums, from, outputs, &some, &over, tables.images, &at);
            }
        }
    }
}

/* conv2d_add_weights.  dw[o, tap] = sum_chunk sums[chunk, tap, o]   db[o] = sum_chunk sums[chunk, taps, o], or NULL
 * sums: in/out; the chunks are added to the first one. Only the part's units. */
static void EN_NAME(conv2d_add_weights)(REAL *restrict dw, REAL *restrict db, REAL *restrict sums,
                                        const conv_geometry *g, const conv_part *part)
{
    const conv_layout at = conv_layout_of(g);
    const ptrdiff_t chunks = conv_chunks(g), size = conv_sums(&at), whole = at.taps / LANES * LANES;
    for (ptrdiff_t unit = part->first_channel; unit < part->stop_channel; ++unit)
        for (ptrdiff_t block = 0; block < EN_CONV_COLUMNS / WEIGHT_COLUMNS; ++block) {
            const conv_outputs some = conv_outputs_of(&at, unit, block, WEIGHT_COLUMNS, LANES);
            if (some.count <= 0)
                break;
            REAL *total = sums + some.sums;
            for (ptrdiff_t i = 0; i < (at.taps + 1) * some.width; i += LANES) {
                VECTOR sum = LOAD(total + i);
                for (ptrdiff_t chunk = 1; chunk < chunks; ++chunk)
                    sum += LOAD(total + chunk * size + i);
                STORE(total + i, sum);
            }
            REAL *to = dw + some.o * at.taps;
            for (ptrdiff_t tap = 0; tap < whole; tap += LANES)
                EN_NAME(pack_few_lines)(to + tap, total + tap * some.width, some.width, LANES, at.taps, some.count);
            for (ptrdiff_t tap = whole; tap < at.taps; ++tap)
                for (ptrdiff_t o = 0; o < some.count; ++o)
                    to[o * at.taps + tap] = total[tap * some.width + o];
            if (db)
                EN_NAME(copy)(db + some.o, total + at.taps * some.width, some.count);
        }
}
