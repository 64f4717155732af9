/* What the C sources use beyond C11, each with a fallback in plain C. EN_PLAIN_C chooses the fallbacks where the compiler
 * would not need them: `make cross` builds and runs the kernels that way too. */
#ifndef EN_PORTABLE_H
#define EN_PORTABLE_H

/* 1 with the language of GCC and clang: attributes, vector types, built-in functions. */
#if defined(__GNUC__) && !defined(EN_PLAIN_C)
#define EN_GNU_C 1
#else
#define EN_GNU_C 0
#endif

/* EN_INLINE: inlined whatever the size: one call left standing keeps its loop scalar, and hides constants that unroll
 * another. EN_NOINLINE: never; copies of what is called from many places would be most of the library. */
#if EN_GNU_C
#define EN_INLINE static inline __attribute__((always_inline))
#define EN_NOINLINE static __attribute__((noinline))
#else
#define EN_INLINE static inline
#define EN_NOINLINE static
#endif

/* EN_UNROLL(n) before a loop of at most n rounds: no loop. EN_ELEMENTWISE before a loop: element i of what it writes
 * depends on element i alone of what it reads, which may be the same array. */
#define EN_PRAGMA(text) _Pragma(#text)
#if EN_GNU_C && defined(__clang__)
#define EN_UNROLL(n) EN_PRAGMA(clang loop unroll(full))
#define EN_ELEMENTWISE EN_PRAGMA(clang loop vectorize(assume_safety))
#elif EN_GNU_C
#define EN_UNROLL(n) EN_PRAGMA(GCC unroll n)
#define EN_ELEMENTWISE EN_PRAGMA(GCC ivdep)
#else
#define EN_UNROLL(n)
#define EN_ELEMENTWISE
#endif

/* In a loop that copies or clears a short row: the compiler would make a call to memcpy or memset of it, which takes
 * longer than the row (4 % of a training step of a small convolution network). */
#if EN_GNU_C
#define EN_KEEP_LOOP() __asm__ __volatile__("" ::: "memory")
#else
#define EN_KEEP_LOOP() ((void)0)
#endif

/* 1 in a build with address sanitizer, which says so in one way with GCC and in another with clang. */
#if defined(__SANITIZE_ADDRESS__)
#define EN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EN_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef EN_ADDRESS_SANITIZER
#define EN_ADDRESS_SANITIZER 0
#endif

/* Without a call even where a function of the library is not inlined. */
#if EN_GNU_C
#define EN_FABSF __builtin_fabsf
#define EN_FABS __builtin_fabs
#define EN_COPYSIGNF __builtin_copysignf
#define EN_COPYSIGN __builtin_copysign
#else
#define EN_FABSF fabsf
#define EN_FABS fabs
#define EN_COPYSIGNF copysignf
#define EN_COPYSIGN copysign
#endif

#endif
