/* Elementwise functions, activations with their derivatives, softmax, sums of columns; the kernels are in pointwise.c.
 *
 * x: in (n)   y: out (n)   dy: in (n), gradient of y   dx: out (n), gradient of x
 * y may be x itself and dx may be dy itself; any other overlap is not allowed.
 * A backward kernel reads the output y where the derivative follows from it, else the input z. */
#ifndef EN_POINTWISE_H
#define EN_POINTWISE_H

#define EN_CONCERN pointwise
#define EN_FORWARD(KERNEL, name) KERNEL(void, name, (REAL *y, const REAL *x, ptrdiff_t n))
#define EN_BACKWARD(KERNEL, name, saved) KERNEL(void, name, (REAL *dx, const REAL *dy, const REAL *saved, ptrdiff_t n))

#define EN_FORWARD_KERNELS(KERNEL) \
    EN_FORWARD(KERNEL, exponential) \
    EN_FORWARD(KERNEL, exponential_minus_one) \
    EN_FORWARD(KERNEL, logarithm) \
    EN_FORWARD(KERNEL, logarithm_of_one_plus) \
    EN_FORWARD(KERNEL, relu_forward) \
    EN_FORWARD(KERNEL, leakyrelu_forward) \
    EN_FORWARD(KERNEL, elu_forward) \
    EN_FORWARD(KERNEL, selu_forward) \
    EN_FORWARD(KERNEL, sigmoid_forward) \
    EN_FORWARD(KERNEL, tanh_forward) \
    EN_FORWARD(KERNEL, softplus_forward) \
    EN_FORWARD(KERNEL, gelu_forward) \
    EN_FORWARD(KERNEL, swish_forward) \
    EN_FORWARD(KERNEL, mish_forward)
#define EN_BACKWARD_KERNELS(KERNEL) \
    EN_BACKWARD(KERNEL, relu_backward, y) \
    EN_BACKWARD(KERNEL, leakyrelu_backward, y) \
    EN_BACKWARD(KERNEL, elu_backward, y) \
    EN_BACKWARD(KERNEL, selu_backward, y) \
    EN_BACKWARD(KERNEL, sigmoid_backward, y) \
    EN_BACKWARD(KERNEL, tanh_backward, y) \
    EN_BACKWARD(KERNEL, softplus_backward, y) \
    EN_BACKWARD(KERNEL, gelu_backward, z) \
    EN_BACKWARD(KERNEL, swish_backward, z) \
    EN_BACKWARD(KERNEL, mish_backward, z)
#define EN_KERNELS(KERNEL) \
    EN_FORWARD_KERNELS(KERNEL) \
    EN_BACKWARD_KERNELS(KERNEL) \
    KERNEL(void, softmax, (REAL *y, const REAL *x, ptrdiff_t rows, ptrdiff_t cols)) \
    KERNEL(void, softmax_backward, (REAL *dx, const REAL *dy, const REAL *y, ptrdiff_t rows, ptrdiff_t cols)) \
    KERNEL(void, column_sums, (REAL *restrict out, const REAL *restrict x, ptrdiff_t rows, ptrdiff_t cols, \
                               ptrdiff_t stride)) \
    KERNEL(void, activation_backward_sums, (REAL *dx, REAL *restrict sums, const REAL *dy, const REAL *saved, \
                                            int activation, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t stride))
#include "kernels/table.h"

#define EN_SUM_COLS 256 /* columns that are summed side by side: sums may be cut at multiples of it */

#define softmax(dtype, ...) EN_CALL(pointwise, softmax, dtype, __VA_ARGS__)
#define softmax_backward(dtype, ...) EN_CALL(pointwise, softmax_backward, dtype, __VA_ARGS__)
#define column_sums(dtype, ...) EN_CALL(pointwise, column_sums, dtype, __VA_ARGS__)
#define activation_backward_sums(dtype, ...) EN_CALL(pointwise, activation_backward_sums, dtype, __VA_ARGS__)
#endif
