#ifndef REAL
#define EN_SELFTEST "losses.c"
#include "parallel/losses.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_LOSSES
#define EN_SELFTEST_LOSSES
static const ptrdiff_t loss_sizes[] = {0, 1, 3, 7, 8, 9, 511, 512, 513, 3000};
static const ptrdiff_t loss_rows[][2] = {{0, 3}, {3, 0}, {1, 1}, {5, 1}, {300, 2}, {7, 3}, {64, 10}, {3, 511}, {2, 512},
                                         {3, 513}, {2, 2000}};

/* Elements of a loss: its value, and its slope by the output. */
typedef struct {
    wide value, slope;
} loss;
#endif

#define LOWEST ((wide)(REAL)1e-12)
#define HIGHEST (sizeof(REAL) == 4 ? 1 - 0x1p-23L : (wide)(1 - 1e-12))

static wide NAME(held)(wide o, wide highest)
{
    return o < LOWEST ? LOWEST : o > highest ? highest : o;
}

static loss NAME(square)(wide o, wide t)
{
    return (loss){(o - t) * (o - t), 2 * (o - t)};
}

static loss NAME(binary)(wide o, wide t)
{
    const wide c = NAME(held)(o, HIGHEST);
    return (loss){-(t * logl(c) + (1 - t) * log1pl(-c)), c == o ? (c - t) / (c * (1 - c)) : 0};
}

static loss NAME(binary_at_sigmoid)(wide o, wide t)
{
    return (loss){NAME(binary)(o, t).value, o - t};
}

static loss NAME(logits)(wide o, wide t)
{
    return (loss){(o > 0 ? o : 0) - o * t + log1pl(expl(-magnitude(o))), 1 / (1 + expl(-o)) - t};
}

static loss NAME(absolute)(wide o, wide t)
{
    return (loss){magnitude(o - t), o > t ? 1 : o < t ? -1 : 0};
}

static loss NAME(bent)(wide o, wide t)
{
    const wide d = magnitude(o - t), delta = 1.5;
    return (loss){d <= delta ? d * d / 2 : delta * (d - delta / 2), d <= delta ? o - t : o > t ? delta : -delta};
}

static loss NAME(margin)(wide o, wide t)
{
    const wide m = 1 - t * o;
    return (loss){m > 0 ? m : 0, m > 0 ? -t : 0};
}

static loss NAME(critic)(wide o, wide t)
{
    return (loss){-o * t, -t};
}

/* By the rule for products, with alpha = 1/4 and gamma = 2. */
static loss NAME(focused)(wide o, wide t)
{
    const wide c = NAME(held)(o, HIGHEST), q = c * (1 - t) + t * (1 - c);
    const wide entropy = -(0.25L * t * logl(c) + 0.75L * (1 - t) * log1pl(-c));
    const wide slope = 0.75L * (1 - t) / (1 - c) - 0.25L * t / c;
    return (loss){q * q * entropy, c == o ? q * q * slope + 2 * q * (1 - 2 * t) * entropy : 0};
}

static loss NAME(focused_at_sigmoid)(wide o, wide t)
{
    const wide c = NAME(held)(o, HIGHEST), q = c * (1 - t) + t * (1 - c);
    const wide entropy = -(0.25L * t * logl(c) + 0.75L * (1 - t) * log1pl(-c));
    const wide slope = 0.75L * (1 - t) * o - 0.25L * t * (1 - o);
    return (loss){q * q * entropy, q * q * slope + 2 * q * (1 - 2 * t) * o * (1 - o) * entropy};
}

static loss NAME(entropy)(wide o, wide t)
{
    const wide c = NAME(held)(o, 1);
    return (loss){-t * logl(c), c == o ? -t / c : 0};
}

/* Every kernel with its results and without: the sum must be the same to the last bit. */
#define CHECK_SUMS(kernel, ...) \
    const double total = CALL(kernel)(each, grad, o, t, 0.25, __VA_ARGS__); \
    expect("the sum without results", CALL(kernel)(NULL, NULL, o, t, 2, __VA_ARGS__) == total);

#define CHECK_ELEMENTS(...) CHECK_WITH(__VA_ARGS__, n)
#define CHECK_WITH(kernel, oracle, low, high, ...) \
    EACH(size, LENGTH(loss_sizes)) { \
        const ptrdiff_t n = loss_sizes[size]; \
        begin_case("n = %d", (int)n); \
        REAL *each = UNSET(n), *grad = UNSET(n), *o = RANDOM(n, low, high), *t = RANDOM(n, 0, 1); \
        EACH(i, n) \
            if (i % 11 == 3) \
                o[i] = (REAL)(i % 2 ? 0 : 1); \
        CHECK_SUMS(kernel, __VA_ARGS__) \
        wide sum = 0, mass = 0; \
        EACH(i, n) { \
            const loss want = oracle(o[i], t[i]); \
            sum += want.value; \
            mass += magnitude(want.value); /* what is rounded, where signs cancel */ \
            agree("each", i, each[i], want.value, EPS * (20 * magnitude(want.value) + 4)); \
            agree("grad", i, grad[i], want.slope / 4, EPS * (20 * magnitude(want.slope) + 4)); \
        } \
        agree("sum", 0, total, sum, EPS * (20 * mass + 4)); \
    }

TEST(mse) { CHECK_ELEMENTS(mse, NAME(square), -3, 3) }
TEST(mae) { CHECK_ELEMENTS(mae, NAME(absolute), -3, 3) }
TEST(huber) { CHECK_WITH(huber, NAME(bent), -3, 3, n, 1.5) }
TEST(hinge) { CHECK_ELEMENTS(hinge, NAME(margin), -3, 3) }
TEST(wasserstein) { CHECK_ELEMENTS(wasserstein, NAME(critic), -3, 3) }
TEST(focal) { CHECK_WITH(focal, NAME(focused), -0.01, 1.01, n, 0.25, 2) }
TEST(focal_at_sigmoid) { CHECK_WITH(focal_at_sigmoid, NAME(focused_at_sigmoid), -0.01, 1.01, n, 0.25, 2) }
TEST(binary_cross_entropy) { CHECK_ELEMENTS(binary_cross_entropy, NAME(binary), -0.01, 1.01) }
TEST(binary_cross_entropy_at_sigmoid)
{
    CHECK_ELEMENTS(binary_cross_entropy_at_sigmoid, NAME(binary_at_sigmoid), -0.01, 1.01)
}
TEST(bce_logits) { CHECK_ELEMENTS(bce_logits, NAME(logits), -9, 9) }
TEST(cross_entropy) { CHECK_ELEMENTS(cross_entropy, NAME(entropy), -0.01, 1.01) }

TEST(cross_entropy_at_softmax)
{
    EACH(shape, LENGTH(loss_rows)) {
        const ptrdiff_t rows = loss_rows[shape][0], classes = loss_rows[shape][1], n = rows * classes;
        begin_case("rows = %d, classes = %d", (int)rows, (int)classes);
        REAL *each = UNSET(n), *grad = UNSET(n), *o = RANDOM(n, 0, 1), *t = RANDOM(n, 0, 1);
        CHECK_SUMS(cross_entropy_at_softmax, rows, classes)
        wide sum = 0;
        EACH(row, rows) {
            wide mass = 0;
            EACH(i, classes)
                mass += t[row * classes + i];
            for (ptrdiff_t i = row * classes; i < (row + 1) * classes; ++i) {
                const wide value = NAME(entropy)(o[i], t[i]).value;
                sum += value;
                agree("each", i, each[i], value, EPS * (20 * magnitude(value) + 4));
                agree("grad", i, grad[i], (o[i] * mass - t[i]) / 4, EPS * (mass * o[i] + t[i] + 1));
            }
        }
        agree("sum", 0, total, sum, EPS * (20 * magnitude(sum) + 4));
    }
}

TEST(softmax_cross_entropy)
{
    EACH(shape, LENGTH(loss_rows)) {
        const ptrdiff_t rows = loss_rows[shape][0], classes = loss_rows[shape][1], n = rows * classes;
        begin_case("rows = %d, classes = %d", (int)rows, (int)classes);
        REAL *each = UNSET(rows), *grad = UNSET(n), *o = RANDOM(n, -9, 9), *t = RANDOM(n, 0, 1);
        CHECK_SUMS(softmax_cross_entropy, rows, classes)
        wide sum = 0;
        EACH(row, rows) {
            wide mass = 0, exponentials = 0, value = 0;
            EACH(i, classes) {
                mass += t[row * classes + i];
                exponentials += expl(o[row * classes + i]);
            }
            for (ptrdiff_t i = row * classes; i < (row + 1) * classes; ++i) {
                const wide share = expl(o[i]) / exponentials;
                value += t[i] * (logl(exponentials) - o[i]);
                agree("grad", i, grad[i], (share * mass - t[i]) / 4, EPS * (20 * share * mass + 2));
            }
            sum += value;
            agree("each", row, each[row], value, EPS * (20 * magnitude(value) + 4));
        }
        agree("sum", 0, total, sum, EPS * (20 * magnitude(sum) + 4));
    }
}

#undef LOWEST
#undef HIGHEST
#undef CHECK_SUMS
#undef CHECK_ELEMENTS
#undef CHECK_WITH
#endif
