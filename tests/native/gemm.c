#ifndef REAL
#define EN_SELFTEST "gemm.c"
#include "parallel/gemm.h"
#include "runtime/threads_pool.h"
#include "instantiate.h"
#else

#ifndef EN_SELFTEST_GEMM
#define EN_SELFTEST_GEMM
typedef struct {
    ptrdiff_t row, column, first, span; /* strides, where element (0, 0) lies, and elements in all */
} layout;

enum { LAYOUTS = 7, RESULT_LAYOUTS = 5 };

/* An m x n matrix by rows, by columns, inside of wider rows, with gaps, backwards; one row or one column repeated. */
static inline layout layout_of(int number, ptrdiff_t m, ptrdiff_t n)
{
    const layout layouts[LAYOUTS] = {
        {n, 1, 0, m * n},
        {1, m, 0, m * n},
        {n + 5, 1, 2, m * (n + 5)},
        {3 * n + 1, 3, 0, m * (3 * n + 1)},
        {-n, -1, m * n > 0 ? m * n - 1 : 0, m * n},
        {0, 1, 0, n},
        {1, 0, 0, m},
    };
    return layouts[number];
}

static const ptrdiff_t gemm_shapes[][3] = { /* m, k, n: see tests/reference/gemm.py */
    {1, 1, 1},    {0, 3, 4},    {3, 0, 4},    {3, 4, 0},   {1, 64, 130},   {130, 64, 1},   {4, 37, 131},
    {131, 3, 2},  {5, 17, 16},  {12, 16, 32}, {13, 15, 33}, {11, 33, 31},   {24, 8, 24},    {25, 9, 25},
    {23, 7, 23},  {2, 700, 5},  {3, 641, 70}, {97, 321, 67}, {411, 321, 35}, {2050, 65, 34}, {7, 5, 2081},
};
#endif

/* c[i][j] of every matrix of a batch, whose layouts step by whole spans; b is the same for all of them if b_step is 0. */
static void NAME(check_product)(ptrdiff_t m, ptrdiff_t k, ptrdiff_t n, ptrdiff_t batch, int number)
{
    const layout a_at = layout_of(number % LAYOUTS, m, k), b_at = layout_of(number / LAYOUTS % LAYOUTS, k, n);
    const layout c_at = layout_of(number % RESULT_LAYOUTS, m, n);
    const ptrdiff_t b_step = number % 2 ? 0 : b_at.span;
    const int ending = number % 16;
    begin_case("m = %d, k = %d, n = %d, batch %d, number %d", (int)m, (int)k, (int)n, (int)batch, number);
    REAL *c = UNSET(batch * c_at.span), *before = RANDOM(batch * c_at.span, -1, 1);
    const REAL *a = RANDOM(batch * a_at.span, -1, 1), *b = RANDOM(batch * b_at.span, -1, 1);
    const REAL *bias = RANDOM(n, -1, 1), *row_bias = RANDOM(m, -1, 1);
    gemm_call call = {.dtype = DTYPE, .c = c + c_at.first, .a = a + a_at.first, .b = b + b_at.first};
    call.column_bias = ending & 4 ? bias : NULL;
    call.row_bias = ending & 8 ? row_bias : NULL;
    call.problem = (gemm_problem){.m = m, .n = n, .k = k, .a_row = a_at.row, .a_column = a_at.column, .b_row = b_at.row,
                                  .b_column = b_at.column, .c_row = c_at.row, .c_column = c_at.column, .axes = batch > 1,
                                  .accumulate = ending & 1, .activation = number % 3};
    call.problem.size[0] = batch;
    call.problem.a_step[0] = a_at.span;
    call.problem.b_step[0] = b_step;
    call.problem.c_step[0] = c_at.span;
    if (call.problem.accumulate)
        memcpy(c, before, (size_t)(batch * c_at.span) * sizeof(REAL));
    en_the_pool = &en_pool_functions;
    en_pool_set_process_limit(1 + number % 3);
    gemm_prepare(&call);
    call.work = call.workspace > 0 ? UNSET(call.threads * call.workspace) : NULL;
    gemm_run(&call);
    EACH(matrix, batch)
        EACH(i, m)
            EACH(j, n) {
                const ptrdiff_t place = matrix * c_at.span + c_at.first + i * c_at.row + j * c_at.column;
                wide sum = ending & 1 ? before[place] : 0, size = magnitude(sum);
                if (ending & 4)
                    sum += bias[j], size += magnitude(bias[j]);
                if (ending & 8)
                    sum += row_bias[i], size += magnitude(row_bias[i]);
                EACH(kk, k) {
                    const wide term = (wide)a[matrix * a_at.span + a_at.first + i * a_at.row + kk * a_at.column]
                                    * b[matrix * b_step + b_at.first + kk * b_at.row + j * b_at.column];
                    sum += term;
                    size += magnitude(term);
                }
                agree("c", place, c[place], sum < 0 && number % 3 ? (number % 3 == EN_RELU ? 0 : (wide)0.01 * sum) : sum, (wide)(k + 3) * EPS * size);
            }
}

TEST(matrix_product)
{
    EACH(shape, LENGTH(gemm_shapes)) {
        const ptrdiff_t m = gemm_shapes[shape][0], k = gemm_shapes[shape][1], n = gemm_shapes[shape][2];
        const int step = m * k * n > 100000 ? 17 : 1; /* prime to the numbers of layouts and endings */
        for (int number = (int)shape; number < 49; number += step)
            NAME(check_product)(m, k, n, 1, number);
        if (m * k * n < 10000)
            for (int number = (int)shape; number < 49; number += 5)
                NAME(check_product)(m, k, n, 3, number);
    }
}
#endif
