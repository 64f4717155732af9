/* How work is split over threads: a call is cut into blocks that do not depend on each other, and the pool of
 * threads.c hands them out by number. What a block computes must not depend on the number of threads, nor on who
 * computes it; then neither do the bits of the result. Kernels know nothing of this: see csrc/parallel/. */
#ifndef EN_THREADS_H
#define EN_THREADS_H
#include <stddef.h>

enum { EN_MOST_THREADS = 256 };

/* Computes block number `block`; no other thread has the same `worker`, which is below the number of threads. */
typedef void (*en_body)(void *context, ptrdiff_t block, int worker);

/* What the module `threads` offers to the other compiled modules, each of which keeps a pointer to it. */
typedef struct {
    int (*limit)(void); /* threads that the calling thread may use, itself included */
    void (*run)(int threads, ptrdiff_t blocks, en_body body, void *context);
} en_pool;

static const en_pool *en_the_pool; /* set when the module is imported; without it, everything runs where it is called */

/* Nanoseconds of work that are worth a further thread: waking one takes a few microseconds. */
#define EN_WORTH_A_THREAD 12000.0

/* Threads to use for work that would take one of them about `nanoseconds`. */
static inline int en_threads(double nanoseconds)
{
    if (!en_the_pool || nanoseconds < 2 * EN_WORTH_A_THREAD)
        return 1;
    int limit = en_the_pool->limit();
    double useful = nanoseconds / EN_WORTH_A_THREAD;
    return useful < limit ? (int)useful : limit;
}

/* Runs body(context, block, worker) for every block below `blocks` on at most `threads` threads, and returns when all
 * have ended. */
static inline void en_parallel(int threads, ptrdiff_t blocks, en_body body, void *context)
{
    if (threads > 1 && blocks > 1)
        en_the_pool->run(threads, blocks, body, context);
    else
        for (ptrdiff_t block = 0; block < blocks; ++block)
            body(context, block, 0);
}
#endif
