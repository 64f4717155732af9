/* Self-test of programs: of csrc/parallel/chain.h, and with it of the drivers that split its kernels over threads. */
#ifndef REAL
#define EN_BORROWED
#include "parallel/chain.h"
#include "runtime/memory_module.h"
#include "runtime/threads_pool.h"
#include "selftest.h"

/* So large that every step is worth several threads. A dense layer with tanh, a normalisation, a dense layer. */
enum { ROWS = 512, INS = 96, HIDDEN = 80, OUTS = 40, NODES = 3 };

/* Where the parameters lie in one vector of them all. */
enum { W1 = 0, B1 = W1 + HIDDEN * INS, GAMMA = B1 + HIDDEN, BETA = GAMMA + HIDDEN, W2 = BETA + HIDDEN,
       B2 = W2 + OUTS * HIDDEN, PARAMETERS = B2 + OUTS };

static const double norm_eps = 1e-3;

/* y of the program in training, in wide numbers; h: room for (ROWS, HIDDEN) */
static void program(wide *y, wide *h, const wide *p, const wide *x)
{
    EACH(row, ROWS)
        EACH(j, HIDDEN) {
            wide sum = p[B1 + j];
            EACH(k, INS)
                sum += x[row * INS + k] * p[W1 + j * INS + k];
            h[row * HIDDEN + j] = tanhl(sum);
        }
    EACH(j, HIDDEN) {
        wide mean = 0, var = 0;
        EACH(row, ROWS)
            mean += h[row * HIDDEN + j] / ROWS;
        EACH(row, ROWS)
            var += (h[row * HIDDEN + j] - mean) * (h[row * HIDDEN + j] - mean) / ROWS;
        EACH(row, ROWS)
            h[row * HIDDEN + j] = p[GAMMA + j] * (h[row * HIDDEN + j] - mean) / sqrtl(var + norm_eps) + p[BETA + j];
    }
    EACH(row, ROWS)
        EACH(o, OUTS) {
            y[row * OUTS + o] = p[B2 + o];
            EACH(j, HIDDEN)
                y[row * OUTS + o] += h[row * HIDDEN + j] * p[W2 + o * HIDDEN + j];
        }
}

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(name) JOIN(name, SUFFIX)
#define UNSET(n) unset_array(sizeof(REAL), n)
#define RANDOM(n, low, high) random_array(sizeof(REAL), n, low, high)

#define REAL float
#define EPS ((wide)FLT_EPSILON)
#define SUFFIX f32
#define DTYPE EN_F32
#include "chain.c"
#undef REAL
#undef EPS
#undef SUFFIX
#undef DTYPE

#define REAL double
#define EPS ((wide)DBL_EPSILON)
#define SUFFIX f64
#define DTYPE EN_F64
#include "chain.c"

extern const void *const gemm_tables[], *const norm_tables[], *const optim_tables[], *const pointwise_tables[];

void selftest_chain(void)
{
    en_borrow_gemm(gemm_tables);
    en_borrow_norm(norm_tables);
    en_borrow_optim(optim_tables);
    en_borrow_pointwise(pointwise_tables);
    en_the_pool = &en_pool_functions;
    en_the_memory = &en_memory_functions;
    en_the_activations = &activation_functions;
    for (int isa = 0; isa < EN_ISA_COUNT; ++isa)
        if (en_isa_supported(isa)) {
            en_isa = isa;
            begin_kernel("program", "float32", en_isa_name(isa));
            test_f32();
            begin_kernel("program", "float64", en_isa_name(isa));
            test_f64();
        }
}
#else

typedef struct {
    REAL *y, *y_inference, *dx, *gradient, *mean, *var;
} NAME(results);

/* Forward, back, and forward in inference with what the normalisation has learnt, on `threads` threads. */
static NAME(results) NAME(run)(int threads, REAL *p, const REAL *x, const REAL *dy)
{
    NAME(results) r = {UNSET(ROWS * OUTS), UNSET(ROWS * OUTS), UNSET(ROWS * INS), UNSET(PARAMETERS), UNSET(HIDDEN),
                       UNSET(HIDDEN)};
    REAL *d = r.gradient;
    EACH(i, HIDDEN)
        r.mean[i] = r.var[i] = 1;
    const chain_node node[NODES] = {
        {.kind = CHAIN_DENSE, .activation = CHAIN_tanh, .trains = 1, .n_in = INS, .n_out = HIDDEN, .weights = p + W1,
         .bias = p + B1, .d_weights = d + W1, .d_bias = d + B1},
        {.kind = CHAIN_BATCHNORM, .activation = CHAIN_linear, .trains = 1, .batch = 1, .n_in = HIDDEN, .n_out = HIDDEN,
         .weights = p + GAMMA, .bias = p + BETA, .d_weights = d + GAMMA, .d_bias = d + BETA, .mean = r.mean,
         .var = r.var, .eps = norm_eps, .momentum = 0.25},
        {.kind = CHAIN_DENSE, .activation = CHAIN_linear, .trains = 1, .n_in = HIDDEN, .n_out = OUTS, .weights = p + W2,
         .bias = p + B2, .d_weights = d + W2, .d_bias = d + B2},
    };
    static const char added[2 * NODES];
    chain_place place[NODES];
    chain_pass pass = {.dtype = DTYPE, .count = NODES, .training = 1, .rows = ROWS, .node = node, .place = place};
    char *kept = unset_array(1, (ptrdiff_t)chain_layout(&pass, NULL) + 64);
    kept += -(uintptr_t)kept % 64;
    chain_layout(&pass, kept);
    en_pool_set_process_limit(threads);
    expect("there is memory forward", chain_forward(&pass, x, r.y) == 0);
    expect("there is memory backward", chain_backward(&pass, dy, 0, 1, 0, r.dx, added) == 0);
    expect("there is memory in inference",
           chain_infer(&pass, x, r.y_inference, (char *)UNSET(2 * ROWS * INS), ROWS * INS * sizeof(REAL)) == 0);
    return r;
}

static wide *NAME(widened)(const REAL *x, ptrdiff_t n)
{
    wide *y = unset_array(sizeof(wide), n);
    EACH(i, n)
        y[i] = x[i];
    return y;
}

static void NAME(same)(const char *what, const REAL *a, const REAL *b, ptrdiff_t n)
{
    EACH(i, n)
        agree(what, i, a[i], b[i], 0);
}

/* y against the program in wide numbers, and the gradients along one direction against a central difference. */
static void NAME(test)(void)
{
    begin_case("%d rows", ROWS);
    REAL *p = RANDOM(PARAMETERS, -0.2, 0.2);
    const REAL *x = RANDOM(ROWS * INS, -1, 1), *dy = RANDOM(ROWS * OUTS, -1, 1);
    const NAME(results) alone = NAME(run)(1, p, x, dy), together = NAME(run)(4, p, x, dy);
    NAME(same)("y of four threads", together.y, alone.y, ROWS * OUTS);
    NAME(same)("y in inference of four threads", together.y_inference, alone.y_inference, ROWS * OUTS);
    NAME(same)("dx of four threads", together.dx, alone.dx, ROWS * INS);
    NAME(same)("gradient of four threads", together.gradient, alone.gradient, PARAMETERS);
    NAME(same)("mean of four threads", together.mean, alone.mean, HIDDEN);
    NAME(same)("var of four threads", together.var, alone.var, HIDDEN);

    wide *p_ = NAME(widened)(p, PARAMETERS), *x_ = NAME(widened)(x, ROWS * INS);
    wide *y_ = unset_array(sizeof(wide), ROWS * OUTS), *h_ = unset_array(sizeof(wide), ROWS * HIDDEN);
    program(y_, h_, p_, x_);
    EACH(i, ROWS * OUTS)
        agree("y", i, alone.y[i], y_[i], 400 * EPS);

    const REAL *along_p = RANDOM(PARAMETERS, -1, 1), *along_x = RANDOM(ROWS * INS, -1, 1);
    const wide step = 0x1p-16L;
    wide slope = 0, difference = 0, size = 0;
    EACH(i, PARAMETERS)
        slope += (wide)along_p[i] * alone.gradient[i], size += magnitude((wide)along_p[i] * alone.gradient[i]);
    EACH(i, ROWS * INS)
        slope += (wide)along_x[i] * alone.dx[i], size += magnitude((wide)along_x[i] * alone.dx[i]);
    for (int sign = -1; sign <= 1; sign += 2) {
        EACH(i, PARAMETERS)
            p_[i] = p[i] + sign * step * along_p[i];
        EACH(i, ROWS * INS)
            x_[i] = x[i] + sign * step * along_x[i];
        program(y_, h_, p_, x_);
        EACH(i, ROWS * OUTS)
            difference += sign * dy[i] * y_[i] / (2 * step);
    }
    agree("slope", 0, (double)slope, difference, (100 * EPS + step * step) * size);
}
#endif
