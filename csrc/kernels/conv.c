#ifndef REAL
#define EN_BODY "kernels/conv.c"
#include "kernels/conv.h"
#include "kernels/instantiate.h"
#else
#include "kernels/gemm_tile.h"
#include "kernels/conv_image.h"
#include "kernels/conv_narrow.h"
#include "kernels/conv_forward.h"
#include "kernels/conv_backward_input.h"
#include "kernels/conv_backward_weights.h"

#ifndef EN_CONV_C
#define EN_CONV_C
/* Taps of one row of a window that begins at column `left` of the image: those before the first one inside of it, and
 * those before the first one behind it. */
static inline ptrdiff_t conv_first_inside(const conv_geometry *g, ptrdiff_t left)
{
    return conv_least(conv_quotient_up(conv_most(-left, 0), g->dilation_w), g->kw);
}

static inline ptrdiff_t conv_stop_inside(const conv_geometry *g, ptrdiff_t left)
{
    return conv_least(conv_quotient_up(conv_most(g->w - left, 0), g->dilation_w), g->kw);
}
#endif

/* im2col.  col[(image, i, j), (channel, ky, kx)] = x[image, channel, i stride_h + ky dilation_h - pad_top,
 *                                                    j stride_w + kx dilation_w - pad_left]      Chellapilla, Puri & Simard 2006 */
static void EN_NAME(im2col)(REAL *restrict col, const REAL *restrict x, const conv_geometry *g)
{
    if (g->c == 0)
        return;
    for (ptrdiff_t image = 0; image < g->n; ++image, x += g->c * g->h * g->w)
        for (ptrdiff_t i = 0; i < g->oh; ++i)
            for (ptrdiff_t j = 0; j < g->ow; ++j)
                for (ptrdiff_t channel = 0; channel < g->c; ++channel)
                    for (ptrdiff_t ky = 0; ky < g->kh; ++ky, col += g->kw) {
                        const ptrdiff_t row = i * g->stride_h + ky * g->dilation_h - g->pad_top;
                        const ptrdiff_t left = j * g->stride_w - g->pad_left;
                        const ptrdiff_t first = row < 0 || row >= g->h ? g->kw : conv_first_inside(g, left);
                        const ptrdiff_t stop = conv_most(conv_stop_inside(g, left), first);
                        for (ptrdiff_t kx = 0; kx < first; ++kx)
                            col[kx] = 0;
                        for (ptrdiff_t kx = first; kx < stop; ++kx)
                            col[kx] = x[(channel * g->h + row) * g->w + left + kx * g->dilation_w];
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
                        const ptrdiff_t row = i * g->stride_h + ky * g->dilation_h - g->pad_top;
                        const ptrdiff_t left = j * g->stride_w - g->pad_left;
                        const ptrdiff_t stop = row < 0 || row >= g->h ? 0 : conv_stop_inside(g, left);
                        for (ptrdiff_t kx = conv_first_inside(g, left); kx < stop; ++kx)
                            x[(channel * g->h + row) * g->w + left + kx * g->dilation_w] += col[kx];
                    }
}
#endif
