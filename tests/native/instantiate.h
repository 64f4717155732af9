/* Builds the self-test of one concern. Its file includes kernels/<concern>.h, names itself in EN_SELFTEST and includes
 * this header, which includes the file again for each dtype with these names defined:
 *   REAL, EPS              the dtype, and the spacing of its numbers at 1
 *   TEST(kernel)           the function that tests one kernel; a kernel of EN_KERNELS without one does not compile
 *   NAME(f)                f_f32 or f_f64
 *   CALL(kernel)(...)      calls the kernel that is built for this dtype and the instruction set under test
 *   UNSET(n), RANDOM(n, low, high)       arrays of n REALs
 * It ends with selftest_<concern>(), which runs them all. */
#include "runtime/dispatch.h"
#include "selftest.h"

#define NAME(name) EN_JOIN2(name, SUFFIX)
#define TEST(kernel) static void NAME(test_##kernel)(void)
#define CALL(kernel) (NAME(EN_CONCERN)[en_isa]->kernel)
#define UNSET(n) unset_array(sizeof(REAL), n)
#define RANDOM(n, low, high) random_array(sizeof(REAL), n, low, high)

#define REAL float
#define EPS ((wide)FLT_EPSILON)
#define TINY ((wide)FLT_MIN)
#define SUFFIX f32
#define DTYPE EN_F32
#include EN_SELFTEST
#undef REAL
#undef EPS
#undef TINY
#undef SUFFIX
#undef DTYPE

#define REAL double
#define EPS ((wide)DBL_EPSILON)
#define TINY ((wide)DBL_MIN)
#define SUFFIX f64
#define DTYPE EN_F64
#include EN_SELFTEST
#undef REAL
#undef EPS
#undef TINY
#undef SUFFIX
#undef DTYPE

typedef struct {
    const char *kernel, *dtype;
    void (*test)(void);
} tested_kernel;

#define TESTED(result, name, parameters) {#name, "float32", test_##name##_f32}, {#name, "float64", test_##name##_f64},

/* The tables as compiled modules hand them to each other; chain.c borrows some. */
const void *const EN_JOIN2(EN_CONCERN, tables)[] = {EN_JOIN2(EN_CONCERN, f32), EN_JOIN2(EN_CONCERN, f64)};

void EN_JOIN2(selftest, EN_CONCERN)(void)
{
    static const tested_kernel tested[] = {EN_KERNELS(TESTED)};
    for (int isa = 0; isa < EN_ISA_COUNT; ++isa)
        for (ptrdiff_t i = 0; en_isa_supported(isa) && i < LENGTH(tested); ++i) {
            en_isa = isa;
            begin_kernel(tested[i].kernel, tested[i].dtype, en_isa_name(isa));
            tested[i].test();
        }
}
