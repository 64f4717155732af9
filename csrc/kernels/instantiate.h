/* Builds one kernel file for every dtype and instruction set and fills its table.
 *
 * A kernel file names itself in EN_BODY and includes this header once; the header then includes the file again for
 * each (dtype, instruction set), with these names defined:
 *   REAL          float or double                       EN_SUFFIX     f32 or f64
 *   EN_NAME(k)    k_f32_avx2 and so on                  EN_VECTOR     bytes in one vector register
 *   EN_IS_DOUBLE  0 or 1                                BITS          the unsigned integer of REAL's size
 *   FABS, SQRT    of a REAL                             C(number)     the number as a REAL
 * and the vectors of vector.h.
 * The concern's list header (EN_CONCERN, EN_KERNELS, table.h) comes before. */
#include <math.h>
#include <string.h>

#define EN_JOIN3_(a, b, c) a##_##b##_##c
#define EN_JOIN3(a, b, c) EN_JOIN3_(a, b, c)
#define EN_NAME(kernel) EN_JOIN3(kernel, EN_SUFFIX, EN_ISA)
#define C(number) ((REAL)(number))

#define EN_ISA baseline
#define EN_VECTOR 16
#include "kernels/per_dtype.h"
#undef EN_ISA
#undef EN_VECTOR

#if EN_X86_DISPATCH

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define EN_ISA avx2
#define EN_VECTOR 32
#include "kernels/per_dtype.h"
#undef EN_ISA
#undef EN_VECTOR
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#endif
#define EN_ISA avx512
#define EN_VECTOR 64
#include "kernels/per_dtype.h"
#undef EN_ISA
#undef EN_VECTOR
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif

/* EN_CONCERN is the stem of the kernel file: `optim` gives optim_f32[isa] and optim_f64[isa], as table.h declares. */
#if EN_X86_DISPATCH
#define EN_TABLES(suffix) {&EN_JOIN3(EN_CONCERN, suffix, baseline), \
                           &EN_JOIN3(EN_CONCERN, suffix, avx2), \
                           &EN_JOIN3(EN_CONCERN, suffix, avx512)}
#else
#define EN_TABLES(suffix) {&EN_JOIN3(EN_CONCERN, suffix, baseline)}
#endif
const struct EN_JOIN2(EN_CONCERN, kernels_f32) *const EN_JOIN2(EN_CONCERN, f32)[EN_ISA_COUNT] = EN_TABLES(f32);
const struct EN_JOIN2(EN_CONCERN, kernels_f64) *const EN_JOIN2(EN_CONCERN, f64)[EN_ISA_COUNT] = EN_TABLES(f64);
