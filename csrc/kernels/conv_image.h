/* How convolutions read and write images: taken apart by phase, and as panels of neighbouring pixels. No guard: conv.c
 * includes it once per dtype and instruction set. */
#ifndef EN_CONV_IMAGE_H
#define EN_CONV_IMAGE_H

/* Lanes first .. first + length of a vector of a panel: neighbouring output pixels whose inputs are neighbours too. Lane
 * 0 reads a phase plane at `source`, counted from the first image of the panel; the lanes before `first` belong to
 * pixels that lie before these, so what is read for them is inside of the images. */
typedef struct {
    ptrdiff_t source, first, length;
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

/* The runs of the next `lanes` pixels, of which `count` exist; images lie `image` elements apart. Returns their number,
 * at least 1 and at most `lanes`. */
static inline ptrdiff_t conv_runs(conv_run *runs, conv_walk *walk, const conv_layout *at, ptrdiff_t image,
                                  ptrdiff_t lanes, ptrdiff_t count)
{
    ptrdiff_t used = 0;
    for (ptrdiff_t lane = 0; lane < conv_least(lanes, count); ++used) {
        ptrdiff_t length = conv_least(walk->width - walk->column, conv_least(lanes, count) - lane);
        runs[used] = (conv_run){walk->image * image + walk->row * at->columns + walk->column - lane, lane, length};
        lane += length;
        walk->column += length;
        if (walk->column == walk->width) {
            walk->column = 0;
            if (++walk->row == walk->rows) {
                walk->row = 0;
                ++walk->image;
            }
        }
    }
    if (used == 0)
        runs[used++] = (conv_run){0, 0, 0};
    return used;
}

/* table: out (kh, kw), where the taps of a channel read: the plane of their phase, moved by whole strides. */
static inline void conv_fill_table(ptrdiff_t *table, const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t ky = 0; ky < g->kh; ++ky)
        for (ptrdiff_t kx = 0; kx < g->kw; ++kx) {
            const ptrdiff_t i = ky * g->dilation_h, j = kx * g->dilation_w;
            *table++ = (i % g->stride_h * at->phases_w + j % g->stride_w) * at->plane + i / g->stride_h * at->columns
                     + j / g->stride_w;
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

/* Images image .. image + count and channels channel .. channel + channels, and rows of their phase planes. */
typedef struct {
    ptrdiff_t image, images, channel, channels, first_row, stop_row;
} conv_block;
#endif

/* A lane of a comparison: all ones or all zeros. */
#if EN_IS_DOUBLE
#define MASK_LANE int64_t
#else
#define MASK_LANE int32_t
#endif
typedef MASK_LANE EN_NAME(mask) __attribute__((vector_size(EN_VECTOR)));
typedef EN_NAME(mask) EN_NAME(loose_mask) __attribute__((aligned(1), may_alias));

/* Zeros, then ones, then zeros, LANES each. */
static const MASK_LANE EN_NAME(ones)[3 * LANES] = {[LANES ... 2 * LANES - 1] = -1};

/* Ones in the lanes from `first` on, and in the lanes before `stop`. */
#define MASK_FROM(first) (*(const EN_NAME(loose_mask) *)(EN_NAME(ones) + LANES - (first)))
#define MASK_BEFORE(stop) (*(const EN_NAME(loose_mask) *)(EN_NAME(ones) + 2 * LANES - (stop)))

static inline REAL *EN_NAME(aligned)(REAL *work)
{
    return (REAL *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
}

/* Takes the table from the workspace: fills it, and returns what lies behind it. */
static inline REAL *EN_NAME(take_table)(const ptrdiff_t **table, REAL *work, const conv_geometry *g,
                                        const conv_layout *at)
{
    REAL *start = EN_NAME(aligned)(work);
    conv_fill_table((ptrdiff_t *)start, g, at);
    *table = (const ptrdiff_t *)start;
    return start + conv_room(2 * at->window);
}

/* Short rows are two halves that overlap: the rows of small images are most of what is copied. */
static inline void EN_NAME(copy)(REAL *restrict to, const REAL *restrict from, ptrdiff_t n)
{
    if (n >= LANES) {
        for (ptrdiff_t i = 0; i < n - LANES; i += LANES)
            STORE(to + i, LOAD(from + i));
        STORE(to + n - LANES, LOAD(from + n - LANES));
    } else if (n >= LANES / 2) {
        REAL last[LANES / 2];
        memcpy(last, from + n - LANES / 2, sizeof last);
        memcpy(to, from, sizeof last);
        memcpy(to + n - LANES / 2, last, sizeof last);
    } else {
        for (ptrdiff_t i = 0; i < n; ++i)
            to[i] = from[i];
    }
}

static inline void EN_NAME(clear)(REAL *restrict to, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = 0;
}

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
                        EN_NAME(clear)(to, first);
                        if (g->stride_w == 1)
                            EN_NAME(copy)(to + first, from, stop - first);
                        else
                            for (ptrdiff_t j = first; j < stop; ++j)
                                to[j] = from[(j - first) * g->stride_w];
                        EN_NAME(clear)(to + stop, at->columns - stop);
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

/* One vector of every row of a panel: the runs of its lanes, laid over each other. */
EN_INLINE void EN_NAME(pack_vector)(const ptrdiff_t count, REAL *restrict panel, const REAL *restrict phases,
                                    const conv_run *runs, const ptrdiff_t *restrict table, const conv_layout *at)
{
    const EN_NAME(mask) second = MASK_FROM(count > 1 ? runs[1].first : 0);
    for (ptrdiff_t channel = 0; channel < at->c; ++channel, phases += at->channel)
        for (ptrdiff_t t = 0; t < at->window; ++t, panel += TILE_COLUMNS) {
            const REAL *tap = phases + table[t];
            VECTOR pixels = LOAD(tap + runs[0].source);
            if (count > 1)
                pixels = (VECTOR)(((EN_NAME(mask))pixels & ~second) | ((EN_NAME(mask))LOAD(tap + runs[1].source) & second));
            for (ptrdiff_t run = 2; run < count; ++run) {
                EN_NAME(mask) mask = MASK_FROM(runs[run].first);
                pixels = (VECTOR)(((EN_NAME(mask))pixels & ~mask) | ((EN_NAME(mask))LOAD(tap + runs[run].source) & mask));
            }
            STORE(panel, pixels);
        }
}

/* panel: out (taps, TILE_COLUMNS), one row per tap, the next `count` pixels of the walk; columns behind them hold
 * whatever is read there. */
static void EN_NAME(pack_pixels)(REAL *restrict panel, const REAL *restrict phases, conv_walk *walk, ptrdiff_t image,
                                 ptrdiff_t count, const ptrdiff_t *restrict table, const conv_layout *at)
{
    for (ptrdiff_t j = 0; j < TILE_COLUMNS; j += LANES) {
        conv_run runs[LANES + 1]; /* one more than there can be, lest the compiler sees one too few for pack_vector */
        const ptrdiff_t used = conv_runs(runs, walk, at, image, LANES, conv_most(count - j, 0));
        if (used == 1)
            EN_NAME(pack_vector)(1, panel + j, phases, runs, table, at);
        else if (used == 2)
            EN_NAME(pack_vector)(2, panel + j, phases, runs, table, at);
        else
            EN_NAME(pack_vector)(used, panel + j, phases, runs, table, at);
    }
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
                const EN_NAME(mask) mask = MASK_FROM(runs[run].first) & MASK_BEFORE(runs[run].first + runs[run].length);
                const REAL *from = panel + j * LANES;
                REAL *to = phases + table[t] + runs[run].source;
                for (ptrdiff_t channel = 0; channel < channels; ++channel, from += tap_step, to += at->channel)
                    STORE(to, LOAD(to) + (VECTOR)((EN_NAME(mask))LOAD(from) & mask));
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
