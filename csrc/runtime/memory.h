/* Memory for arrays and workspaces that is kept when it is given back, so that a training step finds pages the system
 * has mapped already: page faults can cost more than the arithmetic. What is kept and what is in use together never
 * exceed the most that was in use at one time. */
#ifndef EN_MEMORY_H
#define EN_MEMORY_H
#include <stddef.h>

enum { EN_MEMORY_ALIGNMENT = 64 };

/* What the module `memory` offers to the other compiled modules, each of which keeps a pointer to it. */
typedef struct {
    void *(*take)(size_t bytes); /* aligned to EN_MEMORY_ALIGNMENT; NULL if there is none */
    void (*give_back)(void *start);
} en_memory;
#endif
