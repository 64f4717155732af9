/* Mistakes that a build with sanitizers must catch: what sanitize.py checks its flags with. */
#include <limits.h>
#include <stdlib.h>

/* Reads element `i` of an array of n. */
__attribute__((visibility("default"))) int read_element(int n, int i)
{
    int *array = calloc((size_t)n, sizeof *array);
    int element = array ? array[i] : 0;
    free(array);
    return element;
}

/* INT_MAX + n, which Python's own -fwrapv would make legal. */
__attribute__((visibility("default"))) int beyond_int(int n)
{
    return INT_MAX + n;
}
