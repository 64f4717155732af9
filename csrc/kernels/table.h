/* Declares the tables of one concern: struct <concern>_kernels_f32 / _f64 with one function pointer per entry of
 * EN_KERNELS, and <concern>_f32[isa] / <concern>_f64[isa]. Included at the end of each list header. */
#include <stddef.h>
#include <stdint.h>
#include "runtime/isa.h"

#define EN_JOIN2_(a, b) a##_##b
#define EN_JOIN2(a, b) EN_JOIN2_(a, b)
#define EN_MEMBER(result, name, parameters) result (*name) parameters;

#define REAL float
struct EN_JOIN2(EN_CONCERN, kernels_f32) { EN_KERNELS(EN_MEMBER) };
#undef REAL
#define REAL double
struct EN_JOIN2(EN_CONCERN, kernels_f64) { EN_KERNELS(EN_MEMBER) };
#undef REAL
#undef EN_MEMBER

extern const struct EN_JOIN2(EN_CONCERN, kernels_f32) *const EN_JOIN2(EN_CONCERN, f32)[EN_ISA_COUNT];
extern const struct EN_JOIN2(EN_CONCERN, kernels_f64) *const EN_JOIN2(EN_CONCERN, f64)[EN_ISA_COUNT];
