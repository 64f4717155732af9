/* ELEMENTWISE stands before a loop whose element i depends on elements i alone, although its output may be its input and
 * therefore cannot be `restrict`: the compiler has to be told, or it vectorises for arrays apart only. */
#ifndef EN_ELEMENTWISE_H
#define EN_ELEMENTWISE_H
#include "runtime/portable.h"
#define ELEMENTWISE EN_ELEMENTWISE
#endif
