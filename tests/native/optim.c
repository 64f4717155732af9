#ifndef REAL
#define EN_SELFTEST "optim.c"
#include "parallel/optim.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_OPTIM
#define EN_SELFTEST_OPTIM
static const ptrdiff_t step_sizes[] = {0, 1, 2, 7, 17, 1023, 1024, 1025, 2503};
#endif

/* Runs a step of a rule on w, state m and v and gradients g, and compares with `oracle`, which updates the wide numbers
 * w_, m_, v_ by g_. A few terms make up every result, none of which is larger than 2. */
#define CHECK_STEP(step, oracle) \
    const double rho1 = 0.9, rho2 = 0.99; \
    const REAL lr = C(0.1), beta1 = C(rho1), beta2 = C(rho2), eps = C(1e-8), l2 = C(0.01), scale = C(0.5); \
    const REAL correction1 = C(0.271), correction2 = C(0.029701); \
    EACH(size, LENGTH(step_sizes)) { \
        const ptrdiff_t n = step_sizes[size]; \
        begin_case("n = %d", (int)n); \
        REAL *w = RANDOM(n, -2, 2), *m = RANDOM(n, -1, 1), *v = RANDOM(n, 0, 1), *g = RANDOM(n, -2, 2); \
        REAL *w0 = UNSET(n), *m0 = UNSET(n), *v0 = UNSET(n); \
        memcpy(w0, w, (size_t)n * sizeof(REAL)); \
        memcpy(m0, m, (size_t)n * sizeof(REAL)); \
        memcpy(v0, v, (size_t)n * sizeof(REAL)); \
        expect("every gradient is usable", step == -1); \
        EACH(i, n) { \
            wide w_ = w0[i], m_ = m0[i], v_ = v0[i], g_ = (wide)scale * g[i] + (wide)l2 * w0[i]; \
            oracle; \
            agree("w", i, w[i], w_, 20 * EPS * (magnitude(w_) + 1)); \
            agree("m", i, m[i], m_, 20 * EPS * (magnitude(m_) + 1)); \
            agree("v", i, v[i], v_, 20 * EPS * (magnitude(v_) + 1)); \
        } \
        if (n > 0) { \
            memcpy(w, w0, (size_t)n * sizeof(REAL)); \
            memcpy(v, v0, (size_t)n * sizeof(REAL)); \
            g[n - 1] = (REAL)INFINITY; \
            g[n / 2] = (REAL)NAN; \
            expect("the first unusable gradient is found", step == n / 2); \
            for (ptrdiff_t i = n / 2 / EN_STEP_BLOCK * EN_STEP_BLOCK; i < n; ++i) \
                agree("untouched w", i, w[i], w0[i], 0); \
        } \
        (void)beta1; \
        (void)beta2; \
        (void)eps; \
        (void)correction1; \
        (void)correction2; \
    }
#define C(number) ((REAL)(number))

TEST(sgd_step)
{
    CHECK_STEP(CALL(sgd_step)(w, m, g, lr, beta1, l2, scale, n), {
        m_ = beta1 * m_ - lr * g_;
        w_ += m_;
    })
}

TEST(rmsprop_step)
{
    CHECK_STEP(CALL(rmsprop_step)(w, v, g, lr, rho2, eps, l2, scale, n), {
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        w_ -= lr * g_ / (sqrtl(v_) + eps);
    })
}

TEST(adagrad_step)
{
    CHECK_STEP(CALL(adagrad_step)(w, v, g, lr, eps, l2, scale, n), {
        v_ += g_ * g_;
        w_ -= lr * g_ / (sqrtl(v_) + eps);
    })
}

TEST(adam_step)
{
    CHECK_STEP(CALL(adam_step)(w, m, v, g, lr, rho1, rho2, eps, correction1, correction2, l2, scale, n), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        w_ -= lr * (m_ / correction1) / (sqrtl(v_ / correction2) + eps);
    })
}

TEST(sum_of_squares)
{
    EACH(size, LENGTH(step_sizes)) {
        const ptrdiff_t n = step_sizes[size];
        begin_case("n = %d", (int)n);
        const REAL *x = RANDOM(n, -1, 1);
        wide sum = 0;
        EACH(i, n)
            sum += (wide)x[i] * x[i];
        agree("sum", 0, CALL(sum_of_squares)(x, n), sum, (wide)(n / 8 + 9) * DBL_EPSILON * sum);
    }
}

TEST(first_non_finite)
{
    const REAL bad[] = {(REAL)NAN, (REAL)INFINITY, -(REAL)INFINITY};
    EACH(size, LENGTH(step_sizes)) {
        const ptrdiff_t n = step_sizes[size], places[] = {0, n / 2, n - 1};
        begin_case("n = %d", (int)n);
        REAL *x = RANDOM(n, -1, 1);
        expect("all are finite", CALL(first_non_finite)(x, n) == -1);
        for (int i = 2; n > 0 && i >= 0; --i) {
            x[places[i]] = bad[i];
            expect("the first one is found", CALL(first_non_finite)(x, n) == places[i]);
        }
    }
}

#undef C
#undef CHECK_STEP
#endif
