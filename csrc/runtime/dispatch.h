/* How a Cython module reaches its kernels: the instruction set in use, and one call that picks the variant.
 * Included by Cython modules only; each module has its own `en_isa`, set by its `select`. */
#ifndef EN_DISPATCH_H
#define EN_DISPATCH_H
#include "runtime/isa.h"

enum { EN_F32, EN_F64 };

static int en_isa = EN_ISA_BASELINE;

/* The arrays arrive as void *, which C turns into the variant's float * or double *. */
#define EN_CALL(concern, kernel, dtype, ...) \
    ((dtype) == EN_F32 ? concern##_f32[en_isa]->kernel(__VA_ARGS__) : concern##_f64[en_isa]->kernel(__VA_ARGS__))

#define EN_KERNEL_NAME(result, name, parameters) #name,
#endif
