/* Self-test of the thread pool, or of what stands in for it where there is none: every block runs exactly once, and no
 * two at a time have the same worker. */
#include "runtime/threads_pool.h"
#include "selftest.h"
#include <stdio.h>

typedef struct {
    int *runs, *workers, threads;
} region;

static void count_block(void *context, ptrdiff_t block, int worker)
{
    region *here = context;
    ++here->runs[block];
    here->workers[block] = worker;
}

void selftest_threads(void)
{
    static const ptrdiff_t blocks[] = {0, 1, 2, 3, 17, 1000};
    begin_kernel("pool", EN_HAS_POOL ? "with threads" : "without threads", "");
    en_the_pool = &en_pool_functions;
    for (int threads = 1; threads <= 5; ++threads) {
        en_pool_set_process_limit(threads);
        expect("the limit is kept", en_pool_process_limit() == threads);
        EACH(i, LENGTH(blocks)) {
            begin_case("%d blocks, %d threads", (int)blocks[i], threads);
            region here = {unset_array(sizeof(int), blocks[i]), unset_array(sizeof(int), blocks[i]), threads};
            EACH(times, 20) {
                EACH(block, blocks[i])
                    here.runs[block] = 0;
                en_parallel(threads, blocks[i], count_block, &here);
                EACH(block, blocks[i]) {
                    agree("runs", block, here.runs[block], 1, 0);
                    expect("the worker is one of the threads", here.workers[block] >= 0 && here.workers[block] < threads);
                }
            }
        }
    }
}
