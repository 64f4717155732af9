/* Self-test of the memory that is kept between steps: blocks are aligned and apart, and come back when asked for again. */
#include "runtime/memory_module.h"
#include "selftest.h"

enum { BLOCKS = 40 };

void selftest_memory(void)
{
    unsigned char *block[BLOCKS];
    begin_kernel("memory", "", "");
    begin_case("%d blocks", BLOCKS);
    en_memory_start();
    EACH(round, 3) {
        EACH(i, BLOCKS) {
            const size_t bytes = (size_t)(i * i * 37);
            block[i] = en_memory_functions.take(bytes);
            expect("there is memory", block[i] != NULL);
            expect("it is aligned", (uintptr_t)block[i] % EN_MEMORY_ALIGNMENT == 0);
            memset(block[i], (int)i, bytes);
        }
        EACH(i, BLOCKS)
            EACH(k, i * i * 37)
                agree("byte", k, block[i][k], i, 0);
        expect("it is counted", en_memory_in_use() > 0 || !EN_KEEPS_MEMORY);
        EACH(i, BLOCKS)
            en_memory_functions.give_back(block[i]);
        expect("all of it was given back", en_memory_in_use() == 0 && (en_memory_kept() > 0) == EN_KEEPS_MEMORY);
    }
    unsigned char *again = en_memory_functions.take((size_t)37 * (BLOCKS - 1) * (BLOCKS - 1));
    expect("the block that was given back comes again", again == block[BLOCKS - 1] || !EN_KEEPS_MEMORY);
    en_memory_functions.give_back(again);
    en_memory_release();
    expect("nothing is kept", en_memory_kept() == 0);
    expect("more than there can be is refused", en_memory_functions.take(SIZE_MAX) == NULL);
}
