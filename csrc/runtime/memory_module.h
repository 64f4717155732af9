/* What the module `memory` asks of memory.c. */
#ifndef EN_MEMORY_MODULE_H
#define EN_MEMORY_MODULE_H
#include "runtime/memory.h"
#include "runtime/portable.h"

/* 0 in a build with address sanitizer, which sees mistakes only in memory that comes from the system and goes back to
 * it: then every block does at once, and nothing is counted. */
#define EN_KEEPS_MEMORY (!EN_ADDRESS_SANITIZER)

extern const en_memory en_memory_functions;

void en_memory_start(void);
size_t en_memory_in_use(void); /* bytes */
size_t en_memory_kept(void);
void en_memory_release(void); /* gives what is kept back to the system */
#endif
