#ifndef REAL
#define EN_SELFTEST "dropout.c"
#include "parallel/dropout.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_DROPOUT
#define EN_SELFTEST_DROPOUT
static const ptrdiff_t dropout_sizes[] = {0, 1, 2, 3, 15, 255, 256, 257, 1000, 5001};
static const double rates[] = {0, 1e-12, 0.1, 0.5, 0.9, 1 - 0x1p-53};

/* Number `i` >= 1 of splitmix64 started at `key`: Steele, Lea & Flood 2014, figure 16 */
static uint64_t splitmix64(uint64_t key, uint64_t i)
{
    uint64_t z = key + i * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Element 2j looks at the low, element 2j + 1 at the high half of hash j. */
static int is_kept(uint64_t key, double rate, ptrdiff_t i)
{
    const uint64_t hash = splitmix64(key, (uint64_t)i / 2 + 1);
    const double least = rate * 4294967296.0;
    return (double)(i % 2 ? hash >> 32 : hash & 0xffffffffu) >= (least < 4294967295.0 ? least : 4294967295.0);
}
#endif

TEST(dropout_forward)
{
    EACH(size, LENGTH(dropout_sizes))
        EACH(r, LENGTH(rates)) {
            const ptrdiff_t n = dropout_sizes[size];
            const uint64_t key = random_bits();
            const ptrdiff_t first = r % 3 * 5 * EN_DROPOUT_BLOCK;
            begin_case("n = %d from element %d on, rate = %g", (int)n, (int)first, rates[r]);
            REAL *y = UNSET(n), *x = RANDOM(n, -1, 1);
            uint8_t *mask = unset_array(1, n);
            CALL(dropout_forward)(y, mask, x, key, rates[r], first, n);
            EACH(i, n) {
                const int kept = is_kept(key, rates[r], first + i);
                const REAL share = (REAL)(1 - rates[r]);
                agree("mask", i, mask[i], kept, 0);
                agree("y", i, y[i], kept ? x[i] / share : 0, 0);
            }
        }
}

TEST(dropout_backward)
{
    EACH(size, LENGTH(dropout_sizes))
        EACH(r, LENGTH(rates)) {
            const ptrdiff_t n = dropout_sizes[size];
            begin_case("n = %d, rate = %g", (int)n, rates[r]);
            REAL *dx = UNSET(n), *dy = RANDOM(n, -1, 1);
            uint8_t *mask = unset_array(1, n);
            EACH(i, n)
                mask[i] = random_bits() >> 63;
            CALL(dropout_backward)(dx, dy, mask, rates[r], n);
            EACH(i, n) {
                const REAL share = (REAL)(1 - rates[r]);
                agree("dx", i, dx[i], mask[i] ? dy[i] / share : 0, 0);
            }
        }
}
#endif
