/* The gradient at the input. No guard: conv.c includes it once per dtype and instruction set. */

/* panel: out (group's o, TILE_COLUMNS)   dy: in, the images; pixels from `pixel` on, zero behind `count` */
static void EN_NAME(pack_outputs)(REAL *restrict panel, const REAL *restrict dy, ptrdiff_t pixel, ptrdiff_t count,
                                  const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t done = 0; done < TILE_COLUMNS;) {
        ptrdiff_t image = (pixel + done) / at->pixels, inside = (pixel + done) % at->pixels;
        ptrdiff_t length = conv_least(at->pixels - inside, count - done);
        const REAL *from = dy + image * g->o * at->pixels + inside;
        if (length <= 0) {
            for (ptrdiff_t o = 0; o < at->o; ++o)
                EN_NAME(clear)(panel + o * TILE_COLUMNS + done, TILE_COLUMNS - done);
            return;
        }
        for (ptrdiff_t o = 0; o < at->o; ++o)
            EN_NAME(copy)(panel + o * TILE_COLUMNS + done, from + o * at->pixels, length);
        done += length;
    }
}

/* Adds the gradient at channels channel .. channel + channels of one group to `phases`, from `images` images.
 * dy: in, the group's output channels from the first image on   weights: in, those of the group
 * outputs, panel: room for (o, TILE_COLUMNS) and for (conv_channels window, TILE_COLUMNS) */
static void EN_NAME(scatter)(REAL *restrict phases, const REAL *restrict dy, const REAL *restrict weights,
                             ptrdiff_t images, ptrdiff_t channel, ptrdiff_t channels, REAL *restrict outputs,
                             REAL *restrict panel, const ptrdiff_t *restrict table, const conv_geometry *g,
                             const conv_layout *at)
{
    const ptrdiff_t most = conv_channels(at), pixels = images * at->pixels;
    conv_walk walk = conv_walk_from(g, at, 0);
    for (ptrdiff_t pixel = 0; pixel < pixels; pixel += TILE_COLUMNS) {
        const ptrdiff_t count = conv_least(pixels - pixel, TILE_COLUMNS);
        const conv_walk here = walk;
        EN_NAME(pack_outputs)(outputs, dy, pixel, count, g, at);
        for (ptrdiff_t done = 0; done < channels; done += most) {
            const ptrdiff_t some = conv_least(channels - done, most), taps = some * at->window;
            const ptrdiff_t tiles = gemm_tiles(taps, TILE_ROWS);
            for (ptrdiff_t t = 0; t < tiles; ++t) {
                const ptrdiff_t tap = gemm_row(t, tiles, taps), rows = gemm_row(t + 1, tiles, taps) - tap;
                EN_NAME(panel_tile)(panel + tap * TILE_COLUMNS, TILE_COLUMNS, weights + (channel + done) * at->window + tap,
                                   1, at->taps, outputs, NULL, NULL, rows, at->o);
            }
            walk = here;
            EN_NAME(add_pixels)(phases + done * at->channel, panel, &walk, channels * at->channel, count, some, table, at);
        }
    }
}

/* dx: in/out, zero where `positive` is not positive; pixels first .. stop of channels channel .. stop_channel, counted
 * through all images */
static void EN_NAME(keep_positive)(REAL *restrict dx, const REAL *restrict positive, ptrdiff_t first, ptrdiff_t stop,
                                   ptrdiff_t channel, ptrdiff_t stop_channel, const conv_geometry *g)
{
    const ptrdiff_t pixels = g->h * g->w;
    for (ptrdiff_t end; first < stop; first = end) {
        const ptrdiff_t image = first / pixels, inside = first % pixels;
        end = conv_least(stop, (image + 1) * pixels);
        for (ptrdiff_t c = channel; c < stop_channel; ++c) {
            const ptrdiff_t from = (image * g->c + c) * pixels + inside;
            for (ptrdiff_t i = from; i < from + end - first; ++i)
                dx[i] = positive[i] > 0 ? dx[i] : 0;
        }
    }
}

/* conv2d_backward_input, where that is a convolution of its own: as many images at a time as share panels, so that what
 * they wrote is still near when `positive` is looked at. */
static void EN_NAME(gather)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict weights,
                            const REAL *restrict positive, REAL *restrict work, const conv_geometry *g,
                            const conv_part *part)
{
    const conv_layout at = conv_layout_of(g);
    const conv_geometry turned = conv_transposed(g);
    const EN_NAME(filters) filters = {weights + at.window - 1, NULL, {at.window, at.taps, -1}, at.o * at.taps, 0};
    const ptrdiff_t pixels = g->h * g->w, together = positive ? conv_layout_of(&turned).together : g->n;
    for (ptrdiff_t first = part->first, stop; first < part->stop; first = stop) {
        stop = conv_least(part->stop, (first / pixels + together) * pixels);
        EN_NAME(convolve_images)(dx, dy, filters, work, first, stop, &turned);
        if (positive)
            EN_NAME(keep_positive)(dx, positive, first, stop, 0, g->c, g);
    }
}

/* conv2d_backward_input.  dx = col2im(dcol),   dcol[(image, i, j), tap] = sum_o dy[image, o, i, j] weights[o, tap]
 * At stride 1, dx[image, channel, i, j] = sum_{o, ky, kx} weights[o, channel, ky, kx] dy[image, o, i + pad_top - ky dilation_h,
 * j + pad_left - kx dilation_w] is a convolution with the taps in reverse. Else panel by panel: TILE_COLUMNS pixels of
 * dcol exist at a time. With `positive`, the output of a ReLU, dx is the gradient in front of that. */
static void EN_NAME(conv2d_backward_input)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict weights,
                                           const REAL *restrict positive, REAL *restrict work, const conv_geometry *g,
                                           const conv_part *part)
{
    const conv_layout at = conv_layout_of(g);
    if (part->first == part->stop || g->c == 0 || g->h == 0 || g->w == 0)
        return;
    if (conv_gathers(g)) {
        EN_NAME(gather)(dx, dy, weights, positive, work, g, part);
        return;
    }
    const conv_factors by = {0, 0, 0};
    conv_tables tables;
    REAL *phases = EN_NAME(take_tables)(&tables, work, &by, g, &at);
    REAL *outputs = phases + conv_room(at.together * at.image);
    REAL *panel = outputs + conv_room(at.o * EN_CONV_COLUMNS);

    for (ptrdiff_t first = part->first; first < part->stop; first += at.together)
        for (ptrdiff_t channel = part->first_channel, stop; channel < part->stop_channel; channel = stop) {
            const ptrdiff_t group = channel / at.c, images = conv_least(at.together, part->stop - first);
            stop = conv_least(part->stop_channel, (group + 1) * at.c);
            const conv_block block = {first, images, channel, stop - channel, 0, at.rows};
            EN_NAME(clear)(phases, images * block.channels * at.channel);
            EN_NAME(scatter)(phases, dy + (first * g->o + group * at.o) * at.pixels, weights + group * at.o * at.taps, images,
                             channel - group * at.c, block.channels, outputs, panel, tables.images, g, &at);
            EN_NAME(from_phases)(dx, phases, &block, g, &at);
            if (positive)
                EN_NAME(keep_positive)(dx, positive, first * g->h * g->w, (first + images) * g->h * g->w, channel, stop, g);
        }
}
