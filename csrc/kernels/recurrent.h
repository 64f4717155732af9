/* What a step of a recurrent layer does after its matrix product; the kernels are in recurrent.c, and the loop over time
 * is in parallel/recurrent.h.
 *
 * Arrays hold `rows` sequences at one step.   h, c, dh, dc, dy: (rows, hidden)
 *   gates of an LSTM: (rows, 4 hidden): i, f, g, o   gates of a GRU: (rows, 4 hidden): n, r, z, q, with q the recurrent
 *   part of n, so that what comes from the input (n, r, z) and what comes from the state (r, z, q) are neighbours.
 * On the way forward, gates hold the sums and become what the cell made of them; q stays as it is. On the way back, dh is
 * the gradient of h that comes from the next step, dy that of the output, or NULL; dgates takes the gradient of the sums,
 * dh that part of the gradient of h_prev that does not come through the gates. */
#ifndef EN_RECURRENT_H
#define EN_RECURRENT_H

#define EN_CONCERN recurrent
#define EN_KERNELS(KERNEL) \
    KERNEL(void, lstm_forward, (REAL *restrict gates, REAL *restrict h, REAL *restrict c, \
                                const REAL *restrict c_prev, ptrdiff_t rows, ptrdiff_t hidden)) \
    KERNEL(void, lstm_backward, (REAL *restrict dgates, REAL *restrict dh, REAL *restrict dc, const REAL *restrict dy, \
                                 const REAL *restrict gates, const REAL *restrict c_prev, ptrdiff_t rows, \
                                 ptrdiff_t hidden)) \
    KERNEL(void, gru_forward, (REAL *restrict gates, REAL *restrict h, const REAL *restrict h_prev, ptrdiff_t rows, \
                               ptrdiff_t hidden)) \
    KERNEL(void, gru_backward, (REAL *restrict dgates, REAL *restrict dh, const REAL *restrict dy, \
                                const REAL *restrict gates, const REAL *restrict h_prev, ptrdiff_t rows, \
                                ptrdiff_t hidden)) \
    KERNEL(void, rnn_forward, (REAL *restrict gates, REAL *restrict h, int relu, ptrdiff_t rows, ptrdiff_t hidden)) \
    KERNEL(void, rnn_backward, (REAL *restrict dgates, REAL *restrict dh, const REAL *restrict dy, \
                                const REAL *restrict gates, int relu, ptrdiff_t rows, ptrdiff_t hidden)) \
    KERNEL(void, multiply_into, (REAL *restrict y, const REAL *restrict x, const REAL *restrict mask, int add, \
                                 ptrdiff_t n))
#include "kernels/table.h"

#define lstm_forward(dtype, ...) EN_CALL(recurrent, lstm_forward, dtype, __VA_ARGS__)
#define lstm_backward(dtype, ...) EN_CALL(recurrent, lstm_backward, dtype, __VA_ARGS__)
#define gru_forward(dtype, ...) EN_CALL(recurrent, gru_forward, dtype, __VA_ARGS__)
#define gru_backward(dtype, ...) EN_CALL(recurrent, gru_backward, dtype, __VA_ARGS__)
#define rnn_forward(dtype, ...) EN_CALL(recurrent, rnn_forward, dtype, __VA_ARGS__)
#define rnn_backward(dtype, ...) EN_CALL(recurrent, rnn_backward, dtype, __VA_ARGS__)
#define multiply_into(dtype, ...) EN_CALL(recurrent, multiply_into, dtype, __VA_ARGS__)
#endif
