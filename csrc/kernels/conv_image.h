/* How convolutions read and write images: taken apart by phase, and as panels of neighbouring pixels. No guard: conv.c
 * includes it once per dtype and instruction set. */
#ifndef EN_CONV_IMAGE_H
#define EN_CONV_IMAGE_H

/* Lanes first .. first + length of a vector of neighbouring pixels, and where they are read or written. In phase planes
 * that is where lane 0 would be: the lanes before `first` belong to pixels that lie before these, so nothing is read
 * outside of the images. */
typedef struct {
    ptrdiff_t place, first, length;
} conv_run;

/* A walk over pixels, whose numbers go on from image to image. */
typedef struct {
    ptrdiff_t image, row, column; /* rows without a gap between them are one long row */
    ptrdiff_t rows, width;
} conv_walk;

static inline conv_walk conv_walk_from(const conv_geometry *g, const conv_layout *at, ptrdiff_t pixel)
{
    const int gapless = at->columns == g->ow;
    const ptrdiff_t inside = pixel % at->pixels;
    conv_walk walk = {.image = pixel / at->pixels, .rows = gapless ? 1 : g->oh, .width = gapless ? at->pixels : g->ow};
    walk.row = inside / walk.width;
    walk.column = inside % walk.width;
    return walk;
}

/* Moves on by `length` pixels of a row; whether that was the last of an image. */
static inline int conv_step(conv_walk *walk, ptrdiff_t length)
{
    walk->column += length;
    if (walk->column < walk->width)
        return 0;
    walk->column = 0;
    if (++walk->row < walk->rows)
        return 0;
    walk->row = 0;
    ++walk->image;
    return 1;
}

/* The runs of the next `lanes` pixels, of which `count` exist; images lie `image` elements apart. Returns their number. */
static inline ptrdiff_t conv_runs(conv_run *runs, conv_walk *walk, const conv_layout *at, ptrdiff_t image,
                                  ptrdiff_t lanes, ptrdiff_t count)
{
    ptrdiff_t used = 0;
    for (ptrdiff_t lane = 0; lane < conv_least(lanes, count); ++used) {
        ptrdiff_t length = conv_least(walk->width - walk->column, conv_least(lanes, count) - lane);
        runs[used] = (conv_run){walk->image * image + walk->row * at->columns + walk->column - lane, lane, length};
        lane += length;
        conv_step(walk, length);
    }
    return used;
}

/* Where the tile finds the factor of output channel i, channel k and tap t: at i row + k channel + t tap. */
typedef struct {
    ptrdiff_t row, channel, tap;
} conv_factors;

/* Where things are for every tap (channel, ky, kx) of a group: its pixels in phase planes and in a panel, counted from
 * those of the first pixel, and its factor. */
typedef struct {
    const ptrdiff_t *images, *panel, *factors;
} conv_tables;

/* images, panel, factors: out (taps), or NULL. In phase planes, a tap reads the plane of its phase, moved by whole
 * strides. */
static inline void conv_fill_tables(ptrdiff_t *images, ptrdiff_t *panel, ptrdiff_t *factors, const conv_factors *by,
                                    ptrdiff_t columns, const conv_geometry *g, const conv_layout *at)
{
    ptrdiff_t k = 0;
    for (ptrdiff_t t = 0, ky = 0; ky < g->kh; ++ky)
        for (ptrdiff_t kx = 0; kx < g->kw; ++kx, ++t) {
            const ptrdiff_t i = ky * g->dilation_h, j = kx * g->dilation_w;
            images[t] = (i % g->stride_h * at->phases_w + j % g->stride_w) * at->plane + i / g->stride_h * at->columns
                      + j / g->stride_w;
        }
    for (ptrdiff_t channel = 0; channel < at->c; ++channel)
        for (ptrdiff_t t = 0; t < at->window; ++t, ++k) {
            images[k] = images[t] + channel * at->channel;
            panel[k] = k * columns;
            factors[k] = channel * by->channel + t * by->tap;
        }
}

/* Columns of a phase row that lie inside of the image: from `first` up to `stop`. */
static inline void conv_inside(const conv_geometry *g, const conv_layout *at, ptrdiff_t phase_w, ptrdiff_t *first,
                               ptrdiff_t *stop)
{
    ptrdiff_t before = conv_most(g->pad_left - phase_w, 0), end = conv_most(g->w + g->pad_left - phase_w, 0);
    *first = conv_least(conv_quotient_up(before, g->stride_w), at->columns);
    *stop = conv_most(conv_least(conv_quotient_up(end, g->stride_w), at->columns), *first);
}

/* Pixels as weights_tile walks over them: rows of `width` in images, read from phase planes and from packed outputs. */
typedef struct {
    ptrdiff_t images, image; /* their number, and the elements from one to the next in the phases */
    ptrdiff_t rows, columns; /* the same of rows */
    ptrdiff_t width;
} conv_pixels;

/* A block of at most WEIGHT_COLUMNS output channels. */
typedef struct {
    ptrdiff_t o, count; /* the first one, counted through all groups, and their number */
    ptrdiff_t width;    /* whole vectors */
    ptrdiff_t sums;     /* where the block's sums begin */
} conv_outputs;

/* Images image .. image + images and channels channel .. channel + channels, and rows of their phase planes. */
typedef struct {
    ptrdiff_t image, images, channel, channels, first_row, stop_row;
} conv_block;
#endif

static inline REAL *EN_NAME(aligned)(REAL *work)
{
    return (REAL *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
}

/* Takes the tables from the workspace, and fills them. Returns what lies behind them. */
static inline REAL *EN_NAME(take_tables)(conv_tables *tables, REAL *work, const conv_factors *by,
                                         const conv_geometry *g, const conv_layout *at)
{
    REAL *start = EN_NAME(aligned)(work);
    ptrdiff_t *images = (ptrdiff_t *)start, *panel = images + at->window + at->taps, *factors = panel + at->taps;
    conv_fill_tables(images, panel, factors, by, TILE_COLUMNS, g, at);
    *tables = (conv_tables){images, panel, factors};
    return start + conv_tables_room(at);
}

/* Zeros without a call, for rows of any length: three overlapping pieces at most. */
static inline void EN_NAME(clear)(REAL *restrict to, ptrdiff_t n)
{
    const VECTOR zero = {0};
    if (n >= LANES) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES) {
            STORE(to + i, zero);
            EN_KEEP_LOOP();
        }
        STORE(to + n - LANES, zero);
    } else if (n >= LANES / 2 && LANES >= 2) {
        memcpy(to, &zero, sizeof zero / 2);
        memcpy(to + n - LANES / 2, &zero, sizeof zero / 2);
    } else if (n >= LANES / 4 && LANES >= 4) {
        memcpy(to, &zero, sizeof zero / 4);
        memcpy(to + n - LANES / 4, &zero, sizeof zero / 4);
    } else {
        for (ptrdiff_t i = 0; i < n; ++i) {
            to[i] = 0;
            EN_KEEP_LOOP();
        }
    }
}

/* Short rows are two halves that overlap: the rows of small images are most of what is copied. */
static inline void EN_NAME(copy)(REAL *restrict to, const REAL *restrict from, ptrdiff_t n)
{
    REAL last[LANES];
    if (n >= LANES) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES) {
            STORE(to + i, LOAD(from + i));
            EN_KEEP_LOOP();
        }
        STORE(to + n - LANES, LOAD(from + n - LANES));
    } else if (n >= LANES / 2 && LANES >= 2) {
        memcpy(last, from + n - LANES / 2, sizeof last / 2);
        memcpy(to, from, sizeof last / 2);
        memcpy(to + n - LANES / 2, last, sizeof last / 2);
    } else if (n >= LANES / 4 && LANES >= 4) {
        memcpy(last, from + n - LANES / 4, sizeof last / 4);
        memcpy(to, from, sizeof last / 4);
        memcpy(to + n - LANES / 4, last, sizeof last / 4);
    } else {
        for (ptrdiff_t i = 0; i < n; ++i) {
            to[i] = from[i];
            EN_KEEP_LOOP();
        }
    }
}

/* What a convolution multiplies with, and what becomes of the sums: b may be NULL. */
typedef struct {
    const REAL *weights, *b;
    conv_factors by;
    ptrdiff_t group; /* elements of `weights` from one group to the next */
    int relu;
} EN_NAME(filters);

/* phases: out, the block taken apart   x: in (n, c, h, w)                                      see conv_layout */
static void EN_NAME(to_phases)(REAL *restrict phases, const REAL *restrict x, const conv_block *block,
                               const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t image = block->image; image < block->image + block->images; ++image)
        for (ptrdiff_t channel = block->channel; channel < block->channel + block->channels; ++channel)
            for (ptrdiff_t phase_h = 0; phase_h < at->phases_h; ++phase_h)
                for (ptrdiff_t phase_w = 0; phase_w < at->phases_w; ++phase_w, phases += at->plane) {
                    ptrdiff_t first, stop;
                    conv_inside(g, at, phase_w, &first, &stop);
                    for (ptrdiff_t row = block->first_row; row < block->stop_row; ++row) {
                        const ptrdiff_t i = row * g->stride_h + phase_h - g->pad_top;
                        REAL *to = phases + row * at->columns;
                        if (i < 0 || i >= g->h || first == stop) {
                            EN_NAME(clear)(to, at->columns);
                            continue;
                        }
                        const REAL *from = x + ((image * g->c + channel) * g->h + i) * g->w + first * g->stride_w + phase_w
                                         - g->pad_left;
                        if (first > 0 || stop < at->columns)
                            EN_NAME(clear)(to, at->columns);
                        if (g->stride_w == 1)
                            EN_NAME(copy)(to + first, from, stop - first);
                        else
                            for (ptrdiff_t j = first; j < stop; ++j)
                                to[j] = from[(j - first) * g->stride_w];
                    }
                }
}

/* dx: out, the images and channels of the block, zero where no window reaches   phases: in, the block taken apart */
static void EN_NAME(from_phases)(REAL *restrict dx, const REAL *restrict phases, const conv_block *block,
                                 const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t image = block->image; image < block->image + block->images; ++image)
        for (ptrdiff_t channel = block->channel; channel < block->channel + block->channels; ++channel) {
            REAL *plane = dx + (image * g->c + channel) * g->h * g->w;
            if (!at->direct)
                memset(plane, 0, (size_t)(g->h * g->w) * sizeof(REAL));
            for (ptrdiff_t phase_h = 0; phase_h < at->phases_h; ++phase_h)
                for (ptrdiff_t phase_w = 0; phase_w < at->phases_w; ++phase_w, phases += at->plane) {
                    ptrdiff_t first, stop;
                    conv_inside(g, at, phase_w, &first, &stop);
                    for (ptrdiff_t row = 0; row < at->rows; ++row) {
                        const ptrdiff_t i = row * g->stride_h + phase_h - g->pad_top;
                        const REAL *from = phases + row * at->columns;
                        if (i < 0 || i >= g->h || first == stop)
                            continue;
                        REAL *to = plane + i * g->w + first * g->stride_w + phase_w - g->pad_left;
                        if (g->stride_w == 1)
                            EN_NAME(copy)(to, from + first, stop - first);
                        else
                            for (ptrdiff_t j = first; j < stop; ++j)
                                to[(j - first) * g->stride_w] = from[j];
                    }
                }
        }
}

/* The block taken apart: x itself where it already is its own phase, else `phases`, filled. Whoever reads may read one
 * vector too far, so the last rows of the last image are always copied. */
static inline const REAL *EN_NAME(take_phases)(REAL *restrict phases, const REAL *restrict x, const conv_block *block,
                                               const conv_geometry *g, const conv_layout *at)
{
    const ptrdiff_t size = g->c * g->h * g->w;
    const ptrdiff_t behind = (g->n - block->image - block->images) * size + (at->rows - block->stop_row) * at->columns;
    if (at->direct && behind >= LANES)
        return x + block->image * size;
    EN_NAME(to_phases)(phases, x, block, g, at);
    return phases;
}

/* phases: in/out   panel: in (channels window, TILE_COLUMNS)                         the adjoint of pack_pixels
 * Channels are the innermost loop because neighbouring taps overlap: adding to what was stored a moment ago, one
 * element aside, waits for the store. */
static void EN_NAME(add_pixels)(REAL *restrict phases, const REAL *restrict panel, conv_walk *walk, ptrdiff_t image,
                                ptrdiff_t count, ptrdiff_t channels, const ptrdiff_t *restrict table,
                                const conv_layout *at)
{
    const ptrdiff_t tap_step = at->window * TILE_COLUMNS;
    conv_run runs[TILE_COLUMNS];
    ptrdiff_t used[TILE_VECTORS];
    for (ptrdiff_t j = 0; j < TILE_VECTORS; ++j)
        used[j] = conv_runs(runs + j * LANES, walk, at, image, LANES, conv_most(count - j * LANES, 0));
    for (ptrdiff_t t = 0; t < at->window; ++t, panel += TILE_COLUMNS)
        for (ptrdiff_t j = 0; j < TILE_VECTORS; ++j)
            for (ptrdiff_t run = j * LANES; run < j * LANES + used[j]; ++run) {
                const EN_NAME(mask) mask = LANES_FROM(runs[run].first) & LANES_BEFORE(runs[run].first + runs[run].length);
                const REAL *from = panel + j * LANES;
                REAL *to = phases + table[t] + runs[run].place;
                for (ptrdiff_t channel = 0; channel < channels; ++channel, from += tap_step, to += at->channel)
                    STORE(to, LOAD(to) + SELECT(mask, LOAD(from), (VECTOR){0}));
            }
}

/* panel_tile.  c: out (rows, TILE_COLUMNS), rows c_stride apart   b: in, a panel (depth, TILE_COLUMNS)
 *              1 <= rows <= TILE_ROWS                                                   for the others see tile_of */
static void EN_NAME(panel_tile)(REAL *restrict c, ptrdiff_t c_stride, const REAL *restrict a, ptrdiff_t a_row,
                                ptrdiff_t a_step, const REAL *restrict b, const REAL *restrict start,
                                const EN_NAME(finish) *finish, ptrdiff_t rows, ptrdiff_t depth)
{
#define TILE_CASE(rows) \
    case rows: \
        EN_NAME(tile_of)(rows, TILE_VECTORS, c, c_stride, a, a_row, a_step, b, TILE_COLUMNS, start, finish, depth); \
        break;
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
