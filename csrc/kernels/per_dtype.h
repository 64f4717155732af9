/* Includes EN_BODY for float and for double, and lists each pass's functions in a table. See instantiate.h. */
#define EN_ENTRY(result, name, parameters) .name = EN_NAME(name),

#define REAL float
#define BITS uint32_t
#define FABS EN_FABSF
#define SQRT sqrtf
#define EN_SUFFIX f32
#define EN_IS_DOUBLE 0
#include "kernels/vector.h"
#include EN_BODY
static const struct EN_JOIN2(EN_CONCERN, kernels_f32) EN_NAME(EN_CONCERN) = {EN_KERNELS(EN_ENTRY)};
#undef REAL
#undef BITS
#undef FABS
#undef SQRT
#undef EN_SUFFIX
#undef EN_IS_DOUBLE

#define REAL double
#define BITS uint64_t
#define FABS EN_FABS
#define SQRT sqrt
#define EN_SUFFIX f64
#define EN_IS_DOUBLE 1
#include "kernels/vector.h"
#include EN_BODY
static const struct EN_JOIN2(EN_CONCERN, kernels_f64) EN_NAME(EN_CONCERN) = {EN_KERNELS(EN_ENTRY)};
#undef REAL
#undef BITS
#undef FABS
#undef SQRT
#undef EN_SUFFIX
#undef EN_IS_DOUBLE

#undef EN_ENTRY
