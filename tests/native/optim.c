#ifndef REAL
#define EN_SELFTEST "optim.c"
#include "parallel/optim.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_OPTIM
#define EN_SELFTEST_OPTIM
static const ptrdiff_t step_sizes[] = {0, 1, 2, 7, 17, 1023, 1024, 1025, 2503};
#endif

/* Runs a step of a rule on w, state m, v and u and gradients g, and compares with `oracle`, which updates the wide
 * numbers w_, m_, v_, u_ by g_ with the penalty. A few terms make up every result, none of which is much larger than 2;
 * v and u are not small, because some rules divide by them. */
#define CHECK_STEP(step, oracle) CHECK_RULE(l2, step, oracle)
#define CHECK_RULE(penalty, step, oracle) \
    const double rho1 = 0.9, rho2 = 0.99; \
    const REAL lr = C(0.1), beta1 = C(rho1), beta2 = C(rho2), eps = C(1e-8), l2 = C(0.01), scale = C(0.5); \
    const REAL correction1 = C(0.271), correction2 = C(0.029701); \
    EACH(size, LENGTH(step_sizes)) { \
        const ptrdiff_t n = step_sizes[size]; \
        begin_case("n = %d", (int)n); \
        REAL *w = RANDOM(n, -2, 2), *m = RANDOM(n, -1, 1), *v = RANDOM(n, 0.25, 1), *g = RANDOM(n, -2, 2); \
        REAL *u = RANDOM(n, 0.25, 1); \
        REAL *w0 = UNSET(n), *m0 = UNSET(n), *v0 = UNSET(n), *u0 = UNSET(n); \
        memcpy(w0, w, (size_t)n * sizeof(REAL)); \
        memcpy(m0, m, (size_t)n * sizeof(REAL)); \
        memcpy(v0, v, (size_t)n * sizeof(REAL)); \
        memcpy(u0, u, (size_t)n * sizeof(REAL)); \
        expect("every gradient is usable", step == -1); \
        EACH(i, n) { \
            wide w_ = w0[i], m_ = m0[i], v_ = v0[i], u_ = u0[i]; \
            const wide g_ = (wide)scale * g[i] + (wide)(penalty) * w0[i]; \
            oracle; \
            agree("w", i, w[i], w_, 20 * EPS * (magnitude(w_) + 1)); \
            agree("m", i, m[i], m_, 20 * EPS * (magnitude(m_) + 1)); \
            agree("v", i, v[i], v_, 20 * EPS * (magnitude(v_) + 1)); \
            agree("u", i, u[i], u_, 20 * EPS * (magnitude(u_) + 1)); \
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
        (void)lr; \
        (void)l2; \
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

TEST(nesterov_step)
{
    CHECK_STEP(CALL(nesterov_step)(w, m, g, lr, beta1, l2, scale, n), {
        m_ = beta1 * m_ - lr * g_;
        w_ += beta1 * m_ - lr * g_;
    })
}

TEST(adadelta_step)
{
    CHECK_STEP(CALL(adadelta_step)(w, u, v, g, lr, rho2, eps, l2, scale, n), {
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        const wide way = sqrtl(u_ + eps) / sqrtl(v_ + eps) * g_;
        u_ = beta2 * u_ + (1 - (wide)rho2) * way * way;
        w_ -= lr * way;
    })
}

TEST(adamw_step)
{
    CHECK_RULE(0, CALL(adamw_step)(w, m, v, g, lr, rho1, rho2, eps, correction1, correction2, l2, scale, n), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        w_ -= lr * l2 * w_ + lr * (m_ / correction1) / (sqrtl(v_ / correction2) + eps);
    })
}

TEST(amsgrad_step)
{
    CHECK_STEP(CALL(amsgrad_step)(w, m, v, u, g, lr, rho1, rho2, eps, correction1, correction2, l2, scale, n), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        u_ = v_ > u_ ? v_ : u_;
        w_ -= lr * (m_ / correction1) / (sqrtl(u_ / correction2) + eps);
    })
}

TEST(adamax_step)
{
    CHECK_STEP(CALL(adamax_step)(w, m, u, g, lr, rho1, beta2, eps, correction1, l2, scale, n), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        u_ = beta2 * u_ > magnitude(g_) ? beta2 * u_ : magnitude(g_);
        w_ -= lr * (m_ / correction1) / (u_ + eps);
    })
}

TEST(nadam_step)
{
    const REAL lr_g = C(0.15), lr_m = C(0.07);
    CHECK_STEP(CALL(nadam_step)(w, m, v, g, lr_g, lr_m, rho1, rho2, eps, correction2, l2, scale, n), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        w_ -= (lr_g * g_ + lr_m * m_) / (sqrtl(v_ / correction2) + eps);
    })
}

TEST(radam_step)
{
    const REAL plain = C(0.3), adaptive = C(0.05);
    CHECK_STEP(CALL(radam_step)(w, m, v, g, plain, adaptive, rho1, rho2, eps, l2, scale, n), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        w_ -= plain * m_ + adaptive * m_ / (sqrtl(v_) + eps);
    })
}

TEST(lion_step)
{
    CHECK_RULE(0, CALL(lion_step)(w, m, g, lr, rho1, rho2, l2, scale, n), {
        const wide way = beta1 * m_ + (1 - (wide)rho1) * g_;
        w_ -= lr * l2 * w_ + (way > 0 ? lr : way < 0 ? -lr : 0);
        m_ = beta2 * m_ + (1 - (wide)rho2) * g_;
    })
}

TEST(lamb_moments)
{
    double squares[2];
    CHECK_RULE(0, (squares[0] = squares[1] = 0, CALL(lamb_moments)(w, m, v, g, rho1, rho2, eps, correction1,
                                                                   correction2, l2, scale, squares, n)), {
        m_ = beta1 * m_ + (1 - (wide)rho1) * g_;
        v_ = beta2 * v_ + (1 - (wide)rho2) * g_ * g_;
        const wide way = (m_ / correction1) / (sqrtl(v_ / correction2) + eps) + l2 * w_;
        squares[0] -= (double)(w_ * w_);
        squares[1] -= (double)(way * way);
        if (i == n - 1) {
            agree("sum of w^2", 0, squares[0], 0, (wide)(n + 9) * DBL_EPSILON * 4 * n);
            agree("sum of directions^2", 0, squares[1], 0, (wide)(100 * n) * EPS);
        }
    })
}

TEST(lamb_apply)
{
    const REAL rate = C(0.1), eps = C(1e-8), decay = C(0.01), correction1 = C(0.271), correction2 = C(0.029701);
    EACH(size, LENGTH(step_sizes)) {
        const ptrdiff_t n = step_sizes[size];
        begin_case("n = %d", (int)n);
        REAL *w = RANDOM(n, -2, 2), *m = RANDOM(n, -1, 1), *v = RANDOM(n, 0.25, 1), *w0 = UNSET(n);
        memcpy(w0, w, (size_t)n * sizeof(REAL));
        CALL(lamb_apply)(w, m, v, rate, eps, correction1, correction2, decay, n);
        EACH(i, n) {
            const wide way = (m[i] / (wide)correction1) / (sqrtl(v[i] / (wide)correction2) + eps) + decay * (wide)w0[i];
            agree("w", i, w[i], w0[i] - rate * way, 20 * EPS * 3);
        }
    }
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
#undef CHECK_RULE
#endif
