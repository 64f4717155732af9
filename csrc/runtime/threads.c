/* The one thread pool of the process. See threads.h for what it does.
 *
 * A region is one call of pool_run. The caller opens the gate, takes blocks itself like every worker that comes through
 * it, and closes it when the blocks have run out; it then waits for those who are inside, but for nobody who comes too
 * late. So a worker that the system does not let run delays nobody. Between regions a worker watches for the next one
 * for SPIN_NANOSECONDS at most and then sleeps. Where two threads call at the same time, the second works alone. */
#define _POSIX_C_SOURCE 200809L
#include "runtime/portable.h"
#include "runtime/threads_pool.h"

#if EN_HAS_POOL
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

enum { CLOSED = 1 << 20, SPIN_NANOSECONDS = 20000, SPINS_PER_LOOK = 32, STACK_BYTES = 1 << 20 };

static struct {
    pthread_mutex_t in_use;   /* held by the caller of the open region */
    pthread_mutex_t sleeping; /* of both conditions */
    pthread_cond_t opened, emptied;
    atomic_int sleepers, caller_sleeps;
    atomic_uint region; /* number of regions so far */
    atomic_int gate;    /* threads inside, minus CLOSED while it is closed */
    atomic_int joined;
    atomic_ptrdiff_t next;
    atomic_int workers; /* threads that were started; only the holder of in_use changes it */
    int threads;
    ptrdiff_t blocks;
    en_body body;
    void *context;
} pool;

static atomic_int process_limit = 1;
static _Thread_local int thread_limit; /* 0: that of the process */

static void pool_reset(void)
{
    pthread_mutex_init(&pool.in_use, NULL);
    pthread_mutex_init(&pool.sleeping, NULL);
    pthread_cond_init(&pool.opened, NULL);
    pthread_cond_init(&pool.emptied, NULL);
    atomic_store(&pool.sleepers, 0);
    atomic_store(&pool.caller_sleeps, 0);
    atomic_store(&pool.gate, -CLOSED);
    pool.workers = 0;
}

static inline void relax(void)
{
#if EN_GNU_C && (defined(__x86_64__) || defined(__i386__))
    __builtin_ia32_pause();
#elif EN_GNU_C && defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Watches until `condition`, for SPIN_NANOSECONDS at most. */
#define SPIN_UNTIL(condition) \
    for (long long end = now() + SPIN_NANOSECONDS; !(condition) && now() < end;) \
        for (int spin = 0; spin < SPINS_PER_LOOK && !(condition); ++spin) \
            relax();

static void take_blocks(int worker)
{
    for (;;) {
        ptrdiff_t block = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed);
        if (block >= pool.blocks)
            return;
        pool.body(pool.context, block, worker);
    }
}

/* Comes in through the gate if it is open, and works. */
static void join_region(void)
{
    int inside = atomic_load(&pool.gate);
    do {
        if (inside < 0)
            return;
    } while (!atomic_compare_exchange_weak(&pool.gate, &inside, inside + 1));
    int worker = 1 + atomic_fetch_add(&pool.joined, 1);
    if (worker < pool.threads)
        take_blocks(worker);
    if (atomic_fetch_sub(&pool.gate, 1) == 1 - CLOSED && atomic_load(&pool.caller_sleeps)) {
        pthread_mutex_lock(&pool.sleeping);
        pthread_cond_signal(&pool.emptied);
        pthread_mutex_unlock(&pool.sleeping);
    }
}

static void *worker_main(void *first_region)
{
    unsigned seen = (unsigned)(size_t)first_region;
    for (;;) {
        SPIN_UNTIL(atomic_load(&pool.region) != seen)
        if (atomic_load(&pool.region) == seen) {
            pthread_mutex_lock(&pool.sleeping);
            atomic_fetch_add(&pool.sleepers, 1);
            while (atomic_load(&pool.region) == seen)
                pthread_cond_wait(&pool.opened, &pool.sleeping);
            atomic_fetch_sub(&pool.sleepers, 1);
            pthread_mutex_unlock(&pool.sleeping);
        }
        seen = atomic_load(&pool.region);
        join_region();
    }
    return NULL;
}

/* Starts workers until there are `wanted`, or the system has no more. Signals are for the program's own threads. */
static void start_workers(int wanted)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pool.workers >= wanted || pthread_attr_init(&attributes) != 0)
        return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; pool.workers < wanted; ++pool.workers) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, worker_main, (void *)(size_t)atomic_load(&pool.region)) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
}

static int pool_limit(void)
{
    return thread_limit > 0 ? thread_limit : atomic_load_explicit(&process_limit, memory_order_relaxed);
}

static void pool_run(int threads, ptrdiff_t blocks, en_body body, void *context)
{
    if (pthread_mutex_trylock(&pool.in_use) != 0) {
        for (ptrdiff_t block = 0; block < blocks; ++block)
            body(context, block, 0);
        return;
    }
    if (threads > blocks)
        threads = (int)blocks;
    start_workers(threads - 1);
    pool.threads = threads;
    pool.blocks = blocks;
    pool.body = body;
    pool.context = context;
    atomic_store(&pool.joined, 0);
    atomic_store(&pool.next, 0);
    atomic_store(&pool.gate, 0);
    atomic_fetch_add(&pool.region, 1);
    int sleepers = atomic_load(&pool.sleepers);
    if (sleepers > 0) {
        pthread_mutex_lock(&pool.sleeping);
        for (int i = 0; i < sleepers && i < threads - 1; ++i)
            pthread_cond_signal(&pool.opened);
        pthread_mutex_unlock(&pool.sleeping);
    }
    take_blocks(0);
    if (atomic_fetch_sub(&pool.gate, CLOSED) > 0) {
        SPIN_UNTIL(atomic_load(&pool.gate) == -CLOSED)
        if (atomic_load(&pool.gate) != -CLOSED) {
            pthread_mutex_lock(&pool.sleeping);
            atomic_store(&pool.caller_sleeps, 1);
            while (atomic_load(&pool.gate) != -CLOSED)
                pthread_cond_wait(&pool.emptied, &pool.sleeping);
            atomic_store(&pool.caller_sleeps, 0);
            pthread_mutex_unlock(&pool.sleeping);
        }
    }
    pthread_mutex_unlock(&pool.in_use);
}

void en_pool_start(void)
{
    pool_reset();
    pthread_atfork(NULL, NULL, pool_reset); /* a child has none of the workers */
}

int en_pool_workers(void)
{
    return pool.workers;
}

#else

static int process_limit = 1;
static int thread_limit;

static int pool_limit(void)
{
    return 1;
}

static void pool_run(int threads, ptrdiff_t blocks, en_body body, void *context)
{
    (void)threads;
    for (ptrdiff_t block = 0; block < blocks; ++block)
        body(context, block, 0);
}

void en_pool_start(void)
{
}

int en_pool_workers(void)
{
    return 0;
}
#endif

int en_pool_process_limit(void)
{
    return process_limit;
}

void en_pool_set_process_limit(int threads)
{
    process_limit = threads;
}

int en_pool_thread_limit(void)
{
    return thread_limit;
}

void en_pool_set_thread_limit(int threads)
{
    thread_limit = threads;
}

const en_pool en_pool_functions = {pool_limit, pool_run};
