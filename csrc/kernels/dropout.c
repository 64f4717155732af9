#ifndef REAL
#define EN_BODY "kernels/dropout.c"
#include "kernels/dropout.h"
#include "kernels/instantiate.h"
#else

/* x / keep where kept is 1, 0 where it is 0, whatever x is. A choice of reals stayed a branch for SSE2, which random
 * masks mispredict half of the time (2.3 ns per element against 0.2 ns, float32); this masks the bits instead. */
static inline REAL EN_NAME(kept_share)(REAL x, REAL keep, BITS kept)
{
    REAL y = x / keep;
    BITS bits;
    memcpy(&bits, &y, sizeof bits);
    bits &= 0 - kept;
    memcpy(&y, &bits, sizeof y);
    return y;
}

/* Random bits of the elements 2 pair, 2 pair + 1, ...: hash j = splitmix64(key, j + 1) serves the elements 2j (its low
 * half) and 2j + 1 (its high half), since the hashes are most of the work.
 * splitmix64(key, i):  z = key + i 0x9E3779B97F4A7C15, then Stafford's mix 13        Steele, Lea & Flood 2014, figure 16 */
static inline void EN_NAME(random_bits)(uint32_t *restrict bits, uint64_t key, uint64_t pair)
{
    uint64_t hash[EN_DROPOUT_BLOCK / 2];
    for (int j = 0; j < EN_DROPOUT_BLOCK / 2; ++j) {
        uint64_t z = key + (pair + (uint64_t)j + 1) * 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        z = z << 32 | z >> 32;
#endif
        hash[j] = z;
    }
    memcpy(bits, hash, sizeof hash);
}

static inline void EN_NAME(dropout_block)(REAL *restrict y, uint8_t *restrict mask, const REAL *restrict x,
                                          const uint32_t *restrict bits, uint32_t threshold, REAL keep, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; ++i)
        mask[i] = bits[i] >= threshold;
    for (ptrdiff_t i = 0; i < n; ++i)
        y[i] = EN_NAME(kept_share)(x[i], keep, mask[i]);
}

/* dropout_forward.  y = x / (1 - rate) where 32 random bits >= rate 2^32, else 0 (also where x is NaN or infinite)
 *                                                                       Srivastava et al. 2014, section 10 (inverted) */
static void EN_NAME(dropout_forward)(REAL *restrict y, uint8_t *restrict mask, const REAL *restrict x,
                                     uint64_t key, double rate, ptrdiff_t first, ptrdiff_t n)
{
    const double level = rate * 4294967296.0;
    const uint64_t above = (uint64_t)level + ((double)(uint64_t)level < level);
    const uint32_t threshold = above < UINT32_MAX ? (uint32_t)above : UINT32_MAX;
    const REAL keep = (REAL)(1 - rate);
    uint32_t bits[EN_DROPOUT_BLOCK];
    ptrdiff_t i = 0;
    for (; i + EN_DROPOUT_BLOCK <= n; i += EN_DROPOUT_BLOCK) {
        EN_NAME(random_bits)(bits, key, (uint64_t)(first + i) / 2);
        EN_NAME(dropout_block)(y + i, mask + i, x + i, bits, threshold, keep, EN_DROPOUT_BLOCK);
    }
    if (i < n) {
        EN_NAME(random_bits)(bits, key, (uint64_t)(first + i) / 2);
        EN_NAME(dropout_block)(y + i, mask + i, x + i, bits, threshold, keep, n - i);
    }
}

/* dropout_backward.  dx = dy / (1 - rate) where mask, else 0 */
static void EN_NAME(dropout_backward)(REAL *restrict dx, const REAL *restrict dy, const uint8_t *restrict mask,
                                      double rate, ptrdiff_t n)
{
    const REAL keep = (REAL)(1 - rate);
    for (ptrdiff_t i = 0; i < n; ++i)
        dx[i] = EN_NAME(kept_share)(dy[i], keep, mask[i] != 0);
}

#endif
