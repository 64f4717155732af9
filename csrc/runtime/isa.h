/* The instruction sets that every kernel is built for, and whether this CPU has them.
 * The order is the order of preference: a later one is faster where it is there. */
#ifndef EN_ISA_H
#define EN_ISA_H
#include "runtime/portable.h"

enum { EN_ISA_BASELINE, EN_ISA_AVX2, EN_ISA_AVX512, EN_ISA_COUNT };

/* Per-function targets need GCC or clang; anything else, and any other CPU, runs the baseline, which the compiler
 * vectorises for what the platform guarantees (SSE2 on x86-64, NEON on aarch64). So does GCC for Windows, which does not
 * align the stack for vectors of more than 16 bytes (GCC bug 54412). */
#if EN_GNU_C && defined(__x86_64__) && (!defined(_WIN32) || defined(__clang__))
#define EN_X86_DISPATCH 1
#else
#define EN_X86_DISPATCH 0
#endif

static inline const char *en_isa_name(int isa)
{
    static const char *const names[EN_ISA_COUNT] = {"baseline", "avx2", "avx512"};
    return names[isa];
}

/* 1 if kernels built for `isa` may run here: the CPU has the instructions and the system saves their registers. */
static inline int en_isa_supported(int isa)
{
#if EN_X86_DISPATCH
    __builtin_cpu_init();
    if (isa == EN_ISA_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == EN_ISA_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return isa == EN_ISA_BASELINE;
}

#endif
