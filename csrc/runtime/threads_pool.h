/* What the module `threads` asks of threads.c. */
#ifndef EN_THREADS_POOL_H
#define EN_THREADS_POOL_H
#include "runtime/threads.h"

/* POSIX threads and C11 atomics; anything else runs everything on the calling thread. */
#if (defined(__unix__) || defined(__APPLE__)) && !defined(__STDC_NO_ATOMICS__)
#define EN_HAS_POOL 1
#else
#define EN_HAS_POOL 0
#endif

extern const en_pool en_pool_functions;

void en_pool_start(void);
int en_pool_workers(void);                       /* threads that were started */
int en_pool_process_limit(void);                 /* threads that a call may use, the calling one included */
void en_pool_set_process_limit(int threads);
int en_pool_thread_limit(void);                  /* the same for calls from this thread, or 0 */
void en_pool_set_thread_limit(int threads);
#endif
