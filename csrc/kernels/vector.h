/* The vector of one (dtype, instruction set); per_dtype.h includes it before every pass, hence no guard.
 *   LANES                        REALs in one vector register; 1 in plain C, whose vector is a REAL
 *   VECTOR, LOAD(p), STORE(p, v) one vector, and its transfer from and to any address
 *   BROADCAST(x), LANE(v, i)     a vector of x; element i of a vector
 *   LANES_BEFORE(n)              an EN_NAME(mask) of the elements before n, 0 <= n <= LANES
 *   LANES_FROM(n)                that of the elements from n on
 *   SELECT(m, v, w)              the elements of v that m names, and the others of w */
#undef LANES
#undef VECTOR
#undef LOAD
#undef STORE
#undef BROADCAST
#undef LANE
#undef LANES_BEFORE
#undef LANES_FROM
#undef SELECT

#define VECTOR EN_NAME(vector)
#if EN_GNU_C

#if EN_IS_DOUBLE
#define LANES (EN_VECTOR / 8)
typedef int64_t EN_NAME(mask) __attribute__((vector_size(EN_VECTOR)));
#else
#define LANES (EN_VECTOR / 4)
typedef int32_t EN_NAME(mask) __attribute__((vector_size(EN_VECTOR)));
#endif

typedef REAL EN_NAME(vector) __attribute__((vector_size(EN_VECTOR)));
typedef EN_NAME(vector) EN_NAME(loose_vector) __attribute__((aligned(1), may_alias));
typedef EN_NAME(mask) EN_NAME(loose_mask) __attribute__((aligned(1), may_alias));
#define LOAD(p) ((VECTOR) *(const EN_NAME(loose_vector) *)(p))
#define STORE(p, v) (*(EN_NAME(loose_vector) *)(p) = (v))
/* x - 0 is x for every x, so this is one broadcast; x + 0 would be an addition, for the sake of -0. */
#define BROADCAST(x) ((x) - (VECTOR){0})
#define LANE(v, i) ((v)[i])

/* Zeros, then ones, then zeros, 64 bytes each: a mask is a load at the border between two of them. */
static const int64_t EN_NAME(ones)[24] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
#define LANES_FROM(n) (*(const EN_NAME(loose_mask) *)((const REAL *)(EN_NAME(ones) + 8) - (n)))
#define LANES_BEFORE(n) (*(const EN_NAME(loose_mask) *)((const REAL *)(EN_NAME(ones) + 16) - (n)))
#define SELECT(m, v, w) \
    ((VECTOR)(((EN_NAME(mask))(v) & (EN_NAME(mask))(m)) | ((EN_NAME(mask))(w) & ~(EN_NAME(mask))(m))))

#else

#define LANES 1
typedef REAL EN_NAME(vector);
typedef int EN_NAME(mask);
#define LOAD(p) (*(p))
#define STORE(p, v) (*(p) = (v))
#define BROADCAST(x) (x)
#define LANE(v, i) (v)
#define LANES_BEFORE(n) ((n) > 0)
#define LANES_FROM(n) ((n) <= 0)
#define SELECT(m, v, w) ((m) ? (v) : (w))

#endif
