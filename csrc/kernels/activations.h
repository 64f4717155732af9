/* Activations as values: how the kernels of other modules run one of pointwise.h on what they have just made.
 * The module `pointwise` hands the others a table; both functions take a kernel's place in its list. */
#ifndef EN_ACTIVATIONS_H
#define EN_ACTIVATIONS_H

/* A kernel of EN_FORWARD_KERNELS or EN_BACKWARD_KERNELS for some dtype; to be cast back before it is called. */
typedef void (*en_activation)(void);

typedef struct {
    en_activation (*forward)(int kernel, int dtype); /* for the instruction set in use */
    en_activation (*backward)(int kernel, int dtype);
} en_activations;

/* Those that cost nothing where a product's sums are finished, and that the product applies itself. */
enum { EN_LINEAR, EN_RELU, EN_LEAKYRELU };
#endif
