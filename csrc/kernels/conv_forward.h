/* The convolution itself, and the gradient at the input where that is one. No guard: conv.c includes it once per dtype
 * and instruction set. */
#ifndef EN_CONV_FORWARD_H
#define EN_CONV_FORWARD_H
/* Whether vectors of pixels read the images where they lie, none of them from two rows or two images. Else they are
 * packed first, which costs less than an eighth of the lanes: running on over the gap between two rows is slower. */
static inline int conv_reads_directly(const conv_geometry *g, const conv_layout *at, ptrdiff_t lanes)
{
    const ptrdiff_t spare = conv_quotient_up(at->pixels, lanes) * lanes - at->pixels;
    return g->ow % lanes == 0 || (at->columns == g->ow && spare <= at->pixels / 8);
}
#endif

/* Neighbouring pixels as the lanes of a vector: the runs that fill it, at least one, and those to which it is written. */
typedef struct {
    ptrdiff_t sources, targets;
    conv_run source[LANES], target[LANES];
} EN_NAME(lanes);

/* The next pixels of a walk, at most `left`, and of no second image if `direct`; returns their number.
 * y_image: elements of y from one image to the next */
static ptrdiff_t EN_NAME(next_lanes)(EN_NAME(lanes) *v, conv_walk *walk, ptrdiff_t left, int direct, ptrdiff_t y_image,
                                     const conv_layout *at)
{
    ptrdiff_t lane = 0;
    v->sources = v->targets = 0;
    while (lane < conv_least(left, LANES)) {
        const ptrdiff_t length = conv_least(walk->width - walk->column, conv_least(left, LANES) - lane);
        const ptrdiff_t inside = walk->row * walk->width + walk->column;
        v->source[v->sources++] = (conv_run){
            walk->image * at->image + walk->row * at->columns + walk->column - lane, lane, length};
        if (lane == 0 || inside == 0)
            v->target[v->targets++] = (conv_run){walk->image * y_image + inside, lane, length};
        else
            v->target[v->targets - 1].length += length;
        lane += length;
        if (conv_step(walk, length) && direct)
            break;
    }
    if (lane == 0)
        v->source[v->sources++] = (conv_run){0, 0, 0};
    return lane;
}

/* One vector of every row of a panel (taps, TILE_COLUMNS): its runs, laid over each other. */
EN_INLINE void EN_NAME(pack_runs)(const ptrdiff_t most, REAL *restrict panel, const REAL *restrict phases,
                                  const EN_NAME(lanes) *v, const ptrdiff_t *restrict table, ptrdiff_t taps)
{
    const EN_NAME(mask) second = LANES_FROM(v->source[most > 1].first);
    for (ptrdiff_t k = 0; k < taps; ++k) {
        const REAL *tap = phases + table[k];
        VECTOR pixels = LOAD(tap + v->source[0].place);
        if (most > 1)
            pixels = SELECT(second, LOAD(tap + v->source[1].place), pixels);
        for (ptrdiff_t run = 2; most > 2 && run < v->sources; ++run)
            pixels = SELECT(LANES_FROM(v->source[run].first), LOAD(tap + v->source[run].place), pixels);
        STORE(panel + k * TILE_COLUMNS, pixels);
    }
}

static void EN_NAME(pack_lanes)(REAL *restrict panel, const REAL *restrict phases, const EN_NAME(lanes) *v,
                                const ptrdiff_t *restrict table, ptrdiff_t taps)
{
    if (LANES == 1 || v->sources == 1)
        EN_NAME(pack_runs)(1, panel, phases, v, table, taps);
    else if (v->sources == 2)
        EN_NAME(pack_runs)(2, panel, phases, v, table, taps);
    else
        EN_NAME(pack_runs)(3, panel, phases, v, table, taps);
}

/* y: out, from the first of `rows` output channels on   vectors: in, TILE_COLUMNS apart */
static void EN_NAME(unpack_lanes)(REAL *restrict y, const REAL *restrict vectors, const EN_NAME(lanes) *v,
                                  ptrdiff_t rows, const conv_layout *at)
{
    for (ptrdiff_t run = 0; run < v->targets; ++run)
        for (ptrdiff_t row = 0; row < rows; ++row)
            EN_NAME(copy)(y + v->target[run].place + row * at->pixels, vectors + row * TILE_COLUMNS + v->target[run].first,
                          v->target[run].length);
}

/* convolution_tile.  c: out (rows, vectors), vector (i, j) at c[j] + i c_stride[j]
 *                    a: in, factor (i, k) at a[i a_row + a_at[k]]    b: in, vector (k, j) at b[j] + b_at[k]
 *                    start: in (rows) or NULL                        1 <= rows <= TILE_ROWS
 * c[i][j] = f(start[i] + sum_k a[i][k] b[k][j]), summed in the order of k, f being max(., 0) if relu, else nothing. */
EN_INLINE void EN_NAME(convolution_tile_of)(const int rows, REAL *const *c, const ptrdiff_t *c_stride,
                                            const REAL *restrict a, ptrdiff_t a_row, const ptrdiff_t *restrict a_at,
                                            const REAL *const *b, const ptrdiff_t *restrict b_at,
                                            const REAL *restrict start, int relu, ptrdiff_t depth)
{
    VECTOR sum[TILE_ROWS][TILE_VECTORS];
    const REAL *third[(TILE_ROWS + 2) / 3]; /* every third row: the two behind it are one addressing mode away */
    const REAL *pixels[TILE_VECTORS];
EN_UNROLL(4)
    for (int i = 0; i < (rows + 2) / 3; ++i)
        third[i] = a + 3 * i * a_row;
EN_UNROLL(3)
    for (int j = 0; j < TILE_VECTORS; ++j)
        pixels[j] = b[j];
EN_UNROLL(12)
    for (int i = 0; i < rows; ++i) {
        VECTOR first = start ? BROADCAST(start[i]) : (VECTOR){0};
EN_UNROLL(3)
        for (int j = 0; j < TILE_VECTORS; ++j)
            sum[i][j] = first;
    }
    for (ptrdiff_t k = 0; k < depth; ++k) {
        const ptrdiff_t a_k = a_at[k], b_k = b_at[k];
        VECTOR row[TILE_VECTORS];
EN_UNROLL(3)
        for (int j = 0; j < TILE_VECTORS; ++j)
            row[j] = LOAD(pixels[j] + b_k);
EN_UNROLL(12)
        for (int i = 0; i < rows; ++i) {
            VECTOR factor = BROADCAST((third[i / 3] + a_k)[i % 3 * a_row]);
EN_UNROLL(3)
            for (int j = 0; j < TILE_VECTORS; ++j)
                sum[i][j] += factor * row[j];
        }
    }
    if (relu)
EN_UNROLL(12)
        for (int i = 0; i < rows; ++i)
EN_UNROLL(3)
            for (int j = 0; j < TILE_VECTORS; ++j)
                sum[i][j] = EN_NAME(positive_part)(sum[i][j]);
EN_UNROLL(12)
    for (int i = 0; i < rows; ++i)
EN_UNROLL(3)
        for (int j = 0; j < TILE_VECTORS; ++j)
            STORE(c[j] + i * c_stride[j], sum[i][j]);
}

static void EN_NAME(convolution_tile)(REAL *const *c, const ptrdiff_t *c_stride, const REAL *restrict a,
                                      ptrdiff_t a_row, const ptrdiff_t *restrict a_at, const REAL *const *b,
                                      const ptrdiff_t *restrict b_at, const REAL *restrict start, int relu,
                                      ptrdiff_t rows, ptrdiff_t depth)
{
#define TILE_CASE(rows) \
    case rows: EN_NAME(convolution_tile_of)(rows, c, c_stride, a, a_row, a_at, b, b_at, start, relu, depth); break;
    switch (rows) {
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
}

/* Outputs of one group at pixels pixel .. stop of some images.
 * y: out, from the group's first output channel in the first image on   phases: in, the group's channels in the images
 * filters: those of the group      tables: see take_tables              panel: room for (taps, TILE_COLUMNS) */
static void EN_NAME(convolve)(REAL *restrict y, const REAL *restrict phases, const EN_NAME(filters) *filters,
                              ptrdiff_t pixel, ptrdiff_t stop, REAL *restrict panel, const conv_tables *tables,
                              const conv_geometry *g, const conv_layout *at)
{
    const ptrdiff_t tiles = gemm_tiles(at->o, TILE_ROWS);
    const int direct = conv_reads_directly(g, at, LANES);
    conv_walk walk = conv_walk_from(g, at, pixel);
    EN_NAME(lanes) lanes[TILE_VECTORS];
    REAL tile[TILE_ROWS * TILE_COLUMNS];
    const REAL *from[TILE_VECTORS];
    REAL *to[TILE_VECTORS];
    ptrdiff_t to_stride[TILE_VECTORS];
    int whole[TILE_VECTORS];

    while (pixel < stop) {
        int packs = 0;
        for (int j = 0; j < TILE_VECTORS; ++j) {
            pixel += EN_NAME(next_lanes)(lanes + j, &walk, stop - pixel, direct, g->o * at->pixels, at);
            from[j] = phases + lanes[j].source[0].place;
            packs |= lanes[j].sources > 1;
            whole[j] = lanes[j].targets == 1 && lanes[j].target[0].length == LANES;
            to_stride[j] = whole[j] ? at->pixels : TILE_COLUMNS;
        }
        for (int j = 0; packs && j < TILE_VECTORS; ++j) {
            from[j] = panel + j * LANES;
            EN_NAME(pack_lanes)(panel + j * LANES, phases, lanes + j, tables->images, at->taps);
        }
        for (ptrdiff_t t = 0; t < tiles; ++t) {
            const ptrdiff_t o = gemm_row(t, tiles, at->o), rows = gemm_row(t + 1, tiles, at->o) - o;
            for (int j = 0; j < TILE_VECTORS; ++j)
                to[j] = whole[j] ? y + o * at->pixels + lanes[j].target[0].place : tile + j * LANES;
            EN_NAME(convolution_tile)(to, to_stride, filters->weights + o * filters->by.row, filters->by.row,
                                      tables->factors, from, packs ? tables->panel : tables->images,
                                      filters->b ? filters->b + o : NULL, filters->relu, rows, at->taps);
            for (int j = 0; j < TILE_VECTORS; ++j)
                if (!whole[j])
                    EN_NAME(unpack_lanes)(y + o * at->pixels, tile + j * LANES, lanes + j, rows, at);
        }
    }
}

/* Outputs at pixels first .. stop, counted through all images. An output is one sum in the order of the taps, wherever
 * its pixel lies: it depends on no other image of the batch. */
static void EN_NAME(convolve_images)(REAL *restrict y, const REAL *restrict x, EN_NAME(filters) filters,
                                     REAL *restrict work, ptrdiff_t first, ptrdiff_t stop, const conv_geometry *g)
{
    const conv_layout at = conv_layout_of(g);
    conv_tables tables;
    REAL *phases = EN_NAME(take_tables)(&tables, work, &filters.by, g, &at);
    REAL *panel = phases + conv_room(at.together * at.image);

    for (ptrdiff_t end; first < stop; first = end) {
        const ptrdiff_t image = first / at.pixels, start = image * at.pixels;
        const ptrdiff_t images = conv_least(at.together, conv_quotient_up(stop - start, at.pixels));
        conv_block block = {image, images, 0, at.c, 0, at.rows};
        end = conv_least(stop, start + images * at.pixels);
        if (images == 1) { /* only the rows that these pixels see */
            block.first_row = (first - start) / g->ow;
            block.stop_row = (end - start - 1) / g->ow + at.rows - g->oh + 1;
        }
        EN_NAME(filters) of_group = filters;
        for (ptrdiff_t group = 0; group < g->groups; ++group, block.channel += at.c) {
            const REAL *from = EN_NAME(take_phases)(phases, x, &block, g, &at);
            REAL *to = y + (image * g->o + group * at.o) * at.pixels;
            if (conv_is_narrow(g))
                EN_NAME(convolve_narrow)(to, from, &of_group, first - start, end - start, &tables, g, &at);
            else
                EN_NAME(convolve)(to, from, &of_group, first - start, end - start, panel, &tables, g, &at);
            of_group.weights += filters.group;
            if (filters.b)
                of_group.b += at.o;
        }
    }
}

/* conv2d.  y[image, o, i, j] = f(b[o] + sum_{channel, ky, kx} weights[o, channel, ky, kx] col[(image, i, j), (channel, ky, kx)])
 * with col as im2col makes it, but without making it, and f the identity or max(., 0). */
static void EN_NAME(conv2d)(REAL *restrict y, const REAL *restrict x, const REAL *restrict weights,
                            const REAL *restrict b, int relu, REAL *restrict work, const conv_geometry *g,
                            const conv_part *part)
{
    const conv_layout at = conv_layout_of(g);
    const EN_NAME(filters) filters = {weights, b, {at.taps, at.window, 1}, at.o * at.taps, relu};
    EN_NAME(convolve_images)(y, x, filters, work, part->first, part->stop, g);
}
