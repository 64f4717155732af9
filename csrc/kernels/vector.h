/* The vector of one (dtype, instruction set); per_dtype.h includes it before every pass, hence no guard.
 *   LANES                        REALs in one vector register
 *   VECTOR, LOAD(p), STORE(p, v) one vector, and its transfer from and to any address
 *   BROADCAST(x)                 a vector of x */
#undef LANES
#undef VECTOR
#undef LOAD
#undef STORE
#undef BROADCAST

#if EN_IS_DOUBLE
#define LANES (EN_VECTOR / 8)
#else
#define LANES (EN_VECTOR / 4)
#endif

typedef REAL EN_NAME(vector) __attribute__((vector_size(EN_VECTOR)));
typedef EN_NAME(vector) EN_NAME(loose_vector) __attribute__((aligned(1), may_alias));
#define VECTOR EN_NAME(vector)
#define LOAD(p) ((VECTOR) *(const EN_NAME(loose_vector) *)(p))
#define STORE(p, v) (*(EN_NAME(loose_vector) *)(p) = (v))
/* x - 0 is x for every x, so this is one broadcast; x + 0 would be an addition, for the sake of -0. */
#define BROADCAST(x) ((x) - (VECTOR){0})
