#ifndef REAL
#define EN_SELFTEST "pool.c"
#include "parallel/pool.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_POOL
#define EN_SELFTEST_POOL
/* planes, height, width, window: vector remainders, dropped rows and columns, windows of every kind */
static const ptrdiff_t pool_shapes[][4] = {
    {6, 2, 2, 2},  {6, 3, 3, 2},  {6, 4, 5, 2},   {6, 2, 8, 2},   {6, 3, 15, 2},  {6, 4, 16, 2},   {6, 2, 17, 2},
    {6, 3, 31, 2}, {6, 4, 33, 2}, {3, 2, 70, 2},  {2, 7, 3, 3},   {2, 7, 7, 3},   {2, 7, 11, 3},   {2, 7, 23, 3},
    {2, 7, 25, 3}, {2, 7, 47, 3}, {2, 7, 59, 3},  {4, 5, 6, 1},   {3, 9, 13, 4},  {2, 23, 19, 7},  {1, 40, 45, 19},
    {1, 30, 30, 30}, {0, 4, 4, 2},
};
#endif

/* Runs the body for every shape, with planes, h, w, p, oh, ow. */
#define FOR_IMAGES \
    for (ptrdiff_t shape = 0, planes, h, w, p, oh, ow; shape < LENGTH(pool_shapes) \
         && (planes = pool_shapes[shape][0], h = pool_shapes[shape][1], w = pool_shapes[shape][2], \
             p = pool_shapes[shape][3], oh = h / p, ow = w / p, \
             begin_case("%d planes of %d x %d, window %d", (int)planes, (int)h, (int)w, (int)p), 1); ++shape)

TEST(maxpool2d)
{
    FOR_IMAGES {
        REAL *x = RANDOM(planes * h * w, -3, 3), *y = UNSET(planes * oh * ow), *y_alone = UNSET(planes * oh * ow);
        int32_t *argmax = unset_array(sizeof(int32_t), planes * oh * ow);
        EACH(i, planes * h * w) { /* equal ones, and a few NaN */
            x[i] = (REAL)(int)x[i];
            if (i % 37 == 36)
                x[i] = (REAL)NAN;
        }
        CALL(maxpool2d)(y, argmax, x, planes, h, w, p);
        CALL(maxpool2d)(y_alone, NULL, x, planes, h, w, p);
        EACH(out, planes * oh * ow) {
            const ptrdiff_t plane = out / (oh * ow), i = out / ow % oh, j = out % ow;
            ptrdiff_t place = i * p * w + j * p;
            REAL best = x[plane * h * w + place];
            EACH(t, p * p) {
                const ptrdiff_t here = (i * p + t / p) * w + j * p + t % p;
                const REAL v = x[plane * h * w + here];
                if (best == best && (v > best || v != v)) {
                    best = v;
                    place = here;
                }
            }
            agree("y", out, y[out], best, 0);
            agree("y without argmax", out, y_alone[out], best, 0);
            agree("argmax", out, argmax[out], place, 0);
        }
    }
}

TEST(maxpool2d_backward)
{
    FOR_IMAGES {
        REAL *dx = UNSET(planes * h * w), *want = RANDOM(planes * h * w, 0, 0), *dy = RANDOM(planes * oh * ow, -9, 9);
        int32_t *argmax = unset_array(sizeof(int32_t), planes * oh * ow);
        EACH(out, planes * oh * ow) {
            dy[out] = (REAL)(int)dy[out];
            argmax[out] = (int32_t)(random_bits() % (uint64_t)(h * w));
            want[out / (oh * ow) * h * w + argmax[out]] += dy[out];
        }
        expect("every place is inside", CALL(maxpool2d_backward)(dx, dy, argmax, planes, h, w, oh, ow) == -1);
        EACH(i, planes * h * w)
            agree("dx", i, dx[i], want[i], 0);
        if (planes > 0) {
            argmax[planes * oh * ow - 1] = (int32_t)(h * w);
            expect("a place outside is found",
                   CALL(maxpool2d_backward)(dx, dy, argmax, planes, h, w, oh, ow) == planes * oh * ow - 1);
        }
    }
}

TEST(avgpool2d)
{
    FOR_IMAGES {
        REAL *x = RANDOM(planes * h * w, -1, 1), *y = UNSET(planes * oh * ow);
        CALL(avgpool2d)(y, x, planes, h, w, p);
        EACH(out, planes * oh * ow) {
            const ptrdiff_t plane = out / (oh * ow), i = out / ow % oh, j = out % ow;
            wide sum = 0, size = 0;
            EACH(t, p * p) {
                const wide v = x[(plane * h + i * p + t / p) * w + j * p + t % p];
                sum += v;
                size += magnitude(v);
            }
            agree("y", out, y[out], sum / (p * p), (wide)(p * p + 1) * EPS * size / (p * p));
        }
    }
}

TEST(avgpool2d_backward)
{
    FOR_IMAGES {
        REAL *dx = UNSET(planes * h * w), *dy = RANDOM(planes * oh * ow, -1, 1);
        CALL(avgpool2d_backward)(dx, dy, planes, h, w, p);
        EACH(in, planes * h * w) {
            const ptrdiff_t plane = in / (h * w), i = in / w % h / p, j = in % w / p;
            const wide want = i < oh && j < ow ? (wide)dy[(plane * oh + i) * ow + j] / (p * p) : 0;
            agree("dx", in, dx[in], want, EPS * magnitude(want));
        }
    }
}

/* planes, height, width, bins down and across: whole images, bins that share elements, more bins than elements */
#ifndef EN_SELFTEST_POOL_BINS
#define EN_SELFTEST_POOL_BINS
static const ptrdiff_t bin_shapes[][5] = {
    {6, 4, 6, 1, 1}, {2, 7, 5, 3, 2}, {2, 5, 33, 2, 9}, {3, 9, 9, 4, 9}, {3, 2, 3, 5, 4}, {1, 28, 31, 1, 7}, {0, 4, 4, 2, 2},
};
#endif
#define FOR_BINNED \
    for (ptrdiff_t shape = 0, planes, h, w, oh, ow; shape < LENGTH(bin_shapes) \
         && (planes = bin_shapes[shape][0], h = bin_shapes[shape][1], w = bin_shapes[shape][2], \
             oh = bin_shapes[shape][3], ow = bin_shapes[shape][4], \
             begin_case("%d planes of %d x %d, %d x %d bins", (int)planes, (int)h, (int)w, (int)oh, (int)ow), 1); ++shape)
/* Whether element i of `size` lies in bin b of n. */
#define IN_BIN(i, size, b, n) ((i) >= (b) * (size) / (n) && (i) * (n) < ((b) + 1) * (size))

TEST(adaptive_maxpool2d)
{
    FOR_BINNED {
        REAL *x = RANDOM(planes * h * w, -3, 3), *y = UNSET(planes * oh * ow), *alone = UNSET(planes * oh * ow);
        int32_t *argmax = unset_array(sizeof(int32_t), planes * oh * ow);
        EACH(i, planes * h * w)
            x[i] = (REAL)(int)x[i]; /* equal ones */
        CALL(adaptive_maxpool2d)(y, argmax, x, planes, h, w, oh, ow);
        CALL(adaptive_maxpool2d)(alone, NULL, x, planes, h, w, oh, ow);
        EACH(out, planes * oh * ow) {
            ptrdiff_t place = -1;
            const REAL *image = x + out / (oh * ow) * h * w;
            EACH(i, h * w)
                if (IN_BIN(i / w, h, out / ow % oh, oh) && IN_BIN(i % w, w, out % ow, ow)
                    && (place < 0 || image[i] > image[place]))
                    place = i;
            agree("y", out, y[out], image[place], 0);
            agree("y without argmax", out, alone[out], image[place], 0);
            agree("argmax", out, argmax[out], place, 0);
        }
    }
}

TEST(adaptive_avgpool2d)
{
    FOR_BINNED {
        REAL *x = RANDOM(planes * h * w, -1, 1), *y = UNSET(planes * oh * ow);
        CALL(adaptive_avgpool2d)(y, x, planes, h, w, oh, ow);
        EACH(out, planes * oh * ow) {
            wide sum = 0, count = 0;
            EACH(i, h * w)
                if (IN_BIN(i / w, h, out / ow % oh, oh) && IN_BIN(i % w, w, out % ow, ow)) {
                    sum += x[out / (oh * ow) * h * w + i];
                    count += 1;
                }
            agree("y", out, y[out], sum / count, 4 * EPS);
        }
    }
}

TEST(adaptive_avgpool2d_backward)
{
    FOR_BINNED {
        REAL *dx = UNSET(planes * h * w), *dy = RANDOM(planes * oh * ow, -1, 1);
        CALL(adaptive_avgpool2d_backward)(dx, dy, planes, h, w, oh, ow);
        EACH(in, planes * h * w) {
            wide want = 0;
            EACH(out, oh * ow) {
                ptrdiff_t count = 0;
                EACH(i, h * w)
                    count += IN_BIN(i / w, h, out / ow, oh) && IN_BIN(i % w, w, out % ow, ow);
                if (IN_BIN(in / w % h, h, out / ow, oh) && IN_BIN(in % w, w, out % ow, ow))
                    want += (wide)dy[in / (h * w) * oh * ow + out] / count;
            }
            agree("dx", in, dx[in], want, 16 * EPS);
        }
    }
}

#undef IN_BIN
#undef FOR_BINNED
#undef FOR_IMAGES
#endif
