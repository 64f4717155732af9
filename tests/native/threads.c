/* Self-test of the thread pool, or of what stands in for it where there is none: every block runs exactly once, and no
 * two at a time have the same worker. */
#include "runtime/threads_pool.h"
#include "selftest.h"
#if EN_HAS_POOL
#include <pthread.h>
#endif

typedef struct {
    int *runs, *workers, threads;
} region;

static void count_block(void *context, ptrdiff_t block, int worker)
{
    region *here = context;
    ++here->runs[block];
    here->workers[block] = worker;
}

/* Several threads call at the same time: one of them has the pool, the others work alone. */
enum { CALLERS = 4, REGIONS = 500, CALLER_BLOCKS = 64 };

static void *call_often(void *runs)
{
    int workers[CALLER_BLOCKS];
    region here = {runs, workers, 0};
    EACH(i, REGIONS) {
        here.threads = 2 + (int)(i % 4);
        en_parallel(here.threads, CALLER_BLOCKS, count_block, &here);
        if (en_pool_workers() < 0)
            ++here.runs[0];
    }
    return NULL;
}

static void call_from_everywhere(void)
{
    int runs[CALLERS][CALLER_BLOCKS] = {{0}};
    begin_case("%d callers", CALLERS);
#if EN_HAS_POOL
    pthread_t thread[CALLERS];
    EACH(i, CALLERS)
        expect("there is a thread", pthread_create(thread + i, NULL, call_often, runs[i]) == 0);
    EACH(i, CALLERS)
        pthread_join(thread[i], NULL);
#else
    EACH(i, CALLERS)
        call_often(runs[i]);
#endif
    EACH(i, CALLERS)
        EACH(block, CALLER_BLOCKS)
            agree("runs", block, runs[i][block], REGIONS, 0);
}

void selftest_threads(void)
{
    static const ptrdiff_t blocks[] = {0, 1, 2, 3, 17, 1000};
    begin_kernel("pool", EN_HAS_POOL ? "with threads" : "without threads", "");
    en_the_pool = &en_pool_functions;
    call_from_everywhere(); /* before there are workers, which the callers start */
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
