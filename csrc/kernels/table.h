/* Declares the tables of one concern: struct <concern>_kernels_f32 / _f64 with one function pointer per entry of
 * EN_KERNELS, and <concern>_f32[isa] / <concern>_f64[isa]. Included at the end of each list header.
 * Where EN_BORROWED is defined the tables are those of another compiled module, which en_borrow_<concern> points to. */
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

#ifndef EN_BORROWED
extern const struct EN_JOIN2(EN_CONCERN, kernels_f32) *const EN_JOIN2(EN_CONCERN, f32)[EN_ISA_COUNT];
extern const struct EN_JOIN2(EN_CONCERN, kernels_f64) *const EN_JOIN2(EN_CONCERN, f64)[EN_ISA_COUNT];
#else
static const struct EN_JOIN2(EN_CONCERN, kernels_f32) *const *EN_JOIN2(EN_CONCERN, f32);
static const struct EN_JOIN2(EN_CONCERN, kernels_f64) *const *EN_JOIN2(EN_CONCERN, f64);
static inline void EN_JOIN2(en_borrow, EN_CONCERN)(const void *tables)
{
    EN_JOIN2(EN_CONCERN, f32) = ((const void *const *)tables)[0];
    EN_JOIN2(EN_CONCERN, f64) = ((const void *const *)tables)[1];
}
#undef EN_CONCERN
#undef EN_KERNELS
#endif
