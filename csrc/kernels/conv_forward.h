/* The convolution itself. No guard: conv.c includes it once per dtype and instruction set. */

/* y: out, the images of a panel, output channels o .. o + rows   tile: in (rows, TILE_COLUMNS), of which `count` count */
static void EN_NAME(unpack_outputs)(REAL *restrict y, const REAL *restrict tile, ptrdiff_t o, ptrdiff_t rows,
                                    ptrdiff_t pixel, ptrdiff_t count, const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t done = 0; done < count;) {
        ptrdiff_t image = (pixel + done) / at->pixels, inside = (pixel + done) % at->pixels;
        ptrdiff_t length = conv_least(at->pixels - inside, count - done);
        REAL *to = y + (image * g->o + o) * at->pixels + inside;
        for (ptrdiff_t row = 0; row < rows; ++row)
            EN_NAME(copy)(to + row * at->pixels, tile + row * TILE_COLUMNS + done, length);
        done += length;
    }
}

/* One group's outputs at pixels pixel .. stop of some images. panel: room for (taps, TILE_COLUMNS)
 * y: out, from the first image on   phases: in, its images   weights, b: in, all of them */
static void EN_NAME(convolve)(REAL *restrict y, const REAL *restrict phases, const REAL *restrict weights,
                              const REAL *restrict b, int relu, ptrdiff_t group, ptrdiff_t pixel, ptrdiff_t stop,
                              REAL *restrict panel, const ptrdiff_t *restrict table, const conv_geometry *g,
                              const conv_layout *at)
{
    const ptrdiff_t tiles = gemm_tiles(at->o, TILE_ROWS);
    const EN_NAME(finish) finish = {.relu = relu};
    conv_walk walk = conv_walk_from(g, at, pixel);
    REAL tile[TILE_ROWS * TILE_COLUMNS];

    for (; pixel < stop; pixel += TILE_COLUMNS) {
        const ptrdiff_t count = conv_least(stop - pixel, TILE_COLUMNS), inside = pixel % at->pixels;
        const int whole = count == TILE_COLUMNS && inside + TILE_COLUMNS <= at->pixels;
        EN_NAME(pack_pixels)(panel, phases, &walk, at->image, count, table, at);
        for (ptrdiff_t t = 0; t < tiles; ++t) {
            const ptrdiff_t o = group * at->o + gemm_row(t, tiles, at->o);
            const ptrdiff_t rows = group * at->o + gemm_row(t + 1, tiles, at->o) - o;
            REAL *c = whole ? y + (pixel / at->pixels * g->o + o) * at->pixels + inside : tile;
            EN_NAME(panel_tile)(c, whole ? at->pixels : TILE_COLUMNS, weights + o * at->taps, at->taps, 1, panel,
                               b ? b + o : NULL, relu ? &finish : NULL, rows, at->taps);
            if (!whole)
                EN_NAME(unpack_outputs)(y, tile, o, rows, pixel, count, g, at);
        }
    }
}

/* conv2d.  y[image, o, i, j] = f(b[o] + sum_{channel, ky, kx} weights[o, channel, ky, kx] col[(image, i, j), (channel, ky, kx)])
 * with col as im2col makes it, but only TILE_COLUMNS pixels of it exist at a time, and f the identity or max(., 0). An
 * output is one sum in the order of the taps, wherever its pixel lies: it depends on no other image of the batch. */
static void EN_NAME(conv2d)(REAL *restrict y, const REAL *restrict x, const REAL *restrict weights,
                            const REAL *restrict b, int relu, REAL *restrict work, const conv_geometry *g,
                            const conv_part *part)
{
    if (part->first == part->stop || g->o == 0)
        return;
    const conv_layout at = conv_layout_of(g);
    const ptrdiff_t *table;
    REAL *phases = EN_NAME(take_table)(&table, work, g, &at);
    REAL *panel = phases + conv_room(at.together * at.image);

    for (ptrdiff_t first = part->first, stop; first < part->stop; first = stop) {
        const ptrdiff_t image = first / at.pixels, start = image * at.pixels;
        const ptrdiff_t images = conv_least(at.together, conv_quotient_up(part->stop - start, at.pixels));
        stop = conv_least(part->stop, start + images * at.pixels);
        conv_block block = {image, images, 0, at.c, 0, at.rows};
        if (images == 1) { /* only the rows that these pixels see */
            block.first_row = (first - start) / g->ow;
            block.stop_row = (stop - start - 1) / g->ow + at.rows - g->oh + 1;
        }
        for (ptrdiff_t group = 0; group < g->groups; ++group, block.channel += at.c) {
            const REAL *from = EN_NAME(take_phases)(phases, x, &block, g, &at);
            EN_NAME(convolve)(y + image * g->o * at.pixels, from, weights, b, relu, group, first - start, stop - start,
                              panel, table, g, &at);
        }
    }
}
