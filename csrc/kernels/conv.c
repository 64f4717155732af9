#ifndef REAL
#define EN_BODY "kernels/conv.c"
#include "kernels/conv.h"
#include "kernels/instantiate.h"
#else
#include "kernels/gemm_tile.h"

#ifndef EN_CONV_C
#define EN_CONV_C

/* Neighbouring output pixels whose inputs are neighbours too: columns first .. first + length of a panel, reading a
 * phase plane from `source` on, counted from the first image of the group. */
typedef struct {
    ptrdiff_t source, first, length;
} conv_run;

/* The runs that make up `count` pixels from `pixel` on, where pixel numbers go on from image to image of a group.
 * Returns their number, at most `count`. */
static inline ptrdiff_t conv_pixel_runs(conv_run *runs, const conv_geometry *g, const conv_layout *at, ptrdiff_t pixel,
                                        ptrdiff_t count)
{
    const ptrdiff_t width = at->columns == g->ow ? at->pixels : g->ow; /* rows without a gap are one long row */
    ptrdiff_t used = 0;
    for (ptrdiff_t done = 0; done < count; ++used) {
        ptrdiff_t image = (pixel + done) / at->pixels, inside = (pixel + done) % at->pixels;
        ptrdiff_t row = inside / width, column = inside % width;
        ptrdiff_t length = conv_least(width - column, count - done);
        runs[used] = (conv_run){image * at->image + row * at->columns + column, done, length};
        done += length;
    }
    return used;
}

/* Where the taps (channel, ky, kx) read: the plane of their phase, moved by whole strides. */
static inline ptrdiff_t conv_tap(const conv_geometry *g, const conv_layout *at, ptrdiff_t channel, ptrdiff_t ky,
                                 ptrdiff_t kx)
{
    ptrdiff_t phase_h = ky % g->stride_h, phase_w = kx % g->stride_w;
    return ((channel * at->phases_h + phase_h) * at->phases_w + phase_w) * at->plane
         + ky / g->stride_h * at->columns + kx / g->stride_w;
}

/* Columns of a phase row that lie inside of the image: from `first` up to `stop`. */
static inline void conv_inside(const conv_geometry *g, const conv_layout *at, ptrdiff_t phase_w, ptrdiff_t *first,
                               ptrdiff_t *stop)
{
    ptrdiff_t before = conv_most(g->pad_left - phase_w, 0), end = conv_most(g->w + g->pad_left - phase_w, 0);
    *first = conv_least(conv_quotient_up(before, g->stride_w), at->columns);
    *stop = conv_most(conv_least(conv_quotient_up(end, g->stride_w), at->columns), *first);
}
#endif

/* A lane of a comparison: all ones or all zeros. */
#if EN_IS_DOUBLE
#define MASK_LANE int64_t
#else
#define MASK_LANE int32_t
#endif
typedef MASK_LANE EN_NAME(mask) __attribute__((vector_size(EN_VECTOR)));
typedef EN_NAME(mask) EN_NAME(loose_mask) __attribute__((aligned(1), may_alias));

/* LANES ones, then LANES zeros: a load that ends n elements behind the ones keeps the first LANES - n. */
static const MASK_LANE EN_NAME(keep)[2 * LANES] = {[0 ... LANES - 1] = -1};

static inline REAL *EN_NAME(aligned)(REAL *work)
{
    return (REAL *)(((uintptr_t)work + 63) & ~(uintptr_t)63);
}

static inline void EN_NAME(copy)(REAL *restrict to, const REAL *restrict from, ptrdiff_t n)
{
    if (n < LANES) {
        for (ptrdiff_t i = 0; i < n; ++i)
            to[i] = from[i];
        return;
    }
    for (ptrdiff_t i = 0; i < n - LANES; i += LANES)
        STORE(to + i, LOAD(from + i));
    STORE(to + n - LANES, LOAD(from + n - LANES));
}

static inline void EN_NAME(clear)(REAL *restrict to, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        to[i] = 0;
}

/* phases: out, `count` images taken apart   x: in (count, c, h, w)                        see conv_layout */
static void EN_NAME(to_phases)(REAL *restrict phases, const REAL *restrict x, ptrdiff_t count, const conv_geometry *g,
                               const conv_layout *at)
{
    for (ptrdiff_t channel = 0; channel < count * g->c; ++channel, x += g->h * g->w)
        for (ptrdiff_t phase_h = 0; phase_h < at->phases_h; ++phase_h)
            for (ptrdiff_t phase_w = 0; phase_w < at->phases_w; ++phase_w) {
                ptrdiff_t first, stop;
                conv_inside(g, at, phase_w, &first, &stop);
                for (ptrdiff_t row = 0; row < at->rows; ++row, phases += at->columns) {
                    ptrdiff_t i = row * g->stride_h + phase_h - g->pad_top;
                    if (i < 0 || i >= g->h || first == stop) {
                        EN_NAME(clear)(phases, at->columns);
                        continue;
                    }
                    const REAL *from = x + i * g->w + first * g->stride_w + phase_w - g->pad_left;
                    EN_NAME(clear)(phases, first);
                    if (g->stride_w == 1)
                        EN_NAME(copy)(phases + first, from, stop - first);
                    else
                        for (ptrdiff_t j = first; j < stop; ++j)
                            phases[j] = from[(j - first) * g->stride_w];
                    EN_NAME(clear)(phases + stop, at->columns - stop);
                }
            }
}

/* dx: out (count, c, h, w), zero where no window reaches   phases: in, `count` images taken apart */
static void EN_NAME(from_phases)(REAL *restrict dx, const REAL *restrict phases, ptrdiff_t count,
                                 const conv_geometry *g, const conv_layout *at)
{
    memset(dx, 0, (size_t)(count * g->c * g->h * g->w) * sizeof(REAL));
    for (ptrdiff_t channel = 0; channel < count * g->c; ++channel, dx += g->h * g->w)
        for (ptrdiff_t phase_h = 0; phase_h < at->phases_h; ++phase_h)
            for (ptrdiff_t phase_w = 0; phase_w < at->phases_w; ++phase_w) {
                ptrdiff_t first, stop;
                conv_inside(g, at, phase_w, &first, &stop);
                for (ptrdiff_t row = 0; row < at->rows; ++row, phases += at->columns) {
                    ptrdiff_t i = row * g->stride_h + phase_h - g->pad_top;
                    if (i < 0 || i >= g->h || first == stop)
                        continue;
                    REAL *to = dx + i * g->w + first * g->stride_w + phase_w - g->pad_left;
                    if (g->stride_w == 1)
                        EN_NAME(copy)(to, phases + first, stop - first);
                    else
                        for (ptrdiff_t j = first; j < stop; ++j)
                            to[(j - first) * g->stride_w] = phases[j];
                }
            }
}

/* The `count` images x[first ...] taken apart: x itself where it already is its own phase, else `phases`, filled.
 * Whoever reads may read one vector too far, so the last images are always copied. */
static inline const REAL *EN_NAME(take_phases)(REAL *restrict phases, const REAL *restrict x, ptrdiff_t first,
                                               ptrdiff_t count, const conv_geometry *g, const conv_layout *at)
{
    const ptrdiff_t size = g->c * g->h * g->w;
    if (at->direct && (g->n - first - count) * size >= LANES)
        return x + first * size;
    EN_NAME(to_phases)(phases, x + first * size, count, g, at);
    return phases;
}

/* panel: out (taps, TILE_COLUMNS), one row per tap.  A run is copied in whole vectors; what it writes too far is
 * overwritten by the next run or row, and columns behind the last run belong to no pixel. */
static void EN_NAME(pack_pixels)(REAL *restrict panel, const REAL *restrict phases, const conv_run *runs,
                                 ptrdiff_t n_runs, const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t channel = 0; channel < g->c; ++channel)
        for (ptrdiff_t ky = 0; ky < g->kh; ++ky)
            for (ptrdiff_t kx = 0; kx < g->kw; ++kx, panel += TILE_COLUMNS) {
                const REAL *tap = phases + conv_tap(g, at, channel, ky, kx);
                for (ptrdiff_t run = 0; run < n_runs; ++run) {
                    const REAL *from = tap + runs[run].source;
                    REAL *to = panel + runs[run].first;
                    for (ptrdiff_t i = 0; i < runs[run].length; i += LANES)
                        STORE(to + i, LOAD(from + i));
                }
            }
}

/* phases: in/out   panel: in (taps, TILE_COLUMNS)                                    the adjoint of pack_pixels
 * Channels are the innermost loop because neighbouring taps overlap: adding to what was stored a moment ago, one
 * element aside, waits for the store. */
static void EN_NAME(add_pixels)(REAL *restrict phases, const REAL *restrict panel, const conv_run *runs,
                                ptrdiff_t n_runs, const conv_geometry *g, const conv_layout *at)
{
    const ptrdiff_t tap_step = g->kh * g->kw * TILE_COLUMNS, channel_step = at->phases_h * at->phases_w * at->plane;
    for (ptrdiff_t ky = 0; ky < g->kh; ++ky)
        for (ptrdiff_t kx = 0; kx < g->kw; ++kx, panel += TILE_COLUMNS)
            for (ptrdiff_t run = 0; run < n_runs; ++run) {
                const REAL *from = panel + runs[run].first;
                REAL *to = phases + conv_tap(g, at, 0, ky, kx) + runs[run].source;
                ptrdiff_t whole = runs[run].length / LANES * LANES, rest = runs[run].length - whole;
                EN_NAME(mask) mask = *(const EN_NAME(loose_mask) *)(EN_NAME(keep) + LANES - rest);
                for (ptrdiff_t channel = 0; channel < g->c; ++channel, from += tap_step, to += channel_step) {
                    for (ptrdiff_t i = 0; i < whole; i += LANES)
                        STORE(to + i, LOAD(to + i) + LOAD(from + i));
                    if (rest) {
                        EN_NAME(mask) kept = (EN_NAME(mask))LOAD(from + whole) & mask;
                        STORE(to + whole, LOAD(to + whole) + (VECTOR)kept);
                    }
                }
            }
}

/* panel: out (o, TILE_COLUMNS)   dy: in, the images of the group; pixels from `pixel` on, zero behind `count` */
static void EN_NAME(pack_outputs)(REAL *restrict panel, const REAL *restrict dy, ptrdiff_t pixel, ptrdiff_t count,
                                  const conv_geometry *g, const conv_layout *at)
{
    for (ptrdiff_t done = 0; done < TILE_COLUMNS;) {
        ptrdiff_t image = (pixel + done) / at->pixels, inside = (pixel + done) % at->pixels;
        ptrdiff_t length = conv_least(at->pixels - inside, count - done);
        const REAL *from = dy + image * g->o * at->pixels + inside;
        if (length <= 0) {
            for (ptrdiff_t o = 0; o < g->o; ++o)
                EN_NAME(clear)(panel + o * TILE_COLUMNS + done, TILE_COLUMNS - done);
            return;
        }
        for (ptrdiff_t o = 0; o < g->o; ++o)
            EN_NAME(copy)(panel + o * TILE_COLUMNS + done, from + o * at->pixels, length);
        done += length;
    }
}

/* y: out, the images of the group, rows o .. o + rows   tile: in (rows, TILE_COLUMNS), of which `count` columns count */
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

/* im2col.  col[(image, i, j), (channel, ky, kx)] = x[image, channel, i stride_h + ky - pad_top, j stride_w + kx - pad_left]
 *                                                                                 Chellapilla, Puri & Simard 2006 */
static void EN_NAME(im2col)(REAL *restrict col, const REAL *restrict x, const conv_geometry *g)
{
    if (g->c == 0)
        return;
    for (ptrdiff_t image = 0; image < g->n; ++image, x += g->c * g->h * g->w)
        for (ptrdiff_t i = 0; i < g->oh; ++i)
            for (ptrdiff_t j = 0; j < g->ow; ++j)
                for (ptrdiff_t channel = 0; channel < g->c; ++channel)
                    for (ptrdiff_t ky = 0; ky < g->kh; ++ky, col += g->kw) {
                        const ptrdiff_t row = i * g->stride_h + ky - g->pad_top, left = j * g->stride_w - g->pad_left;
                        const ptrdiff_t first = row < 0 || row >= g->h ? g->kw : conv_least(conv_most(-left, 0), g->kw);
                        const ptrdiff_t stop = conv_most(conv_least(g->w - left, g->kw), first);
                        for (ptrdiff_t kx = 0; kx < first; ++kx)
                            col[kx] = 0;
                        for (ptrdiff_t kx = first; kx < stop; ++kx)
                            col[kx] = x[(channel * g->h + row) * g->w + left + kx];
                        for (ptrdiff_t kx = stop; kx < g->kw; ++kx)
                            col[kx] = 0;
                    }
}

/* col2im.  x[image, channel, row, column] = sum of the col elements that im2col takes from there */
static void EN_NAME(col2im)(REAL *restrict x, const REAL *restrict col, const conv_geometry *g)
{
    if (g->c == 0)
        return;
    memset(x, 0, (size_t)(g->n * g->c * g->h * g->w) * sizeof(REAL));
    for (ptrdiff_t image = 0; image < g->n; ++image, x += g->c * g->h * g->w)
        for (ptrdiff_t i = 0; i < g->oh; ++i)
            for (ptrdiff_t j = 0; j < g->ow; ++j)
                for (ptrdiff_t channel = 0; channel < g->c; ++channel)
                    for (ptrdiff_t ky = 0; ky < g->kh; ++ky, col += g->kw) {
                        const ptrdiff_t row = i * g->stride_h + ky - g->pad_top, left = j * g->stride_w - g->pad_left;
                        const ptrdiff_t stop = row < 0 || row >= g->h ? 0 : conv_least(g->w - left, g->kw);
                        for (ptrdiff_t kx = conv_most(-left, 0); kx < stop; ++kx)
                            x[(channel * g->h + row) * g->w + left + kx] += col[kx];
                    }
}

/* conv2d.  y[image, o, i, j] = b[o] + sum_{channel, ky, kx} weights[o, channel, ky, kx] col[(image, i, j), (channel, ky, kx)]
 * with col as im2col makes it, but only TILE_COLUMNS pixels of it exist at a time. An output is one sum in the order
 * of the taps, wherever its pixel lies: it depends on no other image of the batch. */
static void EN_NAME(conv2d)(REAL *restrict y, const REAL *restrict x, const REAL *restrict weights,
                            const REAL *restrict b, REAL *restrict work, const conv_geometry *g)
{
    if (g->n == 0 || g->o == 0)
        return;
    const conv_layout at = conv_layout_of(g);
    const ptrdiff_t tiles = gemm_tiles(g->o, TILE_ROWS);
    REAL *packed = EN_NAME(aligned)(work);
    REAL *phases = packed + conv_part(g->o * at.taps);
    REAL *panel = phases + conv_part(at.group * at.image);
    REAL tile[TILE_ROWS * TILE_COLUMNS];
    conv_run runs[TILE_COLUMNS];

    for (ptrdiff_t t = 0; t < tiles; ++t) {
        const ptrdiff_t o = gemm_row(t, tiles, g->o), rows = gemm_row(t + 1, tiles, g->o) - o;
        EN_NAME(pack_lines)(packed + o * at.taps, weights + o * at.taps, at.taps, 1, rows, rows, rows, at.taps);
    }
    EN_NAME(clear)(panel, at.taps * TILE_COLUMNS);
    for (ptrdiff_t first = 0; first < g->n; first += at.group) {
        const ptrdiff_t images = conv_least(at.group, g->n - first), pixels = images * at.pixels;
        const REAL *from = EN_NAME(take_phases)(phases, x, first, images, g, &at);
        REAL *to = y + first * g->o * at.pixels;
        for (ptrdiff_t pixel = 0; pixel < pixels; pixel += TILE_COLUMNS) {
            const ptrdiff_t count = conv_least(pixels - pixel, TILE_COLUMNS), inside = pixel % at.pixels;
            const int whole = count == TILE_COLUMNS && inside + TILE_COLUMNS <= at.pixels;
            EN_NAME(pack_pixels)(panel, from, runs, conv_pixel_runs(runs, g, &at, pixel, count), g, &at);
            for (ptrdiff_t t = 0; t < tiles; ++t) {
                const ptrdiff_t o = gemm_row(t, tiles, g->o), rows = gemm_row(t + 1, tiles, g->o) - o;
                REAL *c = whole ? to + (pixel / at.pixels * g->o + o) * at.pixels + inside : tile;
                EN_NAME(gemm_tile)(c, whole ? at.pixels : TILE_COLUMNS, packed + o * at.taps, panel, b ? b + o : NULL,
                                   rows, at.taps);
                if (!whole)
                    EN_NAME(unpack_outputs)(to, tile, o, rows, pixel, count, g, &at);
            }
        }
    }
}

/* conv2d_backward_input.  dx = col2im(dcol),   dcol[(image, i, j), tap] = sum_o dy[image, o, i, j] weights[o, tap]
 * panel by panel: TILE_COLUMNS pixels of dcol exist at a time. */
static void EN_NAME(conv2d_backward_input)(REAL *restrict dx, const REAL *restrict dy, const REAL *restrict weights,
                                           REAL *restrict work, const conv_geometry *g)
{
    const conv_layout at = conv_layout_of(g);
    if (g->n == 0 || at.image == 0 || g->h == 0 || g->w == 0)
        return;
    const ptrdiff_t tiles = gemm_tiles(at.taps, TILE_ROWS);
    REAL *packed = EN_NAME(aligned)(work);
    REAL *phases = packed + conv_part(g->o * at.taps);
    REAL *outputs = phases + conv_part(at.group * at.image);
    REAL *panel = outputs + conv_part(g->o * EN_CONV_COLUMNS);
    conv_run runs[TILE_COLUMNS];

    for (ptrdiff_t t = 0; t < tiles; ++t) {
        const ptrdiff_t tap = gemm_row(t, tiles, at.taps), rows = gemm_row(t + 1, tiles, at.taps) - tap;
        EN_NAME(pack_lines)(packed + tap * g->o, weights + tap, 1, at.taps, rows, at.taps - tap, rows, g->o);
    }
    EN_NAME(clear)(phases, conv_part(at.group * at.image));
    for (ptrdiff_t first = 0; first < g->n; first += at.group) {
        const ptrdiff_t images = conv_least(at.group, g->n - first), pixels = images * at.pixels;
        EN_NAME(clear)(phases, images * at.image);
        for (ptrdiff_t pixel = 0; pixel < pixels; pixel += TILE_COLUMNS) {
            const ptrdiff_t count = conv_least(pixels - pixel, TILE_COLUMNS);
            EN_NAME(pack_outputs)(outputs, dy + first * g->o * at.pixels, pixel, count, g, &at);
            for (ptrdiff_t t = 0; t < tiles; ++t) {
                ptrdiff_t tap = gemm_row(t, tiles, at.taps), rows = gemm_row(t + 1, tiles, at.taps) - tap;
                EN_NAME(gemm_tile)(panel + tap * TILE_COLUMNS, TILE_COLUMNS, packed + tap * g->o, outputs, NULL, rows, g->o);
            }
            EN_NAME(add_pixels)(phases, panel, runs, conv_pixel_runs(runs, g, &at, pixel, count), g, &at);
        }
        EN_NAME(from_phases)(dx + first * g->c * g->h * g->w, phases, images, g, &at);
    }
}

/* Taps of one weights tile, and its width in vectors of outputs. */
#if EN_VECTOR == 64
#define WEIGHT_ROWS 8
#else
#define WEIGHT_ROWS 6
#endif
#define WEIGHT_VECTORS 2
#define WEIGHT_COLUMNS (WEIGHT_VECTORS * LANES)

/* outputs: out (ceil(o / WEIGHT_COLUMNS), pixels, width), zero behind o   dy: in (o, pixels)
 * width is WEIGHT_COLUMNS, but one vector for a last block of that few outputs. */
static void EN_NAME(channels_last)(REAL *restrict outputs, const REAL *restrict dy, const conv_geometry *g,
                                   const conv_layout *at)
{
    for (ptrdiff_t o = 0; o < g->o; o += WEIGHT_COLUMNS) {
        const ptrdiff_t width = g->o - o <= LANES ? LANES : WEIGHT_COLUMNS, real = conv_least(g->o - o, width);
        const REAL *from = dy + o * at->pixels;
        for (ptrdiff_t start = 0; start < at->pixels; start += LANES, outputs += LANES * width) {
            const ptrdiff_t count = conv_least(at->pixels - start, LANES);
            for (ptrdiff_t j = 0; j < real; ++j)
                for (ptrdiff_t i = 0; i < count; ++i)
                    outputs[i * width + j] = from[j * at->pixels + start + i];
            for (ptrdiff_t j = real; j < width; ++j)
                for (ptrdiff_t i = 0; i < count; ++i)
                    outputs[i * width + j] = 0;
            if (count < LANES)
                outputs -= (LANES - count) * width;
        }
    }
}

EN_INLINE void EN_NAME(weights_tile_of)(const int rows, const int vectors, REAL *restrict sums,
                                             const REAL *const *taps, const REAL *restrict outputs, ptrdiff_t height,
                                             ptrdiff_t width, ptrdiff_t columns)
{
    VECTOR sum[WEIGHT_ROWS][WEIGHT_VECTORS];
    const REAL *tap[WEIGHT_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
        tap[i] = taps[i];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j)
            sum[i][j] = (VECTOR){0};
    }
    for (ptrdiff_t y = 0; y < height; ++y)
        for (ptrdiff_t x = y * columns; x < y * columns + width; ++x, outputs += vectors * LANES) {
            VECTOR row[WEIGHT_VECTORS];
#pragma GCC unroll 2
            for (int j = 0; j < vectors; ++j)
                row[j] = LOAD(outputs + j * LANES);
#pragma GCC unroll 8
            for (int i = 0; i < rows; ++i) {
                VECTOR factor = (VECTOR){0} + tap[i][x];
#pragma GCC unroll 2
                for (int j = 0; j < vectors; ++j)
                    sum[i][j] += factor * row[j];
            }
        }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j) {
            REAL *total = sums + (i * vectors + j) * LANES;
            STORE(total, LOAD(total) + sum[i][j]);
        }
}

/* weights_tile.  sums: in/out (rows, vectors LANES)   taps: in (rows), where each tap reads the first pixel
 *                outputs: in (height width, vectors LANES)
 * sums[i][o] += sum_{y, x} taps[i][y columns + x] outputs[y width + x][o] */
static void EN_NAME(weights_tile)(REAL *restrict sums, const REAL *const *taps, const REAL *restrict outputs,
                                  ptrdiff_t rows, ptrdiff_t vectors, ptrdiff_t height, ptrdiff_t width,
                                  ptrdiff_t columns)
{
#define TILE_CASE(rows) \
    case 2 * rows: EN_NAME(weights_tile_of)(rows, 1, sums, taps, outputs, height, width, columns); break; \
    case 2 * rows + 1: EN_NAME(weights_tile_of)(rows, 2, sums, taps, outputs, height, width, columns); break;
    switch (2 * rows + vectors - 1) {
    TILE_CASE(1)
    TILE_CASE(2)
    TILE_CASE(3)
    TILE_CASE(4)
    TILE_CASE(5)
    TILE_CASE(6)
#if WEIGHT_ROWS == 8
    TILE_CASE(7)
    TILE_CASE(8)
#endif
    }
#undef TILE_CASE
}

/* sums: in/out (width)   outputs: in (pixels, width).  Four partial sums, added in a fixed order. */
static void EN_NAME(add_bias_gradient)(REAL *restrict sums, const REAL *restrict outputs, ptrdiff_t pixels,
                                       ptrdiff_t width)
{
    for (ptrdiff_t j = 0; j < width; j += LANES) {
        VECTOR sum[4] = {{0}};
        ptrdiff_t i = 0;
        for (; i + 4 <= pixels; i += 4)
#pragma GCC unroll 4
            for (int part = 0; part < 4; ++part)
                sum[part] += LOAD(outputs + (i + part) * width + j);
        for (; i < pixels; ++i)
            sum[0] += LOAD(outputs + i * width + j);
        STORE(sums + j, LOAD(sums + j) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
    }
}

/* conv2d_backward_weights.  dw[o, tap] = sum_{image, i, j} dy[image, o, i, j] col[(image, i, j), tap]
 *                           db[o] = sum_{image, i, j} dy[image, o, i, j]
 * Vectors run along o, over dy with channels last; taps read the image itself, so there is no col. Every image is
 * summed by itself and added to the total in the order of the batch. */
static void EN_NAME(conv2d_backward_weights)(REAL *restrict dw, REAL *restrict db, const REAL *restrict dy,
                                             const REAL *restrict x, REAL *restrict work, const conv_geometry *g)
{
    if (g->o == 0)
        return;
    const conv_layout at = conv_layout_of(g);
    const ptrdiff_t tiles = gemm_tiles(at.taps, WEIGHT_ROWS), blocks = conv_quotient_up(g->o, WEIGHT_COLUMNS);
    const ptrdiff_t height = at.columns == g->ow ? 1 : g->oh, width = at.columns == g->ow ? at.pixels : g->ow;
    REAL *phases = EN_NAME(aligned)(work);
    REAL *outputs = phases + conv_part(at.image);
    REAL *sums = outputs + conv_part(at.pixels * conv_quotient_up(g->o, EN_CONV_COLUMNS) * EN_CONV_COLUMNS);
    REAL *bias = sums + at.taps * blocks * WEIGHT_COLUMNS;
    const REAL *taps[WEIGHT_ROWS];

    EN_NAME(clear)(sums, (at.taps + 1) * blocks * WEIGHT_COLUMNS);
    for (ptrdiff_t image = 0; image < g->n; ++image) {
        const REAL *from = EN_NAME(take_phases)(phases, x, image, 1, g, &at);
        EN_NAME(channels_last)(outputs, dy + image * g->o * at.pixels, g, &at);
        for (ptrdiff_t block = 0; block < blocks; ++block) {
            const ptrdiff_t o = block * WEIGHT_COLUMNS, vectors = g->o - o <= LANES ? 1 : WEIGHT_VECTORS;
            for (ptrdiff_t t = 0; t < tiles; ++t) {
                const ptrdiff_t tap = gemm_row(t, tiles, at.taps), rows = gemm_row(t + 1, tiles, at.taps) - tap;
                for (ptrdiff_t i = 0; i < rows; ++i) {
                    const ptrdiff_t channel = (tap + i) / (g->kh * g->kw), ky = (tap + i) / g->kw % g->kh;
                    taps[i] = from + conv_tap(g, &at, channel, ky, (tap + i) % g->kw);
                }
                EN_NAME(weights_tile)(sums + o * at.taps + tap * vectors * LANES, taps, outputs + o * at.pixels, rows,
                                      vectors, height, width, at.columns);
            }
            if (db)
                EN_NAME(add_bias_gradient)(bias + o, outputs + o * at.pixels, at.pixels, vectors * LANES);
        }
    }
    for (ptrdiff_t o = 0; o < g->o; ++o) {
        const ptrdiff_t block = o / WEIGHT_COLUMNS * WEIGHT_COLUMNS, inside = o - block;
        const ptrdiff_t step = g->o - block <= LANES ? LANES : WEIGHT_COLUMNS;
        for (ptrdiff_t tap = 0; tap < at.taps; ++tap)
            dw[o * at.taps + tap] = sums[block * at.taps + tap * step + inside];
        if (db)
            db[o] = bias[o];
    }
}

#undef MASK_LANE
#undef WEIGHT_ROWS
#undef WEIGHT_VECTORS
#undef WEIGHT_COLUMNS
#endif
