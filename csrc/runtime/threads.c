/* The one thread pool of the process. See threads.h for what it does.
 *
 * A region is one call of pool_run. The caller opens the gate, takes blocks itself like every worker that comes through
 * it, and closes it when the blocks have run out; it then waits for those who are inside, but for nobody who comes too
 * late. So a worker that the system does not let run delays nobody. Between regions a worker watches for the next one
 * for SPIN_NANOSECONDS at most and then sleeps. Where two threads call at the same time, the second works alone. */
#define _POSIX_C_SOURCE 200809L
#include "runtime/portable.h"
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* processor affinity */
#endif
#include "runtime/threads_pool.h"

#if EN_HAS_POOL
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { CLOSED = 1 << 20, SPIN_NANOSECONDS = 20000, SPINS_PER_LOOK = 32, STACK_BYTES = 1 << 20 };

static struct {
    pthread_mutex_t in_use;   /* held by the caller of the open region */
    pthread_mutex_t sleeping; /* of both conditions */
    pthread_cond_t opened, emptied;
    atomic_int sleepers, caller_sleeps;
    atomic_uint region; /* number of regions so far */
    atomic_int gate;    /* threads inside, minus CLOSED while it is closed */
    atomic_int joined;
    atomic_int workers; /* threads that were started; only the holder of in_use changes it */
    int threads;
    ptrdiff_t blocks;
    en_body body;
    void *context;
} pool;

/* The next block of every thread's share: a share is a run of neighbouring blocks, so that a thread meets the rows and
 * columns again that it had in the region before, in its own cache. Who has finished his own takes from the others'. */
static struct {
    _Alignas(64) atomic_ptrdiff_t next;
} shares[EN_MOST_THREADS];

static atomic_int process_limit = 1;
static _Thread_local int thread_limit; /* 0: that of the process */

/* What the caller knows of a worker. */
typedef struct {
    unsigned seen; /* the region that was the last one when it was started */
#if defined(__linux__)
    atomic_int tid, processor; /* 0 and -1 while they are not known */
    atomic_uint region;        /* the last one that it woke for */
    atomic_int moved;          /* it may only run on other processors than the caller, until it begins */
    cpu_set_t allowed;         /* where it may run then */
#endif
} worker_slot;

static worker_slot slots[EN_MOST_THREADS];

/* A worker that sleeps where the caller runs tends to stay there: each of the two waits while the other one works, so
 * to the system the processor never looks overloaded (512 x 512 x 512 on two threads: 2000 us instead of 1250). The
 * caller then sends it to the other processors, and the worker lifts that as soon as it runs. */
#if defined(__linux__)
static void reset_slots(void)
{
    for (int i = 0; i < EN_MOST_THREADS; ++i) {
        atomic_store(&slots[i].tid, 0);
        atomic_store(&slots[i].processor, -1);
        atomic_store(&slots[i].region, 0);
        atomic_store(&slots[i].moved, 0);
    }
}

/* Sends away those who were here when they last ran or, after the caller's first block, those who have not woken yet. */
static void send_away(int workers, int after_a_block)
{
    const int here = sched_getcpu();
    const unsigned region = atomic_load_explicit(&pool.region, memory_order_relaxed);
    for (int i = 0; i < workers; ++i) {
        worker_slot *slot = slots + i;
        cpu_set_t others;
        if (after_a_block ? atomic_load_explicit(&slot->region, memory_order_relaxed) == region
                          : atomic_load_explicit(&slot->processor, memory_order_relaxed) != here)
            continue;
        if (here < 0 || atomic_load(&slot->tid) == 0 || atomic_load(&slot->moved)
            || sched_getaffinity(0, sizeof slot->allowed, &slot->allowed) != 0 || CPU_COUNT(&slot->allowed) < 2)
            continue;
        others = slot->allowed;
        CPU_CLR(here, &others);
        atomic_store(&slot->moved, 1);
        if (sched_setaffinity(atomic_load(&slot->tid), sizeof others, &others) != 0)
            atomic_store(&slot->moved, 0);
    }
}

static void settle(worker_slot *slot)
{
    atomic_store_explicit(&slot->processor, sched_getcpu(), memory_order_relaxed);
    atomic_store_explicit(&slot->region, atomic_load(&pool.region), memory_order_relaxed);
    if (atomic_load(&slot->moved)) {
        sched_setaffinity(0, sizeof slot->allowed, &slot->allowed);
        atomic_store(&slot->moved, 0);
    }
}

static void introduce(worker_slot *slot)
{
    atomic_store(&slot->tid, (int)syscall(SYS_gettid));
}
#else
static void reset_slots(void)
{
}

static void send_away(int workers, int after_a_block)
{
    (void)workers;
    (void)after_a_block;
}

static void settle(worker_slot *slot)
{
    (void)slot;
}

static void introduce(worker_slot *slot)
{
    (void)slot;
}
#endif

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
    reset_slots();
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

static ptrdiff_t first_block(int share)
{
    return pool.blocks * share / pool.threads;
}

static void take_blocks(int worker)
{
    const int threads = pool.threads;
    int done = 0;
    for (int i = 0; i < threads; ++i) {
        const int share = worker + i < threads ? worker + i : worker + i - threads;
        const ptrdiff_t stop = first_block(share + 1);
        for (;; ++done) {
            ptrdiff_t block = atomic_fetch_add_explicit(&shares[share].next, 1, memory_order_relaxed);
            if (block >= stop)
                break;
            if (worker == 0 && done == 1)
                send_away(threads - 1, 1);
            pool.body(pool.context, block, worker);
        }
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

static void *worker_main(void *own_slot)
{
    worker_slot *slot = own_slot;
    unsigned seen = slot->seen;
    introduce(slot);
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
        settle(slot);
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
        slots[pool.workers].seen = atomic_load(&pool.region);
        if (pthread_create(&thread, &attributes, worker_main, slots + pool.workers) != 0)
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
    for (int share = 0; share < threads; ++share)
        atomic_store_explicit(&shares[share].next, first_block(share), memory_order_relaxed);
    atomic_store(&pool.gate, 0);
    atomic_fetch_add(&pool.region, 1);
    int sleepers = atomic_load(&pool.sleepers);
    send_away(threads - 1, 0);
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
