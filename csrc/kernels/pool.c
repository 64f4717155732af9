#ifndef REAL
#define EN_BODY "kernels/pool.c"
#include "kernels/pool.h"
#include "kernels/instantiate.h"
#else

#include "kernels/reductions.h"

/* A later element wins only if it is greater, so the first of equals stays; a NaN beats every number and stays. */
#define BEATS(v, best) (((best) == (best)) & !((v) <= (best)))

/* `width` windows side by side. x: their first element   place: its index in the plane
 * Inlined with constants for width, p and keep: then the loop over the window is unrolled and the compiler vectorises
 * over the windows. It does so only if the window is one loop (hence the division by p) and each choice depends on one
 * comparison (hence BEATS in two steps). */
EN_INLINE void EN_NAME(maxpool_windows)(REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x,
                                        int32_t place, ptrdiff_t w, const int width, const int p, const int keep)
{
    for (int j = 0; j < width; ++j) {
        REAL best = x[j * p];
        int32_t best_place = place + j * p;
EN_UNROLL(9)
        for (int t = 1; t < p * p; ++t) {
            const REAL v = x[(t / p) * w + j * p + t % p];
            const int32_t v_place = place + (t / p) * (int32_t)w + j * p + t % p;
            const REAL greater = v <= best ? best : v;
            const int32_t greater_place = v <= best ? best_place : v_place;
            best_place = best == best ? greater_place : best_place;
            best = best == best ? greater : best;
        }
        y[j] = best;
        if (keep)
            argmax[j] = best_place;
    }
}

/* One row of ow >= width windows in steps of `width`. The last step goes back over windows that are done: finished
 * rows of 12 or 14 windows, which small images have, would otherwise spend most of their time in single windows. */
EN_INLINE void EN_NAME(maxpool_row)(REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x,
                                    int32_t place, ptrdiff_t w, ptrdiff_t ow, const int width, const int p,
                                    const int keep)
{
    ptrdiff_t j = 0;
    for (; j + width <= ow; j += width)
        EN_NAME(maxpool_windows)(y + j, keep ? argmax + j : NULL, x + j * p, place + (int32_t)(j * p), w, width, p, keep);
    if (j < ow) {
        j = ow - width;
        EN_NAME(maxpool_windows)(y + j, keep ? argmax + j : NULL, x + j * p, place + (int32_t)(j * p), w, width, p, keep);
    }
}

EN_INLINE void EN_NAME(maxpool_small)(REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x,
                                      ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, const int p, const int keep)
{
    const ptrdiff_t oh = h / p, ow = w / p;
    for (ptrdiff_t plane = 0; plane < planes; ++plane)
        for (ptrdiff_t i = 0; i < oh; ++i) {
            const REAL *restrict row = x + (plane * h + i * p) * w;
            const int32_t place = (int32_t)(i * p * w);
            if (ow >= LANES)
                EN_NAME(maxpool_row)(y, argmax, row, place, w, ow, LANES, p, keep);
            else if (ow >= LANES / 2)
                EN_NAME(maxpool_row)(y, argmax, row, place, w, ow, LANES / 2, p, keep);
            else if (LANES >= 8 && ow >= LANES / 4)
                EN_NAME(maxpool_row)(y, argmax, row, place, w, ow, LANES / 4, p, keep);
            else
                EN_NAME(maxpool_row)(y, argmax, row, place, w, ow, 1, p, keep);
            y += ow;
            if (keep)
                argmax += ow;
        }
}

/* Windows of any size: a new maximum is rare in a large window, so a branch is right there. */
static void EN_NAME(maxpool_large)(REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x,
                                   ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    const ptrdiff_t oh = h / p, ow = w / p;
    for (ptrdiff_t plane = 0; plane < planes; ++plane, x += h * w)
        for (ptrdiff_t i = 0; i < oh; ++i)
            for (ptrdiff_t j = 0; j < ow; ++j, ++y) {
                ptrdiff_t place = i * p * w + j * p;
                REAL best = x[place];
                for (ptrdiff_t r = i * p; r < (i + 1) * p; ++r)
                    for (ptrdiff_t k = r * w + j * p; k < r * w + (j + 1) * p; ++k)
                        if (BEATS(x[k], best)) {
                            best = x[k];
                            place = k;
                        }
                *y = best;
                if (argmax)
                    *argmax++ = (int32_t)place;
            }
}

/* maxpool2d.  y: out (planes, oh, ow)   argmax: out, or NULL   x: in (planes, h, w)
 * y = max over the window;  argmax = place of the first maximum in row-major order, or of the first NaN. */
static void EN_NAME(maxpool2d)(REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x,
                               ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    if (p == 2 && argmax)
        EN_NAME(maxpool_small)(y, argmax, x, planes, h, w, 2, 1);
    else if (p == 2)
        EN_NAME(maxpool_small)(y, NULL, x, planes, h, w, 2, 0);
    else if (p == 3 && argmax)
        EN_NAME(maxpool_small)(y, argmax, x, planes, h, w, 3, 1);
    else if (p == 3)
        EN_NAME(maxpool_small)(y, NULL, x, planes, h, w, 3, 0);
    else
        EN_NAME(maxpool_large)(y, argmax, x, planes, h, w, p);
}

/* maxpool2d_backward.  dx: out (planes, h, w)   dy, argmax: in (planes, oh, ow)
 * dx[argmax] += dy, zero elsewhere. Returns -1, or the index of the first argmax that lies outside its plane; nothing
 * is written there. Each plane is cleared just before it is filled, while it is in the first-level cache. */
static ptrdiff_t EN_NAME(maxpool2d_backward)(REAL *restrict dx, const REAL *restrict dy,
                                             const int32_t *restrict argmax, ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w,
                                             ptrdiff_t oh, ptrdiff_t ow)
{
    const ptrdiff_t inputs = h * w, outputs = oh * ow;
    if (inputs == 0 && outputs == 0)
        return -1;
    for (ptrdiff_t plane = 0; plane < planes; ++plane, dx += inputs) {
        memset(dx, 0, (size_t)inputs * sizeof(REAL));
        for (ptrdiff_t j = plane * outputs; j < (plane + 1) * outputs; ++j) {
            const ptrdiff_t place = argmax[j];
            if (place < 0 || place >= inputs)
                return j;
            dx[place] += dy[j];
        }
    }
    return -1;
}

EN_INLINE void EN_NAME(avgpool_small)(REAL *restrict y, const REAL *restrict x,
                                      ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    const ptrdiff_t oh = h / p, ow = w / p;
    for (ptrdiff_t plane = 0; plane < planes; ++plane)
        for (ptrdiff_t i = 0; i < oh; ++i, y += ow) {
            const REAL *restrict rows = x + (plane * h + i * p) * w;
            for (ptrdiff_t j = 0; j < ow; ++j) {
                REAL sum = 0;
                for (ptrdiff_t r = 0; r < p; ++r)
                    for (ptrdiff_t k = 0; k < p; ++k)
                        sum += rows[r * w + j * p + k];
                y[j] = sum / (REAL)(p * p);
            }
        }
}

/* Windows of any size: eight running sums over a window, in double precision because a window may be a whole image. */
static void EN_NAME(avgpool_large)(REAL *restrict y, const REAL *restrict x,
                                   ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    const ptrdiff_t oh = h / p, ow = w / p;
    for (ptrdiff_t plane = 0; plane < planes; ++plane)
        for (ptrdiff_t i = 0; i < oh; ++i, y += ow)
            for (ptrdiff_t j = 0; j < ow; ++j) {
                const REAL *restrict corner = x + (plane * h + i * p) * w + j * p;
                double partial[8] = {0}, sum = 0;
                for (ptrdiff_t r = 0; r < p; ++r, corner += w) {
                    ptrdiff_t k = 0;
                    for (; k + 8 <= p; k += 8)
                        for (int lane = 0; lane < 8; ++lane)
                            partial[lane] += (double)corner[k + lane];
                    for (int lane = 0; k < p; ++k, ++lane)
                        partial[lane] += (double)corner[k];
                }
                for (int lane = 0; lane < 8; ++lane)
                    sum += partial[lane];
                y[j] = (REAL)(sum / ((double)p * (double)p));
            }
}

/* avgpool2d.  y: out (planes, oh, ow)   x: in (planes, h, w)          y = mean over the window */
static void EN_NAME(avgpool2d)(REAL *restrict y, const REAL *restrict x,
                               ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    if (p == 2)
        EN_NAME(avgpool_small)(y, x, planes, h, w, 2);
    else if (p == 3)
        EN_NAME(avgpool_small)(y, x, planes, h, w, 3);
    else
        EN_NAME(avgpool_large)(y, x, planes, h, w, p);
}

/* The p rows under one row of windows are equal: the first is spread, the others are copies of it. */
EN_INLINE void EN_NAME(avgpool_spread)(REAL *restrict dx, const REAL *restrict dy,
                                       ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    const ptrdiff_t oh = h / p, ow = w / p, dropped = h - oh * p;
    const REAL area = (REAL)p * (REAL)p;
    for (ptrdiff_t plane = 0; plane < planes; ++plane) {
        for (ptrdiff_t i = 0; i < oh; ++i, dy += ow) {
            REAL *restrict row = dx;
            for (ptrdiff_t j = 0; j < ow; ++j)
                for (ptrdiff_t k = 0; k < p; ++k)
                    row[j * p + k] = dy[j] / area;
            for (ptrdiff_t k = ow * p; k < w; ++k)
                row[k] = 0;
            dx += w;
            for (ptrdiff_t r = 1; r < p; ++r, dx += w)
                memcpy(dx, row, (size_t)w * sizeof(REAL));
        }
        memset(dx, 0, (size_t)(dropped * w) * sizeof(REAL));
        dx += dropped * w;
    }
}

/* avgpool2d_backward.  dx: out (planes, h, w)   dy: in (planes, oh, ow)          dx = dy / p^2 in the whole window */
static void EN_NAME(avgpool2d_backward)(REAL *restrict dx, const REAL *restrict dy,
                                        ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t p)
{
    if (p == 2)
        EN_NAME(avgpool_spread)(dx, dy, planes, h, w, 2);
    else if (p == 3)
        EN_NAME(avgpool_spread)(dx, dy, planes, h, w, 3);
    else
        EN_NAME(avgpool_spread)(dx, dy, planes, h, w, p);
}

/* Where bin i of `bins` over `size` elements begins; it ends where the next would begin, rounded up. */
static inline ptrdiff_t EN_NAME(bin_start)(ptrdiff_t i, ptrdiff_t size, ptrdiff_t bins)
{
    return i * size / bins;
}

static inline ptrdiff_t EN_NAME(bin_stop)(ptrdiff_t i, ptrdiff_t size, ptrdiff_t bins)
{
    return ((i + 1) * size + bins - 1) / bins;
}

/* Runs the body for every bin of every plane: bin (i, j), which has the rows r0 to r1. */
#define FOR_BINS \
    for (ptrdiff_t plane = 0; plane < planes; ++plane) \
        for (ptrdiff_t i = 0; i < oh; ++i) \
            for (ptrdiff_t j = 0, r0 = EN_NAME(bin_start)(i, h, oh), r1 = EN_NAME(bin_stop)(i, h, oh); j < ow; ++j)

/* adaptive_maxpool2d.  y: out (planes, oh, ow)   argmax: out, or NULL   x: in (planes, h, w)
 * As maxpool2d over bin (i, j): rows floor(i h / oh) to ceil((i + 1) h / oh), columns likewise. */
static void EN_NAME(adaptive_maxpool2d)(REAL *restrict y, int32_t *restrict argmax, const REAL *restrict x,
                                        ptrdiff_t planes, ptrdiff_t h, ptrdiff_t w, ptrdiff_t oh, ptrdiff_t ow)
{
    FOR_BINS {
        const REAL *restrict image = x + plane * h * w;
        const ptrdiff_t k0 = EN_NAME(bin_start)(j, w, ow), k1 = EN_NAME(bin_stop)(j, w, ow);
        ptrdiff_t place = r0 * w + k0;
        REAL best = image[place];
        for (ptrdiff_t r = r0; r < r1; ++r)
            for (ptrdiff_t k = r * w + k0; k < r * w + k1; ++k)
                if (BEATS(image[k], best)) {
                    best = image[k];
                    place = k;
                }
        *y++ = best;
        if (argmax)
            *argmax++ = (int32_t)place;
    }
}

/* adaptive_avgpool2d.  y: out (planes, oh, ow)   x: in (planes, h, w)          y = mean over the bin */
static void EN_NAME(adaptive_avgpool2d)(REAL *restrict y, const REAL *restrict x, ptrdiff_t planes, ptrdiff_t h,
                                        ptrdiff_t w, ptrdiff_t oh, ptrdiff_t ow)
{
    FOR_BINS {
        const ptrdiff_t k0 = EN_NAME(bin_start)(j, w, ow), k1 = EN_NAME(bin_stop)(j, w, ow);
        const ptrdiff_t rows = ow == 1 ? 1 : r1 - r0, run = ow == 1 ? (r1 - r0) * w : k1 - k0; /* whole rows are one run */
        const REAL *restrict bin = x + (plane * h + r0) * w + k0;
        double sums[DOUBLE_SUMS] = {0};
#define ELEMENT(k) (double)bin[k]
        for (ptrdiff_t r = 0; r < rows; ++r, bin += w)
            ADD_TERMS(sums, ELEMENT, run);
#undef ELEMENT
        *y++ = (REAL)(EN_NAME(total_of)(sums) / ((double)rows * (double)run));
    }
}

/* adaptive_avgpool2d_backward.  dx: out (planes, h, w)   dy: in (planes, oh, ow)
 * dx = sum of dy / size over the bins that an element lies in; they may overlap. */
static void EN_NAME(adaptive_avgpool2d_backward)(REAL *restrict dx, const REAL *restrict dy, ptrdiff_t planes,
                                                 ptrdiff_t h, ptrdiff_t w, ptrdiff_t oh, ptrdiff_t ow)
{
    memset(dx, 0, (size_t)(planes * h * w) * sizeof(REAL));
    FOR_BINS {
        const ptrdiff_t k0 = EN_NAME(bin_start)(j, w, ow), k1 = EN_NAME(bin_stop)(j, w, ow);
        const REAL share = *dy++ / (REAL)((r1 - r0) * (k1 - k0));
        for (ptrdiff_t r = r0; r < r1; ++r) {
            REAL *restrict row = dx + (plane * h + r) * w;
            for (ptrdiff_t k = k0; k < k1; ++k)
                row[k] += share;
        }
    }
}

#undef FOR_BINS
#undef BEATS
#endif
