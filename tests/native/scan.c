#ifndef REAL
#define EN_SELFTEST "scan.c"
#include "parallel/scan.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_SCAN
#define EN_SELFTEST_SCAN
static const struct { ptrdiff_t steps, n, first, stop; } scan_sizes[] = {
    {0, 3, 0, 3}, {1, 1, 0, 1}, {50, 1, 0, 1}, {20, 5, 0, 5}, {20, 5, 2, 3}, {9, 70, 0, 64}, {9, 70, 64, 70},
};

static uint8_t *random_mask(ptrdiff_t n)
{
    uint8_t *mask = unset_array(1, n);
    EACH(i, n)
        mask[i] = random_bits() % 8 == 0;
    return mask;
}
#endif

TEST(discounted_returns)
{
    EACH(size, LENGTH(scan_sizes)) {
        const ptrdiff_t steps = scan_sizes[size].steps, n = scan_sizes[size].n;
        const ptrdiff_t first = scan_sizes[size].first, stop = scan_sizes[size].stop;
        begin_case("steps = %d, columns %d to %d of %d", (int)steps, (int)first, (int)stop, (int)n);
        REAL *returns = UNSET(steps * n), *rewards = RANDOM(steps * n, -1, 1);
        uint8_t *dones = random_mask(steps * n);
        CALL(discounted_returns)(returns, rewards, dones, 0.97, steps, n, first, stop);
        for (ptrdiff_t j = 0; j < n; ++j) {
            wide next = 0, bound = 0; /* roundings of this step, and of the later ones, discounted */
            for (ptrdiff_t i = (steps - 1) * n + j; i >= 0; i -= n) {
                bound = 2 * EPS * (1 + magnitude(next)) + 0.97L * bound;
                next = rewards[i] + 0.97L * (dones[i] ? 0 : next);
                if (first <= j && j < stop)
                    agree("returns", i, returns[i], next, bound + EPS * magnitude(next));
                else
                    expect("other columns are left alone", returns[i] != returns[i]);
            }
        }
    }
}

TEST(gae)
{
    EACH(size, LENGTH(scan_sizes)) {
        const ptrdiff_t steps = scan_sizes[size].steps, n = scan_sizes[size].n;
        const ptrdiff_t first = scan_sizes[size].first, stop = scan_sizes[size].stop;
        begin_case("steps = %d, columns %d to %d of %d", (int)steps, (int)first, (int)stop, (int)n);
        REAL *advantages = UNSET(steps * n), *returns = UNSET(steps * n), *rewards = RANDOM(steps * n, -1, 1);
        REAL *values = RANDOM((steps + 1) * n, -1, 1);
        uint8_t *terminated = random_mask(steps * n), *truncated = random_mask(steps * n);
        CALL(gae)(advantages, returns, rewards, values, values + n, terminated, truncated, 0.97, 0.9, steps, n, first,
                  stop);
        for (ptrdiff_t j = 0; j < n; ++j) {
            wide next = 0, bound = 0;
            for (ptrdiff_t i = (steps - 1) * n + j; i >= 0; i -= n) {
                bound = 2 * EPS * (3 + magnitude(next)) + 0.97L * 0.9L * bound;
                const wide delta = rewards[i] + 0.97L * (terminated[i] ? 0 : values[i + n]) - values[i];
                next = delta + 0.97L * 0.9L * (terminated[i] || truncated[i] ? 0 : next);
                if (first <= j && j < stop) {
                    agree("advantages", i, advantages[i], next, bound + EPS * magnitude(next));
                    agree("returns", i, returns[i], next + values[i], bound + EPS * (1 + magnitude(next)));
                } else
                    expect("other columns are left alone", advantages[i] != advantages[i] && returns[i] != returns[i]);
            }
        }
    }
}
#endif
