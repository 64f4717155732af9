/* What the self-tests of the kernels share: arrays whose surroundings are watched, random numbers, and comparisons.
 *
 * tests/native/<concern>.c tests csrc/kernels/<concern>.c against plain loops in `wide` arithmetic, for float, double and
 * every instruction set of the CPU; instantiate.h builds it. `make cross` runs all of them for several platforms. */
#ifndef EN_SELFTEST_H
#define EN_SELFTEST_H
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef long double wide;

/* Kernel under test: what failures are reported with. */
void begin_kernel(const char *kernel, const char *dtype, const char *isa);

/* Ends a case and begins the next, which the text describes. Arrays live as long as their case; whoever wrote beside
 * one of them is found when the case ends. */
void begin_case(const char *format, ...);

/* `count` elements of `element` bytes, all of them 0xff: NaN, or -1. They are aligned to `element` and to nothing more. */
void *unset_array(size_t element, ptrdiff_t count);

/* Fills an array of float or double with numbers from [low, high), the same ones in every run. */
void *random_array(size_t element, ptrdiff_t count, double low, double high);

uint64_t random_bits(void);
double uniform(double low, double high);

/* |got - want| <= bound, or both are NaN. */
void agree(const char *what, ptrdiff_t index, double got, wide want, wide bound);

/* Something that has to be 1. */
void expect(const char *what, int holds);

#define EACH(i, count) for (ptrdiff_t i = 0; i < (ptrdiff_t)(count); ++i)
#define LENGTH(array) ((ptrdiff_t)(sizeof(array) / sizeof *(array)))

static inline wide magnitude(wide x)
{
    return x < 0 ? -x : x;
}

static inline ptrdiff_t lesser(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}
#endif
