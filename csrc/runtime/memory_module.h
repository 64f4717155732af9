/* What the module `memory` asks of memory.c. */
#ifndef EN_MEMORY_MODULE_H
#define EN_MEMORY_MODULE_H
#include "runtime/memory.h"

extern const en_memory en_memory_functions;

void en_memory_start(void);
size_t en_memory_in_use(void); /* bytes */
size_t en_memory_kept(void);
void en_memory_release(void); /* gives what is kept back to the system */
#endif
