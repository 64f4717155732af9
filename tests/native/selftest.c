/* Runs the self-test of every concern and prints one line for each; the exit code is 1 if a check failed.
 * CONCERNS comes from the command line, CONCERN(name) for every self-test: see cross.sh. */
#include "runtime/threads_pool.h"
#include "selftest.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_ARRAYS = 64, MOST_REPORTS = 5 };

/* Bytes on either side of an array. A sanitizer has watchmen of its own, and sees reads too. */
#if defined(__SANITIZE_ADDRESS__)
#define BESIDE(element) ((size_t)0)
#else
#define BESIDE(element) (64 + (element)) /* malloc aligns to 16, so this misaligns for every vector */
#endif
#define WATCHMAN 0x5c

static struct {
    unsigned char *memory;
    size_t element, bytes;
} arrays[MOST_ARRAYS];
static int array_count;
static long checks, failures, reports;
static char kernel_text[96], case_text[256];
static uint64_t state = 20240607;

static void report(const char *text)
{
    ++failures;
    if (++reports <= MOST_REPORTS)
        printf("%s, %s: %s\n", kernel_text, case_text, text);
}

static void end_case(void)
{
    for (int i = 0; i < array_count; ++i) {
        const size_t beside = BESIDE(arrays[i].element);
        const unsigned char *memory = arrays[i].memory;
        int touched = 0;
        for (size_t k = 0; k < beside; ++k)
            touched |= memory[k] != WATCHMAN || memory[beside + arrays[i].bytes + k] != WATCHMAN;
        if (touched)
            report("something was written beside an array");
        free(arrays[i].memory);
    }
    array_count = 0;
}

void begin_kernel(const char *kernel, const char *dtype, const char *isa)
{
    end_case();
    reports = 0;
    snprintf(kernel_text, sizeof kernel_text, "%s %s %s", kernel, dtype, isa);
}

void begin_case(const char *format, ...)
{
    va_list arguments;
    end_case();
    va_start(arguments, format);
    vsnprintf(case_text, sizeof case_text, format, arguments);
    va_end(arguments);
}

void *unset_array(size_t element, ptrdiff_t count)
{
    const size_t bytes = (size_t)count * element, beside = BESIDE(element);
    unsigned char *memory = array_count < MOST_ARRAYS ? malloc(bytes + 2 * beside + (bytes + beside == 0)) : NULL;
    if (!memory) {
        fprintf(stderr, "selftest: too many or too large arrays\n");
        exit(2);
    }
    memset(memory, WATCHMAN, bytes + 2 * beside);
    memset(memory + beside, 0xff, bytes);
    arrays[array_count].memory = memory;
    arrays[array_count].element = element;
    arrays[array_count++].bytes = bytes;
    return memory + beside;
}

/* xorshift64*, Vigna 2016 */
uint64_t random_bits(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
}

double uniform(double low, double high)
{
    return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53;
}

void *random_array(size_t element, ptrdiff_t count, double low, double high)
{
    void *array = unset_array(element, count);
    EACH(i, count)
        if (element == sizeof(float))
            ((float *)array)[i] = (float)uniform(low, high);
        else
            ((double *)array)[i] = uniform(low, high);
    return array;
}

void agree(const char *what, ptrdiff_t index, double got, wide want, wide bound)
{
    char text[160];
    ++checks;
    if (got == want || (got != got && want != want) || magnitude(got - want) <= bound)
        return;
    snprintf(text, sizeof text, "%s[%ld] is %.17g instead of %.17g, bound %.3g", what, (long)index, got, (double)want,
             (double)bound);
    report(text);
}

void expect(const char *what, int holds)
{
    ++checks;
    if (!holds)
        report(what);
}

#define CONCERN(name) void selftest_##name(void);
CONCERNS
#undef CONCERN

#define CONCERN(name) {#name, selftest_##name},
static const struct {
    const char *name;
    void (*run)(void);
} concerns[] = {CONCERNS};

int main(void)
{
    long failed = 0;
    en_pool_start();
    EACH(i, LENGTH(concerns)) {
        checks = failures = 0;
        concerns[i].run();
        end_case();
        printf("%-10s %8ld checks, %ld failed\n", concerns[i].name, checks, failures);
        fflush(stdout);
        failed += failures + (checks == 0);
    }
    return failed != 0;
}
