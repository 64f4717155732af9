/* The peak of the multiply-add units: what no matrix product exceeds. peak.py builds this file with the headers of the
 * kernels, so it is there for the very dtypes and instruction sets that they are built for. It is no part of the
 * library. */
#ifndef REAL
#define EN_CONCERN peak
#define EN_KERNELS(KERNEL) \
    KERNEL(REAL, multiply_add, (ptrdiff_t steps)) \
    KERNEL(double, flops_per_step, (void))
#define EN_BODY "peak.c"
#include "kernels/table.h"
#include "kernels/instantiate.h"

int peak_isa_count(void) { return EN_ISA_COUNT; }
const char *peak_isa_name(int isa) { return en_isa_name(isa); }
int peak_isa_supported(int isa) { return en_isa_supported(isa); }

/* Run `steps` steps in float or double; returns how many operations those were, or 0 where a sum came out wrong. */
double peak_run(int is_double, int isa, ptrdiff_t steps)
{
    const double sum = is_double ? peak_f64[isa]->multiply_add(steps) : peak_f32[isa]->multiply_add(steps);
    const double flops = is_double ? peak_f64[isa]->flops_per_step() : peak_f32[isa]->flops_per_step();
    return sum > 0 ? flops * (double)steps : 0;
}
#else

/* Sums that do not wait for one another: at least latency x units of them (4 x 2 on most CPUs, 4 x 4 on some with
 * NEON), no more than registers, and no more than 16, up to which GCC keeps them in registers without being told. */
#undef CHAINS
#if defined(__aarch64__)
#define CHAINS 16
#else
#define CHAINS 12
#endif

/* multiply_add.  s_i <- s_i / 2 + 1 in every lane of CHAINS vectors, which tends to 2 from any start; no start is 2 and
 * all differ, so that no chain is constant and none can stand for another. Where there is no fused instruction (SSE2)
 * this is a product and a sum. */
static REAL EN_NAME(multiply_add)(ptrdiff_t steps)
{
    const VECTOR half = BROADCAST(C(0.5)), one = BROADCAST(C(1));
    VECTOR sums[CHAINS];
    for (int i = 0; i < CHAINS; ++i)
        sums[i] = BROADCAST((REAL)(3 + i));
    for (ptrdiff_t step = 0; step < steps; ++step)
        for (int i = 0; i < CHAINS; ++i)
            sums[i] = sums[i] * half + one;
    VECTOR total = sums[0];
    for (int i = 1; i < CHAINS; ++i)
        total += sums[i];
    REAL lanes[LANES];
    STORE(lanes, total);
    return lanes[0];
}

static double EN_NAME(flops_per_step)(void)
{
    return 2.0 * CHAINS * LANES;
}

#endif
