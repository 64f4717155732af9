/* The allocator behind memory.h: one list of free blocks per size class, eight classes to every power of two. */
#define _POSIX_C_SOURCE 200809L
#include "runtime/memory_module.h"

#include <stdint.h>
#include <stdlib.h>

#define MOST_BYTES (SIZE_MAX / 4)

#if EN_KEEPS_MEMORY
#include <stdatomic.h>
#include "runtime/threads_pool.h"
#if EN_HAS_POOL
#include <pthread.h>
#endif

enum { CLASSES = 8 * 60, LEAST_BYTES = 256 };

/* Stands before every block, in the line before its first byte. */
typedef struct header {
    struct header *next; /* the free block below it in its list */
    void *allocated;
    size_t bytes;
    int class_;
} header;

static struct {
    atomic_flag locked;
    header *free[CLASSES];
    size_t in_use, kept, most_in_use;
} memory = {.locked = ATOMIC_FLAG_INIT};

static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&memory.locked, memory_order_acquire))
        ;
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&memory.locked, memory_order_release);
}

/* The smallest class whose blocks hold `bytes`, and their size: 2^k (1 + step / 8). */
static int class_of(size_t bytes, size_t *size)
{
    int k = 8;
    while (k < 60 && ((size_t)2 << k) <= bytes)
        ++k;
    size_t eighth = ((size_t)1 << k) / 8, above = bytes - ((size_t)1 << k);
    size_t step = (above + eighth - 1) / eighth;
    *size = ((size_t)1 << k) + step * eighth;
    return (int)(8 * (size_t)(k - 8) + step);
}

/* Takes blocks that are kept off their lists, the largest first, until `bytes` of them are gone; returns them linked. */
static header *detach(size_t bytes)
{
    header *gone = NULL;
    size_t freed = 0;
    for (int class_ = CLASSES - 1; class_ >= 0 && freed < bytes; --class_)
        while (memory.free[class_] && freed < bytes) {
            header *block = memory.free[class_];
            memory.free[class_] = block->next;
            freed += block->bytes;
            block->next = gone;
            gone = block;
        }
    memory.kept -= freed;
    return gone;
}

static void release(header *blocks)
{
    while (blocks) {
        header *next = blocks->next;
        free(blocks->allocated);
        blocks = next;
    }
}

static void *memory_take(size_t bytes)
{
    size_t size;
    header *block, *surplus = NULL;
    if (bytes < LEAST_BYTES)
        bytes = LEAST_BYTES;
    if (bytes > MOST_BYTES)
        return NULL;
    int class_ = class_of(bytes, &size);
    lock();
    block = memory.free[class_];
    memory.in_use += size;
    if (memory.in_use > memory.most_in_use)
        memory.most_in_use = memory.in_use;
    if (block) {
        memory.free[class_] = block->next;
        memory.kept -= size;
    } else if (memory.in_use + memory.kept > memory.most_in_use)
        surplus = detach(memory.in_use + memory.kept - memory.most_in_use);
    unlock();
    release(surplus);
    if (!block) {
        char *allocated = malloc(size + 2 * EN_MEMORY_ALIGNMENT);
        if (!allocated) {
            lock();
            memory.in_use -= size;
            unlock();
            return NULL;
        }
        uintptr_t start = ((uintptr_t)allocated + 2 * EN_MEMORY_ALIGNMENT - 1) & ~(uintptr_t)(EN_MEMORY_ALIGNMENT - 1);
        block = (header *)(start - EN_MEMORY_ALIGNMENT);
        block->allocated = allocated;
        block->bytes = size;
        block->class_ = class_;
    }
    return (char *)block + EN_MEMORY_ALIGNMENT;
}

static void memory_give_back(void *start)
{
    if (!start)
        return;
    header *block = (header *)((char *)start - EN_MEMORY_ALIGNMENT);
    lock();
    memory.in_use -= block->bytes;
    memory.kept += block->bytes;
    block->next = memory.free[block->class_];
    memory.free[block->class_] = block;
    unlock();
}

_Static_assert(sizeof(header) <= EN_MEMORY_ALIGNMENT, "the header fits before the block");

size_t en_memory_in_use(void)
{
    lock();
    size_t bytes = memory.in_use;
    unlock();
    return bytes;
}

size_t en_memory_kept(void)
{
    lock();
    size_t bytes = memory.kept;
    unlock();
    return bytes;
}

void en_memory_release(void)
{
    lock();
    header *blocks = detach(SIZE_MAX);
    memory.most_in_use = memory.in_use;
    unlock();
    release(blocks);
}

void en_memory_start(void)
{
#if EN_HAS_POOL
    pthread_atfork(lock, unlock, unlock); /* no child inherits a list that another thread was changing */
#endif
}

#else

static void *memory_take(size_t bytes)
{
    void *start;
    return bytes <= MOST_BYTES && posix_memalign(&start, EN_MEMORY_ALIGNMENT, bytes) == 0 ? start : NULL;
}

static void memory_give_back(void *start)
{
    free(start);
}

size_t en_memory_in_use(void)
{
    return 0;
}

size_t en_memory_kept(void)
{
    return 0;
}

void en_memory_release(void)
{
}

void en_memory_start(void)
{
}
#endif

const en_memory en_memory_functions = {memory_take, memory_give_back};
