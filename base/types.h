/* Short integer names, and the few macros that every folder uses. */
#ifndef NB_BASE_TYPES_H
#define NB_BASE_TYPES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

#define BIT(n) (1ull << (n))
/* Bits hi..lo of x, both included, as a number. */
#define BITS(x, hi, lo) (((u64)(x) >> (lo)) & (~0ull >> (63 - ((hi) - (lo)))))
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Sign-extend the low 1, 2, 4 or 8 bytes of v. */
static inline s64
sign_extend(u64 v, unsigned bytes)
{
	unsigned shift = 64 - bytes * 8;
	return (s64)(v << shift) >> shift;
}

#endif
