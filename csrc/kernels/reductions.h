/* Sums in double precision and maxima; included inside a kernel file like elementary.h, and therefore without a guard.
 *
 * A sum goes through DOUBLE_SUMS partial sums in a fixed order, so its bits are the same whatever the width of the
 * vectors: number i goes to partial sum i mod DOUBLE_SUMS, a rest that fills no round to the first. */
#undef DOUBLE_SUMS
#undef ADD_TERMS
#define DOUBLE_SUMS 8

/* Adds term(0), ..., term(n - 1) to the doubles partial[DOUBLE_SUMS]; `term` is a macro. */
#define ADD_TERMS(partial, term, n) \
    do { \
        ptrdiff_t done = 0; \
        for (; done + DOUBLE_SUMS <= (n); done += DOUBLE_SUMS) \
            for (int lane = 0; lane < DOUBLE_SUMS; ++lane) \
                (partial)[lane] += term(done + lane); \
        for (; done < (n); ++done) \
            (partial)[0] += term(done); \
    } while (0)

static inline double EN_NAME(total_of)(const double *partial)
{
    double total = 0;
    for (int lane = 0; lane < DOUBLE_SUMS; ++lane)
        total += partial[lane];
    return total;
}

/* The largest element that is not NaN, or -inf. */
static inline REAL EN_NAME(maximum)(const REAL *x, ptrdiff_t n)
{
    enum { MAXIMA = 16 };
    REAL largest = -C(INFINITY);
    ptrdiff_t i = 0;
    if (n >= MAXIMA) {
        REAL partial[MAXIMA];
        for (int lane = 0; lane < MAXIMA; ++lane)
            partial[lane] = largest;
        for (; i + MAXIMA <= n; i += MAXIMA)
            for (int lane = 0; lane < MAXIMA; ++lane)
                partial[lane] = x[i + lane] > partial[lane] ? x[i + lane] : partial[lane];
        REAL larger[MAXIMA / 2];
        for (int lane = 0; lane < MAXIMA / 2; ++lane)
            larger[lane] = partial[lane] > partial[lane + MAXIMA / 2] ? partial[lane] : partial[lane + MAXIMA / 2];
        for (int lane = 0; lane < MAXIMA / 2; ++lane)
            largest = larger[lane] > largest ? larger[lane] : largest;
    }
    for (; i < n; ++i)
        largest = x[i] > largest ? x[i] : largest;
    return largest;
}
